"""spotify: the "extended streaming history" that Spotify sends its listeners on request."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any

from importers.cell_parsers import EARLIEST_TIME, MAX_LABEL_LENGTH, MAX_NAME_LENGTH
from importers.errors import BadValue
from importers.histories.archive import HistoryFile, read_blocks
from importers.histories.json_stream import read_items
from importers.histories.json_values import MAX_MS, integer_or_none, require_text, text_or_empty
from importers.histories.registry import HistoryImporter
from importers.records import ListenRecord, RefusedRow

TITLE = "master_metadata_track_name"
ARTIST = "master_metadata_album_artist_name"
ALBUM = "master_metadata_album_album_name"
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
    """Return whether an archive's member holds audio plays; it also has videos and a description."""
    name = PurePosixPath(member).name.lower()
    return name.endswith(".json") and name.startswith(("streaming_history_audio", "endsong"))


def recognizes_text(text: str) -> bool:
    return text.startswith(("[", "{")) and f'"{TITLE}"' in text


def read(file: HistoryFile, latest: int, on_bytes: Callable[[int], None]) -> Iterator[ListenRecord | RefusedRow]:
    """Stream the listens of a file; see HistoryImporter."""
    for number, item in read_items(read_blocks(file, on_bytes), str(file)):
        try:
            yield _parse_item(item, latest)._replace(file=str(file), line=number)
        except BadValue as error:
            yield RefusedRow(str(file), number, str(error))


IMPORTER = HistoryImporter("spotify", read, includes_member, recognizes_text)


def _parse_item(item: Any, latest: int) -> ListenRecord:
    if not isinstance(item, dict):
        raise BadValue("item", repr(item)[:80], "an object")
    if item.get(TITLE) is None and (item.get("episode_name") or item.get("audiobook_title") or TITLE in item):
        raise BadValue(TITLE, "", "the name of a track (podcasts, audiobooks and videos are not imported)")
    if item.get("incognito_mode") is True:
        raise BadValue("incognito_mode", "true", "false (plays of a private session are not imported)")
    ms_played = integer_or_none(item.get("ms_played"), MAX_MS)
    if ms_played is None:
        raise BadValue("ms_played", str(item.get("ms_played"))[:80], f"a whole number from 0 to {MAX_MS}")
    return ListenRecord(
        artist=require_text(ARTIST, item.get(ARTIST)),
        title=require_text(TITLE, item.get(TITLE)),
        time=_parse_start_time(item.get("ts"), ms_played, latest),
        album=text_or_empty(item.get(ALBUM), MAX_NAME_LENGTH),
        ms_played=ms_played,
        end_reason=_parse_end_reason(item),
        device=text_or_empty(item.get("platform"), MAX_LABEL_LENGTH),
    )


def _parse_start_time(end_time: Any, ms_played: int, latest: int) -> int:
    """Return UNIX seconds. Spotify's `ts` is when the play ended."""
    try:
        end = datetime.fromisoformat(end_time)
        start = int((end if end.tzinfo else end.replace(tzinfo=UTC)).timestamp() - ms_played / 1000)
    except (TypeError, ValueError, OverflowError):
        start = -1
    if not EARLIEST_TIME <= start <= latest:
        raise BadValue("ts", str(end_time)[:80], "a time in ISO 8601 from the year 2000 to today")
    return start


def _parse_end_reason(item: dict[str, Any]) -> str:
    """Return a reason of ListenRecord, or "" if Spotify's has no equivalent."""
    reason = item.get("reason_end")
    known_reason = END_REASONS.get(reason, "") if isinstance(reason, str) else ""
    return known_reason or ("skipped" if item.get("skipped") is True else "")
