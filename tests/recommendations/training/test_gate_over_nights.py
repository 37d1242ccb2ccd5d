"""Sixty nights of a small, growing installation whose configuration never changes."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from engine.data.id_map import IdMap
from engine.data.plays import Plays
from engine.ensemble import ComponentConfig, EnsembleConfig
from engine.evaluation.questions import question_report
from engine.models.base import FitCallbacks, FittedModel
from engine.models.ials import IALS
from engine.training import TrainingConfig, evaluate_on_holdout
from recommendations.training.quality_gate import rejection_reason

pytestmark = pytest.mark.one_stack
DAY = 86_400
NIGHTS, TRACKS, TASTES = 60, 200, 5
CONFIG = TrainingConfig(EnsembleConfig((ComponentConfig(IALS(factors=8)),)), threads=1)


def plays_of_a_day(rng: np.random.Generator, listeners: int, day: int) -> Iterator[tuple[int, int, int, bool, int]]:
    """Yield plays of listeners who each prefer a fifth of the catalogue; a third of them play most."""
    popularity = 1 / np.arange(1, TRACKS + 1) ** 0.7
    for listener in range(listeners):
        weights = popularity * np.where(np.arange(TRACKS) % TASTES == listener % TASTES, 12, 1)
        plays = rng.poisson(1.5 if listener % 3 else 7.5)
        for track in rng.choice(TRACKS, plays, p=weights / weights.sum()):
            yield listener, int(track), 1, bool(rng.random() < 0.7), day * DAY + int(rng.integers(DAY))


def judge(rows: list[Any]) -> dict[str, Any]:
    """Return the part of the manifest that the gate reads, of a version trained on these plays."""
    plays = Plays.from_rows(rows)
    return {"algorithm": "ials", "report": evaluate_on_holdout(plays, IdMap.from_ids(np.arange(TRACKS)), CONFIG)}


@pytest.mark.slow
@pytest.mark.parametrize(("listeners", "new_listeners_a_night", "seed"), [(10, 0.5, 2), (20, 1.0, 1), (60, 1.0, 2)])
def test_a_growing_installation_is_hardly_ever_held_back_and_a_broken_model_always(
    listeners: int, new_listeners_a_night: float, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng, rows = np.random.default_rng(seed), []
    serving, held_back, last_with_evidence = None, [], 0
    for night in range(NIGHTS):
        rows += plays_of_a_day(rng, listeners + int(new_listeners_a_night * night), night)
        candidate = judge(rows)
        if reason := rejection_reason(candidate, serving, margin=0.1):
            held_back.append(reason)
        else:
            serving = candidate
        last_with_evidence = question_report(candidate["report"])["listeners"]
    assert len(held_back) <= 2, held_back

    def fit_noise(
        self: IALS, matrix: Any, *, seed: int, threads: int = 0, callbacks: FitCallbacks | None = None
    ) -> FittedModel:
        noise = np.random.default_rng(seed)
        users, items = (noise.normal(size=(n, 8)).astype(np.float32) for n in matrix.shape)
        return FittedModel((users, items))

    monkeypatch.setattr(IALS, "fit", fit_noise)
    is_held_back = rejection_reason(judge(rows), serving, margin=0.1) != ""
    assert is_held_back == (last_with_evidence >= 50)
