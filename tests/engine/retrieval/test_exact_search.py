"""Exact search returns the same tracks as scores of all tracks do, whatever a version is made of."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from engine.bundle.model_bundle import ModelBundle, assemble_bundle
from engine.data.id_map import IdMap
from engine.data.track_features import UNKNOWN_ID, TrackFeatures
from engine.ensemble import BlendWeights, ComponentConfig, EarlyWeights, EnsembleConfig
from engine.models.base import FittedModel, FoldInConfig
from engine.models.ials import IALS
from engine.models.popularity import Popularity
from engine.models.rp3beta import RP3Beta
from engine.models.slim import SLIM
from engine.pipeline import NO_CAPS, PERSONAL, Policy, recommend
from engine.retrieval.candidates import Query
from engine.retrieval.exact_search import top_k
from tests.engine import reference_scorer
from tests.engine.factories import listener_history

TRACKS, LISTENERS, FACTORS = 3000, 40, 6
FAMILIES = {"factors": IALS(factors=FACTORS), "votes": RP3Beta(), "more_votes": SLIM(), "popularity": Popularity()}
COMPONENT_SETS = [
    ("factors",),
    ("votes",),
    ("popularity",),
    ("factors", "votes"),
    ("votes", "popularity"),
    ("votes", "factors", "popularity", "more_votes"),
]


@lru_cache
def make_bundle(parts: tuple[str, ...], flat: bool = False) -> ModelBundle:
    """Build a bundle of random factors and neighbours; a tenth of the tracks were never played. Ids are row · 3 + 1."""
    rng = np.random.default_rng(5)
    popularity = np.ceil(rng.pareto(1.2, TRACKS) * 3).astype(np.float32)
    popularity[rng.random(TRACKS) < 0.1] = 0
    played = popularity > 0
    known = played & (rng.random(TRACKS) < 0.9)  # the others have no factors
    items = rng.standard_normal((TRACKS, FACTORS)) * (np.ones(TRACKS) if flat else rng.gamma(1.0, 1.0, TRACKS))[:, None]
    users = rng.standard_normal((LISTENERS, FACTORS))
    fitted_models = {
        "factors": FittedModel((users.astype(np.float32), (items * known[:, None]).astype(np.float32)), FoldInConfig()),
        "popularity": FittedModel(),
    }
    for name, sign in (("votes", 0.0), ("more_votes", 0.3)):
        near = sp.random(TRACKS, TRACKS, 0.02, "csr", np.float32, rng)
        near.data -= np.float32(sign)
        fitted_models[name] = FittedModel(
            neighbours=sp.csr_matrix(near.multiply(played[None]).multiply(played[:, None]))
        )
        fitted_models[name].neighbours.eliminate_zeros()  # type: ignore[union-attr]
    ensemble = EnsembleConfig(
        tuple(ComponentConfig(FAMILIES[p]) for p in parts),
        BlendWeights(*[tuple(0.1 + i for i in range(len(parts)))] * 2),
    )
    items_by_row = IdMap(np.arange(TRACKS) * 3 + 1)
    artist = np.where(rng.random(TRACKS) < 0.1, UNKNOWN_ID, np.arange(TRACKS) // 7)
    return assemble_bundle(
        version="v",
        items=items_by_row,
        features=replace(TrackFeatures.unknown(items_by_row.ids), artist=artist),
        popularity=popularity,
        ensemble=ensemble,
        fitted_models=[fitted_models[p] for p in parts],
        users=IdMap(np.arange(LISTENERS)),
    )


def assert_same_top_k(bundle: ModelBundle, query: Query, source: str, picks: list[tuple[int, float]]) -> None:
    """Compare with the reference; scores may differ by rounding, and tracks with equal scores may change places."""
    rows, scores = reference_scorer.top_rows(bundle, query, source)
    assert len(picks) == len(rows)
    assert len({i for i, _ in picks}) == len(rows)
    places = bundle.items.known_rows([i for i, _ in picks])
    np.testing.assert_allclose(scores[places], scores[rows], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose([s for _, s in picks], scores[places], rtol=1e-4, atol=1e-4)


@st.composite
def queries(draw: Callable[..., int]) -> Query:
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    played, disliked = (rng.choice(TRACKS, draw(st.integers(0, 30)), replace=False) * 3 + 1 for _ in range(2))
    excluded = [rng.choice(3 * TRACKS, draw(st.sampled_from([0, 3, 2000]))).astype(np.int64) for _ in range(3)]
    known, only = draw(st.booleans()), draw(st.sampled_from([None, 0, 10, 4000]))
    return Query(
        limit=draw(st.sampled_from([1, 20, 60, 700])),
        user_row=draw(st.integers(0, LISTENERS - 1)) if known else None,
        history=listener_history(played, disliked=disliked if draw(st.booleans()) else []),
        exclude=excluded[0],
        forbidden=excluded[1],
        unavailable=excluded[2],
        only=None if only is None else rng.choice(3 * TRACKS, only).astype(np.int64),
        track_id=draw(st.integers(0, TRACKS)) * 3 + 1,
        early_weights=EarlyWeights(*draw(st.sampled_from([(0.0, 1.0), (0.2, 0.8, 3.0), (0.8, 0.2), (1.0, 0.0, 1.0)]))),
    )


@pytest.mark.parametrize("parts", COMPONENT_SETS)
@settings(max_examples=40)
@given(query=queries(), flat=st.booleans())
def test_top_k_equals_that_of_scores_of_all_tracks(parts: tuple[str, ...], query: Query, flat: bool) -> None:
    bundle = make_bundle(parts, flat)
    for source in reference_scorer.SOURCES:
        picks = recommend(bundle, query, Policy(source, {source: 1}, may_repeat=False, caps=NO_CAPS)).picks
        assert_same_top_k(bundle, query, source, [(p.track_id, p.score) for p in picks])


def test_threads_can_share_a_version() -> None:
    bundle, rng = make_bundle(("factors", "votes")), np.random.default_rng(1)
    listener_queries = [
        Query(limit=20, user_row=int(u), exclude=rng.choice(TRACKS, 50) * 3 + 1) for u in np.arange(400) % LISTENERS
    ]
    expected = [recommend(bundle, query, PERSONAL) for query in listener_queries]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda query: recommend(bundle, query, PERSONAL), listener_queries)) == expected


def test_a_search_scans_a_small_share_if_some_norms_are_much_higher() -> None:
    bundle = make_bundle(("factors",))
    assert bundle.norm_sorted_items.scanned_share(bundle.user_factors, 20) < 0.4
    assert bundle.norm_sorted_items.scanned_share(bundle.user_factors[:0], 20) == 1.0


score_arrays = hnp.arrays(
    np.float32, st.integers(0, 40), elements=st.sampled_from([-np.inf, -1.5, 0.0, 0.25, 1.0, 7.0]).map(np.float32)
)


@given(score_arrays, st.integers(0, 50))
def test_top_k_equals_sorting_everything(s: np.ndarray, k: int) -> None:
    expected = [row for row in sorted(range(len(s)), key=lambda r: (-s[r], r)) if s[row] > -np.inf][:k]
    assert top_k(s, k).tolist() == expected


@given(st.integers(0, 10_000), st.integers(1, 9), st.sampled_from([0.001, 0.05, 1.0]), st.sampled_from([-np.inf, 0.0]))
def test_top_k_of_many_scores_equals_sorting_everything(seed: int, k: int, share: float, others: float) -> None:
    """Many scores are searched by the maxima of segments; those of a listener are mostly equal, or -inf."""
    rng = np.random.default_rng(seed)
    scores = np.where(rng.random(1_500) < share, rng.integers(-3, 30, 1_500), others).astype(np.float32)
    expected = [row for row in np.argsort(-scores, kind="stable").tolist() if scores[row] > -np.inf][:k]
    assert top_k(scores, k).tolist() == expected


@given(score_arrays, st.integers(1, 50))
def test_a_longer_top_k_begins_with_the_shorter(s: np.ndarray, k: int) -> None:
    assert top_k(s, k + 1)[:k].tolist() == top_k(s, k).tolist()
