"""Read training, validation and test data from TSV files with a header line: `user item [weight] [time]`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.data.plays import Plays
from engine.data.user_item_pairs import UserItemPairs

WEIGHT_COLUMNS = {"weight", "count", "plays", "rating", "playcount"}
TIME_COLUMNS = {"time", "timestamp", "ts"}
Table = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""The columns user, item, weight and time of a file."""


@dataclass(frozen=True)
class ThreeWaySplit:
    """Training, validation and test data with the same row numbers.

    Attributes:
        shape: (listeners, tracks).
    """

    train: UserItemPairs
    valid: UserItemPairs
    test: UserItemPairs
    shape: tuple[int, int]

    def with_validation_in_training(self) -> ThreeWaySplit:
        """Return a split to fit the chosen configuration on: the validation data is added to the training data."""
        both = (self.train, self.valid)
        users, items, oldest = (
            np.concatenate([getattr(p, name) for p in both]) for name in ("user", "track", "oldest")
        )
        plays = Plays.concatenate(
            Plays(p.user, p.track, p.count, p.qualified, p.newest, np.zeros(len(p), np.int8)) for p in both
        )
        return ThreeWaySplit(UserItemPairs.merge(users, items, plays, oldest), self.valid, self.test, self.shape)


def read_split(train: Path, valid: Path, test: Path) -> ThreeWaySplit:
    """Read the three files; ids may be any text.

    Raises:
        ValueError: for a file without the columns user and item.
    """
    tables = [_read_table(path) for path in (train, valid, test)]
    users, items = (np.unique(np.concatenate([table[column] for table in tables])) for column in (0, 1))
    pairs = [_to_pairs(table, users, items) for table in tables]
    return ThreeWaySplit(pairs[0], pairs[1], pairs[2], (len(users), len(items)))


def _read_table(path: Path) -> Table:
    with open(path) as f:
        header = f.readline().rstrip("\n").lower().split("\t")
    if len(header) < 2:
        raise ValueError(f"{path}: the header line must name the columns user and item, separated by a tab")
    cells = np.loadtxt(path, dtype=str, delimiter="\t", skiprows=1, ndmin=2, comments=None, usecols=range(len(header)))
    rows = len(cells)
    weight = _read_column(cells, header, WEIGHT_COLUMNS, default=np.ones(rows)).astype(np.float32)
    return cells[:, 0], cells[:, 1], weight, _read_column(cells, header, TIME_COLUMNS, np.zeros(rows)).astype(np.int64)


def _read_column(cells: np.ndarray, header: Sequence[str], names: set[str], default: np.ndarray) -> np.ndarray:
    index = next((i for i, name in enumerate(header[2:], 2) if name in names), None)
    return default if index is None else cells[:, index].astype(np.float64)


def _to_pairs(table: Table, users: np.ndarray, items: np.ndarray) -> UserItemPairs:
    user, item, weight, time = table
    is_play = weight > 0
    user_rows, item_rows = np.searchsorted(users, user[is_play]), np.searchsorted(items, item[is_play])
    zeros = np.zeros(len(user_rows), np.bool_)
    plays = Plays(user_rows, item_rows, weight[is_play], zeros, time[is_play], zeros.astype(np.int8))
    return UserItemPairs.merge(user_rows, item_rows, plays)
