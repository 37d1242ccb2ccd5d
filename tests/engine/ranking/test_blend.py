from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from engine.bundle.model_bundle import ModelBundle, Neighbours, assemble_bundle
from engine.bundle.workspace import SearchWorkspace
from engine.data.confidence import ConfidenceWeights, PlayStatistics
from engine.data.id_map import IdMap
from engine.data.user_item_pairs import UserItemPairs, count_listeners
from engine.ensemble import BlendWeights, ComponentConfig, EnsembleConfig
from engine.fitting import fit_ensemble
from engine.models.ials import IALS
from engine.models.popularity import Popularity
from engine.models.repeat import Repeat
from engine.models.rp3beta import RP3Beta
from engine.pipeline import Policy, recommend
from engine.ranking.blend import blend_scores, standardize_scores
from engine.retrieval.candidates import Query
from engine.retrieval.neighbours import neighbour_votes
from engine.retrieval.personal import personal_score_terms
from tests.engine.factories import all_scores, checkerboard, listener_history

ALL = np.ones(4, bool)


def test_scores_are_standardized_over_the_offered_tracks() -> None:
    offered = np.array([True, True, True, False])
    page = standardize_scores(np.array([[1, 2, 3, 99], [5, 5, 5, 5]], np.float32), offered)
    np.testing.assert_allclose(page[0, :3], [-1.2247, 0, 1.2247], atol=1e-4)
    assert page[1].tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("scale", [1e-20, 1.0, 1e20])
def test_scores_that_differ_by_rounding_only_become_zeros(scale: float) -> None:
    one_step = np.nextafter(np.float32(1), np.float32(2))
    scores = np.array([[1, one_step, 1, 1], [1, 1.001, 1, 1]], np.float32) * np.float32(scale)
    page = standardize_scores(scores, ALL)
    assert page[0].tolist() == [0, 0, 0, 0]
    np.testing.assert_allclose(page[1], [-0.577, 1.732, -0.577, -0.577], atol=0.01)


def test_a_single_component_keeps_its_scale_and_never_offers_zeros() -> None:
    only, offered = np.array([[0.3, 0, 0.1, 0.2]], np.float32), np.array([True, True, True, False])
    page = blend_scores([only], np.ones((1, 1), np.float32), offered)
    assert page is not None
    assert page[0, 0] == np.float32(0.3)
    assert np.isneginf(page[0, [1, 3]]).all()


def test_a_component_without_scores_leaves_the_blend_to_the_others() -> None:
    one, weights = np.array([[4, 3, 2, 1]], np.float32), np.array([[0.5, 0.5]], np.float32)
    alone, together = blend_scores([one, None], weights, ALL), blend_scores([None, None], weights, ALL)
    assert alone is not None
    assert alone[0].argsort().tolist() == [3, 2, 1, 0]
    assert together is None


@given(st.integers(0, 10_000))
def test_votes_equal_the_product_with_the_matrix_of_neighbours(seed: int) -> None:
    rng = np.random.default_rng(seed)
    weights = sp.random(12, 12, 0.3, "csr", np.float32, rng)
    rows = np.flatnonzero(rng.random(12) < 0.4)
    confidence = rng.random(len(rows)).astype(np.float32)
    row = sp.csr_matrix((confidence, (np.zeros(len(rows), int), rows)), (1, 12))
    workspace = SearchWorkspace(np.zeros(12, np.uint8), np.empty(12, np.int32))
    voted, given = neighbour_votes(Neighbours.from_csr(weights), rows, confidence, workspace)
    everywhere = np.zeros(12)
    everywhere[voted] = given
    assert len(set(voted.tolist())) == len(voted)
    np.testing.assert_allclose(everywhere, (row @ weights).toarray()[0], rtol=1e-5, atol=1e-6)


def test_serving_scores_equal_those_of_the_evaluation() -> None:
    """Scoring one listener at a time by their current plays equals `build_scorer()` for all listeners."""
    plays = checkerboard(30)
    plays = replace(plays, time=1_700_000_000 + 3_600 * (plays.time - plays.time.min()))  # an hour apart
    users, items = IdMap.from_ids(plays.user), IdMap.from_ids(np.arange(100, 130))
    pairs = UserItemPairs.from_plays(plays, users, items)
    parts = (
        ComponentConfig(IALS(factors=4, iterations=40, unobserved_ratio=0.6), ConfidenceWeights(bonus=2), damping=0.1),
        ComponentConfig(RP3Beta(beta=0.2), ConfidenceWeights(transform="log"), damping=0.3, recency=0.8),
        ComponentConfig(Popularity()),
        ComponentConfig(Repeat(), Repeat.default_confidence),
    )
    recipe = EnsembleConfig(parts, BlendWeights((0.3, 0.4, 0.1, 0.2), (0.5, 0.3, 0.1, 0.1), 14))
    fitted = fit_ensemble(pairs, (30, 30), recipe, seed=1, threads=1)
    bundle = assemble_bundle(
        version="v",
        items=items,
        popularity=count_listeners(pairs, 30),
        ensemble=fitted.ensemble,
        fitted_models=fitted.models,
        users=users,
        statistics=PlayStatistics.from_pairs(pairs),
    )
    expected = fitted.build_scorer()(np.arange(30))
    for user in range(30):
        mine = plays.where(plays.user == 100 + user)
        past = UserItemPairs.from_listener(mine)
        stored = scores_of(bundle, Query(limit=1, user_row=user, history=past))
        folded = scores_of(bundle, Query(limit=1, history=past))
        assert stored is not None
        assert folded is not None
        np.testing.assert_allclose(stored, expected[user], rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(folded, expected[user], rtol=0.05, atol=0.05)  # CG has not quite converged


def test_a_version_with_neighbours_only_answers_every_source() -> None:
    plays = checkerboard(20)
    users, items = IdMap.from_ids(plays.user), IdMap.from_ids(np.arange(100, 121))
    pairs = UserItemPairs.from_plays(plays, users, items)
    fitted = fit_ensemble(pairs, (20, 21), EnsembleConfig((ComponentConfig(RP3Beta()),)), seed=1)
    popularity = count_listeners(pairs, 21)
    bundle = assemble_bundle(
        version="v", items=items, popularity=popularity, ensemble=fitted.ensemble, fitted_models=fitted.models
    )
    played = 100 + np.array([0, 2, 4, 6])
    query = Query(limit=21, history=listener_history(played), track_id=104)
    for source in ("personal", "neighbours", "similar"):
        picks = recommend(bundle, query, Policy(source, {source: 1})).picks
        assert picks
        assert {pick.track_id % 2 for pick in picks} == {0}, source
    assert scores_of(bundle, Query(limit=3)) is None
    assert scores_of(bundle, Query(limit=3, history=listener_history([120, 999]))) is None


def scores_of(bundle: ModelBundle, query: Query) -> NDArray[np.float32] | None:
    with bundle.workspaces.borrow() as marks:
        answer = personal_score_terms(bundle, query, marks)
    return None if answer is None else all_scores(answer, bundle)
