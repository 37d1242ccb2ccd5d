from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from engine.data.plays import Plays
from engine.data.user_item_pairs import UserItemPairs
from engine.evaluation.ground_truth import GroundTruth
from engine.evaluation.questions import QUESTIONS, question_report
from engine.evaluation.ranking import rank_top_k
from engine.tuning.blend_weights import ValidationPool
from engine.tuning.validation_metric import ValidationMetric

ITEMS = 5


def matrix(*histories: set[int]) -> csr_matrix:
    return csr_matrix(np.array([[i in history for i in range(ITEMS)] for history in histories], np.float32))


# User 0 repeats item 0 and comes to 2; user 1 only repeats; user 2 only comes to new items; user 3 does not return.
PAST = matrix({0, 1}, {1, 4}, {3}, {2})
FUTURE = matrix({0, 2}, {4}, {0, 4}, set())
SCORES = np.array([[5, 4, 3, 2, 1]] * 4, np.float32)


def pairs_of(matrix: csr_matrix) -> UserItemPairs:
    rows = [(user, item, 1, True, 0) for user, item in zip(*matrix.nonzero(), strict=True)]
    plays = Plays.from_rows(rows)
    return UserItemPairs.merge(plays.user, plays.track, plays)


@pytest.mark.parametrize(
    ("question", "users", "relevant"),
    [("new", [0, 2], [{2}, {0, 4}]), ("all", [0, 1, 2], [{0, 2}, {4}, {0, 4}]), ("repeats", [0, 1], [{0}, {4}])],
)
def test_the_question_decides_which_items_are_relevant(question: str, users: list[int], relevant: list[Any]) -> None:
    truth = GroundTruth.from_matrices(PAST, FUTURE, None, 0, question)
    assert truth.users.tolist() == users
    assert [set(row.indices) for row in truth.relevant] == relevant
    assert truth.question == question


@pytest.mark.parametrize(
    ("question", "lists"),
    [
        ("new", [[2, 3, 4], [0, 2, 3], [0, 1, 2]]),
        ("all", [[0, 1, 2]] * 3),
        ("repeats", [[0, 1, -1], [1, 4, -1], [3, -1, -1]]),
    ],
)
def test_the_question_decides_what_lists_may_hold(question: str, lists: list[list[int]]) -> None:
    ranked = rank_top_k(lambda users: SCORES[users], np.arange(3), PAST > 0, 3, question=question)
    assert ranked.tolist() == lists


def test_the_validation_metric_and_the_pool_of_blends_follow_the_question() -> None:
    pairs = pairs_of(PAST), pairs_of(FUTURE)
    recommendable = np.ones(ITEMS, np.bool_)
    scores, pooled = {}, {}
    for question in QUESTIONS:
        metric = ValidationMetric.from_pairs(*pairs, PAST.shape, seed=0, question=question)
        scores[question] = metric.mean_ndcg(lambda users: SCORES[users])
        pool = ValidationPool.build(metric, [lambda users: SCORES[users]], recommendable)
        pooled[question] = np.isfinite(pool.scores[:, :, 0]).sum(axis=1).tolist()
        assert pool.ndcg_per_user(np.ones(1)).mean() == pytest.approx(scores[question])
    d2, d3, d4, d5 = 1 / np.log2([3, 4, 5, 6])
    expected = {
        "new": (1 + (1 + d4) / (1 + d2)) / 2,  # 2 3 4 | 0 1 2 4
        "all": ((1 + d3) / (1 + d2) + d5 + (1 + d5) / (1 + d2)) / 3,  # 0 1 2 3 4 for everybody
        "repeats": (1 + d2) / 2,  # 0 1 | 1 4
    }
    assert scores == pytest.approx(expected)
    assert pooled == {"new": [3, 4], "all": [5, 5, 5], "repeats": [2, 2]}


@pytest.mark.parametrize(
    ("question", "future", "message"),
    [
        ("new", PAST, "played a new track after it"),
        ("all", matrix(set(), set(), set(), set()), "played a track after it"),
        ("repeats", matrix({2}, {0}, {4}, {0}), "played one of them again after it"),
    ],
)
def test_the_validation_metric_says_which_plays_are_missing(question: str, future: csr_matrix, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ValidationMetric.from_pairs(pairs_of(PAST), pairs_of(future), PAST.shape, seed=0, question=question)


def test_an_unknown_question_is_refused() -> None:
    with pytest.raises(ValueError, match="must be one of new, all, repeats; not 'old'"):
        GroundTruth.from_matrices(PAST, FUTURE, None, 0, "old")
    with pytest.raises(ValueError, match="must be one of new, all, repeats; not 'old'"):
        rank_top_k(lambda users: SCORES[users], np.arange(3), PAST > 0, 3, question="old")


def test_a_report_is_read_by_question() -> None:
    new, repeats = ({"listeners": n, "models": {}, "differences": {}} for n in (3, 2))
    report = {"split": "time", "question": "repeats", "questions": {"new": new, "repeats": repeats}}
    assert question_report(report) == repeats
    assert question_report(report, "new") == new
    assert question_report(report, "all") == {"listeners": 0, "models": {}, "differences": {}}


def test_a_report_of_an_older_release_answers_the_question_of_new_tracks() -> None:
    report = {"split": "time", "listeners": 3, "models": {"model": {}}, "differences": {}}
    assert question_report(report) == question_report(report, "new") == report
    assert question_report(report, "all") == {"listeners": 0, "models": {}, "differences": {}}
