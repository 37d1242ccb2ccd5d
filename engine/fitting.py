"""Fit a recipe: each part on its own confidences, and what they say together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from engine.bundle.model_bundle import apply_popularity_damping
from engine.data.confidence import PlayStatistics, confidence_matrix
from engine.data.user_item_pairs import UserItemPairs
from engine.ensemble import BlendWeights, ComponentConfig, EnsembleConfig
from engine.models.base import FitCallbacks as FitProgress
from engine.models.base import FittedModel
from engine.models.popularity import listeners
from engine.models.svd import SVD
from engine.ranking.blend import Scores, blend_scores

ProgressCallback = Callable[[int, int], None]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class ComponentScorer:
    """Scores by one fitted part, for listeners of its matrix. learnt: damped."""

    matrix: sp.csr_matrix
    model: FittedModel
    popularity: NDArray[np.float32]

    @classmethod
    def from_model(cls, part: ComponentConfig, learnt: FittedModel, matrix: sp.csr_matrix) -> ComponentScorer:
        popularity = listeners(matrix)
        return cls(matrix, apply_popularity_damping(learnt, part.damping, popularity), popularity)

    def __call__(self, users: Rows) -> Scores:
        """float32 (b, items) for user rows int64 (b,)."""
        if self.model.factors is not None:
            return np.asarray(self.model.factors[0][users] @ self.model.factors[1].T)
        if self.model.neighbours is not None:
            votes = self.matrix[users] @ self.model.neighbours
            return np.asarray(votes.toarray(), np.float32)
        return np.tile(np.log1p(self.popularity), (len(users), 1))


@dataclass(frozen=True)
class FittedEnsemble:
    """A recipe and what each of its parts has learnt (not damped). fallback: why it is not the recipe wanted, else
    None."""

    ensemble: EnsembleConfig
    models: tuple[FittedModel, ...]
    matrices: tuple[sp.csr_matrix, ...]
    fallback: str | None = None

    def scorer(self) -> Callable[[Rows], Scores]:
        """User rows int64 (b,) → float32 (b, items), as served, -inf for tracks that are never offered."""
        parts = [
            ComponentScorer.from_model(*one)
            for one in zip(self.ensemble.components, self.models, self.matrices, strict=True)
        ]
        weights, tracks = self.ensemble.weights, np.diff(self.matrices[0].indptr)
        offered = parts[0].popularity > 0

        def scores(users: Rows) -> Scores:
            together = blend_scores([part(users) for part in parts], weights.for_listeners(tracks[users]), offered)
            assert together is not None
            return together

        return scores


def fit_ensemble(
    pairs: UserItemPairs,
    shape: tuple[int, int],
    recipe: EnsembleConfig,
    *,
    seed: int,
    threads: int = 0,
    progress: ProgressCallback = lambda done, total: None,
) -> FittedEnsemble:
    """A part that cannot run is left out; where none is left, truncated SVD takes its place. The reasons are kept.

    shape: (listeners, tracks). Progress is told in thousandths.
    """
    statistics, parts = PlayStatistics.from_pairs(pairs), recipe.components
    done: list[tuple[int, FittedModel, sp.csr_matrix]] = []
    trouble: list[str] = []
    for number, part in enumerate(parts):
        matrix = confidence_matrix(pairs, shape, part.confidence, statistics)
        steps = _thousandths(progress, number, len(parts))
        try:
            learnt = part.trainer.fit(matrix, seed=seed, threads=threads, callbacks=FitProgress(on_step=steps))
        except Exception as error:  # whatever stops a family, the night must still end with a model
            trouble.append(f"{part.trainer.family} could not run ({type(error).__name__}: {error})")
        else:
            done.append((number, learnt, matrix))
        steps(1, 1)
    if not done:
        return _by_svd(pairs, shape, recipe, seed, "; ".join(trouble))
    kept = [number for number, *_ in done]
    return FittedEnsemble(
        recipe if not trouble else _only(recipe, kept),
        tuple(learnt for _, learnt, _ in done),
        tuple(matrix for *_, matrix in done),
        "; ".join(trouble) or None,
    )


def _thousandths(progress: ProgressCallback, number: int, parts: int) -> ProgressCallback:
    return lambda done, total: progress(int(1000 * (number + done / max(total, 1)) / parts), 1000)


def _only(recipe: EnsembleConfig, kept: Sequence[int]) -> EnsembleConfig:
    """The recipe without the parts that could not run."""
    w = recipe.weights
    few, many = (tuple(side[i] for i in kept) for side in (w.few, w.many))
    return EnsembleConfig(tuple(recipe.components[i] for i in kept), replace(w, few=few, many=many))


def _by_svd(
    pairs: UserItemPairs, shape: tuple[int, int], recipe: EnsembleConfig, seed: int, trouble: str
) -> FittedEnsemble:
    factors = getattr(recipe.components[0].trainer, "factors", SVD().factors)
    part = ComponentConfig(SVD(factors), recipe.components[0].confidence)
    matrix = confidence_matrix(pairs, shape, part.confidence)
    learnt = part.trainer.fit(matrix, seed=seed)
    return FittedEnsemble(EnsembleConfig((part,), BlendWeights.equal(1)), (learnt,), (matrix,), trouble)
