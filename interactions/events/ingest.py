"""Write what happened on the phones: each event once, and a bad one without losing the others."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from django.utils import timezone

from access.selectors import consent_by_user_id
from interactions import metrics
from interactions.bulk import NewExposure, NewInteraction, insert_exposures, insert_interactions, retry_on_conflict
from interactions.events.playback import derive_playback
from interactions.events.schema import EXPOSURES, INTERACTIONS, Event
from interactions.models import EventBatch
from tracks.selectors import track_durations

CLOCK_TOLERANCE = timedelta(minutes=5)  # phones' clocks run fast
IDEMPOTENCY_KEY_LIFETIME = timedelta(days=2)  # an Idempotency-Key


class IdempotencyKeyReused(Exception):
    """An idempotency key was sent before, with another body."""


class IndexedEvent(NamedTuple):
    """An event of a batch; `user_id` is whose it is."""

    place: int
    user_id: int
    event: Event


@dataclass
class Receipt:
    """What became of a batch of events: each is accepted, a duplicate, or rejected with the reason."""

    accepted: int = 0
    duplicates: int = 0
    rejected: list[dict[str, Any]] = field(default_factory=list)

    def reject(self, index: int, event_id: Any, type: Any, detail: str) -> None:
        said = None if event_id is None else str(event_id)
        self.rejected.append({"index": index, "event_id": said, "type": type, "detail": detail})


def record_events(events: Sequence[IndexedEvent], refused: Receipt) -> Receipt:
    """Store each event once. One that names no listener or track, or the future, is rejected without the others.
    refused: what could not even be read. The receipt is true once this has returned: it is written by then."""
    return retry_on_conflict(lambda: _record(events, refused))


def record_once(principal: str, key: str, body: bytes, record: Callable[[], Receipt]) -> Receipt:
    """`record()`, unless it was done under this key already: then its receipt. Raises KeyReused."""
    digest = hashlib.sha256(body).hexdigest()
    return retry_on_conflict(lambda: _known(principal, key, digest) or _kept(principal, key, digest, record()))


def _known(principal: str, key: str, digest: str) -> Receipt | None:
    batch = EventBatch.objects.filter(principal=principal, key=key).first()
    if batch is None:
        return None
    if batch.created_at < timezone.now() - IDEMPOTENCY_KEY_LIFETIME:
        batch.delete()
        return None
    if batch.digest != digest:
        raise IdempotencyKeyReused
    return Receipt(**batch.receipt)


def _kept(principal: str, key: str, digest: str, receipt: Receipt) -> Receipt:
    EventBatch.objects.create(principal=principal, key=key, digest=digest, receipt=asdict(receipt))
    return receipt


def _record(events: Sequence[IndexedEvent], refused: Receipt) -> Receipt:
    receipt = Receipt(rejected=list(refused.rejected))
    lengths = track_durations({placed.event.track_id for placed in events})
    listeners = consent_by_user_id({placed.user_id for placed in events})
    latest = timezone.now() + CLOCK_TOLERANCE
    rows: list[NewInteraction] = []
    seen: list[NewExposure] = []
    for placed in events:
        event = placed.event
        if fault := _fault(placed, lengths, listeners, latest):
            receipt.reject(placed.place, event.event_id, event.type.value, fault)
        elif event.type.value in EXPOSURES:
            seen.append(_exposure(placed))
        else:
            rows.append(_interaction(placed, lengths[event.track_id]))
    receipt.accepted = insert_interactions(rows) + insert_exposures(seen)
    receipt.duplicates = len(rows) + len(seen) - receipt.accepted
    receipt.rejected.sort(key=lambda r: r["index"])
    _count(receipt)
    return receipt


def _count(receipt: Receipt) -> None:
    metrics.events.labels("accepted").inc(receipt.accepted)
    metrics.events.labels("duplicate").inc(receipt.duplicates)
    metrics.events.labels("rejected").inc(len(receipt.rejected))


def _fault(placed: IndexedEvent, tracks: dict[int, int | None], listeners: dict[int, bool], latest: datetime) -> str:
    event = placed.event
    if placed.user_id not in listeners:
        return f"user_id: there is no listener {placed.user_id}"
    if not listeners[placed.user_id]:
        return "user_id: the listener has not agreed that events are kept (consent is off)"
    if event.track_id not in tracks:
        return f"track_id: there is no track {event.track_id} in the catalogue"
    if event.occurred_at > latest:
        return f"occurred_at: {event.occurred_at.isoformat()} is in the future"
    return ""


def _interaction(placed: IndexedEvent, duration_ms: int | None) -> NewInteraction:
    event = placed.event
    played = event.type.value == "play_end"  # of anything else the two fields say nothing
    ms_played = event.ms_played if played else None
    reason = event.end_reason.value if played and event.end_reason else ""
    heard = derive_playback(ms_played, duration_ms, reason)
    return NewInteraction(
        user_id=placed.user_id,
        track_id=event.track_id,
        kind=INTERACTIONS[event.type.value],
        played_at=event.occurred_at.astimezone(UTC),  # PostgreSQL reads no offset of 16 hours and more
        plays=1,
        ms_played=ms_played,
        milestone=heard.milestone,
        is_completed=heard.is_completed,
        session_id=event.session_id,
        device=event.device,
        context=event.context,
        source="api",
        event_id=event.event_id,
        end_reason=reason,
        is_skip=heard.is_skip,
        is_listen=heard.is_listen,
        recommendation_id=event.recommendation_id,
        position=event.position,
    )


def _exposure(placed: IndexedEvent) -> NewExposure:
    event = placed.event
    return NewExposure(
        user_id=placed.user_id,
        track_id=event.track_id,
        kind=EXPOSURES[event.type.value],
        occurred_at=event.occurred_at.astimezone(UTC),
        session_id=event.session_id,
        device=event.device,
        context=event.context,
        recommendation_id=event.recommendation_id,
        position=event.position,
        event_id=event.event_id,
    )
