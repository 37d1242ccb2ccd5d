"""What ListenBrainz takes: its submission in JSON, checked as it checks it. One bad listen refuses the whole."""

import re
import time
from typing import Any

import orjson

from importers.errors import BadValue
from importers.histories import json_values, listenbrainz
from importers.records import ListenRecord

MAX_LISTENS = 1_000
MAX_LISTEN_BYTES = 10_240
MAX_BYTES = MAX_LISTENS * MAX_LISTEN_BYTES
MAX_TAGS, MAX_TAG = 50, 64
MAX_DURATION_S = 24 * 86_400
LEEWAY_S = 3_600  # clients' clocks run fast
PLAYING_NOW = "playing_now"
TYPES = ("single", "import", PLAYING_NOW)
_NULL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")  # JSON can write it in no other way
_MBIDS = ("release_mbid", "recording_mbid", "release_group_mbid", "track_mbid")
_LISTS_OF_MBIDS = ("artist_mbids", "work_mbids")


class InvalidSubmission(Exception):
    """The submission is refused; the message says why."""


def parse_submission(body: bytes) -> list[ListenRecord]:
    """The listens to keep; none of a `playing_now`, which is only looked at. Raises Invalid."""
    if len(body) > MAX_BYTES:
        raise InvalidSubmission(f"the body has {len(body)} bytes; it may have {MAX_BYTES}")
    kind, payload = _submission(body)
    latest = int(time.time()) + LEEWAY_S
    listens = [_listen(item, kind, latest) for item in payload]
    return [] if kind == PLAYING_NOW else listens


def _submission(body: bytes) -> tuple[str, list[Any]]:
    """`listen_type` and `payload`. Raises Invalid."""
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidSubmission(f"the body is not JSON: {error}") from error
    if not isinstance(data, dict):
        raise InvalidSubmission("the body must be a JSON object with listen_type and payload")
    if _NULL.search(body):
        raise InvalidSubmission("a text contains a null character; leave it out")
    kind, payload = data.get("listen_type"), data.get("payload")
    if kind not in TYPES:
        raise InvalidSubmission(f"listen_type must be one of {', '.join(TYPES)}")
    if not isinstance(payload, list) or not payload:
        raise InvalidSubmission("payload must be a list of at least one listen")
    if len(payload) > MAX_LISTENS:
        raise InvalidSubmission(f"payload has {len(payload)} listens; send at most {MAX_LISTENS} at once")
    if kind != "import" and len(payload) > 1:
        raise InvalidSubmission(f"payload has {len(payload)} listens; {kind} takes exactly one")
    if len(body) > len(payload) * MAX_LISTEN_BYTES:
        raise InvalidSubmission(f"the body is too long: a listen may have {MAX_LISTEN_BYTES} bytes")
    return kind, payload


def _listen(item: Any, kind: str, latest: int) -> ListenRecord:
    if not isinstance(item, dict):
        raise InvalidSubmission("a listen must be a JSON object")
    at = None if kind == PLAYING_NOW else _listened_at(item, latest)
    if kind == PLAYING_NOW and "listened_at" in item:
        raise InvalidSubmission("listened_at: a playing_now must not have it")
    metadata = item.get("track_metadata")
    if not isinstance(metadata, dict):
        raise InvalidSubmission("track_metadata: must be an object with artist_name and track_name")
    if extra := item.keys() - {"track_metadata", "listened_at"}:
        raise InvalidSubmission(f"{min(extra)[:80]}: a listen has listened_at and track_metadata only")
    _check_names(metadata)
    _check_info(metadata.get("additional_info"))
    try:
        return listenbrainz.parse_listen(metadata, at or 0)
    except BadValue as error:
        raise InvalidSubmission(str(error)) from error


def _listened_at(item: dict[str, Any], latest: int) -> int:
    """UNIX seconds."""
    try:
        at = int(item["listened_at"])
    except KeyError:
        raise InvalidSubmission("listened_at: is required") from None
    except (TypeError, ValueError, OverflowError):
        raise InvalidSubmission("listened_at: must be a whole number, the UNIX second it began") from None
    if at >= latest:
        raise InvalidSubmission(f"listened_at: {at} is in the future")
    if at < listenbrainz.EARLIEST_LISTEN:
        raise InvalidSubmission(f"listened_at: {at} is before {listenbrainz.EARLIEST_LISTEN} (2002-10-01)")
    return at


def _check_names(metadata: dict[str, Any]) -> None:
    for field in ("track_name", "artist_name", "release_name"):
        value = metadata.get(field)
        if field == "release_name" and field not in metadata:
            continue
        if not isinstance(value, str) or not value.strip():
            raise InvalidSubmission(f"track_metadata.{field}: must be a text that is not empty")


def _check_info(info: Any) -> None:
    if info is None:
        return
    if not isinstance(info, dict):
        raise InvalidSubmission("track_metadata.additional_info: must be an object")
    tags = info.get("tags") or []
    if not isinstance(tags, list) or len(tags) > MAX_TAGS:
        raise InvalidSubmission(f"track_metadata.additional_info.tags: must be a list of at most {MAX_TAGS}")
    if any(not isinstance(tag, str) or len(tag) > MAX_TAG for tag in tags):
        raise InvalidSubmission(f"track_metadata.additional_info.tags: a tag is a text of at most {MAX_TAG} characters")
    if "duration" in info and "duration_ms" in info:
        raise InvalidSubmission("track_metadata.additional_info: give duration or duration_ms, not both")
    for field, most in (("duration", MAX_DURATION_S), ("duration_ms", MAX_DURATION_S * 1000)):
        if field in info and not json_values.integer_or_none(info[field], most):
            raise InvalidSubmission(f"track_metadata.additional_info.{field}: must be a whole number from 1 to {most}")
    for field in (*_MBIDS, *_LISTS_OF_MBIDS):
        _check_mbids(field, info.get(field))


def _check_mbids(field: str, value: Any) -> None:
    """An absent one is none, and so is an empty one."""
    values = value if isinstance(value, list) and (field in _LISTS_OF_MBIDS or not value) else [value]
    if any(mbid and not json_values.uuid_or_empty(mbid) for mbid in values):
        raise InvalidSubmission(f"track_metadata.additional_info.{field}: is not a UUID")
