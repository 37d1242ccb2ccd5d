import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.bundle.model_bundle import ModelBundle, catalogue_bundle
from engine.ensemble import EarlyWeights
from engine.models.base import Trainer
from engine.models.item_knn import ItemKNN
from engine.models.rp3beta import RP3Beta
from engine.pipeline import (
    EARLY,
    PERSONAL,
    POLICIES,
    POPULAR,
    RADIO,
    REPEATS,
    SIMILAR,
    Policy,
    recommend,
    register_policy,
)
from engine.retrieval import candidates
from engine.retrieval.candidates import Query
from engine.retrieval.popularity import popular
from tests.engine.factories import ONLY_NEW, listener_history, train_checkerboard

TRAINED = train_checkerboard().bundle
UNTRAINED = catalogue_bundle(range(1, 31), {7: 50, 3: 90, 5: 50})
EMPTY = catalogue_bundle([])


def ids(bundle: ModelBundle, query: Query, policy: Policy = PERSONAL) -> list[int]:
    return [p.track_id for p in recommend(bundle, query, policy).picks]


def test_the_next_source_fills_the_places_that_a_source_leaves_empty() -> None:
    ranking = recommend(UNTRAINED, Query(limit=5), PERSONAL)
    assert [p.source for p in ranking.picks] == ["popular"] * 3 + ["random"] * 2
    assert [(p.track_id, p.score) for p in ranking.picks[:3]] == [(3, 90), (5, 50), (7, 50)]
    assert ranking.strategy == "popular"


def test_excluded_tracks_are_left_out_by_every_source() -> None:
    assert not {3, 1, 2} & set(ids(UNTRAINED, Query(limit=30, exclude=np.array([3, 1, 2, 999]))))


def test_the_pseudo_random_order_depends_on_the_seed_alone() -> None:
    first, again, other = (ids(UNTRAINED, Query(limit=30, seed=s), Policy("r", {"random": 1})) for s in (1, 1, 2))
    assert first == again != other
    assert sorted(first) == sorted(other) == list(range(1, 31))


def test_a_listener_who_has_played_everything_gets_repeats() -> None:
    ranking = recommend(UNTRAINED, Query(limit=4, exclude=np.arange(1, 31)), POPULAR)
    assert (len(ranking.picks), ranking.repeats) == (4, True)


def test_a_track_is_never_similar_to_itself() -> None:
    lonely = catalogue_bundle([5])
    assert ids(lonely, Query(limit=4, track_id=5, exclude=np.array([5])), SIMILAR) == []
    assert 104 not in ids(TRAINED, Query(limit=50, track_id=104, exclude=np.array([104])), SIMILAR)


def test_an_unknown_track_has_no_similar_tracks() -> None:
    assert ids(TRAINED, Query(limit=4, track_id=999), SIMILAR) == []


def test_an_empty_catalogue_gives_an_empty_ranking() -> None:
    ranking = recommend(EMPTY, Query(limit=5), PERSONAL)
    assert (ranking.picks, ranking.strategy, ranking.repeats) == ([], "none", False)


@pytest.mark.parametrize("bundle", [TRAINED, UNTRAINED])
@given(
    limit=st.integers(1, 40),
    seed=st.integers(0, 2**63 - 1),
    played=st.lists(st.integers(0, 130), max_size=40),
    disliked=st.lists(st.integers(0, 130), max_size=10),
    forbidden=st.lists(st.integers(0, 130), max_size=40),
    policy=st.sampled_from([ONLY_NEW, EARLY, POPULAR]),
)
def test_a_ranking_is_never_empty_has_no_duplicates_and_at_most_limit_tracks(
    bundle: ModelBundle,
    limit: int,
    seed: int,
    played: list[int],
    disliked: list[int],
    forbidden: list[int],
    policy: Policy,
) -> None:
    track_ids, never = np.array(played, np.int64), np.array(forbidden, np.int64)
    past = listener_history(track_ids, disliked=disliked)
    query = Query(
        limit=limit, seed=seed, history=past, exclude=track_ids, forbidden=never, early_weights=EarlyWeights(0.4, 0.6)
    )
    page = ids(bundle, query, policy)
    allowed = set(bundle.items.ids.tolist()) - set(forbidden)
    unplayed = allowed - set(played)
    assert len(page) == len(set(page)) == min(limit, len(unplayed) or len(allowed))
    assert not set(page) & set(forbidden)
    assert not unplayed or not set(page) & set(played)


def test_popularity_counts_more_the_shorter_the_history() -> None:
    """The listener has played two even tracks; odd and even tracks are equally popular, so only taste differs."""
    past = listener_history([104, 108])
    even = [
        sum(
            i % 2 == 0
            for i in ids(
                TRAINED,
                Query(limit=6, history=past, exclude=past.track, early_weights=EarlyWeights(trust, 1 - trust)),
                EARLY,
            )
        )
        for trust in (0.0, 1.0)
    ]
    assert even[0] < even[1] == 6
    assert (
        recommend(TRAINED, Query(limit=6, history=past, early_weights=EarlyWeights(0.5, 0.5)), EARLY).strategy
        == "early"
    )
    assert recommend(TRAINED, Query(limit=6, early_weights=EarlyWeights(0.5, 0.5)), EARLY).strategy == "popular"
    assert recommend(TRAINED, Query(limit=6, history=listener_history([], disliked=[104])), EARLY).strategy == "popular"


@pytest.mark.parametrize("trainer", [ItemKNN(), RP3Beta()])
def test_tracks_that_only_dislikes_speak_against_are_not_personal_candidates(trainer: Trainer) -> None:
    bundle = train_checkerboard(trainer=trainer).bundle
    query = Query(
        limit=15, history=listener_history([100, 102], disliked=[101, 103]), exclude=np.array([100, 101, 102, 103])
    )
    picks = recommend(bundle, query, PERSONAL).picks
    assert {p.track_id % 2 for p in picks if p.source in ("personal", "neighbours")} == {0}
    assert len(picks) == 15


def test_a_policy_must_name_registered_sources_and_have_a_name_of_its_own() -> None:
    for policy, message in (
        (Policy("personal", {"popular": 1}), "policy 'personal' is already registered"),
        (
            Policy("new", {"popular": 1, "none": 0}),
            "sources: there is no candidate source 'none'; use one of personal, ",
        ),
        (Policy("new", {"popular": 1}, fill=("none",)), "fill: there is no candidate source 'none'; use one of "),
    ):
        with pytest.raises(ValueError, match=message):
            register_policy(policy)
    assert list(POLICIES.values()) == [PERSONAL, EARLY, POPULAR, SIMILAR, REPEATS, RADIO]
    assert all(name == policy.name for name, policy in POLICIES.items())


def test_a_registered_source_is_available_to_policies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidates, "SOURCES", {})
    candidates.register_source("popular", popular)
    with pytest.raises(ValueError, match="candidate source 'popular' is already registered"):
        candidates.register_source("popular", popular)
    assert {"popular": popular} == candidates.SOURCES
