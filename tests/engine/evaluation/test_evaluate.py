import json
import tracemalloc
from math import log2
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from engine.evaluation import ranking
from engine.evaluation.evaluate import evaluate
from engine.evaluation.metrics import METRICS
from engine.evaluation.ranking import Scorer, rank_top_k

NEVER = -np.inf


def table(scores: Any) -> Scorer:
    """A ranker that looks its scores up."""
    whole = np.asarray(scores, np.float32)
    return lambda listeners: whole[listeners]


def matrix(*tracks: set[int], items: int = 5) -> csr_matrix:
    return csr_matrix(np.array([[i in of for i in range(items)] for of in tracks], np.float32))


def random_world(seed: int = 1, users: int = 60, items: int = 40) -> tuple[csr_matrix, csr_matrix, NDArray[np.float32]]:
    """Past, future and scores full of ties; some listeners have no past, some no future, some no scores."""
    rng = np.random.default_rng(seed)
    past, future = (rng.random((users, items)) < share * rng.random((users, 1)) for share in (0.5, 0.3))
    past[:5], future[5:8] = False, False
    scores = rng.integers(0, 6, (users, items)).astype(np.float32)
    scores[rng.random(scores.shape) < 0.3] = NEVER
    scores[9] = NEVER
    return csr_matrix(past.astype(np.float32)), csr_matrix(future.astype(np.float32)), scores


# Listener 0 repeats track 0 and comes to 1 and 2; 3 only repeats; 2 is new. Tracks have 3, 1, 0, 0, 0 listeners.
PAST = matrix({0}, {0, 1}, set(), {0})
FUTURE = matrix({0, 1, 2}, {3}, {0}, {0})
MODEL = table([[9, 1, 4, 0, 5], [9, 8, 1, 7, 2], [NEVER] * 5, [0] * 5])  # lists 4 2 | 3 4 | none


@pytest.fixture(scope="module")
def answer() -> dict[str, Any]:
    return evaluate(PAST, FUTURE, {"model": MODEL}, ks=(2, 1), cold_threshold=1, threads=2)


def means(metrics: dict[str, dict[str, float]], *names: str) -> list[float]:
    return [metrics[name]["mean"] for name in names]


def test_the_answer_is_computed_by_hand(answer: dict[str, Any]) -> None:
    assert [answer[name] for name in ("listeners", "tracks", "ks", "max_k")] == [3, 5, [1, 2], 2]
    second = 1 / log2(3)
    model, popular = (answer["models"][name]["metrics"] for name in ("model", "most_popular"))
    assert means(model, "ndcg@1", "ndcg@2") == pytest.approx([1 / 3, (second / (1 + second) + 1) / 3], abs=1e-5)
    assert means(model, "recall@2", "precision@2", "map@2") == pytest.approx([0.5, 1 / 3, 1.25 / 3], abs=1e-5)
    assert means(model, "mrr@2", "hit_rate@2") == pytest.approx([1.5 / 3, 2 / 3], abs=1e-5)
    # most popular lists 1 2 | 2 3 | 0 1: equal counts by row
    assert means(popular, "ndcg@1", "ndcg@2") == pytest.approx([2 / 3, (2 + second) / 3], abs=1e-5)
    assert means(popular, "recall@2", "mrr@2") == pytest.approx([1, 2.5 / 3], abs=1e-5)


def test_beyond_accuracy_is_computed_by_hand(answer: dict[str, Any]) -> None:
    model, popular = (answer["models"][name]["metrics"] for name in ("model", "most_popular"))
    assert means(model, "personalised", "coverage@2", "popularity@2") == pytest.approx([2 / 3, 0, 0], abs=1e-5)
    assert means(model, "gini@2") == pytest.approx([0.5])  # 0 0 1 1 2 times listed
    assert means(popular, "personalised", "coverage@2", "coverage@1") == [1, 1, 1]
    assert means(popular, "popularity@2") == pytest.approx([(0.5 + 0 + 2) / 3], abs=1e-5)
    assert means(popular, "novelty@1") == pytest.approx([(log2(3) + log2(3) + 0) / 3], abs=1e-5)
    # only 0 and 1 share a listener, of 3 and 1
    assert means(popular, "diversity@2") == pytest.approx([(1 + 1 + 1 - 1 / 3**0.5) / 3], abs=1e-5)


