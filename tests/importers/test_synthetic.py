"""The synthetic world is repeatable and coherent, and a model can learn from it."""

from collections import Counter

import pytest

from engine.data.plays import Plays
from engine.evaluation.questions import question_report
from engine.models.als import ALS
from engine.training import train
from importers import IMPORTERS, PlayRecord, TrackRecord, synthetic
from importers.synthetic import SyntheticWorld
from tests.engine.factories import make_config

AS_OF = 1_700_000_000
SMALL = SyntheticWorld(artists=40, tracks=400, listeners=60, plays=6_000)


def generate(world=SMALL, namespace="synthetic", on_bytes=lambda n: None):
    return list(synthetic.read([], namespace=namespace, as_of=AS_OF, on_bytes=on_bytes, world=world))


@pytest.fixture(scope="module")
def records():
    return generate()


def plays_in(records, kind="play"):
    return [r for r in records if isinstance(r, PlayRecord) and r.kind == kind]


def tracks_in(records):
    return [r for r in records if isinstance(r, TrackRecord)]


def test_a_world_is_determined_by_its_seed(records):
    assert generate() == records
    assert generate(SyntheticWorld(artists=40, tracks=400, listeners=60, plays=6_000, seed=1)) != records


def test_a_world_has_the_requested_size(records):
    assert len(tracks_in(records)) == 400
    assert len({t.artist for t in tracks_in(records)}) == len({t.artist_id for t in tracks_in(records)}) == 40
    assert len(plays_in(records)) == 6_000
    assert len({p.event_id for p in records[400:]}) == len(records) - 400


def test_every_id_says_that_it_is_synthetic(records):
    ids = {t.external_id for t in tracks_in(records)} | {p.user for p in plays_in(records)}
    assert all(i.startswith("synthetic:") for i in ids)
    assert records[0].external_id == "synthetic:track-00001"
    assert {r.file for r in records} == {"synthetic"}


def test_titles_are_unique_within_an_artist_and_every_track_has_audio_features(records):
    tracks = tracks_in(records)
    assert len({(t.artist_id, t.title) for t in tracks}) == len(tracks)
    assert all(t.tempo and 20 <= t.tempo <= 400 and t.duration_ms and t.year and t.album_id for t in tracks)
    assert all({tag.kind for tag in t.tags} == {"genre", "mood"} for t in tracks)
    assert {t.isrc for t in tracks} == {None}


def test_milestones_and_completion_agree_with_the_time_played(records):
    durations = {t.external_id: t.duration_ms for t in tracks_in(records)}
    for play in plays_in(records):
        heard = 100 * play.ms_played // durations[play.track]
        assert play.milestone <= heard < play.milestone + 25 or play.milestone == heard == 100
        assert play.is_completed == (play.ms_played == durations[play.track]) == (play.milestone == 100)
    assert 0.05 < sum(p.ms_played < 30_000 for p in plays_in(records)) / 6_000 < 0.3


def test_listeners_like_only_tracks_that_they_completed_and_only_once(records):
    likes = Counter((p.user, p.track) for p in plays_in(records, "like"))
    assert likes
    assert set(likes.values()) == {1}
    assert likes.keys() <= {(p.user, p.track) for p in plays_in(records) if p.is_completed}


def test_plays_of_a_listener_are_in_order_and_within_the_days_before_as_of(records):
    assert all(AS_OF - 91 * 86_400 < p.time <= AS_OF for p in records[400:])
    latest = {}
    for play in plays_in(records):
        assert latest.get(play.user, 0) < play.time
        latest[play.user] = play.time


def test_the_default_world_is_full_sized_and_its_progress_counts_plays():
    consumed = []
    records = IMPORTERS["synthetic"].read([], namespace="synthetic", as_of=AS_OF, on_bytes=consumed.append)
    kinds = Counter(r.kind if isinstance(r, PlayRecord) else "track" for r in records)
    assert (kinds["track"], kinds["play"]) == (3_000, 120_000)
    assert sum(consumed) == IMPORTERS["synthetic"].total_bytes([]) == 120_000


def test_a_model_trained_on_it_beats_popularity(records):
    numbers = {t.external_id: n for n, t in enumerate(tracks_in(records), 1)}
    users = {name: n for n, name in enumerate(sorted({p.user for p in plays_in(records)}), 1)}
    rows = [(users[p.user], numbers[p.track], 1.0, p.milestone >= 75, p.time) for p in plays_in(records)]
    trained = train(Plays.from_rows(rows), list(numbers.values()), make_config(ALS(factors=16)), version="x")
    report = trained.manifest["report"]
    assert report["split"] == "time"
    models = question_report(report)["models"]
    model, popular = (models[name]["metrics"]["ndcg@10"]["mean"] for name in ("model", "most_popular"))
    assert model > 1.5 * popular


@pytest.mark.parametrize("arguments", [{"artists": 0}, {"tracks": 299}, {"listeners": 0}, {"plays": 0}, {"days": 0}])
def test_an_impossible_size_is_refused(arguments):
    with pytest.raises(ValueError, match="a world needs"):
        SyntheticWorld(**arguments)
