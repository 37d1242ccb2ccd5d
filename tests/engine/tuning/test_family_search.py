import pytest

from engine.models import FAMILIES
from engine.models.search_space import NumberRange
from engine.tuning.family_search import FamilySearch
from engine.tuning.trial_runner import Trial

SPACE = {"alpha": NumberRange(0.5, 1.6), "beta": NumberRange(0.0, 1.0)}


def search_with_trials(scores: list[float | None]) -> FamilySearch:
    search = FamilySearch("rp3beta", SPACE, seed=1)
    for score in scores:
        search.record(Trial(search.suggest(), score, seconds=1.0))
    return search


def test_a_family_that_is_behind_gets_less_time_once_it_has_been_explored() -> None:
    full_share = FAMILIES["rp3beta"].search_share
    assert search_with_trials([0.01] * 5).time_share(leader_score=0.2) == full_share
    explored = [search_with_trials([0.01] * 5 + [best]).time_share(0.2) for best in (0.2, 0.18, 0.1, 0.01)]
    assert explored[0] == full_share
    assert explored == sorted(explored, reverse=True)
    assert explored[1] == pytest.approx(full_share * 0.53, rel=0.01)
    assert explored[-1] > 0


def test_a_family_is_never_finished_because_of_its_score() -> None:
    assert not search_with_trials([0.001] * 8).is_finished()


def test_a_family_that_cannot_be_fitted_is_finished_after_its_first_trial() -> None:
    assert search_with_trials([None]).is_finished()


def test_a_family_without_hyperparameters_is_finished_after_one_trial() -> None:
    search = FamilySearch("popularity", {}, seed=1)
    assert not search.is_finished()
    search.record(Trial(search.suggest(), 0.1, seconds=1.0))
    assert search.is_finished()
