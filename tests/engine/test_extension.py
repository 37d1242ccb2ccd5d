"""A version extended by tracks that came after its training."""

from dataclasses import replace
from typing import Any

import numpy as np
import scipy.sparse as sp

from engine.bundle.live_lists import LiveLists
from engine.bundle.model_bundle import ModelBundle, assemble_bundle
from engine.data.content_features import ContentFeatures
from engine.data.id_map import IdMap
from engine.data.plays import Plays
from engine.data.track_features import TrackFeatures
from engine.extension import FreshTracks, extend_bundle
from engine.models.base import FittedModel
from engine.pipeline import PERSONAL, POPULAR, SIMILAR, recommend
from engine.retrieval.candidates import Query
from engine.training import train
from tests.engine.factories import TWO_FACTORS, checkerboard, listener_history, make_config

RNG = np.random.default_rng(5)
TRACKS, LISTENERS, FACTORS = 40, 6, 4
FRESH_IDS = np.array([75, 150, 151])  # the first lies between the ids of the version


def make_bundle() -> ModelBundle:
    user_factors, item_factors = (RNG.normal(size=(n, FACTORS)).astype(np.float32) for n in (LISTENERS, TRACKS))
    return assemble_bundle(
        version="v1",
        items=IdMap.from_ids(np.r_[0:20, 100:120]),
        popularity=RNG.integers(1, 9, TRACKS).astype(np.float32),
        fitted_models=[FittedModel((user_factors, item_factors))],
        users=IdMap.from_ids(range(LISTENERS)),
    )


def make_fresh(track_ids: np.ndarray = FRESH_IDS) -> FreshTracks:
    return FreshTracks(track_ids, TrackFeatures.unknown(track_ids), ContentFeatures.empty(track_ids))


def test_fresh_tracks_have_the_last_rows_and_no_listeners() -> None:
    bundle = make_bundle()
    extended = extend_bundle(bundle, make_fresh(), Plays.empty())
    assert extended.items.ids.tolist() == [*bundle.items.ids, *FRESH_IDS]
    assert [extended.items.row(int(track_id)) for track_id in FRESH_IDS] == [40, 41, 42]
    assert extended.popularity[40:].tolist() == extended.item_norms[40:].tolist() == [0, 0, 0]
    assert extended.popular_rows.tolist() == [*bundle.popular_rows, 40, 41, 42]
    assert extended.features.recording.tolist() == extended.items.ids.tolist()
    assert extended.item_factors is bundle.item_factors
    assert extended.norm_sorted_items is bundle.norm_sorted_items
    assert len(bundle.items) == TRACKS  # the version has not changed


def test_without_fresh_tracks_the_version_stays_the_same_object() -> None:
    bundle = make_bundle()
    assert extend_bundle(bundle, make_fresh(np.zeros(0, np.int64)), Plays.empty()) is bundle


def test_what_is_learnt_ranks_as_before() -> None:
    bundle = make_bundle()
    extended = extend_bundle(bundle, make_fresh(), Plays.empty())
    histories = [
        listener_history([3, 105]),
        listener_history([3, 150, 105]),
    ]  # a play of a fresh track does not change factors
    for before, after in zip(histories[:1] * 2, histories, strict=True):
        one = recommend(bundle, Query(10, history=before), PERSONAL)
        other = recommend(extended, Query(10, history=after), PERSONAL)
        assert one.picks == other.picks
    for query, policy in ((Query(8, track_id=105), SIMILAR), (Query(8), POPULAR)):
        assert recommend(bundle, query, policy).picks == recommend(extended, query, policy).picks


def test_a_slate_of_everything_contains_the_fresh_tracks_unless_they_are_forbidden() -> None:
    extended = extend_bundle(make_bundle(), make_fresh(), Plays.empty())
    everything = recommend(extended, Query(100), POPULAR)
    assert {pick.track_id for pick in everything.picks} == set(extended.items.ids.tolist())
    without = recommend(extended, Query(100, forbidden=FRESH_IDS[:1], unavailable=FRESH_IDS[1:]), POPULAR)
    assert not {pick.track_id for pick in without.picks} & set(FRESH_IDS.tolist())


def test_plays_move_the_vectors_of_tracks_that_nobody_had_played() -> None:
    ids = np.unique(checkerboard().track)
    unplayed, fresh_id = int(ids[-1]) + 1, int(ids[-1]) + 2
    tags = np.r_[np.tile(np.eye(2), (len(ids) // 2, 1)), [[1, 0]]].astype(np.float32)  # even and odd; an even one
    dense = np.full((len(ids) + 1, 5), np.nan, np.float32)
    content = ContentFeatures(np.append(ids, unplayed), ("tag:1", "tag:2"), sp.csr_matrix(tags), dense)
    bundle = train(checkerboard(), content.track_ids, make_config(TWO_FACTORS), version="v", content=content).bundle
    fresh_ids = np.array([fresh_id])
    of_fresh = replace(content.of_tracks(np.array([unplayed])), track_ids=fresh_ids)
    fresh = FreshTracks(fresh_ids, TrackFeatures.unknown(fresh_ids), of_fresh)
    odd, stranger = bundle.users.ids[1::2].tolist(), 10**6
    rows = np.array([len(ids), len(ids) + 1])

    def odd_scores(*plays: tuple[int, int]) -> Any:
        new = Plays.from_rows([(user, track, 1, True, 1_800_000_000) for user, track in plays])
        extended = extend_bundle(bundle, fresh, new)
        assert extended.popularity[rows].tolist() == [0, 0]
        for found in (extended.cold_items.vectors, extended.content_vectors):  # shared with the version where unchanged
            assert set(found.rows.tolist()) >= set(rows.tolist())
            of_content = extended.content.vectors_of(found.rows)
            np.testing.assert_allclose(found.multiply(of_content[0]), of_content @ of_content[0], rtol=1e-5, atol=1e-7)
        return (bundle.user_factors[1::2] @ extended.vectors(rows).T).mean(axis=0)

    by_content = odd_scores()
    np.testing.assert_array_equal(odd_scores((stranger, fresh_id), (odd[0], int(ids[0]))), by_content)
    moved = [odd_scores(*[(user, track) for user in odd[:n] for track in (unplayed, fresh_id)]) for n in (1, 5, 10)]
    assert (np.diff(np.array([by_content, *moved]), axis=0) > 0).all()
    only_fresh = odd_scores(*[(user, fresh_id) for user in odd])
    assert only_fresh[0] == by_content[0]
    assert only_fresh[1] == moved[-1][1]


def test_live_lists_leave_out_tracks_that_the_version_does_not_know() -> None:
    extended = extend_bundle(make_bundle(), make_fresh(), Plays.empty())
    live = LiveLists.from_ids(extended.items, [150, 9_999, 3], [3.0, 2.0, 1.0])
    assert extended.items.ids[live.trending_rows].tolist() == [150, 3]
    assert live.trending_scores.tolist() == [3.0, 1.0]
