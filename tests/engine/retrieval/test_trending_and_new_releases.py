"""Candidates that depend on time: what is trending, and what was released lately."""

from dataclasses import replace

import numpy as np

from engine.bundle.live_lists import LiveLists
from engine.bundle.model_bundle import ModelBundle, catalogue_bundle
from engine.bundle.workspace import FORBIDDEN
from engine.data.track_features import NO_DATE, UNKNOWN_ID, TrackFeatures
from engine.retrieval.candidates import Query
from engine.retrieval.new_releases import NEW_DAYS, new_releases, score_new_releases
from engine.retrieval.trending import score_trending, trending
from tests.engine.factories import listener_history

TODAY = 20_000
NOW = TODAY * 86_400 + 3_600


def make_bundle(released: list[int], artist: list[int] | None = None, added: list[int] | None = None) -> ModelBundle:
    """Return tracks with the ids 10, 11, 12 …"""
    n = len(released)
    ids = np.arange(10, 10 + n)
    unknown = TrackFeatures.unknown(ids)
    features = replace(
        unknown,
        released=np.array(released, np.int32),
        artist=np.array(artist or [UNKNOWN_ID] * n),
        added=np.array(added or [0] * n),
    )
    return catalogue_bundle(ids, features=features)


def ids_of(bundle: ModelBundle, query: Query, k: int = 10, forbidden: tuple[int, ...] = ()) -> list[int]:
    with bundle.workspaces.borrow() as workspace:
        workspace.exclude(bundle.items.known_rows(np.array(forbidden, np.int64)), FORBIDDEN)
        rows, scores = new_releases(bundle, query, workspace, k)
        np.testing.assert_array_equal(scores, score_new_releases(bundle, query, workspace, rows))
    assert (np.diff(scores) <= 0).all()
    ids: list[int] = bundle.items.ids[rows].tolist()
    return ids


def test_tracks_of_the_last_weeks_are_new_the_newest_first() -> None:
    bundle = make_bundle([TODAY - NEW_DAYS, TODAY - 5, TODAY, TODAY + 1, TODAY - NEW_DAYS + 1, NO_DATE])
    assert ids_of(bundle, Query(5, now=NOW)) == [12, 11, 14]
    assert ids_of(bundle, Query(5, now=NOW), k=2) == [12, 11]
    assert ids_of(bundle, Query(5, now=NOW), forbidden=(12,)) == [11, 14]
    assert ids_of(bundle, Query(5)) == []  # it is not known what time it is


def test_artists_whom_the_listener_plays_come_first() -> None:
    bundle = make_bundle([TODAY, TODAY - 30, 5, UNKNOWN_ID], artist=[1, 2, 2, UNKNOWN_ID])
    assert ids_of(bundle, Query(5, now=NOW)) == [10, 11]
    assert ids_of(bundle, Query(5, now=NOW, history=listener_history([12, 13]))) == [11, 10]


def test_an_undated_track_is_new_when_it_was_added_but_not_if_a_whole_catalogue_was() -> None:
    yesterday, long_ago = (TODAY - 1) * 86_400, (TODAY - 1_000) * 86_400
    undated, n = [NO_DATE], 10
    one_added = make_bundle(undated * n, added=[yesterday, *[long_ago] * (n - 1)])
    assert ids_of(one_added, Query(5, now=NOW)) == [10]
    all_added = make_bundle([*undated * (n - 1), TODAY - 3], added=[yesterday] * n)
    assert ids_of(all_added, Query(5, now=NOW)) == [19]
    with all_added.workspaces.borrow() as workspace:
        scores = score_new_releases(all_added, Query(5, now=NOW), workspace, np.array([0, 9]))
    assert np.isnan(scores).tolist() == [True, False]


def test_rows_that_are_not_new_have_no_score() -> None:
    bundle = make_bundle([TODAY, TODAY - NEW_DAYS, NO_DATE])
    with bundle.workspaces.borrow() as workspace:
        scores = score_new_releases(bundle, Query(5, now=NOW), workspace, np.array([2, 1, 0]))
        np.testing.assert_array_equal(scores, [np.nan, np.nan, 1.0])
        assert np.isnan(score_new_releases(bundle, Query(5), workspace, np.array([0]))).all()


def test_trending_tracks_come_in_the_order_of_the_list() -> None:
    bundle = make_bundle([NO_DATE] * 4)
    bundle = replace(bundle, live=LiveLists.from_ids(bundle.items, [13, 11, 10], [9.0, 4.0, 2.0]))
    with bundle.workspaces.borrow() as workspace:
        workspace.exclude(np.array([3]), FORBIDDEN)
        rows, scores = trending(bundle, Query(5), workspace, 1)
        assert (bundle.items.ids[rows].tolist(), scores.tolist()) == ([11], [4.0])
        scores = score_trending(bundle, Query(5), workspace, np.array([0, 2, 3]))
        np.testing.assert_array_equal(scores, [2.0, np.nan, 9.0])
