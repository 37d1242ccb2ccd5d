"""Choose how content counts beside plays: on tracks of the past that a model is not shown."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from engine.bundle.factor_space import ContentParameters, ContentSpace
from engine.bundle.model_bundle import apply_popularity_damping
from engine.data.content_features import ContentFeatures
from engine.data.id_map import IdMap
from engine.data.plays import Plays
from engine.data.sample import sample_listeners
from engine.data.split import split_by_ratio
from engine.data.user_item_pairs import UserItemPairs, binary_matrix, count_listeners
from engine.ensemble import AUXILIARY, EnsembleConfig
from engine.evaluation.metrics import ndcg
from engine.fitting import ComponentScorer, FittedEnsemble, blend_scorer, fit_ensemble
from engine.hashing import hash_to_unit_interval
from engine.models.base import Factors, FittedModel
from engine.models.content_map import ARTIST, ContentRegression, MapParameters, group_of_tracks
from engine.retrieval.exact_search import MIN_DEVIATION, top_k

Rows = NDArray[np.int64]
Floats = NDArray[np.float64]

HIDDEN_ARTISTS, HIDDEN_TRACKS = 0.1, 0.05  # shares of the artists, and of the tracks of the others, that are hidden
HELD_OUT = 0.2  # share of each listener's remaining tracks, by which known tracks are judged
MAX_LOSS = 0.004  # share of the NDCG@10 of known tracks that new ones may cost; half a percent, and a margin for luck
MAX_PAIRS = 3_000_000  # with more, it is chosen on a sample of the listeners
MAX_LISTENERS, MAX_SCORES = 1_000, 20_000_000  # to judge by: fewer where the catalogue is large
MIN_LISTENERS, MIN_TRACKS = 50, 20  # with fewer, chance would choose; then nothing is chosen
CUTOFF = 10
MIN_SHARE = 0.5  # of content, from which the scores of a version without factors are blended, see `ColdItems`
_BATCH = 100  # listeners whose scores of all tracks are in memory at once

RIDGES = (1.0, 2.0, 4.0, 8.0, 16.0)
SHRINKAGES = (0.3, 1.0, 3.0, 10.0, 30.0)
SCALES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2, 1.5)
HALF_LISTENERS = (0.5, 1.0, 2.0, 4.0)


@dataclass(frozen=True)
class ContentChoice:
    """The parameters that were chosen, and why.

    Attributes:
        report: figures for the operator, JSON-ready: how many listeners and hidden tracks, NDCG@10 of the hidden tracks
            among themselves, and of known tracks without and with them. Without a choice, only the reason.
    """

    parameters: ContentParameters
    report: dict[str, Any] = field(default_factory=dict)


class KnownLists(NamedTuple):
    """The best known tracks of b listeners, and how the scores of all known tracks are distributed.

    Attributes:
        scores: the CUTOFF best, falling, float64 (b, CUTOFF); -inf where there are fewer.
        hits: whether each is relevant, bool (b, CUTOFF).
        mean, deviation: of the scores of all played tracks, float64 (b,).
    """

    scores: Floats
    hits: NDArray[np.bool_]
    mean: Floats
    deviation: Floats

    def ndcg(self, relevant_counts: Rows) -> Floats:
        """Return NDCG@10 of the lists without new tracks, float64 (b,)."""
        return ndcg(self.hits, np.maximum(relevant_counts, 1), (CUTOFF,))[:, 0]


def choose_content(
    past: Plays,
    items: IdMap,
    ensemble: EnsembleConfig,
    content: ContentFeatures,
    *,
    seed: int = 0,
    threads: int = 0,
) -> ContentChoice:
    """Hide some artists and tracks, fit the ensemble on the rest, and see how content finds them.

    The regularization of the map is that with which listeners' vectors rank the hidden tracks best among themselves.
    The scales are those with which the lists of all tracks are best, hidden and known ones together, among those that
    cost known tracks at most `MAX_LOSS`; and so is, with these scales, the number of listeners at which content and
    plays count alike.

    Args:
        past: the plays of the past; nothing newer may be known when the choice is judged.
        items: the catalogue.
        ensemble: what is going to be trained.
        content: of any tracks.
        seed: of what is hidden, and of the fit.
        threads: 0 for all cores.
    """
    content = content.of_tracks(items.ids)
    past = sample_listeners(past, MAX_PAIRS, seed)
    is_hidden = _hide_tracks(content, seed)
    rows, is_known = items.rows(past.track)
    hidden_plays = past.where(is_known & is_hidden[rows])
    visible = split_by_ratio(past.where(is_known & ~is_hidden[rows]), HELD_OUT, seed)
    users = IdMap.from_ids(visible.past.user)
    shape = (len(users), len(items))
    train = UserItemPairs.from_plays(visible.past, users, items)
    held_out, new = (
        binary_matrix(UserItemPairs.from_plays(plays, users, items), shape) for plays in (visible.future, hidden_plays)
    )
    hidden = np.flatnonzero(np.bincount(new.indices, minlength=len(items)))
    judged = _sample_users(new, len(items), seed)
    if len(judged) < MIN_LISTENERS or len(hidden) < MIN_TRACKS:
        reason = f"{len(judged)} listeners of {len(hidden)} hidden tracks are too few to choose by"
        return ContentChoice(ContentParameters(), {"reason": reason})
    fitted = fit_ensemble(train, shape, ensemble, seed=seed, threads=threads)
    popularity = count_listeners(train, len(items))
    factors, is_auxiliary = _space_factors(fitted, train, shape, popularity, seed, threads)
    if not factors[1].shape[1]:
        return ContentChoice(ContentParameters(), {"reason": "the version has no factors to map content to"})
    trial = _Trial(
        fitted, factors, is_auxiliary, popularity, binary_matrix(train, shape), held_out, new, judged, hidden
    )
    regression = ContentRegression(content, factors[1], popularity)
    map_parameters = MapParameters()
    for name, values in (("ridge", RIDGES), ("artist_shrinkage", SHRINKAGES), ("album_shrinkage", SHRINKAGES)):
        if name != "ridge" and not _has_effects(name.removesuffix("_shrinkage"), content, hidden, popularity):
            continue
        candidates = [replace(map_parameters, **{name: value}) for value in values]
        scores = [trial.ndcg_among_hidden(regression.solve(candidate)(content)) for candidate in candidates]
        map_parameters = candidates[int(np.argmax(scores))]
    content_map = regression.solve(map_parameters)
    space = ContentSpace(content_map, ContentParameters(map_parameters), content_map(content), np.zeros((0, 0)))
    base = trial.rank_known(space.vectors * 0, np.zeros(len(items)))
    parameters = trial.choose_scales(space, base)
    known_before = base.ndcg(trial.known_counts)[trial.known_counts > 0].mean()
    best, best_total, known_after = parameters, -np.inf, 0.0
    for half_listeners in HALF_LISTENERS:
        candidate = replace(parameters, half_listeners=half_listeners)
        share = np.where(space.vectors.any(axis=1), candidate.share(popularity), 0)
        lists = trial.rank_known(space.vectors * np.float32(candidate.scale_many), share)
        known, total = trial.judge(space, candidate, lists)
        if best_total == -np.inf or (total.mean() > best_total and known.mean() >= (1 - MAX_LOSS) * known_before):
            best, best_total, known_after = candidate, float(total.mean()), float(known.mean())
    report = {
        "listeners": len(judged),
        "hidden_tracks": len(hidden),
        "new_ndcg@10": round(trial.ndcg_among_hidden(space.vectors), 5),
        "known_ndcg@10": round(float(known_before), 5),
        "known_with_new_ndcg@10": round(known_after, 5),
        "parameters": best.to_dict(),
    }
    return ContentChoice(best, report)


@dataclass(frozen=True)
class _Trial:
    """An ensemble that was not shown the hidden tracks, and what b listeners played.

    Attributes:
        fitted: the ensemble.
        factors: of listeners and tracks in the space of the version, with damping.
        is_auxiliary: whether these factors have no part in the scores.
        popularity: float32 (n,).
        train, held_out, new: CSR (users, n), the known tracks that the ensemble was fitted on, those that it has to
            find, and the hidden ones.
        judged: rows of the listeners, int64 (b,).
        hidden: rows of the hidden tracks, int64 (h,).
    """

    fitted: FittedEnsemble
    factors: Factors
    is_auxiliary: bool
    popularity: NDArray[np.float32]
    train: sp.csr_matrix
    held_out: sp.csr_matrix
    new: sp.csr_matrix
    judged: Rows
    hidden: Rows

    @cached_property
    def known_counts(self) -> Rows:
        return np.asarray(np.diff(self.held_out.indptr)[self.judged], np.int64)

    @cached_property
    def new_counts(self) -> Rows:
        return np.asarray(np.diff(self.new.indptr)[self.judged], np.int64)

    @cached_property
    def _is_new_relevant(self) -> NDArray[np.bool_]:
        """bool (b, h)."""
        return np.asarray(self.new[self.judged][:, self.hidden].toarray() > 0)

    def ndcg_among_hidden(self, vectors: NDArray[np.float32]) -> float:
        """Return the mean NDCG@10 of the hidden tracks ranked among themselves.

        Args:
            vectors: of all tracks, float32 (n, f).
        """
        scores = self.factors[0][self.judged] @ vectors[self.hidden].T
        best = np.argsort(-scores, axis=1, kind="stable")[:, :CUTOFF]
        hits = np.take_along_axis(self._is_new_relevant, best, axis=1)
        is_judged = self.new_counts > 0
        return float(ndcg(hits[is_judged], self.new_counts[is_judged], (hits.shape[1],)).mean())

    def rank_known(self, vectors: NDArray[np.float32], share: NDArray[np.floating]) -> KnownLists:
        """Rank the tracks that are not hidden, with content in place of a share of what was learnt.

        Args:
            vectors: by content, scaled, float32 (n, f).
            share: of content, (n,); 0 leaves a track as it is.
        """
        x, y = self.factors
        is_played = self.popularity > 0
        share = np.where(is_played, share, 0).astype(np.float32)
        scorers = []
        for component, model, matrix in zip(
            self.fitted.ensemble.components, self.fitted.models, self.fitted.matrices, strict=True
        ):
            scorer = ComponentScorer.from_model(component, model, matrix)
            if model.factors is not None:
                blended = y + share[:, None] * (vectors - y)
                scorer = replace(scorer, model=FittedModel((x, blended), model.fold_in))
            scorers.append(scorer)
        score = blend_scorer(scorers, self.fitted.ensemble.weights)
        few = np.flatnonzero(share >= MIN_SHARE) if self.is_auxiliary else np.zeros(0, np.int64)
        parts = []
        for start in range(0, len(self.judged), _BATCH):
            users = self.judged[start : start + _BATCH]
            scores = score(users).astype(np.float64)
            of_played = np.where(np.isfinite(scores), scores, 0)[:, is_played]
            mean, deviation = of_played.mean(axis=1), of_played.std(axis=1)
            if len(few):
                by_content = mean[:, None] + deviation[:, None] * self._standardized(users, vectors[few])
                learnt = np.where(np.isfinite(scores[:, few]), scores[:, few], 0)
                scores[:, few] = share[few] * by_content + (1 - share[few]) * learnt
            played = self.train[users]
            scores[np.repeat(np.arange(len(users)), np.diff(played.indptr)), played.indices] = -np.inf
            best = np.full((len(users), CUTOFF), -1)
            for i, row in enumerate(scores):
                top = top_k(row, CUTOFF)
                best[i, : len(top)] = top
            relevant = self.held_out[users].toarray() > 0
            best_scores = np.where(best >= 0, np.take_along_axis(scores, np.maximum(best, 0), axis=1), -np.inf)
            hits = np.take_along_axis(relevant, np.maximum(best, 0), axis=1) & (best >= 0)
            parts.append((best_scores, hits, mean, deviation))
        return KnownLists(*(np.concatenate(column) for column in zip(*parts, strict=True)))

    def judge(self, space: ContentSpace, parameters: ContentParameters, lists: KnownLists) -> tuple[Floats, Floats]:
        """Add hidden tracks to the lists where their scores put them.

        Returns:
            NDCG@10 of the known relevant tracks in these lists, of the listeners who have any, and NDCG@10 of all
            relevant tracks, of all listeners: float64 (k,) and (b,).
        """
        known, total = self._ndcg_with_new(space, self._scales(parameters), lists)
        return known[self.known_counts > 0], total

    def choose_scales(self, space: ContentSpace, lists: KnownLists) -> ContentParameters:
        """Choose the scale of unplayed tracks for listeners with few tracks and for those with many."""
        tracks = np.diff(self.train.indptr)[self.judged]
        boundary = int(np.median(tracks))
        base, scales = lists.ndcg(self.known_counts), []
        results = [self._ndcg_with_new(space, np.full(len(self.judged), scale), lists) for scale in SCALES]
        for group in (tracks < boundary, tracks >= boundary):
            if np.count_nonzero(group & (self.known_counts > 0)) < MIN_LISTENERS:
                group = np.ones(len(tracks), np.bool_)
            is_judged = group & (self.known_counts > 0)
            allowed = [
                number
                for number, (known, _) in enumerate(results)
                if known[is_judged].mean() >= (1 - MAX_LOSS) * base[is_judged].mean()
            ]
            scales.append(SCALES[max(allowed or [0], key=lambda number: float(results[number][1][group].mean()))])
        return replace(space.parameters, scale_few=scales[0], scale_many=scales[1], boundary=boundary)

    def _scales(self, parameters: ContentParameters) -> Floats:
        tracks = np.diff(self.train.indptr)[self.judged]
        return np.where(tracks < parameters.boundary, parameters.scale_few, parameters.scale_many)

    def _ndcg_with_new(self, space: ContentSpace, scales: Floats, lists: KnownLists) -> tuple[Floats, Floats]:
        """Return NDCG@10 of the known relevant tracks and of all, both float64 (b,), in lists with hidden tracks."""
        vectors = space.vectors[self.hidden]
        standardized = self._standardized(self.judged, vectors, scales)
        scores = lists.mean[:, None] + lists.deviation[:, None] * standardized
        scores[:, ~vectors.any(axis=1)] = -np.inf
        merged = np.concatenate([lists.scores, scores], axis=1)
        best = np.argsort(-merged, axis=1, kind="stable")[:, :CUTOFF]
        is_found = np.isfinite(np.take_along_axis(merged, best, axis=1))
        is_known = best < CUTOFF
        hits = np.take_along_axis(np.concatenate([lists.hits, self._is_new_relevant], axis=1), best, axis=1) & is_found
        known = ndcg(hits & is_known, np.maximum(self.known_counts, 1), (CUTOFF,))[:, 0]
        total = ndcg(hits, np.maximum(self.known_counts + self.new_counts, 1), (CUTOFF,))[:, 0]
        return known, total

    def _standardized(self, users: Rows, vectors: NDArray[np.float32], scales: Floats | None = None) -> Floats:
        """Return the products of listeners and vectors, in deviations from the mean of the played tracks: (b, k)."""
        x = self.factors[0][users].astype(np.float64)
        mean, deviation = x @ self._moments[0], np.sqrt(np.maximum(((x @ self._moments[1]) * x).sum(axis=1), 0))
        products = x @ vectors.T.astype(np.float64)
        if scales is not None:
            products *= scales[:, None]
        differs = deviation > MIN_DEVIATION * np.hypot(mean, deviation)
        divisor = np.where(differs, deviation, 1)[:, None]
        return np.where(differs[:, None], (products - mean[:, None]) / divisor, -np.inf)

    @cached_property
    def _moments(self) -> tuple[Floats, Floats]:
        played = self.factors[1][self.popularity > 0].astype(np.float64)
        centred = played - played.mean(axis=0)
        return played.mean(axis=0), centred.T @ centred / len(played)


def _hide_tracks(content: ContentFeatures, seed: int) -> NDArray[np.bool_]:
    """Choose the tracks to hide, bool (n,): some artists with all their tracks, and some tracks of the others.

    A track without an artist counts as an artist of its own.
    """
    artists = group_of_tracks(content, ARTIST)
    artists = np.where(artists >= 0, artists, content.track_ids + np.int64(2**40))
    of_hidden_artist = hash_to_unit_interval(artists, seed) < HIDDEN_ARTISTS
    return of_hidden_artist | (hash_to_unit_interval(content.track_ids, seed + 1) < HIDDEN_TRACKS)


def _sample_users(new: sp.csr_matrix, tracks: int, seed: int) -> Rows:
    """Return the listeners to judge by: a random sample of those who played hidden tracks, ascending."""
    users = np.flatnonzero(np.diff(new.indptr) > 0)
    count = max(MIN_LISTENERS, min(MAX_LISTENERS, MAX_SCORES // max(tracks, 1)))
    return np.sort(users[np.argsort(hash_to_unit_interval(users, seed + 2), kind="stable")[:count]])


def _has_effects(kind: str, content: ContentFeatures, hidden: Rows, popularity: NDArray[np.float32]) -> bool:
    """Return whether enough hidden tracks have an artist, or an album, with tracks that are not hidden."""
    groups = group_of_tracks(content, kind)
    known = np.unique(groups[popularity > 0])
    return int((np.isin(groups[hidden], known) & (groups[hidden] >= 0)).sum()) >= MIN_TRACKS


def _space_factors(
    fitted: FittedEnsemble,
    train: UserItemPairs,
    shape: tuple[int, int],
    popularity: NDArray[np.float32],
    seed: int,
    threads: int,
) -> tuple[Factors, bool]:
    """Return the factors of the space of the version, with damping, and whether they are auxiliary."""
    for component, model in zip(fitted.ensemble.components, fitted.models, strict=True):
        damped = apply_popularity_damping(model, component.damping, popularity)
        if damped.factors is not None:
            return damped.factors, False
    auxiliary = fit_ensemble(train, shape, EnsembleConfig((AUXILIARY,)), seed=seed, threads=threads).models[0]
    assert auxiliary.factors is not None
    return auxiliary.factors, True
