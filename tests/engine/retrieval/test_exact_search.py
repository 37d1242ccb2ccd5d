"""The pages that a search gives are those of the obvious way, whatever a version is made of."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.bundle.model_bundle import ModelBundle, assemble_bundle
from engine.data.id_map import IdMap
from engine.ensemble import BlendWeights, ComponentConfig, EnsembleConfig
from engine.models.base import FittedModel, FoldInConfig
from engine.models.ials import IALS
from engine.models.popularity import Popularity
from engine.models.rp3beta import RP3Beta
from engine.models.slim import SLIM
from engine.pipeline import PERSONAL, Policy, recommend
from engine.retrieval.candidates import Query
from tests.engine import reference_scorer
from tests.engine.factories import listener_history

TRACKS, LISTENERS, FACTORS = 3000, 40, 6
FAMILIES = {"factors": IALS(factors=FACTORS), "votes": RP3Beta(), "more_votes": SLIM(), "popularity": Popularity()}
RECIPES = [
    ("factors",),
    ("votes",),
    ("popularity",),
    ("factors", "votes"),
    ("votes", "popularity"),
    ("votes", "factors", "popularity", "more_votes"),
]


@lru_cache
def world(parts: tuple[str, ...], flat: bool = False) -> ModelBundle:
    """Random factors and neighbours; a tenth of the tracks were never played. Ids are numbers · 3 + 1."""
    rng = np.random.default_rng(5)
    popularity = np.ceil(rng.pareto(1.2, TRACKS) * 3).astype(np.float32)
    popularity[rng.random(TRACKS) < 0.1] = 0
    played = popularity > 0
    known = played & (rng.random(TRACKS) < 0.9)  # of the others the factors say nothing
    items = rng.standard_normal((TRACKS, FACTORS)) * (np.ones(TRACKS) if flat else rng.gamma(1.0, 1.0, TRACKS))[:, None]
    users = rng.standard_normal((LISTENERS, FACTORS))
    learnt = {
        "factors": FittedModel((users.astype(np.float32), (items * known[:, None]).astype(np.float32)), FoldInConfig()),
        "popularity": FittedModel(),
    }
    for name, sign in (("votes", 0.0), ("more_votes", 0.3)):
        near = sp.random(TRACKS, TRACKS, 0.02, "csr", np.float32, rng)
        near.data -= np.float32(sign)
        learnt[name] = FittedModel(neighbours=sp.csr_matrix(near.multiply(played[None]).multiply(played[:, None])))
        learnt[name].neighbours.eliminate_zeros()  # type: ignore[union-attr]
    recipe = EnsembleConfig(
        tuple(ComponentConfig(FAMILIES[p]) for p in parts),
        BlendWeights(*[tuple(0.1 + i for i in range(len(parts)))] * 2),
    )
    return assemble_bundle(
        version="v",
        items=IdMap(np.arange(TRACKS) * 3 + 1),
        popularity=popularity,
        ensemble=recipe,
        fitted_models=[learnt[p] for p in parts],
        users=IdMap(np.arange(LISTENERS)),
    )


def same_page(bundle: ModelBundle, query: Query, source: str, given_: list[tuple[int, float]]) -> None:
    """Scores may differ by rounding, and tracks that score alike may change places."""
    rows, scores = reference_scorer.top_rows(bundle, query, source)
    assert len(given_) == len(rows)
    assert len({i for i, _ in given_}) == len(rows)
    places = bundle.items.known_rows([i for i, _ in given_])
    np.testing.assert_allclose(scores[places], scores[rows], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose([s for _, s in given_], scores[places], rtol=1e-4, atol=1e-4)


@st.composite
def queries(draw: Callable[..., int]) -> Query:
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    played, refused = (rng.choice(TRACKS, draw(st.integers(0, 30)), replace=False) * 3 + 1 for _ in range(2))
    outs = [rng.choice(3 * TRACKS, draw(st.sampled_from([0, 3, 2000]))).astype(np.int64) for _ in range(3)]
    known = draw(st.booleans())
    return Query(
        limit=draw(st.sampled_from([1, 20, 60, 700])),
        user_row=draw(st.integers(0, LISTENERS - 1)) if known else None,
        history=listener_history(played, disliked=refused if draw(st.booleans()) else []),
        exclude=outs[0],
        forbidden=outs[1],
        unavailable=outs[2],
        track_id=draw(st.integers(0, TRACKS)) * 3 + 1,
        personal_weight=draw(st.sampled_from([0.0, 0.2, 0.8, 1.0])),
    )


@pytest.mark.parametrize("parts", RECIPES)
@settings(max_examples=40)
@given(query=queries(), flat=st.booleans())
def test_a_page_is_what_scores_of_all_tracks_give(parts: tuple[str, ...], query: Query, flat: bool) -> None:
    bundle = world(parts, flat)
    for source in reference_scorer.SOURCES:
        picks = recommend(bundle, query, Policy(source, (source,), may_repeat=False)).picks
        same_page(bundle, query, source, [(p.track_id, p.score) for p in picks])


def test_threads_share_a_version() -> None:
    bundle, rng = world(("factors", "votes")), np.random.default_rng(1)
    asked = [
        Query(limit=20, user_row=int(u), exclude=rng.choice(TRACKS, 50) * 3 + 1) for u in np.arange(400) % LISTENERS
    ]
    alone = [recommend(bundle, query, PERSONAL) for query in asked]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda query: recommend(bundle, query, PERSONAL), asked)) == alone


def test_a_search_looks_at_a_small_part_where_some_tracks_are_much_longer() -> None:

    bundle = world(("factors",))
    assert bundle.norm_sorted_items.scanned_share(bundle.user_factors, 20) < 0.4
    assert bundle.norm_sorted_items.scanned_share(bundle.user_factors[:0], 20) == 1.0
