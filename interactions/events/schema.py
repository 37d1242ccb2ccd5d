"""The JSON form of an event: its fields, their limits, and how an item is parsed."""

import enum
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import Meta
from rest_framework.exceptions import ParseError

from common.http.json import check_structure
from common.http.query_parameters import MAX_NAME_LENGTH
from common.http.references import INT64_MAX, PATH_SCHEMA, ExternalId, InvalidReference, parse_reference
from interactions.events.event_types import EventType
from interactions.models import Interaction

MAX_EVENTS = 500
MAX_MS_PLAYED = 86_400_000  # a day
MAX_POSITION = 32_767  # positions go on over the pages of a slate
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)

_REFERENCES = ("track_id", "user_id")
_INTEGER_FIELDS = (*_REFERENCES, "ms_played", "position")

# A plain enumeration, because msgspec does not decode Django's.
EndReason = enum.Enum("EndReason", {reason.value: reason.value for reason in Interaction.EndReason})  # type: ignore[misc]
Reference = Annotated[int, Meta(ge=1, le=INT64_MAX)] | str  # a text is `external:ID` once the event is parsed
Text = Annotated[str, Meta(max_length=64, pattern=r"^[^\x00]*$")]  # PostgreSQL stores no null characters


SentAt = Annotated[
    Annotated[datetime, Meta(tz=True)] | None,
    Meta(description="RFC 3339: the client's clock when it sends the batch. If it is wrong, all times are corrected."),
]


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something a listener did in the app, or was shown."""

    event_id: Annotated[UUID, Meta(description="The client's id of the event. Sent again, the event counts once.")]
    type: EventType
    track_id: Annotated[
        Reference, Meta(description="The track: its id, as text or as a number, or `external:` and its external id.")
    ]
    occurred_at: Annotated[
        datetime, Meta(tz=True, description="RFC 3339, with an offset: when it happened, not when it is sent.")
    ]
    user_id: Annotated[
        Reference | None,
        Meta(
            description="The listener, by either id as the track; required with a service key. With a token, the "
            "token's listener."
        ),
    ] = None
    ms_played: Annotated[
        Annotated[int, Meta(ge=0, le=MAX_MS_PLAYED)] | None,
        Meta(description="For `play_end`: for how many milliseconds the track was heard."),
    ] = None
    end_reason: Annotated[
        EndReason | None,
        Meta(
            description="For `play_end`: why playback ended. `skipped`, `replaced` and `stopped` are the listener's "
            "doing; within 30 seconds they make the play a skip."
        ),
    ] = None
    session_id: Text | None = None
    device: Text | None = None
    context: Annotated[Text | None, Meta(description="What the track was played from: a playlist, a radio.")] = None
    learn: Annotated[
        bool | None,
        Meta(description="`false`: recommenders do not learn from it. For private sessions, guests, children, sleep."),
    ] = True
    shuffle: Annotated[
        bool | None, Meta(description="`true`: the player chose the track at random, so its place says nothing.")
    ] = False
    recommendation_id: Annotated[UUID | None, Meta(description="The id of the answer that contained the track.")] = None
    position: Annotated[
        Annotated[int, Meta(ge=1, le=MAX_POSITION)] | None,
        Meta(description="The track's `position` in that answer."),
    ] = None

    @property
    def track(self) -> int | ExternalId:
        return parse_reference(self.track_id)

    @property
    def listener(self) -> int | ExternalId | None:
        return None if self.user_id is None else parse_reference(self.user_id)


FIELDS = tuple(field.name for field in msgspec.structs.fields(Event))


class EventsRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A batch of events with the time of the client's clock."""

    events: Annotated[list[Event], Meta(min_length=1, max_length=MAX_EVENTS)]
    sent_at: SentAt = None


class InvalidEvent(Exception):
    """An item of a batch is not an event; the message names the field and what was expected."""


def parse_event(item: Any) -> Event:
    """Return the event that an item of the JSON array describes.

    Raises:
        InvalidEvent: a field is missing, or its value is not allowed.
    """
    try:
        check_structure(item if isinstance(item, dict | list) else [])
    except ParseError as error:
        raise InvalidEvent(str(error.detail)) from error
    if isinstance(item, dict) and any(type(item.get(field)) is float for field in _INTEGER_FIELDS):
        # Clients whose language has floats only write 183456.0 for a whole number.
        item = {name: int(v) if type(v) is float and v.is_integer() else v for name, v in item.items()}
    if isinstance(item, dict):
        _check_names(item)
        item |= {name: _parse_text_reference(name, item[name]) for name in _REFERENCES if type(item.get(name)) is str}
    try:
        event = msgspec.convert(item, Event)
        f"{event.session_id}{event.device}{event.context}".encode()
    except msgspec.ValidationError as error:
        raise InvalidEvent(_rewrite_error(str(error))) from error
    except UnicodeEncodeError as error:
        reason = "it contains half of a surrogate pair, or bytes that are not UTF-8"
        raise InvalidEvent(f"{_find_broken_field(item)}: is not valid Unicode: {reason}") from error
    return event


def _check_names(item: dict[str, Any]) -> None:
    """Raise InvalidEvent for an unknown field: a misspelled one would be lost without notice."""
    if unknown := next((name for name in item if name not in FIELDS), None):
        raise InvalidEvent(f"{unknown[:MAX_NAME_LENGTH]}: unknown field; an event accepts {', '.join(FIELDS)}")


def _parse_text_reference(name: str, text: str) -> int | str:
    """Return the integer in a text of digits, or `external:ID`. Raises InvalidEvent for any other text."""
    try:
        reference = parse_reference(text)
    except InvalidReference as error:
        raise InvalidEvent(f"{name}: {error}") from error
    return reference if isinstance(reference, int) else str(reference)


def parse_sent_at(value: Any) -> datetime | None:
    """Return the time of the client's clock when it sent a batch; None if it did not say.

    Raises:
        InvalidEvent: the value is not a time.
    """
    try:
        sent_at: datetime | None = msgspec.convert(value, SentAt)
        return sent_at
    except (msgspec.ValidationError, UnicodeEncodeError):
        raise InvalidEvent("must be a time in RFC 3339, with an offset") from None


def _find_broken_field(item: dict[str, Any]) -> str:
    """Return the first field whose value cannot be written as UTF-8."""
    for name, value in item.items():
        try:
            f"{value}".encode()
        except UnicodeEncodeError:
            return name
    raise AssertionError("unreachable")


def _rewrite_error(message: str) -> str:
    """Put the field of a msgspec error first: `Expected int, got str - at $.x` becomes `x: expected int, got str`."""
    fault, _, path = message.partition(" - at `$.")
    field = path.rstrip("`")
    if not field and fault.startswith("Object missing required field `"):
        return f"{fault.removeprefix('Object missing required field `').rstrip('`')}: is required"
    if "matching regex" in fault:
        fault = "null characters are not allowed"
    if field == "type":
        fault += f"; one of {', '.join(event_type.value for event_type in EventType)}"
    fault = fault[:1].lower() + fault[1:]
    return f"{field}: {fault}" if field else fault


def event_components() -> dict[str, Any]:
    """Return the JSON Schemas of a batch and of what it refers to, by name, for the OpenAPI document."""
    _, components = msgspec.json.schema_components([EventsRequest], ref_template="#/components/schemas/{name}")
    properties = components["Event"]["properties"]
    properties["track_id"] = PATH_SCHEMA | {"description": properties["track_id"]["description"]}
    properties["user_id"] = PATH_SCHEMA | {
        "type": ["string", "null"],
        "description": properties["user_id"]["description"],
    }
    return components
