"""listenbrainz: a listener's export; the archive with listens by month, or the older single array of JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import orjson

from importers.errors import BadValue
from importers.histories import json_stream
from importers.histories.archive import HistoryFile, read_blocks
from importers.histories.listenbrainz import parse_exported_listen
from importers.records import ListenRecord, RefusedRow
from importers.text_lines import numbered, raw_lines


def wanted(part: HistoryFile) -> bool:
    """Of an archive; beside the listens it has feedback, pinned recordings and the listener's account."""
    return part.name.endswith(".jsonl") and "listens/" in f"/{part.name}"


def read(part: HistoryFile, latest: int, on_bytes: Callable[[int], None]) -> Iterator[ListenRecord | RefusedRow]:
    """latest: UNIX seconds. Raises FormatError for damage, when what is before it has been given."""
    items = (
        _lines(part, on_bytes)
        if part.name.endswith(".jsonl")
        else json_stream.items(read_blocks(part, on_bytes), str(part))
    )
    for line, item in items:
        if isinstance(item, RefusedRow):
            yield item
            continue
        try:
            yield parse_exported_listen(item, latest, str(part), line)
        except BadValue as bad:
            yield RefusedRow(str(part), line, str(bad))


def _lines(part: HistoryFile, on_bytes: Callable[[int], None]) -> Iterator[tuple[int, Any]]:
    for line, text, fault in numbered(raw_lines(read_blocks(part, on_bytes)), "utf-8"):
        if text is None:
            yield line, RefusedRow(str(part), line, fault)
            continue
        try:
            yield line, orjson.loads(text)
        except orjson.JSONDecodeError as error:
            yield line, RefusedRow(str(part), line, f"line: is not JSON ({error})")
