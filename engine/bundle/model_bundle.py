"""ModelBundle: the frozen arrays and parameters of one trained version; they answer everything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray

from engine.bundle.ann_index import AnnIndex
from engine.bundle.norm_sorted_items import NormSortedItems
from engine.bundle.workspace import WorkspacePool
from engine.data.confidence import PlayStatistics
from engine.data.id_map import IdMap
from engine.data.user_item_pairs import UserItemPairs
from engine.ensemble import EnsembleConfig
from engine.models.base import FittedModel, FoldInConfig

Vector = NDArray[np.float32]


@dataclass(frozen=True)
class Neighbours:
    """Which tracks a played track speaks for: CSR (n, n) by its arrays, a row a played track.

    indptr: int64 (n + 1,) · indices: int32 (nnz,), ascending in a row · weights: float32 (nnz,).
    """

    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]
    weights: Vector

    @classmethod
    def of(cls, matrix: sp.csr_matrix) -> Neighbours:
        return cls(matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32), matrix.data.astype(np.float32))

    def row(self, track: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """What one track lends to others: their rows int64 (k,), and float64 (k,)."""
        span = slice(self.indptr[track], self.indptr[track + 1])
        return self.indices[span].astype(np.int64), self.weights[span].astype(np.float64)

    def weight(self, track: int, other: int) -> float:
        """What one track lends to another, 0 where that is not among its neighbours."""
        begin, end = self.indptr[track], self.indptr[track + 1]
        place = begin + np.searchsorted(self.indices[begin:end], other)
        return float(self.weights[place]) if place < end and self.indices[place] == other else 0.0


@dataclass(frozen=True)
class ModelBundle:
    """n tracks, m listeners, f factors; a version without factors has f = 0.

    item_factors: float32 (n, f), damped as the recipe says · item_norms: float32 (n,), of them, 0 for a track nobody
    played · gramian: float64 (f, f), YᵀY of the factors before damping · popularity: float32 (n,), listeners ·
    popular_rows: int64 (n,), most popular first · user_factors: float32 (m, f) · user_stamps: int64 (m, 2),
    (interactions, newest UNIX second) the model has seen · neighbours: of each part of the recipe, None where it has
    none · factor_part: which part of the recipe the factors are of, None for none · searched: what a search for the
    best goes by, None for a version that was written without it · nearest: approximate indexes, by what they are for.
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
    ensemble: EnsembleConfig = field(default_factory=EnsembleConfig)
    factor_part: int | None = None
    neighbours: tuple[Neighbours | None, ...] = ()
    fold_in: FoldInConfig = field(default_factory=FoldInConfig)
    statistics: PlayStatistics = field(default_factory=PlayStatistics)
    searched: NormSortedItems | None = None
    ann_indexes: Mapping[str, AnnIndex] = field(default_factory=dict)

    @cached_property
    def norm_sorted_items(self) -> NormSortedItems:
        """The tracks that somebody played, in the order of a search; computed once where the version has none."""
        if self.searched is not None:
            return self.searched
        return NormSortedItems.of(self.item_factors, self.item_norms, self.popularity)

    @cached_property
    def workspaces(self) -> WorkspacePool:
        return WorkspacePool(self.items)

    @property
    def factors(self) -> int:
        return int(self.item_factors.shape[1])

    @property
    def factor_damping(self) -> float:
        return 0.0 if self.factor_part is None else self.ensemble.components[self.factor_part].damping

    def item_row(self, track_id: int) -> int | None:
        """The row of a track that somebody played, else None."""
        row = self.items.row(track_id)
        return row if row is not None and self.popularity[row] > 0 else None

    def known_pairs(self, history: UserItemPairs) -> UserItemPairs:
        """Select a listener's pairs that speak for or against tracks that somebody played.

        Args:
            history: its `track` column holds track ids.

        Returns:
            pairs whose `track` column holds rows of this bundle.
        """
        rows, known = self.items.rows(history.track)
        known &= self.popularity[rows] > 0 if len(self.items) else False
        relevant = known & (history.is_positive | history.is_negative)
        return replace(history.where(relevant), track=rows[relevant])

    def user_row(self, user_id: int, stamp: tuple[int, int]) -> int | None:
        """The row of a listener whose plays are still those the model has seen, else None."""
        row = self.users.row(user_id)
        return row if row is not None and tuple(self.user_stamps[row]) == stamp else None


def rows_by_popularity(popularity: Vector) -> NDArray[np.int64]:
    """Rows, the most popular first, ties by row."""
    return np.argsort(-popularity, kind="stable").astype(np.int64)


def apply_popularity_damping(model: FittedModel, damping: float, popularity: Vector) -> FittedModel:
    """What a part offers, its tracks divided by popularity^damping."""
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
    users: IdMap | None = None,
    user_stamps: NDArray[np.int64] | None = None,
    statistics: PlayStatistics | None = None,
) -> ModelBundle:
    """A bundle with everything that can be derived derived. learnt: of each part of the recipe, not yet damped."""
    ensemble, users = ensemble or EnsembleConfig(), users if users is not None else IdMap.from_ids([])
    n, m = len(items), len(users)
    part = next((i for i, one in enumerate(fitted_models) if one.factors is not None), None)
    raw = fitted_models[part].factors if part is not None else None
    user_factors, wide = raw if raw is not None else (np.zeros((m, 0), np.float32), np.zeros((n, 0), np.float32))
    ready = [
        apply_popularity_damping(one, p.damping, popularity)
        for one, p in zip(fitted_models, ensemble.components, strict=bool(fitted_models))
    ]
    item_factors = wide
    if part is not None and (scored := ready[part].factors) is not None:
        item_factors = scored[1]
    gram = wide.astype(np.float64)
    return ModelBundle(
        version=version,
        algorithm=ensemble.algorithm if fitted_models else "none",
        items=items,
        item_factors=item_factors,
        item_norms=np.linalg.norm(item_factors, axis=1).astype(np.float32),
        gramian=gram.T @ gram,
        popularity=popularity,
        popular_rows=rows_by_popularity(popularity),
        users=users,
        user_factors=user_factors,
        user_stamps=user_stamps if user_stamps is not None else np.zeros((m, 2), np.int64),
        ensemble=ensemble,
        factor_part=part,
        neighbours=tuple(None if one.neighbours is None else Neighbours.of(one.neighbours) for one in ready),
        fold_in=fitted_models[part].fold_in if part is not None else FoldInConfig(),
        statistics=statistics or PlayStatistics(),
    )


def catalogue_bundle(track_ids: ArrayLike, popularity: dict[int, float] | None = None) -> ModelBundle:
    """What is known without any model: which tracks there are and how many listeners the popular ones have."""
    items = IdMap.from_ids(track_ids)
    listeners = np.zeros(len(items), np.float32)
    if popularity:
        rows, known = items.rows(list(popularity))
        listeners[rows[known]] = np.array(list(popularity.values()), np.float32)[known]
    return assemble_bundle(version=None, items=items, popularity=listeners)
