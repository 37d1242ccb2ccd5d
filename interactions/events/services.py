"""Record batches of events. Each event is stored once, and an invalid one does not affect the others."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple, TypedDict

import orjson
from django.conf import settings
from django.utils import timezone
from prometheus_client import Counter

from access.selectors import consent_by_user_id, find_listener_ids
from access.services import get_or_create_listener_ids
from common.http.json import escape_unstorable
from common.http.references import ExternalId
from interactions.bulk import NewExposure, NewInteraction, insert_exposures, insert_interactions, retry_on_conflict
from interactions.events.playback import derive_playback
from interactions.events.schema import EARLIEST, Event, InvalidEvent, parse_event
from interactions.models import Clock, EventBatch, Exposure
from interactions.play_reports import APP
from interactions.scrobbles import absorb_scrobbles
from tracks.models import Track
from tracks.selectors import find_ids, track_durations

CLOCK_TOLERANCE = timedelta(minutes=5)  # the clocks of phones may be fast
IDEMPOTENCY_KEY_LIFETIME = timedelta(days=2)
MAX_ECHOED_CHARACTERS = 128  # of an event_id or a type that could not be parsed

events_counter = Counter(
    "musicrec_events", "Events received, by outcome: accepted, duplicate or rejected.", ["outcome"]
)


class IdempotencyKeyReused(Exception):
    """The idempotency key was sent before, with a different body."""


class IndexedEvent(NamedTuple):
    """An event, and its index in the batch."""

    batch_index: int
    event: Event


class Rejection(TypedDict):
    """An item of a batch that is not stored, and why."""

    index: int
    event_id: str | None
    type: str | None
    detail: str


@dataclass
class Receipt:
    """The numbers of accepted and duplicate events of a batch, and the items that were rejected."""

    accepted: int = 0
    duplicates: int = 0
    rejected: list[Rejection] = field(default_factory=list)


def record_events(items: Sequence[Any], token_user_id: int | None, sent_at: datetime | None = None) -> Receipt:
    """Store each valid event of a batch once, and return the receipt. The events are committed when this returns.

    Args:
        items: the items of the JSON array, parsed but not validated.
        token_user_id: the listener of the token; None for a service key, whose events name their listeners.
        sent_at: the time of the client's clock when it sent the batch, if it says so.
    """
    arrived_at = timezone.now()
    clock_error = timedelta(0) if sent_at is None else sent_at - arrived_at
    if abs(clock_error) <= CLOCK_TOLERANCE:
        clock_error = timedelta(0)
    events: list[IndexedEvent] = []
    rejected: list[Rejection] = []
    for index, item in enumerate(items):
        try:
            events.append(IndexedEvent(index, parse_event(item)))
        except InvalidEvent as error:
            event_id, event_type = (_echo(item, name) for name in ("event_id", "type"))
            detail = escape_unstorable(str(error))
            rejected.append(Rejection(index=index, event_id=event_id, type=event_type, detail=detail))
    return retry_on_conflict(lambda: _store_events(events, rejected, token_user_id, arrived_at, clock_error))


def record_events_once(
    items: Sequence[Any],
    token_user_id: int | None,
    sent_at: datetime | None = None,
    *,
    principal: str,
    idempotency_key: str,
) -> Receipt:
    """Record a batch, or return the receipt of the first time if the principal has sent it under this key before.

    A batch that is sent again may have another `sent_at`.

    Raises:
        IdempotencyKeyReused: another batch was recorded under this key within the last two days.
    """
    try:
        canonical = orjson.dumps(items, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # lone surrogates, or integers of more than 64 bits
        canonical = json.dumps(items, sort_keys=True).encode()
    digest = hashlib.sha256(canonical).hexdigest()

    def find_or_record() -> Receipt:
        batch = EventBatch.objects.filter(principal=principal, key=idempotency_key).first()
        if batch and batch.created_at < timezone.now() - IDEMPOTENCY_KEY_LIFETIME:
            batch.delete()
            batch = None
        if batch is None:
            receipt = record_events(items, token_user_id, sent_at)
            EventBatch.objects.create(
                principal=principal, key=idempotency_key, digest=digest, receipt=asdict(receipt)
            )  # violates a constraint, and is retried, if the same batch was recorded at the same moment
            return receipt
        if batch.digest != digest:
            raise IdempotencyKeyReused
        return Receipt(**batch.receipt)

    return retry_on_conflict(find_or_record)


def _store_events(
    events: Sequence[IndexedEvent],
    invalid: Sequence[Rejection],
    token_user_id: int | None,
    arrived_at: datetime,
    clock_error: timedelta,
) -> Receipt:
    """Store the events.

    Args:
        clock_error: how far the client's clock is ahead of the server's; zero if it is right, or unknown.
    """
    track_ids = find_ids(Track, {event.track for _, event in events})
    durations = track_durations(track_ids.values())
    # Events of tracks that are not in the catalogue are rejected, so they do not create their listeners.
    storable = [event for _, event in events if track_ids.get(event.track) in durations]
    listeners = {listener for event in storable if (listener := event.listener) is not None}
    may_create = token_user_id is None and settings.MUSICREC["CREATE_LISTENERS"]
    listener_ids = get_or_create_listener_ids(listeners) if may_create else find_listener_ids(listeners)
    consents = consent_by_user_id({*listener_ids.values(), token_user_id or 0})
    earliest, future_events = EARLIEST - arrived_at, 0
    interactions: list[NewInteraction] = []
    exposures: list[NewExposure] = []
    rejected = list(invalid)
    # In order of time, so that events from the future, which get the time of arrival, keep their order.
    for index, event in sorted(events, key=lambda indexed: indexed.event.occurred_at):
        fault, clock = "", Clock.CORRECTED.value if clock_error else ""
        since_arrival = event.occurred_at - arrived_at - clock_error
        if since_arrival > CLOCK_TOLERANCE:
            since_arrival, clock = timedelta(microseconds=future_events), Clock.ARRIVAL.value
            future_events += 1
        track_id, listener = track_ids.get(event.track, 0), event.listener
        user_id = (token_user_id if listener is None else listener_ids.get(listener)) or 0
        if listener is None and token_user_id is None:
            fault = "user_id: is required with a service key"
        elif track_id not in durations:
            fault = f"track_id: there is no track {event.track} in the catalogue"
        elif token_user_id is not None and user_id != token_user_id:
            fault = "user_id: must be the token's own listener; leave it out"
        elif user_id not in consents and may_create and isinstance(listener, ExternalId):
            fault = "user_id: this listener was erased on request, and is not created again"
        elif user_id not in consents:
            fault = f"user_id: there is no listener {listener}"
        elif not consents[user_id]:
            fault = "user_id: the listener does not consent to storing events (consent is off)"
        elif since_arrival < earliest:
            fault = "occurred_at: must not be before the year 2000"
        if fault:
            rejected.append(Rejection(index=index, event_id=str(event.event_id), type=event.type.value, detail=fault))
            continue
        # In UTC, because PostgreSQL parses no offset of 16 hours or more.
        occurred_at = arrived_at + since_arrival
        if event.type.model is Exposure:
            exposures.append(
                NewExposure(
                    user_id=user_id,
                    track_id=track_id,
                    kind=event.type.kind,
                    occurred_at=occurred_at,
                    event_id=event.event_id,
                    session_id=event.session_id or "",
                    device=event.device or "",
                    context=event.context or "",
                    recommendation_id=event.recommendation_id,
                    position=event.position,
                    clock=clock,
                )
            )
            continue
        ms_played = event.ms_played if "ms_played" in event.type.fields else None
        end_reason = event.end_reason.value if event.end_reason and "end_reason" in event.type.fields else ""
        playback = derive_playback(ms_played, durations[track_id], end_reason)
        interactions.append(
            NewInteraction(
                user_id=user_id,
                track_id=track_id,
                kind=event.type.kind,
                played_at=occurred_at,
                source=APP,
                event_id=event.event_id,
                ms_played=ms_played,
                end_reason=end_reason,
                session_id=event.session_id or "",
                device=event.device or "",
                context=event.context or "",
                recommendation_id=event.recommendation_id,
                position=event.position,
                clock=clock,
                learn=event.learn is not False,
                shuffled=event.shuffle is True,
                **playback._asdict(),
            )
        )
    added = insert_interactions(interactions)
    if added:
        absorb_scrobbles(interactions, durations)
    accepted = added + insert_exposures(exposures)
    duplicates = len(interactions) + len(exposures) - accepted
    for outcome, count in (("accepted", accepted), ("duplicate", duplicates), ("rejected", len(rejected))):
        events_counter.labels(outcome).inc(count)
    return Receipt(accepted, duplicates, sorted(rejected, key=lambda rejection: rejection["index"]))


def _echo(item: Any, name: str) -> str | None:
    """Return a field of an item that could not be parsed, as a text for the receipt."""
    value = item.get(name) if isinstance(item, dict) else None
    return (
        None
        if value is None or isinstance(value, dict | list)
        else escape_unstorable(str(value)[:MAX_ECHOED_CHARACTERS])
    )
