"""Write the catalogue.

Every function that changes anything gives the catalogue a new revision in the same transaction. New tracks do so, too:
cached answers without them are still right, but the tracks that a blocked artist or album stands for are cached by the
revision as well.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from access.services import new_revision
from importers.records import RefusedRow, TrackRecord
from tracks.match_keys import make_match_key
from tracks.models import Album, Artist, Catalogue, Tag, Track, TrackTag
from tracks.selectors import ids_by_external_id

BATCH_SIZE = 10_000  # SQLite accepts 32,766 parameters per query
AUDIO_FEATURES = ("tempo", "energy", "valence", "danceability", "acousticness")
PLAIN_FIELDS = ("title", "duration_ms", "isrc", "mbid", "preview_url", "cover_url", *AUDIO_FEATURES)


def bump_catalogue_revision() -> None:
    """Give the catalogue a new revision, which makes everything cached of it out of date when this is committed."""
    Catalogue.objects.bulk_create(
        [Catalogue(pk=1, revision=new_revision())],
        update_conflicts=True,
        unique_fields=["pk"],
        update_fields=["revision"],
    )


@transaction.atomic
def save_track(track: Track) -> None:
    """Save a track with its match key."""
    track.match_key = make_match_key(track.artist.name, track.title)
    track.save()
    bump_catalogue_revision()


@transaction.atomic
def save_artist(artist: Artist) -> None:
    """Save an artist, and update the match keys of their tracks, which contain the artist's name."""
    artist.save()
    outdated = []
    for track in Track.objects.filter(artist=artist).only("title", "match_key"):
        key = make_match_key(artist.name, track.title)
        if key != track.match_key:
            track.match_key = key
            outdated.append(track)
    Track.objects.bulk_update(outdated, ["match_key"], batch_size=500)
    bump_catalogue_revision()


@transaction.atomic
def set_taken_down(track_ids: Collection[int], taken_down_at: datetime | None) -> None:
    """Take tracks down, or offer them again if `taken_down_at` is None."""
    Track.objects.filter(pk__in=track_ids).update(taken_down_at=taken_down_at)
    bump_catalogue_revision()


@transaction.atomic
def delete_from_catalogue(rows: QuerySet[Track] | QuerySet[Artist] | QuerySet[Album] | QuerySet[Tag]) -> None:
    """Delete tracks with their interactions, artists with their tracks, albums without their tracks, or tags.

    The new revision makes the answers of all listeners obsolete, so that deleted interactions stop counting at once.
    """
    rows.delete()
    bump_catalogue_revision()


@dataclass
class CatalogueChange:
    """The result of importing a batch of records."""

    added: int = 0
    updated: int = 0
    refusals: list[RefusedRow] = field(default_factory=list)


@transaction.atomic
def upsert_tracks(records: Iterable[TrackRecord]) -> CatalogueChange:
    """Add new tracks, and update existing tracks in the fields that a record states.

    Empty fields change nothing: a file of plays that names only titles does not empty a catalogue.
    """
    change = CatalogueChange()
    batch = _refuse_duplicates(_merge_records(records), change)
    existing = {t.external_id: t for t in Track.objects.filter(external_id__in=[r.external_id for r in batch])}
    batch = [r for r in batch if not (r.is_placeholder and r.external_id in existing)]
    artists = _get_or_create_artists(batch)
    albums = _get_or_create_albums(batch, artists)
    new_records = [r for r in batch if r.external_id not in existing]
    Track.objects.bulk_create(
        [Track(external_id=r.external_id, **_stated_fields(r, artists, albums)) for r in new_records],
        ignore_conflicts=True,  # another import may have added the same track since
    )
    changed_tracks = []
    for record in batch:
        track = existing.get(record.external_id)
        if track and _apply(track, _stated_fields(record, artists, albums, track)):
            changed_tracks.append(track)
    Track.objects.bulk_update(changed_tracks, [*PLAIN_FIELDS, "artist", "album", "match_key"], batch_size=500)
    track_ids = ids_by_external_id(Track, [r.external_id for r in batch])
    for record in new_records:
        if record.external_id not in track_ids:
            reason = "isrc or mbid: another import has just used it for a different track; import the row again"
            change.refusals.append(RefusedRow(record.file, record.line, reason))
    tagged = _add_tags([r for r in batch if r.external_id in track_ids and r.tags], track_ids)
    change.added = sum(r.external_id in track_ids for r in new_records)
    change.updated = len(changed_tracks)
    if change.added or change.updated or tagged:
        bump_catalogue_revision()
    return change


