"""Sources: functions of one shape, `(bundle, query) -> scores`, tried in order by the pipeline.

Each gives float32 (n,) scores over the bundle's tracks, -inf for a track it does not offer; or None for nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from engine.bundle import ModelBundle, Vector
from engine.matrix import pairs
from engine.serving.foldin import fold_in

NEVER = np.float32(-np.inf)


def _no_ids() -> NDArray[np.int64]:
    return np.zeros(0, np.int64)


@dataclass(frozen=True)
class Query:
    """One question. Current plays: `played` int64 (k,) track ids, repeats allowed, and `qualified` bool (k,).

    user_row: the listener's row where the model has seen exactly these plays. exclude: track ids never to offer.
    seed: makes the pseudo-random source differ between listeners, and never between two calls.
    """

    limit: int
    seed: int = 0
    user_row: int | None = None
    played: NDArray[np.int64] = field(default_factory=_no_ids)
    qualified: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))
    exclude: NDArray[np.int64] = field(default_factory=_no_ids)
    track_id: int | None = None


Source = Callable[[ModelBundle, Query], Vector | None]


def personal(bundle: ModelBundle, query: Query) -> Vector | None:
    """User vector · item factors: the stored vector where it is up to date, else the current plays folded in."""
    if not bundle.factors:
        return None
    if query.user_row is not None:
        vector = bundle.user_factors[query.user_row]
    else:
        rows, qualified = pairs(*_known(bundle, query.played, query.qualified))
        vector = fold_in(bundle, rows, bundle.confidence.of(qualified))
    if not vector.any():
        return None
    return np.where(bundle.item_norms > 0, bundle.item_factors @ vector, NEVER)


def similar(bundle: ModelBundle, query: Query) -> Vector | None:
    """Cosine of the item factors with those of `query.track_id`."""
    row = None if query.track_id is None else bundle.item_row(query.track_id)
    if row is None:
        return None
    norms = bundle.item_norms
    dots = bundle.item_factors @ bundle.item_factors[row]
    cosines: Vector = np.divide(dots, norms * norms[row], out=np.full(len(norms), NEVER), where=norms > 0)
    return cosines


def popular(bundle: ModelBundle, query: Query) -> Vector | None:
    """How many listeners played each track."""
    return np.where(bundle.popularity > 0, bundle.popularity, NEVER)


def random(bundle: ModelBundle, query: Query) -> Vector | None:
    """A fixed pseudo-random order of all tracks for each seed: splitmix64 of id and seed, as a fraction of 1."""
    mask = np.uint64(0xFFFFFFFFFFFFFFFF)
    with np.errstate(over="ignore"):
        x = bundle.items.ids.astype(np.uint64) + np.uint64(query.seed % 2**64) * np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x ^= x >> np.uint64(31)
    return (x / mask).astype(np.float32)


SOURCES: dict[str, Source] = {f.__name__: f for f in (personal, similar, popular, random)}


def _known(
    bundle: ModelBundle, track_ids: NDArray[np.int64], qualified: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    rows, known = bundle.items.rows(track_ids)
    known &= bundle.item_norms[rows] > 0 if len(bundle.items) else False
    return rows[known], qualified[known]