def test_segments_are_computed_by_hand(answer: dict[str, Any]) -> None:
    segments = answer["models"]["most_popular"]["segments"]
    # Listener 2 has no past, 0 one track, 1 two. Track 0 alone holds half of the pairs.
    assert {name: of["listeners"] for name, of in segments.items()} == {
        "cold": 1, "light": 1, "heavy": 1, "head": 1, "tail": 2,
    }  # fmt: skip
    found = {name: of["metrics"]["ndcg@2"]["mean"] for name, of in segments.items()}
    assert found == pytest.approx(
        {"cold": 1, "light": 1, "heavy": 1 / log2(3), "head": 1, "tail": (1 + 1 / log2(3)) / 2}, abs=1e-5
    )
    wider = evaluate(PAST, FUTURE, {}, ks=(2,), cold_threshold=3, head_share=0.9)["models"]["most_popular"]["segments"]
    assert [wider[name]["listeners"] for name in ("cold", "light", "heavy", "head", "tail")] == [3, 0, 0, 2, 2]
    assert wider["light"]["metrics"] == {}
    assert {name.split("@")[0] for of in segments.values() for name in of["metrics"]} == set(METRICS)


def test_differences_are_of_the_same_listeners(answer: dict[str, Any]) -> None:
    difference = answer["differences"]["most_popular"]
    assert set(difference) == {"ndcg@1", "ndcg@2", "recall@1", "recall@2"}
    assert difference["ndcg@1"]["mean"] == pytest.approx((-1 + 1 - 1) / 3, abs=1e-5)
    assert difference["ndcg@1"]["low"] == -1 < difference["ndcg@1"]["high"]
    itself = evaluate(PAST, FUTURE, {"model": MODEL, "twin": MODEL}, ks=(1,))["differences"]["twin"]
    assert itself == {name: {"mean": 0, "low": 0, "high": 0} for name in ("ndcg@1", "recall@1")}


def test_the_answer_is_json(answer: dict[str, Any]) -> None:
    assert json.loads(json.dumps(answer, allow_nan=False)) == answer


def slow_means(past: csr_matrix, future: csr_matrix, scores: NDArray[np.float32], k: int) -> dict[str, float]:
    tally = []
    for user in range(past.shape[0]):
        seen = set(past[user].indices)
        wanted = set(future[user].indices) - seen
        if wanted:
            offered = [i for i in range(past.shape[1]) if i not in seen and scores[user, i] > NEVER]
            best = sorted(offered, key=lambda i: (-scores[user, i], i))[:k]
            hits = np.array([[i in wanted for i in best] + [False] * (k - len(best))])
            tally.append([metric(hits, np.array([len(wanted)]), [k])[0, 0] for metric in METRICS.values()])
    return dict(zip(METRICS, np.mean(tally, axis=0), strict=True))


@pytest.mark.parametrize("k", [3, 50])
@pytest.mark.parametrize("block_bytes", [1, 64 << 20])
def test_it_agrees_with_ranking_each_listener_alone(k: int, block_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranking, "BLOCK_BYTES", block_bytes)
    past, future, scores = random_world()
    metrics = evaluate(past, future, {"model": table(scores)}, ks=(k,))["models"]["model"]["metrics"]
    expected = slow_means(past, future, scores, k)
    assert {name: metrics[f"{name}@{k}"]["mean"] for name in METRICS} == pytest.approx(expected, abs=1e-5)


def test_listeners_and_tracks_in_segments_add_up_to_all() -> None:
    past, future, scores = random_world(users=200)
    judged = evaluate(past, future, {"model": table(scores)}, ks=(10,))
    whole, segments = judged["models"]["model"]["metrics"], judged["models"]["model"]["segments"]
    of_listeners = [segments[name] for name in ("cold", "light", "heavy")]
    assert all(of["listeners"] > 10 for of in of_listeners)
    assert sum(of["listeners"] for of in of_listeners) == judged["listeners"]
    total = sum(of["listeners"] * of["metrics"]["ndcg@10"]["mean"] for of in of_listeners)
    assert total / judged["listeners"] == pytest.approx(whole["ndcg@10"]["mean"], abs=2e-5)
    hits = sum(
        segments[name]["listeners"] * segments[name]["metrics"]["precision@10"]["mean"] for name in ("head", "tail")
    )
    assert hits / judged["listeners"] == pytest.approx(whole["precision@10"]["mean"], abs=2e-5)


def test_a_ranker_that_offers_nothing_is_judged_all_the_same() -> None:
    past, future, scores = random_world()
    nothing = evaluate(past, future, {"silent": table(np.full_like(scores, NEVER))}, ks=(5,))["models"]["silent"]
    assert set(nothing["metrics"]) == {f"{name}@5" for name in [*METRICS, "coverage", "gini"]} | {"personalised"}
    assert {bound for of in nothing["metrics"].values() for bound in of.values()} == {0}


def test_a_track_never_offered_is_no_hit_though_the_list_has_room() -> None:
    scores = [[NEVER, NEVER, NEVER, 1, NEVER]]
    judged = evaluate(matrix({0}), matrix({1, 2}), {"model": table(scores)}, ks=(5,))["models"]["model"]["metrics"]
    assert means(judged, "recall@5", "hit_rate@5", "personalised") == [0, 0, 1]


