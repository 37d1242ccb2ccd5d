"""Fit the components of an ensemble, and score items with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from engine.bundle.model_bundle import apply_popularity_damping
from engine.data.confidence import PlayStatistics, confidence_matrix, recency
from engine.data.user_item_pairs import UserItemPairs
from engine.ensemble import BlendWeights, ComponentConfig, EnsembleConfig
from engine.models.base import FitCallbacks, FittedModel
from engine.models.svd import SVD
from engine.ranking.blend import Scores, blend_scores

ProgressCallback = Callable[[int, int], None]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class ComponentScorer:
    """Scores of one fitted component for the listeners of its training matrix.

    Attributes:
        matrix: CSR float32 (users, items), the weights of the votes of each listener's tracks, see `weight_votes`.
        model: the fitted model with popularity damping applied.
        popularity: float32 (items,), how many listeners played each track.
    """

    matrix: sp.csr_matrix
    model: FittedModel
    popularity: NDArray[np.float32]

    @classmethod
    def from_model(cls, component: ComponentConfig, model: FittedModel, matrix: sp.csr_matrix) -> ComponentScorer:
        """Build the scorer of a model without damping; `matrix` as in the attributes."""
        popularity = np.bincount(matrix.indices, minlength=matrix.shape[1]).astype(np.float32)
        return cls(matrix, apply_popularity_damping(model, component.damping, popularity), popularity)

    def __call__(self, users: Rows) -> Scores:
        """Score all items for the user rows int64 (b,); float32 (b, items)."""
        if self.model.factors is not None:
            user_factors, item_factors = self.model.factors
            return np.asarray(user_factors[users] @ item_factors.T)
        if self.model.neighbours is not None:
            scores = self.matrix[users] @ self.model.neighbours
            return np.asarray(scores.toarray(), np.float32)
        return np.tile(np.log1p(self.popularity), (len(users), 1))


@dataclass(frozen=True)
class FittedEnsemble:
    """An ensemble with its fitted components.

    Attributes:
        ensemble: the configuration that was fitted, which may have fewer components than the requested one.
        models: the fitted model of each component, without popularity damping.
        matrices: CSR float32 (users, items), the weights of the votes for each component, see `weight_votes`.
        fallback: why the requested configuration could not be fitted; None if it was.
    """

    ensemble: EnsembleConfig
    models: tuple[FittedModel, ...]
    matrices: tuple[sp.csr_matrix, ...]
    fallback: str | None = None

    def build_scorer(self) -> Callable[[Rows], Scores]:
        """Return a function that scores items exactly as serving does.

        It takes user rows int64 (b,) and returns float32 (b, items), -inf for tracks that must not be recommended.
        """
        scorers = [
            ComponentScorer.from_model(component, model, matrix)
            for component, model, matrix in zip(self.ensemble.components, self.models, self.matrices, strict=True)
        ]
        return blend_scorer(scorers, self.ensemble.weights)


def blend_scorer(scorers: Sequence[ComponentScorer], weights: BlendWeights) -> Callable[[Rows], Scores]:
    """Return a function that blends the scores of components exactly as serving does, see `build_scorer`."""
    track_counts = np.diff(scorers[0].matrix.indptr)
    is_recommendable = scorers[0].popularity > 0

    def score(users: Rows) -> Scores:
        component_scores = [scorer(users) for scorer in scorers]
        blend = blend_scores(component_scores, weights.for_listeners(track_counts[users]), is_recommendable)
        assert blend is not None  # every component of a training matrix has scores
        return blend

    return score


def weight_votes(matrix: sp.csr_matrix, pairs: UserItemPairs, component: ComponentConfig) -> sp.csr_matrix:
    """Multiply the confidences of `pairs` by their recency, as when a listener is served.

    Args:
        matrix: CSR float32 (users, items) of `confidence_matrix`, with an entry for each pair in their order.

    Returns:
        CSR float32 (users, items); the matrix itself for a component without recency.
    """
    if not component.recency:
        return matrix
    return sp.csr_matrix((matrix.data * recency(pairs, component.recency), matrix.indices, matrix.indptr), matrix.shape)


def fit_ensemble(
    pairs: UserItemPairs,
    shape: tuple[int, int],
    ensemble: EnsembleConfig,
    *,
    seed: int,
    threads: int = 0,
    progress: ProgressCallback = lambda done, total: None,
) -> FittedEnsemble:
    """Fit each component on its own confidences.

    Training must end with a model whatever happens: a component that fails is left out, and if all fail, truncated SVD
    takes their place. `FittedEnsemble.fallback` has the reasons.

    Args:
        pairs: the positive pairs of the training data.
        shape: (listeners, tracks).
        threads: 0 for all cores.
        progress: called with the progress in thousandths, and 1000.
    """
    statistics, components = PlayStatistics.from_pairs(pairs), ensemble.components
    fitted: list[int] = []
    models: list[FittedModel] = []
    matrices: list[sp.csr_matrix] = []
    errors: list[str] = []
    for number, component in enumerate(components):

        def report_step(done: int, total: int, number: int = number) -> None:
            progress(int(1000 * (number + done / max(total, 1)) / len(components)), 1000)

        matrix = confidence_matrix(pairs, shape, component.confidence, statistics)
        try:
            model = component.trainer.fit(
                matrix, seed=seed, threads=threads, callbacks=FitCallbacks(on_step=report_step)
            )
        except Exception as error:  # libraries raise all kinds of errors, and none may stop the training
            errors.append(f"{component.trainer.family} could not run ({type(error).__name__}: {error})")
        else:
            if model.factors is not None and any(other.factors is not None for other in models):
                # A bundle has room for the factors of one; the evaluation must not use what is not served.
                errors.append(f"{component.trainer.family} is left out: only one component can have factors")
            else:
                fitted.append(number)
                models.append(model)
                matrices.append(weight_votes(matrix, pairs, component))
        report_step(1, 1)
    reasons = "; ".join(errors) or None
    if not fitted:
        # Not every family has factors; those that do decide their number for SVD too.
        factors = getattr(components[0].trainer, "factors", SVD().factors)
        svd = ComponentConfig(SVD(factors), components[0].confidence)
        matrix = confidence_matrix(pairs, shape, svd.confidence)
        model = svd.trainer.fit(matrix, seed=seed)
        return FittedEnsemble(EnsembleConfig((svd,), BlendWeights.equal(1)), (model,), (matrix,), reasons)
    if errors:
        few, many = (tuple(side[i] for i in fitted) for side in (ensemble.weights.few, ensemble.weights.many))
        weights = replace(ensemble.weights, few=few, many=many)
        ensemble = EnsembleConfig(tuple(components[i] for i in fitted), weights)
    return FittedEnsemble(ensemble, tuple(models), tuple(matrices), reasons)
