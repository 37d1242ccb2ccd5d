from dataclasses import replace
from itertools import count

import numpy as np
import pytest

from engine.pipeline import PERSONAL, Caps, Dials, Policy, Trace, recommend
from engine.retrieval.candidates import Query
from tests.engine.shaped_worlds import FIRST_ID, LISTENER_ROW, NOW, make_bundle, make_features, played

POLICY = Policy(
    "traced",
    {"personal": 1.0, "popular": 0.5},
    candidates=3,
    fill=("random",),
    dials=Dials(novelty=0.1, familiarity=0.25),
    caps=Caps(new_artist_share=0.2),
)
BUNDLE = make_bundle(
    [8, 7, 6, 5, 4, 3, 2, 1],
    make_features([0, 0, 0, 1, 2, 3, 4, 5], recording=[1000, 1001, 1002, 1003, 1003, 1005, 1006, 1007]),
    popularity=[50, 40, 30, 20, 10, 5, 2, 1],
)
HISTORY = played([3, 5], [40, 3], disliked=[0])
QUERY = Query(
    limit=4,
    user_row=LISTENER_ROW,
    history=HISTORY,
    exclude=HISTORY.track,
    forbidden=np.array([FIRST_ID]),
    unavailable=np.array([FIRST_ID + 1]),
    now=NOW,
)


@pytest.fixture(scope="module")
def trace() -> Trace:
    ticks = count()
    trace = Trace(timer=lambda: float(next(ticks)))
    recommend(BUNDLE, QUERY, POLICY, trace)
    return trace


def test_a_trace_does_not_change_the_slate(trace: Trace) -> None:
    ranking = recommend(BUNDLE, QUERY, POLICY)
    assert (trace.after, trace.relaxed) == (ranking.picks, ranking.relaxed_at)


def test_a_trace_shows_what_each_source_proposed(trace: Trace) -> None:
    proposals = {source.source: [track_id - FIRST_ID for track_id in source.track_ids] for source in trace.sources[:3]}
    assert proposals == {"repeat": [3], "personal": [2, 6, 7], "popular": [2, 6, 7]}
    assert [(source.weight, source.seconds) for source in trace.sources[:3]] == [(1.0, 1.0), (1.0, 1.0), (0.5, 1.0)]
    assert trace.sources[2].scores == [30, 2, 1]
    assert set(trace.seconds) == {"gather", "score", "place"}


def test_a_trace_says_why_tracks_were_left_out(trace: Trace) -> None:
    reasons = {(f.source, f.track_id - FIRST_ID): f.reason for f in trace.filtered}
    assert reasons[("personal", 0)] == "forbidden"
    assert reasons[("personal", 1)] == "unavailable"
    assert reasons[("repeat", 5)] == "just_played"
    everything = Trace()
    recommend(BUNDLE, QUERY, replace(POLICY, candidates=8), everything)
    reasons = {(f.source, f.track_id - FIRST_ID): f.reason for f in everything.filtered}
    assert {row: reasons[("personal", row)] for row in (3, 4, 5)} == {3: "known", 4: "recording", 5: "known"}


def test_the_value_of_a_candidate_is_the_sum_of_its_parts(trace: Trace) -> None:
    values = [candidate.value for candidate in trace.candidates]
    assert values == sorted(values, reverse=True)
    for candidate in trace.candidates:
        assert candidate.value == pytest.approx(sum(candidate.parts.values()))
        assert set(candidate.parts) == {"relevance", "popular", "novelty"}
    best = trace.candidates[0]
    assert (best.track_id, best.sources) == (FIRST_ID + 2, ("personal", "popular"))
    assert best.parts == pytest.approx({"relevance": 1, "popular": 0.5, "novelty": 0.1 * np.log(50 / 30) / np.log(50)})


def test_the_value_of_a_candidate_of_the_head_has_no_part_of_dials() -> None:
    trace = Trace()
    recommend(BUNDLE, QUERY, replace(POLICY, candidates=8, head=2), trace)
    assert [candidate.parts["novelty"] > 0 for candidate in trace.candidates] == [False, False, True]
    for candidate in trace.candidates:
        assert candidate.value == pytest.approx(sum(candidate.parts.values()))


def test_a_trace_shows_the_slate_before_and_after_ranking() -> None:
    trace = Trace()
    bundle = make_bundle([4, 3, 2], make_features([1, 1, 2]))
    recommend(bundle, Query(3, user_row=LISTENER_ROW), PERSONAL, trace)
    assert [pick.track_id - FIRST_ID for pick in trace.before] == [0, 1, 2]
    assert [pick.track_id - FIRST_ID for pick in trace.after] == [0, 2, 1]


def test_a_trace_shows_what_new_artists_cost() -> None:
    trace = Trace()
    bundle = make_bundle([5, 4, 3], make_features([1, 2, 3]), popularity=[60, 60, 1])
    policy = Policy("p", {"personal": 1.0}, caps=Caps(new_artist_share=0.5))
    recommend(bundle, Query(2, user_row=LISTENER_ROW), policy, trace)
    assert [pick.track_id - FIRST_ID for pick in trace.after] == [0, 2]
    assert trace.new_artist_cost == {1: pytest.approx(0.5)}
