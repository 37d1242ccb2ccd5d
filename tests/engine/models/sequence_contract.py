"""The contract of a family of sequence models: a test class inherits it and gives a trainer."""

import time
from dataclasses import FrozenInstanceError, fields
from functools import cache
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.data.sessions import Sessions
from engine.models.sequences import sequence_from_arrays
from engine.models.sequences.base import MAX_PREFIX, SequenceModel, SequenceTrainer
from engine.models.sequences.registry import SEQUENCE_FAMILIES

ALBUM, ALBUMS = 6, 5
ITEMS = ALBUM * ALBUMS + 1  # the last one has never been played


def make_sessions(*plays: list[int]) -> Sessions:
    """Return sessions of these rows, which end one hour after the other."""
    items = np.array([row for session in plays for row in session], np.int32)
    offsets = np.concatenate([[0], np.cumsum([len(session) for session in plays])]).astype(np.int64)
    ended_at = 1_700_000_000 + 3_600 * np.arange(len(plays))
    return Sessions(items, offsets, ended_at, np.full(len(plays), -1, np.int64))


def album_sessions(count: int = 150) -> Sessions:
    """Return sessions that play an album, rows 6a to 6a + 5, from some track on to its end, one track in five twice."""
    random = np.random.default_rng(5)
    sessions = []
    for _ in range(count):
        album, first = random.integers(ALBUMS), random.integers(ALBUM - 2)
        tracks = ALBUM * album + np.arange(first, ALBUM)
        sessions.append(np.repeat(tracks, 1 + (random.random(len(tracks)) < 0.2)).tolist())
    return make_sessions(*sessions)


@cache
def fit_albums(trainer: SequenceTrainer) -> SequenceModel:
    return trainer.fit(album_sessions(), ITEMS, seed=1)


def rows(*values: int) -> NDArray[np.int32]:
    return np.array(values, np.int32)


class SequenceContract:
    """The contract of every family.

    Attributes:
        trainer: one that learns the order of `album_sessions`.
        invalid: fields and values that the family rejects.
        repeats_only: whether it proposes nothing but the tracks of the session itself.
    """

    trainer: ClassVar[SequenceTrainer]
    invalid: ClassVar[list[tuple[str, Any]]] = []
    repeats_only: ClassVar[bool] = False

    @pytest.fixture
    def model(self) -> SequenceModel:
        return fit_albums(self.trainer)

    def test_its_hyperparameters_are_immutable_and_can_be_stored(self) -> None:
        family = type(self.trainer)
        assert SEQUENCE_FAMILIES[family.family] is family
        description = self.trainer.to_dict()
        assert description.pop("family") == family.family
        assert family.from_dict(description) == self.trainer
        assert hash(family()) == hash(family())
        for field in fields(self.trainer):
            with pytest.raises(FrozenInstanceError):
                setattr(self.trainer, field.name, 1)

    def test_it_names_a_hyperparameter_that_is_out_of_range(self) -> None:
        family = type(self.trainer)
        for name, value in self.invalid:
            with pytest.raises(ValueError, match=rf"{family.family}: {name} must"):
                family(**{name: value})

    def test_it_expects_the_next_track_of_the_album(self, model: SequenceModel) -> None:
        scored, scores = model.score(rows(7, 8))
        assert set(scored.tolist()) <= set(range(6, 12))
        new = scores[~np.isin(scored, [7, 8])]
        assert not len(new) if self.repeats_only else scored[~np.isin(scored, [7, 8])][new.argmax()] == 9

    def test_scores_are_positive_and_rows_ascend(self, model: SequenceModel) -> None:
        for prefix in (rows(0), rows(0, 1), rows(3, 3, 3), rows(0, 6, 12, 18)):
            scored, scores = model.score(prefix)
            assert (scored.dtype, scores.dtype) == (np.int64, np.float32)
            assert len(scored) == len(scores) > 0
            assert (np.diff(scored) > 0).all()
            assert 0 <= scored[0] <= scored[-1] < ITEMS
            assert np.isfinite(scores).all()
            assert (scores > 0).all()

    def test_the_same_seed_gives_the_same_model_and_nothing_is_changed(self, model: SequenceModel) -> None:
        sessions, untouched = album_sessions(), album_sessions()
        again = self.trainer.fit(sessions, ITEMS, seed=1)
        assert_same_arrays(model, again)
        for field in fields(Sessions):
            np.testing.assert_array_equal(getattr(sessions, field.name), getattr(untouched, field.name))
        prefix = rows(7, 8, 7)
        first, second = model.score(prefix), again.score(prefix)
        np.testing.assert_array_equal(prefix, rows(7, 8, 7))
        for a, b in zip(first, second, strict=True):
            np.testing.assert_array_equal(a, b)

    def test_nothing_follows_from_nothing(self, model: SequenceModel) -> None:
        for prefix in (rows(), rows(-1), rows(ITEMS, ITEMS + 7)):
            scored, scores = model.score(prefix)
            assert (len(scored), len(scores)) == (0, 0)

    def test_unknown_tracks_are_skipped_over(self, model: SequenceModel) -> None:
        for prefix in (rows(7, -1, 8), rows(7, 8, ITEMS), rows(99, 7, 8)):
            for value, expected in zip(model.score(prefix), model.score(rows(7, 8)), strict=True):
                np.testing.assert_array_equal(value, expected)

    def test_a_track_that_nobody_played_is_only_ever_repeated(self, model: SequenceModel) -> None:
        scored, _ = model.score(rows(ITEMS - 1))
        assert set(scored.tolist()) <= {ITEMS - 1}

    def test_only_the_latest_tracks_count(self, model: SequenceModel) -> None:
        latest = [7, 8] * (MAX_PREFIX // 2)
        for value, expected in zip(model.score(rows(0, 12, *latest)), model.score(rows(*latest)), strict=True):
            np.testing.assert_array_equal(value, expected)

    def test_it_scores_the_same_after_being_stored(self, model: SequenceModel) -> None:
        stored = {name: np.array(array) for name, array in model.to_arrays().items()}
        restored = sequence_from_arrays(stored)
        assert (restored.trainer, restored.items) == (self.trainer, ITEMS)
        assert_same_arrays(model, restored)
        for value, expected in zip(restored.score(rows(7, 8)), model.score(rows(7, 8)), strict=True):
            np.testing.assert_array_equal(value, expected)

    @pytest.mark.parametrize(
        "sessions", [Sessions.empty(), make_sessions([3]), make_sessions([3, 3]), make_sessions([0, 1])]
    )
    def test_it_can_be_fitted_on_few_sessions(self, sessions: Sessions) -> None:
        model = self.trainer.fit(sessions, 4, seed=1)
        for prefix in (rows(), rows(0), rows(3, 0)):
            assert np.isfinite(model.score(prefix)[1]).all()

    def test_a_long_session_is_scored_quickly(self, model: SequenceModel) -> None:
        prefix = rows(*range(ITEMS), *range(ITEMS))
        started = time.perf_counter()
        for _ in range(20):
            model.score(prefix)
        assert time.perf_counter() - started < 20 * 0.05


def assert_same_arrays(first: SequenceModel, second: SequenceModel) -> None:
    stored, again = first.to_arrays(), second.to_arrays()
    assert stored.keys() == again.keys()
    for name, array in stored.items():
        assert array.dtype == again[name].dtype
        np.testing.assert_array_equal(array, again[name])
