"""Confidence weights of user-item pairs, and the matrix of them that models are fitted on."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from engine.data.user_item_pairs import UserItemPairs, count_listeners

TRANSFORMS = ("none", "log", "capped", "bm25", "activation")
HOUR_SECONDS = 3_600
DAY_SECONDS = 86_400
MIN_DECAY = 0.1  # without a lower bound, everything a quiet listener ever played would fade away
MIN_RECENCY_AGE = 300  # seconds; the tracks of the last minutes count alike
MAX_WEIGHT = 1e6  # beyond it, sums and squares of confidences lose the smaller terms in float32, or overflow
MAX_ACTIVATION_DECAY = 4.0  # beyond it, only the newest play counts
_MIN_POSITIVE = 1e-6  # keeps every positive pair in the sparse matrix


@dataclass(frozen=True)
class PlayStatistics:
    """Totals of the training data that confidences are computed with; fixed when a version is trained.

    Attributes:
        users: the number of listeners with plays.
        plays: the mean number of plays of a listener.
        pairs: the mean number of distinct tracks of a listener.
        newest: UNIX second of the last interaction.
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
    """The weights by which interactions become confidences: how sure we are that a listener wants a track.

    A negative confidence means that the listener does not want it. For a positive pair

        c = (base + bonus [qualified and not liked] + liked [liked] + added [in a playlist] + shared [shared]
             − skipped [skipped] + scale · f(plays)) · weight · rarity · decay, at least a little above 0

    and for a negative one c = −disliked if disliked, else −skipped, times rarity and decay. Here

    - f(plays) depends on `transform`: `none` is 0; `log` is ln(1 + plays) (Hu, Koren & Volinsky, "Collaborative
      Filtering for Implicit Feedback Datasets", 2008, eq. 6); `capped` is min(plays, cap) / cap; `bm25` saturates with
      `k1` and normalizes by the listener's total with `b` (Robertson & Zaragoza, "The Probabilistic Relevance
      Framework: BM25 and Beyond", 2009); `activation` is the `base_level_activation` with `activation_decay`.
    - weight is `UserItemPairs.weight`, by which a listener lets an artist or a tag count more or less.
    - rarity is ln(1 + listeners / listeners of the track) if `rare`, else 1.
    - decay falls from 1 towards `MIN_DECAY` with the age of the newest interaction, half of the way in every
      `half_life` days; 0 days means no decay. An interaction newer than the training data has age 0.
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
    activation_decay: float = 0.4
    added: float = 2.0
    shared: float = 2.0
    skipped: float = 1.0
    disliked: float = 4.0

    def __post_init__(self) -> None:
        if self.transform not in TRANSFORMS:
            raise ValueError(f"transform: {self.transform!r} is not one of {', '.join(TRANSFORMS)}")
        for name in ("base", "cap", "activation_decay"):
            if not getattr(self, name) > 0:  # unlike "<= 0", this rejects NaN too
                raise ValueError(f"{name}: must be above 0, not {getattr(self, name)}")
        for name in ("bonus", "liked", "scale", "k1", "b", "half_life", "added", "shared", "skipped", "disliked"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name}: must be 0 or above, not {getattr(self, name)}")
        limits = {"b": 1.0, "activation_decay": MAX_ACTIVATION_DECAY}
        for name, value in asdict(self).items():
            if name != "transform" and value > limits.get(name, MAX_WEIGHT):
                raise ValueError(f"{name}: must be at most {limits.get(name, MAX_WEIGHT):g}, not {value}")

    def compute(
        self, pairs: UserItemPairs, listeners: NDArray[np.float32], statistics: PlayStatistics
    ) -> NDArray[np.float32]:
        """Compute the confidence of each pair.

        Args:
            pairs: k pairs.
            listeners: float32 (tracks,), how many listeners played each track.
            statistics: of the data that the model was trained on.

        Returns:
            float32 (k,): above 0 for positive pairs, below 0 for negative ones, else 0.
        """
        c = self.base + self.bonus * (pairs.qualified & ~pairs.liked) + self.liked * pairs.liked
        c = c + self.added * pairs.added + self.shared * pairs.shared - self.skipped * pairs.skipped
        plays = pairs.count.astype(np.float64)
        match self.transform:
            case "log":
                c = c + self.scale * np.log1p(plays)
            case "capped":
                c = c + self.scale * (np.minimum(plays, self.cap) / self.cap)
            case "bm25":
                total = np.bincount(pairs.user, plays)[pairs.user]
                saturation = self.k1 * (1 - self.b + self.b * total / max(statistics.plays, 1e-9))
                c = c + self.scale * (plays * (self.k1 + 1) / (plays + saturation))
            case "activation":
                c = c + self.scale * base_level_activation(pairs, self.activation_decay)
        c = np.maximum(c, _MIN_POSITIVE)
        c = np.where(
            pairs.is_positive, c * pairs.weight, -np.where(pairs.disliked, self.disliked, self.skipped * pairs.skipped)
        )
        if self.rare:
            c = c * np.log1p(max(statistics.users, 1) / np.maximum(listeners[pairs.track], 1))
        if self.half_life:
            age = np.maximum(statistics.newest - pairs.newest, 0) / DAY_SECONDS
            c = c * (MIN_DECAY + (1 - MIN_DECAY) * np.exp2(-age / self.half_life))
        return np.asarray(np.where(pairs.is_positive, np.maximum(c, _MIN_POSITIVE), c), np.float32)

    def to_dict(self) -> dict[str, Any]:
        """Return the weights, ready for JSON."""
        return asdict(self)


def base_level_activation(pairs: UserItemPairs, exponent: float) -> NDArray[np.float64]:
    """Compute how present each track is in a listener's memory: Σ age^−exponent over their plays of it.

    This is the base-level activation of ACT-R (Anderson & Schooler, "Reflections of the Environment in Memory", 1991),
    without the logarithm. Of the plays of a pair only the first and the last time are known; the others are taken to be
    spread evenly between them, so that their sum is an integral (Petrov, "Computationally Efficient Approximation of
    the Base-Level Learning Equation in ACT-R", 2006). For an imported total, all of whose plays have one time, that is
    the number of plays times age^−exponent.

    Ages are hours before the listener's newest positive interaction in these pairs, at least one. They need no clock,
    and are the same when a model is trained and when it serves.

    Args:
        pairs: k pairs.
        exponent: how fast a play is forgotten, above 0.

    Returns:
        float64 (k,).
    """
    now = _newest_positive(pairs)
    last, first = (np.maximum((now - time) / HOUR_SECONDS, 1.0) for time in (pairs.newest, pairs.oldest))
    span = first - last
    # The mean of age^-exponent over the ages between the last and the first play; the limit where they are equal.
    if exponent == 1:
        integral = np.log(first / last)
    else:
        integral = (first ** (1 - exponent) - last ** (1 - exponent)) / (1 - exponent)
    mean = np.divide(integral, span, out=last**-exponent, where=span > 1e-6 * first)
    plays = pairs.count.astype(np.float64)
    ends = np.minimum(plays, 1) * last**-exponent + np.clip(plays - 1, 0, 1) * first**-exponent
    return np.asarray(ends + np.maximum(plays - 2, 0) * mean)


def recency(pairs: UserItemPairs, exponent: float) -> NDArray[np.float32]:
    """Compute how much each pair counts for what the listener plays next: (age / 5 minutes)^−exponent, at most 1.

    As in `base_level_activation`, the age of a pair is the time from its newest interaction to the newest positive one
    of the listener.

    Args:
        pairs: k pairs.
        exponent: 0 or above; with 0 all pairs count alike.

    Returns:
        float32 (k,).
    """
    age = np.maximum((_newest_positive(pairs) - pairs.newest) / MIN_RECENCY_AGE, 1.0)
    return np.asarray(age**-exponent, np.float32)


def _newest_positive(pairs: UserItemPairs) -> NDArray[np.int64]:
    """Return the UNIX second of the newest positive interaction of the listener of each pair, int64 (k,)."""
    newest = np.full(int(pairs.user.max(initial=-1)) + 1, pairs.newest.min() if len(pairs) else 0)
    np.maximum.at(newest, pairs.user[pairs.is_positive], pairs.newest[pairs.is_positive])
    return newest[pairs.user]


def confidence_matrix(
    pairs: UserItemPairs,
    shape: tuple[int, int],
    confidence: ConfidenceWeights,
    statistics: PlayStatistics | None = None,
) -> sp.csr_matrix:
    """Build the matrix that models are fitted on.

    Args:
        pairs: ordered by listener, then track, as `UserItemPairs.from_plays` and `merge` return them.
        shape: (listeners, tracks).
        statistics: those of the pairs by default.

    Returns:
        CSR float32 of `shape`, with the confidence of each pair.
    """
    values = confidence.compute(pairs, count_listeners(pairs, shape[1]), statistics or PlayStatistics.from_pairs(pairs))
    indptr = np.concatenate([[0], np.cumsum(np.bincount(pairs.user, minlength=shape[0]))])
    return sp.csr_matrix((values, pairs.track, indptr), shape)
