"""Weights of contexts are learnt where these predict what is played, and nowhere else."""

import numpy as np
import pytest

from engine.bundle.model_bundle import ModelBundle
from engine.data.play_contexts import ACTIVITY, DEVICE, HOURS, WEEKDAYS, PlayContexts
from engine.data.plays import Plays
from engine.evaluation.questions import ALL, NEW
from engine.training import train
from engine.tuning.context_weights import WEIGHTS, learn_context_weights, session_cases
from tests.engine.context_world import CONFIG, LAST_DAYS, LISTENERS, TRACK_IDS, listening_world


def fit_past(plays: Plays) -> ModelBundle:
    return train(plays.where(plays.time < LAST_DAYS), TRACK_IDS, CONFIG, version="v1").bundle.without_listeners()


@pytest.fixture(scope="module")
def own_hours() -> tuple[Plays, PlayContexts]:
    return listening_world()


@pytest.fixture(scope="module")
def no_hours() -> tuple[Plays, PlayContexts]:
    return listening_world(at_own_hours=False)


def test_hours_count_where_listeners_have_their_own(own_hours: tuple[Plays, PlayContexts]) -> None:
    plays, _ = own_hours
    choice = learn_context_weights(fit_past(plays), plays, LAST_DAYS, PlayContexts.empty())
    assert choice.weights.keys() == {HOURS}
    assert choice.weights[HOURS] in WEIGHTS
    report = choice.report
    assert (report["question"], report["listeners"], report["sessions"], report["skipped"]) == (
        NEW,
        LISTENERS,
        3 * LISTENERS,
        None,
    )
    hours = report["kinds"][HOURS]
    assert hours["weight"] == choice.weights[HOURS]
    assert hours["gain"] > 10 * hours["standard_error"]
    assert [report["kinds"][kind]["weight"] for kind in (WEEKDAYS, DEVICE, ACTIVITY)] == [0, 0, 0]


def test_the_device_counts_where_it_says_what_is_played(no_hours: tuple[Plays, PlayContexts]) -> None:
    plays, contexts = no_hours
    bundle = fit_past(plays)
    assert learn_context_weights(bundle, plays, LAST_DAYS, contexts).weights.keys() == {DEVICE}
    assert learn_context_weights(bundle, plays, LAST_DAYS, PlayContexts.empty()).weights == {}


def test_nothing_is_learnt_from_few_listeners(own_hours: tuple[Plays, PlayContexts]) -> None:
    plays, contexts = own_hours
    few = plays.where(plays.user < 1049)
    choice = learn_context_weights(fit_past(plays), few, LAST_DAYS, contexts)
    assert (choice.weights, choice.report["skipped"]) == ({}, "needs 50 listeners with sessions")


def test_cases_are_what_serving_would_have_been_asked_at_the_begin_of_a_session(
    own_hours: tuple[Plays, PlayContexts],
) -> None:
    plays, contexts = own_hours
    bundle = fit_past(plays)
    cases = list(session_cases(bundle, plays, LAST_DAYS, contexts))
    first, second, *_ = (case for case in cases if case.listener == 1000)
    own = plays.where(plays.user == 1000)
    begins = own.time[own.time >= LAST_DAYS]
    assert [first.query.now, second.query.now] == begins[:2].tolist()
    assert len(second.query.history) == len(first.query.history) + 1
    assert first.query.device == contexts.device[contexts.time == begins[0]][0]
    assert first.relevant_count == 1
    assert bundle.items.ids[first.rows[first.is_relevant]].tolist() == [own.track[own.time == begins[0]][0]]
    assert (first.relevance.max(), first.relevance.min()) == (1, 0)
    assert not np.isin(bundle.items.ids[first.rows], first.query.history.track).any()
    known = list(session_cases(bundle, plays, LAST_DAYS, contexts, question=ALL))
    assert np.isin(bundle.items.ids[known[0].rows], known[0].query.history.track).any()
    assert list(session_cases(bundle, plays, LAST_DAYS, contexts, end=LAST_DAYS)) == []
    assert list(session_cases(bundle, plays, LAST_DAYS, contexts, cold_below=100)) == []
