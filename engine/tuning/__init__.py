"""Find the recipe for a body of plays: families and hyperparameters by trial, then the weights of their blend."""

from engine.tuning.search import tune
from engine.tuning.trial_runner import Trial
from engine.tuning.trials import TunedEnsemble

__all__ = ["Trial", "TunedEnsemble", "tune"]
