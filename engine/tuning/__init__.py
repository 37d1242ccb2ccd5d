"""Find the recipe for a body of plays: families and hyperparameters by trial, then the weights of their blend."""

from engine.tuning.search import tune
from engine.tuning.trials import Trial, Tuned

__all__ = ["Trial", "Tuned", "tune"]
