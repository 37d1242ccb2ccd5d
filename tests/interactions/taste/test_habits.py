"""Habits: plays that happen in the same few hours, apart from the rest."""

import numpy as np
import pytest

from interactions.taste.habits import DAY, HOUR, find_habits


def make_plays(hours: list[int], days: int, minute: int = 0) -> list[int]:
    return [1_767_225_600 + day * DAY + hour * HOUR + minute * 60 for day in range(days) for hour in hours]


def find(**groups: list[int]) -> list[tuple[str, int, int]]:
    """Return the name, the first hour and the number of plays of each habit."""
    time = np.array([second for plays in groups.values() for second in plays], np.int64)
    group = np.repeat(np.arange(len(groups)), [len(plays) for plays in groups.values()])
    habits = find_habits(time, group, np.arange(len(time)))
    names = list(groups)
    return [(names[habit.group], habit.hour, len(habit.plays)) for habit in habits]


EVERYWHERE = make_plays([8, 10, 12, 14, 16, 18], 20)


def test_plays_in_the_same_hours_apart_from_the_rest_are_a_habit() -> None:
    assert find(songs=EVERYWHERE, lullabies=make_plays([22], 14)) == [("lullabies", 22, 14)]
    over_midnight = make_plays([23], 6) + make_plays([0, 1], 4)
    assert find(songs=EVERYWHERE, sleep=over_midnight) == [("sleep", 23, 14)]


@pytest.mark.parametrize(
    ("why", "plays"),
    [
        ("too few", make_plays([22], 9)),
        ("on too few days", make_plays([21, 22, 23], 4)),
        ("not concentrated", make_plays([22], 14) + make_plays([9], 5)),
        ("when everything is played", make_plays([14], 14)),
        ("too much to be an exception", make_plays([21, 22, 23], 20)),
    ],
)
def test_other_plays_are_none(why: str, plays: list[int]) -> None:
    assert find(songs=EVERYWHERE, others=plays) == [], why


def test_of_groups_with_the_same_plays_the_clearest_is_the_habit() -> None:
    time = np.array(EVERYWHERE + make_plays([22], 14), np.int64)
    own = np.arange(len(EVERYWHERE), len(time))
    group = np.concatenate([np.zeros(14, np.int64), np.ones(12, np.int64), np.full(len(EVERYWHERE), 2)])
    play = np.concatenate([own, own[:12], np.arange(len(EVERYWHERE))])
    [habit] = find_habits(time, group, play)
    assert (habit.group, habit.plays.tolist()) == (0, own.tolist())
    assert find_habits(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64)) == []
