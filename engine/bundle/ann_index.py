"""Approximate search with the inverted lists (IVF) of faiss, for catalogues too large to look at every track.

faiss is an optional requirement and slow to import, so it is imported only where an index is used. Without it, or
without an index file, every search is exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.bundle.workspace import SearchWorkspace

Rows = NDArray[np.int64]
FOR_LISTENERS, FOR_TRACKS = "personal", "similar"  # the names of their files, too
TYPICAL_K = 20  # the length of slate by which the number of probes was chosen
_MANY_EXCLUDED = 0.005  # share of all tracks from which the query's own exclusions are taken into account
_SPARE = 16  # candidates beyond twice the slate: the index holds 16-bit numbers, and scores are computed exactly later


@dataclass(frozen=True)
class AnnIndex:
    """An index whose ids are the rows of the version.

    Attributes:
        index: of faiss.
        probes: the number of its lists to look through.
        scale: factor of log popularity, which the index has as a further dimension; None if it has none and its
            vectors are normalized.
    """

    index: Any
    probes: int
    scale: float | None = None

    @property
    def list_count(self) -> int:
        return int(self.index.nlist)

    def search(self, vector: NDArray[np.floating], k: int, workspace: SearchWorkspace) -> Rows:
        """Return about 2k available rows that are expected to contain the k best by inner product, in no order.

        Looks into more lists if that finds too few.

        Args:
            vector: (f,), or (f + 1,) with the weight of log popularity.
        """
        query = self.to_index_space(vector)[None]
        candidate_count = min(2 * k + _SPARE, int(self.index.ntotal))
        probes = int(self.probes * max(k / TYPICAL_K, 1.0) / self._available_share(query, candidate_count, workspace))
        selector, _selector_parts = _make_selector(workspace)  # faiss does not keep the parts alive
        while True:
            rows = self._search(query, candidate_count, min(probes, self.list_count), selector)
            if len(rows) >= candidate_count or probes >= self.list_count:
                return rows
            probes *= 4

    def _available_share(self, query: NDArray[np.float32], candidate_count: int, workspace: SearchWorkspace) -> float:
        """Estimate how many of the nearest tracks are available; a listener may have blocked just these."""
        share = 1.0 if workspace.mask is None else max(workspace.mask.available_share, 1e-3)
        if len(workspace.excluded_rows) < _MANY_EXCLUDED * int(self.index.ntotal):
            return share
        nearest = self._search(query, 4 * candidate_count, self.probes, None)
        return float(np.clip(np.mean(workspace.available(nearest)), 0.02, share)) if len(nearest) else share

    def to_index_space(self, vector: NDArray[np.floating]) -> NDArray[np.float32]:
        """Map a query vector to the space of the index, in which the nearest tracks have the highest scores."""
        if self.scale is None:
            return np.asarray(vector / np.linalg.norm(vector), np.float32)
        return np.concatenate([vector[:-1], [vector[-1] / self.scale, 0.0]]).astype(np.float32)

    def _search(self, query: NDArray[np.float32], candidate_count: int, probes: int, selector: Any) -> Rows:
        import faiss

        faiss.omp_set_num_threads(1)  # for this thread: the other cores belong to other requests
        parameters = faiss.SearchParametersIVF(nprobe=probes, sel=selector)
        rows: Rows = self.index.search(query, candidate_count, params=parameters)[1][0]
        return rows[rows >= 0]


def _make_selector(workspace: SearchWorkspace) -> tuple[Any, list[Any]]:
    """Return a selector of the available rows, None for all, and the objects that must live as long as it."""
    import faiss

    excluded, mask = workspace.excluded_rows, workspace.mask
    selector, parts = None, []
    if len(excluded):
        parts.append(faiss.IDSelectorBatch(excluded))
        selector = faiss.IDSelectorNot(parts[-1])
    if mask is not None:
        bitmap = faiss.IDSelectorBitmap(mask.available_bits)
        parts += [bitmap, selector]
        selector = bitmap if selector is None else faiss.IDSelectorAnd(selector, bitmap)
    return selector, parts


def to_euclidean_space(
    factors: NDArray[np.float32], log_popularity: NDArray[np.float32], scale: float
) -> NDArray[np.float32]:
    """Extend the vectors so that nearest neighbours have the highest inner products (Bachrach et al. 2014).

    With one more dimension all have the same norm; the nearest to (x, weight / scale, 0) is the track with the highest
    x · factors + weight · log_popularity.

    Args:
        factors: float32 (k, f).
        log_popularity: float32 (k,).

    Returns:
        float32 (k, f + 2).
    """
    wide = np.column_stack([factors, np.float32(scale) * log_popularity, np.zeros(len(factors), np.float32)])
    squares = np.einsum("ij,ij->i", wide, wide)
    wide[:, -1] = np.sqrt(squares.max(initial=0.0) - squares)
    return wide
