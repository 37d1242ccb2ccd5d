"""The cache by what Django's interface of it does not have: `common.redis_cache` has the classes."""

from hashlib import blake2b
from typing import Any

from django.core.cache import cache


def shared_cache() -> Any:
    """One of `common.redis_cache`."""
    return cache


def cache_key(kind: str, *made_of: Any) -> str:
    """A short name of what is made of this, by its repr."""
    return f"{kind}:{blake2b(repr(made_of).encode(), digest_size=16).hexdigest()}"
