"""The mixes of a listener, for random plays of taste groups."""

from dataclasses import replace

import numpy as np
import pytest

from engine.bundle.model_bundle import ModelBundle, catalogue_bundle
from engine.data.plays import Plays
from engine.data.track_features import TrackFeatures
from engine.data.user_item_pairs import UserItemPairs
from engine.listener_query import ListenerState, plan_query
from engine.mixes import (
    BECAUSE_YOU_LOVE,
    DAILY_MIX,
    DISCOVERY,
    MIN_TRACKS,
    NEW_RELEASES,
    ON_REPEAT,
    REDISCOVER,
    Mix,
    build_mixes,
    cluster_directions,
)
from engine.models.ials import IALS
from engine.models.item_knn import ItemKNN
from engine.training import train
from tests.engine.factories import make_config
from tests.engine.taste_groups import DAY, N_TRACKS, taste_group_plays

NOW = 200 * DAY
TODAY = NOW // DAY


@pytest.fixture(scope="module", params=[IALS(factors=8, iterations=5), ItemKNN()], ids=["factors", "neighbours"])
def bundle(request: pytest.FixtureRequest) -> ModelBundle:
    """Return a version where artist n has the tracks 5n to 5n + 4, and a tenth of the tracks is new."""
    plays = taste_group_plays()
    ids = np.arange(N_TRACKS)
    features = TrackFeatures(
        artist=ids // 5,
        album=ids // 5,
        recording=ids - (ids % 40 == 1),  # tracks 1, 41, … are the same recordings as those before them
        released=np.where(ids % 10 == 4, TODAY - 5, 10).astype(np.int32),
        added=np.zeros(N_TRACKS, np.int64),
    )
    return train(plays, ids, make_config(request.param), version="v1", features=features).bundle


def history(listener: int) -> UserItemPairs:
    """Return the plays of a listener: every second track lately, the others long ago; several of each."""
    rng = np.random.default_rng(listener)
    tracks = np.flatnonzero((np.arange(N_TRACKS) % 5 < 2) & (rng.random(N_TRACKS) < 0.9))
    days = np.where(np.arange(len(tracks)) % 2, TODAY - 3, TODAY - 100)
    return UserItemPairs.from_listener(
        Plays.from_rows((0, track, 4, True, day * DAY) for track, day in zip(tracks, days, strict=True))
    )


def mixes_of(bundle: ModelBundle, listener: int, day: int = TODAY, **state: object) -> list[Mix]:
    pairs = history(listener)
    about = replace(ListenerState(listener, pairs, 4 * len(pairs), NOW), **state)  # type: ignore[arg-type]
    return build_mixes(bundle, *plan_query(bundle, about, limit=1, now=NOW), day)


def ids_of(mix: Mix) -> set[int]:
    return {pick.track_id for pick in mix.picks}


def test_mixes_share_no_recording_and_none_is_short(bundle: ModelBundle) -> None:
    for listener in range(5):
        mixes = mixes_of(bundle, listener)
        recordings = [bundle.features.recording[pick.track_id] for mix in mixes for pick in mix.picks]
        assert len(recordings) == len(set(recordings))
        assert all(len(mix.picks) >= MIN_TRACKS for mix in mixes)
        assert {(mix.kind, mix.number) for mix in mixes} >= {
            *((kind, 1) for kind in (ON_REPEAT, REDISCOVER, NEW_RELEASES, DAILY_MIX, DISCOVERY, BECAUSE_YOU_LOVE))
        }


def test_each_kind_of_mix_holds_what_it_is_for(bundle: ModelBundle) -> None:
    pairs = history(1)
    known, is_recent = set(pairs.track.tolist()), pairs.newest > NOW - 30 * DAY
    own_artists = {track // 5 for track in known}
    for mix in mixes_of(bundle, 1):
        match mix.kind:
            case "on_repeat":
                assert ids_of(mix) <= set(pairs.track[is_recent].tolist())
            case "rediscover":
                assert ids_of(mix) <= set(pairs.track[~is_recent].tolist())
            case "new_releases":
                assert all(track % 10 == 4 for track in ids_of(mix))
                assert not ids_of(mix) & known
                is_own = [pick.track_id // 5 in own_artists for pick in mix.picks]
                assert is_own == sorted(is_own, reverse=True)
            case "daily_mix":
                assert all(pick.track_id in known or pick.source == "personal" for pick in mix.picks)
                assert mix.number > 1 or ids_of(mix) & known
                assert set(mix.seeds.tolist()) <= known
            case "because_you_love":
                assert mix.artist in own_artists
                assert {track // 5 for track in mix.seeds.tolist()} == {mix.artist}
                assert not ids_of(mix) & known
            case "discovery":
                assert not ids_of(mix) & known


def test_mixes_depend_on_the_day_and_on_nothing_else(bundle: ModelBundle) -> None:
    first, again = mixes_of(bundle, 2), mixes_of(bundle, 2)
    assert [(mix.kind, mix.number, mix.picks, mix.artist) for mix in first] == [
        (mix.kind, mix.number, mix.picks, mix.artist) for mix in again
    ]
    days = [mixes_of(bundle, 2, day) for day in range(TODAY, TODAY + 6)]
    discoveries = {
        tuple(pick.track_id for pick in mix.picks) for mixes in days for mix in mixes if mix.kind == DISCOVERY
    }
    artists = {mix.artist for mixes in days for mix in mixes if mix.kind == BECAUSE_YOU_LOVE}
    assert len(discoveries) > 1
    assert len(artists) > 2


def test_forbidden_and_unavailable_tracks_are_in_no_mix(bundle: ModelBundle) -> None:
    pairs = history(3)
    forbidden, unavailable = np.arange(0, N_TRACKS, 3), np.arange(1, N_TRACKS, 7)
    offered = {i for mix in mixes_of(bundle, 3, forbidden=forbidden, unavailable=unavailable) for i in ids_of(mix)}
    assert offered
    assert not offered & {*forbidden.tolist(), *unavailable.tolist()}
    assert offered & set(pairs.track.tolist())


def test_a_listener_without_history_has_no_mixes_and_without_a_model_those_of_their_own_tracks() -> None:
    empty = ListenerState(1)
    no_model = catalogue_bundle(np.arange(N_TRACKS), dict.fromkeys(range(N_TRACKS), 5.0))
    assert build_mixes(no_model, *plan_query(no_model, empty, limit=1, now=NOW), TODAY) == []
    assert [mix.kind for mix in mixes_of(no_model, 1)] == [ON_REPEAT, REDISCOVER]
    nothing = catalogue_bundle([])
    assert mixes_of(nothing, 1) == []


@pytest.mark.parametrize("k", [1, 2, 3])
def test_clusters_are_the_directions_of_the_vectors(k: int) -> None:
    rng = np.random.default_rng(1)
    group = np.arange(60) % k
    vectors = (10 * np.eye(3)[group] + rng.normal(size=(60, 3))) * rng.uniform(0.1, 5, (60, 1))
    label = cluster_directions(vectors.astype(np.float32), rng.uniform(0, 2, 60), k, seed=7)
    pairs = {(g, c) for g, c in zip(group.tolist(), label.tolist(), strict=True)}
    assert len(pairs) == k
    assert len({cluster for _, cluster in pairs}) == k


def test_equal_vectors_can_be_clustered() -> None:
    assert set(cluster_directions(np.ones((5, 2), np.float32), np.zeros(5), 3, seed=1).tolist()) <= {0, 1, 2}
