"""Parse submissions of listens by the rules of ListenBrainz: what it accepts is accepted, what it drops is ignored.

There are two differences. In an `import`, an invalid listen is rejected and the others are stored, where ListenBrainz
refuses all of them. And optional fields may be null.
"""

import json
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from common.http.json import decode_list_body, escape_unstorable
from importers.cell_parsers import MAX_NAME_LENGTH
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
IMPORT, PLAYING_NOW = "import", "playing_now"
LISTEN_TYPES = ("single", IMPORT, PLAYING_NOW)
_MBID_FIELDS = ("release_mbid", "recording_mbid", "release_group_mbid", "track_mbid")
_MBID_LIST_FIELDS = ("artist_mbids", "work_mbids")
_MAXIMUM_DURATIONS = {"duration": MAX_DURATION_S, "duration_ms": MAX_DURATION_S * 1000}
_PLAYED_FIELDS = ("ms_played", "duration_played")


class InvalidSubmission(Exception):
    """The submission, or one of its listens, is not accepted; the message says why."""


class Submission(NamedTuple):
    """The listens to store, and the index and fault of each listen that is rejected.

    Attributes:
        listens: empty for a `playing_now`.
        playing_now: the track of a `playing_now`; its time is 0.
    """

    listens: list[ListenRecord]
    rejected: list[tuple[int, str]]
    playing_now: ListenRecord | None = None


def parse_submission(body: bytes) -> Submission:
    """Parse a submission.

    Raises:
        InvalidSubmission: the body is not a submission, or none of its listens is valid.
    """
    if len(body) > MAX_BYTES:
        raise InvalidSubmission(f"the body has {len(body)} bytes; it may have {MAX_BYTES}")
    try:
        data = decode_list_body(body)
    except ValueError as error:
        raise InvalidSubmission(f"the body is not JSON: {error}") from error
    if not isinstance(data, dict):
        raise InvalidSubmission("the body must be a JSON object with listen_type and payload")
    kind, payload = data.get("listen_type"), data.get("payload")
    if kind not in LISTEN_TYPES:
        raise InvalidSubmission(f"listen_type must be one of {', '.join(LISTEN_TYPES)}")
    if not isinstance(payload, list) or not payload:
        raise InvalidSubmission("payload must be a list of at least one listen")
    if len(payload) > MAX_LISTENS:
        raise InvalidSubmission(f"payload has {len(payload)} listens; send at most {MAX_LISTENS} at once")
    if kind != IMPORT and len(payload) > 1:
        raise InvalidSubmission(f"payload has {len(payload)} listens; {kind} takes exactly one")
    return _parse_listens(payload, kind, is_too_long=len(body) > len(payload) * MAX_LISTEN_BYTES)


def _parse_listens(payload: Sequence[Any], kind: str, is_too_long: bool) -> Submission:
    latest = int(time.time()) + CLOCK_TOLERANCE_S
    submission = Submission([], [])
    for index, item in enumerate(payload):
        try:
            if is_too_long and len(json.dumps(item, ensure_ascii=False)) > MAX_LISTEN_BYTES:
                raise InvalidSubmission(f"the listen is too long: it may have {MAX_LISTEN_BYTES} bytes")
            listen = _parse_listen(item, kind, latest)
        except InvalidSubmission as error:
            submission.rejected.append((index, escape_unstorable(str(error))))
        else:
            submission.listens.append(listen)
    if not submission.listens:
        raise InvalidSubmission(submission.rejected[0][1])
    if kind == PLAYING_NOW:
        return submission._replace(listens=[], playing_now=submission.listens[0])
    return submission


def _parse_listen(item: Any, kind: str, latest: int) -> ListenRecord:
    if not isinstance(item, dict):
        raise InvalidSubmission("a listen must be a JSON object")
    listened_at = 0 if kind == PLAYING_NOW else _parse_listened_at(item, latest)
    if kind == PLAYING_NOW and item.get("listened_at") is not None:
        raise InvalidSubmission("listened_at: a playing_now must not have it")
    metadata = item.get("track_metadata")
    if not isinstance(metadata, dict):
        raise InvalidSubmission("track_metadata: must be an object with artist_name and track_name")
    if extra := item.keys() - {"track_metadata", "listened_at"}:
        raise InvalidSubmission(f"{min(extra)[:80]}: a listen has listened_at and track_metadata only")
    names = _parse_names(metadata)
    info = _parse_info(metadata.get("additional_info"))
    try:
        return listenbrainz.parse_listen(metadata | names | {"additional_info": info}, listened_at)
    except BadValue as error:
        raise InvalidSubmission(str(error)) from error


