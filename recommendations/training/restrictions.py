"""The tracks that listeners must not be offered, for the evaluation of versions as they serve."""

from collections import defaultdict
from functools import cache

import numpy as np

from access.selectors import other_audiences
from engine.evaluation.bundles import Restrictions
from interactions.selectors import blocks_in_force
from tracks.availability import Ids, track_ids_by_block, unavailable_track_ids


def load_restrictions() -> Restrictions:
    """Load the blocks in force, and the tracks that are unavailable to each listener.

    Both are those of now, because it is not recorded what was blocked or available when the future of a split began.
    """
    blocks: dict[int, set[tuple[str, int]]] = defaultdict(set)
    for listener_id, kind, target_id in blocks_in_force():
        blocks[listener_id].add((kind, target_id))
    track_ids = track_ids_by_block(set[tuple[str, int]]().union(*blocks.values()))

    @cache  # a genre may have most of the catalogue: listeners with the same blocks share one array
    def tracks_of_blocks(listener_blocks: frozenset[tuple[str, int]]) -> Ids:
        return np.unique(np.concatenate([track_ids[block] for block in listener_blocks]))

    tracks_of_audience = cache(unavailable_track_ids)
    return Restrictions(
        {listener_id: tracks_of_blocks(frozenset(listener_blocks)) for listener_id, listener_blocks in blocks.items()},
        tracks_of_audience("", True),
        {listener_id: tracks_of_audience(*audience) for listener_id, *audience in other_audiences()},
    )
