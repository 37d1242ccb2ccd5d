"""The hour, the weekday and the device of a request re-weight candidates, as far as a version has learnt that."""

from dataclasses import replace

import numpy as np
import pytest

from engine.bundle.model_bundle import ModelBundle
from engine.data.confidence import DAY_SECONDS, HOUR_SECONDS
from engine.data.play_contexts import DEVICE, HOURS, WEEKDAYS
from engine.data.user_item_pairs import UserItemPairs
from engine.listener_query import ListenerState, plan_query
from engine.models.listening_context import fit_context_model
from engine.pipeline import PERSONAL, Dials, Policy, Trace, recommend
from engine.policy import NO_CAPS
from engine.ranking.context import context_directions, unit_vectors, weigh_context
from engine.retrieval.candidates import Query
from engine.training import train
from tests.engine.context_world import (
    CONFIG,
    DAYS,
    EVENING,
    MONDAY,
    MORNING,
    PHONE,
    SPEAKER,
    TRACK_IDS,
    kind_of,
    listening_world,
    tastes,
)

PLAYS, CONTEXTS = listening_world()
LISTENER = 1004
FIRST, SECOND = tastes(4)  # of this listener in the morning, on the speaker, and in the evening, on the phone
BARE = Policy("bare", PERSONAL.sources, dials=Dials(context=1.0), caps=NO_CAPS)


@pytest.fixture(scope="module")
def bundle() -> ModelBundle:
    bundle = train(PLAYS, TRACK_IDS, CONFIG, version="v1").bundle
    assert bundle.context is None
    directions, weights = unit_vectors(bundle, np.arange(len(bundle.items))), {HOURS: 4.0, DEVICE: 4.0}
    return replace(bundle, context=fit_context_model(directions, bundle.items, PLAYS, CONTEXTS, weights))


def ask(bundle: ModelBundle, hour: float, policy: Policy = BARE, **options: int) -> tuple[Query, Policy]:
    history = PLAYS.where(PLAYS.user == LISTENER)
    state = ListenerState(LISTENER, UserItemPairs.from_listener(history), len(history), int(history.time.max()))
    now = MONDAY + DAYS * DAY_SECONDS + int(hour * HOUR_SECONDS)
    return plan_query(bundle, state, policy, limit=4, now=now, **options)


def test_the_own_hours_of_a_listener_decide_what_comes_first(bundle: ModelBundle) -> None:
    for hour, kind in ((MORNING, FIRST), (EVENING, SECOND)):
        query, policy = ask(bundle, hour)
        picks = [pick.track_id for pick in recommend(bundle, query, policy).picks]
        assert kind_of(np.array(picks)).tolist() == [kind] * 4


def test_the_device_adds_to_what_is_played_on_it(bundle: ModelBundle) -> None:
    rows, noon = np.arange(len(bundle.items)), (MORNING + EVENING) / 2 - 0.5
    kinds = kind_of(TRACK_IDS)
    added = {}
    for device in (0, SPEAKER, PHONE):
        with bundle.workspaces.borrow() as workspace:
            values = weigh_context(bundle, ask(bundle, noon, device=device)[0], workspace, rows)
        added[device] = values[kinds == FIRST].mean() - values[kinds == SECOND].mean()
    assert added[PHONE] < added[0] < added[SPEAKER]


def test_answers_of_the_same_hour_are_the_same(bundle: ModelBundle) -> None:
    assert bundle.context is not None
    begin, end, next_hour = (
        context_directions(bundle, ask(bundle, hour)[0], bundle.context)[HOURS] for hour in (9, 9.99, 10)
    )
    np.testing.assert_array_equal(begin, end)
    assert not np.allclose(begin, next_hour)


def test_weekdays_are_those_on_which_the_listener_plays(bundle: ModelBundle) -> None:
    assert bundle.context is not None
    history = PLAYS.where((PLAYS.user == LISTENER) & (PLAYS.time < MONDAY + DAY_SECONDS))
    pairs = UserItemPairs.from_listener(history.where(np.argsort(history.track)))
    mondays = Query(4, history=pairs, now=MONDAY + 7 * DAY_SECONDS)
    tuesdays = replace(mondays, now=MONDAY + 8 * DAY_SECONDS)
    direction = context_directions(bundle, tuesdays, bundle.context)[WEEKDAYS]
    common = context_directions(bundle, replace(tuesdays, history=UserItemPairs.empty()), bundle.context)[WEEKDAYS]
    np.testing.assert_allclose(direction, common)  # nothing is known of their Tuesdays
    own = context_directions(bundle, mondays, bundle.context)[WEEKDAYS]
    assert own.shape == direction.shape


def test_without_a_time_a_device_or_a_learnt_weight_nothing_changes(bundle: ModelBundle) -> None:
    rows = np.arange(len(bundle.items))
    query, policy = ask(bundle, MORNING)
    unknown = replace(query, now=0)
    not_learnt = replace(bundle, context=None)
    with bundle.workspaces.borrow() as workspace:
        assert weigh_context(bundle, query, workspace, rows).any()
        np.testing.assert_array_equal(weigh_context(bundle, unknown, workspace, rows), np.zeros(len(rows)))
        np.testing.assert_array_equal(weigh_context(not_learnt, query, workspace, rows), np.zeros(len(rows)))
    neutral = replace(policy, dials=Dials())
    assert recommend(not_learnt, query, policy).picks == recommend(bundle, query, neutral).picks
    assert PERSONAL.dials.context == 0  # off by default


def test_the_trace_shows_what_the_context_adds_also_in_the_head(bundle: ModelBundle) -> None:
    query, policy = ask(bundle, MORNING, replace(BARE, head=2))
    trace = Trace()
    picks = recommend(bundle, query, policy, trace).picks
    parts = {candidate.track_id: candidate.parts for candidate in trace.candidates}
    assert kind_of(np.array([pick.track_id for pick in picks[:2]])).tolist() == [FIRST, FIRST]
    assert all(parts[pick.track_id]["context"] > 0 for pick in picks[:2])
    for candidate in trace.candidates:
        assert candidate.value == pytest.approx(sum(candidate.parts.values()))
    half = Trace()
    recommend(bundle, query, replace(policy, dials=Dials(context=0.5)), half)
    assert {c.track_id: c.parts["context"] for c in half.candidates} == pytest.approx(
        {track_id: part["context"] / 2 for track_id, part in parts.items()}
    )
