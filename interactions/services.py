"""Write what listeners did."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from access.models import User
from interactions.bulk import Row, insert_once
from interactions.models import Interaction, PopularTrack
from interactions.selectors import most_listened
from tracks.selectors import durations

POPULAR_TRACKS = 1000  # as many as any page without a model will ever show
COMPLETED_MILESTONE = 95  # percent; the rest is fade-out
CLOCK_TOLERANCE = timedelta(minutes=5)  # phones' clocks run fast


class Event(NamedTuple):
    """Something that happened on a phone, checked field by field, not yet against the world. place: in the batch."""

    place: int
    event_id: UUID
    type: str
    user_id: int
    track_id: int
    occurred_at: datetime
    ms_played: int | None
    session_id: str
    device: str
    context: str


@dataclass
class Receipt:
    """What became of a batch of events: each is accepted, a duplicate, or rejected with the reason."""

    accepted: int = 0
    duplicates: int = 0
    rejected: list[dict[str, Any]] = field(default_factory=list)

    def reject(self, index: int, event_id: Any, type: Any, detail: str) -> None:
        self.rejected.append({"index": index, "event_id": event_id, "type": type, "detail": detail})


@transaction.atomic
def record_events(events: Sequence[Event], receipt: Receipt) -> None:
    """Store each event once; one that names no listener or track, or the future, is rejected without the others."""
    lengths = durations({e.track_id for e in events})
    listeners = set(User.objects.filter(pk__in={e.user_id for e in events}).values_list("pk", flat=True))
    latest = timezone.now() + CLOCK_TOLERANCE
    rows: list[Row] = []
    for event in events:
        if fault := _fault(event, lengths.keys(), listeners, latest):
            receipt.reject(event.place, event.event_id, event.type, fault)
        else:
            rows.append(_row(event, lengths[event.track_id]))
    receipt.accepted = insert_once(rows)
    receipt.duplicates = len(rows) - receipt.accepted
    receipt.rejected.sort(key=lambda r: r["index"])


@transaction.atomic
def refresh_popular_tracks() -> None:
    """Count again which tracks have the most listeners."""
    counted = list(most_listened(POPULAR_TRACKS))
    PopularTrack.objects.bulk_create(  # not delete and insert, which two at once would do to each other
        [PopularTrack(track_id=track, listeners=n) for track, n in counted],
        update_conflicts=True,
        unique_fields=["track"],
        update_fields=["listeners"],
    )
    PopularTrack.objects.exclude(pk__in=[track for track, _ in counted]).delete()


def _fault(event: Event, tracks: Any, listeners: set[int], latest: datetime) -> str:
    if event.user_id not in listeners:
        return f"user_id: there is no listener {event.user_id}"
    if event.track_id not in tracks:
        return f"track_id: there is no track {event.track_id} in the catalogue"
    if event.occurred_at > latest:
        return f"occurred_at: {event.occurred_at.isoformat()} is in the future"
    return ""


def _row(event: Event, duration_ms: int | None) -> Row:
    milestone = min(100, event.ms_played * 100 // duration_ms) if event.ms_played and duration_ms else 0
    return Row(
        user_id=event.user_id,
        track_id=event.track_id,
        kind=Interaction.Kind.LIKE.value if event.type == "like" else Interaction.Kind.PLAY.value,
        played_at=event.occurred_at,
        plays=1,
        ms_played=event.ms_played,
        milestone=milestone,
        is_completed=milestone >= COMPLETED_MILESTONE,
        session_id=event.session_id,
        device=event.device,
        context=event.context,
        source="api",
        event_id=event.event_id,
    )
