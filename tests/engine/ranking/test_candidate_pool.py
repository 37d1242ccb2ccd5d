from dataclasses import replace

import numpy as np
import pytest

from engine.data.sliders import SliderTracks
from engine.models.item_knn import ItemKNN
from engine.pipeline import NO_CAPS, Dials, Policy, Trace, recommend
from engine.ranking.candidate_pool import CandidatePool, gather_candidates
from engine.ranking.variety import order_by_variety
from engine.retrieval.candidates import SOURCES, Query
from tests.engine.factories import listener_history, train_checkerboard
from tests.engine.shaped_worlds import FIRST_ID, LISTENER_ROW, make_bundle

BUNDLE = make_bundle([5, 3, 1, 2, 0], popularity=[1, 2, 9, 4, 0])
QUERY = Query(5, user_row=LISTENER_ROW)


def gather(weights: dict[str, float], k: int) -> CandidatePool:
    with BUNDLE.workspaces.borrow() as workspace:
        proposals = {name: SOURCES[name](BUNDLE, QUERY, workspace, k) for name in weights}
        return gather_candidates(BUNDLE, QUERY, workspace, proposals, weights)


def test_the_main_source_scores_all_candidates_whoever_proposed_them() -> None:
    pool = gather({"personal": 1.0, "popular": 0.5}, 2)
    assert pool.rows.tolist() == [0, 1, 2, 3]
    assert pool.relevance == pytest.approx([1, 0, -1, -0.5])  # 0 is the lowest that the main source proposed
    assert pool.opinions[1] == pytest.approx([0, 0, 0.5, 0])
    assert pool.merit == pytest.approx([1, 0, -0.5, -0.5])
    np.testing.assert_equal(pool.scores, [[5, 3, np.nan, np.nan], [np.nan, np.nan, 9, 4]])


def test_a_track_that_the_main_source_knows_nothing_of_needs_a_source_with_weight() -> None:
    assert 4 in gather({"popular": 1.0, "random": 0.1}, 5).rows
    assert 4 not in gather({"popular": 1.0, "random": 0.0}, 5).rows


def test_a_pick_names_the_source_that_contributed_most_and_all_that_proposed_it() -> None:
    policy = Policy("p", {"personal": 1.0, "popular": 1.8}, candidates=2, caps=NO_CAPS)
    picks = recommend(BUNDLE, QUERY, policy).picks
    assert [(pick.track_id - FIRST_ID, pick.source, pick.score) for pick in picks[:2]] == [
        (0, "personal", 5),
        (2, "popular", 9),
    ]
    everything = Policy("p", {"personal": 1.0, "popular": 0.5}, caps=NO_CAPS)
    assert {pick.sources for pick in recommend(BUNDLE, QUERY, everything).picks} == {("personal", "popular")}


def test_a_source_that_only_repeats_the_main_source_is_not_named() -> None:
    bundle = train_checkerboard(trainer=ItemKNN()).bundle
    query = Query(5, history=listener_history([100, 104, 108]))
    for weight, sources in ((0.0, {("personal",)}), (0.5, {("personal", "neighbours")})):
        policy = Policy("p", {"personal": 1.0, "neighbours": weight}, caps=NO_CAPS)
        assert {pick.sources for pick in recommend(bundle, query, policy).picks} == sources


def test_a_source_without_weight_does_not_change_the_order() -> None:
    slates = [
        [pick.track_id for pick in recommend(BUNDLE, QUERY, Policy("p", sources, caps=NO_CAPS)).picks]
        for sources in ({"personal": 1.0}, {"personal": 1.0, "popular": 0.0, "random": 0.0})
    ]
    assert slates[0] == slates[1] == [FIRST_ID, FIRST_ID + 1, FIRST_ID + 3, FIRST_ID + 2]


# The tracks 0 to 2 are what the main source proposes of 6; all listeners know them, and nobody knows the others.
OBSCURE = make_bundle(
    [1.0, 0.9, 0.8, 0.75, 0.1, -1],
    popularity=[60, 60, 60, 1, 1, 1],
    vectors=[[9, 0], [9, 0], [9, 0], [0, 9], [0, 9], [0, 9]],
)


def rows_of(sources: dict[str, float], **dials: float) -> list[int]:
    policy = Policy("p", sources, candidates=3, dials=Dials(**dials), caps=NO_CAPS)
    return [pick.track_id - FIRST_ID for pick in recommend(OBSCURE, QUERY, policy).picks]


def test_no_dial_lifts_what_another_source_proposes_above_what_the_main_source_does() -> None:
    alone, with_random = rows_of({"personal": 1.0}), rows_of({"personal": 1.0, "random": 0.0})
    dials = {"diversity": 0.9, "novelty": 1.0, "artist_exposure": 1.0, "freshness": 1.0}
    assert alone == with_random == rows_of({"personal": 1.0, "random": 0.0}, **dials) == [0, 1, 2, 3, 4]


