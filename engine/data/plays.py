"""Plays: the only input of the engine, as columns of equal length."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields
from enum import IntEnum
from functools import partial

import numpy as np
from numpy.typing import NDArray

from engine.data.id_map import IdMap

_no_flags: Callable[[], NDArray[np.bool_]] = partial(np.zeros, 0, np.bool_)  # type: ignore[assignment]
_no_weights: Callable[[], NDArray[np.float32]] = partial(np.zeros, 0, np.float32)  # type: ignore[assignment]


class InsufficientPlays(ValueError):
    """The plays do not suffice to train or to choose a model; the message says why, and what to do."""


class Signal(IntEnum):
    """The kind of an interaction.

    Of LIKE, UNLIKE, DISLIKE and UNDISLIKE only the newest counts, and so does only the newest of ADD and REMOVE.
    """

    PLAY = 0
    SKIP = 1
    LIKE = 2
    UNLIKE = 3
    DISLIKE = 4
    UNDISLIKE = 5
    SHARE = 6
    ADD = 7  # to a playlist
    REMOVE = 8  # from a playlist


@dataclass(frozen=True)
class Plays:
    """Interactions, one row each. Among rows of the same second, the later row is the newer one.

    Attributes:
        user, track: int64, ids.
        count: float32, how many plays the row stands for: 1 for an event, n for an imported total.
        qualified: bool, whether at least 75 % was heard or the track was completed.
        time: int64, UNIX seconds.
        signal: int8, a `Signal`.
        shuffled: bool, whether the player chose the track at random, so that its place in the order says nothing; all
            False by default.
        weight: float32, by how much the listener wants the track to count more or less than it would, above 0; equal
            in all rows of a listener and a track, and 1 by default.
    """

    user: NDArray[np.int64]
    track: NDArray[np.int64]
    count: NDArray[np.float32]
    qualified: NDArray[np.bool_]
    time: NDArray[np.int64]
    signal: NDArray[np.int8]
    shuffled: NDArray[np.bool_] = field(default_factory=_no_flags)
    weight: NDArray[np.float32] = field(default_factory=_no_weights)

    def __post_init__(self) -> None:
        if not len(self.shuffled):
            object.__setattr__(self, "shuffled", np.zeros(len(self.user), np.bool_))
        if not len(self.weight):
            object.__setattr__(self, "weight", np.ones(len(self.user), np.float32))

    def __len__(self) -> int:
        return len(self.user)

    @classmethod
    def empty(cls) -> Plays:
        return cls.from_rows([])

    @classmethod
    def from_rows(cls, rows: Iterable[tuple[int, int, float, bool, int]]) -> Plays:
        """Build plays from `(user, track, count, qualified, time)` tuples; for single chunks and tests."""
        user, track, count, qualified, time = zip(*rows, strict=True) if (rows := list(rows)) else [()] * 5
        return cls(
            np.array(user, np.int64),
            np.array(track, np.int64),
            np.array(count, np.float32),
            np.array(qualified, np.bool_),
            np.array(time, np.int64),
            np.full(len(user), Signal.PLAY, np.int8),
        )

    @classmethod
    def concatenate(cls, chunks: Iterable[Plays]) -> Plays:
        """Join chunks, in their order."""
        parts = list(chunks) or [cls.empty()]
        return cls(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(cls)))

    def where(self, selection: NDArray[np.bool_] | NDArray[np.int64] | slice) -> Plays:
        """Return the rows that a mask bool (n,), a slice, or row numbers int64 (k,) select, in that order."""
        return Plays(*(getattr(self, f.name)[selection] for f in fields(self)))

    def fingerprint(self) -> str:
        """Return 32 hex digits that are equal for the same rows in the same order."""
        digest = hashlib.blake2b(digest_size=16)
        for f in fields(self):
            digest.update(np.ascontiguousarray(getattr(self, f.name)).tobytes())
        return digest.hexdigest()


def checksum_rows(plays: Plays) -> NDArray[np.uint64]:
    """Return a number for each row, uint64 (n,), that depends on its track, signal and weight alone.

    The sum of those of a history, modulo 2^64, tells apart two histories of the same length and end. The numbers are
    spread by the finalizer of SplitMix64 (Steele, Lea & Flood 2014), so that sums of other tracks hardly ever agree.
    """
    x = plays.track.astype(np.uint64) << np.uint64(4) | plays.signal.astype(np.uint64)
    x ^= plays.weight.view(np.uint32).astype(np.uint64) << np.uint64(32)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(x ^ (x >> np.uint64(31)))


def user_stamps(plays: Plays, users: IdMap) -> NDArray[np.int64]:
    """Return the number of interactions of each user, the newest UNIX second, and a checksum: int64 (users, 3).

    Serving compares them with the listener's interactions to tell whether the stored factors are out of date. The
    checksum notices that a listener has left out some interactions and counts others, as many and as old.
    """
    rows, _ = users.rows(plays.user)
    newest = np.full(len(users), np.iinfo(np.int64).min)
    np.maximum.at(newest, rows, plays.time)
    checksums = np.zeros(len(users), np.uint64)
    np.add.at(checksums, rows, checksum_rows(plays))
    counts = np.bincount(rows, minlength=len(users)).astype(np.int64)
    return np.stack([counts, newest, checksums.view(np.int64)], axis=1)
