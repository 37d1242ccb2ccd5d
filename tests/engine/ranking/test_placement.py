"""Caps, gaps, shares and merged recordings, in worlds small enough to check every position against all tracks."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.bundle.model_bundle import ModelBundle
from engine.pipeline import NO_CAPS, PERSONAL, Caps, Dials, Pick, Policy, Ranking, append_picks, recommend
from engine.retrieval.candidates import Query
from tests.engine.shaped_worlds import FIRST_ID, LISTENER_ROW, NOW, make_bundle, make_features, played

FILL = ("popular", "random")


@dataclass
class World:
    bundle: ModelBundle
    query: Query
    policy: Policy

    def rank(self, limit: int) -> Ranking:
        return recommend(self.bundle, replace(self.query, limit=limit), self.policy)

    def rows(self, limit: int) -> list[int]:
        return [pick.track_id - FIRST_ID for pick in self.rank(limit).picks]


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Draw a catalogue of up to 40 tracks by up to 6 artists, a listener, and a policy."""
    n = draw(st.integers(1, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    ids = FIRST_ID + np.arange(n)
    recording = np.where(rng.random(n) < draw(st.sampled_from([0, 0.4])), ids[rng.integers(n, size=n)], ids)
    recording = recording[recording - FIRST_ID]
    features = make_features(
        rng.integers(-1, draw(st.integers(0, 5)) + 1, n), recording=recording, released=rng.integers(0, 20_000, n)
    )
    bundle = make_bundle(
        rng.normal(size=n), features, popularity=rng.integers(0, 9, n), vectors=rng.normal(size=(n, 3))
    )
    own = rng.choice(n, rng.integers(0, n // 2 + 1), replace=False)
    history = played(own, rng.integers(0, 48, len(own)), disliked=rng.choice(n, rng.integers(0, 2)))
    share = st.sampled_from([0.0, 0.0, 0.3, 1.0])
    policy = Policy(
        "drawn",
        {"personal": 1.0, "popular": draw(share)},
        candidates=draw(st.sampled_from([3, 200])),
        fill=FILL,
        dials=Dials(draw(share), *(draw(st.sampled_from([0.0, 0.4])) for _ in range(5)), repeat_after_hours=12),
        caps=Caps(
            draw(st.integers(0, 3)), draw(st.integers(1, 8)), draw(st.integers(0, 2)), draw(st.booleans()), draw(share)
        ),
    )
    query = Query(
        limit=0,
        seed=3,
        user_row=LISTENER_ROW,
        history=history,
        exclude=history.track[history.is_positive],
        forbidden=np.append(history.track[history.disliked], FIRST_ID + rng.integers(n, size=rng.integers(0, 3))),
        now=NOW,
    )
    return World(bundle, query, policy)


def breaches(slate: list[int], row: int, world: World) -> set[str]:
    """Return what a track breaks that follows the others of a slate."""
    caps, features, broken = world.policy.caps, world.bundle.features, set()
    artist = features.artist[row]
    same = [position for position, other in enumerate(slate) if artist >= 0 and features.artist[other] == artist]
    if caps.per_artist and sum(position > len(slate) - caps.window for position in same) >= caps.per_artist:
        broken.add("artist_cap")
    if same and len(slate) - same[-1] <= caps.artist_gap:
        broken.add("artist_gap")
    if caps.merge_recordings and features.recording[row] in features.recording[slate]:
        broken.add("recordings")
    return broken


@settings(max_examples=150)
@given(world=worlds(), short=st.integers(0, 12), long=st.integers(12, 45))
def test_a_short_slate_is_the_beginning_of_a_long_one(world: World, short: int, long: int) -> None:
    first, second = world.rank(short), world.rank(long)
    assert first.picks == second.picks[:short] == world.rank(short).picks
    assert set(first.relaxed) == {name for name, index in second.relaxed_at.items() if index < len(first.picks)}


@settings(max_examples=150)
@given(world=worlds(), limit=st.integers(1, 45), lengths=st.lists(st.integers(1, 9), max_size=2))
def test_nothing_is_broken_while_another_track_would_break_less(world: World, limit: int, lengths: list[int]) -> None:
    """The names of what was relaxed are those of what the slate breaks, below pages of some lengths."""
    world.policy = replace(world.policy, candidates=200, dials=replace(world.policy.dials, familiarity=0))
    world.policy = replace(world.policy, caps=replace(world.policy.caps, new_artist_share=0))
    for length in lengths:
        page = [pick.track_id for pick in world.rank(length).picks]
        before = np.append(world.query.before, page).astype(np.int64)
        world.query = replace(world.query, before=before, forbidden=np.append(world.query.forbidden, page))
    above = (world.query.before - FIRST_ID).tolist()
    ranking, slate, broken = world.rank(limit), world.rows(limit), set()
    features, is_allowed = world.bundle.features, np.ones(len(world.bundle.items), bool)
    left_out = np.append(world.query.forbidden, [] if ranking.repeats else world.query.exclude).astype(int) - FIRST_ID
    is_allowed[left_out] = False
    if world.policy.caps.merge_recordings:
        is_allowed &= ~np.isin(features.recording, features.recording[left_out])
    for position, row in enumerate(slate):
        assert is_allowed[row]
        here = breaches([*above, *slate[:position]], row, world)
        others = np.setdiff1d(np.flatnonzero(is_allowed), slate[:position])
        assert not here or all(breaches([*above, *slate[:position]], other, world) for other in others)
        broken |= here
    assert len(slate) == len(set(slate)) == min(limit, np.count_nonzero(is_allowed))
    assert set(ranking.relaxed) == broken


@settings(max_examples=100)
@given(world=worlds(), limit=st.integers(1, 45), above=st.integers(0, 7))
def test_shares_are_kept_or_named_as_relaxed(world: World, limit: int, above: int) -> None:
    """Below an earlier page of some length, too, where they are taken to have been kept."""
    world.query = replace(world.query, before=np.arange(above))
    ranking, slate = world.rank(limit), world.rows(limit)
    if ranking.repeats:
        return
    history = world.query.history
    known = np.isin(slate, history.track[history.is_positive] - FIRST_ID)
    is_new = world.bundle.track_statistics.is_of_new_artist[slate]
    favourites = replace(world, policy=replace(world.policy, dials=replace(world.policy.dials, familiarity=1)))
    has_repeats = any(pick.source == "repeat" for pick in favourites.rank(1).picks)
    assert has_repeats or "familiarity" not in ranking.relaxed
    for name, flags, share in (
        ("familiarity", known, has_repeats * world.policy.dials.familiarity),
        ("new_artist_share", is_new, world.policy.caps.new_artist_share),
    ):
        wanted = np.floor((above + np.arange(len(slate) + 1)) * share + 1e-9)
        wanted = wanted[1:] - wanted[0]
        short = np.flatnonzero(np.cumsum(flags) < wanted)
        if name not in ranking.relaxed and not (name == "new_artist_share" and world.policy.dials.familiarity):
            assert not len(short)
    just_played = history.track[history.newest > NOW - 12 * 3600] - FIRST_ID
    assert not set(just_played.tolist()) & set(slate)


def test_by_default_an_artist_has_two_tracks_in_twenty_positions_and_they_are_never_adjacent() -> None:
    artist = np.repeat(np.arange(12), 5)
    world = World(make_bundle(np.linspace(9, 1, 60), make_features(artist)), Query(0, user_row=LISTENER_ROW), PERSONAL)
    assert world.rows(6) == [0, 5, 1, 6, 10, 15]
    artists = artist[world.rows(20)]
    assert np.bincount(artists).max() == 2
    assert not (artists[1:] == artists[:-1]).any()
    assert world.rank(20).relaxed == ()


@pytest.mark.parametrize("limit", [1, 3, 4, 5, 7])
def test_every_fifth_position_is_for_a_known_track_on_pages_of_any_length(limit: int) -> None:
    history = played([30, 31, 32, 33, 34])
    query = Query(0, user_row=LISTENER_ROW, history=history, exclude=history.track)
    world = World(make_bundle(np.linspace(9, 1, 40), make_features(np.arange(40))), query, PERSONAL)
    slate: list[int] = []
    while len(slate) < 16:
        assert world.rank(limit).relaxed == ()
        slate += world.rows(limit)
        shown = FIRST_ID + np.array(slate)
        world.query = replace(query, before=shown, forbidden=shown)
    assert [position for position, row in enumerate(slate[:16], 1) if row >= 30] == [5, 10, 15]


def test_what_was_relaxed_on_a_page_counts_from_its_beginning() -> None:
    """The page before ends with artists 0 and 1, who have all new tracks that remain; the known ones are others'."""
    history = played([4, 5])
    query = Query(
        0,
        user_row=LISTENER_ROW,
        history=history,
        exclude=history.track,
        forbidden=FIRST_ID + np.arange(2),
        before=FIRST_ID + np.arange(2),
    )
    features = make_features([0, 1, 1, 0, 2, 3])
    policy = replace(PERSONAL, dials=Dials(familiarity=0.5), caps=Caps(per_artist=1, window=3))
    world = World(make_bundle([6, 5, 4, 3, 2, 1], features), query, policy)
    assert (world.rows(4), world.rank(4).relaxed_at) == ([3, 4, 2, 5], {"artist_cap": 0})


def test_one_artist_fills_a_slate_if_there_is_no_other() -> None:
    world = World(make_bundle([3, 2, 1], make_features([4, 4, 4])), Query(0, user_row=LISTENER_ROW), PERSONAL)
    assert world.rows(3) == [0, 1, 2]
    assert world.rank(3).relaxed_at == {"artist_gap": 1, "artist_cap": 2}
    assert world.rank(1).relaxed == ()


def test_tracks_of_unknown_artists_have_no_caps() -> None:
    world = World(make_bundle([3, 2, 1], make_features([-1, -1, -1])), Query(0, user_row=LISTENER_ROW), PERSONAL)
    assert (world.rows(3), world.rank(3).relaxed) == ([0, 1, 2], ())


def test_a_cap_sends_for_popular_tracks_before_it_is_given_up() -> None:
    """Only the tracks of one artist are personal candidates; the others have listeners, but no factors."""
    bundle = make_bundle([5, 4, 3, 0, 0], make_features([1, 1, 1, 2, 3]), popularity=[1, 1, 1, 8, 9])
    ranking = recommend(bundle, Query(4, user_row=LISTENER_ROW), PERSONAL)
    assert [(pick.track_id - FIRST_ID, pick.source) for pick in ranking.picks] == [
        (0, "personal"),
        (4, "popular"),
        (1, "personal"),
        (3, "popular"),
    ]
    assert ranking.relaxed == ()


RECORDINGS = make_features([1, 2, 3, 4], recording=[1000, 1000, 1002, 1003])


def test_a_recording_appears_once_and_only_where_nothing_else_is_left_twice() -> None:
    world = World(make_bundle([4, 3, 2, 1], RECORDINGS), Query(0, user_row=LISTENER_ROW), PERSONAL)
    assert world.rows(3) == [0, 2, 3]
    assert (world.rows(4), world.rank(4).relaxed_at) == ([0, 2, 3, 1], {"recordings": 3})
    world.policy = replace(PERSONAL, caps=NO_CAPS)
    assert world.rows(4) == [0, 1, 2, 3]


@pytest.mark.parametrize("field", ["exclude", "forbidden"])
def test_another_track_of_a_recording_that_the_listener_knows_or_dislikes_is_not_offered(field: str) -> None:
    query = replace(Query(4, user_row=LISTENER_ROW), **{field: np.array([1000])})
    world = World(make_bundle([4, 3, 2, 1], RECORDINGS), query, PERSONAL)
    assert world.rows(4) == [2, 3]


def test_another_track_of_a_recording_takes_the_place_of_one_that_is_gone() -> None:
    query = Query(4, user_row=LISTENER_ROW, gone=np.array([1000]))
    assert World(make_bundle([4, 3, 2, 1], RECORDINGS), query, PERSONAL).rows(4) == [1, 2, 3]


def test_familiarity_spreads_known_tracks_evenly_and_waits_until_they_may_be_repeated() -> None:
    bundle = make_bundle(np.linspace(9, 1, 30), make_features(np.arange(30)))
    history = played([20, 21, 22, 23], [50, 40, 30, 2])
    query = Query(0, user_row=LISTENER_ROW, history=history, exclude=history.track, now=NOW)
    world = World(bundle, query, replace(PERSONAL, dials=Dials(familiarity=0.3)))
    ranking = world.rank(13)
    assert [index for index, pick in enumerate(ranking.picks) if pick.source == "repeat"] == [3, 6, 9]
    assert {pick.track_id - FIRST_ID for pick in ranking.picks if pick.source == "repeat"} == {20, 21, 22}
    assert ranking.relaxed == ()
    assert world.rank(14).relaxed_at == {"familiarity": 13}  # track 23 was played two hours ago
    world.query = replace(query, now=NOW + 11 * 3600)
    assert (world.rank(14).relaxed, 23 in world.rows(14)) == ((), True)


@pytest.mark.parametrize("hours", [[], [2, 3, 4, 5]])
def test_nothing_is_relaxed_for_listeners_without_a_track_that_may_be_repeated(hours: list[int]) -> None:
    bundle = make_bundle(np.linspace(9, 1, 30), make_features(np.arange(30)))
    history = played([20, 21, 22, 23][: len(hours)], hours)
    query = Query(10, user_row=LISTENER_ROW, history=history, exclude=history.track, now=NOW)
    ranking = recommend(bundle, query, PERSONAL)
    only_new = recommend(bundle, query, replace(PERSONAL, dials=replace(PERSONAL.dials, familiarity=0)))
    assert (ranking, ranking.relaxed) == (only_new, ())
    a_year_later = recommend(bundle, replace(query, now=NOW + 365 * 24 * 3600), PERSONAL)
    assert [pick.source for pick in a_year_later.picks].count("repeat") == (2 if hours else 0)


def test_a_slate_of_favourites_ends_with_new_tracks() -> None:
    history = played([1, 3])
    query = Query(0, user_row=LISTENER_ROW, history=history, exclude=history.track, now=NOW)
    world = World(
        make_bundle([5, 4, 3, 2, 1], make_features(range(5))), query, replace(PERSONAL, dials=Dials(familiarity=1))
    )
    assert (set(world.rows(2)), world.rows(5)[2:]) == ({1, 3}, [0, 2, 4])
    assert world.rank(5).relaxed_at == {"familiarity": 2}
    assert not world.rank(5).repeats


@pytest.mark.parametrize(
    ("familiarity", "limit", "repeats"), [(1, 5, False), (1, 6, True), (0.5, 5, True), (0, 5, True)]
)
def test_known_tracks_are_repeats_for_want_of_new_ones_only(familiarity: float, limit: int, repeats: bool) -> None:
    history = played([0, 1, 2, 3, 4])
    query = Query(0, user_row=LISTENER_ROW, history=history, exclude=history.track, now=NOW)
    policy = replace(PERSONAL, dials=Dials(familiarity=familiarity))
    world = World(make_bundle([5, 4, 3, 2, 1], make_features(range(5))), query, policy)
    assert (len(world.rows(limit)), world.rank(limit).repeats) == (5, repeats)


def test_new_artists_get_their_share_and_the_cost_is_traced() -> None:
    """Artists 6 and 7 have 2 of 100 listeners."""
    bundle = make_bundle(
        [8, 7, 6, 5, 4, 3, 2, 1], make_features([0, 1, 2, 3, 4, 5, 6, 7]), popularity=[20, 20, 20, 20, 10, 8, 1, 1]
    )
    world = World(bundle, Query(0, user_row=LISTENER_ROW), replace(PERSONAL, caps=Caps(new_artist_share=0.25)))
    assert world.rows(8) == [0, 1, 2, 6, 3, 4, 5, 7]
    assert world.rank(8).relaxed == ()
    assert world.rank(4).relaxed == ()


def test_picks_that_fill_a_slate_respect_what_stands_before_them() -> None:
    bundle = make_bundle([6, 5, 4, 3, 2, 1], make_features([1, 2, 1, 3, 1, 4]))
    picks = [Pick(FIRST_ID + row, 1.0, "popular", ("popular",)) for row in range(6)]
    start = Ranking(picks[:1])
    filled = append_picks(bundle, start, [picks[2], picks[4], picks[1], picks[3]], Caps(), 4)
    assert [pick.track_id - FIRST_ID for pick in filled.picks] == [0, 1, 2, 3]
    assert filled.relaxed == ()
    filled = append_picks(bundle, start, [picks[2], Pick(1, 0.0, "random")], Caps(), 9)
    assert [pick.track_id for pick in filled.picks] == [FIRST_ID, 1, FIRST_ID + 2]
    filled = append_picks(bundle, start, [picks[2], picks[4]], Caps(), 9)
    assert filled.relaxed_at == {"artist_gap": 1, "artist_cap": 2}
    before = np.array([FIRST_ID + 1, 1, FIRST_ID])
    filled = append_picks(bundle, Ranking(), [picks[2], picks[3], picks[5]], Caps(), 9, before)
    assert [pick.track_id - FIRST_ID for pick in filled.picks] == [3, 2, 5]


ALIKE = np.tile([[1.0, 0.0]], (10, 1))
OTHERS = np.array([[np.cos(angle), np.sin(angle)] for angle in np.linspace(1, 5, 10)])
TWO_KINDS = make_bundle(
    np.arange(20, 0, -1), popularity=np.array([50.0] * 10 + [1.0] * 10), vectors=np.vstack([ALIKE, OTHERS])
)
"""Twenty tracks of two kinds: the most relevant ones are alike and much heard, the others neither."""


@pytest.mark.parametrize("diversity", [0.0, 0.5, 1.0])
def test_dials_act_below_the_head_and_the_head_itself_is_by_relevance(diversity: float) -> None:
    query = Query(limit=10, user_row=LISTENER_ROW)
    dials = Dials(diversity=diversity, novelty=1.0)
    slates = {
        head: [
            pick.track_id - FIRST_ID
            for pick in recommend(TWO_KINDS, query, Policy("p", {"personal": 1.0}, head=head, dials=dials)).picks
        ]
        for head in (0, 4, 10)
    }
    assert slates[0][:4] != [0, 1, 2, 3]
    assert slates[4][:4] == [0, 1, 2, 3]
    assert min(slates[4][4:7]) >= 10
    assert slates[10] == list(range(10))


def test_diversity_that_a_request_asks_for_acts_in_the_head_and_the_other_dials_do_not() -> None:
    policy = Policy("p", {"personal": 1.0}, head=6, caps=NO_CAPS, dials=Dials(diversity=0.5, novelty=1.0))
    world = World(TWO_KINDS, Query(0, user_row=LISTENER_ROW), policy)
    assert world.rows(6) == [0, 1, 2, 3, 4, 5]
    world.query = replace(world.query, head_diversity=0.9)
    bare = World(TWO_KINDS, world.query, replace(policy, head=0, dials=Dials(diversity=0.9)))
    assert world.rows(6) == bare.rows(6)
    assert world.rows(1) == [0]
    assert len(set(world.rows(6)) - set(range(6))) >= 2
    assert world.rows(20)[:6] == world.rows(6)
    assert len(set(world.rows(20))) == 20


def test_the_cap_holds_for_a_head_of_different_tracks() -> None:
    artist = np.where(np.arange(20) >= 10, 7, np.arange(20))  # those that differ are by one artist
    bundle = replace(TWO_KINDS, features=make_features(artist))
    policy = Policy("p", {"personal": 1.0}, head=8, dials=Dials(diversity=1.0))
    world = World(bundle, Query(0, user_row=LISTENER_ROW, head_diversity=1.0), policy)
    assert np.count_nonzero(artist[world.rows(8)] == 7) == 2
    assert world.rank(8).relaxed == ()
