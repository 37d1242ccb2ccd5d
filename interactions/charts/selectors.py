"""Charts: the tracks with the most listeners in the last days.

Counting reads all plays of the window, so a chart is cached for some minutes, which also keeps its pages consistent.
"""

import math
import threading
from datetime import datetime, timedelta

from django.core.cache import cache
from django.db.models import Count, F, Q
from django.utils import timezone
from rest_framework.exceptions import APIException

from common.cache_keys import cache_key
from interactions.models import Interaction
from interactions.selectors import BY_CONSENTING_LISTENER, HEARD, QUALIFIED
from tracks.availability import unavailable_filter
from tracks.models import Track

LENGTH = 1_000
CACHE_SECONDS = 300
MIN_LISTENERS = 5  # smaller numbers are not told, because they might reveal what a known listener plays
WAIT_SECONDS = 2.0
WEEKS_BEFORE = 4  # that the last week is compared with
SMOOTHING = 10.0  # listeners; the higher, the more of them a track needs that was not played before
COUNTING_SECONDS = 60  # after which another process may count what is trending
TRENDING_SECONDS = 3600  # answers that show trending tracks are cached as long
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


def load_trending(market: str = "") -> list[tuple[int, float]] | None:
    """Return the ids of the tracks that more listeners play than usual, and by how much, the most trending first.

    The score is the number of listeners of the last week above the weekly mean of the four weeks before, in standard
    deviations of a Poisson distribution: (listeners - mean) / √(mean + SMOOTHING). Only positive scores of tracks with
    at least `MIN_LISTENERS` are returned, whoever may be offered them. The list is cached for an hour. None while
    another process counts: the list of an hour ago is better than none then.

    Args:
        market: only what listeners there play; "" for all.
    """
    key, lock = cache_key("trending", market), cache_key("trending-lock", market)
    match cache.get(key):
        case list(cached) if all(len(row) == 2 for row in cached):
            return cached
    if not cache.add(lock, True, COUNTING_SECONDS):
        return None
    now = timezone.now()
    week = now - timedelta(weeks=1)
    nearby = Q(user__market=market) if market else Q()
    recent = [row for row in _count_listeners(week, now, nearby) if row[1] >= MIN_LISTENERS]
    track_ids = [track_id for track_id, _ in recent]
    before = dict(_count_listeners(week - timedelta(weeks=WEEKS_BEFORE), week, nearby & Q(track__in=track_ids)))
    scores = {}
    for track_id, listeners in recent:
        usual = before.get(track_id, 0) / WEEKS_BEFORE
        scores[track_id] = (listeners - usual) / math.sqrt(usual + SMOOTHING)
    trending = sorted(((i, score) for i, score in scores.items() if score > 0), key=lambda row: (-row[1], row[0]))
    cache.set(key, trending, TRENDING_SECONDS)
    return trending


def _count(days: int, genre_id: int | None, market: str, explicit: bool) -> list[tuple[int, int]]:
    now = timezone.now()
    tracks = Track.objects.filter(~unavailable_filter(market, explicit))
    if genre_id is not None:
        tracks = tracks.filter(tags=genre_id)
    return _count_listeners(now - timedelta(days=days), now, Q(track__in=tracks.order_by().values("pk")))


def _count_listeners(begin: datetime, end: datetime, which: Q | None = None) -> list[tuple[int, int]]:
    """Return the ids of the tracks with the most listeners between two times, and the numbers, the most first."""
    plays = Interaction.objects.filter(
        BY_CONSENTING_LISTENER,
        HEARD,
        QUALIFIED,
        which or Q(),
        played_at__range=(begin, end),
    )
    by_track = plays.order_by().values_list("track_id").annotate(listeners=Count("user", distinct=True))
    return list(by_track.order_by(F("listeners").desc(), "track_id")[:LENGTH])
