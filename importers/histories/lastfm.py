"""lastfm: scrobbles as tools save them; CSV with or without a header, or JSON of `user.getRecentTracks`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from importers import cell_parsers
from importers.columns import ABSENT, Names, positions
from importers.csv_lines import header_cells, separator_of, split_lines
from importers.errors import BadValue, FormatError
from importers.histories import json_stream, json_values
from importers.histories.archive import HistoryFile, read_blocks
from importers.records import ListenRecord, RefusedRow
from importers.text_lines import Line, numbered, raw_lines

_COLUMNS: Names = {
    "artist": ("artist", "artist_name", "artist name"),
    "title": ("track", "title", "name", "song", "track_name", "track name"),
    "album": ("album", "album_name", "album name"),
    "time": ("uts", "timestamp", "utc_time", "date", "time", "played_at", "datetime", "date_uts"),
    "mbid": ("track_mbid", "mbid", "track mbid"),
}
_NO_HEADER = ["artist", "album", "title", "time"]
_TIMES = ("%d %b %Y %H:%M", "%d %b %Y, %H:%M", "%d %b %Y %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S")


def wanted(part: HistoryFile) -> bool:
    """Of an archive."""
    return part.name.lower().endswith((".csv", ".tsv", ".json"))


def read(part: HistoryFile, latest: int, on_bytes: Callable[[int], None]) -> Iterator[ListenRecord | RefusedRow]:
    """latest: UNIX seconds. Raises FormatError for damage, when what is before it has been given."""
    beginning = next(read_blocks(part), b"").removeprefix(b"\xef\xbb\xbf").lstrip()
    readings = _of_json if beginning[:1] in (b"[", b"{") else _of_csv
    for line, made in readings(part, on_bytes):
        try:
            yield _checked(made(), latest)._replace(file=str(part), line=line)
        except BadValue as bad:
            yield RefusedRow(str(part), line, str(bad))


def _checked(listen: ListenRecord, latest: int) -> ListenRecord:
    if not cell_parsers.EARLIEST_TIME <= listen.time <= latest:
        raise BadValue("time", str(listen.time), "a time from the year 2000 to today")
    return listen


Made = Callable[[], ListenRecord]
"""Makes the listen of a row, or raises BadValue."""


def _of_csv(part: HistoryFile, on_bytes: Callable[[int], None]) -> Iterator[tuple[int, Made]]:
    lines = numbered(raw_lines(read_blocks(part, on_bytes)), "utf-8")
    first = next(lines, None)
    if first is None or first[1] is None:
        raise FormatError(f"{part}: the first line cannot be read; give the CSV as UTF-8")
    separator = separator_of(first[1])
    header = header_cells(first[1], separator)
    at = positions(header, _COLUMNS)
    if has_header := ABSENT not in (at["artist"], at["title"], at["time"]):
        width = len(header)
    elif len(header) == len(_NO_HEADER):
        at, width = positions(_NO_HEADER, _COLUMNS), len(_NO_HEADER)
    else:
        raise FormatError(f"{part}: the columns must be artist, album, title and time, or have a header that says so")
    rows = lines if has_header else _again(first, lines)
    for line, cells, fault in split_lines(iter(rows), separator, width):
        yield line, _row(cells, at, fault)


def _again(first: Line, lines: Iterator[Line]) -> Iterator[Line]:
    yield first
    yield from lines


def _row(cells: Sequence[str] | None, at: dict[str, int], fault: str) -> Made:
    def made() -> ListenRecord:
        if cells is None:
            raise Unreadable(fault)
        artist, title, album, time, mbid = (
            "" if at[field] == ABSENT else cells[at[field]] for field in ("artist", "title", "album", "time", "mbid")
        )
        return ListenRecord(
            json_values.require_text("artist", artist),
            json_values.require_text("title", title),
            _moment(time),
            album=json_values.text_or_empty(album, cell_parsers.MAX_NAME_LENGTH),
            mbid=json_values.uuid_or_empty(mbid.strip()),
        )

    return made


class Unreadable(BadValue):
    """A row that has no cells."""

    def __init__(self, fault: str) -> None:
        ValueError.__init__(self, fault)


def _moment(written: str) -> int:
    """UNIX seconds, of UNIX seconds or a date in UTC."""
    written = written.strip()
    if written.isdecimal() and len(written) < 14:
        return int(written) // (1000 if len(written) > 11 else 1)
    for form in _TIMES:
        try:
            return int(datetime.strptime(written, form).replace(tzinfo=UTC).timestamp())
        except ValueError:
            continue
    return cell_parsers.parse_time("time", written, cell_parsers.MAX_INTEGER)


def _of_json(part: HistoryFile, on_bytes: Callable[[int], None]) -> Iterator[tuple[int, Made]]:
    number = 0
    for _, page in json_stream.items(read_blocks(part, on_bytes), str(part)):
        for track in _tracks(page):
            number += 1
            if not _plays_now(track):
                yield number, lambda track=track: _scrobble(track)  # type: ignore[misc]


def _tracks(page: Any) -> Iterable[Any]:
    """Of a page as the API gives it, of its middle, of a list of tracks; or the one track it is."""
    if isinstance(page, dict) and isinstance(page.get("recenttracks"), dict):
        page = page["recenttracks"]
    tracks = page.get("track") if isinstance(page, dict) and "track" in page and "artist" not in page else page
    return tracks if isinstance(tracks, list) else [tracks]


def _plays_now(track: Any) -> bool:
    """It stands first on a page, and comes again when it has been heard."""
    said = track.get("@attr") if isinstance(track, dict) else None
    return isinstance(said, dict) and "nowplaying" in said and "date" not in track


def _scrobble(track: Any) -> ListenRecord:
    if not isinstance(track, dict):
        raise BadValue("track", repr(track)[:80], "an object with artist, name and date")
    date = track.get("date")
    time = json_values.integer_or_none(date.get("uts") if isinstance(date, dict) else date, cell_parsers.MAX_INTEGER)
    if time is None:
        raise BadValue("date", "", "an object with uts, the UNIX second")
    return ListenRecord(
        json_values.require_text("artist", _text(track.get("artist"))),
        json_values.require_text("name", track.get("name")),
        time,
        album=json_values.text_or_empty(_text(track.get("album")), cell_parsers.MAX_NAME_LENGTH),
        mbid=json_values.uuid_or_empty(track.get("mbid")),
    )


def _text(value: Any) -> Any:
    """Of what is a text, or an object that has one."""
    return value.get("#text", value.get("name")) if isinstance(value, dict) else value
