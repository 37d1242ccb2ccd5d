"""What listeners play in a context, compared with what they play otherwise, as directions in the space of the tracks.

A context is a period of the day, a weekday, a device or an activity. Its direction is the mean difference between the
tracks that are played in it and the usual tracks of the listeners who play them, so that it does not say who these
listeners are. It is shrunk towards 0 the more, the fewer plays it is based on: the posterior mean of a normal effect
with a normal prior (Efron & Morris 1975, "Data Analysis Using Stein's Estimator and its Generalizations").
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from engine.data.confidence import DAY_SECONDS, HOUR_SECONDS
from engine.data.id_map import IdMap
from engine.data.play_contexts import ACTIVITY, DEVICE, HOURS, UNKNOWN_CONTEXT, WEEKDAYS, PlayContexts, context_code
from engine.data.plays import Plays, Signal

PERIOD_HOURS = 3
PERIODS, DAYS = 24 // PERIOD_HOURS, 7
PRIOR_PLAYS = 100.0  # plays that nothing is special about, which every context has besides its own
MIN_PLAYS, MIN_LISTENERS = 50, 5  # of a device or an activity; fewer could tell what somebody plays
MAX_NAMES = 100  # devices, and activities, with the most plays
MAX_PLAYS = 1_000_000  # the newest ones
_THURSDAY = 3  # the weekday of 1970-01-01, from Monday on
Integers = NDArray[np.int64]


def period_of_day(time: Integers) -> Integers:
    """Return the period of the day, 0 to PERIODS - 1, UTC, of UNIX seconds."""
    return np.asarray(time // (PERIOD_HOURS * HOUR_SECONDS) % PERIODS)


def weekday(time: Integers) -> Integers:
    """Return the weekday, 0 for Monday to 6, UTC, of UNIX seconds."""
    return np.asarray((time // DAY_SECONDS + _THURSDAY) % DAYS)


@dataclass(frozen=True)
class ContextModel:
    """The directions of c contexts, and how much each kind of context counts.

    Attributes:
        codes: of the contexts, see `context_code`, ascending, int64 (c,).
        vectors: their directions, float32 (c, f).
        weights: by kind, above 0; kinds that are missing do not count.
    """

    codes: Integers
    vectors: NDArray[np.float32]
    weights: Mapping[str, float] = field(default_factory=dict)

    @property
    def depends_on_time(self) -> bool:
        return bool({HOURS, WEEKDAYS} & self.weights.keys())

    def direction(self, code: int) -> NDArray[np.float64]:
        """Return the direction of a context, float64 (f,); zeros for one that is not known."""
        row = int(np.searchsorted(self.codes, code))
        if row == len(self.codes) or self.codes[row] != code:
            return np.zeros(self.vectors.shape[1])
        return np.asarray(self.vectors[row], np.float64)


def fit_context_model(
    directions: NDArray[np.float32],
    items: IdMap,
    plays: Plays,
    contexts: PlayContexts,
    weights: Mapping[str, float],
) -> ContextModel:
    """Compute the directions of all contexts that have enough plays.

    Args:
        directions: of the n tracks, unit length, or zeros if nothing is known of a track, float32 (n, f).
        items: the tracks.
        plays: of all listeners. Imported totals have no hour, so they do not count.
        contexts: the plays whose device or activity is known.
        weights: of the model.
    """
    plays = plays.where((plays.signal == Signal.PLAY) & (plays.count == 1))
    plays = plays.where(np.argsort(plays.time, kind="stable")[-MAX_PLAYS:])
    users = IdMap.from_ids(plays.user)
    contexts = contexts.where(users.rows(contexts.user)[1])
    period_codes = np.array([context_code(HOURS, str(period)) for period in range(PERIODS)])
    day_codes = np.array([context_code(WEEKDAYS, str(day)) for day in range(DAYS)])
    columns = [
        (plays.user, plays.track, period_codes[period_of_day(plays.time)]),
        (plays.user, plays.track, day_codes[weekday(plays.time)]),
        *((contexts.user, contexts.track, _frequent(contexts, kind)) for kind in (DEVICE, ACTIVITY)),
    ]
    user, track, code = (np.concatenate(parts) for parts in zip(*columns, strict=True))
    rows, is_known = items.rows(track)
    is_known &= code != UNKNOWN_CONTEXT
    user_rows, rows, code = users.rows(user)[0][is_known], rows[is_known], code[is_known]
    codes, code_rows = np.unique(code, return_inverse=True)
    by_track = _count(code_rows, rows, (len(codes), len(items)))
    by_user = _count(code_rows, user_rows, (len(codes), len(users)))
    played, is_item = items.rows(plays.track)
    own = _count(users.rows(plays.user)[0][is_item], played[is_item], (len(users), len(items)))
    usual = (own @ directions) / np.maximum(own.sum(axis=1), 1)
    sums = by_track @ directions - by_user @ np.asarray(usual)
    vectors = sums / (np.asarray(by_track.sum(axis=1)) + PRIOR_PLAYS)
    return ContextModel(codes.astype(np.int64), np.asarray(vectors, np.float32), dict(weights))


def _frequent(contexts: PlayContexts, kind: str) -> Integers:
    """Return the code of each play, `UNKNOWN_CONTEXT` for contexts that have too few plays or listeners: int64 (n,)."""
    code = contexts.device if kind == DEVICE else contexts.activity
    codes, rows, plays = np.unique(code, return_inverse=True, return_counts=True)
    if not len(codes):
        return code
    pairs = np.unique(np.stack([rows, contexts.user]), axis=1)
    listeners = np.bincount(pairs[0], minlength=len(codes))
    is_frequent = (plays >= MIN_PLAYS) & (listeners >= MIN_LISTENERS) & (codes != UNKNOWN_CONTEXT)
    is_frequent[np.argsort(-plays * is_frequent, kind="stable")[MAX_NAMES:]] = False
    return np.where(is_frequent[rows], code, UNKNOWN_CONTEXT)


def _count(rows: Integers, columns: Integers, shape: tuple[int, int]) -> sp.csr_matrix:
    """Return how often each pair occurs, CSR float32 of `shape`."""
    return sp.csr_matrix((np.ones(len(rows), np.float32), (rows, columns)), shape)
