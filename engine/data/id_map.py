"""Outside ids stop here: inside the engine a listener or a track is a row number, always valid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Ids = NDArray[np.int64]
Rows = NDArray[np.int64]
INT64_MAX = np.iinfo(np.int64).max


@dataclass(frozen=True)
class IdMap:
    """Outside ids ↔ row numbers. `ids`: int64 (n,), strictly ascending; row r is `ids[r]`."""

    ids: Ids

    @classmethod
    def from_ids(cls, ids: ArrayLike) -> IdMap:
        """An IdMap of the distinct values of `ids`, in any order."""
        wanted = np.asarray(ids, dtype=np.int64).ravel()
        if not _dense(wanted):
            return cls(np.unique(wanted))
        there = np.zeros(int(wanted.max()) + 1, np.bool_)
        there[wanted] = True
        return cls(np.flatnonzero(there))

    def __len__(self) -> int:
        return len(self.ids)

    def row(self, outside_id: int) -> int | None:
        """The row of one id; None where it is unknown, whatever its size."""
        if not 0 <= outside_id <= INT64_MAX:
            return None
        row = int(self.ids.searchsorted(outside_id))
        return row if row < len(self.ids) and self.ids[row] == outside_id else None

    def rows(self, outside_ids: ArrayLike) -> tuple[Rows, NDArray[np.bool_]]:
        """Rows of many ids: `(rows int64 (k,), known bool (k,))`; an unknown id has row 0 and known False."""
        wanted = np.asarray(outside_ids, dtype=np.int64)
        if not (len(self.ids) and wanted.size):
            return np.zeros(wanted.shape, np.int64), np.zeros(wanted.shape, np.bool_)
        if wanted.size > len(self.ids) and _dense(self.ids, wanted.size):
            return self._rows_by_table(wanted)
        rows = np.minimum(self.ids.searchsorted(wanted), len(self.ids) - 1)
        known = self.ids[rows] == wanted
        return np.where(known, rows, 0), known

    def _rows_by_table(self, wanted: Ids) -> tuple[Rows, NDArray[np.bool_]]:
        """For many ids: a look at a table of all is quicker than a search for each."""
        table = np.full(int(self.ids[-1]) + 2, -1, np.int64)  # the last is nobody's
        table[self.ids] = np.arange(len(self.ids))
        rows = table[np.where((wanted >= 0) & (wanted <= self.ids[-1]), wanted, -1)]
        known = rows >= 0
        return np.where(known, rows, 0), known

    def known_rows(self, outside_ids: ArrayLike) -> Rows:
        """Rows of those of the ids that are known, in their order."""
        rows, known = self.rows(outside_ids)
        return rows[known]


def _dense(ids: Ids, among: int = 0) -> bool:
    """Whether a table up to the greatest id is about as long as the ids, or as those `among` which they are sought."""
    return bool(len(ids) and ids.min() >= 0 and ids.max() < 8 * max(len(ids), among) + 65_536)
