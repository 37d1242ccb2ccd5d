"""Find plays that may not say anything about a listener's own taste, by when they happen."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

WINDOW_HOURS = 4
MIN_PLAYS, MIN_DAYS = 10, 5
MIN_CONCENTRATION = 0.8  # of the plays of a group are in its window
MAX_SHARE = 0.3  # of all plays; what is more is the listener's taste, whenever they play it
MAX_CHANCE = 1e-3
MAX_MIXED = 0.5  # of its plays have one of another group within `APART_S` seconds
APART_S = 1_800
MAX_OVERLAP = 0.5  # of the plays of a habit with those of a clearer one
HOUR, DAY = 3_600, 86_400
Integers = NDArray[np.int64]


class Habit(NamedTuple):
    """Plays of one group, such as a tag, that nearly always happen in the same few hours of the day.

    Attributes:
        group: its number.
        hour: the one with most of its plays, 0 to 23, UTC.
        first_hour: the first of the `WINDOW_HOURS` hours, 0 to 23, UTC.
        plays: the indices of its plays in these hours, ascending.
        chance: how likely such a concentration is for plays that happen when the listener's others do.
    """

    group: int
    hour: int
    first_hour: int
    plays: Integers
    chance: float


def find_habits(time: Integers, group: Integers, play: Integers) -> list[Habit]:
    """Find groups of plays that are concentrated in a few hours of the day and separate from the rest, clearest first.

    A group is one if it has at least `MIN_PLAYS` plays on `MIN_DAYS` days, at most `MAX_SHARE` of all plays, and
    `MIN_CONCENTRATION` of its plays in the `WINDOW_HOURS` hours that hold most of them. If its plays happened when the
    others do, their number in that window would be binomial, with the share that the window has of the others. The
    chance of so many, times the number of windows and of groups that were tried (Bonferroni), must be below
    `MAX_CHANCE`. And at most `MAX_MIXED` of its plays are near one that is not of the group. Of habits that are largely
    the same plays, the clearest stays.

    Args:
        time: of each play, UNIX seconds, int64 (n,).
        group, play: the group numbers from 0 on, and the indices of the plays in them, int64 (m,): a play may be in
            several groups, once in each.
    """
    if not len(group):
        return []
    hour, day = time // HOUR % 24, time // DAY
    groups = int(group.max()) + 1
    all_by_window = _by_window(np.bincount(hour, minlength=24)[None, :])[0]
    by_hour = np.bincount(group * 24 + hour[play], minlength=groups * 24).reshape(groups, 24)
    by_window = _by_window(by_hour)
    totals = np.bincount(group, minlength=groups)
    first_hour = by_window.argmax(axis=1)
    inside = by_window[np.arange(groups), first_hour]
    others = np.maximum(len(time) - totals, 1)
    expected = np.clip((all_by_window[first_hour] - inside) / others, 1 / (others + 1), 1.0)
    chance = np.minimum(binom.sf(inside - 1, totals, expected) * 24 * groups, 1.0)
    is_clear = (totals >= MIN_PLAYS) & (totals <= MAX_SHARE * len(time)) & (chance < MAX_CHANCE)
    is_clear &= inside >= MIN_CONCENTRATION * totals
    habits: list[Habit] = []
    taken = np.zeros(len(time), np.bool_)
    for number in sorted(np.flatnonzero(is_clear).tolist(), key=lambda number: (chance[number], number)):
        own = np.sort(play[group == number])
        own = own[(hour[own] - first_hour[number]) % 24 < WINDOW_HOURS]
        if len(np.unique(day[own])) < MIN_DAYS or taken[own].mean() > MAX_OVERLAP:
            continue
        if _is_near(time[own], np.delete(time, play[group == number])).mean() <= MAX_MIXED:
            taken[own] = True
            habits.append(
                Habit(number, int(by_hour[number].argmax()), int(first_hour[number]), own, float(chance[number]))
            )
    return habits


def _is_near(time: Integers, others: Integers) -> NDArray[np.bool_]:
    """Return whether one of the other times is within `APART_S` of each time: bool (k,)."""
    ordered = np.sort(others)
    after = np.searchsorted(ordered, time - APART_S)
    return np.searchsorted(ordered, time + APART_S, side="right") > after


def _by_window(by_hour: Integers) -> Integers:
    """Add up the plays of the hours of each window, which begin at the hour of its column: int64 (g, 24)."""
    return np.asarray(np.sum([np.roll(by_hour, -offset, axis=1) for offset in range(WINDOW_HOURS)], axis=0))
