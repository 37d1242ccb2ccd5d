"""The ground truth of an evaluation: whose future is predicted, and which items are relevant to them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from engine.evaluation.questions import NEW, relevant_items


@dataclass(frozen=True)
class GroundTruth:
    """The evaluated users, the items of their past, and the items of their future that answer the question.

    Attributes:
        past: CSR bool (users, items), the plays that models may learn from.
        users: int64 (n,), ascending rows of the evaluated users.
        relevant: CSR bool (n, items), at least one relevant item for each of them.
        popularity: float32 (items,), listeners of each item in the past.
        question: one of `engine.evaluation.questions.QUESTIONS`, which says what lists may hold and what is relevant.
        artist: int64 (items,), below 0 where the artist is unknown; None if nothing is known of artists.
    """

    past: sp.csr_matrix
    users: NDArray[np.int64]
    relevant: sp.csr_matrix
    popularity: NDArray[np.float32]
    question: str = NEW
    artist: NDArray[np.int64] | None = None

    @classmethod
    def from_matrices(
        cls,
        past: sp.csr_matrix,
        future: sp.csr_matrix,
        max_users: int | None,
        seed: int,
        question: str = NEW,
        known: sp.csr_matrix | None = None,
    ) -> GroundTruth:
        """Build the ground truth from a split.

        Args:
            past: CSR (users, items); any stored entry counts as a play, whatever its value.
            future: the same, for the plays that were held out.
            max_users: evaluate a seeded sample of at most this many users; None for all with a relevant item.
            seed: of the sample.
            question: one of `QUESTIONS`; by default relevant are the items of the future that are not in the past.
            known: CSR (users, items), the items that are not new to a user: those of the past by default, or these and
                the ones that they only skipped.

        Raises:
            ValueError: the shapes of past and future differ, or the question is unknown.
        """
        if past.shape != future.shape:
            raise ValueError(f"past and future must have the same shape, not {past.shape} and {future.shape}")
        past, future = _to_bool(past), _to_bool(future)
        relevant = relevant_items(past if known is None or question != NEW else _to_bool(known), future, question)
        users = np.flatnonzero(np.diff(relevant.indptr))
        if max_users is not None and len(users) > max_users:
            users = np.sort(np.random.default_rng(seed).choice(users, max_users, replace=False))
        popularity = np.bincount(past.indices, minlength=past.shape[1]).astype(np.float32)
        return cls(past, users, relevant[users], popularity, question)

    def mark_hits(self, lists: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return whether the item at each rank is relevant: bool (n, k).

        Args:
            lists: int64 (n, k), item rows recommended to each user, -1 where a list is shorter.
        """
        users = np.repeat(np.arange(len(lists)), lists.shape[1])
        is_relevant = np.asarray(self.relevant[users, lists.ravel()], np.bool_).reshape(lists.shape)
        return is_relevant & (lists >= 0)  # -1 has indexed the last item

    def relevant_counts(self, item_mask: NDArray[np.bool_] | None = None) -> NDArray[np.int64]:
        """Return how many items, or items of `item_mask` bool (items,), are relevant to each user: int64 (n,)."""
        if item_mask is None:
            return np.asarray(np.diff(self.relevant.indptr).astype(np.int64))
        return np.asarray(self.relevant @ item_mask.astype(np.int64))

    def user_pasts(self) -> sp.csr_matrix:
        """Return what each evaluated user played: CSR bool (n, items)."""
        return self.past[self.users]

    def history_lengths(self) -> NDArray[np.int64]:
        """Return how many items each evaluated user has in the past: int64 (n,)."""
        return np.asarray(np.diff(self.past.indptr)[self.users], np.int64)


def known_users_only(past: sp.csr_matrix, future: sp.csr_matrix) -> sp.csr_matrix:
    """Return `future` without the rows of users who have no past.

    Every model recommends popular items to users without a past, so they would only blur a comparison.

    Args:
        past: CSR (users, items).
        future: CSR (users, items).

    Returns:
        CSR (users, items).
    """
    has_past = sp.diags((np.diff(past.indptr) > 0).astype(np.float32))
    known_future = sp.csr_matrix(has_past @ future)
    known_future.eliminate_zeros()
    return known_future


def _to_bool(matrix: sp.csr_matrix) -> sp.csr_matrix:
    """Return a CSR bool copy, True for every stored entry, columns ascending within rows."""
    copy = matrix.astype(np.bool_)
    copy.sum_duplicates()
    copy.data[:] = True  # a stored zero is an entry too
    return copy
