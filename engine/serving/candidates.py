"""Sources: functions of one shape, `(bundle, query) -> scores`, tried in order by the pipeline.

Each gives float32 (n,) scores over the bundle's tracks, -inf for a track it does not offer; or None for nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from engine.bundle import ModelBundle, Vector
from engine.chance import fractions
from engine.matrix import Pairs
from engine.serving.blend import NEVER, blended, by_neighbours
from engine.serving.foldin import fold_in


def _no_ids() -> NDArray[np.int64]:
    return np.zeros(0, np.int64)


@dataclass(frozen=True)
class Query:
    """One question.

    past: what the listener has done until now, `track` holding track ids · user_row: their row where the model has
    seen exactly that · exclude: track ids to leave out while there are others · forbidden: track ids never to offer ·
    trust: the share of `personal` in `early`, the rest is popularity's · seed: makes the pseudo-random source differ
    between listeners, and never between two calls.
    """

    limit: int
    seed: int = 0
    user_row: int | None = None
    past: Pairs = field(default_factory=Pairs.none)
    exclude: NDArray[np.int64] = field(default_factory=_no_ids)
    forbidden: NDArray[np.int64] = field(default_factory=_no_ids)
    track_id: int | None = None
    trust: float = 1.0

    def pairs(self, bundle: ModelBundle) -> Pairs:
        """What speaks for or against a track that the bundle knows something of; `track` holds its rows."""
        past = self.past
        rows, known = bundle.items.rows(past.track)
        known &= bundle.popularity[rows] > 0 if len(bundle.items) else False
        said = known & (past.wanted | past.refused)
        return replace(past.where(said), track=rows[said])


Source = Callable[[ModelBundle, Query], Vector | None]


def personal(bundle: ModelBundle, query: Query) -> Vector | None:
    """The recipe's parts, blended: factors by the stored vector where it is up to date, else by the current plays
    folded in; neighbours by the current plays. None for a listener of whom only refusals are known."""
    pairs = query.pairs(bundle)
    if not pairs.wanted.any() and query.user_row is None:
        return None
    parts = [_part(bundle, number, query, pairs) for number in range(len(bundle.neighbours))]
    if all(part is None for part in parts):
        return None
    if len(parts) > 1:
        parts = [_popularity(bundle) if _popular(bundle, i) else part for i, part in enumerate(parts)]
    weights = bundle.recipe.weights.of(np.array([np.count_nonzero(pairs.wanted)]))
    scores = blended([None if part is None else part[None] for part in parts], weights, bundle.popularity > 0)
    return None if scores is None else scores[0]


def early(bundle: ModelBundle, query: Query) -> Vector | None:
    """For a listener of whom little is known: `personal` and popularity, both standardised, the first by `trust`."""
    own = personal(bundle, query)
    if own is None:
        return None
    weights = np.array([[query.trust, 1 - query.trust]], np.float32)
    scores = blended([own[None], _popularity(bundle)[None]], weights, bundle.popularity > 0)
    return None if scores is None else scores[0]


def neighbours(bundle: ModelBundle, query: Query) -> Vector | None:
    """The first item–item part alone, from the current plays; only tracks that something played speaks for."""
    part = next((i for i, one in enumerate(bundle.neighbours) if one is not None), None)
    votes = None if part is None else _part(bundle, part, query, query.pairs(bundle))
    return None if votes is None else np.where(votes > 0, votes, NEVER)


def similar(bundle: ModelBundle, query: Query) -> Vector | None:
    """Cosine of the item factors with those of `query.track_id`; in a version without factors, its neighbours."""
    row = None if query.track_id is None else bundle.item_row(query.track_id)
    if row is None:
        return None
    norms = bundle.item_norms
    if norms[row] > 0:
        dots = bundle.item_factors @ bundle.item_factors[row]
        return np.asarray(np.divide(dots, norms * norms[row], out=np.full(len(norms), NEVER), where=norms > 0))
    weights = next((one.row(row) for one in bundle.neighbours if one is not None), None)
    return None if weights is None else np.where(weights > 0, weights, NEVER)


def popular(bundle: ModelBundle, query: Query) -> Vector | None:
    """How many listeners played each track."""
    return np.where(bundle.popularity > 0, bundle.popularity, NEVER)


def random(bundle: ModelBundle, query: Query) -> Vector | None:
    """A fixed pseudo-random order of all tracks for each seed."""
    return fractions(bundle.items.ids, query.seed).astype(np.float32)


SOURCES: dict[str, Source] = {f.__name__: f for f in (personal, early, neighbours, similar, popular, random)}


def _part(bundle: ModelBundle, number: int, query: Query, pairs: Pairs) -> Vector | None:
    """What one part of the recipe has to say about this listener; None for nothing."""
    lists = bundle.neighbours[number]
    if lists is None and number != bundle.factor_part:
        return None
    weigh = bundle.recipe.parts[number].confidence.of
    if lists is not None:
        votes = by_neighbours(lists, pairs.track, weigh(pairs, bundle.popularity, bundle.statistics))
        if len(bundle.neighbours) == 1 and pairs.refused.any():  # what refusals speak against is not offered as theirs
            votes = np.maximum(votes, 0)
        return votes if votes.any() else None
    if query.user_row is not None and not pairs.refused.any():  # the model was fitted without refusals
        vector = bundle.user_factors[query.user_row]
    else:
        vector = fold_in(bundle, pairs.track, weigh(pairs, bundle.popularity, bundle.statistics))
    if not vector.any():
        return None
    return np.where(bundle.item_norms > 0, bundle.item_factors @ vector, 0).astype(np.float32)


def _popular(bundle: ModelBundle, number: int) -> bool:
    return bundle.neighbours[number] is None and number != bundle.factor_part


def _popularity(bundle: ModelBundle) -> Vector:
    return np.log1p(bundle.popularity)
