"""Rankings computed before anybody asks, in the Redis that all processes share.

Each is kept under everything that made it, as answers are: it is found only as long as it would come out the same.
"""

from collections.abc import Hashable, Mapping

import numpy as np
from django.conf import settings

from common.cache_keys import cache_key, shared_cache
from engine.pipeline import Pick, Ranking
from engine.retrieval.candidates import SOURCES

MAX_PICKS = 50
_SOURCES = list(SOURCES)
_PICK = np.dtype([("track", "<i8"), ("score", "<f8"), ("source", "u1")])
_REPEATS = b"\x01"

Made = tuple[int, Hashable]
"""A listener, and what their ranking was made of."""


def load_ranking(listener: int, made_of: Hashable, limit: int) -> Ranking | None:
    """Its first `limit` picks; None where none is there."""
    if not is_enabled():
        return None
    packed = shared_cache().find(_name(listener, made_of))
    return None if packed is None else _unpacked(packed, limit)


def store_rankings(rankings: Mapping[Made, Ranking]) -> None:
    """For as long as answers are kept. Where there is no Redis, nothing is."""
    values = {_name(*made): _packed(ranking) for made, ranking in rankings.items()}
    shared_cache().share_many(values, settings.MUSICREC["RESULTS_SECONDS"])


def is_enabled() -> bool:
    """Whether there is anywhere to keep them."""
    return bool(settings.REDIS_URL and settings.MUSICREC["RESULTS_SECONDS"] and settings.MUSICREC["AHEAD_LISTENERS"])


def _name(listener: int, made_of: Hashable) -> str:
    return cache_key("ahead", listener, made_of)


def _packed(ranking: Ranking) -> bytes:
    picks = [(p.track_id, p.score, _SOURCES.index(p.source)) for p in ranking.picks]
    return (_REPEATS if ranking.repeats else b"\x00") + np.array(picks, _PICK).tobytes()


def _unpacked(packed: bytes, limit: int) -> Ranking:
    picks = np.frombuffer(packed, _PICK, offset=1)[:limit].tolist()
    return Ranking([Pick(track, score, _SOURCES[source]) for track, score, source in picks], packed[:1] == _REPEATS)
