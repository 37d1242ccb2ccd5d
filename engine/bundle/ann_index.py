"""Approximate search for catalogues so large that looking at every track takes too long: inverted lists (IVF) by faiss.

Optional: without the library, or without a file of it, everything is searched exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.bundle.workspace import SearchWorkspace

Rows = NDArray[np.int64]
FOR_LISTENERS, FOR_TRACKS = "personal", "similar"
TYPICAL_K = 20  # tracks asked for, by which the number of probes was chosen
_MANY = 0.005  # of all tracks
_SPARE = 16  # asked for beyond twice the page: vectors are kept as 16-bit numbers, the candidates are scored exactly


@dataclass(frozen=True)
class AnnIndex:
    """index: of faiss, its ids the rows of the version · probes: how many of its lists are looked through · scale: what
    popularity was multiplied by beside the factors; None where it is not in it, and vectors are normed."""

    index: Any
    probes: int
    scale: float | None = None

    @property
    def lists(self) -> int:
        return int(self.index.nlist)

    def rows(self, vector: NDArray[np.floating], k: int, marks: SearchWorkspace) -> Rows:
        """Some 2k free rows among which the k best by inner product with vector float (f,), or (f + 1,) with the
        weight of popularity, are expected; in no order. Looks into more lists where too little is found."""
        asked, wanted = self.asked(vector)[None], min(2 * k + _SPARE, int(self.index.ntotal))
        probes = int(self.probes * max(k / TYPICAL_K, 1.0) / self._share_left(asked, wanted, marks))
        kept: list[Any] = []
        selector = _selector(marks, kept)
        while True:
            found = self._search(asked, wanted, min(probes, self.lists), selector)
            if len(found) >= wanted or probes >= self.lists:
                return found
            probes *= 4

    def _share_left(self, asked: NDArray[np.float32], wanted: int, marks: SearchWorkspace) -> float:
        """Of what is near. What a listener has blocked may be just there, so it is looked at where it is a lot."""
        left = 1.0 if marks.mask is None else max(marks.mask.share_left, 1e-3)
        if len(marks.left_out) < _MANY * int(self.index.ntotal):
            return left
        near = self._search(asked, 4 * wanted, self.probes, None)
        return float(np.clip(np.mean(marks.free(near)), 0.02, left)) if len(near) else left

    def asked(self, vector: NDArray[np.floating]) -> NDArray[np.float32]:
        """The vector in the space of the index, whose inner products are the scores."""
        if self.scale is None:
            return np.asarray(vector / np.linalg.norm(vector), np.float32)
        return np.concatenate([vector[:-1], [vector[-1] / self.scale, 0.0]]).astype(np.float32)

    def _search(self, asked: NDArray[np.float32], wanted: int, probes: int, selector: Any) -> Rows:
        import faiss

        faiss.omp_set_num_threads(1)  # of this thread: the cores belong to the requests
        how = faiss.SearchParametersIVF(nprobe=probes, sel=selector)
        found: Rows = self.index.search(asked, wanted, params=how)[1][0]
        return found[found >= 0]


def _selector(marks: SearchWorkspace, kept: list[Any]) -> Any:
    """Of what may be taken; None for everything. kept: what must live as long as it is in use."""
    import faiss

    out, mask = marks.left_out, marks.mask
    free = faiss.IDSelectorNot(_held(kept, faiss.IDSelectorBatch(out))) if len(out) else None
    if mask is None:
        return free
    open_ = _held(kept, faiss.IDSelectorBitmap(mask.bits_left))
    return open_ if free is None else faiss.IDSelectorAnd(_held(kept, free), open_)


def _held(kept: list[Any], one: Any) -> Any:
    kept.append(one)
    return one


def search_space(factors: NDArray[np.float32], listeners: NDArray[np.float32], scale: float) -> NDArray[np.float32]:
    """float32 (k, f + 2): vectors all of one length, so that the nearest to (x, weight / scale, 0) is the one with the
    greatest inner product (Bachrach et al. 2014). factors: float32 (k, f) · listeners: float32 (k,)."""
    wide = np.column_stack([factors, np.float32(scale) * listeners, np.zeros(len(factors), np.float32)])
    squares = np.einsum("ij,ij->i", wide, wide)
    wide[:, -1] = np.sqrt(squares.max(initial=0.0) - squares)
    return wide
