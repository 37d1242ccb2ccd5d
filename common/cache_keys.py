from hashlib import blake2b
from typing import Any


def cache_key(kind: str, *parts: Any) -> str:
    """Return a short key that depends on the kind and on the `repr` of everything the cached value depends on."""
    return f"{kind}:{blake2b(repr(parts).encode(), digest_size=16).hexdigest()}"
