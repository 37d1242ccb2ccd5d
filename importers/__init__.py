"""Readers of listening histories: `FORMATS[name](paths, namespace=…, as_of=…, on_bytes=…)` streams records."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from importers import delimited, hetrec2011, music30, parquet, synthetic
from importers.errors import FormatError
from importers.records import PlayRecord, Record, RefusedRow, TagRecord, TrackRecord

__all__ = [
    "AS_OF",
    "FORMATS",
    "NAMESPACES",
    "FormatError",
    "PlayRecord",
    "Reader",
    "Record",
    "RefusedRow",
    "TagRecord",
    "TrackRecord",
    "total_bytes",
]


class Reader(Protocol):
    def __call__(
        self, paths: Sequence[Path], *, namespace: str, as_of: int, on_bytes: Callable[[int], None]
    ) -> Iterator[Record]:
        """Stream the records of `paths`; each track before the first play of it.

        namespace: put before outside ids as `namespace:id`, "" for none · as_of: the UNIX second of plays that carry
        no time, and the present by which a time lies in the future · on_bytes: called with the bytes just consumed,
        about every 1,000 rows. A row that is not understood is a Refusal and the others go on; an input that cannot
        be used at all raises FormatError, from the call itself wherever a look at headers is enough to tell.
        """
        ...


FORMATS: dict[str, Reader] = {
    "hetrec2011": hetrec2011.read,
    "30music": music30.read,
    "csv": delimited.read,
    "parquet": parquet.read,
    "synthetic": synthetic.read,
}
NAMESPACES: dict[str, str] = {
    "hetrec2011": hetrec2011.NAMESPACE,
    "30music": music30.NAMESPACE,
    "csv": delimited.NAMESPACE,
    "parquet": parquet.NAMESPACE,
    "synthetic": synthetic.NAMESPACE,
}
AS_OF: dict[str, int] = {"hetrec2011": hetrec2011.AS_OF, "synthetic": synthetic.AS_OF}
"""The UNIX second of plays without a time, where the format knows better than "now"."""
_TOTALS: dict[str, Callable[[Sequence[Path]], int]] = {
    "hetrec2011": hetrec2011.total_bytes,
    "30music": music30.total_bytes,
    "csv": delimited.total_bytes,
    "parquet": parquet.total_bytes,
    "synthetic": synthetic.total_bytes,
}


def total_bytes(paths: Sequence[Path], format: str) -> int:
    """What the calls of a reader's on_bytes add up to when it has read everything. Raises FormatError where there is
    nothing to read."""
    return _TOTALS[format](paths)
