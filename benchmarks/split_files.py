"""Listening histories for accuracy benchmarks: TSV files with a header line, `user item [weight] [time]`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.data.plays import Plays
from engine.data.user_item_pairs import UserItemPairs

WEIGHTS = {"weight", "count", "plays", "rating", "playcount"}
TIMES = {"time", "timestamp", "ts"}


@dataclass(frozen=True)
class ThreeWaySplit:
    """train, valid, test: of the same listeners and tracks; shape: (listeners, tracks)."""

    train: UserItemPairs
    valid: UserItemPairs
    test: UserItemPairs
    shape: tuple[int, int]

    def learnt(self) -> ThreeWaySplit:
        """What to fit once everything has been chosen: valid joins train."""
        both = [_plays(self.train), _plays(self.valid)]
        users, items = (np.concatenate([getattr(p, n) for p in (self.train, self.valid)]) for n in ("user", "track"))
        return ThreeWaySplit(
            UserItemPairs.merge(users, items, Plays.concatenate(both)), self.valid, self.test, self.shape
        )


def read_split(train: Path, valid: Path, test: Path) -> ThreeWaySplit:
    """Ids are words. Raises ValueError for a file without the columns."""
    tables = [_read(path) for path in (train, valid, test)]
    users, items = (np.unique(np.concatenate([table[n] for table in tables])) for n in (0, 1))
    pairs = [_pairs(table, users, items) for table in tables]
    return ThreeWaySplit(pairs[0], pairs[1], pairs[2], (len(users), len(items)))


Table = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def _read(path: Path) -> Table:
    with open(path) as f:
        header = f.readline().rstrip("\n").lower().split("\t")
    if len(header) < 2:
        raise ValueError(f"{path}: the header line names no user and item, separated by a tab")
    cells = np.loadtxt(path, dtype=str, delimiter="\t", skiprows=1, ndmin=2, comments=None, usecols=range(len(header)))
    rows = len(cells)
    weight = _column(cells, header, WEIGHTS, np.ones(rows)).astype(np.float32)
    return cells[:, 0], cells[:, 1], weight, _column(cells, header, TIMES, np.zeros(rows)).astype(np.int64)


def _column(cells: np.ndarray, header: Sequence[str], names: set[str], absent: np.ndarray) -> np.ndarray:
    place = next((i for i, name in enumerate(header[2:], 2) if name in names), None)
    return absent if place is None else cells[:, place].astype(np.float64)


def _pairs(table: Table, users: np.ndarray, items: np.ndarray) -> UserItemPairs:
    user, item, weight, time = table
    kept = weight > 0
    rows = np.searchsorted(users, user[kept]), np.searchsorted(items, item[kept])
    count = len(rows[0])
    plain = np.zeros(count, np.bool_)
    return UserItemPairs.merge(*rows, Plays(*rows, weight[kept], plain, time[kept], plain.astype(np.int8)))


def _plays(pairs: UserItemPairs) -> Plays:
    return Plays(pairs.user, pairs.track, pairs.count, pairs.qualified, pairs.newest, np.zeros(len(pairs), np.int8))
