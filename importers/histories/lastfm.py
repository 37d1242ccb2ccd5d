"""lastfm: scrobbles as tools save them; CSV with or without a header, or the JSON of `user.getRecentTracks`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import chain
from typing import Any

from importers.cell_parsers import EARLIEST_TIME, MAX_INTEGER, MAX_NAME_LENGTH, parse_time
from importers.columns import ABSENT, ColumnNames, ColumnPositions, find_columns
from importers.delimited_text import decode_lines, detect_separator, split_header, split_lines, split_rows
from importers.errors import BadValue, FormatError
from importers.histories.archive import HistoryFile, read_blocks
from importers.histories.json_stream import read_items
from importers.histories.json_values import integer_or_none, require_text, text_or_empty, uuid_or_empty
from importers.histories.registry import HistoryImporter
from importers.records import ListenRecord, RefusedRow

_COLUMNS: ColumnNames = {
    "artist": ("artist", "artist_name", "artist name"),
    "title": ("track", "title", "name", "song", "track_name", "track name"),
    "album": ("album", "album_name", "album name"),
    "time": ("uts", "timestamp", "utc_time", "date", "time", "played_at", "datetime", "date_uts"),
    "mbid": ("track_mbid", "mbid", "track mbid"),
}
_COLUMNS_WITHOUT_HEADER = ["artist", "album", "title", "time"]
_TIME_FORMATS = ("%d %b %Y %H:%M", "%d %b %Y, %H:%M", "%d %b %Y %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S")


def recognizes_text(text: str) -> bool:
    if text.startswith(("[", "{")):
        return '"recenttracks"' in text or '"#text"' in text
    line = text.partition("\n")[0]
    return "\0" not in line and any(line.count(separator) >= 2 for separator in ",;\t")


def read(file: HistoryFile, latest: int, on_bytes: Callable[[int], None]) -> Iterator[ListenRecord | RefusedRow]:
    """Stream the listens of a file; see HistoryImporter."""
    beginning = next(read_blocks(file), b"").removeprefix(b"\xef\xbb\xbf").lstrip()
    is_json = beginning.startswith((b"[", b"{"))
    return _read_json(file, latest, on_bytes) if is_json else _read_csv(file, latest, on_bytes)


IMPORTER = HistoryImporter("lastfm", read, recognizes_text)


def _read_csv(file: HistoryFile, latest: int, on_bytes: Callable[[int], None]) -> Iterator[ListenRecord | RefusedRow]:
    lines = decode_lines(split_lines(read_blocks(file, on_bytes)), "utf-8")
    first = next(lines, None)
    if first is None or first[1] is None:
        raise FormatError(f"{file}: the first line cannot be read; save the CSV as UTF-8")
    separator = detect_separator(first[1])
    header = split_header(first[1], separator)
    columns = find_columns(header, _COLUMNS)
    if ABSENT in (columns["artist"], columns["title"], columns["time"]):  # the first line is a row
        if len(header) != len(_COLUMNS_WITHOUT_HEADER):
            raise FormatError(f"{file}: a file without a header must have the columns artist, album, title and time")
        columns = find_columns(_COLUMNS_WITHOUT_HEADER, _COLUMNS)
        lines = chain([first], lines)
    for line, cells, reason in split_rows(lines, separator, len(header)):
        if cells is None:
            yield RefusedRow(str(file), line, reason)
            continue
        try:
            yield _parse_cells(cells, columns, latest)._replace(file=str(file), line=line)
        except BadValue as error:
            yield RefusedRow(str(file), line, str(error), error.kind)


def _parse_cells(cells: Sequence[str], columns: ColumnPositions, latest: int) -> ListenRecord:
    artist, title, album, time, mbid = (
        "" if columns[field] == ABSENT else cells[columns[field]]
        for field in ("artist", "title", "album", "time", "mbid")
    )
    return ListenRecord(
        artist=require_text("artist", artist),
        title=require_text("title", title),
        time=_check_time(_parse_csv_time(time.strip()), latest),
        album=text_or_empty(album, MAX_NAME_LENGTH),
        mbid=uuid_or_empty(mbid.strip()),
    )


def _parse_csv_time(value: str) -> int:
    """Return UNIX seconds, from UNIX seconds, UNIX milliseconds or a date in UTC. Raises BadValue."""
    if value.isdecimal() and len(value) < 14:
        return int(value) // (1000 if len(value) > 11 else 1)
    for time_format in _TIME_FORMATS:
        try:
            return int(datetime.strptime(value, time_format).replace(tzinfo=UTC).timestamp())
        except ValueError:
            continue
    return parse_time("time", value, MAX_INTEGER)


def _check_time(time: int, latest: int) -> int:
    if not EARLIEST_TIME <= time <= latest:
        raise BadValue("time", str(time), "a time from the year 2000 to today")
    return time


def _read_json(file: HistoryFile, latest: int, on_bytes: Callable[[int], None]) -> Iterator[ListenRecord | RefusedRow]:
    """Stream the tracks of all pages. The line of a record is the number of the track in the file."""
    number = 0
    for _, page in read_items(read_blocks(file, on_bytes), str(file)):
        for track in _list_tracks(page):
            number += 1
            if _is_playing_now(track):
                continue
            try:
                yield _parse_track(track, latest)._replace(file=str(file), line=number)
            except BadValue as error:
                yield RefusedRow(str(file), number, str(error), error.kind)


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
    time = integer_or_none(date.get("uts") if isinstance(date, dict) else date)
    if time is None:
        raise BadValue("date", "", "an object with uts, the UNIX second")
    return ListenRecord(
        artist=require_text("artist", _unwrap_text(track.get("artist"))),
        title=require_text("name", track.get("name")),
        time=_check_time(time, latest),
        album=text_or_empty(_unwrap_text(track.get("album")), MAX_NAME_LENGTH),
        mbid=uuid_or_empty(track.get("mbid")),
    )


def _unwrap_text(value: Any) -> Any:
    """Return the text of an object such as `{"#text": …}`, or the value if it is none."""
    return value.get("#text", value.get("name")) if isinstance(value, dict) else value
