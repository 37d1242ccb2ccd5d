"""Workspaces of queries: arrays as long as the catalogue, which are reused, and the tracks that a query leaves out."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from engine.data.id_map import IdMap

Rows = NDArray[np.int64]
Result = TypeVar("Result")
# Why a track is left out. Bits, because several reasons may hold for one track.
FORBIDDEN, EXCLUDED, TAKEN, VOTED = 1, 2, 4, 8
MAX_MASKS = 64  # masks kept in memory, one byte per track each


@dataclass(frozen=True)
class ExclusionMask:
    """Tracks that are never offered, shared by many queries.

    Attributes:
        excluded: bool (n,).
        only: all other rows are excluded, int64 (k,), ascending; None if the query is not restricted to some rows.
    """

    excluded: NDArray[np.bool_]
    only: Rows | None = None

    @cached_property
    def available_bits(self) -> NDArray[np.uint8]:
        """The tracks that are not excluded as a bitmap, lowest bit first, as faiss reads it."""
        return np.packbits(~self.excluded, bitorder="little")

    @cached_property
    def available_share(self) -> float:
        return float(np.mean(~self.excluded))


@dataclass
class SearchWorkspace:
    """The arrays of one query over n tracks.

    Attributes:
        flags: the reasons why a row is left out, 0 for available ones, uint8 (n,).
        slots: scratch space with arbitrary content, int32 (n,).
        mask: further rows to leave out.
    """

    flags: NDArray[np.uint8]
    slots: NDArray[np.int32]
    mask: ExclusionMask | None = None
    _rows_by_reason: dict[int, list[Rows]] = field(default_factory=dict)
    _results: dict[tuple[str, int], tuple[object, Any]] = field(default_factory=dict)

    def exclude(self, rows: Rows, reason: int) -> None:
        """Leave rows out for a reason; the array must not change until they are readmitted."""
        self.flags[rows] |= np.uint8(reason)
        self._rows_by_reason.setdefault(reason, []).append(rows)

    def readmit(self, reason: int) -> None:
        """Drop a reason from all rows that were excluded for it."""
        for rows in self._rows_by_reason.pop(reason, ()):
            self.flags[rows] &= np.uint8(~reason & 0xFF)

    def remember(self, name: str, query: object, compute: Callable[[], Result]) -> Result:
        """Return what several steps of one query need, computed by the first of them."""
        key = name, id(query)  # the entry holds the query, so that no other one gets its id meanwhile
        if key not in self._results:
            self._results[key] = query, compute()
        return cast(Result, self._results[key][1])

    def recall(self, name: str, query: object) -> Any:
        """Return what has been remembered under a name for a query; None if nothing has."""
        return self._results.get((name, id(query)), (query, None))[1]

    def available(self, rows: NDArray[np.integer]) -> NDArray[np.bool_]:
        """Return which of the rows, (k,), may be offered: bool (k,)."""
        available: NDArray[np.bool_] = self.flags[rows] == 0
        return available if self.mask is None else available & ~self.mask.excluded[rows]

    @property
    def only(self) -> Rows | None:
        """The available ones of the rows to which the query is restricted, int64 (k,), ascending; None if it is not."""
        only = None if self.mask is None else self.mask.only
        return None if only is None else only[self.available(only)]

    @property
    def unavailable(self) -> NDArray[np.bool_]:
        """A mask of the rows of the whole catalogue that must not be offered: bool (n,)."""
        unavailable: NDArray[np.bool_] = self.flags != 0
        return unavailable if self.mask is None else unavailable | self.mask.excluded

    @property
    def excluded_rows(self) -> Rows:
        """All rows excluded for a reason, some of them possibly twice; without those of the mask."""
        return np.concatenate([np.zeros(0, np.int64), *(r for rows in self._rows_by_reason.values() for r in rows)])


@dataclass
class WorkspacePool:
    """The workspaces and masks of one version in one process.

    Threads may share it: each takes a workspace that no other uses, or creates one.
    """

    items: IdMap
    _workspaces: list[SearchWorkspace] = field(default_factory=list)
    _masks: dict[tuple[int, int], tuple[list[weakref.ref[Rows]], ExclusionMask]] = field(default_factory=dict)

    @contextmanager
    def borrow(self) -> Iterator[SearchWorkspace]:
        """Yield a workspace that excludes nothing yet."""
        try:
            workspace = self._workspaces.pop()
        except IndexError:
            n = len(self.items)
            workspace = SearchWorkspace(np.zeros(n, np.uint8), np.empty(n, np.int32))
        yield workspace
        # After an exception the workspace is not cleared and not put back.
        workspace.flags[workspace.excluded_rows] = 0
        self._workspaces.append(SearchWorkspace(workspace.flags, workspace.slots))

    def mask(self, unavailable: Rows, only: Rows | None = None) -> ExclusionMask | None:
        """Return the mask of unavailable tracks, and of all but some if there is a restriction; None if it is empty.

        The ids are looked up once per pair of arrays, so the same arrays must be passed again and never be written to.

        Args:
            unavailable: track ids, int64 (k,).
            only: ids of the only tracks that may be offered, int64 (m,).
        """
        if only is None and not len(unavailable):
            return None
        arrays = [array for array in (unavailable, only) if array is not None]
        key = id(unavailable), id(only)
        cached = self._masks.get(key)
        if cached is not None and all(ref() is array for ref, array in zip(cached[0], arrays, strict=True)):
            return cached[1]
        if only is None:
            mask = ExclusionMask(np.zeros(len(self.items), np.bool_))
        else:
            rows = np.unique(self.items.known_rows(only))
            mask = ExclusionMask(np.ones(len(self.items), np.bool_), rows)
            mask.excluded[rows] = False
        mask.excluded[self.items.known_rows(unavailable)] = True
        alive = {key: entry for key, entry in self._masks.items() if all(ref() is not None for ref in entry[0])}
        newest = dict(list(alive.items())[-MAX_MASKS + 1 :])
        self._masks = newest | {key: ([*map(weakref.ref, arrays)], mask)}  # one assignment, for threads may race
        return mask
