from collections.abc import Collection, Iterator
from functools import lru_cache
from typing import Any

import numpy as np
from django.db.models import Case, Count, F, Q, Subquery, When
from numpy.typing import NDArray

from common.http.references import INT64_MAX, ExternalId
from tracks.match_keys import normalize_tag
from tracks.models import Album, Artist, Catalogue, Tag, Track, TrackTag

CardFields = dict[str, Any]
MAX_NEIGHBOURS = 200  # content neighbours by artist and album, and again by tags
_CARD_COLUMNS = [
    *("pk", "external_id", "title", "artist_id", "artist__name", "album_id", "duration_ms", "preview_url"),
    *("cover_url", "album__cover_url", "explicit"),
]
# Normalizing the names of 12,000 tags takes a tenth of a second, and a radio may have 50 seeds by name.
_normalize_stored_name = lru_cache(maxsize=1 << 16)(normalize_tag)


def track_cards(track_ids: Collection[int]) -> dict[int, CardFields]:
    """Return the card of each track (the fields that a list shows) by id, without tracks that do not exist."""
    return {row["pk"]: _card(dict(row)) for row in Track.objects.filter(pk__in=track_ids).values(*_CARD_COLUMNS)}


def artist_cards(artist_ids: Collection[int]) -> dict[int, CardFields]:
    """Return what lists show of each artist by id, without artists that do not exist."""
    rows = Artist.objects.filter(pk__in=artist_ids).values("name", "external_id", "mbid", artist_id=F("pk"))
    return {row["artist_id"]: dict(row) for row in rows}


def album_cards(album_ids: Collection[int]) -> dict[int, CardFields]:
    """Return what lists show of each album by id, without albums that do not exist."""
    columns = ("title", "artist_id", "year", "released_on", "cover_url", "external_id", "mbid")
    rows = Album.objects.filter(pk__in=album_ids).values(*columns, album_id=F("pk"), artist_name=F("artist__name"))
    return {
        row["album_id"]: dict(row)
        | {
            "year": row["year"] or (row["released_on"].year if row["released_on"] else None),
            "cover_url": row["cover_url"] or None,
        }
        for row in rows
    }


def track_cards_with_availability(track_ids: Collection[int]) -> Iterator[tuple[CardFields, bool, str]]:
    """Yield the card of each track, whether it is taken down, and its markets."""
    for row in Track.objects.filter(pk__in=track_ids).values(*_CARD_COLUMNS, "taken_down_at", "markets"):
        yield _card(dict(row)), row["taken_down_at"] is not None, row["markets"]


def catalogue_revision_subquery() -> Subquery:
    """Return a subquery for the revision of the catalogue; NULL if the catalogue has never changed."""
    return Subquery(Catalogue.objects.values("revision")[:1])


def catalogue_revision() -> int | None:
    return Catalogue.objects.values_list("revision", flat=True).first()


def track_details(track_id: int) -> dict[str, Any] | None:
    """Return the fields of a track's own page, or None if the track does not exist."""
    track = Track.objects.select_related("artist", "album").filter(pk=track_id).first()
    if track is None:
        return None
    tags = track.track_tags.order_by("-weight", "tag__name").values(
        "tag_id", "weight", name=F("tag__name"), kind=F("tag__kind")
    )
    released_on = track.released_on or (track.album.released_on if track.album else None)
    return track_cards([track_id])[track_id] | {
        "album_title": track.album.title if track.album else None,
        "year": (track.album.year if track.album else None) or (released_on.year if released_on else None),
        "released_on": released_on,
        "isrc": track.isrc,
        "mbid": track.mbid,
        "tempo": track.tempo,
        "energy": track.energy,
        "valence": track.valence,
        "danceability": track.danceability,
        "acousticness": track.acousticness,
        "markets": track.markets.split(),
        "available": track.taken_down_at is None,
        "tags": list(tags),
    }


def find_track_id(reference: int | ExternalId) -> int | None:
    """Return the id of the track that a reference names, or None if there cannot be such a track; see `find_ids`."""
    return find_ids(Track, [reference]).get(reference)


def find_ids(
    model: type[Track | Album | Artist], references: Collection[int | ExternalId]
) -> dict[int | ExternalId, int]:
    """Return the ids of the tracks, albums or artists that references name, without rows that cannot exist.

    Integers need no query and are returned whether or not the rows exist; external ids are looked up in one query.
    """
    texts = [reference.text for reference in references if isinstance(reference, ExternalId)]
    by_text = ids_by_external_id(model, texts) if texts else {}
    ids: dict[int | ExternalId, int] = {ExternalId(text): row_id for text, row_id in by_text.items()}
    return ids | {i: i for i in references if isinstance(i, int) and 0 <= i <= INT64_MAX}


def target_exists(kind: str, target_id: int) -> bool:
    """Return whether there is an artist, album, track or genre with this id."""
    managers = {"artist": Artist.objects, "album": Album.objects, "track": Track.objects}
    if kind == "genre":
        return Tag.objects.filter(pk=target_id, kind=Tag.Kind.GENRE).exists()
    return managers[kind].filter(pk=target_id).exists()


