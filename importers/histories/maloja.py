"""maloja: the export of a Maloja server, and the scrobbles of its API, which have the same form."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from importers.cell_parsers import MAX_NAME_LENGTH
from importers.errors import BadValue
from importers.histories.archive import HistoryFile, read_blocks
from importers.histories.json_stream import read_items
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
    has_list = '"scrobbles"' in text or '"list"' in text
    return text.startswith("{") and has_list and all(f'"{name}"' in text for name in ("artists", "title", "time"))


def read(file: HistoryFile, latest: int, on_bytes: Callable[[int], None]) -> Iterator[HistoryRecord]:
    """Stream the listens of a file; see HistoryImporter."""
    items = read_items(read_blocks(file, on_bytes), str(file), {"scrobbles", "list"})
    return parse_items(items, str(file), partial(_parse_scrobble, latest=latest))


IMPORTER = HistoryImporter("maloja", read, recognizes_text, lists_scrobbles=True)


def _parse_scrobble(item: Any, latest: int) -> ListenRecord:
    if not isinstance(item, dict):
        raise BadValue("scrobble", repr(item)[:80], "an object with time and track")
    track: Any = item.get("track")
    if not isinstance(track, dict):
        track = item  # old versions have no object of the track
    album = track.get("album")
    if isinstance(album, dict):
        album = album.get("albumtitle", album.get("name"))
    return ListenRecord(
        artist=_join_artists(track.get("artists")),
        title=require_text("title", track.get("title")),
        time=require_unix_time("time", item.get("time"), latest),
        album=text_or_empty(album, MAX_NAME_LENGTH),
        ms_played=_parse_seconds(item.get("duration")),
        duration_ms=_parse_seconds(track.get("length")),
    )


def _join_artists(artists: Any) -> str:
    """Return the first artist with the others as guests, as catalogues name them."""
    names = [require_text("artists", name) for name in (artists if isinstance(artists, list) else [artists])]
    if not names:
        raise BadValue("artists", "", "the names of the artists")
    guests = f" feat. {', '.join(names[1:])}" if len(names) > 1 else ""
    return f"{names[0]}{guests}"[:MAX_NAME_LENGTH].strip()


def _parse_seconds(value: Any) -> int | None:
    """Return milliseconds."""
    seconds = integer_or_none(value, MAX_MS // 1000)
    return seconds * 1000 if seconds else None
