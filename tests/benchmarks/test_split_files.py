from pathlib import Path

import numpy as np
import pytest

from benchmarks.split_files import ThreeWaySplit, read_split
from engine.data.user_item_pairs import UserItemPairs

Pair = tuple[int, int]


@pytest.fixture
def split(tmp_path: Path) -> ThreeWaySplit:
    """Return 10 listeners with 14 dated tracks to train on, 2 to validate and 4 to test."""
    files = {"train": range(14), "valid": range(14, 16), "test": range(16, 20)}
    for name, tracks in files.items():
        lines = [f"u{user}\tt{(user + track) % 25:02}\t{100 + track}" for user in range(10) for track in tracks]
        (tmp_path / f"{name}.tsv").write_text("user\titem\ttime\n" + "\n".join(lines) + "\n")
    return read_split(*(tmp_path / f"{name}.tsv" for name in files))


def pairs_of(pairs: UserItemPairs) -> set[Pair]:
    return set(zip(pairs.user.tolist(), pairs.track.tolist(), strict=True))


def test_a_choice_is_made_on_as_many_tracks_per_listener_as_the_test_has(split: ThreeWaySplit) -> None:
    assert split.validation_share == 0.5
    to_choose_on = split.with_validation_like_test(seed=1)
    assert to_choose_on.validation_share == 1.0
    assert np.bincount(to_choose_on.valid.user).tolist() == [4] * 10
    assert pairs_of(to_choose_on.valid) > pairs_of(split.valid)
    assert pairs_of(to_choose_on.train) | pairs_of(to_choose_on.valid) == pairs_of(split.train) | pairs_of(split.valid)
    assert not pairs_of(to_choose_on.train) & pairs_of(to_choose_on.valid)
    assert to_choose_on.train.newest.max() == 100 + 11  # the newest were moved


def test_nothing_is_moved_where_there_are_enough_tracks_to_validate_on(split: ThreeWaySplit) -> None:
    swapped = ThreeWaySplit(split.train, split.test, split.valid, split.shape)
    to_choose_on = swapped.with_validation_like_test(seed=1)
    assert pairs_of(to_choose_on.train) == pairs_of(split.train)
    assert pairs_of(to_choose_on.valid) == pairs_of(split.test)


def test_the_validation_data_can_be_added_to_the_training_data(split: ThreeWaySplit) -> None:
    assert pairs_of(split.with_validation_in_training().train) == pairs_of(split.train) | pairs_of(split.valid)
