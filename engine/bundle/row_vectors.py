"""The vectors of some rows of a bundle, which an extension of a version shares with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.data.id_map import IdMap

Vector = NDArray[np.float32]
Rows = NDArray[np.int64]
WHOLE_FROM = 0.5  # share of the rows of an array from which it is multiplied as a whole, instead of copying some rows


class VectorPart(NamedTuple):
    """The vectors of p rows.

    Attributes:
        positions: where these rows stand among all, int64 (p,).
        vectors: float32 (m, f).
        picked: which of the m vectors they are, int64 (p,); None for all.
        scale: by which the vectors are multiplied.
    """

    positions: Rows
    vectors: Vector
    picked: Rows | None = None
    scale: float = 1.0


@dataclass(frozen=True)
class RowVectors:
    """The vectors of k rows, none of them zeros.

    Attributes:
        rows: ascending, int64 (k,).
        norms: of the vectors, float32 (k,).
        parts: the vectors; a later part takes the place of an earlier one.
    """

    rows: Rows
    norms: Vector
    parts: tuple[VectorPart, ...] = ()

    @classmethod
    def empty(cls) -> RowVectors:
        return cls(np.zeros(0, np.int64), np.zeros(0, np.float32))

    @classmethod
    def select(cls, vectors: Vector, rows: Rows, scale: float) -> RowVectors:
        """Select some rows of an array, as far as they are not zeros.

        Unless they are few, the array is kept as it is: where it is a mapped file, all processes share its memory.

        Args:
            vectors: float32 (n, f).
            rows: ascending, int64 (m,).
            scale: by which the vectors are multiplied.
        """
        is_whole = len(rows) >= WHOLE_FROM * len(vectors)
        stored = vectors if is_whole else vectors[rows]
        stored_norms = np.sqrt(np.einsum("ij,ij->i", stored, stored))
        picked = np.flatnonzero(stored_norms) if not is_whole else rows[stored_norms[rows] > 0]
        rows = picked if is_whole else rows[picked]
        norms = np.float32(scale) * stored_norms[picked]
        part = VectorPart(np.arange(len(rows)), stored, None if len(picked) == len(stored) else picked, scale)
        return cls(rows, norms, (part,))

    def with_updates(self, rows: Rows, vectors: Vector) -> RowVectors:
        """Return the vectors with further rows, or with others in the place of some.

        Args:
            rows: ascending, int64 (m,).
            vectors: float32 (m, f); those that are zeros are left out.
        """
        is_known = vectors.any(axis=1)
        rows, vectors = rows[is_known], vectors[is_known]
        if not len(rows):
            return self
        new = rows[~IdMap(self.rows).rows(rows)[1]]
        all_rows = np.insert(self.rows, np.searchsorted(self.rows, new), new)
        kept, updated = np.searchsorted(all_rows, self.rows), np.searchsorted(all_rows, rows)
        norms = np.empty(len(all_rows), np.float32)
        norms[kept] = self.norms
        norms[updated] = np.linalg.norm(vectors, axis=1)
        parts = [part._replace(positions=kept[part.positions]) for part in self.parts]
        return RowVectors(all_rows, norms, (*parts, VectorPart(updated, vectors)))

    def multiply(self, vector: Vector) -> Vector:
        """Return the product of each vector with one, float32 (f,): float32 (k,)."""
        products = np.empty(len(self.rows), np.float32)
        for positions, vectors, picked, scale in self.parts:
            of_part = vectors @ (np.float32(scale) * vector)
            products[positions] = of_part if picked is None else of_part[picked]
        return products
