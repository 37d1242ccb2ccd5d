"""lastfm: scrobbles as tools save them; CSV of any tool, or the JSON of `user.getRecentTracks`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from importers.cell_parsers import MAX_NAME_LENGTH
from importers.errors import BadValue
from importers.histories import csv_scrobbles
from importers.histories.archive import HistoryFile, read_beginning, read_blocks
from importers.histories.json_stream import read_items
from importers.histories.json_values import require_text, require_unix_time, text_or_empty, uuid_or_empty
from importers.histories.registry import HistoryImporter, HistoryRecord, parse_items
from importers.records import ListenRecord, RefusedRow


def recognizes_text(text: str) -> bool:
    is_json = text.startswith(("[", "{")) and ('"recenttracks"' in text or '"#text"' in text)
    return is_json or csv_scrobbles.recognizes_text(text)


def read(file: HistoryFile, latest: int, on_bytes: Callable[[int], None]) -> Iterator[HistoryRecord]:
    """Stream the listens of a file; see HistoryImporter."""
    beginning = read_beginning(file, 1 << 10).removeprefix(b"\xef\xbb\xbf").lstrip()
    is_json = csv_scrobbles.is_json(beginning.decode("utf-8", "ignore"))
    return _read_json(file, latest, on_bytes) if is_json else csv_scrobbles.read_csv(file, latest, on_bytes)


IMPORTER = HistoryImporter("lastfm", read, recognizes_text, lists_scrobbles=True)


def _read_json(file: HistoryFile, latest: int, on_bytes: Callable[[int], None]) -> Iterator[ListenRecord | RefusedRow]:
    """Stream the tracks of all pages. The line of a record is the number of the track in the file."""
    pages = read_items(read_blocks(file, on_bytes), str(file))
    tracks = enumerate((track for _, page in pages for track in _list_tracks(page)), 1)
    played = ((number, track) for number, track in tracks if not _is_playing_now(track))
    return parse_items(played, str(file), partial(_parse_track, latest=latest))


def _list_tracks(page: Any) -> list[Any]:
    """Return the tracks of a page as the API sends it, of its `recenttracks`, of a list, or of a single track."""
    if isinstance(page, dict) and isinstance(page.get("recenttracks"), dict):
        page = page["recenttracks"]
    tracks = page.get("track") if isinstance(page, dict) and "track" in page and "artist" not in page else page
    return tracks if isinstance(tracks, list) else [tracks]


def _is_playing_now(track: Any) -> bool:
    """Return whether the track has not ended yet. Every page begins with it, and it comes again once it has."""
    attributes = track.get("@attr") if isinstance(track, dict) else None
    return isinstance(attributes, dict) and "nowplaying" in attributes and "date" not in track


def _parse_track(track: Any, latest: int) -> ListenRecord:
    if not isinstance(track, dict):
        raise BadValue("track", repr(track)[:80], "an object with artist, name and date")
    date = track.get("date")
    return ListenRecord(
        artist=require_text("artist", _unwrap_text(track.get("artist"))),
        title=require_text("name", track.get("name")),
        time=require_unix_time("date", date.get("uts") if isinstance(date, dict) else date, latest),
        album=text_or_empty(_unwrap_text(track.get("album")), MAX_NAME_LENGTH),
        mbid=uuid_or_empty(track.get("mbid")),
    )


def _unwrap_text(value: Any) -> Any:
    """Return the text of an object such as `{"#text": …}`, or the value if it is none."""
    return value.get("#text", value.get("name")) if isinstance(value, dict) else value
