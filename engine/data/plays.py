"""Plays: the only input of the engine, as columns of equal length."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, fields
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from engine.data.id_map import IdMap


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
    """

    user: NDArray[np.int64]
    track: NDArray[np.int64]
    count: NDArray[np.float32]
    qualified: NDArray[np.bool_]
    time: NDArray[np.int64]
    signal: NDArray[np.int8]

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


def user_stamps(plays: Plays, users: IdMap) -> NDArray[np.int64]:
    """Return the number of interactions and the newest UNIX second of each user: int64 (users, 2).

    Serving compares them with the listener's interactions to tell whether the stored factors are out of date.
    """
    rows, _ = users.rows(plays.user)
    newest = np.full(len(users), np.iinfo(np.int64).min)
    np.maximum.at(newest, rows, plays.time)
    return np.stack([np.bincount(rows, minlength=len(users)), newest], axis=1).astype(np.int64)
