"""The tracks that listeners must not be offered, for the evaluation of versions as they serve."""

from collections import defaultdict
from functools import cache

import numpy as np

from access.selectors import other_audiences
from engine.evaluation.bundles import Restrictions
from interactions.selectors import blocks_in_force
from tracks.availability import blocked_track_ids, unavailable_track_ids


def load_restrictions() -> Restrictions:
    """Load the blocks in force, and the tracks that are unavailable to each listener.

    Both are those of now, because it is not recorded what was blocked or available when the future of a split began.
    """
    tracks_of_block = cache(lambda kind, target_id: blocked_track_ids([(kind, target_id)]))
    tracks_of_audience = cache(unavailable_track_ids)
    blocked = defaultdict(list)
    for listener_id, kind, target_id in blocks_in_force():
        blocked[listener_id].append(tracks_of_block(kind, target_id))
    return Restrictions(
        {listener_id: np.unique(np.concatenate(ids)) for listener_id, ids in blocked.items()},
        tracks_of_audience("", True),
        {listener_id: tracks_of_audience(*audience) for listener_id, *audience in other_audiences()},
    )
