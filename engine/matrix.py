"""Plays → the confidence matrix that factor models fit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from engine.ids import IdMap
from engine.plays import Plays


@dataclass(frozen=True)
class Confidence:
    """How sure one is that a listener wants a track: `base` for any play, plus `bonus` once a play of it qualified.

    The c_ui of Hu, Koren & Volinsky, "Collaborative Filtering for Implicit Feedback Datasets" (2008).
    """

    base: float = 1.0
    bonus: float = 3.0

    def of(self, qualified: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Confidence of (listener, track) pairs, float32 (k,), from whether any of their plays qualified."""
        return (self.base + self.bonus * qualified).astype(np.float32)


def pairs(first: NDArray[np.int64], qualified: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Several plays of a track become one: distinct `first` (ascending) and whether any of its plays qualified."""
    distinct, inverse = np.unique(first, return_inverse=True)
    any_qualified = np.zeros(len(distinct), np.bool_)
    np.logical_or.at(any_qualified, inverse, qualified)
    return distinct, any_qualified


def confidence_matrix(plays: Plays, users: IdMap, tracks: IdMap, confidence: Confidence) -> sp.csr_matrix:
    """`(len(users), len(tracks))` CSR float32; plays of an unknown listener or track are left out."""
    user_rows, user_known = users.rows(plays.user)
    track_rows, track_known = tracks.rows(plays.track)
    known = user_known & track_known
    qualified = sp.csr_matrix(
        (plays.qualified[known].astype(np.float32), (user_rows[known], track_rows[known])),
        shape=(len(users), len(tracks)),
    )
    qualified.sum_duplicates()  # keeps the explicit zeros: a pair without a qualified play is still a play
    qualified.data = confidence.of(qualified.data > 0)
    return qualified
