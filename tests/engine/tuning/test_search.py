import numpy as np
import pytest

from engine.data.plays import Plays
from engine.data.user_item_pairs import UserItemPairs
from engine.ensemble import ComponentConfig, EnsembleConfig
from engine.models.ials import IALS
from engine.tuning import Trial, tune
from engine.tuning.space import search_shares
from tests.engine.taste_groups import taste_group_split

PAST, FUTURE, SHAPE = taste_group_split()


def test_it_tries_every_family_and_finds_an_ensemble_far_better_than_popularity() -> None:
    reported: list[Trial] = []
    tuned = tune(PAST, FUTURE, SHAPE, seconds=4, threads=1, on_trial=reported.append)
    assert tuned.trials == tuple(reported)
    assert {trial.component.trainer.family for trial in reported} == set(search_shares())
    assert tuned.score > 1.5 * tuned.best_scores["popularity"]
    assert tuned.score >= max(trial.score or 0 for trial in reported) - 1e-4


def test_an_interrupted_search_continues_without_repeating_trials() -> None:
    interrupted = tune(PAST, FUTURE, SHAPE, seconds=1, threads=1)
    previous = list(interrupted.trials)
    new: list[Trial] = []
    resumed = tune(PAST, FUTURE, SHAPE, seconds=1, threads=1, previous_trials=previous, on_trial=new.append)
    assert resumed.trials[: len(previous)] == tuple(previous)
    assert not any(trial.component in [p.component for p in previous] for trial in new)


def test_the_ensemble_in_service_is_among_the_first_to_be_tried() -> None:
    in_service = ComponentConfig(IALS(factors=32, iterations=7, regularization_ratio=0.02))
    tuned = tune(PAST, FUTURE, SHAPE, seconds=0.5, threads=1, initial=EnsembleConfig((in_service,)))
    assert in_service in [trial.component for trial in tuned.trials]


def test_it_refuses_a_split_with_nothing_to_learn_from_or_to_score_on() -> None:
    no_pairs = UserItemPairs.merge(np.zeros(0, int), np.zeros(0, int), Plays.empty())
    with pytest.raises(ValueError, match="import plays first"):
        tune(no_pairs, FUTURE, SHAPE, seconds=1)
    with pytest.raises(ValueError, match="no ensemble can be chosen"):
        tune(PAST, PAST, SHAPE, seconds=1)
