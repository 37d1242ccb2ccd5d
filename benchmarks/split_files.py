"""Read training, validation and test data from TSV files with a header line: `user item [weight] [time]`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.data.plays import Plays
from engine.data.split import hold_out_count
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

    @property
    def validation_share(self) -> float:
        """The number of validation tracks per listener, relative to that of test tracks."""
        return _tracks_per_listener(self.valid) / max(_tracks_per_listener(self.test), 1e-9)

    def with_validation_like_test(self, seed: int) -> ThreeWaySplit:
        """Return a split to choose on, with about as many validation tracks per listener as there are test tracks.

        Missing ones are moved from the training data: the newest tracks if they are dated, otherwise random ones.
        Of the test data, only the number of tracks per listener is used.
        """
        missing = _tracks_per_listener(self.test) * len(np.unique(self.train.user)) - len(self.valid)
        moved = hold_out_count(_to_plays(self.train), "time", missing, seed).future
        pair_ids = (pairs.user * self.shape[1] + pairs.track for pairs in (self.train, moved))
        is_moved = np.isin(*pair_ids)
        valid = _merge(self.valid, self.train.where(is_moved))
        return ThreeWaySplit(self.train.where(~is_moved), valid, self.test, self.shape)

    def with_validation_in_training(self) -> ThreeWaySplit:
        """Return a split to fit the chosen configuration on: the validation data is added to the training data."""
        return ThreeWaySplit(_merge(self.train, self.valid), self.valid, self.test, self.shape)


def _tracks_per_listener(pairs: UserItemPairs) -> float:
    return len(pairs) / max(len(np.unique(pairs.user)), 1)


def _to_plays(pairs: UserItemPairs) -> Plays:
    signal = np.zeros(len(pairs), np.int8)
    return Plays(pairs.user, pairs.track, pairs.count, pairs.qualified, pairs.newest, signal)


def _merge(*parts: UserItemPairs) -> UserItemPairs:
    plays, oldest = Plays.concatenate(map(_to_plays, parts)), np.concatenate([pairs.oldest for pairs in parts])
    return UserItemPairs.merge(plays.user, plays.track, plays, oldest)


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
