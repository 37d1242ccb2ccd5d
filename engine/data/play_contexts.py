"""In which context plays happened: on which device, and from which playlist or for which activity."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

HOURS, WEEKDAYS, DEVICE, ACTIVITY = "hours", "weekdays", "device", "activity"
CONTEXT_KINDS = (HOURS, WEEKDAYS, DEVICE, ACTIVITY)
UNKNOWN_CONTEXT = 0


def context_code(kind: str, name: str) -> int:
    """Return the number that stands for a context, the same in every process; `UNKNOWN_CONTEXT` for an empty name.

    Versions store numbers rather than names, which may be those of somebody's playlists.

    Args:
        kind: one of `CONTEXT_KINDS`.
        name: of a device, a playlist or an activity as the events say it; the number of a period or a weekday.
    """
    if not name:
        return UNKNOWN_CONTEXT
    digest = hashlib.blake2b(f"{kind}:{name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


@dataclass(frozen=True)
class PlayContexts:
    """The plays whose device or activity is known, one row each, in any order.

    Attributes:
        user, track: int64 (n,), ids.
        time: int64 (n,), UNIX seconds.
        device, activity: int64 (n,), see `context_code`.
    """

    user: NDArray[np.int64]
    track: NDArray[np.int64]
    time: NDArray[np.int64]
    device: NDArray[np.int64]
    activity: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.user)

    @classmethod
    def empty(cls) -> PlayContexts:
        return cls(*(np.zeros(0, np.int64) for _ in fields(cls)))

    def where(self, selection: NDArray[np.bool_]) -> PlayContexts:
        """Return the rows that a mask bool (n,) selects."""
        return PlayContexts(*(getattr(self, f.name)[selection] for f in fields(self)))

    def fingerprint(self) -> str:
        """Return 32 hex digits that are equal for the same rows in the same order."""
        digest = hashlib.blake2b(digest_size=16)
        for f in fields(self):
            digest.update(np.ascontiguousarray(getattr(self, f.name)).tobytes())
        return digest.hexdigest()
