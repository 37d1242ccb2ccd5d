"""The personal candidates of the ensemble: the scores of its components blended, for one listener."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from engine.bundle.model_bundle import ModelBundle, Vector
from engine.bundle.workspace import SearchWorkspace
from engine.data.user_item_pairs import UserItemPairs
from engine.retrieval.candidates import Query
from engine.retrieval.exact_search import ScoreTerms, TopK, empty_top_k, search_top_k
from engine.retrieval.fold_in import fold_in
from engine.retrieval.neighbours import component_votes, sum_votes


def personal(bundle: ModelBundle, query: Query, workspace: SearchWorkspace, k: int) -> TopK:
    """Rank tracks by the blended scores of the ensemble."""
    terms = personal_score_terms(bundle, query, workspace)
    return empty_top_k() if terms is None else search_top_k(terms, bundle, workspace, k)


def personal_score_terms(bundle: ModelBundle, query: Query, workspace: SearchWorkspace) -> ScoreTerms | None:
    """Compute the terms of a listener's blended scores, once for all sources of a query.

    Factors come from the stored vector if it is up to date, else from the current history, folded in; neighbours
    always from the current history. A single component keeps its scale and offers only tracks it has a score for.

    Returns:
        None for a listener for whom no component has a score, such as one who only disliked tracks.
    """
    return workspace.remember("personal terms", query, lambda: _personal_score_terms(bundle, query, workspace))


def _personal_score_terms(bundle: ModelBundle, query: Query, workspace: SearchWorkspace) -> ScoreTerms | None:
    if query.user_row is not None and bundle.neighbours == (None,) and not query.history.is_negative.any():
        # A shortcut with the same result as below: one component with factors, and nothing to look up.
        vector = bundle.user_factors[query.user_row]
        return ScoreTerms(vector.astype(np.float64), omit_zeros=True, scales={0: 1.0}) if vector.any() else None
    pairs = bundle.pairs_with_vectors(query.history)
    return blend_components(bundle, component_terms(bundle, query, pairs, workspace), pairs, workspace)


def blend_components(
    bundle: ModelBundle, components: Sequence[ScoreTerms | None], pairs: UserItemPairs, workspace: SearchWorkspace
) -> ScoreTerms | None:
    """Blend what `component_terms` returned; a single component keeps its scale."""
    if len(components) == 1:
        return components[0] and replace(components[0], omit_zeros=True)
    if all(terms is None for terms in components):
        return None
    return blend_terms(bundle, components, blend_weights(bundle, pairs), workspace)


def blend_weights(bundle: ModelBundle, pairs: UserItemPairs) -> list[float]:
    """Return the weight of each component for a listener with these pairs."""
    tracks = np.array([np.count_nonzero(pairs.is_positive)])
    return [float(weight) for weight in bundle.ensemble.weights.for_listeners(tracks)[0]]


def component_terms(
    bundle: ModelBundle, query: Query, pairs: UserItemPairs, workspace: SearchWorkspace
) -> list[ScoreTerms | None]:
    """Compute the terms of each component, neither standardized nor weighted; None where it has no score.

    Popularity is a component only beside others that have one.

    Args:
        pairs: those of `query.history` whose tracks have vectors, see `ModelBundle.pairs_with_vectors`.
    """
    components: list[ScoreTerms | None] = [None] * len(bundle.neighbours)
    if pairs.is_positive.any() or query.user_row is not None:
        components = [_component_terms(bundle, i, query, pairs, workspace) for i in range(len(components))]
    if len(components) > 1 and any(components):
        for i, lists in enumerate(bundle.neighbours):
            if lists is None and i != bundle.factor_component:
                components[i] = popularity_terms(bundle)
    return components


def _component_terms(
    bundle: ModelBundle, component: int, query: Query, pairs: UserItemPairs, workspace: SearchWorkspace
) -> ScoreTerms | None:
    """Compute the terms of one component with neighbours or factors; None if it has no score for this listener."""
    if bundle.neighbours[component] is not None:
        rows, votes = component_votes(bundle, component, query, pairs, workspace)
        if len(bundle.neighbours) == 1 and pairs.is_negative.any():
            votes = np.maximum(votes, 0)  # tracks whose only votes come from dislikes are not personal candidates
        terms = ScoreTerms(np.zeros(bundle.factors), rows=rows, votes=votes, scales={component: 1.0})
        return terms if votes.any() else None
    if component != bundle.factor_component:
        return None
    vector = listener_vector(bundle, query, pairs, workspace)
    return ScoreTerms(vector.astype(np.float64), scales={component: 1.0}) if vector.any() else None


def listener_vector(bundle: ModelBundle, query: Query, pairs: UserItemPairs, workspace: SearchWorkspace) -> Vector:
    """Return a listener's vector in the space of the bundle: the stored one if it is up to date, else folded in.

    A query folds in only once.

    Args:
        pairs: of the listener, as `ModelBundle.pairs_with_vectors` returns them.

    Returns:
        float32 (f,); zeros if nothing is known of the listener.
    """
    is_stored = bundle.factor_component is not None and query.user_row is not None
    if is_stored and not pairs.is_negative.any():  # training ignores dislikes, fold-in does not
        return np.asarray(bundle.user_factors[query.user_row])
    space = bundle.space
    if space is None:
        return np.zeros(0, np.float32)

    def solve() -> Vector:
        with query.time_fold_in():
            confidence = space.confidence.compute(pairs, bundle.popularity, bundle.statistics)
            return fold_in(bundle, pairs.track, confidence)

    return workspace.remember("folded-in vector", query, solve)


def popularity_terms(bundle: ModelBundle) -> ScoreTerms:
    """Return the terms by which tracks are ranked by popularity."""
    return ScoreTerms(np.zeros(bundle.factors), popularity_weight=1.0)


def blend_terms(
    bundle: ModelBundle,
    components: Sequence[ScoreTerms | None],
    weights: Sequence[float],
    workspace: SearchWorkspace,
) -> ScoreTerms:
    """Standardize the terms of each component that has any, weight them and add them up."""
    scaled = [
        terms.standardize(bundle).scale(weight)
        for terms, weight in zip(components, weights, strict=True)
        if terms is not None
    ]
    with_votes = [terms for terms in scaled if len(terms.rows)]
    rows, votes = np.zeros(0, np.int64), np.zeros(0)
    if len(with_votes) == 1:
        rows, votes = with_votes[0].rows, with_votes[0].votes
    elif with_votes:
        all_rows = np.concatenate([terms.rows for terms in with_votes])
        rows, votes = sum_votes(all_rows, np.concatenate([terms.votes for terms in with_votes]), workspace)
    return ScoreTerms(
        vector=np.sum([terms.vector for terms in scaled], axis=0),
        popularity_weight=sum(terms.popularity_weight for terms in scaled),
        constant=sum(terms.constant for terms in scaled),
        rows=rows,
        votes=votes,
        scales={component: scale for terms in scaled for component, scale in terms.scales.items()},
    )
