"""Sixty nights of a small, growing installation whose configuration never changes."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from engine.bundle.model_bundle import ModelBundle
from engine.data.plays import Plays
from engine.ensemble import ComponentConfig, EnsembleConfig
from engine.evaluation import bundles
from engine.models.base import NO_CALLBACKS, FitCallbacks, FittedModel
from engine.models.ials import IALS
from engine.models.popularity import Popularity
from engine.training import TrainingConfig, train
from recommendations.training.quality_gate import Decision, Difference, decide, earlier_difference

pytestmark = pytest.mark.one_stack
DAY = 86_400
NIGHTS, TRACKS, TASTES = 60, 200, 5
ORIGINAL_FIT = IALS.fit
CONFIG = TrainingConfig(EnsembleConfig((ComponentConfig(IALS(factors=8)),)), threads=1)


def plays_of_a_day(rng: np.random.Generator, listeners: int, day: int) -> Iterator[tuple[int, int, int, bool, int]]:
    """Yield plays of listeners who each prefer a fifth of the catalogue; a third of them play most."""
    popularity = 1 / np.arange(1, TRACKS + 1) ** 0.7
    for listener in range(listeners):
        weights = popularity * np.where(np.arange(TRACKS) % TASTES == listener % TASTES, 12, 1)
        plays = rng.poisson(1.5 if listener % 3 else 7.5)
        for track in rng.choice(TRACKS, plays, p=weights / weights.sum()):
            yield listener, int(track), 1, bool(rng.random() < 0.7), day * DAY + int(rng.integers(DAY))


@pytest.fixture(autouse=True)
def _evaluate_the_question_that_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spend no time on the other questions, which the gate does not read."""
    monkeypatch.setattr(bundles, "MAX_USERS_OF_OTHER_QUESTIONS", 1)


class Nights:
    """An installation that trains every night, and lets the gate decide."""

    def __init__(self, listeners: int, new_listeners_a_night: float, seed: int) -> None:
        self.listeners, self.new_listeners_a_night = listeners, new_listeners_a_night
        self.rng = np.random.default_rng(seed)
        self.rows: list[tuple[int, int, int, bool, int]] = []
        self.night = 0
        self.serving: dict[str, Any] | None = None
        self.config = CONFIG
        self.judged: ModelBundle | None = None
        self.earlier: list[Difference] = []

    def listen(self) -> None:
        listeners = self.listeners + int(self.new_listeners_a_night * self.night)
        self.rows += plays_of_a_day(self.rng, listeners, self.night)
        self.night += 1

    def train(self, config: TrainingConfig = CONFIG) -> Decision:
        """Train a version on all plays and decide about it; one that passes goes into service."""
        in_service = self.config.ensemble if self.serving else None
        trained = train(
            Plays.from_rows(self.rows),
            np.arange(TRACKS),
            config,
            version="night",
            in_service=in_service,
            judged=self.judged,
        )
        manifest = trained.manifest | {"algorithm": trained.bundle.algorithm}
        decision = decide(manifest, self.serving, margin=0.1, earlier=self.earlier)
        if decision.passed:
            self.serving, self.judged, self.config = manifest, trained.judged, config
            difference = earlier_difference({"gate": decision.to_dict()})
            self.earlier = [difference, *self.earlier] if difference else []
        return decision


def add_noise_to_fits(monkeypatch: pytest.MonkeyPatch, scale: float) -> None:
    def fit(
        self: IALS, matrix: Any, *, seed: int, threads: int = 0, callbacks: FitCallbacks = NO_CALLBACKS
    ) -> FittedModel:
        fitted = original(self, matrix, seed=seed, threads=threads, callbacks=callbacks)
        assert fitted.factors is not None
        users, items = fitted.factors
        noise = np.random.default_rng(seed).normal(size=items.shape).astype(np.float32) * items.std()
        return replace(fitted, factors=(users, items * (1 - scale) + noise * scale))

    original = ORIGINAL_FIT
    monkeypatch.setattr(IALS, "fit", fit)


@pytest.mark.slow
@pytest.mark.parametrize(("listeners", "new_listeners_a_night", "seed"), [(10, 0.5, 2), (20, 1.0, 1), (60, 1.0, 2)])
def test_a_growing_installation_is_hardly_ever_held_back_and_a_broken_model_always(
    listeners: int, new_listeners_a_night: float, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation, held_back = Nights(listeners, new_listeners_a_night, seed), []
    for _ in range(NIGHTS):
        installation.listen()
        decision = installation.train()
        if not decision.passed:
            held_back.append(decision.reason)
    assert len(held_back) <= 2, held_back
    last_with_evidence = decision.listeners
    add_noise_to_fits(monkeypatch, 1.0)
    assert installation.train().passed == (last_with_evidence < 50)


@pytest.mark.slow
def test_a_slow_decline_is_held_back(monkeypatch: pytest.MonkeyPatch) -> None:
    installation = Nights(400, 0, 3)
    for _ in range(10):
        installation.listen()
    installation.train()
    for night in range(1, 14):
        add_noise_to_fits(monkeypatch, 0.03 * night)
        installation.listen()
        decision = installation.train()
        assert decision.compared_with == "version"
        if not decision.passed:
            break
    assert not decision.passed
    assert decision.versions > 1


@pytest.mark.slow
def test_a_recipe_within_the_noise_is_not_adopted_and_a_better_one_is() -> None:
    installation = Nights(150, 0, 4)
    for _ in range(10):
        installation.listen()
    popularity, similar = (
        replace(CONFIG, ensemble=EnsembleConfig((ComponentConfig(trainer),)))
        for trainer in (Popularity(), IALS(factors=8, regularization_ratio=0.11))
    )
    assert installation.train(popularity).passed
    assert installation.train(CONFIG).compared_with == "recipe"
    assert installation.config is CONFIG
    decision = installation.train(similar)
    assert (decision.passed, decision.compared_with) == (False, "recipe")
    assert "in 4 windows" in decision.reason
    assert installation.config is CONFIG
