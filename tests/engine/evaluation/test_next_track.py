import numpy as np
import pytest
from numpy.typing import NDArray

from engine.evaluation.next_track import baselines, rank_next_tracks, rank_of
from engine.models.sequences.base import ScoredItems
from tests.engine.models.sequence_contract import make_sessions

SCORES = np.array([0.5, 0.9, 0.9, 0.1], np.float32)


def score_all(prefix: NDArray[np.int32]) -> ScoredItems:
    """Score the items 0 to 3 alike after every prefix."""
    return np.arange(4), SCORES


def test_equal_scores_are_ranked_by_row_and_items_without_a_score_have_no_rank() -> None:
    assert [rank_of(item, np.arange(4), SCORES) for item in range(6)] == [3, 1, 2, 4, 0, 0]
    assert rank_of(0, np.zeros(0, np.int64), np.zeros(0, np.float32)) == 0


def test_every_play_but_the_first_is_ranked_given_the_plays_before_it() -> None:
    prefixes = []

    def score(prefix: NDArray[np.int32]) -> ScoredItems:
        prefixes.append(prefix.tolist())
        return score_all(prefix)

    ranks = rank_next_tracks(score, make_sessions([2, 0, 1], [3], [0, 9]))
    assert prefixes == [[2], [2, 0], [0]]
    assert ranks.rank.tolist() == [3, 1, 0]
    assert ranks.prefix_length.tolist() == [1, 2, 1]
    assert ranks.session.tolist() == [0, 0, 2]


def test_items_that_training_does_not_know_stay_in_prefixes_but_are_not_ranked() -> None:
    is_known = np.array([True, True, False, True])
    ranks = rank_next_tracks(score_all, make_sessions([0, 2, 3]), is_known)
    assert (ranks.rank.tolist(), ranks.prefix_length.tolist()) == ([4], [2])


def test_a_sample_of_the_plays_is_ranked_which_the_seed_determines() -> None:
    sessions = make_sessions([2, 0, 1], [3, 3], [0, 9, 1, 2])
    complete = rank_next_tracks(score_all, sessions)
    samples = [rank_next_tracks(score_all, sessions, count=3, seed=seed) for seed in (1, 1, 2)]
    pairs = [list(zip(s.session.tolist(), s.prefix_length.tolist(), s.rank.tolist(), strict=True)) for s in samples]
    assert pairs[0] == pairs[1] != pairs[2]
    every = list(zip(complete.session.tolist(), complete.prefix_length.tolist(), complete.rank.tolist(), strict=True))
    assert [len(set(sample) & set(every)) for sample in pairs] == [3, 3, 3]
    assert len(rank_next_tracks(score_all, sessions, count=100)) == len(complete)


def test_recall_and_mrr_by_prefix_length() -> None:
    ranks = rank_next_tracks(score_all, make_sessions([2, 0, 1], [3, 3], [0, 9]))
    assert ranks.rank.tolist() == [3, 1, 4, 0]
    assert (ranks.recall(3), ranks.recall()) == (0.5, 0.75)
    assert ranks.mrr(3) == pytest.approx((1 / 3 + 1) / 4)
    assert ranks.report(3) == {
        "plays": 4,
        "recall@3": 0.5,
        "mrr@3": 0.33333,
        "by_prefix_length": {
            "1": {"plays": 3, "recall@3": 0.33333, "mrr@3": 0.11111},
            "2": {"plays": 1, "recall@3": 1.0, "mrr@3": 1.0},
        },
    }


def test_there_is_nothing_to_report_without_plays() -> None:
    ranks = rank_next_tracks(score_all, make_sessions([1], [2]))
    assert len(ranks) == 0
    assert np.isnan([ranks.recall(), ranks.mrr()]).all()


def test_baselines_go_by_plays_and_by_the_last_item() -> None:
    scorers = baselines(make_sessions([0, 1, 2], [0, 2], [3, 0, 2]), 4)
    scores = {
        name: {int(row): float(score) for row, score in zip(*scorer(np.array([3, 0], np.int32)), strict=True)}
        for name, scorer in scorers.items()
    }
    assert scores["most popular"] == {0: 3, 1: 1, 2: 3, 3: 1}
    assert scores["last-item rules"] == pytest.approx({1: 1.0, 2: 0.5 + 1 + 1})
    assert scores["item-kNN"] == pytest.approx({1: 1 / np.sqrt(3), 2: 1.0, 3: 1 / np.sqrt(3)})
