from collections import Counter
from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.data.plays import Plays
from engine.data.split import SPLITTERS, Split, hold_out_count, split_plays

_play = st.tuples(
    st.integers(1, 6), st.integers(1, 8), st.integers(1, 3), st.booleans(), st.integers(1, 40) | st.just(7)
)
some_plays = st.lists(_play, max_size=60).map(Plays.from_rows)
shares = st.sampled_from([0.1, 0.2, 0.5, 0.9])
seeds = st.integers(0, 5)


def rows(plays: Plays) -> list[tuple[object, ...]]:
    columns = (plays.user, plays.track, plays.count, plays.qualified, plays.time)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def tracks_by_user(plays: Plays) -> dict[int, set[int]]:
    tracks: dict[int, set[int]] = {}
    for user, track in zip(plays.user.tolist(), plays.track.tolist(), strict=True):
        tracks.setdefault(user, set()).add(track)
    return tracks


def is_subsequence(part: list[tuple[object, ...]], whole: Iterable[tuple[object, ...]]) -> bool:
    remaining = iter(whole)
    return all(row in remaining for row in part)


@given(plays=some_plays, kind=st.sampled_from(list(SPLITTERS)), share=shares, seed=seeds)
def test_every_play_is_in_exactly_one_part_and_keeps_its_order(
    plays: Plays, kind: str, share: float, seed: int
) -> None:
    _, *parts = split_plays(plays, kind, share, seed)
    assert sum((Counter(rows(part)) for part in parts), Counter()) == Counter(rows(plays))
    assert all(is_subsequence(rows(part), rows(plays)) for part in parts)


@given(plays=some_plays, kind=st.sampled_from(list(SPLITTERS)), share=shares, seed=seeds)
def test_the_same_seed_gives_the_same_split(plays: Plays, kind: str, share: float, seed: int) -> None:
    first, second = (split_plays(plays, kind, share, seed) for _ in range(2))
    assert first.kind == second.kind
    assert [rows(p) for p in first[1:]] == [rows(p) for p in second[1:]]


@given(plays=some_plays, share=shares)
def test_by_time_the_whole_past_is_older_than_the_future(plays: Plays, share: float) -> None:
    kind, past, future, fold_in_plays = split_plays(plays, "time", share, 0)
    assert kind in ("time", "ratio")
    assert not len(fold_in_plays)
    if kind == "time" and len(past) and len(future):
        assert past.time.max() < future.time.min()
        assert len(future) >= share * len(plays) - 1e-9


@given(plays=some_plays, share=shares, seed=seeds)
def test_by_ratio_a_share_of_each_listeners_tracks_is_held_out_but_never_all(
    plays: Plays, share: float, seed: int
) -> None:
    _, past, future, _ = split_plays(plays, "ratio", share, seed)
    before, after = tracks_by_user(past), tracks_by_user(future)
    for user, tracks in tracks_by_user(plays).items():
        held_out = after.get(user, set())
        assert len(held_out) == min(int(share * len(tracks) + 0.5), len(tracks) - 1)
        assert not held_out & before[user]


@given(plays=some_plays)
def test_leave_last_holds_out_the_track_that_was_discovered_last(plays: Plays) -> None:
    kind, past, future, _ = split_plays(plays, "leave_last", 0.2, 0)
    assert kind == "leave_last"
    before, after = tracks_by_user(past), tracks_by_user(future)
    for user, tracks in tracks_by_user(plays).items():
        held_out = after.get(user, set())
        assert len(held_out) == (len(tracks) > 1)
        assert not held_out & before[user]
        first_plays: dict[int, tuple[int, int]] = {}
        for row, (owner, track, time) in enumerate(zip(plays.user, plays.track, plays.time, strict=True)):
            if owner == user:
                first_plays[track] = min(first_plays.get(track, (time, row)), (time, row))
        if held_out:
            assert held_out == {max(first_plays, key=lambda track: first_plays[track])}


@given(plays=some_plays, share=shares, seed=seeds)
def test_new_users_are_not_in_the_past(plays: Plays, share: float, seed: int) -> None:
    kind, past, future, fold_in_plays = split_plays(plays, "new_users", share, seed)
    assert kind == "new_users"
    new = set(future.user.tolist()) | set(fold_in_plays.user.tolist())
    assert not new & set(past.user.tolist())
    assert len(new) == (max(1, round(share * len(set(plays.user.tolist())))) if len(plays) else 0)


def test_the_newest_plays_are_held_out() -> None:
    dated = Plays.from_rows((1, t, 1, True, t) for t in (3, 1, 4, 0, 5, 9, 2, 6, 8, 7))
    kind, past, future, _ = split_plays(dated, "time", 0.2, seed=0)
    assert (kind, past.time.tolist(), future.time.tolist()) == ("time", [3, 1, 4, 0, 5, 2, 6, 7], [9, 8])


@pytest.mark.parametrize("share", [0.2, 0.6])
def test_imported_totals_are_split_by_ratio_instead_of_time(share: float) -> None:
    totals = Plays.from_rows((user, track, 5, True, 77) for user in range(10) for track in range(10))
    kind, past, future, _ = split_plays(totals, "time", share, seed=0)
    assert kind == "ratio"
    assert Counter(future.user.tolist()) == dict.fromkeys(range(10), round(10 * share))
    assert len(past) + len(future) == 100
    assert len(set(future.track.tolist())) > 5  # not the same tracks for every listener


