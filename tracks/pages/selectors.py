"""Read the pages of artists and albums, and the lists on them."""

from datetime import UTC, datetime, time, timedelta
from typing import Any, NamedTuple

from django.db.models import F, IntegerField, Q, Sum
from django.db.models.functions import Coalesce, ExtractYear
from django.utils import timezone

from tracks.models import Album, Artist, Tag, Track, TrackTag
from tracks.selectors import album_cards, artist_cards, find_tags, track_cards

FIRST_ALBUMS = 10  # on an artist's page
FIRST_TRACKS = 100  # on an album's page
TOP_TAGS = 10


class Release(NamedTuple):
    """A track, and when it was released, or else added to the catalogue."""

    moment: datetime
    pk: int


def artist_page(artist_id: int, available: Q) -> dict[str, Any] | None:
    """Return what an artist's page shows, or None if the artist does not exist.

    Args:
        artist_id: the artist.
        available: a filter for the tracks to count.
    """
    if (card := artist_cards([artist_id]).get(artist_id)) is None:
        return None
    tags = TrackTag.objects.filter(track__artist=artist_id).values("tag_id", name=F("tag__name"), kind=F("tag__kind"))
    first_albums = [album_id for album_id, _ in artist_albums(artist_id)[:FIRST_ALBUMS]]
    cards = album_cards(first_albums)
    return card | {
        "track_count": Track.objects.filter(available, artist=artist_id).count(),
        "album_count": Album.objects.filter(artist=artist_id).count(),
        "tags": list(tags.annotate(weight=Sum("weight")).order_by("-weight", "name")[:TOP_TAGS]),
        "albums": [cards[album_id] for album_id in first_albums if album_id in cards],
        "tracks_path": f"/artists/{artist_id}/tracks",
        "albums_path": f"/artists/{artist_id}/albums",
    }


def album_page(album_id: int, available: Q) -> dict[str, Any] | None:
    """Return what an album's page shows, or None if the album does not exist; see `artist_page`."""
    if (card := album_cards([album_id]).get(album_id)) is None:
        return None
    tracks = Track.objects.filter(available, album=album_id)
    first = list(tracks.order_by("pk").values_list("pk", flat=True)[:FIRST_TRACKS])
    cards = track_cards(first)
    return card | {
        "track_count": tracks.count(),
        "tracks": [cards[track_id] for track_id in first if track_id in cards],
        "tracks_path": f"/albums/{album_id}/tracks",
    }


def artist_albums(artist_id: int) -> list[tuple[int, int]]:
    """Return the ids and years of an artist's albums, the newest first, and those without a year last."""
    year = Coalesce(ExtractYear("released_on"), F("year"), 0, output_field=IntegerField())
    albums = Album.objects.filter(artist=artist_id).annotate(release_year=year).order_by("-release_year", "-pk")
    return list(albums.values_list("pk", "release_year"))


def is_in_catalogue(model: type[Artist | Album], pk: int) -> bool:
    """Return whether there is an artist or album with this id."""
    return model._default_manager.filter(pk=pk).exists()


def find_genre(name: str) -> int | None:
    """Return the id of the genre with this name, however it is written, or with this id; None if there is none."""
    if name.isascii() and name.isdigit() and len(name) < 19:
        return Tag.objects.filter(kind=Tag.Kind.GENRE, pk=int(name)).values_list("pk", flat=True).first()
    return next((tag.pk for tag in find_tags(name, Tag.Kind.GENRE)), None)


def new_releases(only: Q, days: int, last: Release | None, limit: int) -> list[Release]:
    """Return the newest tracks of the last days, the newest first.

    A track has its own date of release, or else its album's, or else the moment at which it was added.

    Args:
        only: a filter on the tracks.
        days: how far back.
        last: the last track of the previous page.
        limit: how many.
    """
    now = timezone.now()
    since = now - timedelta(days=days)
    tracks = Track.objects.filter(only)
    releases: list[Release] = []
    for dated, column in [
        (tracks.filter(released_on__isnull=False), "released_on"),
        (tracks.filter(released_on=None), "album__released_on"),
    ]:
        in_window = dated.filter(_released_before(column, last), **{f"{column}__range": (since.date(), now.date())})
        rows = in_window.order_by(f"-{column}", "-pk").values_list(column, "pk")[:limit]
        releases += [Release(datetime.combine(day, time(), UTC), pk) for day, pk in rows]
    undated = tracks.filter(released_on=None, album__released_on=None, created_at__range=(since, now))
    if last:
        undated = undated.filter(Q(created_at__lt=last.moment) | Q(created_at=last.moment, pk__lt=last.pk))
    releases += map(Release._make, undated.order_by("-created_at", "-pk").values_list("created_at", "pk")[:limit])
    return sorted(releases, reverse=True)[:limit]


def _released_before(column: str, last: Release | None) -> Q:
    """Return a filter for tracks whose date comes after a position in the list. A date counts as its first moment."""
    if last is None:
        return Q()
    day = last.moment.date()
    if last.moment.time() != time():
        return Q(**{f"{column}__lte": day})
    return Q(**{f"{column}__lt": day}) | Q(**{column: day, "pk__lt": last.pk})


def release_cards(track_ids: list[int]) -> dict[int, dict[str, Any]]:
    """Return the cards of tracks, with their dates of release and when they were added."""
    dates = Track.objects.filter(pk__in=track_ids).values_list("pk", "released_on", "album__released_on", "created_at")
    cards = track_cards(track_ids)
    return {
        pk: cards[pk] | {"released_on": own or albums, "added_at": added_at}
        for pk, own, albums, added_at in dates
        if pk in cards
    }
