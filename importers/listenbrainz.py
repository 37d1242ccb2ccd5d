"""A listen as ListenBrainz writes it, in its API and in its exports."""

from __future__ import annotations

from typing import Any

from importers import cell_values, field_values
from importers.errors import BadValue
from importers.records import ListenRecord

EARLIEST = 1_033_430_400  # 2002-10-01: before it nothing scrobbled
_PLAYERS = ("media_player", "submission_client", "listening_from")


def exported(item: Any, latest: int, file: str, line: int) -> ListenRecord:
    """A listen of an export. latest: UNIX seconds. Raises BadValue."""
    if not isinstance(item, dict) or not isinstance(item.get("track_metadata"), dict):
        raise BadValue("track_metadata", "", "an object with artist_name and track_name")
    time = field_values.whole(item.get("listened_at", item.get("timestamp")))
    if time is None or not EARLIEST <= time <= latest:
        raise BadValue("listened_at", str(item.get("listened_at"))[:80], "a UNIX second from October 2002 to today")
    return listen(item["track_metadata"], time)._replace(file=file, line=line)


def listen(metadata: dict[str, Any], time: int) -> ListenRecord:
    """time: UNIX seconds. Raises BadValue for names that are none; what else cannot be read is left out."""
    info, mapped = (_object(metadata.get(key)) for key in ("additional_info", "mbid_mapping"))
    players = (field_values.label(info.get(key), cell_values.MAX_LABEL) for key in _PLAYERS)
    return ListenRecord(
        field_values.name("artist_name", metadata.get("artist_name")),
        field_values.name("track_name", metadata.get("track_name")),
        time,
        album=field_values.label(metadata.get("release_name"), cell_values.MAX_NAME),
        ms_played=_milliseconds(info, "ms_played", "duration_played"),
        isrc=field_values.isrc(info.get("isrc")),
        mbid=field_values.mbid(info.get("recording_mbid")) or field_values.mbid(mapped.get("recording_mbid")),
        device=next(filter(None, players), ""),
        duration_ms=_milliseconds(info, "duration_ms", "duration") or None,
    )


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _milliseconds(info: dict[str, Any], in_milliseconds: str, in_seconds: str) -> int | None:
    """Of two fields the one that is there, at most a day."""
    if (ms := field_values.whole(info.get(in_milliseconds), field_values.MAX_MS)) is not None:
        return ms
    seconds = field_values.whole(info.get(in_seconds), field_values.MAX_MS // 1000)
    return None if seconds is None else seconds * 1000
