"""What a slate may be good for besides relevance: each dial of a policy weights one of these objectives.

    value(i) = relevance(i) + Σ opinions(i) + SLIDER_WEIGHT · slider(i) + Σ dial · objective(i)

Relevance and objectives are between 0 and 1 (calibration between -1 and 0), so that a dial says how much relevance is
given up at most. `diversity` is not a property of single tracks, see `engine.ranking.variety`; `familiarity` is a share
of positions, see `engine.ranking.placement`.

To add an objective, write a function here, register it in `OBJECTIVES` under the name of its dial, and add the dial to
`engine.policy.Dials` with a default of 0.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from engine.bundle.model_bundle import ModelBundle
from engine.data.confidence import DAY_SECONDS
from engine.data.sliders import slider_values
from engine.data.track_features import NO_DATE
from engine.policy import Dials
from engine.retrieval.candidates import Query

Rows = NDArray[np.int64]
Floats = NDArray[np.float64]
FRESHNESS_HALF_LIFE = 90.0  # days
SLIDER_WEIGHT = 0.5  # of relevance, which a slider at its end gives or takes

Objective = Callable[[ModelBundle, Query, Rows], Floats]
"""(bundle, query, rows) -> how well each track serves the objective, float64 (k,)."""


def novelty(bundle: ModelBundle, query: Query, rows: Rows) -> Floats:
    """Return the self-information of tracks in proportion to that of one with a single listener.

    -log(listeners / all listeners) / log(all listeners): 0 for a track that everybody has heard, 1 for one that one
    listener or nobody has (Castells, Hurley & Vargas 2015, "Novelty and Diversity in Recommender Systems").
    """
    everybody = max(float(bundle.statistics.users), float(bundle.popularity.max(initial=0)), 2.0)
    listeners = np.maximum(bundle.popularity[rows].astype(np.float64), 1)
    return np.asarray(np.log(everybody / listeners) / np.log(everybody))


def freshness(bundle: ModelBundle, query: Query, rows: Rows) -> Floats:
    """Return 1 for a track of today, half of it for every 90 days of age, and 0 without a date.

    A track is as old as its release, or as its entry in the catalogue if the date of release is unknown.
    """
    now = query.now or bundle.statistics.newest
    released, added = bundle.features.released[rows], bundle.features.added[rows]
    age = np.where(released != NO_DATE, now / DAY_SECONDS - released, (now - added) / DAY_SECONDS)
    has_date = (released != NO_DATE) | (added > 0)
    return np.where(has_date, np.exp2(-np.maximum(age, 0) / FRESHNESS_HALF_LIFE), 0.0)


def artist_exposure(bundle: ModelBundle, query: Query, rows: Rows) -> Floats:
    """Return how little the artists of tracks are heard: 1 without listeners, 0 for the most heard one."""
    listeners = bundle.track_statistics.artist_listeners
    most = max(float(listeners.max(initial=0)), 1.0)
    return np.asarray(1 - np.log1p(listeners[rows].astype(np.float64)) / np.log1p(most))


def calibration(bundle: ModelBundle, query: Query, rows: Rows) -> Floats:
    """Return minus the distance of the popularity of tracks to the mean popularity of the listener's tracks.

    Both are percentiles, so that a listener of rare music is not offered hits only, nor one of hits rarities (after
    Abdollahpouri et al. 2020, "The Connection Between Popularity Bias, Calibration, and Fairness in Recommendation").
    0 for a listener without known tracks; for a group the mean of its members.
    """
    if query.group is not None:
        return np.asarray(np.mean([calibration(bundle, member.query, rows) for member in query.group.members], axis=0))
    pairs = bundle.known_pairs(query.history)
    own = pairs.track[pairs.is_positive]
    if not len(own):
        return np.zeros(len(rows))
    percentiles = bundle.track_statistics.popularity_percentiles
    return -np.abs(percentiles[rows].astype(np.float64) - float(percentiles[own].mean(dtype=np.float64)))


def weigh_sliders(bundle: ModelBundle, query: Query, rows: Rows) -> Floats:
    """Return what the listener's sliders add to the value of candidates, from -SLIDER_WEIGHT to SLIDER_WEIGHT.

    It is not a dial of a policy: the listener has asked for it.
    """
    return SLIDER_WEIGHT * slider_values(query.sliders, bundle.items.ids[rows])


OBJECTIVES: dict[str, Objective] = {
    "novelty": novelty,
    "freshness": freshness,
    "artist_exposure": artist_exposure,
    "calibration": calibration,
}


def weigh_objectives(bundle: ModelBundle, query: Query, rows: Rows, dials: Dials) -> dict[str, Floats]:
    """Return what each dial that is not 0 adds to the value of candidates, float64 (k,), by the name of the dial."""
    return {
        name: getattr(dials, name) * objective(bundle, query, rows)
        for name, objective in OBJECTIVES.items()
        if getattr(dials, name)
    }