@pytest.mark.parametrize(("listeners", "kind"), [(60, "leave_last"), (40, "time")])
def test_listeners_who_never_return_are_split_by_their_last_track(listeners: int, kind: str) -> None:
    sessions = Plays.from_rows((user, t, 1, True, 100 * user + t) for user in range(listeners) for t in range(10))
    actual, past, future, _ = split_plays(sessions, "time", 0.2, seed=0)
    assert actual == kind
    if kind == "leave_last":
        assert set(future.track.tolist()) == {9}
        assert len(past) == 9 * listeners


@pytest.mark.parametrize(("returning", "kind"), [(20, "leave_last"), (45, "time")])
def test_a_small_installation_most_of_whose_listeners_return_is_split_by_time(returning: int, kind: str) -> None:
    first = [(user, track, 1, True, track) for user in range(60) for track in range(8)]
    later = [(user, 8 + track, 1, True, 100 + track) for user in range(returning) for track in range(3)]
    share = len(later) / (len(first) + len(later))
    assert split_plays(Plays.from_rows([*first, *later]), "time", share, seed=0).kind == kind


def test_the_older_plays_of_new_users_are_for_fold_in_and_the_newer_are_the_future() -> None:
    plays = Plays.from_rows((user, t, 1, True, t) for user in range(10) for t in range(10))
    _, past, future, fold_in_plays = split_plays(plays, "new_users", 0.2, seed=1)
    assert sorted(Counter(past.user.tolist()).values()) == [10] * 8
    assert sorted(fold_in_plays.time.tolist()) == sorted(2 * list(range(8)))
    assert sorted(future.time.tolist()) == [8, 8, 9, 9]


@pytest.mark.parametrize("kind", SPLITTERS)
def test_no_plays_give_empty_parts(kind: str) -> None:
    assert [len(part) for part in split_plays(Plays.empty(), kind, 0.2, 0)[1:]] == [0, 0, 0]


def test_unknown_kinds_and_shares_out_of_range_are_rejected() -> None:
    with pytest.raises(ValueError, match=r"time, ratio, leave_last, new_users.*'weekly'"):
        split_plays(Plays.empty(), "weekly", 0.2, 0)
    for share in (0, 1, 1.5, float("nan")):
        with pytest.raises(ValueError, match="between 0 and 1"):
            split_plays(Plays.empty(), "time", share, 0)


def test_only_a_split_by_user_has_plays_for_fold_in() -> None:
    assert len(Split("time", Plays.empty(), Plays.empty()).fold_in_plays) == 0
    plays = Plays.from_rows((1, t, 1, True, t) for t in range(10))
    assert all(not len(split_plays(plays, kind, 0.2, 0).fold_in_plays) for kind in SPLITTERS if kind != "new_users")


def test_ids_may_be_any_int64() -> None:
    big = np.iinfo(np.int64).max
    plays = Plays.from_rows((user, track, 1, True, 0) for user in (0, big) for track in (1, big - 1, big))
    _, past, future, _ = split_plays(plays, "ratio", 0.4, 0)
    assert (len(past), len(future)) == (4, 2)


@pytest.mark.parametrize("kind", ["ratio", "new_users"])
def test_a_new_play_does_not_change_what_is_held_out_for_other_listeners(kind: str) -> None:
    """The quality gate must not evaluate on plays that the search before it has learned from."""
    rng = np.random.default_rng(4)
    plays = Plays.from_rows((u, t, 1, True, 0) for u in range(50) for t in rng.choice(90, 12, replace=False))
    more = Plays.concatenate([Plays.from_rows([(7, 91, 1, True, 0)]), plays])
    before, after = (split_plays(p, kind, 0.2, seed=3).future for p in (plays, more))
    others = [{(u, t) for u, t in zip(p.user, p.track, strict=True) if u != 7} for p in (before, after)]
    assert others[0] == others[1]


@pytest.mark.parametrize("kind", ["time", "ratio"])
def test_two_splits_in_a_row_hold_out_the_same_number_of_plays_per_listener(kind: str) -> None:
    rng = np.random.default_rng(2)
    plays = Plays.from_rows((u, t, 1, True, rng.integers(10**6)) for u in range(40) for t in range(100))
    for_gate = split_plays(plays, kind, 0.2, seed=3)
    for_choice = hold_out_count(for_gate.past, kind, len(for_gate.future), seed=3)
    assert (for_choice.kind, len(for_gate.future), len(for_choice.future)) == (kind, 800, 800)
    assert len(for_choice.past) == 2400
    counts = (np.bincount(split.future.user) for split in (for_gate, for_choice))
    if kind == "ratio":
        assert [count.tolist() for count in counts] == [[20] * 40] * 2


def test_at_most_half_of_the_plays_are_held_out_by_count() -> None:
    plays = Plays.from_rows((u, t, 1, True, 10 * t + u) for u in range(4) for t in range(10))
    assert [len(hold_out_count(plays, "ratio", count, seed=3).future) for count in (-1, 0, 8, 39, 80)] == [
        *(0, 0, 8, 20, 20)
    ]
    assert len(hold_out_count(Plays.empty(), "ratio", 5, seed=3).future) == 0
