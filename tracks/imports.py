"""Import the tracks that importers read from files."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db import transaction

from importers.records import RefusedRow, TrackRecord
from tracks.models import Track
from tracks.selectors import ids_by_external_id
from tracks.services import lock_catalogue
from tracks.upserts import TRACK_COLUMNS, upsert_tracks

PLAIN_FIELDS = [name for name in TRACK_COLUMNS if name in TrackRecord._fields and name != "mbid"]


@dataclass
class CatalogueChange:
    """The result of importing a batch of records."""

    added: int = 0
    updated: int = 0
    refusals: list[RefusedRow] = field(default_factory=list)


@transaction.atomic
def import_tracks(records: Iterable[TrackRecord]) -> CatalogueChange:
    """Add new tracks, and update existing tracks in the fields that a record states.

    Empty fields change nothing: a file of plays that names only titles does not empty a catalogue. No tag is removed.
    """
    lock_catalogue()
    merged = _merge_records(records)
    known = ids_by_external_id(Track, [r.external_id for r in merged if r.has_placeholder_names or r.is_placeholder])
    batch = [r for r in merged if not (r.is_placeholder and r.external_id in known)]
    items = [_stated_fields(r, is_known=r.external_id in known) for r in batch]
    change = CatalogueChange()
    for record, outcome in zip(batch, upsert_tracks(items, keep_tags=True), strict=True):
        change.added += outcome.status == "created"
        change.updated += outcome.status == "updated"
        if outcome.status == "rejected":
            reason = "; ".join(f"{name}: {error}" for name, error in outcome.errors.items())
            change.refusals.append(RefusedRow(record.file, record.line, reason))
    return change


def _merge_records(records: Iterable[TrackRecord]) -> list[TrackRecord]:
    """Return one record per track. Of several, a later one overrides the fields that it states."""
    merged: dict[str, TrackRecord] = {}
    for record in records:
        previous = merged.get(record.external_id)
        stated = {name: value for name, value in record._asdict().items() if value not in (None, "", ())}
        merged[record.external_id] = previous._replace(**stated) if previous else record
    return list(merged.values())


def _stated_fields(record: TrackRecord, is_known: bool) -> dict[str, Any]:
    """Return what a record states, as `upsert_tracks` takes it. A placeholder title does not rename a known track."""
    item = {name: value for name in PLAIN_FIELDS if (value := getattr(record, name)) not in (None, "")}
    if record.has_placeholder_names and is_known:
        del item["title"]
    item |= {"external_id": record.external_id, "artist": {"external_id": record.artist_id, "name": record.artist}}
    if record.mbid:
        item["mbid"] = UUID(record.mbid)
    if record.album_id:
        item["album"] = {"external_id": record.album_id, "title": record.album, "year": record.year}
    if record.tags:
        item["tags"] = [tag._asdict() for tag in record.tags]
    return item
