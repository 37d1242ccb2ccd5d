from dataclasses import replace

import numpy as np
import pytest

from engine.data.confidence import DAY_SECONDS
from engine.data.track_features import NO_DATE
from engine.pipeline import NO_CAPS, Dials, Policy, recommend
from engine.ranking.objectives import OBJECTIVES, artist_exposure, calibration, freshness, novelty, weigh_objectives
from engine.retrieval.candidates import Group, Member, Query
from tests.engine.shaped_worlds import FIRST_ID, LISTENER_ROW, NOW, make_bundle, make_features, played

TODAY = NOW // DAY_SECONDS
ROWS = np.arange(4)
BUNDLE = make_bundle(
    [4, 3, 2, 1],
    make_features(
        [1, 1, 2, 3], released=[TODAY, TODAY - 90, NO_DATE, NO_DATE], added=[0, NOW, NOW - 180 * DAY_SECONDS, 0]
    ),
    popularity=[64, 8, 1, 0],
)
QUERY = Query(4, user_row=LISTENER_ROW, history=played([1, 2]), now=NOW)


def test_each_dial_but_those_of_the_whole_slate_has_an_objective() -> None:
    of_the_slate = {"familiarity", "diversity", "repeat_after_hours", "context"}
    assert set(OBJECTIVES) == set(Dials.__dataclass_fields__) - of_the_slate


def test_novelty_is_self_information_in_proportion_to_that_of_a_single_listener() -> None:
    assert novelty(BUNDLE, QUERY, ROWS) == pytest.approx([0, 0.5, 1, 1])


def test_freshness_halves_every_90_days_since_release_or_entry() -> None:
    assert freshness(BUNDLE, QUERY, ROWS) == pytest.approx([1, 0.5, 0.25, 0], abs=0.01)
    later = replace(QUERY, now=NOW - 400 * DAY_SECONDS)  # a track of the future is not fresher than one of today
    assert freshness(BUNDLE, later, ROWS).max() == 1


def test_exposure_is_that_of_all_tracks_of_an_artist() -> None:
    expected = [0, 0, 1 - np.log(2) / np.log(73), 1]
    assert artist_exposure(BUNDLE, QUERY, ROWS) == pytest.approx(expected)


def test_calibration_compares_percentiles_of_popularity_with_the_listeners_mean() -> None:
    assert BUNDLE.track_statistics.popularity_percentiles == pytest.approx([5 / 6, 3 / 6, 1 / 6, 0])
    assert calibration(BUNDLE, QUERY, ROWS) == pytest.approx([-1 / 2, -1 / 6, -1 / 6, -1 / 3])
    assert not calibration(BUNDLE, Query(4), ROWS).any()
    group = Group((Member(QUERY, ("personal",)), Member(Query(4), ("popular",))))
    assert calibration(BUNDLE, Query(4, group=group), ROWS) == pytest.approx([-1 / 4, -1 / 12, -1 / 12, -1 / 6])


def test_only_dials_that_are_not_zero_are_computed_and_weigh_their_objective() -> None:
    parts = weigh_objectives(BUNDLE, QUERY, ROWS, Dials(novelty=0.5, diversity=0.3, familiarity=0.2))
    assert list(parts) == ["novelty"]
    assert parts["novelty"] == pytest.approx([0, 0.25, 0.5, 0.5])


@pytest.mark.parametrize("name", list(OBJECTIVES))
def test_a_dial_moves_the_tracks_that_serve_its_objective_forward(name: str) -> None:
    """The first three tracks have nearly the same relevance, and the listener knows a rare track."""
    policy = Policy("p", {"personal": 1.0}, caps=NO_CAPS)
    features = make_features([1, 1, 2, 3], released=[0, TODAY, 0, 0])
    bundle = make_bundle([4, 3.9, 3.8, 1], features, popularity=[64, 8, 1, 1])
    query = replace(QUERY, history=played([2]))
    turned = replace(policy, dials=Dials(**{name: 1.0}))
    before, after = ([p.track_id - FIRST_ID for p in recommend(bundle, query, p_).picks] for p_ in (policy, turned))
    assert before == [0, 1, 2, 3]
    assert after[0] == (1 if name == "freshness" else 2)


def test_new_artists_are_those_who_have_5_percent_of_all_listeners_together() -> None:
    popularity = [50, 40, 6, 2, 2, 0, 1]
    statistics = make_bundle([1] * 7, make_features([1, 2, 3, 4, 5, 6, -1]), popularity=popularity).track_statistics
    assert statistics.is_of_new_artist.tolist() == [False, False, False, True, True, True, False]
    equal = make_bundle([1, 1], make_features([1, 2])).track_statistics
    assert not equal.is_of_new_artist.any()


def test_recordings_are_completed_by_their_other_tracks() -> None:
    features = make_features([1] * 5, recording=[1000, 1001, 1000, 1003, 1003])
    statistics = make_bundle([1] * 5, features).track_statistics
    assert sorted(set(statistics.add_recordings(np.array([1, 2])).tolist())) == [0, 1, 2]
    assert statistics.add_recordings(np.array([1])).tolist() == [1]
    assert statistics.add_recordings(np.zeros(0, np.int64)).tolist() == []
