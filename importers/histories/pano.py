"""pano: the file to which Pano Scrobbler writes scrobbles, as JSON lines or CSV."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from importers.cell_parsers import MAX_LABEL_LENGTH, MAX_NAME_LENGTH
from importers.errors import BadValue
from importers.histories.archive import HistoryFile, read_beginning, read_blocks
from importers.histories.csv_scrobbles import is_json, read_csv
from importers.histories.json_stream import is_json_lines, read_items, read_json_lines
from importers.histories.json_values import (
    MAX_MS,
    integer_or_none,
    require_text,
    require_unix_time,
    text_or_empty,
)
from importers.histories.registry import HistoryImporter, HistoryRecord, parse_items
from importers.records import ListenRecord


def recognizes_text(text: str) -> bool:
    is_csv = text.lstrip('"').startswith("timeHuman")
    return is_csv or (is_json(text) and all(f'"{name}"' in text for name in ("timeMs", "artist", "track")))


def read(file: HistoryFile, latest: int, on_bytes: Callable[[int], None]) -> Iterator[HistoryRecord]:
    """Stream the listens of a file; see HistoryImporter."""
    beginning = read_beginning(file, 100).decode("utf-8", "ignore").removeprefix("\ufeff").lstrip()
    return _read_json(file, latest, on_bytes) if is_json(beginning) else read_csv(file, latest, on_bytes)


IMPORTER = HistoryImporter("pano", read, recognizes_text, lists_scrobbles=True)


def _read_json(file: HistoryFile, latest: int, on_bytes: Callable[[int], None]) -> Iterator[HistoryRecord]:
    read_entries = read_json_lines if is_json_lines(file) else read_items
    return parse_items(
        read_entries(read_blocks(file, on_bytes), str(file)), str(file), partial(_parse_entry, latest=latest)
    )


def _parse_entry(item: Any, latest: int) -> ListenRecord:
    if not isinstance(item, dict):
        raise BadValue("entry", repr(item)[:80], "an object with timeMs, artist and track")
    event = item.get("event")
    if event not in (None, "", "scrobble"):
        raise BadValue("event", str(event)[:80], "a scrobble (loved tracks are not imported)")
    player = item.get("mediaPlayerName") or item.get("mediaPlayerPackage")
    return ListenRecord(
        artist=require_text("artist", item.get("artist")),
        title=require_text("track", item.get("track")),
        time=require_unix_time("timeMs", item.get("timeMs"), latest),
        album=text_or_empty(item.get("album"), MAX_NAME_LENGTH),
        device=text_or_empty(player, MAX_LABEL_LENGTH),
        duration_ms=integer_or_none(item.get("durationMs"), MAX_MS) or None,
    )
