"""A listen as ListenBrainz writes it, in its API and in its exports."""

from __future__ import annotations

from typing import Any

from importers import cell_parsers
from importers.errors import BadValue
from importers.histories import json_values
from importers.records import ListenRecord

EARLIEST_LISTEN = 1_033_430_400  # 2002-10-01: before it nothing scrobbled
_PLAYERS = ("media_player", "submission_client", "listening_from")


def parse_exported_listen(item: Any, latest: int, file: str, line: int) -> ListenRecord:
    """A listen of an export. latest: UNIX seconds. Raises BadValue."""
    if not isinstance(item, dict) or not isinstance(item.get("track_metadata"), dict):
        raise BadValue("track_metadata", "", "an object with artist_name and track_name")
    time = json_values.integer_or_none(item.get("listened_at", item.get("timestamp")))
    if time is None or not EARLIEST_LISTEN <= time <= latest:
        raise BadValue("listened_at", str(item.get("listened_at"))[:80], "a UNIX second from October 2002 to today")
    return parse_listen(item["track_metadata"], time)._replace(file=file, line=line)


def parse_listen(metadata: dict[str, Any], time: int) -> ListenRecord:
    """time: UNIX seconds. Raises BadValue for names that are none; what else cannot be read is left out."""
    info, mapped = (_object(metadata.get(key)) for key in ("additional_info", "mbid_mapping"))
    players = (json_values.text_or_empty(info.get(key), cell_parsers.MAX_LABEL_LENGTH) for key in _PLAYERS)
    return ListenRecord(
        json_values.require_text("artist_name", metadata.get("artist_name")),
        json_values.require_text("track_name", metadata.get("track_name")),
        time,
        album=json_values.text_or_empty(metadata.get("release_name"), cell_parsers.MAX_NAME_LENGTH),
        ms_played=_milliseconds(info, "ms_played", "duration_played"),
        isrc=json_values.isrc_or_empty(info.get("isrc")),
        mbid=json_values.uuid_or_empty(info.get("recording_mbid"))
        or json_values.uuid_or_empty(mapped.get("recording_mbid")),
        device=next(filter(None, players), ""),
        duration_ms=_milliseconds(info, "duration_ms", "duration") or None,
    )


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _milliseconds(info: dict[str, Any], in_milliseconds: str, in_seconds: str) -> int | None:
    """Of two fields the one that is there, at most a day."""
    if (ms := json_values.integer_or_none(info.get(in_milliseconds), json_values.MAX_MS)) is not None:
        return ms
    seconds = json_values.integer_or_none(info.get(in_seconds), json_values.MAX_MS // 1000)
    return None if seconds is None else seconds * 1000
