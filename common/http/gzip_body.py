"""Decompressing a gzipped request body."""

import zlib


def decompress_gzip(body: bytes, limit: int) -> bytes:
    """Return the decompressed body, cut off after `limit` + 1 bytes: a few kilobytes of gzip can hold gigabytes.

    Raises:
        ValueError: if the body is not gzip, or is incomplete.
    """
    decompressor = zlib.decompressobj(wbits=31)
    try:
        decompressed = decompressor.decompress(body, limit + 1)
    except zlib.error as error:
        raise ValueError(f"the body is not gzip: {error}") from error
    if len(decompressed) <= limit and not decompressor.eof:
        raise ValueError("the body is not gzip: it ends too early")
    return decompressed
