"""A body that came gzipped, unpacked no further than it may be: a few kilobytes of gzip can hold gigabytes."""

from __future__ import annotations

import zlib


def unpacked(body: bytes, limit: int) -> bytes:
    """In clear; cut off after `limit` + 1 bytes, by which a caller sees that it is too long. Raises ValueError."""
    unpacking = zlib.decompressobj(wbits=31)
    try:
        plain = unpacking.decompress(body, limit + 1)
    except zlib.error as error:
        raise ValueError(f"the body is not gzip: {error}") from error
    if len(plain) <= limit and not unpacking.eof:
        raise ValueError("the body is not gzip: it ends too early")
    return plain