def find_tags(name: str, kind: str | None = None) -> list[Tag]:
    """Return the tags with a name, however it is written, of one kind or of any; first those that are written like it.

    Neither database folds capitals and accents like `normalize_tag`, so the names of all tags are read.
    """
    normalized, tags = normalize_tag(name), Tag.objects.all() if kind is None else Tag.objects.filter(kind=kind)
    named = [pk for pk, other in tags.values_list("pk", "name") if _normalize_stored_name(other) == normalized]
    return sorted(Tag.objects.filter(pk__in=named), key=lambda tag: (tag.name != name, tag.pk))


def load_genres_of_tracks(track_ids: Collection[int]) -> list[tuple[int, str, int]]:
    """Return the genres of some tracks: the id and the name of a tag, and a track that has it."""
    rows = TrackTag.objects.filter(track__in=track_ids, tag__kind=Tag.Kind.GENRE)
    return list(rows.values_list("tag_id", "tag__name", "track_id"))


def load_track_ids_of_tags(tag_ids: Collection[int]) -> NDArray[np.int64]:
    """Return the ids of the tracks that have one of some tags: int64 (n,), ascending."""
    ids = TrackTag.objects.filter(tag__in=tag_ids).order_by().values_list("track_id", flat=True)
    return np.unique(np.fromiter(ids.iterator(), np.int64))


def track_durations(track_ids: Collection[int]) -> dict[int, int | None]:
    """Return the lengths of tracks in milliseconds by id, None if unknown, without tracks that do not exist."""
    return dict(Track.objects.filter(pk__in=track_ids).values_list("pk", "duration_ms"))


def ids_by_external_id(model: type[Track | Album | Artist], external_ids: Collection[str]) -> dict[str, int]:
    """Return the ids of tracks, albums or artists by external id, without those that do not exist."""
    rows = model.objects.filter(external_id__in=external_ids).values_list("external_id", "pk")
    return {str(external_id): pk for external_id, pk in rows}


def load_track_ids(limit: int | None = None) -> NDArray[np.int64]:
    """Return the ids of all tracks, or of the first `limit`: int64 (n,), ascending."""
    ids = Track.objects.order_by("pk").values_list("pk", flat=True)[:limit]
    return np.fromiter(ids.iterator(), np.int64)  # in chunks, because a process does not give memory back


def load_newest_track_ids(after: int, limit: int) -> NDArray[np.int64]:
    """Return the `limit` greatest ids of tracks that are greater than `after`: int64 (n,), ascending."""
    ids = Track.objects.filter(pk__gt=after).order_by("-pk").values_list("pk", flat=True)[:limit]
    return np.fromiter(ids.iterator(), np.int64)[::-1].copy()


def content_neighbours(track_id: int) -> list[tuple[int, float]]:
    """Return tracks similar to one that nobody has played yet, as pairs of track id and score, best first.

    The score is 1 for the same artist, plus 1 for the same album, plus the share of the track's tags that both have.
    A track that has just been deleted has none.
    """
    track = Track.objects.filter(pk=track_id).first()
    if track is None:
        return []
    scores: dict[int, float] = {}
    related = Track.objects.filter(Q(artist=track.artist_id) | Q(album=track.album_id, album__isnull=False))
    same_album_first = Case(When(album=track.album_id, then=0), default=1), "pk"
    rows = related.exclude(pk=track_id).values_list("pk", "artist_id", "album_id").order_by(*same_album_first)
    for other, artist, album in rows[:MAX_NEIGHBOURS]:
        scores[other] = (artist == track.artist_id) + (album is not None and album == track.album_id)
    tags = list(TrackTag.objects.filter(track=track_id).values_list("tag_id", flat=True))
    tagged = TrackTag.objects.filter(tag__in=tags).exclude(track=track_id).values_list("track_id")
    for other, count in tagged.annotate(n=Count("pk")).order_by("-n", "track_id")[:MAX_NEIGHBOURS]:
        scores[other] = scores.get(other, 0) + count / len(tags)
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))


def album_titles(album_ids: Collection[int]) -> dict[int, str]:
    """Return the titles of albums by id, without those that do not exist."""
    return dict(Album.objects.filter(pk__in=album_ids).values_list("pk", "title"))


def main_tags(track_ids: Collection[int]) -> dict[int, str]:
    """Return the name of each track's strongest tag, preferring genres, without tracks that have no tags."""
    genre_first = Case(When(tag__kind=Tag.Kind.GENRE, then=0), default=1)
    rows = TrackTag.objects.filter(track__in=track_ids).order_by(genre_first, "-weight", "tag__name")
    strongest_last = reversed(list(rows.values_list("track_id", "tag__name")))
    return dict(strongest_last)


def tags_by_track(track_ids: Collection[int]) -> dict[int, list[str]]:
    """Return the names of the tags of each track, the strongest first, without tracks that have no tags."""
    rows = TrackTag.objects.filter(track__in=track_ids).order_by("-weight", "tag__name")
    names: dict[int, list[str]] = {}
    for track_id, name in rows.values_list("track_id", "tag__name"):
        names.setdefault(track_id, []).append(name)
    return names


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
