"""Directions of contexts, in a space whose axes are two kinds of music."""

from dataclasses import replace

import numpy as np

from engine.data.id_map import IdMap
from engine.data.play_contexts import ACTIVITY, DEVICE, HOURS, WEEKDAYS, PlayContexts, context_code
from engine.data.plays import Plays
from engine.models.listening_context import MIN_PLAYS, ContextModel, fit_context_model, period_of_day, weekday
from tests.engine.context_world import MONDAY

ITEMS = IdMap.from_ids([10, 20])
DIRECTIONS = np.eye(2, dtype=np.float32)
HOUR = 3_600


def alternating_plays(count: int, listeners: int = 5) -> Plays:
    """Return plays of track 10 at seven and of track 20 at eight in the evening, as many of each."""
    rows = [
        (1 + n % listeners, track, 1.0, True, MONDAY + n // listeners * 86_400 + hour * HOUR)
        for n in range(count)
        for track, hour in ((10, 7), (20, 20))
    ]
    return Plays.from_rows(rows)


def contexts_of(plays: Plays, device: str, activity: str) -> PlayContexts:
    code = context_code(DEVICE, device), context_code(ACTIVITY, activity)
    columns = (np.full(len(plays), number, np.int64) for number in code)
    return PlayContexts(plays.user, plays.track, plays.time, *columns)


def test_periods_and_weekdays_are_those_of_utc() -> None:
    times = np.array([0, MONDAY, MONDAY - 1, MONDAY + 3 * HOUR, MONDAY + 24 * HOUR], np.int64)
    assert period_of_day(times).tolist() == [0, 0, 7, 1, 0]
    assert weekday(times).tolist() == [3, 0, 6, 0, 1]  # 1970 began on a Thursday


def test_a_direction_is_the_shrunk_difference_to_the_usual_tracks_of_the_listeners() -> None:
    model = fit_context_model(DIRECTIONS, ITEMS, alternating_plays(100), PlayContexts.empty(), {HOURS: 2.0})
    # 100 plays of track 10, half a unit from the mean of its listeners on either axis, and 100 of the prior
    np.testing.assert_allclose(model.direction(context_code(HOURS, "2")), [0.25, -0.25])
    np.testing.assert_allclose(model.direction(context_code(HOURS, "6")), [-0.25, 0.25])
    np.testing.assert_allclose(model.direction(context_code(WEEKDAYS, "0")), [0, 0], atol=1e-7)
    np.testing.assert_array_equal(model.direction(context_code(HOURS, "3")), [0, 0])  # nobody plays anything
    np.testing.assert_array_equal(ContextModel(model.codes[:0], model.vectors[:0]).direction(1), [0, 0])
    assert dict(model.weights) == {HOURS: 2.0}
    assert model.depends_on_time
    assert not replace(model, weights={DEVICE: 1.0}).depends_on_time


def test_devices_and_activities_need_enough_plays_of_enough_listeners() -> None:
    plays = alternating_plays(MIN_PLAYS)
    phone, jogging = context_code(DEVICE, "phone"), context_code(ACTIVITY, "jogging")
    mornings = plays.where(plays.track == 10)
    for rows, codes in (
        (mornings, {phone, jogging}),
        (mornings.where(slice(1, None)), set()),  # a play too few
        (mornings.where(mornings.user > 1), set()),  # four listeners
    ):
        model = fit_context_model(DIRECTIONS, ITEMS, plays, contexts_of(rows, "phone", "jogging"), {})
        assert codes == {phone, jogging} & set(model.codes.tolist())
    model = fit_context_model(DIRECTIONS, ITEMS, plays, contexts_of(mornings, "phone", ""), {})
    np.testing.assert_allclose(model.direction(phone), [1 / 6, -1 / 6], rtol=1e-6)
    assert jogging not in model.codes


def test_totals_skips_and_tracks_that_are_no_items_do_not_count() -> None:
    plays = alternating_plays(100)
    others = [
        replace(plays, count=np.full(len(plays), 3, np.float32)),
        replace(plays, signal=np.ones(len(plays), np.int8)),
        replace(plays, track=plays.track + 1),
    ]
    expected = fit_context_model(DIRECTIONS, ITEMS, plays, PlayContexts.empty(), {})
    model = fit_context_model(DIRECTIONS, ITEMS, Plays.concatenate([plays, *others]), PlayContexts.empty(), {})
    np.testing.assert_array_equal(model.codes, expected.codes)
    np.testing.assert_array_equal(model.vectors, expected.vectors)
