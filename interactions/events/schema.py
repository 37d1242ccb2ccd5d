"""An event as it is sent: its fields, and what may be in them."""

import enum
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import Meta

from engine.data.id_map import INT64_MAX
from interactions.models import Exposure, Interaction

MAX_EVENTS = 500
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
A_DAY_MS = 86_400_000
MAX_POSITION = 1_000

INTERACTIONS = {"play_end": Interaction.Kind.PLAY.value} | {
    kind.value: kind.value for kind in Interaction.Kind if kind != Interaction.Kind.PLAY
}
EXPOSURES = {kind.value: kind.value for kind in Exposure.Kind}
EventType = enum.Enum("EventType", {name: name for name in (*EXPOSURES, *INTERACTIONS)})  # type: ignore[misc]
EndReason = enum.Enum("EndReason", {r.value: r.value for r in Interaction.EndReason})  # type: ignore[misc]
Id = Annotated[int, Meta(ge=1, le=INT64_MAX)]
Text = Annotated[str, Meta(max_length=64, pattern=r"^[^\x00]*$")]


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened on a phone."""

    event_id: Annotated[UUID, Meta(description="The client's id of the event: sent again, it counts once.")]
    type: EventType
    track_id: Id
    occurred_at: Annotated[datetime, Meta(tz=True, description="RFC 3339; when it happened, not when it is sent.")]
    user_id: Annotated[Id | None, Meta(description="For service keys; a token's listener is its own.")] = None
    ms_played: Annotated[
        Annotated[int, Meta(ge=0, le=A_DAY_MS)] | None, Meta(description="Of `play_end`: how long it was heard.")
    ] = None
    end_reason: Annotated[
        EndReason | None,
        Meta(description="Of `play_end`. The last three are the listener's doing: within 30 seconds that is a skip."),
    ] = None
    session_id: Text = ""
    device: Text = ""
    context: Annotated[Text, Meta(description="Where it was played from: a playlist, a radio.")] = ""
    recommendation_id: Annotated[UUID | None, Meta(description="Of the answer that the track was on.")] = None
    position: Annotated[
        Annotated[int, Meta(ge=1, le=MAX_POSITION)] | None, Meta(description="Its place in that answer, from 1.")
    ] = None


class InvalidEvent(Exception):
    """An item is no event; the message names the field and what was expected."""


def parse_event(item: Any) -> Event:
    """Raises InvalidEvent."""
    try:
        event = msgspec.convert(item, Event)
    except msgspec.ValidationError as error:
        raise InvalidEvent(_sentence(str(error))) from error
    if event.occurred_at < EARLIEST:
        raise InvalidEvent("occurred_at: is before the year 2000")
    return event


def _sentence(said: str) -> str:
    """`Expected `int`, got `str` - at `$.ms_played`` → `ms_played: expected `int`, got `str``."""
    what, _, where = said.partition(" - at `$.")
    field = where.rstrip("`")
    if not field and what.startswith("Object missing required field `"):
        return f"{what.removeprefix('Object missing required field `').rstrip('`')}: is required"
    if "matching regex" in what:
        what = "null characters are not allowed"
    if field == "type":
        what += f"; one of {', '.join(EventType.__members__)}"
    what = what[:1].lower() + what[1:]
    return f"{field}: {what}" if field else what


def event_batch_schema() -> tuple[dict[str, Any], dict[str, Any]]:
    """JSON Schema of a batch, and the components it refers to, for OpenAPI."""
    batch = Annotated[list[Event], Meta(min_length=1, max_length=MAX_EVENTS)]
    [out], components = msgspec.json.schema_components([batch], ref_template="#/components/schemas/{name}")
    return out, components
