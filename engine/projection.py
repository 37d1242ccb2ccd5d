"""Project the factors of tracks to a plane, with similar tracks near each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

_MAX_COMPONENTS = 50  # passed on to t-SNE; more are noise, and cost time
_PERPLEXITY = 30  # roughly, the number of neighbours that t-SNE keeps near each point
_ITERATIONS = 500  # half of scikit-learn's default; further ones make no visible difference


@dataclass(frozen=True)
class PlaneProjection:
    """Positions in a plane.

    Attributes:
        positions: float32 (n, 2), centred on the origin; the farthest is at distance 1.
        method: "t-SNE", "PCA", or "none" if there is nothing to project.
        explained_variance: for PCA, the share of the variance that the two axes show; else 1.
    """

    positions: NDArray[np.float32]
    method: str
    explained_variance: float = 1.0


def project_to_plane(factors: NDArray[np.float32], *, seed: int = 2009) -> PlaneProjection:
    """Project item factors to a plane, by their direction only, since similarity is the cosine.

    Uses t-SNE if scikit-learn is installed and there are enough rows and dimensions for it, else the first two
    principal components.

    Args:
        factors: float32 (n, f).
        seed: of t-SNE.
    """
    n, f = factors.shape
    if not n or not f:
        return PlaneProjection(np.zeros((n, 2), np.float32), "none")
    lengths = np.linalg.norm(factors, axis=1, keepdims=True)
    directions: NDArray[np.float64] = np.divide(factors, lengths, out=np.zeros(factors.shape), where=lengths > 0)
    components, explained_variance = _principal_components(directions)
    if n > _PERPLEXITY and components.shape[1] > 2:
        try:
            from sklearn.manifold import TSNE  # optional, and slow to import
        except ImportError:
            pass
        else:
            tsne = TSNE(2, init="pca", perplexity=_PERPLEXITY, max_iter=_ITERATIONS, random_state=seed)
            with threadpool_limits(1):  # this runs in a web process, which needs its other cores for requests
                return PlaneProjection(_fit_unit_circle(tsne.fit_transform(components)), "t-SNE")
    return PlaneProjection(_fit_unit_circle(components[:, :2]), "PCA", explained_variance)


def _principal_components(rows: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Return the principal component scores of the rows, at least two columns, and the share of variance of two."""
    left, singular_values, _ = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
    columns = max(2, min(_MAX_COMPONENTS, len(singular_values)))
    scores = np.pad(left * singular_values, ((0, 0), (0, 2)))[:, :columns]
    total = float((singular_values**2).sum())
    return scores, float((singular_values[:2] ** 2).sum()) / total if total > 0 else 1.0


def _fit_unit_circle(positions: NDArray[np.floating]) -> NDArray[np.float32]:
    """Centre the positions on the origin and scale the farthest to distance 1."""
    centred = positions - positions.mean(axis=0)
    radius = float(np.linalg.norm(centred, axis=1).max())
    return np.asarray(centred / radius if radius > 0 else centred, np.float32)
