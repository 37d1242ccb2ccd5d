"""Confidence weights of user-item pairs, and the matrix of them that models are fitted on."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from engine.data.user_item_pairs import UserItemPairs, count_listeners

TRANSFORMS = ("none", "log", "capped", "bm25")

DAY_SECONDS = 86_400

_LEAST = 1e-6  # of a wanted pair, so that the matrix has it

MIN_DECAY = (
    0.1  # of its confidence is left of the oldest play; without a floor, all of a quiet listener would fade away
)


@dataclass(frozen=True)
class PlayStatistics:
    """What a confidence is measured against, fixed when a version is trained.

    users: listeners with plays · plays: the mean of their totals · pairs: the mean of their distinct tracks · newest:
    UNIX second of the last play.
    """

    users: int = 0
    plays: float = 1.0
    pairs: float = 1.0
    newest: int = 0

    @classmethod
    def from_pairs(cls, pairs: UserItemPairs) -> PlayStatistics:
        users = len(np.unique(pairs.user))
        if not users:
            return cls()
        return cls(users, float(pairs.count.sum() / users), len(pairs) / users, int(pairs.newest.max()))


@dataclass(frozen=True)
class ConfidenceWeights:
    """How sure one is that a listener wants a track, or, below zero, that they do not.

    wanted: c = (base + bonus, once a play qualified + liked, while liked (in the place of the bonus) + added, while in
    a playlist + shared, once shared - skipped, once skipped + scale · f(plays)) · rarity · decay, above 0
    refused: c = -disliked, while disliked; else -skipped, where only skipped; times rarity and decay

    f by `transform`: none 0 · log ln(1 + plays) (Hu, Koren & Volinsky, "Collaborative Filtering for Implicit Feedback
    Datasets", 2008, eq. 6) · capped min(plays, cap) / cap · bm25 saturating with k1 and the listener's total with b
    (Robertson & Zaragoza, "The Probabilistic Relevance Framework", 2009). rarity: ln(1 + listeners / listeners of
    the track) where `rare`. decay: from 1 to a tenth, by half of the way in every half_life days, 0 for none; a play
    newer than the model's newest has age 0.
    """

    base: float = 1.0
    bonus: float = 3.0
    liked: float = 3.0
    transform: str = "none"
    scale: float = 1.0
    cap: float = 20.0
    k1: float = 1.2
    b: float = 0.75
    rare: bool = False
    half_life: float = 0.0
    added: float = 2.0
    shared: float = 2.0
    skipped: float = 1.0
    disliked: float = 4.0

    def __post_init__(self) -> None:
        if self.transform not in TRANSFORMS:
            raise ValueError(f"transform: {self.transform!r} is not one of {', '.join(TRANSFORMS)}")
        for name in ("base", "cap"):
            if not getattr(self, name) > 0:  # so that what is not a number is refused too
                raise ValueError(f"{name}: must be above 0, not {getattr(self, name)}")
        for name in ("bonus", "liked", "scale", "k1", "b", "half_life", "added", "shared", "skipped", "disliked"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name}: must not be below 0, not {getattr(self, name)}")

    def compute(
        self, pairs: UserItemPairs, listeners: NDArray[np.float32], statistics: PlayStatistics
    ) -> NDArray[np.float32]:
        """Float32 (k,): above 0 for a wanted pair, below for a refused one, 0 for one that nothing is known of.
        listeners: float32 (tracks,), how many played each track."""
        c = self.base + self.bonus * (pairs.qualified & ~pairs.liked) + self.liked * pairs.liked
        c = c + self.added * pairs.added + self.shared * pairs.shared - self.skipped * pairs.skipped
        c = np.maximum(c + self.scale * self._amount(pairs, statistics), _LEAST)
        c = np.where(pairs.is_positive, c, -np.where(pairs.disliked, self.disliked, self.skipped * pairs.skipped))
        if self.rare:
            c = c * np.log1p(max(statistics.users, 1) / np.maximum(listeners[pairs.track], 1))
        if self.half_life:
            age = np.maximum(statistics.newest - pairs.newest, 0) / DAY_SECONDS
            c = c * (MIN_DECAY + (1 - MIN_DECAY) * np.exp2(-age / self.half_life))
        return np.asarray(np.where(pairs.is_positive, np.maximum(c, _LEAST), c), np.float32)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def _amount(self, pairs: UserItemPairs, statistics: PlayStatistics) -> NDArray[np.float64]:
        n = pairs.count.astype(np.float64)
        match self.transform:
            case "log":
                return np.log1p(n)
            case "capped":
                return np.minimum(n, self.cap) / self.cap
            case "bm25":
                total = np.bincount(pairs.user, n, minlength=1)[pairs.user] if len(pairs) else n
                return n * (self.k1 + 1) / (n + self.k1 * (1 - self.b + self.b * total / max(statistics.plays, 1e-9)))
            case _:
                return np.zeros(len(pairs))


def confidence_matrix(
    pairs: UserItemPairs,
    shape: tuple[int, int],
    confidence: ConfidenceWeights,
    statistics: PlayStatistics | None = None,
) -> sp.csr_matrix:
    """CSR float32 of `shape` (listeners, tracks), an entry a pair."""
    values = confidence.compute(pairs, count_listeners(pairs, shape[1]), statistics or PlayStatistics.from_pairs(pairs))
    indptr = np.concatenate([[0], np.cumsum(np.bincount(pairs.user, minlength=shape[0]))])
    return sp.csr_matrix((values, pairs.track, indptr), shape)
