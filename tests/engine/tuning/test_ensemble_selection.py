import time
from dataclasses import replace

import numpy as np
import pytest

from engine.evaluation.questions import ALL, REPEATS
from engine.tuning.ensemble_selection import select_ensemble
from engine.tuning.space import build_component
from engine.tuning.trial_runner import TrialRunner
from engine.tuning.validation_metric import ValidationMetric
from tests.engine.taste_groups import taste_group_split


@pytest.mark.parametrize(("question", "first"), [(REPEATS, "repeat"), (ALL, "item_knn")])
def test_a_version_for_repeats_has_a_component_of_own_tracks_though_another_is_better(
    question: str, first: str
) -> None:
    """Serving ranks repeats by the blend of versions with such a component only."""
    past, new, shape = taste_group_split()
    future = new if question == ALL else past.where(np.arange(len(past)) % 5 == 0)
    runner = TrialRunner(past, shape, ValidationMetric.from_pairs(past, future, shape, 1, 1, question), 1, 1)
    trials = [runner.run_trial(build_component(family, {}), 0.0) for family in ("item_knn", "repeat")]
    assert question == ALL or trials[0].score > trials[1].score
    ensemble, _ = select_ensemble(runner, trials, time.perf_counter() + 60)
    assert ensemble.components[0].trainer.family == first
    far_behind = [trials[0], replace(trials[1], score=0.1 * trials[0].score)]
    ensemble, _ = select_ensemble(runner, far_behind, time.perf_counter())  # no time is left for a second component
    assert [component.trainer.family for component in ensemble.components] == [first]
