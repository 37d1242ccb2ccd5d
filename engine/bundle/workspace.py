"""What a query must leave out, and arrays as long as the catalogue that queries borrow instead of making them."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from engine.data.id_map import IdMap

Rows = NDArray[np.int64]
FORBIDDEN, EXCLUDED, TAKEN, VOTED = 1, 2, 4, 8
MOST_MASKS = 64  # long lists that are kept as masks, a byte a track each


@dataclass(frozen=True)
class ExclusionMask:
    """Rows never to offer, shared by queries: bool (n,), and the rows that are left as bits, lowest first."""

    out: NDArray[np.bool_]

    @cached_property
    def bits_left(self) -> NDArray[np.uint8]:
        return np.packbits(~self.out, bitorder="little")

    @cached_property
    def share_left(self) -> float:
        return float(np.mean(~self.out))


@dataclass
class SearchWorkspace:
    """Of n tracks. flags: uint8 (n,), why a row is left out, 0 for the others · slots: int32 (n,), scratch whose
    content means nothing."""

    flags: NDArray[np.uint8]
    slots: NDArray[np.int32]
    mask: ExclusionMask | None = None
    _why: dict[int, list[Rows]] = field(default_factory=dict)

    def add(self, rows: Rows, why: int) -> None:
        self.flags[rows] |= np.uint8(why)
        self._why.setdefault(why, []).append(rows)

    def drop(self, why: int) -> None:
        for rows in self._why.pop(why, ()):
            self.flags[rows] &= np.uint8(~why & 0xFF)

    def free(self, rows: NDArray[np.integer]) -> NDArray[np.bool_]:
        """bool (k,): which of the rows may be taken."""
        free: NDArray[np.bool_] = self.flags[rows] == 0
        return free if self.mask is None else free & ~self.mask.out[rows]

    @property
    def left_out(self) -> Rows:
        """Marked rows, not those of the mask; some may be there twice."""
        marked = [rows for several in self._why.values() for rows in several]
        return np.concatenate(marked) if marked else np.zeros(0, np.int64)

    def clear(self) -> None:
        self.flags[self.left_out] = 0
        self._why, self.mask = {}, None


@dataclass
class WorkspacePool:
    """Of one version in one process. Safe with threads: each takes its own from the pile, or makes one."""

    items: IdMap
    _pile: list[SearchWorkspace] = field(default_factory=list)
    _masks: dict[int, tuple[weakref.ref[Rows], ExclusionMask]] = field(default_factory=dict)

    @contextmanager
    def borrow(self) -> Iterator[SearchWorkspace]:
        n = len(self.items)
        try:
            marks = self._pile.pop()
        except IndexError:
            marks = SearchWorkspace(np.zeros(n, np.uint8), np.empty(n, np.int32))
        yield marks
        marks.clear()  # after an exception it is dirty, and thrown away
        self._pile.append(marks)

    def mask(self, track_ids: Rows) -> ExclusionMask | None:
        """Of the ids, looked up once for each array: it must not be written to. None for an empty one."""
        if not len(track_ids):
            return None
        known = self._masks.get(id(track_ids))
        if known is not None and known[0]() is track_ids:
            return known[1]
        mask = ExclusionMask(np.zeros(len(self.items), np.bool_))
        mask.out[self.items.known_rows(track_ids)] = True
        alive = {key: kept for key, kept in self._masks.items() if kept[0]() is not None}
        newest = dict(list(alive.items())[-MOST_MASKS + 1 :])
        self._masks = newest | {id(track_ids): (weakref.ref(track_ids), mask)}  # one assignment: threads may race
        return mask
