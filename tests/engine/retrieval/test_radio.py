"""Radio: near to its station, as its mode asks for, until there are no tracks left."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.bundle.model_bundle import ModelBundle, catalogue_bundle
from engine.models.ials import IALS
from engine.models.item_knn import ItemKNN
from engine.pipeline import RADIO, Caps, recommend
from engine.retrieval.candidates import Query
from engine.retrieval.radio import explain_radio
from engine.retrieval.station import EASY, HARD, MEDIUM, Seed, Station
from engine.training import train
from tests.engine.content_world import is_new, tag_features, tag_plays, track_ids, track_tags
from tests.engine.factories import make_config
from tests.engine.shaped_worlds import FIRST_ID, make_bundle, make_features

PER_TAG = 12
NO_CAPS = replace(RADIO, caps=Caps(per_artist=0, artist_gap=0))


def ids(*track_ids: int) -> NDArray[np.int64]:
    return np.array(track_ids, np.int64)


def station(*seeds: tuple[int, float], **options: object) -> Station:
    return Station(tuple(Seed(ids(track), weight) for track, weight in seeds), **options)  # type: ignore[arg-type]


def play(
    bundle: ModelBundle, station: Station, limit: int, *, seed: int = 1, **leave_out: NDArray[np.int64]
) -> list[int]:
    ranking = recommend(bundle, Query(limit, seed=seed, station=station, **leave_out), NO_CAPS)  # type: ignore[arg-type]
    return [pick.track_id for pick in ranking.picks]


@pytest.fixture(scope="module")
def versions() -> dict[str, ModelBundle]:
    """Return versions of every kind of plays where listeners like one of four tags; tracks 500 to 511 are of tag 0."""
    with_content = {
        name: train(tag_plays(), track_ids(), make_config(trainer), version="v1", content=tag_features()).bundle
        for name, trainer in (("factors", IALS(factors=4, iterations=6)), ("neighbours", ItemKNN()))
    }
    neighbours_only = replace(with_content["neighbours"], auxiliary=None, content=None)
    artists = make_features(track_tags())
    without_model = catalogue_bundle(track_ids(), {500 + n: 9.0 - n % 9 for n in range(0, 48, 2)}, artists)
    return with_content | {"only neighbours": neighbours_only, "no model": without_model}


@pytest.mark.parametrize("name", ["factors", "neighbours", "only neighbours", "no model"])
def test_plays_tracks_like_its_seed_first_and_then_all_others_once(versions: dict[str, ModelBundle], name: str) -> None:
    bundle = versions[name]
    tracks = play(bundle, station((513, 1.0)), 100)
    assert sorted(tracks) == track_ids().tolist()
    own = PER_TAG - (3 if name == "only neighbours" else 0)  # it knows nothing of tracks that nobody has played
    assert {int(track_tags()[track - 500]) for track in tracks[: own - 1]} == {1}
    assert play(bundle, station((513, 1.0)), 100) == tracks
    assert play(bundle, station((513, 1.0)), 6, seed=2) != tracks[:6]


@pytest.mark.parametrize("name", ["factors", "neighbours", "only neighbours", "no model"])
def test_never_plays_tracks_that_are_left_out(versions: dict[str, ModelBundle], name: str) -> None:
    tracks = play(versions[name], station((500, 1.0)), 100, forbidden=ids(500, 502), unavailable=ids(504, 530))
    assert sorted(tracks) == sorted(set(track_ids().tolist()) - {500, 502, 504, 530})


@pytest.mark.parametrize("name", ["factors", "neighbours", "no model"])
def test_weights_decide_between_seeds_and_negative_ones_push_away(versions: dict[str, ModelBundle], name: str) -> None:
    def tags(*seeds: tuple[int, float]) -> list[int]:
        tracks = play(versions[name], station(*seeds), 48)
        return [int(track_tags()[track - 500]) for track in tracks]

    both = tags((500, 3.0), (513, 1.0))
    assert both[:8].count(0) > both[:8].count(1)
    assert set(both[:20]) == {0, 1}
    assert 1 not in tags((500, 1.0), (512, -1.0), (513, -1.0))[:36]


def test_a_version_that_learns_of_no_seed_plays_by_popularity(versions: dict[str, ModelBundle]) -> None:
    bundle = versions["no model"]
    tracks = play(bundle, station((9, 1.0)), 5)
    assert tracks == bundle.items.ids[bundle.popular_rows[:5]].tolist()


def circle(n: int = 360) -> ModelBundle:
    """Return a version whose track with the row d has a vector in direction d degrees; even ones are popular."""
    angles = np.radians(np.arange(n))
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    popularity = np.where(np.arange(n) % 2, 1 + np.arange(n) % 7, 1000 + np.arange(n))
    return make_bundle(np.zeros(n), make_features(np.arange(n)), popularity=popularity, vectors=vectors)


def degrees(tracks: list[int]) -> NDArray[np.float64]:
    """Return the distance of tracks of the circle to 0 degrees."""
    turned = np.array(tracks) - FIRST_ID
    return np.minimum(turned, 360 - turned).astype(float)


def test_modes_go_from_close_and_popular_to_far_and_obscure() -> None:
    bundle = circle()
    played = {mode: play(bundle, station((FIRST_ID, 1.0), mode=mode), 20) for mode in (EASY, MEDIUM, HARD)}
    distance = {mode: float(degrees(tracks).mean()) for mode, tracks in played.items()}
    popular = {mode: np.mean(np.array(tracks) % 2 == 0) for mode, tracks in played.items()}
    assert distance[EASY] < distance[MEDIUM] < distance[HARD] < 45
    assert popular[EASY] > popular[MEDIUM] > popular[HARD]


def test_without_drift_it_stays_at_its_seeds_and_with_it_follows_what_is_played() -> None:
    bundle, elsewhere = circle(), ids(FIRST_ID + 90, FIRST_ID + 91)
    mean = [
        degrees(play(bundle, station((FIRST_ID, 1.0), drift=drift, played=elsewhere), 10)).mean()
        for drift in (0.0, 0.5, 1.0)
    ]
    assert mean[0] < 10 < mean[1] < 70 < mean[2]


def test_skips_push_away_and_likes_pull() -> None:
    bundle, at_20, at_340 = circle(), ids(FIRST_ID + 20), ids(FIRST_ID + 340)

    def direction(**reactions: NDArray[np.int64]) -> float:
        tracks = np.array(play(bundle, station((FIRST_ID, 1.0), **reactions), 10)) - FIRST_ID
        return float(np.where(tracks > 180, tracks - 360, tracks).mean())

    neutral = direction()
    assert direction(skipped=at_20) < neutral - 3
    assert direction(liked=at_20) > neutral + 1
    assert direction(skipped=np.concatenate([at_20, at_20 + 1])) < direction(skipped=at_20)
    assert abs(direction(liked=np.concatenate([at_20, at_340])) - neutral) < direction(liked=at_20) - neutral


def test_the_parts_of_a_station_have_the_documented_strengths() -> None:
    seeds = (Seed(ids(1), 3.0), Seed(ids(2, 3), 1.0, np.array([3.0, 1.0])), Seed(ids(4), -2.0), Seed(ids(), 5.0))
    reactions = Station(seeds, drift=0.25, liked=ids(5), played=ids(6), skipped=ids(7, 8))
    assert [(p.track_ids.tolist(), p.shares.round(3).tolist(), round(p.strength, 4)) for p in reactions.parts()] == [
        ([1], [1], 0.5625),
        ([2, 3], [0.75, 0.25], 0.1875),
        ([4], [1], -0.5),
        ([5, 6], [0.667, 0.333], 0.25),
        ([5], [1], 0.15),
        ([7, 8], [0.556, 0.444], -0.3214),
    ]
    assert [part.strength for part in Station(seeds, drift=0.25).parts()] == [0.75, 0.25, -0.5]
    assert Station(()).parts() == []


def test_with_the_tracks_of_its_seeds_only_it_ends_with_them(versions: dict[str, ModelBundle]) -> None:
    only = Station((Seed(ids(500, 513, 530), 1.0),), only_seeds=True)
    for bundle in versions.values():
        ranking = recommend(bundle, Query(10, station=only), replace(NO_CAPS, fill=()))
        assert sorted(pick.track_id for pick in ranking.picks) == [500, 513, 530]


def test_a_reason_is_the_nearest_track_of_the_part_that_contributes_most() -> None:
    bundle = circle()
    seeds = (Seed(ids(FIRST_ID, FIRST_ID + 30), 2.0), Seed(ids(FIRST_ID + 90), 1.0), Seed(ids(FIRST_ID + 180), -1.0))
    reasons = explain_radio(bundle, Station(seeds), ids(FIRST_ID + 28, FIRST_ID + 89, FIRST_ID + 200, 7))
    assert {track: reason.track_id for track, reason in reasons.items()} == {
        FIRST_ID + 28: FIRST_ID + 30,
        FIRST_ID + 89: FIRST_ID + 90,
    }
    assert reasons[FIRST_ID + 28].share == pytest.approx(0.8, abs=0.06)
    assert explain_radio(bundle, Station(()), ids(FIRST_ID)) == {}


def test_nothing_is_proposed_without_a_station(versions: dict[str, ModelBundle]) -> None:
    for bundle in versions.values():
        assert recommend(bundle, Query(5), replace(RADIO, fill=())).picks == []


def test_new_tracks_are_played_by_their_content(versions: dict[str, ModelBundle]) -> None:
    new = set(track_ids()[is_new() & (track_tags() == 2)].tolist())
    for name in ("factors", "neighbours"):
        assert new <= set(play(versions[name], station((525, 1.0)), PER_TAG))
