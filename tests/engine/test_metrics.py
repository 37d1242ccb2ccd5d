import numpy as np
import pytest
from scipy.sparse import csr_matrix

from engine.evaluation.metrics import ndcg_at_k, recall_at_k
from engine.evaluation.report import report
from engine.evaluation.split import split
from engine.plays import Plays


def test_ndcg_of_hand_computed_lists() -> None:
    hits = np.array([[True, False, True], [False, False, False], [True, True, True]])
    expected = [(1 + 1 / np.log2(4)) / (1 + 1 / np.log2(3)), 0, 1]
    np.testing.assert_allclose(ndcg_at_k(hits, np.array([2, 5, 7])), expected)


def test_recall_is_the_share_of_the_relevant_that_was_found() -> None:
    np.testing.assert_allclose(recall_at_k(np.array([[True, False, True], [False] * 3]), np.array([4, 1])), [0.5, 0])


def test_the_report_agrees_with_ranking_each_listener_by_hand() -> None:
    rng = np.random.default_rng(1)
    users, items = rng.standard_normal((30, 4)).astype(np.float32), rng.standard_normal((40, 4)).astype(np.float32)
    past, future = (csr_matrix((rng.random((30, 40)) < share).astype(np.float32)) for share in (0.2, 0.15))
    ndcg = []
    for u in range(30):
        seen, wanted = set(past[u].indices), set(future[u].indices) - set(past[u].indices)
        if seen and wanted:
            best = [i for i in np.argsort(-(users[u] @ items.T)) if i not in seen][:10]
            gain = sum(1 / np.log2(rank + 2) for rank, i in enumerate(best) if i in wanted)
            ndcg.append(gain / sum(1 / np.log2(rank + 2) for rank in range(min(10, len(wanted)))))
    measured = report(past, future, (users, items), seed=0)
    assert measured["listeners"] == len(ndcg)
    assert measured["model"]["ndcg@10"] == pytest.approx(np.mean(ndcg), abs=1e-5)


def test_the_newest_plays_are_held_out_and_totals_are_drawn() -> None:
    dated = Plays.from_rows((1, t, 1, True, t) for t in range(10))
    kind, past, future = split(dated, 0.2, seed=0)
    assert (kind, past.time.tolist(), future.time.tolist()) == ("time", list(range(8)), [8, 9])
    totals = Plays.from_rows((1, t, 5, True, 77) for t in range(100))
    kind, past, future = split(totals, 0.2, seed=0)
    assert kind == "ratio"
    assert 10 < len(future) < 30
    assert len(past) + len(future) == 100