def test_a_past_track_is_never_listed_whatever_its_score() -> None:
    past, _, scores = random_world()
    lists = rank_top_k(table(scores), np.arange(60), past > 0, 40)
    assert all(not set(row[row >= 0]) & set(past[user].indices) for user, row in enumerate(lists))
    assert all(len(row[row >= 0]) == len(set(row[row >= 0])) for row in lists)


@pytest.mark.parametrize("block_bytes", [500, 64 << 20])
def test_threads_and_blocks_do_not_change_the_answer(block_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    past, future, scores = random_world(users=120)
    plain = evaluate(past, future, {"model": table(scores)}, threads=1)
    monkeypatch.setattr(ranking, "BLOCK_BYTES", block_bytes)
    for _ in range(3):
        assert evaluate(past, future, {"model": table(scores)}, threads=4) == plain


def test_memory_is_that_of_a_block_and_not_of_all_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    users, items = 3000, 2000
    monkeypatch.setattr(ranking, "BLOCK_BYTES", 1 << 20)
    nobody, asked = csr_matrix((users, items), dtype=np.bool_), []

    def scores(listeners: NDArray[np.int64]) -> NDArray[np.float32]:
        asked.append(len(listeners))
        return np.tile(np.arange(items, dtype=np.float32), (len(listeners), 1))

    tracemalloc.start()
    lists = rank_top_k(scores, np.arange(users), nobody, 3)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (lists == [1999, 1998, 1997]).all()
    assert sum(asked) == users
    assert max(asked) * items * 4 <= 1 << 20
    assert peak < 4 << 20  # all scores would be 24 MB


def test_a_seeded_sample_of_listeners_is_judged() -> None:
    past, future, scores = random_world(users=200)
    one, again, other = (
        evaluate(past, future, {"model": table(scores)}, ks=(5,), max_users=50, seed=seed) for seed in (1, 1, 2)
    )
    assert one["listeners"] == 50
    assert one == again != other
    asked: list[int] = []

    def scores_of(listeners: NDArray[np.int64]) -> NDArray[np.float32]:
        asked.extend(listeners.tolist())
        return scores[listeners]

    evaluate(past, future, {"model": scores_of}, max_users=150)
    assert len(set(asked)) == len(asked) == 150
    assert evaluate(past, future, {}, ks=(5,), max_users=None)["listeners"] > 150


def test_any_stored_entry_is_a_play_and_the_matrices_stay_as_they_are() -> None:
    past, future, scores = random_world()
    plain = evaluate(past, future, {"model": table(scores)}, ks=(5,))
    zeros = csr_matrix((np.zeros(past.nnz, np.float32), past.indices[::-1].copy(), past.indptr), shape=past.shape)
    mirrored = csr_matrix((past.data, past.indices[::-1].copy(), past.indptr), shape=past.shape)
    before = zeros.indices.copy()
    unsorted = evaluate(zeros, future, {"model": table(scores)}, ks=(5,))
    assert unsorted == evaluate(mirrored, future, {"model": table(scores)}, ks=(5,)) != plain
    np.testing.assert_array_equal(zeros.indices, before)
    assert not zeros.data.any()


def test_a_play_stored_twice_is_one(answer: dict[str, Any]) -> None:
    twice = csr_matrix((np.ones(8, np.bool_), [0, 0, 0, 1, 1, 0, 0, 0], [0, 2, 6, 6, 8]), shape=(4, 5))
    assert evaluate(twice, FUTURE, {"model": MODEL}, ks=(2, 1), cold_threshold=1) == answer


def test_without_anything_relevant_there_are_no_models() -> None:
    nobody = evaluate(PAST, PAST, {"model": MODEL}, ks=(1,))
    assert nobody == {"listeners": 0, "tracks": 5, "ks": [1], "max_k": 1, "models": {}, "differences": {}}


def test_progress_counts_the_listeners_of_every_ranker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranking, "BLOCK_BYTES", 40)
    steps: list[tuple[int, int]] = []
    evaluate(PAST, FUTURE, {"model": MODEL}, ks=(1,), progress=lambda done, total: steps.append((done, total)))
    assert steps == [(2, 6), (3, 6), (5, 6), (6, 6)]


def test_what_does_not_fit_together_is_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        evaluate(PAST, matrix({0}), {})
    with pytest.raises(ValueError, match="scores of shape"):
        evaluate(PAST, FUTURE, {"model": lambda listeners: np.zeros((len(listeners), 4), np.float32)})
    for ks in ((), (0, 5)):
        with pytest.raises(ValueError, match="ks: expected"):
            evaluate(PAST, FUTURE, {}, ks=ks)
