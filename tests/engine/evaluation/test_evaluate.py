import json
import tracemalloc
from math import log2
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from engine.evaluation import ranking
from engine.evaluation.evaluate import RankedLists, Ranker
from engine.evaluation.evaluate import evaluate as evaluate_lists
from engine.evaluation.ground_truth import GroundTruth
from engine.evaluation.metrics import METRICS
from engine.evaluation.ranking import Scorer, rank_top_k

NEVER = -np.inf


def scorer_of(scores: Any) -> Scorer:
    """Return a scorer that looks its scores up in a table."""
    table = np.asarray(scores, np.float32)
    return lambda users: table[users]


def evaluate(
    past: csr_matrix,
    future: csr_matrix,
    scorers: dict[str, Scorer],
    *,
    max_users: int | None = None,
    seed: int = 0,
    cold_threshold: int = 5,
    threads: int = 1,
    **options: Any,
) -> dict[str, Any]:
    """Evaluate the lists of scorers, and of popularity, on the new items of the future."""
    truth = GroundTruth.from_matrices(past, future, max_users, seed)

    def ranker_of(scorer: Scorer) -> Ranker:
        def rank(users: NDArray[np.int64], k: int, progress: Any) -> RankedLists:
            lists = rank_top_k(scorer, users, truth.past, k, threads=threads, progress=progress)
            return RankedLists(lists, lists[:, 0] >= 0)

        return rank

    everybody = scorers | {"most_popular": lambda users: np.tile(truth.popularity, (len(users), 1))}
    is_cold = truth.history_lengths() < cold_threshold
    rankers = {name: ranker_of(scorer) for name, scorer in everybody.items()}
    return evaluate_lists(truth, rankers, is_cold, seed=seed, **options)


def matrix(*histories: set[int], items: int = 5) -> csr_matrix:
    return csr_matrix(np.array([[i in history for i in range(items)] for history in histories], np.float32))


def random_split(seed: int = 1, users: int = 60, items: int = 40) -> tuple[csr_matrix, csr_matrix, NDArray[np.float32]]:
    """Return past, future and scores full of ties; some users have no past, some no future, some no scores."""
    rng = np.random.default_rng(seed)
    past, future = (rng.random((users, items)) < share * rng.random((users, 1)) for share in (0.5, 0.3))
    past[:5], future[5:8] = False, False
    scores = rng.integers(0, 6, (users, items)).astype(np.float32)
    scores[rng.random(scores.shape) < 0.3] = NEVER
    scores[9] = NEVER
    return csr_matrix(past.astype(np.float32)), csr_matrix(future.astype(np.float32)), scores


# User 0 repeats item 0 and comes to 1 and 2; user 3 only repeats; user 2 is new. Items have 3, 1, 0, 0, 0 users.
PAST = matrix({0}, {0, 1}, set(), {0})
FUTURE = matrix({0, 1, 2}, {3}, {0}, {0})
MODEL = scorer_of([[9, 1, 4, 0, 5], [9, 8, 1, 7, 2], [NEVER] * 5, [0] * 5])  # recommends 4 2 | 3 4 | nothing


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    return evaluate(PAST, FUTURE, {"model": MODEL}, ks=(2, 1), cold_threshold=1, threads=2)


def means(metrics: dict[str, dict[str, float]], *names: str) -> list[float]:
    return [metrics[name]["mean"] for name in names]


