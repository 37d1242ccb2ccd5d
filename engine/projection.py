"""A flat map of tracks: what is alike lies near each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

Positions = NDArray[np.float32]
_DIMENSIONS = 50  # as many as tell tracks apart; the rest is noise and time
_PERPLEXITY = 30  # neighbours each point is laid beside
_ROUNDS = 500  # half of scikit-learn's default: by then nothing moves that an eye would see


@dataclass(frozen=True)
class PlaneProjection:
    """positions: float32 (n, 2), round the origin, the farthest at distance 1.

    method: "t-SNE", "PCA", or "none" for an empty map. kept: the share of all variation the two axes of a PCA show.
    """

    positions: Positions
    method: str
    kept: float = 1.0


def project_to_plane(factors: NDArray[np.float32], *, seed: int = 2009) -> PlaneProjection:
    """Lay out the rows of `factors`, float32 (n, f), by direction alone: that is what similarity compares.

    By t-SNE where scikit-learn is installed and there is something to unfold, else by the first two principal
    components.
    """
    n, f = factors.shape
    if not n or not f:
        return PlaneProjection(np.zeros((n, 2), np.float32), "none")
    components, kept = _principal_components(_directions(factors))
    tsne = _tsne() if n > _PERPLEXITY and components.shape[1] > 2 else None
    if tsne is None:
        return PlaneProjection(_framed(components[:, :2]), "PCA", kept)
    layout = tsne(2, init="pca", perplexity=_PERPLEXITY, max_iter=_ROUNDS, random_state=seed)
    with threadpool_limits(1):  # it is asked for in a web process, whose other cores belong to the listeners
        return PlaneProjection(_framed(layout.fit_transform(components)), "t-SNE")


def _directions(factors: NDArray[np.float32]) -> NDArray[np.float64]:
    lengths = np.linalg.norm(factors, axis=1, keepdims=True)
    directions: NDArray[np.float64] = np.divide(factors, lengths, out=np.zeros(factors.shape), where=lengths > 0)
    return directions


def _principal_components(rows: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Coordinates, most varying first, at least two columns; and the share of the variation that is in these two."""
    left, strengths, _ = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
    coordinates = np.pad(left * strengths, ((0, 0), (0, 2)))[:, : max(2, min(_DIMENSIONS, len(strengths)))]
    total = float((strengths**2).sum())
    return coordinates, float((strengths[:2] ** 2).sum()) / total if total > 0 else 1.0


def _tsne() -> Any:
    """The class, or None where the extra is not installed. Imported late: it takes longer than a whole request."""
    try:
        from sklearn.manifold import TSNE
    except ImportError:
        return None
    return TSNE


def _framed(positions: NDArray[Any]) -> Positions:
    centred = positions - positions.mean(axis=0)
    reach = float(np.linalg.norm(centred, axis=1).max())
    return np.asarray(centred / reach if reach > 0 else centred, np.float32)
