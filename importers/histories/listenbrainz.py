"""listenbrainz: a listener's export from ListenBrainz, and the listens of its API, which have the same form.

An export is an archive with listens by month, one such file, or the older single array of JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import PurePosixPath
from typing import Any

from importers.cell_parsers import MAX_LABEL_LENGTH, MAX_NAME_LENGTH
from importers.errors import BadValue
from importers.histories.archive import HistoryFile, read_blocks
from importers.histories.json_stream import is_json_lines, read_items, read_json_lines
from importers.histories.json_values import (
    MAX_MS,
    integer_or_none,
    isrc_or_empty,
    require_text,
    text_or_empty,
    uuid_or_empty,
)
from importers.histories.registry import HistoryImporter, parse_items
from importers.records import ListenRecord, RefusedRow

EARLIEST_LISTEN = 1_033_430_400  # 2002-10-01; nothing scrobbled before it, and ListenBrainz has the same limit
_PLAYER_FIELDS = ("media_player", "submission_client", "listening_from")


def parse_listen(metadata: dict[str, Any], time: int) -> ListenRecord:
    """Return the listen of a `track_metadata` object.

    Args:
        metadata: artist_name, track_name and optional fields. Optional values that cannot be read are left out.
        time: UNIX seconds.

    Raises:
        BadValue: artist_name or track_name is not a name.
    """
    info, mapping = metadata.get("additional_info"), metadata.get("mbid_mapping")
    info = info if isinstance(info, dict) else {}
    mapping = mapping if isinstance(mapping, dict) else {}
    players = (text_or_empty(info.get(field), MAX_LABEL_LENGTH) for field in _PLAYER_FIELDS)
    return ListenRecord(
        artist=require_text("artist_name", metadata.get("artist_name")),
        title=require_text("track_name", metadata.get("track_name")),
        time=time,
        album=text_or_empty(metadata.get("release_name"), MAX_NAME_LENGTH),
        ms_played=_parse_milliseconds(info, "ms_played", "duration_played"),
        isrc=isrc_or_empty(info.get("isrc")),
        mbid=uuid_or_empty(info.get("recording_mbid")) or uuid_or_empty(mapping.get("recording_mbid")),
        msid=uuid_or_empty(info.get("recording_msid")),
        device=next(filter(None, players), ""),
        duration_ms=_parse_milliseconds(info, "duration_ms", "duration") or None,
    )


def _parse_milliseconds(info: dict[str, Any], milliseconds_field: str, seconds_field: str) -> int | None:
    """Return the value of the first field that has one, at most a day."""
    if (milliseconds := integer_or_none(info.get(milliseconds_field), MAX_MS)) is not None:
        return milliseconds
    seconds = integer_or_none(info.get(seconds_field), MAX_MS // 1000)
    return None if seconds is None else seconds * 1000


def includes_member(member: str) -> bool:
    """Return False for feedback and pinned recordings, which have the form of listens."""
    return not PurePosixPath(member).name.startswith(("feedback", "pinned"))


def recognizes_text(text: str) -> bool:
    return text.startswith(("[", "{")) and '"track_metadata"' in text


def read(file: HistoryFile, latest: int, on_bytes: Callable[[int], None]) -> Iterator[ListenRecord | RefusedRow]:
    """Stream the listens of a file; see HistoryImporter."""
    read_listens = read_json_lines if is_json_lines(file) else read_items
    items = read_listens(read_blocks(file, on_bytes), str(file))
    listens = ((line, listen) for line, item in items for listen in _list_listens(item))
    return parse_items(listens, str(file), partial(_parse_exported_listen, latest=latest))


IMPORTER = HistoryImporter("listenbrainz", read, recognizes_text, includes_member, lists_scrobbles=True)


def _list_listens(item: Any) -> list[Any]:
    """Return the listens of an answer of the API, or of a submission to it; or the item itself."""
    payload = item.get("payload") if isinstance(item, dict) else None
    listens = payload.get("listens") if isinstance(payload, dict) else payload
    return listens if isinstance(listens, list) else [item]


def _parse_exported_listen(item: Any, latest: int) -> ListenRecord:
    if not isinstance(item, dict) or not isinstance(item.get("track_metadata"), dict):
        raise BadValue("track_metadata", "", "an object with artist_name and track_name")
    time = integer_or_none(item.get("listened_at", item.get("timestamp")))
    if time is None or not EARLIEST_LISTEN <= time <= latest:
        raise BadValue("listened_at", str(item.get("listened_at"))[:80], "a UNIX second from October 2002 to today")
    return parse_listen(item["track_metadata"], time)