def _parse_listened_at(item: dict[str, Any], latest: int) -> int:
    """Return the UNIX second at which the listen began, which must be before `latest`."""
    if "listened_at" not in item:
        raise InvalidSubmission("listened_at: is required")
    listened_at = _truncate(item["listened_at"])
    if listened_at is None:
        raise InvalidSubmission("listened_at: must be a whole number: the UNIX second it began at")
    if listened_at >= latest:
        raise InvalidSubmission(f"listened_at: {listened_at} is in the future")
    if listened_at < listenbrainz.EARLIEST_LISTEN:
        raise InvalidSubmission(f"listened_at: {listened_at} is before {listenbrainz.EARLIEST_LISTEN} (2002-10-01)")
    return listened_at


def _parse_names(metadata: dict[str, Any]) -> dict[str, str]:
    """Return the names without white space around them, shortened to what the catalogue stores."""
    names = {}
    for field in ("track_name", "artist_name", "release_name"):
        value = metadata.get(field)
        if field == "release_name" and (value is None or value == ""):
            continue
        if not isinstance(value, str):
            raise InvalidSubmission(f"track_metadata.{field}: must be a text")
        names[field] = value.strip()[:MAX_NAME_LENGTH]
        if not names[field] and field != "release_name":
            raise InvalidSubmission(f"track_metadata.{field}: must not be empty")
    return names


def _parse_info(info: Any) -> dict[str, Any]:
    """Return the additional information with its durations as integers.

    PHP writes an empty object as `[]`, and ListenBrainz takes any list or text for an object without fields.
    """
    path = "track_metadata.additional_info"
    if info is None or isinstance(info, list | str):
        return {}
    if not isinstance(info, dict):
        raise InvalidSubmission(f"{path}: must be an object")
    fields: dict[str, Any] = {field: value for field, value in info.items() if value is not None}
    _check_tags(fields.get("tags", []), f"{path}.tags")
    if "duration" in fields and "duration_ms" in fields:
        raise InvalidSubmission(f"{path}: give duration or duration_ms, not both")
    for field, maximum in _MAXIMUM_DURATIONS.items():
        if field in fields:
            duration = _truncate(fields[field])
            if duration is None or not 1 <= duration <= maximum:
                raise InvalidSubmission(f"{path}.{field}: must be a number from 1 to {maximum}")
            fields[field] = duration
    for field in _PLAYED_FIELDS:  # fields that ListenBrainz does not check
        if field in fields:
            fields[field] = _truncate(fields[field])
    for field in (*_MBID_FIELDS, *_MBID_LIST_FIELDS):
        value = fields.get(field)
        # Empty lists and empty ids count as absent, in every field.
        values = value if isinstance(value, list) and (field in _MBID_LIST_FIELDS or not value) else [value]
        if any(mbid and not json_values.uuid_or_empty(mbid) for mbid in values):
            raise InvalidSubmission(f"{path}.{field}: is not a UUID")
    return fields


def _check_tags(tags: Any, path: str) -> None:
    """Check the length of the tags, which are not stored. As at ListenBrainz, anything with a length is a tag."""
    if not isinstance(tags, list | str | dict) or len(tags) > MAX_TAGS:
        raise InvalidSubmission(f"{path}: must be a list of at most {MAX_TAGS}")
    if any(not isinstance(tag, list | str | dict) or len(tag) > MAX_TAG_LENGTH for tag in tags):
        raise InvalidSubmission(f"{path}: a tag is a text of at most {MAX_TAG_LENGTH} characters")


def _truncate(value: Any) -> int | None:
    """Return a number, which may be a float or written as text, without its fraction; None if it is no number."""
    try:
        return int(value if isinstance(value, int) else float(value))
    except (TypeError, ValueError, OverflowError):
        return None
