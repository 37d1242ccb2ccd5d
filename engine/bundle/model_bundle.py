"""The frozen arrays and parameters of one trained version, from which every query is answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray

from engine.bundle.ann_index import AnnIndex
from engine.bundle.factor_space import ContentParameters, ContentSpace, FactorSpace
from engine.bundle.live_lists import LiveLists
from engine.bundle.norm_sorted_items import NormSortedItems
from engine.bundle.row_vectors import RowVectors
from engine.bundle.track_statistics import TrackStatistics
from engine.bundle.workspace import WorkspacePool
from engine.data.confidence import PlayStatistics
from engine.data.content_features import ContentFeatures
from engine.data.id_map import IdMap
from engine.data.track_features import TrackFeatures
from engine.data.user_item_pairs import UserItemPairs
from engine.ensemble import AUXILIARY, NOT_LEARNT, EarlyBlend, EnsembleConfig
from engine.models.base import FittedModel, FoldInConfig
from engine.models.listening_context import ContextModel
from engine.models.sequences.base import SequenceModel

Vector = NDArray[np.float32]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Neighbours:
    """The votes of each played track for other tracks, as a CSR matrix (n, n).

    Attributes:
        indptr: int64 (n + 1,).
        indices: ascending within a row, int32 (nnz,).
        weights: float32 (nnz,).
    """

    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]
    weights: Vector

    @classmethod
    def from_csr(cls, matrix: sp.csr_matrix) -> Neighbours:
        return cls(matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32), matrix.data.astype(np.float32))

    def row(self, track: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return the rows that one track votes for, int64 (k,), and the weights of its votes, float64 (k,)."""
        span = slice(self.indptr[track], self.indptr[track + 1])
        return self.indices[span].astype(np.int64), self.weights[span].astype(np.float64)

    def entries(self, tracks: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the positions of all entries of some rows, one row after the other, and how many each row has.

        Args:
            tracks: int64 (k,).

        Returns:
            positions in `indices` and `weights`, int64 (e,), and lengths, int64 (k,).
        """
        n = len(self.indptr) - 1
        starts = self.indptr[np.minimum(tracks, n)]  # tracks from n on came after training and have no neighbours
        lengths = self.indptr[np.minimum(tracks + 1, n)] - starts
        return np.repeat(starts - (np.cumsum(lengths) - lengths), lengths) + np.arange(lengths.sum()), lengths


@dataclass(frozen=True)
class ColdItems:
    """The k tracks that are found by their content.

    Attributes:
        vectors: by content.
        share: of content in their scores, 1 for tracks without plays, float32 (k,).
    """

    vectors: RowVectors
    share: Vector

    @property
    def rows(self) -> Rows:
        """Ascending, int64 (k,)."""
        return self.vectors.rows


@dataclass(frozen=True)
class ModelBundle:
    """One trained version: n tracks, m listeners, f factors; f is 0 in a version without factors.

    Attributes:
        version: None for a bundle without a model, made of the catalogue.
        item_factors: with the popularity damping of the ensemble, float32 (n, f).
        item_norms: of these factors, 0 for a track that nobody played, float32 (n,).
        gramian: YᵀY of the factors before damping, float64 (f, f).
        popularity: number of listeners, float32 (n,).
        popular_rows: most popular first, int64 (n,).
        user_factors: float32 (m, f).
        user_stamps: (interactions, UNIX second of the newest, checksum) that the model has seen, int64 (m, 3).
        early: how listeners with a short history are served.
        factor_component: index of the component that has the factors; None without factors.
        neighbours: of each component of the ensemble; None for one that has none.
        stored_items: the sorted items of the file; None if the version was written without them.
        ann_indexes: approximate indexes by purpose, `FOR_LISTENERS` or `FOR_TRACKS`.
        features: who made each track and when, n rows.
        auxiliary: factors that have no part in the scores; None if a component of the ensemble has factors.
        content: where content places tracks; None in a version that was trained without content.
        sequence: what is played next in a session; None in a version whose plays have too few sessions.
        context: what is played in which context; None in a version that has learnt nothing that helps.
        live: what a serving process knows beside the version.
        trained: the version, if this bundle is an extension of it; what was computed once for it is not computed again.
    """

    version: str | None
    algorithm: str
    items: IdMap
    item_factors: NDArray[np.float32]
    item_norms: Vector
    gramian: NDArray[np.float64]
    popularity: Vector
    popular_rows: NDArray[np.int64]
    users: IdMap
    user_factors: NDArray[np.float32]
    user_stamps: NDArray[np.int64]
    features: TrackFeatures
    ensemble: EnsembleConfig = field(default_factory=EnsembleConfig)
    early: EarlyBlend = NOT_LEARNT
    factor_component: int | None = None
    neighbours: tuple[Neighbours | None, ...] = ()
    fold_in: FoldInConfig = field(default_factory=FoldInConfig)
    statistics: PlayStatistics = field(default_factory=PlayStatistics)
    stored_items: NormSortedItems | None = None
    ann_indexes: Mapping[str, AnnIndex] = field(default_factory=dict)
    auxiliary: FactorSpace | None = None
    content: ContentSpace | None = None
    sequence: SequenceModel | None = None
    context: ContextModel | None = None
    live: LiveLists = field(default_factory=LiveLists)
    trained: ModelBundle | None = None

    @cached_property
    def norm_sorted_items(self) -> NormSortedItems:
        """The played tracks in the order of an exact search; computed once if the file does not contain it."""
        if self.stored_items is not None:
            return self.stored_items
        return NormSortedItems.from_factors(self.item_factors, self.item_norms, self.popularity)

    @cached_property
    def track_statistics(self) -> TrackStatistics:
        return TrackStatistics(self.features, self.popularity)

    @cached_property
    def workspaces(self) -> WorkspacePool:
        return WorkspacePool(self.items)

    @property
    def factors(self) -> int:
        """The number of factors f."""
        return int(self.item_factors.shape[1])

    @cached_property
    def space(self) -> FactorSpace | None:
        """The space of the vectors of tracks and listeners; None in a version without any factors."""
        if self.factor_component is None:
            return self.auxiliary
        component, moments = self.ensemble.components[self.factor_component], self.norm_sorted_items
        return FactorSpace(
            item_factors=self.item_factors,
            gramian=self.gramian,
            mean=moments.mean[:-1],
            covariance=moments.covariance[:-1, :-1],
            fold_in=self.fold_in,
            confidence=component.confidence,
            damping=component.damping,
        )

    @cached_property
    def cold_items(self) -> ColdItems:
        """The tracks that plays say nothing or too little of, and whose content is known.

        In a version with factors these are the tracks that nobody played; the factors of those with few listeners are
        blended with content already. In other versions the scores of tracks whose share of content is at least a half
        are blended when they are asked for.
        """
        content = self.content
        if content is None:
            return ColdItems(RowVectors.empty(), np.zeros(0, np.float32))
        if self.trained is not None:
            vectors = self.trained.cold_items.vectors.with_updates(content.updated_rows, content.updates)
        else:
            share = np.where(self.popularity > 0, 0 if self.auxiliary is None else self.content_share, 1)
            vectors = content.select_vectors(np.flatnonzero(share >= 0.5))
        return ColdItems(vectors, content.parameters.share(self.popularity[vectors.rows]))

    @cached_property
    def content_vectors(self) -> RowVectors:
        """The vectors by content of the tracks whose content is known."""
        if self.content is None:
            return RowVectors.empty()
        if self.trained is not None:
            return self.trained.content_vectors.with_updates(self.content.updated_rows, self.content.updates)
        return self.content.select_vectors(np.arange(len(self.items)))

    @property
    def content_share(self) -> Vector:
        """The share of content in the vector of each track, from 1 for tracks without plays: float32 (n,)."""
        assert self.content is not None
        return self.content.parameters.share(self.popularity)

    def vectors(self, rows: Rows) -> Vector:
        """Return the vectors of tracks in the space of the version.

        They are learnt from plays, predicted by content, or in between, the more listeners a track has the nearer to
        what was learnt.

        Args:
            rows: int64 (k,).

        Returns:
            float32 (k, f); zeros for tracks of which nothing is known; f is 0 in a version without any factors.
        """
        if self.space is None:
            return np.zeros((len(rows), 0), np.float32)
        is_played = self.popularity[rows] > 0
        if is_played.all():
            return np.asarray(self.space.item_factors[rows])
        vectors = np.zeros((len(rows), self.space.item_factors.shape[1]), np.float32)
        vectors[is_played] = self.space.item_factors[rows[is_played]]
        if self.content is not None:
            vectors[~is_played] = self.content.vectors_of(rows[~is_played])
        return vectors

    @property
    def factor_damping(self) -> float:
        return 0.0 if self.factor_component is None else self.ensemble.components[self.factor_component].damping

    def without_listeners(self) -> ModelBundle:
        """Return the bundle without listeners, all of whom are then folded in."""
        no_factors, no_stamps = np.zeros((0, self.factors), np.float32), np.zeros((0, 3), np.int64)
        return replace(self, users=IdMap.from_ids([]), user_factors=no_factors, user_stamps=no_stamps)

    @property
    def item_item_component(self) -> int | None:
        """The index of the first component with neighbours that are other tracks; None without one."""
        for number, (component, lists) in enumerate(zip(self.ensemble.components, self.neighbours, strict=False)):
            if lists is not None and not component.trainer.own_tracks_only:
                return number
        return None

    def item_row(self, track_id: int) -> int | None:
        """Return the row of a track; None if it is unknown or nobody played it."""
        row = self.items.row(track_id)
        return row if row is not None and self.popularity[row] > 0 else None

    def known_pairs(self, history: UserItemPairs) -> UserItemPairs:
        """Select the positive and negative pairs of one listener, with tracks that somebody played.

        Args:
            history: its `track` column holds track ids.

        Returns:
            pairs whose `track` column holds rows of this bundle.
        """
        rows, is_known = self.items.rows(history.track)
        is_known[is_known] = self.popularity[rows[is_known]] > 0
        return self._select_pairs(history, rows, is_known)

    def pairs_with_vectors(self, history: UserItemPairs) -> UserItemPairs:
        """Select the pairs of `known_pairs`, and those with tracks without plays whose content is known."""
        rows, is_known = self.items.rows(history.track)
        is_unplayed = is_known & (self.popularity[rows] == 0)
        if self.content is None or not is_unplayed.any():
            return self._select_pairs(history, rows, is_known & ~is_unplayed)
        is_known[is_unplayed] = self.content.vectors_of(rows[is_unplayed]).any(axis=1)
        return self._select_pairs(history, rows, is_known)

    def _select_pairs(self, history: UserItemPairs, rows: Rows, is_known: NDArray[np.bool_]) -> UserItemPairs:
        is_relevant = is_known & (history.is_positive | history.is_negative)
        return replace(history.where(is_relevant), track=rows[is_relevant])

    def user_row(self, user_id: int, stamp: tuple[int, int, int]) -> int | None:
        """Return the row of a listener; None if it is unknown or the model has not seen their latest interactions."""
        row = self.users.row(user_id)
        return row if row is not None and tuple(self.user_stamps[row]) == stamp else None


def apply_popularity_damping(model: FittedModel, damping: float, popularity: Vector) -> FittedModel:
    """Divide the scores of each track by popularity^damping, to offer fewer of the popular tracks."""
    if not damping:
        return model
    scale = np.power(np.maximum(popularity, 1), -damping).astype(np.float32)
    factors = model.factors and (model.factors[0], model.factors[1] * scale[:, None])
    neighbours = model.neighbours
    if neighbours is not None:
        weights = (neighbours.data * scale[neighbours.indices]).astype(np.float32)
        neighbours = sp.csr_matrix((weights, neighbours.indices, neighbours.indptr), neighbours.shape)
    return FittedModel(factors, model.fold_in, neighbours)


def assemble_bundle(
    *,
    version: str | None,
    items: IdMap,
    popularity: Vector,
    ensemble: EnsembleConfig | None = None,
    fitted_models: Sequence[FittedModel] = (),
    early: EarlyBlend = NOT_LEARNT,
    users: IdMap | None = None,
    user_stamps: NDArray[np.int64] | None = None,
    statistics: PlayStatistics | None = None,
    features: TrackFeatures | None = None,
    auxiliary: FittedModel | None = None,
    content: ContentFeatures | None = None,
    content_parameters: ContentParameters | None = None,
    sequence: SequenceModel | None = None,
) -> ModelBundle:
    """Build a bundle and derive everything that can be derived.

    With content, the factors of tracks with few listeners are moved towards what their content says.

    Args:
        popularity: number of listeners of each track, float32 (n,).
        features: of each track, n rows; by default nothing is known of them.
        auxiliary: a model with factors fitted on confidences of `AUXILIARY`, for an ensemble without any.
        content: of any tracks; those of the version count.
        content_parameters: how it counts.
        sequence: a model of what is played next, of the same n tracks.
        fitted_models: one per component of the ensemble, not yet damped; none for a bundle without a model.
    """
    ensemble, users = ensemble or EnsembleConfig(), users if users is not None else IdMap.from_ids([])
    n, m = len(items), len(users)
    damped_models = [
        apply_popularity_damping(model, component.damping, popularity)
        for model, component in zip(fitted_models, ensemble.components, strict=bool(fitted_models))
    ]
    user_factors, raw_item_factors = np.zeros((m, 0), np.float32), np.zeros((n, 0), np.float32)
    item_factors, fold_in, factor_component = raw_item_factors, FoldInConfig(), None
    for i, (model, damped) in enumerate(zip(fitted_models, damped_models, strict=True)):
        if model.factors is not None and damped.factors is not None:
            (user_factors, raw_item_factors), item_factors = model.factors, damped.factors[1]
            fold_in, factor_component = model.fold_in, i
            break
    if factor_component is None and auxiliary is not None and auxiliary.factors is not None:
        (x, y), vectors = auxiliary.factors, auxiliary.factors[1]
    else:
        (x, y), vectors = (user_factors, raw_item_factors), item_factors
        auxiliary = None
    x, y = x.astype(np.float64), y.astype(np.float64)
    gramian, user_gramian = (np.asarray(side.T @ side, np.float64) for side in (y, x))
    content_space = None
    if content is not None and vectors.shape[1] and (popularity > 0).any():
        parameters = content_parameters or ContentParameters()
        content_space = ContentSpace.learn(content.of_tracks(items.ids), vectors, popularity, parameters, user_gramian)
        vectors = content_space.blend(vectors, popularity)
    if auxiliary is None:
        item_factors, auxiliary_space = vectors, None
    else:
        auxiliary_space = FactorSpace.from_factors(
            vectors, popularity, gramian, auxiliary.fold_in, AUXILIARY.confidence
        )
        gramian = np.zeros((0, 0))
    return ModelBundle(
        version=version,
        algorithm=ensemble.algorithm if fitted_models else "none",
        items=items,
        item_factors=item_factors,
        item_norms=np.linalg.norm(item_factors, axis=1).astype(np.float32),
        gramian=gramian,
        popularity=popularity,
        popular_rows=np.argsort(-popularity, kind="stable").astype(np.int64),
        users=users,
        user_factors=user_factors,
        user_stamps=user_stamps if user_stamps is not None else np.zeros((m, 3), np.int64),
        features=features if features is not None else TrackFeatures.unknown(items.ids),
        ensemble=ensemble,
        early=early,
        factor_component=factor_component,
        neighbours=tuple(
            None if model.neighbours is None else Neighbours.from_csr(model.neighbours) for model in damped_models
        ),
        fold_in=fold_in,
        statistics=statistics or PlayStatistics(),
        auxiliary=auxiliary_space,
        content=content_space,
        sequence=sequence,
    )


def catalogue_bundle(
    track_ids: ArrayLike, popularity: dict[int, float] | None = None, features: TrackFeatures | None = None
) -> ModelBundle:
    """Build a bundle without a model.

    Args:
        track_ids: all tracks of the catalogue.
        popularity: the number of listeners by track id; 0 for other tracks.
        features: of each distinct track in ascending order of their ids; by default nothing is known of them.
    """
    items = IdMap.from_ids(track_ids)
    listeners = np.zeros(len(items), np.float32)
    if popularity:
        rows, is_known = items.rows(list(popularity))
        listeners[rows[is_known]] = np.array(list(popularity.values()), np.float32)[is_known]
    return assemble_bundle(version=None, items=items, popularity=listeners, features=features)
