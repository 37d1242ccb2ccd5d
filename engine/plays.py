"""Plays: the engine's only input, as columns of equal length."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Plays:
    """One row an interaction.

    user, track: int64 outside ids · count: float32, plays the row stands for (1 for an event, n for an imported
    total) · qualified: bool, heard to 75 % or completed · time: int64, UNIX seconds · liked: bool, the row is a like.
    """

    user: NDArray[np.int64]
    track: NDArray[np.int64]
    count: NDArray[np.float32]
    qualified: NDArray[np.bool_]
    time: NDArray[np.int64]
    liked: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.user)

    @classmethod
    def empty(cls) -> Plays:
        return cls.from_rows([])

    @classmethod
    def from_rows(cls, rows: Iterable[tuple[int, int, float, bool, int]]) -> Plays:
        """From `(user, track, count, qualified, time)` tuples, none of them a like; for one chunk, or for tests."""
        user, track, count, qualified, time = zip(*rows, strict=True) if (rows := list(rows)) else [()] * 5
        return cls(
            np.array(user, np.int64),
            np.array(track, np.int64),
            np.array(count, np.float32),
            np.array(qualified, np.bool_),
            np.array(time, np.int64),
            np.zeros(len(user), np.bool_),
        )

    @classmethod
    def concatenate(cls, chunks: Iterable[Plays]) -> Plays:
        parts = list(chunks) or [cls.empty()]
        return cls(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(cls)))

    def where(self, mask: NDArray[np.bool_] | NDArray[np.int64] | slice) -> Plays:
        """The rows for which `mask` bool (n,) is true; or those of a slice, or int64 (k,) rows in their order."""
        return Plays(*(getattr(self, f.name)[mask] for f in fields(self)))

    def fingerprint(self) -> str:
        """The same rows in the same order give the same 32 hex digits."""
        digest = hashlib.blake2b(digest_size=16)
        for f in fields(self):
            digest.update(np.ascontiguousarray(getattr(self, f.name)).tobytes())
        return digest.hexdigest()
