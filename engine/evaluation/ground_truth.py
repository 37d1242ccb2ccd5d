"""What is asked: who plays what next, and what the right answers are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray


@dataclass(frozen=True)
class GroundTruth:
    """past: CSR bool (users, items) · listeners: int64 (n,), ascending, the rows of those who are asked about ·
    wanted: CSR bool (n, items), what is relevant to each of them, at least one track · popularity: float32 (items,),
    listeners of each track in the past."""

    past: sp.csr_matrix
    users: NDArray[np.int64]
    relevant: sp.csr_matrix
    popularity: NDArray[np.float32]

    @classmethod
    def from_matrices(cls, past: sp.csr_matrix, future: sp.csr_matrix, max_users: int | None, seed: int) -> GroundTruth:
        """Relevant is what of the future is not in the past. past, future: CSR (users, items), any stored entry is a
        play. Raises ValueError where their shapes differ."""
        if past.shape != future.shape:
            raise ValueError(f"past {past.shape} and future {future.shape} are not of the same shape")
        past, future = _played(past), _played(future)
        wanted = (future > past).tocsr()
        asked = np.flatnonzero(np.diff(wanted.indptr))
        if max_users is not None and len(asked) > max_users:
            asked = np.sort(np.random.default_rng(seed).choice(asked, max_users, replace=False))
        return cls(past, asked, wanted[asked], _item_user_counts(past))

    def mark_hits(self, lists: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether the track at each rank is relevant: bool (n, k), False where `lists` int64 (n, k) is -1."""
        asked = np.repeat(np.arange(len(lists)), lists.shape[1])
        found = np.asarray(self.relevant[asked, lists.ravel()], np.bool_).reshape(lists.shape)
        return found & (lists >= 0)

    def relevant_counts(self, tracks: NDArray[np.bool_] | None = None) -> NDArray[np.int64]:
        """How many tracks, or how many of the `tracks` bool (items,), are relevant to each: int64 (n,)."""
        if tracks is None:
            return np.asarray(np.diff(self.relevant.indptr).astype(np.int64))
        return np.asarray(self.relevant @ tracks.astype(np.int64))

    def history_lengths(self) -> NDArray[np.int64]:
        """How many tracks each has in the past: int64 (n,)."""
        return np.asarray(np.diff(self.past.indptr)[self.users], np.int64)


def _item_user_counts(played: sp.csr_matrix) -> NDArray[np.float32]:
    return np.bincount(played.indices, minlength=played.shape[1]).astype(np.float32)


def known_users_only(past: sp.csr_matrix, future: sp.csr_matrix) -> sp.csr_matrix:
    """The future of those who have a past, the other rows empty: a listener without one is served what is popular,
    whatever the model. past, future: CSR (users, items)."""
    kept = sp.csr_matrix(sp.diags((np.diff(past.indptr) > 0).astype(np.float32)) @ future)
    kept.eliminate_zeros()
    return kept


def _played(matrix: sp.csr_matrix) -> sp.csr_matrix:
    """True wherever `matrix` has an entry, whatever its value: CSR bool of its own arrays, rows ascending."""
    played = matrix.astype(np.bool_)
    played.sum_duplicates()
    played.data[:] = True
    return played
