"""spotify: the "extended streaming history" that Spotify gives its listeners on request."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any

from importers import cell_values, field_values, json_stream
from importers.archive import Part, blocks
from importers.errors import BadValue
from importers.records import ListenRecord, Refusal

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


def wanted(part: Part) -> bool:
    """Of an archive; beside the audio it has videos and a description."""
    name = PurePosixPath(part.name).name.lower()
    return name.endswith(".json") and name.startswith(("streaming_history_audio", "endsong"))


def read(part: Part, latest: int, on_bytes: Callable[[int], None]) -> Iterator[ListenRecord | Refusal]:
    """latest: UNIX seconds. Raises FormatError for damage, when what is before it has been given."""
    for line, item in json_stream.items(blocks(part, on_bytes), str(part)):
        try:
            yield _listen(item, latest)._replace(file=str(part), line=line)
        except BadValue as bad:
            yield Refusal(str(part), line, str(bad))


def _listen(item: Any, latest: int) -> ListenRecord:
    if not isinstance(item, dict):
        raise BadValue("item", repr(item)[:80], "an object")
    if item.get(TITLE) is None and (item.get("episode_name") or item.get("audiobook_title") or TITLE in item):
        raise BadValue(TITLE, "", "the name of a track (this was a podcast, an audiobook or a video)")
    if item.get("incognito_mode") is True:
        raise BadValue("incognito_mode", "true", "a play that may be known (it was a private session)")
    ms_played = field_values.whole(item.get("ms_played"), field_values.MAX_MS)
    if ms_played is None:
        raise BadValue("ms_played", str(item.get("ms_played"))[:80], f"a whole number from 0 to {field_values.MAX_MS}")
    return ListenRecord(
        field_values.name(ARTIST, item.get(ARTIST)),
        field_values.name(TITLE, item.get(TITLE)),
        _began(item.get("ts"), ms_played, latest),
        album=field_values.label(item.get(ALBUM), cell_values.MAX_NAME),
        ms_played=ms_played,
        end_reason=_ended(item),
        device=field_values.label(item.get("platform"), cell_values.MAX_LABEL),
    )


def _began(written: Any, ms_played: int, latest: int) -> int:
    """UNIX seconds; `ts` is when it ended."""
    try:
        ended = datetime.fromisoformat(written)
        began = int((ended if ended.tzinfo else ended.replace(tzinfo=UTC)).timestamp() - ms_played / 1000)
    except (TypeError, ValueError, OverflowError):
        began = -1
    if not cell_values.OLDEST <= began <= latest:
        raise BadValue("ts", str(written)[:80], "a time in ISO 8601 from the year 2000 to today")
    return began


def _ended(item: dict[str, Any]) -> str:
    """Our reason; "" where Spotify's is none that tells."""
    reason = item.get("reason_end")
    known = ENDED.get(reason, "") if isinstance(reason, str) else ""
    return known or ("skipped" if item.get("skipped") is True else "")
