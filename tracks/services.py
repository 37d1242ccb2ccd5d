"""Bring imported records into the catalogue."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction

from importers.records import RefusedRow, TrackRecord
from tracks.match_keys import match_key
from tracks.models import Album, Artist, Catalogue, Tag, Track, TrackTag
from tracks.selectors import ids_by_external_id

_IN_AT_ONCE = 10_000  # SQLite takes 32,766 parameters a query
_FEATURES = ("tempo", "energy", "valence", "danceability", "acousticness")
PLAIN_FIELDS = ("title", "duration_ms", "isrc", "mbid", "preview_url", "cover_url", *_FEATURES)


@dataclass
class CatalogueChange:
    """What became of a batch of records."""

    added: int = 0
    updated: int = 0
    refusals: list[RefusedRow] = field(default_factory=list)


@transaction.atomic
def upsert_tracks(records: Iterable[TrackRecord]) -> CatalogueChange:
    """Add the tracks not seen before; on those seen, change what a record states differently. Nothing stated is
    nothing changed: a file of plays that names only titles does not empty a catalogue."""
    change = CatalogueChange()
    batch = _refuse_taken(_merged(records), change)
    artists = _artists(batch)
    albums = _albums(batch, artists)
    known = {t.external_id: t for t in Track.objects.filter(external_id__in=[r.external_id for r in batch])}
    new = [r for r in batch if r.external_id not in known]
    Track.objects.bulk_create(
        [Track(external_id=r.external_id, **_stated(r, artists, albums)) for r in new],
        ignore_conflicts=True,  # another import was first
    )
    changed = [t for r in batch if (t := known.get(r.external_id)) and _differs(t, _stated(r, artists, albums, t))]
    Track.objects.bulk_update(changed, [*PLAIN_FIELDS, "artist", "album", "match_key"], batch_size=500)
    there = ids_by_external_id(Track, [r.external_id for r in batch])
    for record in new:
        if record.external_id not in there:
            reason = "isrc or mbid: was given to another track in the meantime; import it again"
            change.refusals.append(RefusedRow(record.file, record.line, reason))
    _tag([r for r in batch if r.external_id in there], there)
    change.added, change.updated = sum(r.external_id in there for r in new), len(changed)
    return change


def _merged(records: Iterable[TrackRecord]) -> list[TrackRecord]:
    """One record a track: of several, a later one counts in what it states."""
    merged: dict[str, TrackRecord] = {}
    for record in records:
        before = merged.get(record.external_id)
        stated = {n: v for n, v in record._asdict().items() if v not in (None, "", ())}
        merged[record.external_id] = before._replace(**stated) if before else record
    return list(merged.values())


def _stated(
    record: TrackRecord, artists: dict[str, Artist], albums: dict[str, int], known: Track | None = None
) -> dict[str, Any]:
    """The columns that a record says something about. A made-up title says nothing about a track that is `known`."""
    values = {name: getattr(record, name) for name in PLAIN_FIELDS}
    if known is not None and record.has_placeholder_names:
        values["title"] = known.title
    artist = artists[record.artist_id]
    values |= {"artist_id": artist.pk, "album_id": albums.get(record.album_id)}
    values["match_key"] = match_key(artist.name, values["title"])
    return {name: value for name, value in values.items() if value not in (None, "")}


def _differs(track: Track, stated: dict[str, Any]) -> bool:
    """Bring `track` in line; whether that changed anything."""
    differences = {name: value for name, value in stated.items() if str(getattr(track, name)) != str(value)}
    for name, value in differences.items():
        setattr(track, name, value)
    return bool(differences)


def _refuse_taken(records: list[TrackRecord], change: CatalogueChange) -> list[TrackRecord]:
    """Leave out records whose ISRC or MBID is another track's; each is refused with that track's id."""
    for name in ("isrc", "mbid"):
        wanted = [value for r in records if (value := getattr(r, name))]
        if not wanted:
            continue
        stored = Track.objects.filter(**{f"{name}__in": wanted}).values_list(name, "external_id")
        owner = {str(value): external_id for value, external_id in stored}
        kept = []
        for record in records:
            value = getattr(record, name)
            if value and owner.setdefault(str(value), record.external_id) != record.external_id:
                reason = f"{name}: {value} is the {name} of track {owner[str(value)]!r} already"
                change.refusals.append(RefusedRow(record.file, record.line, reason))
            else:
                kept.append(record)
        records = kept
    return records


def _artists(records: Sequence[TrackRecord]) -> dict[str, Artist]:
    """By outside id, as they are called here: of an artist who is known, the name stays."""
    names = {r.artist_id: r.artist for r in records}
    Artist.objects.bulk_create([Artist(external_id=i, name=n) for i, n in names.items()], ignore_conflicts=True)
    return {str(artist.external_id): artist for artist in Artist.objects.filter(external_id__in=names)}


def _albums(records: Sequence[TrackRecord], artists: dict[str, Artist]) -> dict[str, int]:
    albums = {
        r.album_id: Album(external_id=r.album_id, title=r.album, year=r.year, artist=artists[r.artist_id])
        for r in records
        if r.album_id
    }
    Album.objects.bulk_create(albums.values(), ignore_conflicts=True)
    return ids_by_external_id(Album, albums)


def _tag(records: Sequence[TrackRecord], tracks: dict[str, int]) -> None:
    """Tags are added, and their weights brought up to date; none is taken away."""
    wanted = {(t.name, t.kind) for r in records for t in r.tags}
    if not wanted:
        return
    Tag.objects.bulk_create([Tag(name=n, kind=k) for n, k in sorted(wanted)], ignore_conflicts=True)
    tags = _tag_ids(sorted({name for name, _ in wanted}))
    tagged = [r for r in records if r.tags]
    weights = {(tracks[r.external_id], tags[t.name, t.kind]): t.weight for r in tagged for t in r.tags}
    TrackTag.objects.bulk_create(
        [TrackTag(track_id=track, tag_id=tag, weight=weight) for (track, tag), weight in weights.items()],
        update_conflicts=True,
        unique_fields=["track", "tag"],
        update_fields=["weight"],
    )
    Catalogue.changed()


def _tag_ids(names: Sequence[str]) -> dict[tuple[str, str], int]:
    chunks = (names[start : start + _IN_AT_ONCE] for start in range(0, len(names), _IN_AT_ONCE))
    return {(t.name, t.kind): t.pk for chunk in chunks for t in Tag.objects.filter(name__in=chunk)}
