import sys

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.projection import project_to_plane


@pytest.fixture(params=["t-SNE", "PCA"])
def method(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "PCA":
        monkeypatch.setitem(sys.modules, "sklearn.manifold", None)  # as if it were not installed
    else:
        pytest.importorskip("sklearn")
    return str(request.param)


def two_tastes(each: int = 40, factors: int = 8) -> NDArray[np.float32]:
    """The first half points one way, the second another; lengths say nothing."""
    random = np.random.default_rng(7)
    middles = np.repeat(np.eye(2, factors), each, axis=0)
    rows = middles + random.normal(scale=0.1, size=middles.shape)
    return (rows * random.uniform(0.1, 10, (2 * each, 1))).astype(np.float32)


def test_two_tastes_stay_apart(method: str) -> None:
    drawn = project_to_plane(two_tastes())
    assert drawn.method == method
    one, other = drawn.positions[:40], drawn.positions[40:]
    apart = np.linalg.norm(one.mean(axis=0) - other.mean(axis=0))
    assert apart > 2 * max(np.linalg.norm(half - half.mean(axis=0), axis=1).mean() for half in (one, other))


def test_it_is_centred_framed_and_the_same_each_time(method: str) -> None:
    drawn = project_to_plane(two_tastes())
    assert (drawn.positions.shape, drawn.positions.dtype) == ((80, 2), np.float32)
    np.testing.assert_allclose(drawn.positions.mean(axis=0), 0, atol=1e-5)
    assert np.linalg.norm(drawn.positions, axis=1).max() == pytest.approx(1)
    np.testing.assert_array_equal(drawn.positions, project_to_plane(two_tastes()).positions)


@pytest.mark.parametrize("shape", [(0, 8), (5, 0), (0, 0)])
def test_without_factors_there_is_nothing_to_lay_out(shape: tuple[int, int]) -> None:
    drawn = project_to_plane(np.ones(shape, np.float32))
    assert (drawn.method, drawn.positions.shape) == ("none", (shape[0], 2))


@pytest.mark.parametrize("tracks", [1, 2, 3])
@pytest.mark.parametrize("factors", [1, 2, 8])
def test_a_handful_of_tracks_is_laid_out_too(tracks: int, factors: int) -> None:
    rows = np.random.default_rng(1).normal(size=(tracks, factors)).astype(np.float32)
    drawn = project_to_plane(rows)
    assert drawn.positions.shape == (tracks, 2)
    assert np.isfinite(drawn.positions).all()


@pytest.mark.parametrize("row", [0.0, 1.0])
def test_tracks_that_are_all_the_same_lie_on_one_spot(row: float) -> None:
    np.testing.assert_allclose(project_to_plane(np.full((5, 4), row, np.float32)).positions, 0)


def test_principal_components_say_how_much_they_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.manifold", None)
    assert project_to_plane(two_tastes()).kept > 0.8
    assert project_to_plane(np.eye(60, dtype=np.float32)).kept == pytest.approx(2 / 59)
