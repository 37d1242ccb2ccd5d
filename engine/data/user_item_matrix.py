"""Plays → the confidence matrix that models fit."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from functools import cache, cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from engine.data.aggregate import any_of, in_order, last_of
from engine.data.id_map import IdMap
from engine.data.plays import Plays, Signal

Rows = NDArray[np.int64]
Flags = NDArray[np.bool_]
TRANSFORMS = ("none", "log", "capped", "bm25")
DAY = 86_400
# Flags by signal, bool (signals,): a tenth of the time that np.isin takes.
_OPINIONS = np.isin(list(Signal), (Signal.LIKE, Signal.UNLIKE, Signal.DISLIKE, Signal.UNDISLIKE))
_LISTED = np.isin(list(Signal), (Signal.ADD, Signal.REMOVE))
_LEAST = 1e-6  # of a wanted pair, so that the matrix has it
OLDEST = 0.1  # of its confidence is left of the oldest play; without a floor, all of a quiet listener would fade away


@dataclass(frozen=True)
class Pairs:
    """Distinct (listener, track) pairs, and what the interactions of each add up to; every column has length k.

    user, track: int64 rows · qualified: bool, whether any play qualified · count: float32, plays · newest: int64, UNIX
    second of the last interaction · liked, disliked: bool, what was said last · added: bool, in a playlist · shared:
    bool · skipped: bool, ever.
    """

    user: Rows
    track: Rows
    qualified: Flags
    count: NDArray[np.float32]
    newest: NDArray[np.int64]
    liked: Flags
    disliked: Flags
    added: Flags
    shared: Flags
    skipped: Flags

    @classmethod
    def of(cls, plays: Plays, users: IdMap, tracks: IdMap) -> Pairs:
        """What there is to learn: the wanted pairs, ordered by listener, then track; interactions of an unknown
        listener or track are left out."""
        user_rows, user_known = users.rows(plays.user)
        track_rows, track_known = tracks.rows(plays.track)
        known = user_known & track_known
        if not known.all():
            user_rows, track_rows, plays = user_rows[known], track_rows[known], plays.where(known)
        pairs = cls.merge(user_rows, track_rows, plays)
        return pairs if pairs.wanted.all() else pairs.where(pairs.wanted)

    @classmethod
    @cache
    def none(cls) -> Pairs:
        """The same each time."""
        return cls.of_listener(Plays.empty())

    @classmethod
    def of_listener(cls, plays: Plays) -> Pairs:
        """One listener's, wanted or not; `track` holds the outside ids."""
        nobody = np.zeros(len(plays), np.int64)
        if plays.signal.any() or not (plays.track[1:] > plays.track[:-1]).all():
            return cls.merge(nobody, plays.track, plays)
        # Plays and nothing else, of one track after the other, as most histories are: a tenth of the time.
        never = np.zeros(len(plays), np.bool_)
        return cls(nobody, plays.track, plays.qualified, plays.count, plays.time, never, never, never, never, never)

    @classmethod
    def merge(cls, user_rows: Rows, track_rows: Rows, plays: Plays) -> Pairs:
        """Several interactions of a listener with a track become one pair; the ids in `plays` are not looked at."""
        order, begins = in_order(user_rows, track_rows, plays.time)
        starts, group, signal = np.flatnonzero(begins), np.cumsum(begins) - 1, plays.signal[order]
        firsts, lasts = order[starts], order[np.append(starts[1:], len(order))[: len(starts)] - 1]
        opinion, listed = (last_of(signal, group, len(starts), said) for said in (_OPINIONS, _LISTED))
        played = signal == Signal.PLAY
        return cls(
            user_rows[firsts],
            track_rows[firsts],
            any_of(plays.qualified[order] & played, group, len(starts)),
            np.bincount(group, plays.count[order] * played, minlength=len(starts)).astype(np.float32),
            plays.time[lasts],
            opinion == Signal.LIKE,
            opinion == Signal.DISLIKE,
            listed == Signal.ADD,
            any_of(signal == Signal.SHARE, group, len(starts)),
            any_of(signal == Signal.SKIP, group, len(starts)),
        )

    def __len__(self) -> int:
        return len(self.user)

    @cached_property
    def wanted(self) -> Flags:
        """Something speaks for them, and no dislike against: the others are negative where they count at all."""
        return ~self.disliked & ((self.count > 0) | self.liked | self.added | self.shared)

    @cached_property
    def refused(self) -> Flags:
        """Something speaks against them and nothing for them."""
        return self.disliked | (self.skipped & ~self.wanted)

    def where(self, mask: Flags | Rows) -> Pairs:
        return Pairs(*(getattr(self, f.name)[mask] for f in fields(self)))


