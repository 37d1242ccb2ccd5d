"""What is known about tracks besides who played them: tags, artist, album, year, sound, and embeddings."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray

from engine.data.id_map import IdMap

Rows = NDArray[np.int64]
DENSE_FEATURES = ("tempo", "energy", "valence", "danceability", "acousticness")


class Embedding(NamedTuple):
    """Vectors of one name, which some of the tracks have.

    Attributes:
        rows: of `ContentFeatures`, distinct and ascending, int64 (k,).
        vectors: float32 (k, dimension).
    """

    rows: Rows
    vectors: NDArray[np.float32]


@dataclass(frozen=True)
class ContentFeatures:
    """The content of n tracks.

    A sparse column is named `kind:id`, such as `tag:17`, `artist:3`, `album:9`, `year:1994` and `decade:1990`. A track
    has at most one artist and one album; the value of a tag is its weight, above 0, and that of all others is 1.

    Attributes:
        track_ids: int64 (n,), strictly ascending.
        columns: the names of the d sparse columns, distinct, in any order.
        sparse: CSR float32 (n, d).
        dense: float32 (n, 5), the `DENSE_FEATURES` in this order; NaN where a value is unknown.
        embeddings: by name.
    """

    track_ids: NDArray[np.int64]
    columns: tuple[str, ...]
    sparse: sp.csr_matrix
    dense: NDArray[np.float32]
    embeddings: Mapping[str, Embedding] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n = len(self.track_ids)
        if (np.diff(self.track_ids) <= 0).any():
            raise ValueError("track_ids: must be strictly ascending")
        if self.sparse.shape != (n, len(self.columns)) or len(set(self.columns)) < len(self.columns):
            raise ValueError(
                f"sparse: is {self.sparse.shape}, must have {n} rows and a column for each of "
                f"{len(self.columns)} distinct names"
            )
        if unnamed := [name for name in self.columns if not all(name.partition(":")[::2])]:
            raise ValueError(f"columns: must be named like tag:17, not {unnamed[0]!r}")
        if not (np.isfinite(self.sparse.data) & (self.sparse.data >= 0)).all():
            raise ValueError("sparse: values must be finite, and not negative")
        if self.dense.shape != (n, len(DENSE_FEATURES)) or np.isinf(self.dense).any():
            raise ValueError(f"dense: is {self.dense.shape}, must be ({n}, {len(DENSE_FEATURES)}) and not infinite")
        for name, (rows, vectors) in self.embeddings.items():
            if vectors.ndim != 2 or len(rows) != len(vectors) or not np.isfinite(vectors).all():
                raise ValueError(f"embeddings: {name} needs a finite vector for each of its {len(rows)} rows")
            if (np.diff(rows) <= 0).any() or (len(rows) and not 0 <= rows[0] <= rows[-1] < n):
                raise ValueError(f"embeddings: the rows of {name} must be ascending and below {n}")

    @classmethod
    def empty(cls, track_ids: ArrayLike) -> ContentFeatures:
        """Return features of tracks of which nothing is known; the ids may be in any order."""
        ids = IdMap.from_ids(track_ids).ids
        dense = np.full((len(ids), len(DENSE_FEATURES)), np.nan, np.float32)
        return cls(ids, (), sp.csr_matrix((len(ids), 0), dtype=np.float32), dense)

    def __len__(self) -> int:
        return len(self.track_ids)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kind of each sparse column, the part of its name before the colon."""
        return tuple(name.partition(":")[0] for name in self.columns)

    def of_tracks(self, track_ids: NDArray[np.int64]) -> ContentFeatures:
        """Return the features of other tracks, strictly ascending; of those missing here nothing is known."""
        rows, is_known = IdMap(self.track_ids).rows(track_ids)
        targets, sources = np.flatnonzero(is_known), rows[is_known]
        count = len(track_ids)
        selection = sp.csr_matrix((np.ones(len(targets), np.float32), (targets, sources)), (count, len(self)))
        dense = np.full((count, len(DENSE_FEATURES)), np.nan, np.float32)
        dense[targets] = self.dense[sources]
        target_of = np.full(len(self), -1)
        target_of[sources] = targets
        embeddings = {}
        for name, (of_rows, vectors) in self.embeddings.items():
            new_rows = target_of[of_rows]
            embeddings[name] = Embedding(new_rows[new_rows >= 0], vectors[new_rows >= 0])
        sparse = sp.csr_matrix(selection @ self.sparse, dtype=np.float32)
        return ContentFeatures(np.asarray(track_ids, np.int64), self.columns, sparse, dense, embeddings)

    def fingerprint(self) -> str:
        """Return 32 hex digits that are equal for equal features."""
        digest = hashlib.blake2b("\n".join((*self.columns, *sorted(self.embeddings))).encode(), digest_size=16)
        sparse = self.sparse.sorted_indices()
        arrays = [self.track_ids, sparse.indptr.astype(np.int64), sparse.indices.astype(np.int64), sparse.data]
        arrays += [self.dense, *(array for name in sorted(self.embeddings) for array in self.embeddings[name])]
        for array in arrays:
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()
