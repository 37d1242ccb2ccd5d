"""Read what a listener has listened to, likes and dislikes, in the JSON of ListenBrainz."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.db.models import Case, F, IntegerField, Max, Min, Q, QuerySet, Value, When
from django.db.models.functions import Coalesce
from django.utils import timezone

from common.database_columns import UnixSeconds
from interactions.listenbrainz.msids import find_tracks_by_msid, make_msid
from interactions.listenbrainz.track_metadata import Json, describe_names, describe_track
from interactions.models import Clock, Interaction, InteractionKind, LatestImport, PlayingNow, UnmatchedListen
from interactions.play_reports import APP, LISTENBRAINZ
from interactions.selectors import OPINIONS
from tracks.matching import oldest_tracks
from tracks.models import Track

HALF = 50  # percent
DAY_S = 86_400  # the longest play
WINDOW_S = 90 * DAY_S
LATEST_S = 250_000_000_000  # the last times that Python can represent
SCORES = {InteractionKind.LIKE.value: 1, InteractionKind.DISLIKE.value: -1}


@dataclass(frozen=True)
class ListenPage:
    """Some listens of a listener, the latest first.

    Attributes:
        oldest, newest: the times of the first and the last of all their listens, in UNIX seconds; 0 without any.
    """

    listens: list[Json] = field(default_factory=list)
    oldest: int = 0
    newest: int = 0


def load_listens(
    user_id: int, user_name: str, count: int, after: int | None = None, before: int | None = None
) -> ListenPage:
    """Return the latest listens, or, with `after`, the earliest ones after that time.

    Args:
        count: the largest number of listens.
        after: only listens that began later, in UNIX seconds.
        before: only listens that began earlier.
    """
    bounds = [bound for rows, column in _listen_tables(user_id) for bound in _first_and_last_start(rows, column)]
    if not bounds:
        return ListenPage()
    oldest, newest = min(bounds), max(bounds)
    begin = oldest - 1 if after is None else max(after, oldest - 1)
    end = newest + 1 if before is None else min(before, newest + 1)
    is_latest_first = after is None
    recent = (max(begin, end - WINDOW_S), end) if is_latest_first else (begin, min(end, begin + WINDOW_S))
    listens: list[tuple[int, Any]] = []
    # Sorting a whole history by the time at which plays began takes long, and most clients ask for the latest.
    for window in (recent, (begin, end)):
        listens = [(row.start, row) for row in _listens_between(user_id, *window, count, is_latest_first)]
        if len(listens) >= count:
            break
    listens.sort(key=lambda listen: -listen[0] if is_latest_first else listen[0])
    latest_first = sorted(listens[:count], key=lambda listen: -listen[0])
    return ListenPage([_render_listen(row, start, user_name) for start, row in latest_first], oldest, newest)


def count_listens(user_id: int) -> int:
    return sum(rows.count() for rows, _ in _listen_tables(user_id))


def _listen_tables(user_id: int) -> Iterator[tuple[QuerySet[Any], str]]:
    """Yield the rows of both tables that have listens, with the UNIX second `start`, and the column of their time.

    Plays of the app are stored with the time of their end. Left out are plays whose time is unknown, because the clock
    of the app was wrong, and plays of less than half of a track, unless a scrobbler has submitted them.
    """
    is_listen = Q(is_listen=True) | Q(milestone__gte=HALF) | Q(source=LISTENBRAINZ)
    plays = Interaction.objects.filter(is_listen, user=user_id, kind=InteractionKind.PLAY, plays=1)
    length_s = Coalesce(F("ms_played"), F("track__duration_ms"), 0) / 1000
    seconds_before = Case(When(source=APP, then=length_s), default=Value(0), output_field=IntegerField())
    plays = plays.exclude(clock=Clock.ARRIVAL).annotate(start=UnixSeconds("played_at") - seconds_before)
    yield plays.select_related("track__artist", "track__album"), "played_at"
    yield UnmatchedListen.objects.filter(user=user_id).annotate(start=UnixSeconds("listened_at")), "listened_at"


def _first_and_last_start(rows: QuerySet[Any], column: str) -> list[int]:
    """Return the first and the last start; nothing without a row. The index has the times of the column only."""
    # Two queries, each of which reads one entry of the index; the minimum and the maximum at once would read all.
    first_time, last_time = (
        rows.order_by(order).values_list(column, flat=True).first() for order in (column, f"-{column}")
    )
    if first_time is None or last_time is None:
        return []
    first_day, last_day = _datetime(first_time.timestamp() + DAY_S), _datetime(last_time.timestamp() - DAY_S)
    first = rows.filter(**{f"{column}__lte": first_day}).aggregate(bound=Min("start"))["bound"]
    last = rows.filter(**{f"{column}__gte": last_day}).aggregate(bound=Max("start"))["bound"]
    return [first, last]


def _listens_between(user_id: int, begin: int, end: int, count: int, is_latest_first: bool) -> Iterator[Any]:
    """Yield the first `count` rows of each table that began between two times, both excluded."""
    order = ("-start", "-pk") if is_latest_first else ("start", "pk")
    for rows, column in _listen_tables(user_id):
        times = [_datetime(begin), _datetime(end + DAY_S)]
        between = rows.filter(start__gt=begin, start__lt=end, **{f"{column}__range": times})
        yield from between.order_by(*order)[:count]


def _render_listen(row: Interaction | UnmatchedListen, start: int, user_name: str) -> Json:
    if isinstance(row, Interaction):
        metadata, inserted_at = describe_track(row.track), int(row.played_at.timestamp())
    else:
        metadata = describe_names(row.artist, row.title, "", row.mbid, row.isrc, row.duration_ms)
        inserted_at = int(row.created_at.timestamp())
    info = metadata["additional_info"]
    if row.device:
        info["media_player"] = row.device
    if row.ms_played is not None:
        info["duration_played"] = row.ms_played // 1000
    return {
        "listened_at": start,
        "inserted_at": inserted_at,
        "recording_msid": info["recording_msid"],
        "user_name": user_name,
        "track_metadata": metadata,
    }


def _datetime(seconds: float) -> datetime:
    return datetime.fromtimestamp(min(max(seconds, 0), LATEST_S), UTC)


def load_playing_now(user_id: int) -> Json | None:
    """Return the metadata of the track that is playing, or None."""
    return (
        PlayingNow.objects.filter(pk=user_id, expires_at__gt=timezone.now())
        .values_list("track_metadata", flat=True)
        .first()
    )


def load_latest_import(user_id: int, service: str) -> int:
    """Return the UNIX second up to which a service was imported; 0 if it was not."""
    times = LatestImport.objects.filter(user=user_id, service=service).values_list("listened_at", flat=True)
    return int(latest.timestamp()) if (latest := times.first()) else 0


@dataclass(frozen=True)
class Feedback:
    """The like or dislike of a track.

    Attributes:
        score: 1 for a like, -1 for a dislike.
        created: UNIX second.
    """

    track_id: int
    score: int
    created: int


def load_feedback(user_id: int) -> list[Feedback]:
    """Return the likes and dislikes of a listener, the latest first."""
    opinions = Interaction.objects.filter(user=user_id, kind__in=OPINIONS).order_by("-played_at", "-pk")
    latest: dict[int, Feedback] = {}
    for track_id, kind, played_at in opinions.values_list("track_id", "kind", "played_at"):
        latest.setdefault(track_id, Feedback(track_id, SCORES.get(kind, 0), int(played_at.timestamp())))
    return [feedback for feedback in latest.values() if feedback.score]


def render_feedback(feedback: Collection[Feedback], user_name: str, with_metadata: bool = False) -> list[Json]:
    tracks = Track.objects.select_related("artist", "album").in_bulk([item.track_id for item in feedback])
    return [
        {
            "user_id": user_name,
            "recording_mbid": str(track.mbid) if track.mbid else None,
            "recording_msid": str(make_msid(track.pk, track.match_key)),
            "score": item.score,
            "created": item.created,
            "track_metadata": describe_track(track) if with_metadata else None,
        }
        for item in feedback
        if (track := tracks.get(item.track_id))
    ]


def find_recordings(msids: Collection[UUID], mbids: Collection[UUID]) -> dict[UUID, int]:
    """Return the track ids by msid or mbid, without those that are not in the catalogue.

    An mbid means the oldest of the tracks that share it, as for listens.
    """
    return oldest_tracks("mbid", mbids) | find_tracks_by_msid(msids)
