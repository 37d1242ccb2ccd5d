"""Re-weight candidates by the context of a request: the hour, the weekday, the device and the activity.

    context(i) = Σ weight of a kind · cosine of track i and the direction of the context

A listener's local time is not known, so their own hours decide: what they play around this hour, compared with all that
they play. Where little is known of their hours, the direction that all listeners have in common takes their place.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.bundle.model_bundle import ModelBundle
from engine.bundle.workspace import SearchWorkspace
from engine.data.confidence import DAY_SECONDS, HOUR_SECONDS
from engine.data.play_contexts import ACTIVITY, DEVICE, HOURS, WEEKDAYS, context_code
from engine.models.listening_context import ContextModel, period_of_day, weekday
from engine.retrieval.candidates import Query

HOURS_DEVIATION = 1.5  # of the normal curve by which a play counts less, the further its hour is away
OWN_PRIOR_PLAYS = 5.0  # by which the own hours of a listener are shrunk towards the common ones
Rows = NDArray[np.int64]
Floats = NDArray[np.float64]


def unit_vectors(bundle: ModelBundle, rows: Rows) -> NDArray[np.float32]:
    """Return the directions of tracks, unit length, or zeros if nothing is known of a track: float32 (k, f)."""
    vectors = bundle.vectors(rows)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0))


def weigh_context(bundle: ModelBundle, query: Query, workspace: SearchWorkspace, rows: Rows) -> Floats:
    """Return what the context of a query adds to the value of tracks, float64 (k,); zeros in a version without it."""
    model = bundle.context
    if model is None or not model.weights:
        return np.zeros(len(rows))

    def add_directions() -> Floats:
        directions = context_directions(bundle, query, model)
        return np.asarray(sum(weight * directions[kind] for kind, weight in model.weights.items()), np.float64)

    return np.asarray(unit_vectors(bundle, rows) @ workspace.remember("context", query, add_directions))


def context_directions(bundle: ModelBundle, query: Query, model: ContextModel) -> dict[str, Floats]:
    """Return the direction of the context of a query by kind, float64 (f,) each; zeros for what is not known."""
    zeros = np.zeros(model.vectors.shape[1])
    directions = {
        DEVICE: model.direction(query.device),
        ACTIVITY: model.direction(query.activity),
    }
    if not query.now:
        return directions | {HOURS: zeros, WEEKDAYS: zeros}
    pairs = bundle.known_pairs(query.history)
    pairs = pairs.where(pairs.is_positive)
    own, now = unit_vectors(bundle, pairs.track), np.array(query.now)
    # The middle of the hour, so that answers of the same hour are the same.
    middle = query.now // HOUR_SECONDS % 24 + 0.5
    distance = np.abs(pairs.newest % DAY_SECONDS / HOUR_SECONDS - middle)
    distance = np.minimum(distance, 24 - distance)
    by_kind = {
        HOURS: (np.exp(-0.5 * (distance / HOURS_DEVIATION) ** 2), period_of_day(now)),
        WEEKDAYS: ((weekday(pairs.newest) == weekday(now)).astype(np.float64), weekday(now)),
    }
    usual = own.mean(axis=0) if len(own) else zeros
    for kind, (shares, name) in by_kind.items():
        common = model.direction(context_code(kind, str(int(name))))
        own_sum = shares @ own - shares.sum() * usual
        directions[kind] = (own_sum + OWN_PRIOR_PLAYS * common) / (shares.sum() + OWN_PRIOR_PLAYS)
    return directions
