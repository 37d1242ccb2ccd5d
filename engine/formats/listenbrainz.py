"""A listen as ListenBrainz writes it, in its API and in its exports."""

from __future__ import annotations

from typing import Any

from engine.formats import named, values
from engine.formats.errors import BadValue
from engine.formats.records import ListenRecord

EARLIEST = 1_033_430_400  # 2002-10-01: before it nothing scrobbled
_PLAYERS = ("media_player", "submission_client", "listening_from")


def exported(item: Any, latest: int, file: str, line: int) -> ListenRecord:
    """A listen of an export. latest: UNIX seconds. Raises BadValue."""
    if not isinstance(item, dict) or not isinstance(item.get("track_metadata"), dict):
        raise BadValue("track_metadata", "", "an object with artist_name and track_name")
    time = named.whole(item.get("listened_at", item.get("timestamp")))
    if time is None or not EARLIEST <= time <= latest:
        raise BadValue("listened_at", str(item.get("listened_at"))[:80], "a UNIX second from October 2002 to today")
    return listen(item["track_metadata"], time)._replace(file=file, line=line)


def listen(metadata: dict[str, Any], time: int) -> ListenRecord:
    """time: UNIX seconds. Raises BadValue for names that are none; what else cannot be read is left out."""
    info, mapped = (_object(metadata.get(key)) for key in ("additional_info", "mbid_mapping"))
    players = (named.label(info.get(key), values.MAX_LABEL) for key in _PLAYERS)
    return ListenRecord(
        named.name("artist_name", metadata.get("artist_name")),
        named.name("track_name", metadata.get("track_name")),
        time,
        album=named.label(metadata.get("release_name"), values.MAX_NAME),
        ms_played=_milliseconds(info, "ms_played", "duration_played"),
        isrc=named.isrc(info.get("isrc")),
        mbid=named.mbid(info.get("recording_mbid")) or named.mbid(mapped.get("recording_mbid")),
        device=next(filter(None, players), ""),
        duration_ms=_milliseconds(info, "duration_ms", "duration") or None,
    )


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _milliseconds(info: dict[str, Any], in_milliseconds: str, in_seconds: str) -> int | None:
    """Of two fields the one that is there, at most a day."""
    if (ms := named.whole(info.get(in_milliseconds), named.MAX_MS)) is not None:
        return ms
    seconds = named.whole(info.get(in_seconds), named.MAX_MS // 1000)
    return None if seconds is None else seconds * 1000
