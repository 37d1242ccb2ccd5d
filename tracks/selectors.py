from collections.abc import Collection, Iterator
from typing import Any

import numpy as np
from django.db.models import Case, Count, F, Q, Subquery, When
from numpy.typing import NDArray

from tracks.models import Album, Artist, Catalogue, Tag, Track, TrackTag

CardFields = dict[str, Any]
MAX_NEIGHBOURS = 200  # candidates by artist, and by tags, of a track that nobody played yet


_SHOWN = ["title", "artist__name", "artist_id", "album_id", "duration_ms", "preview_url", "cover_url", "explicit"]
_SHOWN += ["pk", "external_id", "album__cover_url"]


def track_cards(track_ids: Collection[int]) -> dict[int, CardFields]:
    """What a list shows of each track, by id; a track that was deleted is not in it."""
    return {row["pk"]: _card(dict(row)) for row in Track.objects.filter(pk__in=track_ids).values(*_SHOWN)}


def track_cards_with_availability(track_ids: Collection[int]) -> Iterator[tuple[CardFields, bool, str]]:
    """The same, with whether it was taken down, and its markets."""
    for row in Track.objects.filter(pk__in=track_ids).values(*_SHOWN, "taken_down_at", "markets"):
        yield _card(dict(row)), row["taken_down_at"] is not None, row["markets"]


def catalogue_revision_subquery() -> Subquery:
    """Which state the catalogue is in: an integer, or NULL where it has never changed."""
    return Subquery(Catalogue.objects.values("revision")[:1])


def catalogue_revision() -> int | None:
    return Catalogue.objects.values_list("revision", flat=True).first()


def track_details(track_id: int) -> dict[str, Any] | None:
    """Everything a track's own page shows, or None."""
    track = Track.objects.select_related("artist", "album").filter(pk=track_id).first()
    if track is None:
        return None
    tags = track.track_tags.order_by("-weight", "tag__name").values("tag_id", name=F("tag__name"), kind=F("tag__kind"))
    return track_cards([track_id])[track_id] | {
        "album_title": track.album.title if track.album else None,
        "year": track.album.year if track.album else None,
        "tempo": track.tempo,
        "energy": track.energy,
        "valence": track.valence,
        "tags": list(tags),
    }


def find_track_id(external_id: str) -> int | None:
    """The id of the track with this outside id, or None."""
    return ids_by_external_id(Track, [external_id]).get(external_id)


def track_exists(track_id: int) -> bool:
    return Track.objects.filter(pk=track_id).exists()


def target_exists(kind: str, target_id: int) -> bool:
    """Whether there is an artist, album, track or genre of this id."""
    of = {"artist": Artist.objects, "album": Album.objects, "track": Track.objects}
    if kind == "genre":
        return Tag.objects.filter(pk=target_id, kind=Tag.Kind.GENRE).exists()
    return of[kind].filter(pk=target_id).exists()


def track_durations(track_ids: Collection[int]) -> dict[int, int | None]:
    """Length in milliseconds, or None where it is unknown, of those of the tracks that exist."""
    return dict(Track.objects.filter(pk__in=track_ids).values_list("pk", "duration_ms"))


def ids_by_external_id(kind: type[Track | Album | Artist], external_ids: Collection[str]) -> dict[str, int]:
    """Ids of the tracks, albums or artists with these outside ids; those not in the catalogue are left out."""
    known = kind.objects.filter(external_id__in=external_ids).values_list("external_id", "pk")
    return {str(external_id): pk for external_id, pk in known}


def load_track_ids(limit: int | None = None) -> NDArray[np.int64]:
    """int64 (n,), ascending; the first `limit` where given."""
    ids = Track.objects.order_by("pk").values_list("pk", flat=True)[:limit]
    return np.fromiter(ids.iterator(), np.int64)  # in small chunks: what one takes, a process keeps


def content_neighbours(track_id: int) -> list[tuple[int, float]]:
    """Tracks like one that nobody played yet, by what is known of it: `(track_id, score)`, best first.

    Score: 1 for the artist, 1 for the album, and the share of its tags that are shared.
    """
    track = Track.objects.get(pk=track_id)
    scores: dict[int, float] = {}
    same = Track.objects.filter(Q(artist=track.artist_id) | Q(album=track.album_id, album__isnull=False))
    same = same.exclude(pk=track_id)
    mates_first = Case(When(album=track.album_id, then=0), default=1), "pk"
    for other, artist, album in same.values_list("pk", "artist_id", "album_id").order_by(*mates_first)[:MAX_NEIGHBOURS]:
        scores[other] = (artist == track.artist_id) + (album is not None and album == track.album_id)
    tags = list(TrackTag.objects.filter(track=track_id).values_list("tag_id", flat=True))
    shared = TrackTag.objects.filter(tag__in=tags).exclude(track=track_id).values_list("track_id")
    for other, count in shared.annotate(n=Count("pk")).order_by("-n", "track_id")[:MAX_NEIGHBOURS]:
        scores[other] = scores.get(other, 0) + count / len(tags)
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))


def _card(row: dict[str, Any]) -> CardFields:
    return {
        "track_id": row["pk"],
        "title": row["title"],
        "artist_name": row["artist__name"],
        "artist_id": row["artist_id"],
        "album_id": row["album_id"],
        "duration_ms": row["duration_ms"],
        "preview_url": row["preview_url"] or None,
        "cover_url": row["cover_url"] or row["album__cover_url"] or None,
        "external_id": row["external_id"],
        "explicit": row["explicit"],
    }


def main_tags(track_ids: Collection[int]) -> dict[int, str]:
    """The name of each track's strongest tag, a genre before any other; a track without tags is not in it."""
    genre_first = Case(When(tag__kind=Tag.Kind.GENRE, then=0), default=1)
    rows = TrackTag.objects.filter(track__in=track_ids).order_by(genre_first, "-weight", "tag__name")
    strongest_last = reversed(list(rows.values_list("track_id", "tag__name")))
    return dict(strongest_last)
