"""The approximate indexes of faiss: their recall, and exact search where they are missing."""

import logging
from pathlib import Path

import numpy as np
import pytest

from engine.bundle import index_files
from engine.bundle.index_files import IndexConfig
from engine.bundle.model_bundle import ModelBundle, assemble_bundle
from engine.bundle.versions import VersionStore
from engine.data.id_map import IdMap
from engine.ensemble import ComponentConfig, EarlyWeights, EnsembleConfig
from engine.models.base import FittedModel, FoldInConfig
from engine.models.ials import IALS
from engine.pipeline import EARLY, PERSONAL, SIMILAR, Policy, recommend
from engine.retrieval.candidates import Query
from tests.engine.factories import listener_history

pytest.importorskip("faiss")
TRACKS, LISTENERS, FACTORS = 6000, 200, 16
IVF = IndexConfig("ivf")


def make_bundle_of_equal_norms() -> ModelBundle:
    """Build clusters of tracks with about equal norms, so that an exact search must look at nearly all."""
    rng = np.random.default_rng(3)
    centres = rng.standard_normal((60, FACTORS))
    tracks = centres[rng.integers(60, size=TRACKS)] + 0.4 * rng.standard_normal((TRACKS, FACTORS))
    tracks /= np.linalg.norm(tracks, axis=1)[:, None] * rng.uniform(0.95, 1.05, (TRACKS, 1))
    listeners = centres[rng.integers(60, size=LISTENERS)] + 0.6 * rng.standard_normal((LISTENERS, FACTORS))
    return assemble_bundle(
        version="v1",
        items=IdMap(np.arange(TRACKS) * 2 + 1),
        popularity=np.ceil(rng.pareto(1.2, TRACKS) * 3 + 1).astype(np.float32),
        ensemble=EnsembleConfig((ComponentConfig(IALS(factors=FACTORS)),)),
        fitted_models=[FittedModel((listeners.astype(np.float32), tracks.astype(np.float32)), FoldInConfig())],
        users=IdMap(np.arange(LISTENERS)),
    )


@pytest.fixture(scope="module")
def exact() -> ModelBundle:
    return make_bundle_of_equal_norms()


@pytest.fixture(scope="module")
def store(exact: ModelBundle, tmp_path_factory: pytest.TempPathFactory) -> VersionStore:
    versions = VersionStore(tmp_path_factory.mktemp("models"))
    versions.write(exact, {}, IVF)
    return versions


@pytest.fixture(scope="module")
def indexed(store: VersionStore) -> ModelBundle:
    bundle = store.load("v1")
    assert bundle.ann_indexes.keys() == {"personal", "similar"}
    return bundle


def recall(exact: ModelBundle, indexed: ModelBundle, queries: list[Query], policy: Policy) -> float:
    shares = []
    for query in queries:
        best, found = (recommend(bundle, query, policy).picks for bundle in (exact, indexed))
        assert len(found) == len(best) == query.limit
        shares.append(len({p.track_id for p in best} & {p.track_id for p in found}) / query.limit)
    return float(np.mean(shares))


def ids(rng: np.random.Generator, share: float) -> np.ndarray:
    return np.flatnonzero(rng.random(TRACKS) < share) * 2 + 1


@pytest.mark.parametrize("excluded_share", [0.0, 0.5, 0.98])
@pytest.mark.parametrize("policy", [PERSONAL, SIMILAR])
def test_exclusions_cost_no_recall(
    exact: ModelBundle, indexed: ModelBundle, policy: Policy, excluded_share: float
) -> None:
    rng = np.random.default_rng(1)
    unavailable = ids(rng, excluded_share)
    queries = [
        Query(
            limit=20,
            user_row=user,
            track_id=2 * user + 1,
            exclude=ids(rng, 0.05),
            forbidden=ids(rng, 0.01),
            unavailable=unavailable,
        )
        for user in range(100)
    ]
    assert recall(exact, indexed, queries, policy) >= 0.98
    for query in queries[:10]:
        out = {*query.exclude.tolist(), *query.forbidden.tolist(), *unavailable.tolist()}
        assert not out & {p.track_id for p in recommend(indexed, query, policy).picks}


def test_blocking_the_nearest_tracks_costs_no_recall(exact: ModelBundle, indexed: ModelBundle) -> None:
    queries = []
    for user in range(60):
        nearest = recommend(exact, Query(limit=400, user_row=user), PERSONAL).picks
        queries.append(Query(limit=20, user_row=user, forbidden=np.array([pick.track_id for pick in nearest])))
    assert recall(exact, indexed, queries, PERSONAL) >= 0.98


def test_blends_with_popularity_have_the_same_recall(exact: ModelBundle, indexed: ModelBundle) -> None:
    rng = np.random.default_rng(2)
    queries = [
        Query(limit=20, history=listener_history(ids(rng, 0.001)), early_weights=EarlyWeights(trust, 1 - trust))
        for trust in np.linspace(0.1, 1, 50)
    ]
    assert recall(exact, indexed, queries, EARLY) >= 0.98


def test_scores_are_exact(exact: ModelBundle, indexed: ModelBundle) -> None:
    expected = {p.track_id: p.score for p in recommend(exact, Query(limit=TRACKS, user_row=5), PERSONAL).picks}
    picks = recommend(indexed, Query(limit=20, user_row=5), PERSONAL).picks
    np.testing.assert_allclose([p.score for p in picks], [expected[p.track_id] for p in picks], atol=2e-6)


def test_a_damaged_index_is_replaced_by_exact_search(
    exact: ModelBundle, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    versions = VersionStore(tmp_path)
    folder = versions.write(exact, {}, IVF)
    content = bytearray((folder / "personal.faiss").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "personal.faiss").write_bytes(content)
    (folder / "similar.faiss").unlink()
    bundle = versions.load("v1")
    assert not bundle.ann_indexes
    assert "index personal is not used, searching exactly: DamagedFile" in caplog.text
    assert "index similar is not used, searching exactly: FileNotFoundError" in caplog.text
    assert recommend(bundle, Query(limit=20, user_row=0), PERSONAL) == recommend(
        exact, Query(limit=20, user_row=0), PERSONAL
    )


def test_without_faiss_no_index_is_written_and_a_warning_is_logged(
    exact: ModelBundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(index_files, "find_spec", lambda name: None)
    folder = VersionStore(tmp_path).write(exact, {}, IVF)
    assert {path.name for path in folder.iterdir()} == {"model.npz", "manifest.json"}
    assert "install requirements-faiss.txt; searching exactly" in caplog.text


def test_no_index_for_a_small_catalogue_or_if_an_exact_search_skips_most_tracks(
    exact: ModelBundle, caplog: pytest.LogCaptureFixture
) -> None:
    assert IndexConfig("exact", 0).choose_indexes(exact) == []
    assert IndexConfig("auto", TRACKS).choose_indexes(exact) == []
    assert IndexConfig("auto", TRACKS - 1).choose_indexes(exact) == ["similar", "personal"]
    with pytest.raises(ValueError, match="'hnsw' is not one of auto, exact, ivf"):
        IndexConfig("hnsw")
    caplog.set_level(logging.INFO)
    lengths = np.random.default_rng(1).pareto(1.0, TRACKS)[:, None].astype(np.float32)
    long_tailed = assemble_bundle(
        version="v2",
        items=exact.items,
        popularity=exact.popularity,
        ensemble=exact.ensemble,
        fitted_models=[FittedModel((exact.user_factors, exact.item_factors * lengths), FoldInConfig())],
        users=exact.users,
    )
    assert IndexConfig("auto", TRACKS - 1).choose_indexes(long_tailed) == ["similar"]