def test_a_track_that_is_as_relevant_as_the_last_of_the_main_source_does_not_compete_either() -> None:
    bundle = make_bundle([3, 2, 2, 2], popularity=[60, 60, 1, 1])
    slates = [
        [pick.track_id for pick in recommend(bundle, QUERY, Policy("p", sources, 2, dials=Dials(novelty=1.0))).picks]
        for sources in ({"personal": 1.0}, {"personal": 1.0, "random": 0.0})
    ]
    assert slates[0] == slates[1]


def test_a_source_lifts_its_candidates_by_its_weight() -> None:
    most_random = SOURCES["random"]
    with OBSCURE.workspaces.borrow() as workspace:
        favourite = int(most_random(OBSCURE, QUERY, workspace, 1)[0][0])
    assert rows_of({"personal": 1.0, "random": 10.0})[0] == favourite


def test_dials_do_not_lift_a_track_that_the_main_source_knows_nothing_of() -> None:
    bundle = make_bundle([5, 4, 3, 0], popularity=[9, 9, 9, 0])
    policy = Policy("p", {"personal": 1.0, "random": 0.1}, dials=Dials(novelty=1.0), caps=NO_CAPS)
    trace = Trace()
    recommend(bundle, QUERY, policy, trace)
    unknown = next(candidate for candidate in trace.candidates if candidate.track_id == FIRST_ID + 3)
    assert unknown.parts["relevance"] == unknown.parts["novelty"] == 0
    assert 0 <= unknown.value <= 0.1


NO_HEAD = np.zeros(0, np.int64)
VARIED = make_bundle([1.0, 0.9, 0.8, 0.7], vectors=[[9, 0], [9, 0], [0, 9], [0, 9]])


def test_variety_prefers_a_track_unlike_those_before_it() -> None:
    rows, values = np.arange(4), np.array([1.0, 0.9, 0.8, 0.7])
    assert list(order_by_variety(VARIED, rows, values, 0.0, NO_HEAD, 2)) == [0, 1, 2, 3]
    assert list(order_by_variety(VARIED, rows, values, 0.5, NO_HEAD, 2)) == [0, 2, 1, 3]
    dials = Dials(diversity=0.5)
    picks = recommend(VARIED, Query(4, user_row=LISTENER_ROW), Policy("p", {"personal": 1.0}, dials=dials)).picks
    assert [pick.track_id - FIRST_ID for pick in picks] == [0, 2, 1, 3]


def test_variety_looks_back_at_the_earlier_pages() -> None:
    rows, values = np.array([1, 2, 3]), np.array([0.9, 0.8, 0.7])
    assert list(order_by_variety(VARIED, rows, values, 0.5, NO_HEAD, 2)) == [0, 1, 2]
    assert list(order_by_variety(VARIED, rows, values, 0.5, NO_HEAD, 2, before=np.array([0]))) == [1, 0, 2]
    assert list(order_by_variety(VARIED, rows, values, 0.5, np.array([0]), 2, before=np.array([0]))) == [0, 1, 2]
    page = Query(3, user_row=LISTENER_ROW, before=np.array([FIRST_ID]), forbidden=np.array([FIRST_ID]))
    picks = recommend(VARIED, page, Policy("p", {"personal": 1.0}, dials=Dials(diversity=0.5))).picks
    assert [pick.track_id - FIRST_ID for pick in picks] == [2, 1, 3]


def test_the_order_by_variety_does_not_depend_on_how_much_of_it_is_needed() -> None:
    rng = np.random.default_rng(0)
    bundle = make_bundle(rng.random(60), vectors=rng.normal(size=(60, 8)))
    values = rng.random(60)
    for head in (NO_HEAD, np.array([11, 5, 40])):
        orders = [list(order_by_variety(bundle, np.arange(60), values, 0.4, head, first)) for first in (1, 7, 60)]
        assert orders[0] == orders[1] == orders[2]
        assert orders[0][: len(head)] == head.tolist()
        assert sorted(orders[0]) == list(range(60))


def test_sliders_move_candidates_and_propose_those_that_the_listener_wants_more_of() -> None:
    def pick_tracks(candidates: int, *sliders: tuple[int, float], forbidden: int = -1) -> list[tuple[int, str]]:
        wishes = tuple(SliderTracks(np.array([FIRST_ID + row]), value) for row, value in sliders)
        query = replace(QUERY, limit=3, sliders=wishes, forbidden=np.array([FIRST_ID + forbidden]))
        policy = Policy("p", {"personal": 1.0}, candidates=candidates, caps=NO_CAPS)
        return [(pick.track_id - FIRST_ID, pick.source) for pick in recommend(BUNDLE, query, policy).picks]

    assert pick_tracks(2) == [(0, "personal"), (1, "personal"), (3, "personal")]
    assert pick_tracks(2, (2, 1.0)) == [(0, "personal"), (2, "sliders"), (1, "personal")]
    assert pick_tracks(2, (4, 0.5)) == [(0, "personal"), (4, "sliders"), (1, "personal")]  # nobody has played it
    assert pick_tracks(4, (0, -1.0), (1, 0.25)) == [(1, "personal"), (0, "personal"), (3, "personal")]
    assert pick_tracks(2, (2, 1.0), forbidden=2) == pick_tracks(2)
