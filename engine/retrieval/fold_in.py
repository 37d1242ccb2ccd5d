"""Fold-in: the factors of a listener, computed from their current history."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

from engine.bundle.model_bundle import ModelBundle, Vector

_MIN_RIDGE = 1e-6  # keeps the equations of a track solvable whatever its listeners


@dataclass(frozen=True)
class FoldInSystem:
    """The linear system of one listener's fold-in: a · vector = tracksᵀ · targets.

    Attributes:
        tracks: the factors of the k tracks of the history as they were fitted, float64 (k, f).
        targets: float64 (k,).
        a: symmetric, float64 (f, f); None for the identity.
    """

    tracks: NDArray[np.float64]
    targets: NDArray[np.float64]
    a: NDArray[np.float64] | None

    def solve(self, b: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return a⁻¹ · b for one or several right-hand sides, float64 (f,) or (f, r)."""
        if self.a is None:
            return b
        _, x, info = lapack.dposv(self.a, b, lower=1)
        if info != 0:  # not positive definite: confidences below the offset and too little regularization
            x = np.linalg.lstsq(self.a, b, rcond=None)[0]
        return np.asarray(x)


def fold_in_system(bundle: ModelBundle, item_rows: NDArray[np.int64], confidence: Vector) -> FoldInSystem | None:
    """Set up a listener's system in the space of the bundle; the arguments are those of `fold_in`.

    Returns:
        None if no confidence is positive, or if the version has no factors.
    """
    positive_count, space = int(np.count_nonzero(confidence > 0)), bundle.space
    if not positive_count or space is None or not space.item_factors.shape[1]:
        return None
    n, config = len(space.item_factors), space.fold_in
    y = np.asarray(bundle.vectors(item_rows), np.float64)
    if space.damping:  # the bundle's factors are damped, but a fold-in needs those that were fitted
        y *= np.power(np.maximum(bundle.popularity[item_rows], 1), space.damping)[:, None]
    c = confidence.astype(np.float64) * config.confidence_scale(positive_count)
    if config.kind == "project":
        return FoldInSystem(y, c, None)
    a = config.unobserved * space.gramian + (y.T * np.where(c > 0, c - config.offset, -c)) @ y
    a[np.diag_indices_from(a)] += config.ridge(positive_count, n)
    return FoldInSystem(y, np.maximum(c, 0), a)


def fold_in(bundle: ModelBundle, item_rows: NDArray[np.int64], confidence: Vector) -> Vector:
    """Solve for a listener's factors in the space of the bundle, with the vectors of tracks held fixed.

    The space selects the method: one half-step of ALS (Hu, Koren & Volinsky 2008, eq. 4), or a projection. A
    negative confidence is treated as additional confidence in the preference 0, which all unplayed tracks have.

    Args:
        item_rows: distinct, int64 (k,). Tracks that nobody had played have the vectors of their content.
        confidence: in each of these rows, float32 (k,).

    Returns:
        float32 (f,); zeros if no confidence is positive.
    """
    system = fold_in_system(bundle, item_rows, confidence)
    if system is None:
        return np.zeros(0 if bundle.space is None else bundle.space.item_factors.shape[1], np.float32)
    return np.asarray(system.solve(system.tracks.T @ system.targets), np.float32)


def item_fold_in(
    bundle: ModelBundle, prior: Vector, listener_vectors: NDArray[np.floating], confidence: NDArray[np.floating]
) -> Vector:
    """Solve for the vector of a track that the version has not learnt, from the listeners who have played it since.

    It is the item's half-step of ALS with the content vector as the prior mean, instead of 0: y = prior + d, where d
    solves (w·XᵀX + Σ (c − offset)·x xᵀ + λI) d = Σ c·(1 − prior·x) x over these listeners (for a projection,
    XᵀX d = Σ (c − prior·x) x). Listeners who have not played the track are expected to like it as its content says, and
    each one who does moves the vector on from its content to what plays say.

    Args:
        prior: by content, see `ContentSpace.predict`, float32 (f,).
        listener_vectors: in the space of the bundle, (k, f).
        confidence: of each of these listeners in the track, above 0, (k,).

    Returns:
        float32 (f,); the prior without listeners.

    Raises:
        ValueError: the bundle has no content.
    """
    if bundle.content is None or bundle.space is None:
        raise ValueError("bundle: was trained without content, and has no vectors of new tracks")
    config, x = bundle.space.fold_in, listener_vectors.astype(np.float64)
    if not len(x):
        return prior
    c = confidence.astype(np.float64) / config.mean_confidence
    expected = x @ prior.astype(np.float64)
    if config.kind == "project":
        a, b = bundle.content.user_gramian.copy(), x.T @ (c - expected)
        ridge = 0.0
    else:
        a = config.unobserved * bundle.content.user_gramian + (x.T * (c - config.offset)) @ x
        b = x.T @ (c * (1 - expected))
        ridge = config.ridge(len(x), len(bundle.users))
    a[np.diag_indices_from(a)] += max(ridge, _MIN_RIDGE)
    return np.asarray(prior + np.linalg.solve(a, b), np.float32)
