from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.bundle.files import read_bundle, write_bundle
from engine.bundle.model_bundle import ModelBundle
from engine.bundle.npz import DamagedFile
from engine.data.plays import Plays
from engine.models.sequences import SequenceFusion, SequentialRules
from engine.pipeline import NO_CAPS, PERSONAL, Policy, recommend
from engine.retrieval.candidates import Query
from engine.retrieval.session import explain_session, score_session, session
from engine.training import MIN_SESSIONS, TrainedVersion, train
from tests.engine.factories import TWO_FACTORS, listener_history, make_config, train_checkerboard
from tests.engine.models.sequence_contract import ITEMS, album_sessions

SESSIONS = Policy("sessions", {"session": 1.0}, may_repeat=False, caps=NO_CAPS)


def album_plays(count: int = 150) -> Plays:
    """Return the plays of `album_sessions` by listeners who come back each day; track 100 + row, a minute each."""
    sessions = album_sessions(count)
    number = sessions.session_of_play
    minute = np.arange(len(sessions.items)) - sessions.offsets[number]
    times = 1_700_000_000 + 86_400 * (number // 10) + 60 * minute
    listeners = 500 + number % 10
    tracks = 100 + sessions.items
    return Plays.from_rows(
        (int(user), int(track), 1, True, int(time)) for user, track, time in zip(listeners, tracks, times, strict=True)
    )


@pytest.fixture(scope="module")
def trained() -> TrainedVersion:
    return train(album_plays(), np.arange(100, 100 + ITEMS), make_config(TWO_FACTORS), version="v1")


@pytest.fixture(scope="module")
def bundle(trained: TrainedVersion) -> ModelBundle:
    return trained.bundle


def ids_of(bundle: ModelBundle, query: Query, k: int = 10) -> list[int]:
    with bundle.workspaces.borrow() as workspace:
        rows, scores = session(bundle, query, workspace, k)
        np.testing.assert_array_equal(scores, score_session(bundle, query, workspace, rows))
    assert (np.diff(scores) <= 0).all()
    ids: list[int] = bundle.items.ids[rows].tolist()
    return ids


def playing(*track_ids: int, limit: int = 5, **fields: object) -> Query:
    return Query(limit, session=np.array(track_ids, np.int64), **fields)  # type: ignore[arg-type]


def test_the_next_tracks_of_the_session_are_proposed(bundle: ModelBundle) -> None:
    assert next(i for i in ids_of(bundle, playing(107, 108)) if i > 108) == 109
    assert set(ids_of(bundle, playing(107, 108))) == {106, 107, 108, 109, 110, 111}
    assert ids_of(bundle, playing(107, 108), k=2) == ids_of(bundle, playing(107, 108))[:2]
    assert ids_of(bundle, playing(107, 99_999, 108)) == ids_of(bundle, playing(107, 108))


def test_forbidden_and_excluded_tracks_are_not_proposed(bundle: ModelBundle) -> None:
    query = playing(107, 108, exclude=np.array([107, 108]), forbidden=np.array([109]))
    ids = [pick.track_id for pick in recommend(bundle, query, SESSIONS).picks]
    assert set(ids) == {106, 110, 111}


def test_tracks_of_the_session_come_back_only_where_nothing_else_is_left(bundle: ModelBundle) -> None:
    again = Policy("again", {"session": 1.0}, caps=NO_CAPS)
    picks = recommend(bundle, playing(107, 108), again).picks
    assert {pick.track_id for pick in picks} == {106, 109, 110, 111}


def test_the_weight_of_the_session_changes_no_slate_without_one(bundle: ModelBundle) -> None:
    query = Query(10, history=listener_history([107, 108]), exclude=np.array([107, 108]))
    without = {name: weight for name, weight in PERSONAL.sources.items() if name != "session"}
    assert recommend(bundle, query, PERSONAL) == recommend(bundle, query, replace(PERSONAL, sources=without))
    first = recommend(bundle, replace(query, session=np.array([107, 108])), PERSONAL).picks[0]
    assert (first.track_id, first.source) == (109, "session")


def test_a_track_is_explained_by_those_of_the_session_that_lead_to_it(bundle: ModelBundle) -> None:
    reasons = explain_session(bundle, playing(100, 107, 108), [109, 103, 121])
    assert reasons.keys() == {109, 103}
    assert reasons[103] == [(100, 1.0)]
    assert {track_id for track_id, _ in reasons[109]} == {107, 108}
    assert sum(share for _, share in reasons[109]) == pytest.approx(1)


def test_there_are_no_candidates_without_a_session_or_a_model_of_sequences(bundle: ModelBundle) -> None:
    without_model = replace(bundle, sequence=None)
    for version, query in ((bundle, Query(5)), (bundle, playing(7)), (without_model, playing(107))):
        assert ids_of(version, query) == []
        with version.workspaces.borrow() as workspace:
            assert np.isnan(score_session(version, query, workspace, np.arange(3))).all()


def test_tracks_that_do_not_follow_have_no_score(bundle: ModelBundle) -> None:
    with bundle.workspaces.borrow() as workspace:
        scores = score_session(bundle, playing(107, 108), workspace, np.array([9, 0, ITEMS - 1, 10]))
    assert np.isnan(scores).tolist() == [False, True, True, False]


def test_training_says_what_the_model_of_sequences_was_learnt_from(trained: TrainedVersion) -> None:
    report = trained.manifest["sequence"]
    assert report == {
        "sessions": 150,
        "plays": len(album_plays()),
        "trainer": SequenceFusion().to_dict(),
        "skipped": None,
    }
    assert trained.judged is not None
    assert trained.judged.sequence is not None  # to be compared with that of the next version
    without = trained.without_sequence()
    assert without.bundle.sequence is without.judged.sequence is None


def test_too_few_sessions_are_skipped_with_a_reason() -> None:
    version = train_checkerboard()
    assert version.bundle.sequence is None
    assert version.manifest["sequence"]["trainer"] is None
    assert version.manifest["sequence"]["skipped"] == (
        f"needs {MIN_SESSIONS} sessions of at least two plays in a known order"
    )


def test_a_model_of_sequences_that_cannot_be_fitted_does_not_fail_the_training(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise KeyError("overflow")  # an error that nobody expects

    monkeypatch.setattr(SequenceFusion, "fit", fail)
    version = train(album_plays(), np.arange(100, 100 + ITEMS), make_config(TWO_FACTORS), version="v1")
    assert version.bundle.sequence is None
    assert version.manifest["sequence"]["skipped"] == "could not be fitted (KeyError: 'overflow')"
    assert "sequence model could not be fitted sessions=150" in caplog.text


def test_a_stored_version_proposes_the_same(bundle: ModelBundle, tmp_path: Path) -> None:
    (folder := tmp_path / "v1").mkdir()
    write_bundle(folder, bundle, {})
    assert ids_of(read_bundle(folder), playing(107, 108)) == ids_of(bundle, playing(107, 108))


def test_a_model_of_sequences_of_other_tracks_is_refused(bundle: ModelBundle, tmp_path: Path) -> None:
    (folder := tmp_path / "v1").mkdir()
    other = SequentialRules().fit(album_sessions(), ITEMS + 1, seed=1)
    write_bundle(folder, replace(bundle, sequence=other), {})
    with pytest.raises(DamagedFile, match=f"model of sequences has {ITEMS + 1} tracks"):
        read_bundle(folder)
