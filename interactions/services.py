"""Keep what is counted from interactions, and remove what is older than it is kept."""

import time
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from interactions.events.services import IDEMPOTENCY_KEY_LIFETIME
from interactions.models import EventBatch, Exposure, PopularTrack
from interactions.selectors import most_listened

ROWS_AT_ONCE = 5_000
POPULAR_TRACKS = 1000  # as many as any page without a model will ever show


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


def delete_old_events(*, exposures_before: datetime) -> dict[str, int]:
    """Rows removed, by table: exposures, and receipts whose key is no longer remembered."""
    return {
        "event batches": delete_in_batches(
            EventBatch.objects.filter(created_at__lt=timezone.now() - IDEMPOTENCY_KEY_LIFETIME)
        ),
        "exposures": delete_in_batches(Exposure.objects.filter(occurred_at__lt=exposures_before)),
    }


def delete_in_batches(rows: QuerySet[Any]) -> int:
    """In short transactions: others write meanwhile. Gives how many."""
    removed = 0
    while ids := list(rows.order_by().values_list("pk", flat=True)[:ROWS_AT_ONCE]):
        removed += len(ids)
        rows.model._default_manager.filter(pk__in=ids).delete()
        time.sleep(0.01)
    return removed
