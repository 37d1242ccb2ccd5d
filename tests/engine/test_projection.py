import sys

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.projection import project_to_plane


@pytest.fixture(params=["t-SNE", "PCA"])
def method(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "PCA":
        monkeypatch.setitem(sys.modules, "sklearn.manifold", None)  # make its import fail
    else:
        pytest.importorskip("sklearn")
    return str(request.param)


def two_tastes(each: int = 40, factors: int = 8) -> NDArray[np.float32]:
    """Return rows of which the first half points in one direction, the second in another; their lengths are random."""
    rng = np.random.default_rng(7)
    centres = np.repeat(np.eye(2, factors), each, axis=0)
    rows = centres + rng.normal(scale=0.1, size=centres.shape)
    return (rows * rng.uniform(0.1, 10, (2 * each, 1))).astype(np.float32)


def test_two_tastes_are_separated(method: str) -> None:
    projection = project_to_plane(two_tastes())
    assert projection.method == method
    first, second = projection.positions[:40], projection.positions[40:]
    distance = np.linalg.norm(first.mean(axis=0) - second.mean(axis=0))
    assert distance > 2 * max(np.linalg.norm(half - half.mean(axis=0), axis=1).mean() for half in (first, second))


def test_it_is_centred_scaled_and_deterministic(method: str) -> None:
    projection = project_to_plane(two_tastes())
    assert (projection.positions.shape, projection.positions.dtype) == ((80, 2), np.float32)
    np.testing.assert_allclose(projection.positions.mean(axis=0), 0, atol=1e-5)
    assert np.linalg.norm(projection.positions, axis=1).max() == pytest.approx(1)
    np.testing.assert_array_equal(projection.positions, project_to_plane(two_tastes()).positions)


@pytest.mark.parametrize("shape", [(0, 8), (5, 0), (0, 0)])
def test_without_factors_there_is_nothing_to_project(shape: tuple[int, int]) -> None:
    projection = project_to_plane(np.ones(shape, np.float32))
    assert (projection.method, projection.positions.shape) == ("none", (shape[0], 2))


@pytest.mark.parametrize("tracks", [1, 2, 3])
@pytest.mark.parametrize("factors", [1, 2, 8])
def test_a_few_tracks_are_projected_too(tracks: int, factors: int) -> None:
    rows = np.random.default_rng(1).normal(size=(tracks, factors)).astype(np.float32)
    projection = project_to_plane(rows)
    assert projection.positions.shape == (tracks, 2)
    assert np.isfinite(projection.positions).all()


@pytest.mark.parametrize("row", [0.0, 1.0])
def test_equal_tracks_have_the_same_position(row: float) -> None:
    np.testing.assert_allclose(project_to_plane(np.full((5, 4), row, np.float32)).positions, 0)


def test_pca_reports_its_explained_variance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.manifold", None)
    assert project_to_plane(two_tastes()).explained_variance > 0.8
    assert project_to_plane(np.eye(60, dtype=np.float32)).explained_variance == pytest.approx(2 / 59)
