"""Search for a better ensemble: trials of each family and its hyperparameters, then the weights of a blend."""

from engine.tuning.search import TunedEnsemble, tune
from engine.tuning.trial_runner import Trial

__all__ = ["Trial", "TunedEnsemble", "tune"]
