"""Parse submissions of listens by the rules of ListenBrainz. One invalid listen makes the whole submission invalid."""

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
MAX_TAGS = 50
MAX_TAG_LENGTH = 64
MAX_DURATION_S = 24 * 86_400
CLOCK_TOLERANCE_S = 3_600  # the clocks of clients may be fast
PLAYING_NOW = "playing_now"
LISTEN_TYPES = ("single", "import", PLAYING_NOW)
_NULL_CHARACTER = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")  # the only way to write one in JSON
_MBID_FIELDS = ("release_mbid", "recording_mbid", "release_group_mbid", "track_mbid")
_MBID_LIST_FIELDS = ("artist_mbids", "work_mbids")


class InvalidSubmission(Exception):
    """The submission is not accepted; the message says why."""


def parse_submission(body: bytes) -> list[ListenRecord]:
    """Return the listens to store: none for a `playing_now`, which is only validated.

    Raises:
        InvalidSubmission: the body is not a submission, or one of its listens is invalid.
    """
    if len(body) > MAX_BYTES:
        raise InvalidSubmission(f"the body has {len(body)} bytes; it may have {MAX_BYTES}")
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidSubmission(f"the body is not JSON: {error}") from error
    if not isinstance(data, dict):
        raise InvalidSubmission("the body must be a JSON object with listen_type and payload")
    if _NULL_CHARACTER.search(body):
        raise InvalidSubmission("a text contains a null character; leave it out")
    kind, payload = data.get("listen_type"), data.get("payload")
    if kind not in LISTEN_TYPES:
        raise InvalidSubmission(f"listen_type must be one of {', '.join(LISTEN_TYPES)}")
    if not isinstance(payload, list) or not payload:
        raise InvalidSubmission("payload must be a list of at least one listen")
    if len(payload) > MAX_LISTENS:
        raise InvalidSubmission(f"payload has {len(payload)} listens; send at most {MAX_LISTENS} at once")
    if kind != "import" and len(payload) > 1:
        raise InvalidSubmission(f"payload has {len(payload)} listens; {kind} takes exactly one")
    if len(body) > len(payload) * MAX_LISTEN_BYTES:
        raise InvalidSubmission(f"the body is too long: a listen may have {MAX_LISTEN_BYTES} bytes")
    latest = int(time.time()) + CLOCK_TOLERANCE_S
    listens = [_parse_listen(item, kind, latest) for item in payload]
    return [] if kind == PLAYING_NOW else listens


def _parse_listen(item: Any, kind: str, latest: int) -> ListenRecord:
    if not isinstance(item, dict):
        raise InvalidSubmission("a listen must be a JSON object")
    listened_at = 0 if kind == PLAYING_NOW else _parse_listened_at(item, latest)
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
        return listenbrainz.parse_listen(metadata, listened_at)
    except BadValue as error:
        raise InvalidSubmission(str(error)) from error


def _parse_listened_at(item: dict[str, Any], latest: int) -> int:
    """Return the UNIX second at which the listen began, which must be before `latest`."""
    try:
        listened_at = int(item["listened_at"])
    except KeyError:
        raise InvalidSubmission("listened_at: is required") from None
    except (TypeError, ValueError, OverflowError):
        raise InvalidSubmission("listened_at: must be a whole number: the UNIX second it began at") from None
    if listened_at >= latest:
        raise InvalidSubmission(f"listened_at: {listened_at} is in the future")
    if listened_at < listenbrainz.EARLIEST_LISTEN:
        raise InvalidSubmission(f"listened_at: {listened_at} is before {listenbrainz.EARLIEST_LISTEN} (2002-10-01)")
    return listened_at


def _check_names(metadata: dict[str, Any]) -> None:
    for field in ("track_name", "artist_name", "release_name"):
        value = metadata.get(field)
        if field == "release_name" and field not in metadata:
            continue
        if not isinstance(value, str) or not value.strip():
            raise InvalidSubmission(f"track_metadata.{field}: must be a text that is not empty")


def _check_info(info: Any) -> None:
    path = "track_metadata.additional_info"
    if info is None:
        return
    if not isinstance(info, dict):
        raise InvalidSubmission(f"{path}: must be an object")
    tags = info.get("tags") or []
    if not isinstance(tags, list) or len(tags) > MAX_TAGS:
        raise InvalidSubmission(f"{path}.tags: must be a list of at most {MAX_TAGS}")
    if any(not isinstance(tag, str) or len(tag) > MAX_TAG_LENGTH for tag in tags):
        raise InvalidSubmission(f"{path}.tags: a tag is a text of at most {MAX_TAG_LENGTH} characters")
    if "duration" in info and "duration_ms" in info:
        raise InvalidSubmission(f"{path}: give duration or duration_ms, not both")
    for field, maximum in (("duration", MAX_DURATION_S), ("duration_ms", MAX_DURATION_S * 1000)):
        if field in info and not json_values.integer_or_none(info[field], maximum):
            raise InvalidSubmission(f"{path}.{field}: must be a whole number from 1 to {maximum}")
    for field in (*_MBID_FIELDS, *_MBID_LIST_FIELDS):
        value = info.get(field)
        # ListenBrainz takes an empty list, and empty ids, for absent ones in every field.
        values = value if isinstance(value, list) and (field in _MBID_LIST_FIELDS or not value) else [value]
        if any(mbid and not json_values.uuid_or_empty(mbid) for mbid in values):
            raise InvalidSubmission(f"{path}.{field}: is not a UUID")
