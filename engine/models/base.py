"""The interface of a model family, and what fitting one returns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import astuple, dataclass, field
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from engine.data.confidence import ConfidenceWeights
from engine.models.search_space import SearchSpace

Factors = tuple[NDArray[np.float32], NDArray[np.float32]]
"""User factors float32 (users, f) and item factors float32 (items, f); a score is their dot product."""


class CannotTrain(Exception):
    """The family cannot be fitted; the message has the reason, such as an empty or too large matrix."""


@dataclass(frozen=True)
class FoldInConfig:
    """How the vector x of a user is computed from their confidences c and the item factors Y ("fold-in").

    - kind `solve`: solve (unobserved·YᵀY + Σ (c − offset)·y yᵀ + λI) x = Σ c·y over the user's k items, with
      λ = regularization · (k + smoothing · unobserved · items)^exponent. With offset 1, unobserved 1 and exponent 0
      this is eq. 4 of Hu, Koren & Volinsky (2008); with offset 0 and smoothing 1 the user update of Rendle et al.
      (2021), see `engine.models.ials`.
    - kind `project`: x = Σ c·y.

    Beforehand the confidences are multiplied by (k / mean_pairs)^activity / mean_confidence.
    """

    kind: str = "solve"
    regularization: float = 0.01
    unobserved: float = 1.0
    exponent: float = 0.0
    smoothing: float = 1.0
    offset: float = 1.0
    activity: float = 0.0
    mean_pairs: float = 1.0
    mean_confidence: float = 1.0

    def ridge(self, k: NDArray[np.int64] | int, others: int) -> Any:
        """Return λ of a user with k of `others` items, or of an item with k of `others` users; shaped like k."""
        return self.regularization * np.power(k + self.smoothing * self.unobserved * others, self.exponent)

    def confidence_scale(self, k: NDArray[np.int64] | int) -> Any:
        """Return the multiplier of the confidences of a user with k items; float64, shaped like k."""
        return np.power(np.maximum(k, 1) / self.mean_pairs, self.activity) / self.mean_confidence


@dataclass(frozen=True)
class FittedModel:
    """The result of a fit: either factors or neighbours; a model with neither recommends popular tracks.

    Raises:
        FloatingPointError: a number is infinite or NaN. It would make the scores of whole listeners NaN, so that such a
            model is refused whatever family it is from.

    Attributes:
        factors: user and item factors.
        fold_in: how a user's factors are computed from their current interactions.
        neighbours: CSR float32 (items, items). Row i holds the weights that having played item i adds to other items,
            so that a user's scores are their row of the confidence matrix times `neighbours`.
    """

    factors: Factors | None = None
    fold_in: FoldInConfig = field(default_factory=FoldInConfig)
    neighbours: sp.csr_matrix | None = None

    def __post_init__(self) -> None:
        if self.factors is not None and not all(np.isfinite(side).all() for side in self.factors):
            raise FloatingPointError("the factors are not finite")
        if self.neighbours is not None and not np.isfinite(self.neighbours.data).all():
            raise FloatingPointError("the weights of the neighbours are not finite")
        if not np.isfinite([value for value in astuple(self.fold_in) if not isinstance(value, str)]).all():
            raise FloatingPointError(f"the configuration of the fold-in is not finite: {self.fold_in}")


@dataclass(frozen=True)
class FitCallbacks:
    """Functions that a fit calls while it runs.

    Attributes:
        on_step: called with the number of finished steps and their total.
        should_stop: called after each iteration of a family that improves factors iteratively, with the number of
            finished iterations and the factors so far; return True to end the fit there.
    """

    on_step: Callable[[int, int], None] = lambda done, total: None
    should_stop: Callable[[int, Factors], bool] = lambda done, factors: False


NO_CALLBACKS = FitCallbacks()


@dataclass(frozen=True)
class Trainer(ABC):
    """A model family: its hyperparameters are the fields of a frozen dataclass, and `fit` learns from a matrix.

    To add a family, write one module with a subclass, add one `register` line to `engine.models`, and test it with
    `tests.engine.models.contract`. Configuration, storage, training, blending and the hyperparameter search then work
    with it. Fields must be numbers or strings, so that a configuration can be stored as JSON and compared; raise
    ValueError from `__post_init__` for values out of range (see `engine.models.validation`).

    Attributes:
        family: the name in settings and stored configurations; unique, and never changed once it has been stored.
        search_space: the hyperparameters that the search varies. A family without any is tried once, as it is.
        search_share: its share of the time of a search, relative to the other families; 0 leaves it out.
        default_confidence: the confidences that a search tries first; by default those of all pairs are equal.
        own_tracks_only: whether it scores only tracks that the listener has played, so that it cannot find new ones.
    """

    family: ClassVar[str]
    search_space: ClassVar[SearchSpace] = {}
    search_share: ClassVar[float] = 0.0
    default_confidence: ClassVar[ConfidenceWeights] = ConfidenceWeights(bonus=0.0, liked=0.0)
    own_tracks_only: ClassVar[bool] = False

    @abstractmethod
    def fit(
        self, matrix: sp.csr_matrix, *, seed: int, threads: int = 0, callbacks: FitCallbacks = NO_CALLBACKS
    ) -> FittedModel:
        """Fit the model; `matrix` is not changed, and the same seed on one thread gives the same result.

        That holds for every process on the same kind of CPU; BLAS and Numba choose their instructions by it, so that
        another kind may round differently. On several threads every family but `bpr` gives the same result up to
        rounding.

        Args:
            matrix: CSR float32 (users, items) of confidences, all above 0. Rows and columns may be empty.
            seed: of all random numbers.
            threads: how many to use; 0 for all cores.
            callbacks: called while the fit runs; `should_stop` only by families that improve factors iteratively.

        Raises:
            CannotTrain: if the family cannot learn from this matrix or on this machine.
            FloatingPointError: if the result is not finite; `FittedModel` checks it.
        """