def test_accuracy_equals_values_computed_by_hand(report: dict[str, Any]) -> None:
    assert [report[name] for name in ("listeners", "tracks", "ks", "max_k")] == [3, 5, [1, 2], 2]
    discount = 1 / log2(3)  # of the second rank
    model, popular = (report["models"][name]["metrics"] for name in ("model", "most_popular"))
    assert means(model, "ndcg@1", "ndcg@2") == pytest.approx([1 / 3, (discount / (1 + discount) + 1) / 3], abs=1e-5)
    assert means(model, "recall@2", "precision@2", "map@2") == pytest.approx([0.5, 1 / 3, 1.25 / 3], abs=1e-5)
    assert means(model, "mrr@2", "hit_rate@2") == pytest.approx([1.5 / 3, 2 / 3], abs=1e-5)
    # most popular recommends 1 2 | 2 3 | 0 1: equal counts in the order of rows
    assert means(popular, "ndcg@1", "ndcg@2") == pytest.approx([2 / 3, (2 + discount) / 3], abs=1e-5)
    assert means(popular, "recall@2", "mrr@2") == pytest.approx([1, 2.5 / 3], abs=1e-5)


def test_metrics_beyond_accuracy_equal_values_computed_by_hand(report: dict[str, Any]) -> None:
    model, popular = (report["models"][name]["metrics"] for name in ("model", "most_popular"))
    assert means(model, "personalised", "coverage@2", "popularity@2") == pytest.approx([2 / 3, 0, 0], abs=1e-5)
    assert means(model, "gini@2") == pytest.approx([0.5])  # recommended 0, 0, 1, 1 and 2 times
    assert means(popular, "personalised", "coverage@2", "coverage@1") == [1, 1, 1]
    assert means(popular, "popularity@2") == pytest.approx([(0.5 + 0 + 2) / 3], abs=1e-5)
    assert means(popular, "novelty@1") == pytest.approx([(log2(3) + log2(3) + 0) / 3], abs=1e-5)
    # only items 0 and 1 share a user; they have 3 and 1
    assert means(popular, "diversity@2") == pytest.approx([(1 + 1 + 1 - 1 / 3**0.5) / 3], abs=1e-5)


def test_segments_equal_values_computed_by_hand(report: dict[str, Any]) -> None:
    segments = report["models"]["most_popular"]["segments"]
    # User 2 has no past, user 0 one item, user 1 two. Item 0 alone holds half of the pairs.
    assert {name: segment["listeners"] for name, segment in segments.items()} == {
        "cold": 1, "light": 1, "heavy": 1, "head": 1, "tail": 2,
    }  # fmt: skip
    ndcg = {name: segment["metrics"]["ndcg@2"]["mean"] for name, segment in segments.items()}
    assert ndcg == pytest.approx(
        {"cold": 1, "light": 1, "heavy": 1 / log2(3), "head": 1, "tail": (1 + 1 / log2(3)) / 2}, abs=1e-5
    )
    wider = evaluate(PAST, FUTURE, {}, ks=(2,), cold_threshold=3, head_share=0.9)["models"]["most_popular"]["segments"]
    assert [wider[name]["listeners"] for name in ("cold", "light", "heavy", "head", "tail")] == [3, 0, 0, 2, 2]
    assert wider["light"]["metrics"] == {}
    assert {name.split("@")[0] for segment in segments.values() for name in segment["metrics"]} == set(METRICS)


def test_differences_are_paired_by_user(report: dict[str, Any]) -> None:
    difference = report["differences"]["most_popular"]
    assert set(difference) == {"ndcg@1", "ndcg@2", "recall@1", "recall@2"}
    assert difference["ndcg@1"]["mean"] == pytest.approx((-1 + 1 - 1) / 3, abs=1e-5)
    assert difference["ndcg@1"]["low"] == -1 < difference["ndcg@1"]["high"]
    itself = evaluate(PAST, FUTURE, {"model": MODEL, "twin": MODEL}, ks=(1,))["differences"]["twin"]
    assert itself == {name: {"mean": 0, "low": 0, "high": 0} for name in ("ndcg@1", "recall@1")}


def test_the_report_is_json(report: dict[str, Any]) -> None:
    assert json.loads(json.dumps(report, allow_nan=False)) == report


