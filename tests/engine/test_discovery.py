"""Artists for a listener, by the tracks that would be recommended to them."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.data.track_features import UNKNOWN_ID
from engine.discovery import TrackGroup, find_known_artists, gather_relevant, rank_groups
from engine.pipeline import PERSONAL, Pick
from engine.retrieval.candidates import Query
from tests.engine.factories import listener_history
from tests.engine.shaped_worlds import FIRST_ID, LISTENER_ROW, make_bundle, make_features

ARTISTS = [1, 1, 1, 2, 2, 3, UNKNOWN_ID]
SCORES = [0.2, 0.9, 0.1, 0.8, 0.7, 1.0, 0.6]


def track(number: int) -> int:
    return FIRST_ID + number


def query(**options: object) -> Query:
    return Query(5, user_row=LISTENER_ROW, **options)  # type: ignore[arg-type]


def test_tracks_are_ordered_by_relevance_alone_and_by_those_that_fill_below() -> None:
    bundle = make_bundle([*SCORES, 0.5], make_features([*ARTISTS, 4]), popularity=[1] * 7 + [0])
    relevant = gather_relevant(bundle, query(), PERSONAL)
    assert relevant.track_ids.tolist() == [track(n) for n in (5, 1, 3, 4, 6, 0, 2, 7)]
    assert relevant.artist.tolist() == [3, 1, 2, 2, UNKNOWN_ID, 1, 1, 4]
    np.testing.assert_allclose(relevant.relevance, [1, 8 / 9, 7 / 9, 6 / 9, 5 / 9, 1 / 9, 0, 0], atol=1e-6)
    assert relevant.pick(0) == Pick(track(5), 1.0, "personal", ("personal", "popular"))
    assert relevant.pick(7) == Pick(track(7), 1.0, "random", ("random",))


def test_forbidden_unavailable_and_known_tracks_and_artists_are_left_out() -> None:
    bundle = make_bundle(SCORES, make_features(ARTISTS))
    left_out = query(
        forbidden=np.array([track(5)]),
        unavailable=np.array([track(6)]),
        exclude=np.array([track(3)]),
        gone=np.array([]),
    )
    relevant = gather_relevant(bundle, left_out, PERSONAL, np.array([1]))
    assert relevant.track_ids.tolist() == [track(4)]
    history = listener_history([track(0), track(6), 12345], disliked=[track(3)])
    assert find_known_artists(bundle, history).tolist() == [1, 2]


def test_a_recording_that_is_forbidden_is_forbidden_on_all_its_releases() -> None:
    features = make_features(ARTISTS)
    features = replace(features, recording=np.where(features.artist == 1, track(0), features.recording))
    relevant = gather_relevant(make_bundle(SCORES, features), query(forbidden=np.array([track(1)])), PERSONAL)
    assert 1 not in relevant.artist


def test_a_group_is_ranked_by_the_mean_of_its_best_tracks_where_missing_ones_count_as_0() -> None:
    relevance = np.array([1.0, 0.9, 0.9, 0.6, 0.5, 0.0])
    group, tracks = np.array([7, 7, 8, 8, 8, 9, 10]), np.array([4, 0, 1, 2, 3, 0, 5])
    ranked = rank_groups(group, tracks, relevance, 2, 10)
    assert ranked == [
        TrackGroup(8, pytest.approx(0.9), (1, 2)),
        TrackGroup(7, 0.75, (0, 4)),
        TrackGroup(9, 0.5, (0,)),
        TrackGroup(10, 0.0, (5,)),
    ]
    assert rank_groups(group, tracks, relevance, 2, 3) == ranked[:3]
    assert rank_groups(group[:0], tracks[:0], relevance, 2, 3) == []


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 9)), unique=True), st.integers(1, 4), st.integers(0, 6))
def test_groups_are_ranked_as_by_a_loop(pairs: list[tuple[int, int]], best: int, limit: int) -> None:
    relevance = np.linspace(1, 0, 10)
    tracks_of = {g: sorted(t for group, t in pairs if group == g)[:best] for g in {group for group, _ in pairs}}
    scores = {g: sum(relevance[t] for t in tracks) / best for g, tracks in tracks_of.items()}
    expected = sorted(scores, key=lambda g: (-round(scores[g], 9), tracks_of[g][0], g))[:limit]
    columns = np.array(pairs, np.int64).reshape(-1, 2)
    ranked = rank_groups(columns[:, 0], columns[:, 1], relevance, best, limit)
    assert [round(group.score, 9) for group in ranked] == [round(scores[g], 9) for g in expected]
    assert all(group.tracks == tuple(tracks_of[group.id]) for group in ranked)
