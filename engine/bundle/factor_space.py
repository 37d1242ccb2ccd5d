"""The space of factors in which a version describes tracks and listeners, and the place of content in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.bundle.row_vectors import RowVectors
from engine.data.confidence import ConfidenceWeights
from engine.data.content_features import ContentFeatures
from engine.data.id_map import IdMap
from engine.models.base import FoldInConfig
from engine.models.content_map import ContentMap, ContentRegression, MapParameters

Vectors = NDArray[np.float32]
Floats = NDArray[np.float64]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class FactorSpace:
    """Factors of the n tracks that a version was trained on, and what a fold-in needs.

    Attributes:
        item_factors: with the popularity damping, zeros for tracks that nobody played, float32 (n, f).
        gramian: YᵀY of the factors before damping, float64 (f, f).
        mean, covariance: of the factors of played tracks, float64 (f,) and (f, f).
        fold_in: how a listener's factors are computed.
        confidence: how their interactions become confidences.
        damping: of the factors.
    """

    item_factors: Vectors
    gramian: Floats
    mean: Floats
    covariance: Floats
    fold_in: FoldInConfig
    confidence: ConfidenceWeights
    damping: float = 0.0

    @cached_property
    def item_lengths(self) -> Vectors:
        """The Euclidean norm of the factors of each track, float32 (n,)."""
        return np.asarray(np.linalg.norm(self.item_factors, axis=1))

    @classmethod
    def from_factors(
        cls,
        item_factors: Vectors,
        popularity: Vectors,
        gramian: Floats,
        fold_in: FoldInConfig,
        confidence: ConfidenceWeights,
    ) -> FactorSpace:
        """Build a space without damping.

        Args:
            item_factors: float32 (n, f).
            popularity: float32 (n,).
            gramian: see the attributes.
        """
        played = item_factors[popularity > 0].astype(np.float64)
        mean = played.sum(axis=0) / max(len(played), 1)
        centred = played - mean
        covariance = centred.T @ centred / max(len(played), 1)
        return cls(item_factors, gramian, mean, covariance, fold_in, confidence)


@dataclass(frozen=True)
class ContentParameters:
    """How content counts beside what was learnt from plays; chosen on held-out tracks of the past.

    Attributes:
        map: how strongly the map from content into the space is regularized.
        half_listeners: number of listeners at which a track's content and its learnt factors count alike. With p
            listeners, content has the share half_listeners / (half_listeners + p).
        scale_few, scale_many: factors of the vectors of tracks without plays, for listeners with fewer tracks than
            `boundary` and for all others: how much of what content promises such tracks keep.
        boundary: number of distinct tracks of a listener.
    """

    map: MapParameters = field(default_factory=MapParameters)
    half_listeners: float = 2.0
    scale_few: float = 1.0
    scale_many: float = 1.0
    boundary: int = 0

    def __post_init__(self) -> None:
        for name in ("half_listeners", "scale_few", "scale_many"):
            if not 0 < getattr(self, name) < np.inf:
                raise ValueError(f"{name}: must be a number above 0, not {getattr(self, name)}")

    def share(self, popularity: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return the share of content in the vectors of tracks with some numbers of listeners, from 1 to 0."""
        return np.asarray(self.half_listeners / (self.half_listeners + popularity), np.float32)

    def scale_for(self, track_count: int) -> float:
        """Return the scale for a listener with so many distinct tracks, relative to that of the stored vectors."""
        return self.scale_few / self.scale_many if track_count < self.boundary else 1.0

    def to_dict(self) -> dict[str, Any]:
        """Return the parameters, ready for JSON; `from_dict` reads them."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ContentParameters:
        """Read parameters. Raises KeyError, TypeError or ValueError for wrong ones."""
        return cls(**{**values, "map": MapParameters(**values["map"])})


@dataclass(frozen=True)
class ContentSpace:
    """Where content places tracks in the space of a version.

    Attributes:
        map: learnt from the played tracks.
        parameters: how content counts.
        vectors: of the n tracks that the version was trained on, by their content alone, float32 (n, f); zeros for
            those of which nothing is known.
        user_gramian: XᵀX of the listeners' factors, float64 (f, f), for the fold-in of tracks.
        updated_rows: rows of tracks whose vectors are newer than the version, ascending, int64 (k,). Those from n on
            are tracks that the version was not trained on; the others are tracks without plays in training.
        updates: their vectors, float32 (k, f).
    """

    map: ContentMap
    parameters: ContentParameters
    vectors: Vectors
    user_gramian: Floats
    updated_rows: Rows = field(default_factory=lambda: np.zeros(0, np.int64))
    updates: Vectors = field(default_factory=lambda: np.zeros((0, 0), np.float32))

    @classmethod
    def learn(
        cls,
        features: ContentFeatures,
        factors: Vectors,
        popularity: Vectors,
        parameters: ContentParameters,
        user_gramian: Floats,
    ) -> ContentSpace:
        """Learn the map from the factors of the played tracks.

        Args:
            features: of the n tracks.
            factors: with the popularity damping, float32 (n, f).
            popularity: float32 (n,).
            parameters: how strongly to regularize, and how content counts.
            user_gramian: see the attributes.
        """
        content_map = ContentRegression(features, factors, popularity).solve(parameters.map)
        return cls(content_map, parameters, content_map(features), user_gramian)

    def blend(self, factors: Vectors, popularity: Vectors) -> Vectors:
        """Move the factors of played tracks towards their content, the more the fewer listeners they have.

        Args:
            factors: float32 (n, f).
            popularity: float32 (n,).

        Returns:
            float32 (n, f). The factors of tracks without plays, and of those without known content, stay as they are.
        """
        is_moved = (popularity > 0) & self.vectors.any(axis=1)
        share = np.where(is_moved, self.parameters.share(popularity), 0).astype(np.float32)[:, None]
        return factors + share * (np.float32(self.parameters.scale_many) * self.vectors - factors)

    def predict(self, features: ContentFeatures) -> Vectors:
        """Return the vectors of tracks without plays, float32 (k, f); zeros for those of which nothing is known."""
        return self.map(features) * np.float32(self.parameters.scale_many)

    def with_updates(self, rows: Rows, vectors: Vectors) -> ContentSpace:
        """Return the space with newer vectors of some tracks, in place of all earlier updates.

        Args:
            rows: ascending, int64 (k,).
            vectors: on the scale of `predict`, float32 (k, f).
        """
        return replace(self, updated_rows=rows, updates=vectors)

    def select_vectors(self, rows: Rows) -> RowVectors:
        """Return the vectors by content of those tracks of the version whose content is known, as `vectors_of` does.

        Args:
            rows: ascending, int64 (k,).
        """
        return RowVectors.select(self.vectors, rows, self.parameters.scale_many)

    def vectors_of(self, rows: Rows) -> Vectors:
        """Return the vectors of tracks by content, or their updates, on the scale of `predict`: float32 (k, f)."""
        n = len(self.vectors)
        vectors = np.zeros((len(rows), self.vectors.shape[1]), np.float32)
        is_trained = rows < n
        vectors[is_trained] = self.vectors[rows[is_trained]] * np.float32(self.parameters.scale_many)
        if len(self.updated_rows):
            updates, is_updated = IdMap(self.updated_rows).rows(rows)
            vectors[is_updated] = self.updates[updates[is_updated]]
        return vectors