def _merge_records(records: Iterable[TrackRecord]) -> list[TrackRecord]:
    """Return one record per track. Of several, a later one overrides the fields that it states."""
    merged: dict[str, TrackRecord] = {}
    for record in records:
        previous = merged.get(record.external_id)
        stated = {name: value for name, value in record._asdict().items() if value not in (None, "", ())}
        merged[record.external_id] = previous._replace(**stated) if previous else record
    return list(merged.values())


def _refuse_duplicates(records: list[TrackRecord], change: CatalogueChange) -> list[TrackRecord]:
    """Return the records without those whose ISRC or MBID belongs to another track; these are refused."""
    for name in ("isrc", "mbid"):
        values = [value for r in records if (value := getattr(r, name))]
        if not values:
            continue
        stored = Track.objects.filter(**{f"{name}__in": values}).values_list(name, "external_id")
        owners = {str(value): external_id for value, external_id in stored}
        accepted = []
        for record in records:
            value = getattr(record, name)
            if value and owners.setdefault(str(value), record.external_id) != record.external_id:
                reason = f"{name}: {value} is the {name} of track {owners[str(value)]!r} already"
                change.refusals.append(RefusedRow(record.file, record.line, reason))
            else:
                accepted.append(record)
        records = accepted
    return records


def _get_or_create_artists(records: Sequence[TrackRecord]) -> dict[str, Artist]:
    """Return the artists by external id. Existing artists keep their names."""
    names = {r.artist_id: r.artist for r in records}
    Artist.objects.bulk_create([Artist(external_id=i, name=n) for i, n in names.items()], ignore_conflicts=True)
    return {str(artist.external_id): artist for artist in Artist.objects.filter(external_id__in=names)}


def _get_or_create_albums(records: Sequence[TrackRecord], artists: dict[str, Artist]) -> dict[str, int]:
    """Return the ids of the albums by external id."""
    albums = {
        r.album_id: Album(external_id=r.album_id, title=r.album, year=r.year, artist=artists[r.artist_id])
        for r in records
        if r.album_id
    }
    Album.objects.bulk_create(albums.values(), ignore_conflicts=True)
    return ids_by_external_id(Album, albums)


def _stated_fields(
    record: TrackRecord, artists: dict[str, Artist], albums: dict[str, int], existing_track: Track | None = None
) -> dict[str, Any]:
    """Return the column values that a record states. A placeholder title does not rename an existing track."""
    values = {name: getattr(record, name) for name in PLAIN_FIELDS}
    if existing_track is not None and record.has_placeholder_names:
        values["title"] = existing_track.title
    artist = artists[record.artist_id]
    values |= {"artist_id": artist.pk, "album_id": albums.get(record.album_id)}
    values["match_key"] = make_match_key(artist.name, values["title"])
    return {name: value for name, value in values.items() if value not in (None, "")}


def _apply(track: Track, fields: dict[str, Any]) -> bool:
    """Set the fields on a track and return whether any of them has changed."""
    # Compared as text, because records hold a UUID where the column may hold a string.
    changed = {name: value for name, value in fields.items() if str(getattr(track, name)) != str(value)}
    for name, value in changed.items():
        setattr(track, name, value)
    return bool(changed)


def _add_tags(records: Sequence[TrackRecord], track_ids: dict[str, int]) -> bool:
    """Add tags to tracks and update their weights; return whether there were any. No tag is removed."""
    tags = sorted({(tag.name, tag.kind) for r in records for tag in r.tags})
    if not tags:
        return False
    Tag.objects.bulk_create([Tag(name=name, kind=kind) for name, kind in tags], ignore_conflicts=True)
    tag_ids: dict[tuple[str, str], int] = {}
    names = sorted({name for name, _ in tags})
    for start in range(0, len(names), BATCH_SIZE):
        for tag in Tag.objects.filter(name__in=names[start : start + BATCH_SIZE]):
            tag_ids[tag.name, tag.kind] = tag.pk
    weights = {(track_ids[r.external_id], tag_ids[t.name, t.kind]): t.weight for r in records for t in r.tags}
    TrackTag.objects.bulk_create(
        [TrackTag(track_id=track, tag_id=tag, weight=weight) for (track, tag), weight in weights.items()],
        update_conflicts=True,
        unique_fields=["track", "tag"],
        update_fields=["weight"],
    )
    return True