def means_user_by_user(past: csr_matrix, future: csr_matrix, scores: NDArray[np.float32], k: int) -> dict[str, float]:
    rows = []
    for user in range(past.shape[0]):
        history = set(past[user].indices)
        relevant = set(future[user].indices) - history
        if relevant:
            candidates = [i for i in range(past.shape[1]) if i not in history and scores[user, i] > NEVER]
            best = sorted(candidates, key=lambda i: (-scores[user, i], i))[:k]
            hits = np.array([[i in relevant for i in best] + [False] * (k - len(best))])
            rows.append([metric(hits, np.array([len(relevant)]), [k])[0, 0] for metric in METRICS.values()])
    return dict(zip(METRICS, np.mean(rows, axis=0), strict=True))


@pytest.mark.parametrize("k", [3, 50])
@pytest.mark.parametrize("block_bytes", [1, 64 << 20])
def test_it_agrees_with_ranking_each_user_alone(k: int, block_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranking, "BLOCK_BYTES", block_bytes)
    past, future, scores = random_split()
    metrics = evaluate(past, future, {"model": scorer_of(scores)}, ks=(k,))["models"]["model"]["metrics"]
    expected = means_user_by_user(past, future, scores, k)
    assert {name: metrics[f"{name}@{k}"]["mean"] for name in METRICS} == pytest.approx(expected, abs=1e-5)


def test_segments_add_up_to_all_users_and_all_items() -> None:
    past, future, scores = random_split(users=200)
    report = evaluate(past, future, {"model": scorer_of(scores)}, ks=(10,))
    metrics, segments = report["models"]["model"]["metrics"], report["models"]["model"]["segments"]
    user_segments = [segments[name] for name in ("cold", "light", "heavy")]
    assert all(segment["listeners"] > 10 for segment in user_segments)
    assert sum(segment["listeners"] for segment in user_segments) == report["listeners"]
    total = sum(segment["listeners"] * segment["metrics"]["ndcg@10"]["mean"] for segment in user_segments)
    assert total / report["listeners"] == pytest.approx(metrics["ndcg@10"]["mean"], abs=2e-5)
    hits = sum(
        segments[name]["listeners"] * segments[name]["metrics"]["precision@10"]["mean"] for name in ("head", "tail")
    )
    assert hits / report["listeners"] == pytest.approx(metrics["precision@10"]["mean"], abs=2e-5)


def test_a_model_that_recommends_nothing_gets_zeros() -> None:
    past, future, scores = random_split()
    empty = evaluate(past, future, {"empty": scorer_of(np.full_like(scores, NEVER))}, ks=(5,))["models"]["empty"]
    assert set(empty["metrics"]) == {f"{name}@5" for name in [*METRICS, "coverage", "gini"]} | {"personalised"}
    assert {value for interval in empty["metrics"].values() for value in interval.values()} == {0}


def test_an_item_with_score_minus_infinity_is_no_hit_even_in_a_short_list() -> None:
    scores = [[NEVER, NEVER, NEVER, 1, NEVER]]
    report = evaluate(matrix({0}), matrix({1, 2}), {"model": scorer_of(scores)}, ks=(5,))
    assert means(report["models"]["model"]["metrics"], "recall@5", "hit_rate@5", "personalised") == [0, 0, 1]


def test_items_of_the_past_are_never_recommended() -> None:
    past, _, scores = random_split()
    lists = rank_top_k(scorer_of(scores), np.arange(60), past > 0, 40)
    assert all(not set(row[row >= 0]) & set(past[user].indices) for user, row in enumerate(lists))
    assert all(len(row[row >= 0]) == len(set(row[row >= 0])) for row in lists)


