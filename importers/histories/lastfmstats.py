"""lastfmstats: the scrobbles of a Last.fm account as lastfmstats.com saves them in JSON; its CSV is read by lastfm."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from importers.cell_parsers import MAX_NAME_LENGTH
from importers.errors import BadValue
from importers.histories.archive import HistoryFile, read_blocks
from importers.histories.json_stream import read_items
from importers.histories.json_values import require_text, require_unix_time, text_or_empty
from importers.histories.registry import HistoryImporter, HistoryRecord, parse_items
from importers.records import ListenRecord


def recognizes_text(text: str) -> bool:
    return text.startswith("{") and all(f'"{name}"' in text for name in ("scrobbles", "track", "artist", "date"))


def read(file: HistoryFile, latest: int, on_bytes: Callable[[int], None]) -> Iterator[HistoryRecord]:
    """Stream the listens of a file; see HistoryImporter."""
    items = read_items(read_blocks(file, on_bytes), str(file), {"scrobbles"})
    return parse_items(items, str(file), partial(_parse_scrobble, latest=latest))


IMPORTER = HistoryImporter("lastfmstats", read, recognizes_text, lists_scrobbles=True)


def _parse_scrobble(item: Any, latest: int) -> ListenRecord:
    if not isinstance(item, dict):
        raise BadValue("scrobble", repr(item)[:80], "an object with artist, track and date")
    return ListenRecord(
        artist=require_text("artist", item.get("artist")),
        title=require_text("track", item.get("track")),
        time=require_unix_time("date", item.get("date"), latest),
        album=text_or_empty(item.get("album"), MAX_NAME_LENGTH),
    )
