"""Charts: the tracks with the most listeners in the last days.

Counting reads all plays of the window, so a chart is cached for some minutes, which also keeps its pages consistent.
"""

import threading
from datetime import timedelta

from django.core.cache import cache
from django.db.models import Count, F
from django.utils import timezone
from rest_framework.exceptions import APIException

from common.cache_keys import cache_key
from interactions.models import Interaction, InteractionKind
from interactions.selectors import BY_CONSENTING_LISTENER, QUALIFIED
from tracks.availability import unavailable_filter
from tracks.models import Track

LENGTH = 1_000
CACHE_SECONDS = 300
MIN_LISTENERS = 5  # smaller numbers are not told, because they might reveal what a known listener plays
WAIT_SECONDS = 2.0
_counting = threading.Lock()  # a process counts one chart at a time, so that several do not occupy the database


class ChartBeingCounted(APIException):
    """Another chart is being counted, and takes long."""

    status_code = 503
    default_detail = "this chart has to be counted first, and another one is being counted; try again in a moment"
    wait = 2  # DRF sends it as Retry-After


def load_chart(days: int, genre_id: int | None, market: str, explicit: bool) -> list[tuple[int, int]]:
    """Return the ids of the tracks and their numbers of listeners, the most first.

    A listener counts with one qualified play in the last `days`, and only with consent.

    Args:
        genre_id: only tracks with this tag; None for all.
        market: only tracks that are available there; "" for all.
        explicit: false to leave out explicit tracks.

    Raises:
        ChartBeingCounted: there is no cached chart, and no turn to count it. Whoever asks for many different charts
            must not occupy all threads.
    """
    key = cache_key("chart", days, genre_id, market, explicit)
    chart: list[tuple[int, int]] | None = cache.get(key)
    if chart is None:
        if not _counting.acquire(timeout=WAIT_SECONDS):
            raise ChartBeingCounted
        try:
            chart = cache.get(key)  # another request may have counted it meanwhile
            if chart is None:
                chart = _count(days, genre_id, market, explicit)
                cache.set(key, chart, CACHE_SECONDS)
        finally:
            _counting.release()
    return chart


def _count(days: int, genre_id: int | None, market: str, explicit: bool) -> list[tuple[int, int]]:
    now = timezone.now()
    tracks = Track.objects.filter(~unavailable_filter(market, explicit))
    if genre_id is not None:
        tracks = tracks.filter(tags=genre_id)
    plays = Interaction.objects.filter(
        BY_CONSENTING_LISTENER,
        QUALIFIED,
        kind=InteractionKind.PLAY,
        is_skip=False,
        played_at__range=(now - timedelta(days=days), now),
        track__in=tracks.order_by().values("pk"),
    )
    by_track = plays.order_by().values_list("track_id").annotate(listeners=Count("user", distinct=True))
    return list(by_track.order_by(F("listeners").desc(), "track_id")[:LENGTH])