@dataclass(frozen=True)
class Statistics:
    """What a confidence is measured against, fixed when a version is trained.

    users: listeners with plays · plays: the mean of their totals · pairs: the mean of their distinct tracks · newest:
    UNIX second of the last play.
    """

    users: int = 0
    plays: float = 1.0
    pairs: float = 1.0
    newest: int = 0

    @classmethod
    def of(cls, pairs: Pairs) -> Statistics:
        users = len(np.unique(pairs.user))
        if not users:
            return cls()
        return cls(users, float(pairs.count.sum() / users), len(pairs) / users, int(pairs.newest.max()))


@dataclass(frozen=True)
class Confidence:
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

    def of(self, pairs: Pairs, listeners: NDArray[np.float32], statistics: Statistics) -> NDArray[np.float32]:
        """Float32 (k,): above 0 for a wanted pair, below for a refused one, 0 for one that nothing is known of.
        listeners: float32 (tracks,), how many played each track."""
        c = self.base + self.bonus * (pairs.qualified & ~pairs.liked) + self.liked * pairs.liked
        c = c + self.added * pairs.added + self.shared * pairs.shared - self.skipped * pairs.skipped
        c = np.maximum(c + self.scale * self._amount(pairs, statistics), _LEAST)
        c = np.where(pairs.wanted, c, -np.where(pairs.disliked, self.disliked, self.skipped * pairs.skipped))
        if self.rare:
            c = c * np.log1p(max(statistics.users, 1) / np.maximum(listeners[pairs.track], 1))
        if self.half_life:
            age = np.maximum(statistics.newest - pairs.newest, 0) / DAY
            c = c * (OLDEST + (1 - OLDEST) * np.exp2(-age / self.half_life))
        return np.asarray(np.where(pairs.wanted, np.maximum(c, _LEAST), c), np.float32)

    def parameters(self) -> dict[str, Any]:
        return asdict(self)

    def _amount(self, pairs: Pairs, statistics: Statistics) -> NDArray[np.float64]:
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


def listeners_of(pairs: Pairs, tracks: int) -> NDArray[np.float32]:
    """How many listeners played each track, float32 (tracks,). Listeners, not plays: one fan is not a crowd."""
    return np.bincount(pairs.track, minlength=tracks).astype(np.float32)


def occurrences(pairs: Pairs, shape: tuple[int, int]) -> sp.csr_matrix:
    """CSR float32 of `shape` (listeners, tracks), a 1 for each pair."""
    return sp.csr_matrix((np.ones(len(pairs), np.float32), (pairs.user, pairs.track)), shape)


def confidence_matrix(
    pairs: Pairs, shape: tuple[int, int], confidence: Confidence, statistics: Statistics | None = None
) -> sp.csr_matrix:
    """CSR float32 of `shape` (listeners, tracks), an entry a pair."""
    values = confidence.of(pairs, listeners_of(pairs, shape[1]), statistics or Statistics.of(pairs))
    indptr = np.concatenate([[0], np.cumsum(np.bincount(pairs.user, minlength=shape[0]))])
    return sp.csr_matrix((values, pairs.track, indptr), shape)
