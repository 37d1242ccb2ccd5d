from dataclasses import replace

import numpy as np
import pytest

from engine.data.id_map import IdMap
from engine.data.split import split_plays
from engine.ensemble import ComponentConfig, EnsembleConfig
from engine.models.popularity import Popularity
from engine.models.rp3beta import RP3Beta
from engine.tuning import paired_windows
from engine.tuning.paired_windows import compare_in_windows
from tests.engine.taste_groups import N_TRACKS, taste_group_plays

PLAYS, ITEMS = taste_group_plays(), IdMap.from_ids(np.arange(N_TRACKS))
WALKS, POPULAR = (EnsembleConfig((ComponentConfig(trainer),)) for trainer in (RP3Beta(), Popularity()))


def test_the_better_recipe_wins_in_each_of_four_windows() -> None:
    windows = compare_in_windows(PLAYS, ITEMS, WALKS, POPULAR, holdout=0.2, threads=1)
    assert len(windows) == 4
    assert all(window["mean"] > 2 * window["standard_error"] > 0 for window in windows)
    assert all(80 < window["listeners"] <= 150 for window in windows)
    reverse = compare_in_windows(PLAYS, ITEMS, POPULAR, WALKS, holdout=0.2, threads=1)
    assert [window["mean"] for window in reverse] == pytest.approx([-window["mean"] for window in windows])


def test_both_are_fitted_on_everything_before_each_window_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    newest_fitted, oldest_judged = [], []

    def from_pairs(past, future, *args):  # type: ignore[no-untyped-def]
        newest_fitted.append(past.newest.max())
        oldest_judged.append((future.newest.min(), len(future)))
        return original(past, future, *args)

    original = paired_windows.ValidationMetric.from_pairs
    monkeypatch.setattr(paired_windows.ValidationMetric, "from_pairs", from_pairs)
    compare_in_windows(PLAYS, ITEMS, WALKS, POPULAR, holdout=0.2, threads=1)
    assert newest_fitted == sorted(newest_fitted)
    assert all(fitted < judged for fitted, (judged, _) in zip(newest_fitted, oldest_judged, strict=True))
    assert sum(size for _, size in oldest_judged) == len(split_plays(PLAYS, "time", 0.2, 0).future)


def test_plays_of_one_moment_have_no_windows() -> None:
    at_once = replace(PLAYS, time=np.full(len(PLAYS), 7))
    assert compare_in_windows(at_once, ITEMS, WALKS, POPULAR, holdout=0.2, threads=1) == []
