"""listenbrainz: a listener's export; the archive with listens by month, or the older single array of JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import orjson

from importers import json_stream
from importers.archive import Part, blocks
from importers.errors import BadValue
from importers.listenbrainz import exported
from importers.records import ListenRecord, Refusal
from importers.text_lines import numbered, raw_lines


def wanted(part: Part) -> bool:
    """Of an archive; beside the listens it has feedback, pinned recordings and the listener's account."""
    return part.name.endswith(".jsonl") and "listens/" in f"/{part.name}"


def read(part: Part, latest: int, on_bytes: Callable[[int], None]) -> Iterator[ListenRecord | Refusal]:
    """latest: UNIX seconds. Raises FormatError for damage, when what is before it has been given."""
    items = (
        _lines(part, on_bytes) if part.name.endswith(".jsonl") else json_stream.items(blocks(part, on_bytes), str(part))
    )
    for line, item in items:
        if isinstance(item, Refusal):
            yield item
            continue
        try:
            yield exported(item, latest, str(part), line)
        except BadValue as bad:
            yield Refusal(str(part), line, str(bad))


def _lines(part: Part, on_bytes: Callable[[int], None]) -> Iterator[tuple[int, Any]]:
    for line, text, fault in numbered(raw_lines(blocks(part, on_bytes)), "utf-8"):
        if text is None:
            yield line, Refusal(str(part), line, fault)
            continue
        try:
            yield line, orjson.loads(text)
        except orjson.JSONDecodeError as error:
            yield line, Refusal(str(part), line, f"line: is not JSON ({error})")
