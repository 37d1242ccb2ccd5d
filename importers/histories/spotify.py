"""spotify: the "extended streaming history" that Spotify sends its listeners on request, and its "account data".

The extended history may also be a table with the same names of columns, as tools make it.
The account data has the last year only, and names neither albums nor seconds nor why a play ended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any

from importers.cell_parsers import EARLIEST_TIME, MAX_LABEL_LENGTH, MAX_NAME_LENGTH
from importers.delimited_text import decode_lines, detect_separator, split_header, split_lines, split_rows
from importers.errors import BadValue
from importers.histories.archive import HistoryFile, read_beginning, read_blocks
from importers.histories.json_stream import read_items
from importers.histories.json_values import (
    MAX_MS,
    boolean_or_none,
    integer_or_none,
    require_text,
    text_or_empty,
    unix_seconds_or_none,
)
from importers.histories.registry import HistoryImporter, HistoryRecord
from importers.records import FileNote, ListenRecord, RefusedRow

TITLE = "master_metadata_track_name"
ARTIST = "master_metadata_album_artist_name"
ALBUM = "master_metadata_album_album_name"
_MAX_HEADER_LENGTH = 1 << 12  # bytes; the names of all columns have about 400
_EXPECTED_TRACK = "the name of a track (podcasts, audiobooks and videos are not imported)"
_ACCOUNT_DATA_NOTE = (
    "this is Spotify's account data: it has only the plays of the last year, and neither albums, nor seconds, nor why "
    "a play ended, nor which plays belong to a private session; the extended streaming history has all of these"
)
END_REASONS = {  # Spotify's `reason_end` to the reasons of ListenRecord; all others are unknown
    "trackdone": "finished",
    "fwdbtn": "skipped",
    "backbtn": "skipped",
    "clickrow": "replaced",
    "clickside": "replaced",
    "playbtn": "replaced",
    "remote": "replaced",
    "endplay": "stopped",
    "logout": "stopped",
    "unexpected-exit": "interrupted",
    "unexpected-exit-while-paused": "interrupted",
    "trackerror": "interrupted",
}


def includes_member(member: str) -> bool:
    """Return False for plays of videos, which have the form of plays of music."""
    return not PurePosixPath(member).name.lower().startswith(("streaming_history_video", "endvideo"))


def recognizes_text(text: str) -> bool:
    if not text.startswith(("[", "{")):
        return _is_header(text.partition("\n")[0])
    return f'"{TITLE}"' in text or ('"endTime"' in text and '"msPlayed"' in text)


def read(file: HistoryFile, latest: int, on_bytes: Callable[[int], None]) -> Iterator[HistoryRecord]:
    """Stream the listens of a file; see HistoryImporter."""
    is_account_data = False
    for number, item in _read_items(file, on_bytes):
        if isinstance(item, RefusedRow):
            yield item
            continue
        if not is_account_data and isinstance(item, dict) and "endTime" in item:
            is_account_data = True
            yield FileNote(str(file), _ACCOUNT_DATA_NOTE)
        try:
            yield _parse_item(item, latest)._replace(file=str(file), line=number)
        except BadValue as error:
            yield RefusedRow(str(file), number, str(error), error.kind)


IMPORTER = HistoryImporter("spotify", read, recognizes_text, includes_member)


def _is_header(line: str) -> bool:
    """Return whether this is the first line of a table that a tool has made of the extended history."""
    return {TITLE, ARTIST, "ts"} <= set(split_header(line, detect_separator(line)))


def _read_items(file: HistoryFile, on_bytes: Callable[[int], None]) -> Iterator[tuple[int, Any]]:
    """Yield the numbers and plays of a list of JSON, or the lines and rows of a table as objects or RefusedRow."""
    beginning = read_beginning(file, _MAX_HEADER_LENGTH).decode("utf-8", "ignore").removeprefix("\ufeff").lstrip()
    first_line = beginning.partition("\n")[0]
    if not _is_header(first_line):
        yield from read_items(read_blocks(file, on_bytes), str(file))
        return
    separator = detect_separator(first_line)
    header = split_header(first_line, separator)
    lines = decode_lines(split_lines(read_blocks(file, on_bytes)), "utf-8")
    next(lines)
    for line, cells, reason in split_rows(lines, separator, len(header)):
        if cells is None:
            yield line, RefusedRow(str(file), line, reason)
        else:
            yield line, {name: cell.strip() or None for name, cell in zip(header, cells, strict=True)}


def _parse_item(item: Any, latest: int) -> ListenRecord:
    if not isinstance(item, dict):
        raise BadValue("item", repr(item)[:80], "an object")
    if "endTime" in item:
        return _parse_account_data_item(item, latest)
    if item.get(TITLE) is None and (item.get("episode_name") or item.get("audiobook_title") or TITLE in item):
        raise BadValue(TITLE, "", _EXPECTED_TRACK)
    _check_not_private(item.get("incognito_mode"))
    ms_played = _parse_ms_played("ms_played", item)
    return ListenRecord(
        artist=require_text(ARTIST, item.get(ARTIST)),
        title=require_text(TITLE, item.get(TITLE)),
        time=_parse_extended_start_time(item, ms_played, latest),
        album=text_or_empty(item.get(ALBUM), MAX_NAME_LENGTH),
        ms_played=ms_played,
        end_reason=_parse_end_reason(item),
        device=text_or_empty(item.get("platform"), MAX_LABEL_LENGTH),
    )


def _check_not_private(incognito_mode: Any) -> None:
    """Raise BadValue unless the play is surely not of a private session."""
    is_absent = incognito_mode is None or (isinstance(incognito_mode, str) and incognito_mode.strip() in ("", "null"))
    if not is_absent and boolean_or_none(incognito_mode) is not False:
        raise BadValue("incognito_mode", str(incognito_mode), "false (plays of a private session are not imported)")


def _parse_account_data_item(item: dict[str, Any], latest: int) -> ListenRecord:
    if "episodeName" in item or "podcastName" in item:
        raise BadValue("trackName", "", _EXPECTED_TRACK)
    ms_played = _parse_ms_played("msPlayed", item)
    return ListenRecord(
        artist=require_text("artistName", item.get("artistName")),
        title=require_text("trackName", item.get("trackName")),
        time=int(_parse_end_time("endTime", item, latest) - ms_played / 1000),
        ms_played=ms_played,
        time_precision=60,
    )


def _parse_ms_played(field: str, item: dict[str, Any]) -> int:
    ms_played = integer_or_none(item.get(field), MAX_MS)
    if ms_played is None:
        value = item.get(field)
        raise BadValue(field, "" if value is None else str(value)[:80], f"a whole number from 0 to {MAX_MS}")
    return ms_played


def _parse_extended_start_time(item: dict[str, Any], ms_played: int, latest: int) -> int:
    """Return UNIX seconds.

    Spotify's `ts` is when the play ended. For a play without a connection it is when the player sent it, hours or days
    later; then `offline_timestamp` is when the play began, in seconds or milliseconds.
    """
    end = _parse_end_time("ts", item, latest)
    offline_start = unix_seconds_or_none(item.get("offline_timestamp")) or 0
    # The clock of the player may be wrong, but no play is sent before it began.
    is_plausible = EARLIEST_TIME <= offline_start <= end
    return offline_start if is_plausible and boolean_or_none(item.get("offline")) else int(end - ms_played / 1000)


def _parse_end_time(field: str, item: dict[str, Any], latest: int) -> float:
    """Return UNIX seconds, from ISO 8601 that is in UTC if it names no zone."""
    value = item.get(field)
    try:
        time = datetime.fromisoformat(str(value).removesuffix(" UTC"))
        seconds = (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        seconds = -1.0
    if not EARLIEST_TIME + MAX_MS / 1000 <= seconds <= latest:
        text = "" if value is None else str(value)[:80]
        raise BadValue(field, text, "a time in ISO 8601 from the year 2000 to today")
    return seconds


def _parse_end_reason(item: dict[str, Any]) -> str:
    """Return a reason of ListenRecord, or "" if Spotify's has no equivalent."""
    reason = item.get("reason_end")
    known_reason = END_REASONS.get(reason, "") if isinstance(reason, str) else ""
    return known_reason or ("skipped" if boolean_or_none(item.get("skipped")) else "")
