"""Rows, block after block: small ones first, for most searches end early."""

from collections.abc import Iterator


def blocks(n: int, first: int, most: int, growth: int = 2) -> Iterator[slice]:
    """Slices of 0..n: one of `first` rows, each of the next `growth` times as long, up to `most` (or `first`)."""
    begin, size = 0, first
    while begin < n:
        yield slice(begin, min(begin + size, n))
        begin, size = begin + size, min(growth * size, max(most, first))
