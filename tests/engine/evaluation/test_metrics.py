"""Every metric is checked three times: by hand, against plain Python, and against trec_eval, the reference."""

from collections.abc import Callable
from math import log2

import numpy as np
import pytest
import pytrec_eval

from engine.evaluation.metrics import METRICS, accuracy_metrics

KS = (1, 3, 5, 10)
HITS = np.array([[1, 0, 1, 0], [0, 0, 0, 0], [1, 1, 1, 1], [0, 0, 0, 1]], np.bool_)
RELEVANT_COUNTS = np.array([2, 5, 7, 1])


@pytest.mark.parametrize(
    ("name", "at_2", "at_4"),
    [
        ("precision", [1 / 2, 0, 1, 0], [1 / 2, 0, 1, 1 / 4]),
        ("recall", [1 / 2, 0, 2 / 7, 0], [1, 0, 4 / 7, 1]),
        ("ndcg", [1 / (1 + 1 / log2(3)), 0, 1, 0], [(1 + 1 / 2) / (1 + 1 / log2(3)), 0, 1, 1 / log2(5)]),
        ("map", [1 / 2, 0, 1, 0], [(1 + 2 / 3) / 2, 0, 1, 1 / 4]),
        ("mrr", [1, 0, 1, 0], [1, 0, 1, 1 / 4]),
        ("hit_rate", [1, 0, 1, 0], [1, 0, 1, 1]),
    ],
)
def test_metrics_equal_values_computed_by_hand(name: str, at_2: list[float], at_4: list[float]) -> None:
    np.testing.assert_allclose(METRICS[name](HITS, RELEVANT_COUNTS, (2, 4)), np.transpose([at_2, at_4]))


def random_lists(seed: int, users: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Return hits at 10 ranks, and counts of relevant items: as many as there are hits, or up to 12 more."""
    rng = np.random.default_rng(seed)
    hits = rng.random((users, 10)) < rng.random((users, 1)) ** 2
    return hits, np.maximum(hits.sum(axis=1), 1) + rng.integers(0, 13, users)


def _first_hit(hits: list[bool]) -> float:
    return next((1 / rank for rank, hit in enumerate(hits, 1) if hit), 0.0)


def _average_precision(hits: list[bool], relevant: int, k: int) -> float:
    return sum(sum(hits[: i + 1]) / (i + 1) for i in range(k) if hits[i]) / min(k, relevant)


def _ndcg(hits: list[bool], relevant: int, k: int) -> float:
    return sum(1 / log2(i + 2) for i in range(k) if hits[i]) / sum(1 / log2(i + 2) for i in range(min(k, relevant)))


PLAIN_PYTHON: dict[str, Callable[[list[bool], int, int], float]] = {
    "precision": lambda hits, relevant, k: sum(hits[:k]) / k,
    "recall": lambda hits, relevant, k: sum(hits[:k]) / relevant,
    "ndcg": _ndcg,
    "map": _average_precision,
    "mrr": lambda hits, relevant, k: _first_hit(hits[:k]),
    "hit_rate": lambda hits, relevant, k: float(any(hits[:k])),
}


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("seed", range(3))
def test_metrics_agree_with_their_definitions_in_plain_python(name: str, seed: int) -> None:
    hits, relevant = random_lists(seed)
    expected = [
        [PLAIN_PYTHON[name](row, int(n), k) for k in KS] for row, n in zip(hits.tolist(), relevant, strict=True)
    ]
    np.testing.assert_allclose(METRICS[name](hits, relevant, KS), expected)


TREC = {
    "precision": ("P", "P_{}"),
    "recall": ("recall", "recall_{}"),
    "ndcg": ("ndcg_cut", "ndcg_cut_{}"),
    "map": ("map_cut", "map_cut_{}"),
    "hit_rate": ("success", "success_{}"),
}


def trec_eval(measure: str, hits: np.ndarray, relevant: np.ndarray) -> dict[str, dict[str, float]]:
    """Run trec_eval on lists whose items are named r0, r1 … where relevant and n0, n1 … where not."""
    names = [[f"{'r' if hit else 'n'}{rank}" for rank, hit in enumerate(row)] for row in hits]
    run = {str(u): {name: -float(rank) for rank, name in enumerate(row)} for u, row in enumerate(names)}
    judgements = {}
    for u, (row, count) in enumerate(zip(names, relevant, strict=True)):
        hit_names = [name for name in row if name[0] == "r"]
        missed_names = [f"r-missed-{i}" for i in range(count - len(hit_names))]
        judgements[str(u)] = dict.fromkeys(hit_names + missed_names, 1)
    return pytrec_eval.RelevanceEvaluator(judgements, {measure}).evaluate(run)


@pytest.mark.parametrize("name", TREC)
def test_metrics_agree_with_trec_eval(name: str) -> None:
    hits, relevant = random_lists(7)
    measure, key = TREC[name]
    results = trec_eval(f"{measure}.{','.join(map(str, KS))}", hits, relevant)
    expected = np.array([[results[str(u)][key.format(k)] for k in KS] for u in range(len(hits))])
    if name == "map":  # trec_eval divides by all relevant items, even where more are relevant than K
        expected *= relevant[:, None] / np.minimum(relevant[:, None], KS)
    np.testing.assert_allclose(METRICS[name](hits, relevant, KS), expected)


def test_reciprocal_rank_agrees_with_trec_eval() -> None:
    hits, relevant = random_lists(8)
    results = trec_eval("recip_rank", hits[:, :5], relevant)
    expected = [results[str(u)]["recip_rank"] for u in range(len(hits))]
    np.testing.assert_allclose(METRICS["mrr"](hits, relevant, (5,))[:, 0], expected)


def test_accuracy_metrics_are_named_by_metric_and_cut_off() -> None:
    values = accuracy_metrics(HITS, RELEVANT_COUNTS, (2, 4))
    assert set(values) == {f"{name}@{k}" for name in METRICS for k in (2, 4)}
    np.testing.assert_array_equal(values["map@4"], METRICS["map"](HITS, RELEVANT_COUNTS, (4,))[:, 0])


@pytest.mark.parametrize("name", METRICS)
def test_moving_hits_to_the_front_never_lowers_a_metric(name: str) -> None:
    hits, relevant = random_lists(9)
    better = ~np.sort(~hits, axis=1)  # all hits in front
    assert (METRICS[name](better, relevant, KS) >= METRICS[name](hits, relevant, KS) - 1e-12).all()
    assert METRICS[name](better, relevant, KS).max() <= 1
