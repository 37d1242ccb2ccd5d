import sys

import numpy as np
import pytest

from engine.models.base import CannotTrain, FitCallbacks
from engine.models.ials import IALS
from tests.engine.models.contract import PersonalFamilyContract, checkerboard_matrix, model_arrays


class TestIALS(PersonalFamilyContract):
    checkerboard_trainer = IALS(factors=2, iterations=10)
    taste_trainer = IALS(factors=6, regularization=0.1, unobserved=0.1)
    invalid = [
        *((name, 0) for name in ("factors", "iterations", "regularization", "unobserved")),
        ("exponent", -0.1),
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
