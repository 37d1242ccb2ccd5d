from hashlib import blake2b
from typing import Any


def cache_key(kind: str, *parts: Any) -> str:
    """Return a short key that depends on the kind and on the `repr` of everything the cached value depends on.

    The cache puts the version of the format in front of it, which is CACHE_FORMAT of the settings.
    """
    return f"{kind}:{blake2b(repr(parts).encode(), digest_size=16).hexdigest()}"
