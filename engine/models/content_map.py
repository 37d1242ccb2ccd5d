"""A linear map from the content of tracks into a space of factors, learnt from the tracks that were played.

The factors of played tracks are regressed on their content, in closed form (Gantner, Drumond, Freudenthaler, Rendle &
Schmidt-Thieme, "Learning Attribute-to-Feature Mappings for Cold-Start Recommendations", 2010). What the regression
leaves over is explained by the artist and then by the album, whose mean residuals are shrunk towards 0 the more, the
fewer listeners they are based on (random effects; Robinson, "That BLUP is a Good Thing", 1991).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from engine.data.content_features import DENSE_FEATURES, ContentFeatures
from engine.data.id_map import IdMap

Vector = NDArray[np.float32]
Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

ARTIST, ALBUM = "artist", "album"
MAX_COLUMNS = 2_000  # sparse columns of the regression: the most frequent ones
MIN_TRACKS = 3  # a column needs so many played tracks; with fewer, the regression would only remember them
MAX_GROUPS = 50_000  # artists, and albums, with an effect of their own: those with the most listeners
MAX_DIMENSIONS = 256  # a longer embedding is projected to so many random directions while the map is learnt
POPULARITY_EXPONENT = 0.5  # a track weighs as much as the square root of its number of listeners
_ROW_NORM_EXPONENT = 0.5  # between 0, where the number of tags counts in full, and 1, where all rows have one length
_MIN_DEVIATION = 1e-6  # of a feature, below which all tracks have the same value


@dataclass(frozen=True)
class MapParameters:
    """How strongly the parts of a map are pulled towards 0.

    Attributes:
        ridge: of the regression, in which features and weights have the mean square and the mean 1.
        artist_shrinkage, album_shrinkage: the sum of the weights of its tracks at which an artist, or an album, gets
            half of their mean residual.
    """

    ridge: float = 4.0
    artist_shrinkage: float = 3.0
    album_shrinkage: float = 3.0

    def __post_init__(self) -> None:
        for name in ("ridge", "artist_shrinkage", "album_shrinkage"):
            if not 0 < getattr(self, name) < np.inf:
                raise ValueError(f"{name}: must be a number above 0, not {getattr(self, name)}")


@dataclass(frozen=True)
class GroupEffects:
    """What is added to the vectors of the tracks of an artist, or of an album.

    Attributes:
        ids: int64 (g,), strictly ascending.
        effects: float32 (g, f).
    """

    ids: Rows
    effects: Vector

    def of(self, groups: Rows) -> tuple[Vector, NDArray[np.bool_]]:
        """Return the effects of some groups, int64 (k,), float32 (k, f), and which of them have any, bool (k,)."""
        rows, is_known = IdMap(self.ids).rows(groups)
        effects = np.zeros((len(groups), self.effects.shape[1]), np.float32)
        effects[is_known] = self.effects[rows[is_known]]
        return effects, is_known


class Design(NamedTuple):
    """The features of n tracks as the regression sees them.

    Attributes:
        sparse: CSR float32 (n, columns).
        dense: float32 (n, d).
        is_known: whether anything is known of a track, bool (n,).
    """

    sparse: sp.csr_matrix
    dense: Vector
    is_known: NDArray[np.bool_]


@dataclass(frozen=True)
class FeatureScales:
    """Which features are used, and how they are scaled; fixed when the map is learnt.

    Attributes:
        columns: the sparse columns of the regression, which are neither artists nor albums.
        idf: of each, log((1 + tracks) / (1 + tracks with the column)), float32 (columns,).
        length: the root of the mean square of the lengths of rows of weighted values.
        magnitude: mean and deviation of log(1 + sum of all weights of a track), float64 (2,): a track with many tags is
            one that many people know.
        dense: mean and deviation of each of the `DENSE_FEATURES`, float64 (2, 5).
        embeddings: by name, mean float32 (dimension,) and the root of the mean square of the distances to it.
    """

    columns: tuple[str, ...]
    idf: Vector
    length: float
    magnitude: Floats
    dense: Floats
    embeddings: Mapping[str, tuple[Vector, float]] = field(default_factory=dict)

    @classmethod
    def from_features(cls, features: ContentFeatures, is_played: NDArray[np.bool_]) -> FeatureScales:
        """Choose the columns that enough of the played tracks have, and measure all features on these tracks."""
        played, kinds = features.sparse[is_played], features.kinds
        frequency = np.bincount(played.indices, minlength=len(kinds))
        usable = [i for i, kind in enumerate(kinds) if kind not in (ARTIST, ALBUM) and frequency[i] >= MIN_TRACKS]
        usable.sort(key=lambda i: (-frequency[i], features.columns[i]))
        chosen = usable[:MAX_COLUMNS]
        idf = np.log((1 + played.shape[0]) / (1 + frequency[chosen])).astype(np.float32)
        names = tuple(features.columns[i] for i in chosen)
        raw = cls(names, idf, 1.0, np.array([0.0, 1.0]), np.zeros((2, len(DENSE_FEATURES))))
        weighted, magnitude = raw._weigh(features)
        squares = np.asarray(weighted[is_played].multiply(weighted[is_played]).sum(axis=1)).ravel()
        length = float(np.sqrt(squares[squares > 0].mean())) if squares.any() else 1.0
        embeddings = {}
        for name, (rows, vectors) in features.embeddings.items():
            of_played = vectors[is_played[rows]].astype(np.float64)
            if len(of_played) >= MIN_TRACKS:
                mean = of_played.mean(axis=0)
                spread = float(np.sqrt(((of_played - mean) ** 2).sum(axis=1).mean()))
                embeddings[name] = (mean.astype(np.float32), max(spread, _MIN_DEVIATION))
        known = np.isfinite(features.dense) & is_played[:, None]
        counts = np.maximum(known.sum(axis=0), 1)
        values = np.where(known, features.dense, 0).astype(np.float64)
        means = values.sum(axis=0) / counts
        deviations = np.sqrt((np.where(known, values - means, 0) ** 2).sum(axis=0) / counts)
        return cls(
            names,
            idf,
            length,
            np.array([magnitude[is_played].mean(), _deviation_or_one(magnitude[is_played].std())]),
            np.array([means, [_deviation_or_one(deviation) for deviation in deviations]]),
            embeddings,
        )

    @property
    def dense_count(self) -> int:
        """The number of dense columns of a design."""
        return 1 + 2 * len(DENSE_FEATURES) + sum(1 + len(mean) for mean, _ in self.embeddings.values())

    def design(self, features: ContentFeatures) -> Design:
        """Scale the features of any tracks; those that were not used when the map was learnt are left out."""
        n = len(features)
        weighted, magnitude = self._weigh(features)
        is_measured = np.isfinite(features.dense)
        means, deviations = self.dense
        values = np.where(is_measured, (features.dense - means) / deviations, 0)
        parts = [((magnitude - self.magnitude[0]) / self.magnitude[1])[:, None], values, is_measured]
        is_known = (np.diff(weighted.indptr) > 0) | is_measured.any(axis=1)
        for name, (mean, length) in self.embeddings.items():
            block = np.zeros((n, 1 + len(mean)), np.float32)
            rows, vectors = features.embeddings.get(name, (np.zeros(0, np.int64), np.zeros((0, len(mean)))))
            if vectors.shape[1] == len(mean):  # an embedding that was replaced by one of another length says nothing
                block[rows, 0], block[rows, 1:] = 1, (vectors - mean) / length
                is_known[rows] = True
            parts.append(block)
        dense = np.column_stack(parts).astype(np.float32)
        return Design(sp.csr_matrix(weighted * np.float32(1 / self.length)), dense, is_known)

    def _weigh(self, features: ContentFeatures) -> tuple[sp.csr_matrix, Floats]:
        """Return log(1 + value) · idf with shortened rows, CSR (n, columns), and log(1 + sum of the values), (n,)."""
        target = {name: number for number, name in enumerate(self.columns)}
        pairs = [(i, target[name]) for i, name in enumerate(features.columns) if name in target]
        sources, targets = np.array(pairs, np.int64).reshape(-1, 2).T
        shape = (len(features.columns), len(self.columns))
        selected = features.sparse @ sp.csr_matrix((np.ones(len(pairs), np.float32), (sources, targets)), shape)
        selected = sp.csr_matrix(selected, dtype=np.float64)
        magnitude = np.log1p(np.asarray(selected.sum(axis=1)).ravel())
        selected.data = np.log1p(selected.data) * self.idf[selected.indices]
        norms = np.sqrt(np.asarray(selected.multiply(selected).sum(axis=1)).ravel())
        scale = np.power(norms, -_ROW_NORM_EXPONENT, out=np.zeros_like(norms), where=norms > 0)
        return sp.csr_matrix(sp.diags(scale) @ selected, dtype=np.float32), magnitude


@dataclass(frozen=True)
class ContentMap:
    """What the content of a track says about its factors.

    Attributes:
        scales: how features are read.
        sparse_weights: float32 (columns, f).
        dense_weights: float32 (d, f), of the dense columns of a `Design`.
        intercept: float32 (f,).
        artists, albums: their effects.
    """

    scales: FeatureScales
    sparse_weights: Vector
    dense_weights: Vector
    intercept: Vector
    artists: GroupEffects
    albums: GroupEffects

    def __call__(self, features: ContentFeatures) -> Vector:
        """Return the vectors of some tracks, float32 (n, f); zeros for those of which nothing is known."""
        design = self.scales.design(features)
        vectors = design.sparse @ self.sparse_weights + design.dense @ self.dense_weights + self.intercept
        is_known = design.is_known.copy()
        for kind, group_effects in ((ARTIST, self.artists), (ALBUM, self.albums)):
            effects, has_effect = group_effects.of(group_of_tracks(features, kind))
            vectors += effects
            is_known |= has_effect
        vectors[~is_known] = 0
        return np.asarray(vectors, np.float32)


@dataclass(frozen=True)
class ContentRegression:
    """The regression of factors on content, prepared to be solved with several parameters.

    Attributes:
        features: of the n tracks of a version.
        factors: of these tracks, float32 (n, f).
        popularity: their listeners, float32 (n,). Tracks without listeners are not learnt from.
        seed: of the random directions of long embeddings.
    """

    features: ContentFeatures
    factors: Vector
    popularity: Vector
    seed: int = 0

    @cached_property
    def is_played(self) -> NDArray[np.bool_]:
        return np.asarray(self.popularity > 0)

    @cached_property
    def scales(self) -> FeatureScales:
        return FeatureScales.from_features(self.features, self.is_played)

    @cached_property
    def weights(self) -> Floats:
        """Of the played tracks, with the mean 1, float64 (played,)."""
        weights = self.popularity[self.is_played].astype(np.float64) ** POPULARITY_EXPONENT
        return np.asarray(weights / weights.mean())

    @cached_property
    def _design(self) -> Design:
        return self.scales.design(self.features)

    @cached_property
    def _directions(self) -> NDArray[np.float64]:
        """The matrix that shortens the dense columns, (d, at most d): random directions for long embeddings."""
        rng = np.random.default_rng(self.seed)
        blocks = [np.eye(1 + 2 * len(DENSE_FEATURES))]
        for mean, _ in self.scales.embeddings.values():
            d = len(mean)
            short = d <= MAX_DIMENSIONS
            directions = np.eye(d) if short else rng.standard_normal((d, MAX_DIMENSIONS)) / np.sqrt(MAX_DIMENSIONS)
            blocks += [np.eye(1), directions]
        return np.asarray(sp.block_diag(blocks).toarray(), np.float64)

    @cached_property
    def _normal_equations(self) -> tuple[Floats, Floats]:
        """AᵀWA and AᵀWY with A = (sparse, dense, 1) of the played tracks."""
        played, w = self.is_played, self.weights[:, None]
        sparse = sp.csr_matrix(self._design.sparse[played], dtype=np.float64)
        dense = np.column_stack([self._design.dense[played] @ self._directions, np.ones(len(w))])
        weighted = sp.csr_matrix(sp.diags(w.ravel()) @ sparse)
        corner = np.asarray(weighted.T @ dense)
        gram = np.block([[(weighted.T @ sparse).toarray(), corner], [corner.T, (w * dense).T @ dense]])
        y = self.factors[played].astype(np.float64)
        return gram, np.concatenate([weighted.T @ y, (w * dense).T @ y])

    def solve(self, parameters: MapParameters) -> ContentMap:
        """Learn the map from the played tracks; without any it maps everything to zeros."""
        f, columns = self.factors.shape[1], len(self.scales.columns) if self.is_played.any() else 0
        if not self.is_played.any():
            scales = FeatureScales((), np.zeros(0, np.float32), 1.0, np.array([0.0, 1.0]), np.ones((2, 5)))
            nothing = GroupEffects(np.zeros(0, np.int64), np.zeros((0, f), np.float32))
            zeros = np.zeros((scales.dense_count, f), np.float32)
            return ContentMap(scales, zeros[:0], zeros, np.zeros(f, np.float32), nothing, nothing)
        gram, moments = self._normal_equations
        ridge = np.full(len(gram), parameters.ridge)
        ridge[-1] = 1e-6  # the mean is not shrunk
        solution = cho_solve(cho_factor(gram + np.diag(ridge)), moments)
        sparse_weights, dense_weights, intercept = np.split(solution, [columns, len(gram) - 1])
        dense_weights = self._directions @ dense_weights
        design = self._design
        residuals = self.factors[self.is_played].astype(np.float64) - intercept
        residuals -= design.sparse[self.is_played] @ sparse_weights + design.dense[self.is_played] @ dense_weights
        effects = []
        for kind, shrinkage in ((ARTIST, parameters.artist_shrinkage), (ALBUM, parameters.album_shrinkage)):
            groups = group_of_tracks(self.features, kind)[self.is_played]
            effects.append(_shrunk_means(groups, residuals, self.weights, shrinkage))
            residuals = residuals - effects[-1].of(groups)[0]
        single = [np.asarray(part, np.float32) for part in (sparse_weights, dense_weights, intercept[0])]
        return ContentMap(self.scales, single[0], single[1], single[2], effects[0], effects[1])


def group_of_tracks(features: ContentFeatures, kind: str) -> Rows:
    """Return the artist, or the album, of each track, int64 (n,); -1 for those without one."""
    columns = [i for i, other in enumerate(features.kinds) if other == kind]
    ids = np.full(len(features.columns), -1, np.int64)
    ids[columns] = [int(features.columns[i].partition(":")[2]) for i in columns]
    groups, sparse = np.full(len(features), -1, np.int64), features.sparse
    rows = np.repeat(np.arange(len(features)), np.diff(sparse.indptr))
    of_entries = ids[sparse.indices]
    groups[rows[of_entries >= 0]] = of_entries[of_entries >= 0]
    return groups


def _shrunk_means(groups: Rows, residuals: Floats, weights: Floats, shrinkage: float) -> GroupEffects:
    """Return Σ w·r / (Σ w + shrinkage) of each group but -1, at most MAX_GROUPS of them.

    Args:
        groups: int64 (k,).
        residuals: float64 (k, f).
        weights: float64 (k,).
    """
    belongs = np.flatnonzero(groups >= 0)
    ids, numbers = np.unique(groups[belongs], return_inverse=True)
    totals = np.bincount(numbers, weights[belongs], minlength=len(ids))
    membership = sp.csr_matrix((weights[belongs], (numbers, belongs)), (len(ids), len(groups)))
    effects = (membership @ residuals) / (totals + shrinkage)[:, None]
    heaviest = np.sort(np.argsort(-totals, kind="stable")[:MAX_GROUPS])
    return GroupEffects(ids[heaviest], effects[heaviest].astype(np.float32))


def _deviation_or_one(deviation: float) -> float:
    return float(deviation) if deviation > _MIN_DEVIATION else 1.0