@pytest.mark.parametrize("block_bytes", [500, 64 << 20])
def test_threads_and_blocks_do_not_change_the_report(block_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    past, future, scores = random_split(users=120)
    expected = evaluate(past, future, {"model": scorer_of(scores)}, threads=1)
    monkeypatch.setattr(ranking, "BLOCK_BYTES", block_bytes)
    for _ in range(3):
        assert evaluate(past, future, {"model": scorer_of(scores)}, threads=4) == expected


def test_memory_holds_the_scores_of_one_block_only(monkeypatch: pytest.MonkeyPatch) -> None:
    users, items = 3000, 2000
    monkeypatch.setattr(ranking, "BLOCK_BYTES", 1 << 20)
    empty_past, block_sizes = csr_matrix((users, items), dtype=np.bool_), []

    def scorer(rows: NDArray[np.int64]) -> NDArray[np.float32]:
        block_sizes.append(len(rows))
        return np.tile(np.arange(items, dtype=np.float32), (len(rows), 1))

    tracemalloc.start()
    lists = rank_top_k(scorer, np.arange(users), empty_past, 3)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (lists == [1999, 1998, 1997]).all()
    assert sum(block_sizes) == users
    assert max(block_sizes) * items * 4 <= 1 << 20
    assert peak < 4 << 20  # all scores would be 24 MB


def test_at_most_max_users_are_evaluated_in_a_seeded_sample() -> None:
    past, future, scores = random_split(users=200)
    report, repeated, reseeded = (
        evaluate(past, future, {"model": scorer_of(scores)}, ks=(5,), max_users=50, seed=seed) for seed in (1, 1, 2)
    )
    assert report["listeners"] == 50
    assert report == repeated != reseeded
    scored: list[int] = []

    def scorer(users: NDArray[np.int64]) -> NDArray[np.float32]:
        scored.extend(users.tolist())
        return scores[users]

    evaluate(past, future, {"model": scorer}, max_users=150)
    assert len(set(scored)) == len(scored) == 150
    assert evaluate(past, future, {}, ks=(5,), max_users=None)["listeners"] > 150


def test_any_stored_entry_is_a_play_and_the_matrices_are_not_changed() -> None:
    past, future, scores = random_split()
    report = evaluate(past, future, {"model": scorer_of(scores)}, ks=(5,))
    zeros = csr_matrix((np.zeros(past.nnz, np.float32), past.indices[::-1].copy(), past.indptr), shape=past.shape)
    mirrored = csr_matrix((past.data, past.indices[::-1].copy(), past.indptr), shape=past.shape)
    indices_before = zeros.indices.copy()
    unsorted_report = evaluate(zeros, future, {"model": scorer_of(scores)}, ks=(5,))
    assert unsorted_report == evaluate(mirrored, future, {"model": scorer_of(scores)}, ks=(5,)) != report
    np.testing.assert_array_equal(zeros.indices, indices_before)
    assert not zeros.data.any()


def test_an_entry_stored_twice_counts_once(report: dict[str, Any]) -> None:
    duplicated = csr_matrix((np.ones(8, np.bool_), [0, 0, 0, 1, 1, 0, 0, 0], [0, 2, 6, 6, 8]), shape=(4, 5))
    assert evaluate(duplicated, FUTURE, {"model": MODEL}, ks=(2, 1), cold_threshold=1) == report


def test_without_relevant_items_the_report_has_no_models() -> None:
    report = evaluate(PAST, PAST, {"model": MODEL}, ks=(1,))
    assert report == {"listeners": 0, "tracks": 5, "ks": [1], "max_k": 1, "models": {}, "differences": {}}


def test_progress_counts_the_users_of_every_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranking, "BLOCK_BYTES", 40)
    steps: list[tuple[int, int]] = []
    evaluate(PAST, FUTURE, {"model": MODEL}, ks=(1,), progress=lambda done, total: steps.append((done, total)))
    assert steps == [(2, 6), (3, 6), (5, 6), (6, 6)]


def test_mismatched_shapes_and_invalid_cut_offs_are_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        evaluate(PAST, matrix({0}), {})
    with pytest.raises(ValueError, match="scores of shape"):
        evaluate(PAST, FUTURE, {"model": lambda users: np.zeros((len(users), 4), np.float32)})
    for ks in ((), (0, 5)):
        with pytest.raises(ValueError, match="ks: expected"):
            evaluate(PAST, FUTURE, {}, ks=ks)
