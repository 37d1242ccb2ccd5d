"""One list for several listeners: what all of them like, or what nobody dislikes, and never what anybody forbids."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.bundle.model_bundle import ModelBundle
from engine.data.user_item_pairs import UserItemPairs
from engine.listener_query import ListenerState, plan_query
from engine.models.item_knn import ItemKNN
from engine.pipeline import GROUP, NO_CAPS, Policy, Ranking, recommend
from engine.retrieval.candidates import AVERAGE, GROUP_STRATEGIES, LEAST_MISERY, Group, Member, Query
from engine.retrieval.group import aggregate, scale_scores
from engine.training import train
from tests.engine.factories import checkerboard, listener_history, make_config, train_checkerboard

BY_RELEVANCE = replace(GROUP, caps=NO_CAPS)
EVEN, ODD = listener_history([100, 102, 104, 106, 108, 110]), listener_history([101, 103, 105, 107, 109, 111])


@pytest.fixture(scope="module")
def bundle() -> ModelBundle:
    return train_checkerboard().bundle


def ask(bundle: ModelBundle, histories: list[UserItemPairs], strategy: str = AVERAGE, limit: int = 20) -> Ranking:
    """Rank tracks for listeners with these histories, as serving does: without those that one of them knows."""
    members: list[Member] = []
    forbidden, known = [], []
    for number, history in enumerate(histories):
        state = ListenerState(900 + number, history, interactions=len(history))
        query, policy = plan_query(bundle, state, limit=limit)
        members.append(Member(query, tuple(policy.sources)))
        forbidden.append(query.forbidden)
        known.append(query.exclude)
    query = Query(
        limit,
        group=Group(tuple(members), strategy),
        forbidden=np.concatenate(forbidden),
        exclude=np.concatenate(known),
    )
    return recommend(bundle, query, BY_RELEVANCE)


def test_the_average_takes_what_most_like_and_least_misery_what_nobody_minds() -> None:
    relevance = np.array([[1.0, 0.6, 0.0], [1.0, 0.5, 0.0], [0.0, 0.5, 1.0]])
    assert aggregate(relevance, AVERAGE) == pytest.approx([2 / 3, 1.6 / 3, 1 / 3])
    assert aggregate(relevance, LEAST_MISERY) == pytest.approx([0.02 / 3.03, (0.5 + 0.016 / 3) / 1.01, 0.01 / 3.03])
    assert aggregate(relevance, AVERAGE).argsort()[::-1].tolist() == [0, 1, 2]
    assert aggregate(relevance, LEAST_MISERY).argsort()[::-1].tolist() == [1, 0, 2]


def test_scales_do_not_matter_and_what_nobody_knows_of_counts_as_the_worst() -> None:
    scores = np.array([[1000.0, 3000.0, 2000.0, np.nan], [-0.1, 0.1, np.nan, 0.0], [5.0, 5.0, np.nan, 5.0]])
    expected = [[0.0, 1.0, 0.5, 0.0], [0.0, 1.0, 0.0, 0.5], [1.0, 1.0, 0.0, 1.0]]
    lowest, highest = np.fmin.reduce(scores, axis=1), np.fmax.reduce(scores, axis=1)
    assert scale_scores(scores, lowest, highest) == pytest.approx(np.array(expected))
    further = np.array([[4000.0], [-9.0], [np.nan]])
    assert scale_scores(further, lowest, highest).tolist() == [[1.0], [0.0], [0.0]]


def test_a_group_of_the_same_taste_gets_that_taste(bundle: ModelBundle) -> None:
    ranking = ask(bundle, [EVEN, EVEN], limit=4)
    assert {pick.track_id % 2 for pick in ranking.picks} == {0}
    assert ranking.strategy == "group"
    assert all(opinion.is_own for pick in ranking.picks for opinion in ranking.opinions[pick.track_id])


def test_the_majority_decides_the_average_and_both_tastes_are_candidates(bundle: ModelBundle) -> None:
    ranking = ask(bundle, [EVEN, EVEN, ODD], limit=8)
    assert [pick.track_id % 2 for pick in ranking.picks] == [0, 0, 0, 0, 1, 1, 1, 1]
    first, last = ranking.opinions[ranking.picks[0].track_id], ranking.opinions[ranking.picks[-1].track_id]
    assert [opinion.relevance > 0.9 for opinion in (*first, *last)] == [True, True, False, False, False, True]


def test_the_scores_of_a_slate_are_those_of_its_strategy(bundle: ModelBundle) -> None:
    for strategy in GROUP_STRATEGIES:
        ranking = ask(bundle, [EVEN, ODD, listener_history([])], strategy)
        for pick in (pick for pick in ranking.picks if pick.source == "group"):
            relevance = np.array([[opinion.relevance] for opinion in ranking.opinions[pick.track_id]])
            assert aggregate(relevance, strategy)[0] == pytest.approx(pick.score, abs=2e-6)


def test_a_member_without_history_counts_with_popular_tracks() -> None:
    plays = checkerboard()
    extra = [(500 + n, 115, 1, True, 1_700_000_000) for n in range(30)]  # 115 is by far the most popular track
    rows = zip(plays.user, plays.track, plays.count, plays.qualified, plays.time, strict=True)
    bundle = train(
        type(plays).from_rows([*rows, *extra]), np.arange(100, 120), make_config(ItemKNN()), version="v1"
    ).bundle
    new = listener_history([])
    alone, with_two = (ask(bundle, members, limit=20) for members in ([EVEN], [EVEN, new, new]))
    assert alone.picks[0].track_id % 2 == 0
    assert (with_two.picks[0].track_id, with_two.picks[0].score) == (115, pytest.approx(2 / 3, abs=1e-6))
    known, *strangers = with_two.opinions[115]
    assert (known.is_own, [(o.is_own, o.relevance) for o in strangers]) == (False, [(True, 1.0)] * 2)


@cache
def neighbours_bundle() -> ModelBundle:
    """Return a version of the checkerboard that is trained once, although hypothesis calls its test many times."""
    return train_checkerboard(trainer=ItemKNN()).bundle


TRACKS = st.sets(st.integers(100, 119), max_size=6)
HISTORIES = st.lists(st.tuples(TRACKS, TRACKS), min_size=1, max_size=5)


@settings(max_examples=60, deadline=None)
@given(HISTORIES, TRACKS, TRACKS, st.sampled_from(GROUP_STRATEGIES), st.integers(1, 25))
def test_nothing_that_a_member_forbids_is_ever_offered(
    histories: list[tuple[set[int], set[int]]], blocked: set[int], gone: set[int], strategy: str, limit: int
) -> None:
    bundle = neighbours_bundle()
    members: list[Member] = []
    disliked: set[int] = set()
    for number, (played, refused) in enumerate(histories):
        history = listener_history(sorted(played - refused), disliked=sorted(refused))
        query, policy = plan_query(bundle, ListenerState(number, history, interactions=len(history)), limit=limit)
        members.append(Member(query, tuple(policy.sources)))
        disliked |= refused
    query = Query(
        limit,
        group=Group(tuple(members), strategy),
        forbidden=np.array(sorted(disliked | blocked), np.int64),
        unavailable=np.array(sorted(gone), np.int64),
    )
    offered = [pick.track_id for pick in recommend(bundle, query, GROUP).picks]
    left = set(range(100, 120)) - disliked - blocked - gone
    assert len(offered) == len(set(offered)) == min(limit, len(left))
    assert set(offered) <= left


def test_without_a_group_it_proposes_nothing(bundle: ModelBundle) -> None:
    assert recommend(bundle, Query(5), Policy("only", {"group": 1.0})).picks == []
