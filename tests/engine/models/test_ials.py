import sys
from functools import cache
from itertools import product

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from engine.ensemble import ComponentConfig
from engine.evaluation.ground_truth import GroundTruth
from engine.evaluation.metrics import ndcg
from engine.evaluation.ranking import Scorer, rank_top_k
from engine.fitting import ComponentScorer
from engine.models.base import CannotTrain, FitCallbacks, FoldInConfig
from engine.models.ials import IALS
from tests.engine.models.contract import PersonalFamilyContract, checkerboard_matrix, model_arrays


class TestIALS(PersonalFamilyContract):
    checkerboard_trainer = IALS(factors=2, iterations=10)
    taste_trainer = IALS(factors=6)
    invalid = [
        *((name, 0) for name in ("factors", "iterations", "regularization_ratio", "unobserved_ratio")),
        *((name, -0.1) for name in ("exponent", "regularization", "unobserved")),
        ("regularization", 0.01),  # without `unobserved`
        ("factors", float("nan")),
    ]


def test_a_fit_ends_when_the_callback_says_so() -> None:
    iterations: list[int] = []

    def stop_after_three(done: int, factors: object) -> bool:
        iterations.append(done)
        return done == 3

    callbacks = FitCallbacks(should_stop=stop_after_three)
    stopped = IALS(factors=2, iterations=10).fit(checkerboard_matrix(), seed=1, threads=1, callbacks=callbacks)
    assert iterations == [1, 2, 3]
    short = IALS(factors=2, iterations=3).fit(checkerboard_matrix(), seed=1, threads=1)
    assert all(np.array_equal(a, b) for a, b in zip(model_arrays(stopped), model_arrays(short), strict=True))


def test_without_numba_it_cannot_be_fitted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)
    with pytest.raises(CannotTrain, match="numba"):
        IALS(factors=2, iterations=10).fit(checkerboard_matrix(), seed=1, threads=1)


# Listeners, tracks, plays per listener, tastes; 9 % of the pairs exist in the first world, 0.1 % in the last.
WORLDS = {
    "small and dense": (300, 200, 60, 20),
    "middle": (600, 1200, 30, 40),
    "large and sparse": (4000, 6000, 6, 100),
}


@pytest.mark.parametrize("world", WORLDS)
def test_the_defaults_suit_dense_and_sparse_worlds(world: str) -> None:
    """They are much better than popularity, and nearly as good as the best of a grid around them."""
    ratios = {"regularization_ratio": (0.03, 0.1, 0.3), "unobserved_ratio": (5.0, 20.0, 80.0)}
    grid = {point: mean_ndcg(world, IALS(16, 8, *point)) for point in product(*ratios.values())}
    past, _ = taste_world(world)
    popularity = np.asarray(past.sum(axis=0))
    with_defaults = grid[IALS().regularization_ratio, IALS().unobserved_ratio]
    assert with_defaults > 0.92 * max(grid.values())
    assert with_defaults > 3 * score(world, lambda users: np.repeat(popularity, len(users), axis=0))


def test_a_recipe_of_an_older_release_keeps_its_absolute_weights() -> None:
    stored = {"family": "ials", "factors": 2, "iterations": 12, "regularization": 0.01, "unobserved": 0.1}
    trainer = ComponentConfig.from_dict(stored | {"exponent": 1.0, "activity": 0.0}).trainer
    dense, sparse = checkerboard_matrix(), csr_matrix(np.eye(50, dtype=np.float32))
    for matrix, mean_pairs, mean_confidence in ((dense, 9.0, 4.0), (sparse, 1.0, 1.0)):
        assert trainer.fit(matrix, seed=1, threads=1).fold_in == FoldInConfig(
            regularization=0.01,
            unobserved=0.1,
            exponent=1.0,
            smoothing=1.0,
            offset=0.0,
            activity=0.0,
            mean_pairs=mean_pairs,
            mean_confidence=mean_confidence,
        )


@cache
def taste_world(name: str) -> tuple[csr_matrix, csr_matrix]:
    """Draw listeners who play tracks of two tastes, popular ones more often; return their past and future."""
    listeners, tracks, mean, tastes = WORLDS[name]
    rng = np.random.default_rng(1)
    counts = 2 + rng.poisson(rng.gamma(2, mean / 2, listeners))
    user = np.repeat(np.arange(listeners), counts)
    taste = rng.integers(0, tastes, (listeners, 2))[user, rng.integers(0, 2, len(user))]
    taste = np.where(rng.random(len(user)) < 0.15, rng.integers(0, tastes, len(user)), taste)
    item = taste + tastes * (tracks // tastes * rng.random(len(user)) ** 2).astype(int)
    matrix = csr_matrix((np.ones(len(user), np.float32), (user, item)), (listeners, tracks))
    matrix.data[:] = 1
    is_future = rng.random(matrix.nnz) < 0.2
    past, future = matrix.copy(), matrix.copy()
    past.data[is_future], future.data[~is_future] = 0, 0
    past.eliminate_zeros()
    future.eliminate_zeros()
    return past, future


def score(world: str, scorer: Scorer) -> float:
    ground_truth = GroundTruth.from_matrices(*taste_world(world), 500, 0)
    lists = rank_top_k(scorer, ground_truth.users, ground_truth.past, 10)
    return float(ndcg(ground_truth.mark_hits(lists), ground_truth.relevant_counts(), (10,)).mean())


def mean_ndcg(world: str, trainer: IALS) -> float:
    past, _ = taste_world(world)
    scorer = ComponentScorer.from_model(ComponentConfig(trainer), trainer.fit(past, seed=1, threads=1), past)
    return score(world, scorer)
