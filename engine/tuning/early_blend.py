"""Learn how listeners with a short history are served: how much the ensemble, popularity and their artists count."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from engine.bundle.model_bundle import ModelBundle, assemble_bundle
from engine.bundle.workspace import EXCLUDED
from engine.data.confidence import PlayStatistics
from engine.data.id_map import IdMap
from engine.data.plays import Plays
from engine.data.sample import sample_listeners
from engine.data.track_features import TrackFeatures
from engine.data.user_item_pairs import UserItemPairs, count_listeners
from engine.ensemble import NOT_LEARNT, EarlyBlend, EarlyWeights, EnsembleConfig
from engine.evaluation.metrics import ndcg
from engine.fitting import fit_ensemble
from engine.hashing import hash_pairs_to_unit_interval, hash_to_unit_interval
from engine.retrieval.candidates import Query
from engine.retrieval.early import early_terms
from engine.retrieval.exact_search import ScoreTerms, search_top_k, top_k_of_rows
from engine.retrieval.personal import personal_score_terms
from engine.retrieval.popularity import popular

COUNTS = (1, 2, 3, 4, 5, 7)
BELOW = 10  # interactions from which on a listener is no longer early
MIN_LISTENERS = 50  # with fewer, the best of many weights are the luckiest
MAX_LISTENERS = 500
MAX_PAIRS = 1_000_000  # with more, the weights are learnt on a sample of the listeners
_HIDDEN_SHARE = 0.2
_CUTOFF, _POOLED = 10, 50  # a track outside the top 50 of all terms is in the top 10 of hardly any blend
_PERSONAL_SHARES = tuple(step / 10 for step in range(11))
_ARTIST_WEIGHTS = (0.0, 1.0, 3.0, 10.0, 30.0, 100.0)
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class _Pool:
    """The promising tracks of a number of listeners, c each at most.

    Attributes:
        terms: personal scores, popularity and artist shares, float32 (listeners, c, 3); NaN at unused positions.
        is_relevant: bool (listeners, c).
        relevant_counts: int64 (listeners,).
    """

    terms: NDArray[np.float32]
    is_relevant: NDArray[np.bool_]
    relevant_counts: NDArray[np.int64]

    def mean_ndcg(self, weights: EarlyWeights) -> float:
        scores = np.nan_to_num(self.terms @ np.array(weights, np.float32), nan=-np.inf)
        order = np.argsort(-scores, axis=1, kind="stable")[:, :_CUTOFF]
        hits = np.take_along_axis(self.is_relevant, order, axis=1)
        return float(ndcg(hits, self.relevant_counts, [_CUTOFF]).mean())


def learn_early_blend(
    plays: Plays,
    items: IdMap,
    ensemble: EnsembleConfig,
    *,
    features: TrackFeatures | None = None,
    seed: int = 2009,
    threads: int = 0,
) -> EarlyBlend:
    """Hide some listeners, fit on the others, reveal the first plays of the hidden ones, and predict the later ones.

    For each number of interactions in `COUNTS` the weights with the best mean NDCG@10 are taken, where the numbers next
    to it count half, because a few hundred listeners say little about one number alone.

    Args:
        plays: of all listeners.
        items: the catalogue.
        ensemble: the models of which the version is made.
        features: of each track of the catalogue; by default nothing is known of them.
        seed: of the sample and the models.
        threads: 0 for all cores.

    Returns:
        A blend; without counts if fewer than MIN_LISTENERS listeners have enough plays.
    """
    plays = sample_listeners(plays, MAX_PAIRS, seed)
    users = IdMap.from_ids(plays.user)
    pairs = UserItemPairs.from_plays(plays, users, items)
    is_long = np.bincount(pairs.user, minlength=len(users)) > COUNTS[0]
    in_random_order = np.argsort(np.where(is_long, hash_to_unit_interval(users.ids, seed), 2.0), kind="stable")
    hidden = in_random_order[: min(int(_HIDDEN_SHARE * len(users)), int(is_long.sum()), MAX_LISTENERS)]
    if len(hidden) < MIN_LISTENERS:
        return NOT_LEARNT
    is_hidden = np.isin(np.arange(len(users)), hidden)
    visible = pairs.where(~is_hidden[pairs.user])
    bundle = _fit(visible, items, ensemble, features, seed, threads)

    rows, _ = users.rows(plays.user)
    theirs = plays.where(is_hidden[rows])
    in_order = np.lexsort((hash_pairs_to_unit_interval(theirs.user, theirs.track, seed), theirs.time, theirs.user))
    theirs = theirs.where(in_order)
    starts = np.flatnonzero(np.append(True, theirs.user[1:] != theirs.user[:-1]))
    histories = [theirs.where(slice(a, b)) for a, b in zip(starts, np.append(starts[1:], len(theirs)), strict=True)]
    pools = [_build_pool(bundle, histories, count) for count in COUNTS]
    learnt = [pool for pool in pools if len(pool.relevant_counts) >= MIN_LISTENERS]
    candidates = [EarlyWeights(p, 1 - p, artists) for artists in _ARTIST_WEIGHTS for p in _PERSONAL_SHARES]
    scores = np.array([[pool.mean_ndcg(weights) for weights in candidates] for pool in learnt])
    if not scores.any():  # nobody's later plays can be predicted
        return NOT_LEARNT
    smooth = scores.copy()
    smooth[1:] += scores[:-1] / 2
    smooth[:-1] += scores[1:] / 2
    best = tuple(candidates[number] for number in smooth.argmax(axis=1))
    return EarlyBlend(COUNTS[: len(best)], best, BELOW if len(best) == len(COUNTS) else 0)


def _fit(
    visible: UserItemPairs,
    items: IdMap,
    ensemble: EnsembleConfig,
    features: TrackFeatures | None,
    seed: int,
    threads: int,
) -> ModelBundle:
    """Fit the ensemble on the listeners who are not hidden."""
    users, user_rows = np.unique(visible.user, return_inverse=True)
    visible = replace(visible, user=user_rows.astype(np.int64))
    fitted = fit_ensemble(visible, (len(users), len(items)), ensemble, seed=seed, threads=threads)
    return assemble_bundle(
        version=None,
        items=items,
        popularity=count_listeners(visible, len(items)),
        ensemble=fitted.ensemble,
        fitted_models=fitted.models,
        statistics=PlayStatistics.from_pairs(visible),
        features=features,
    )


def _build_pool(bundle: ModelBundle, histories: list[Plays], count: int) -> _Pool:
    """Reveal the first `count` interactions of each history; those without new tracks afterwards are left out."""
    terms, is_relevant, relevant_counts = [], [], []
    for history in histories:
        revealed, later = history.where(slice(0, count)), history.where(slice(count, None))
        past = UserItemPairs.from_listener(revealed)
        future = UserItemPairs.from_listener(later)
        relevant = np.setdiff1d(future.track[future.is_positive], past.track)
        if len(revealed) < count or not len(relevant):
            continue
        rows, scores = _promising_tracks(bundle, Query(_POOLED, history=past, exclude=past.track))
        unused = 3 * _POOLED - len(rows)
        terms.append(np.pad(scores, ((0, unused), (0, 0)), constant_values=np.nan))
        is_relevant.append(np.pad(np.isin(bundle.items.ids[rows], relevant), (0, unused)))
        relevant_counts.append(len(relevant))
    shape = (len(terms), 3 * _POOLED)
    return _Pool(
        np.array(terms, np.float32).reshape(*shape, 3),
        np.array(is_relevant, np.bool_).reshape(shape),
        np.array(relevant_counts, np.int64),
    )


def _promising_tracks(bundle: ModelBundle, query: Query) -> tuple[Rows, NDArray[np.float32]]:
    """Return the tracks that any term ranks high, int64 (c,), and their terms, float32 (c, 3)."""
    with bundle.workspaces.borrow() as workspace:
        workspace.exclude(bundle.items.known_rows(query.exclude), EXCLUDED)
        personal = personal_score_terms(bundle, query, workspace)
        terms = early_terms(bundle, personal and personal.standardize(bundle), query.history)
        available = workspace.available(terms.artist_rows)
        artist_rows, shares = terms.artist_rows[available], terms.artist_shares[available]
        # Of the tracks of one artist the popular ones come first.
        by_artist, _ = top_k_of_rows(artist_rows, shares + 1e-9 * bundle.popularity[artist_rows], query.limit)
        lists = [by_artist, popular(bundle, query, workspace, query.limit)[0]]
        if terms.personal is not None:
            lists.append(search_top_k(terms.personal, bundle, workspace, query.limit)[0])
    rows = np.unique(np.concatenate(lists))
    scores = np.zeros(len(rows)) if terms.personal is None else terms.personal.scores_of_rows(bundle, rows)
    popularity = terms.popularity.standardize(bundle)
    of_artists = ScoreTerms(np.zeros(bundle.factors), rows=terms.artist_rows, votes=terms.artist_shares)
    columns = [scores, popularity.scores_of_rows(bundle, rows), of_artists.scores_of_rows(bundle, rows)]
    return rows, np.stack(columns, axis=1).astype(np.float32)
