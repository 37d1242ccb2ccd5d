"""Change and delete interactions, count the popular tracks, and delete rows whose retention time has passed."""

import time
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Count, F, QuerySet
from django.utils import timezone

from access.services import bump_user_revisions
from interactions.events.services import IDEMPOTENCY_KEY_LIFETIME
from interactions.left_out import refresh_left_out
from interactions.models import EventBatch, Exposure, Interaction, PlayingNow, PopularTrack
from interactions.selectors import BY_CONSENTING_LISTENER

DELETE_BATCH_SIZE = 5_000
DELETE_PAUSE_S = 0.01
POPULAR_TRACKS = 1000  # more than any slate without a model contains
POSITIVE_KINDS = [
    Interaction.Kind.PLAY,
    Interaction.Kind.LIKE,
    Interaction.Kind.SHARE,
    Interaction.Kind.PLAYLIST_ADD,
]


@transaction.atomic
def save_interaction(interaction: Interaction) -> None:
    """Save an interaction. Its listener gets a new revision, and so does the one to whom it belonged before."""
    stored = Interaction.objects.select_for_update().filter(pk=interaction.pk)
    listeners = {interaction.user_id, *stored.values_list("user_id", flat=True)}
    interaction.save()
    bump_user_revisions(listeners)
    refresh_left_out(Interaction.objects.filter(pk=interaction.pk))


@transaction.atomic
def delete_interactions(interactions: QuerySet[Interaction]) -> int:
    """Delete interactions, give their listeners new revisions, and return how many were deleted.

    Deleting a track, an artist or a listener deletes their interactions without this: then the new revision of the
    catalogue, or the missing listener, makes answers obsolete.
    """
    # Locked, so that exactly these are deleted and no listener is missed.
    listeners = dict(interactions.order_by().select_for_update(of=("self",)).values_list("pk", "user_id"))
    ids = list(listeners)
    for start in range(0, len(ids), DELETE_BATCH_SIZE):
        Interaction.objects.filter(pk__in=ids[start : start + DELETE_BATCH_SIZE]).delete()
    bump_user_revisions(listeners.values())
    return len(ids)


@transaction.atomic
def refresh_popular_tracks() -> None:
    """Recount the listeners of all tracks, and store the tracks that have the most."""
    positive = Interaction.objects.filter(
        BY_CONSENTING_LISTENER, kind__in=POSITIVE_KINDS, is_skip=False, left_out=False
    )
    by_track = positive.values_list("track_id").annotate(listeners=Count("user", distinct=True))
    popular = [
        PopularTrack(track_id=track_id, listeners=listeners)
        for track_id, listeners in by_track.order_by(F("listeners").desc(), "track_id")[:POPULAR_TRACKS]
    ]
    # An upsert: if two processes deleted and inserted all rows at once, one of them would fail.
    PopularTrack.objects.bulk_create(
        popular, update_conflicts=True, unique_fields=["track"], update_fields=["listeners"]
    )
    PopularTrack.objects.exclude(pk__in=[row.track_id for row in popular]).delete()


def delete_old_events(*, exposures_before: datetime) -> dict[str, int]:
    """Delete old exposures, receipts whose idempotency key has expired, and tracks that are no longer playing.

    Returns:
        how many of each.
    """
    expired = EventBatch.objects.filter(created_at__lt=timezone.now() - IDEMPOTENCY_KEY_LIFETIME)
    return {
        "playing now": delete_in_batches(PlayingNow.objects.filter(expires_at__lt=timezone.now())),
        "event batches": delete_in_batches(expired),
        "exposures": delete_in_batches(Exposure.objects.filter(occurred_at__lt=exposures_before)),
    }


def delete_in_batches(rows: QuerySet[Any]) -> int:
    """Delete rows in short transactions, so that other writers do not wait for long; return how many."""
    deleted = 0
    while ids := list(rows.order_by().values_list("pk", flat=True)[:DELETE_BATCH_SIZE]):
        deleted += len(ids)
        rows.model._default_manager.filter(pk__in=ids).delete()
        time.sleep(DELETE_PAUSE_S)
    return deleted
