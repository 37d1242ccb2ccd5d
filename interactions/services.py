"""Keep what is counted from interactions, and what listeners prefer."""

from django.db import transaction

from interactions.models import PopularTrack
from interactions.selectors import most_listened

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
