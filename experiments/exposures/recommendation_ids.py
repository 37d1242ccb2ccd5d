"""Ids of slates: UUIDs of version 7 (RFC 9562), which begin with the time, so that newer rows have greater ids."""

import secrets
import time
from datetime import datetime
from typing import Any
from uuid import UUID

from django.utils.crypto import salted_hmac


def new_recommendation_id() -> UUID:
    """Return a new id: the time in milliseconds (48 bits), version, 12 random bits, variant, 62 random bits."""
    milliseconds = time.time_ns() // 1_000_000
    return _build_id(milliseconds, secrets.randbits(74))


def stable_recommendation_id(made_at: datetime, *parts: Any) -> UUID:
    """Return the same id in every process for what was made at a time and is the same by the `repr` of its parts."""
    digest = salted_hmac("recommendation_id", repr(parts), algorithm="sha256").digest()
    return _build_id(int(made_at.timestamp() * 1000), int.from_bytes(digest[:10]) >> 6)


def _build_id(milliseconds: int, bits: int) -> UUID:
    """Return the UUID of a time and 74 further bits."""
    return UUID(int=milliseconds << 80 | 7 << 76 | bits >> 62 << 64 | 0b10 << 62 | bits & ((1 << 62) - 1))


def seconds_since(recommendation_id: UUID) -> float:
    """Return how long ago an id was made; infinity for an id that is not ours."""
    if recommendation_id.version != 7:
        return float("inf")
    return time.time() - (recommendation_id.int >> 80) / 1000
