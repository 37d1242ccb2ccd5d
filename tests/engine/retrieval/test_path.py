import numpy as np
import pytest
from numpy.typing import NDArray

from engine.bundle.model_bundle import ModelBundle, assemble_bundle, catalogue_bundle
from engine.data.id_map import IdMap
from engine.ensemble import ComponentConfig, EnsembleConfig
from engine.models.base import FittedModel, FoldInConfig
from engine.retrieval.path import find_path
from tests.engine.factories import TWO_FACTORS

NO_IDS = np.zeros(0, np.int64)


def bundle_of(factors: NDArray[np.float32]) -> ModelBundle:
    """Return a version whose track 100 + n has the n-th row as its factors."""
    n, f = factors.shape
    model = FittedModel((np.zeros((0, f), np.float32), factors), FoldInConfig(), None)
    return assemble_bundle(
        version="v",
        items=IdMap.from_ids(np.arange(100, 100 + n)),
        popularity=np.ones(n, np.float32),
        ensemble=EnsembleConfig((ComponentConfig(TWO_FACTORS),)),
        fitted_models=[model],
    )


def quarter_circle(size: int) -> NDArray[np.float32]:
    """Return directions from one axis to the other in equal steps, of various lengths."""
    angles = np.linspace(0, np.pi / 2, size)
    return (np.stack([np.cos(angles), np.sin(angles)], axis=1) * (1 + np.arange(size))[:, None]).astype(np.float32)


def find(bundle: ModelBundle, start: int, end: int, length: int, **leave_out: NDArray[np.int64]) -> list[int]:
    ids = {"forbidden": NO_IDS, "unavailable": NO_IDS} | leave_out
    path = find_path(bundle, start, end, length, **ids)
    assert path is not None
    assert len(path.distances) == len(path.track_ids) - 1
    return [int(track_id) for track_id in path.track_ids]


def test_on_a_quarter_circle_the_path_follows_the_arc() -> None:
    bundle = bundle_of(quarter_circle(13))
    assert find(bundle, 100, 112, 5) == [100, 103, 106, 109, 112]
    assert find(bundle, 112, 100, 5) == [112, 109, 106, 103, 100]
    assert find(bundle, 103, 106, 4) == [103, 104, 105, 106]
    path = find_path(bundle, 100, 112, 5, NO_IDS, NO_IDS)
    assert path is not None
    np.testing.assert_allclose(path.distances, 1 - np.cos(np.pi / 8), rtol=1e-5)


def test_each_track_is_on_the_path_once_and_a_small_catalogue_makes_a_short_path() -> None:
    bundle = bundle_of(quarter_circle(6))
    assert find(bundle, 101, 102, 50) == [101, 100, 103, 104, 105, 102]
    assert find(bundle_of(quarter_circle(2)), 100, 101, 10) == [100, 101]
    assert find(bundle, 100, 105, 2) == [100, 105]


def test_forbidden_and_unavailable_tracks_are_not_between_the_ends() -> None:
    bundle = bundle_of(quarter_circle(13))
    path = find(bundle, 100, 112, 5, forbidden=np.array([103, 999]), unavailable=np.array([106, 100]))
    assert (path[0], path[-1], len(path)) == (100, 112, 5)
    assert not {103, 106} & set(path)


@pytest.mark.parametrize("seed", range(5))
def test_the_steps_are_smaller_than_those_of_a_random_path(seed: int) -> None:
    random = np.random.default_rng(seed)
    factors = random.normal(size=(400, 8)).astype(np.float32)
    path = find_path(bundle_of(factors), 100, 101, 12, NO_IDS, NO_IDS)
    assert path is not None
    assert len(set(path.track_ids.tolist())) == 12
    unit = factors / np.linalg.norm(factors, axis=1, keepdims=True)
    nearer = (unit @ unit[1] - unit @ unit[0])[path.track_ids - 100]
    assert (np.diff(nearer[1:-1]) >= 0).all()
    others = unit[random.permutation(np.arange(2, 400))[:12]]
    assert path.distances.mean() < (1 - (others[:-1] * others[1:]).sum(axis=1)).mean()


def test_ends_in_the_same_and_in_opposite_directions_have_a_path() -> None:
    factors = np.array([[1, 0], [2, 0], [-1, 0], [1, 1], [-1, 1]], np.float32)
    assert find(bundle_of(factors), 100, 101, 3) == [100, 103, 101]
    path = find(bundle_of(factors), 100, 102, 5)
    assert (path[0], path[-1], sorted(path)) == (100, 102, [100, 101, 102, 103, 104])


def test_without_factors_of_an_end_there_is_no_path() -> None:
    factors = quarter_circle(4)
    factors[2] = 0
    for start, end in ((100, 102), (102, 100), (100, 7)):
        assert find_path(bundle_of(factors), start, end, 5, NO_IDS, NO_IDS) is None
    assert find_path(catalogue_bundle([100, 101]), 100, 101, 5, NO_IDS, NO_IDS) is None
    assert find(bundle_of(factors), 100, 103, 5) == [100, 101, 103]
