"""Ids of slates: UUIDs of version 7 (RFC 9562), which begin with the time, so that newer rows have greater ids."""

import secrets
import time
from uuid import UUID


def new_recommendation_id() -> UUID:
    """Return a new id: the time in milliseconds (48 bits), version, 12 random bits, variant, 62 random bits."""
    milliseconds = time.time_ns() // 1_000_000
    return UUID(int=milliseconds << 80 | 7 << 76 | secrets.randbits(12) << 64 | 0b10 << 62 | secrets.randbits(62))


def seconds_since(recommendation_id: UUID) -> float:
    """Return how long ago an id was made; infinity for an id that is not ours."""
    if recommendation_id.version != 7:
        return float("inf")
    return time.time() - (recommendation_id.int >> 80) / 1000
