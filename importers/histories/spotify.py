"""spotify: the "extended streaming history" that Spotify gives its listeners on request."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any

from importers import cell_parsers
from importers.errors import BadValue
from importers.histories import json_stream, json_values
from importers.histories.archive import HistoryFile, read_blocks
from importers.records import ListenRecord, RefusedRow

TITLE, ARTIST, ALBUM = (f"master_metadata_{of}_name" for of in ("track", "album_artist", "album_album"))
ENDED = {
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


def wanted(part: HistoryFile) -> bool:
    """Of an archive; beside the audio it has videos and a description."""
    name = PurePosixPath(part.name).name.lower()
    return name.endswith(".json") and name.startswith(("streaming_history_audio", "endsong"))


def read(part: HistoryFile, latest: int, on_bytes: Callable[[int], None]) -> Iterator[ListenRecord | RefusedRow]:
    """latest: UNIX seconds. Raises FormatError for damage, when what is before it has been given."""
    for line, item in json_stream.items(read_blocks(part, on_bytes), str(part)):
        try:
            yield _listen(item, latest)._replace(file=str(part), line=line)
        except BadValue as bad:
            yield RefusedRow(str(part), line, str(bad))


def _listen(item: Any, latest: int) -> ListenRecord:
    if not isinstance(item, dict):
        raise BadValue("item", repr(item)[:80], "an object")
    if item.get(TITLE) is None and (item.get("episode_name") or item.get("audiobook_title") or TITLE in item):
        raise BadValue(TITLE, "", "the name of a track (this was a podcast, an audiobook or a video)")
    if item.get("incognito_mode") is True:
        raise BadValue("incognito_mode", "true", "a play that may be known (it was a private session)")
    ms_played = json_values.integer_or_none(item.get("ms_played"), json_values.MAX_MS)
    if ms_played is None:
        raise BadValue("ms_played", str(item.get("ms_played"))[:80], f"a whole number from 0 to {json_values.MAX_MS}")
    return ListenRecord(
        json_values.require_text(ARTIST, item.get(ARTIST)),
        json_values.require_text(TITLE, item.get(TITLE)),
        _began(item.get("ts"), ms_played, latest),
        album=json_values.text_or_empty(item.get(ALBUM), cell_parsers.MAX_NAME_LENGTH),
        ms_played=ms_played,
        end_reason=_ended(item),
        device=json_values.text_or_empty(item.get("platform"), cell_parsers.MAX_LABEL_LENGTH),
    )


def _began(written: Any, ms_played: int, latest: int) -> int:
    """UNIX seconds; `ts` is when it ended."""
    try:
        ended = datetime.fromisoformat(written)
        began = int((ended if ended.tzinfo else ended.replace(tzinfo=UTC)).timestamp() - ms_played / 1000)
    except (TypeError, ValueError, OverflowError):
        began = -1
    if not cell_parsers.EARLIEST_TIME <= began <= latest:
        raise BadValue("ts", str(written)[:80], "a time in ISO 8601 from the year 2000 to today")
    return began


def _ended(item: dict[str, Any]) -> str:
    """Our reason; "" where Spotify's is none that tells."""
    reason = item.get("reason_end")
    known = ENDED.get(reason, "") if isinstance(reason, str) else ""
    return known or ("skipped" if item.get("skipped") is True else "")
