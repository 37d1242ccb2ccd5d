"""Translate ids to row numbers. Inside the engine, listeners and tracks are row numbers, which are always valid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Ids = NDArray[np.int64]
Rows = NDArray[np.int64]
INT64_MAX = np.iinfo(np.int64).max


@dataclass(frozen=True)
class IdMap:
    """A two-way mapping of ids and row numbers.

    Attributes:
        ids: int64 (n,), strictly ascending; `ids[row]` is the id of a row.
    """

    ids: Ids

    @classmethod
    def from_ids(cls, ids: ArrayLike) -> IdMap:
        """Build a map of the distinct values of `ids`, in any order."""
        values = np.asarray(ids, dtype=np.int64).ravel()
        if not _fits_lookup_table(values):
            return cls(np.unique(values))
        is_present = np.zeros(int(values.max()) + 1, np.bool_)
        is_present[values] = True
        return cls(np.flatnonzero(is_present))

    def __len__(self) -> int:
        return len(self.ids)

    def row(self, id_: int) -> int | None:
        """Return the row of an id, or None for an unknown id of any size."""
        if not 0 <= id_ <= INT64_MAX:
            return None
        row = int(self.ids.searchsorted(id_))
        return row if row < len(self.ids) and self.ids[row] == id_ else None

    def rows(self, ids: ArrayLike) -> tuple[Rows, NDArray[np.bool_]]:
        """Return the rows of many ids.

        Args:
            ids: int64 (k,).

        Returns:
            Rows int64 (k,), and bool (k,), whether each id is known. An unknown id has row 0.
        """
        values = np.asarray(ids, dtype=np.int64)
        if not (len(self.ids) and values.size):
            return np.zeros(values.shape, np.int64), np.zeros(values.shape, np.bool_)
        if values.size > len(self.ids) and _fits_lookup_table(self.ids, values.size):
            # For many ids, building a lookup table is quicker than a binary search for each. The table is one entry
            # longer than the greatest id, so that index -1 stands for all ids outside of it.
            table = np.full(int(self.ids[-1]) + 2, -1, np.int64)
            table[self.ids] = np.arange(len(self.ids))
            rows = table[np.where((values >= 0) & (values <= self.ids[-1]), values, -1)]
            is_known = rows >= 0
        else:
            rows = np.minimum(self.ids.searchsorted(values), len(self.ids) - 1)
            is_known = self.ids[rows] == values
        return np.where(is_known, rows, 0), is_known

    def known_rows(self, ids: ArrayLike) -> Rows:
        """Return the rows of the known ids, in the order of `ids`."""
        rows, is_known = self.rows(ids)
        return rows[is_known]

    def extend(self, ids: ArrayLike) -> ExtendedIdMap:
        """Return a map in which the distinct values of `ids`, none of which is known, have the rows after these."""
        further = IdMap.from_ids(ids)
        return ExtendedIdMap(np.concatenate([self.ids, further.ids]), self, further)


@dataclass(frozen=True)
class ExtendedIdMap(IdMap):
    """A map whose ids are ascending in two parts: those that were there first keep their rows.

    Attributes:
        first: rows 0 to n - 1.
        further: rows from n on.
    """

    first: IdMap
    further: IdMap

    def row(self, id_: int) -> int | None:
        if (row := self.first.row(id_)) is not None:
            return row
        row = self.further.row(id_)
        return None if row is None else len(self.first) + row

    def rows(self, ids: ArrayLike) -> tuple[Rows, NDArray[np.bool_]]:
        rows, is_known = self.first.rows(ids)
        if not is_known.all():
            further_rows, is_further = self.further.rows(ids)
            rows = np.where(is_further, len(self.first) + further_rows, rows)
            is_known = is_known | is_further
        return rows, is_known


def _fits_lookup_table(ids: Ids, lookups: int = 0) -> bool:
    """Return whether a table up to the greatest id is not much longer than the ids, or than the number of look-ups."""
    return bool(len(ids) and ids.min() >= 0 and ids.max() < 8 * max(len(ids), lookups) + 65_536)
