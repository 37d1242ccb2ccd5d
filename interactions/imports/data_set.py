"""Import catalogues and plays of many listeners from files.

Files are streamed, rows that cannot be stored are reported while the others are imported, and repeating an import adds
nothing.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from access.selectors import consent_by_user_id
from access.services import get_or_create_user_ids
from importers import IMPORTERS
from importers.records import PlayRecord, Record, RefusedRow, TrackRecord
from interactions.bulk import NewInteraction, insert_interactions
from interactions.listenbrainz.services import match_waiting_listens
from interactions.services import refresh_popular_tracks
from tracks.imports import import_tracks
from tracks.models import Track
from tracks.selectors import ids_by_external_id

BATCH_SIZE = 5_000  # records held at a time: about 5 MB
_NO_CONSENT = "user: this listener does not consent to storing plays (consent is off), or their account is closed"


@dataclass
class ImportReport:
    """How many rows were stored, were stored already, or were refused."""

    tracks_added: int = 0
    tracks_updated: int = 0
    plays_added: int = 0
    plays_known: int = 0
    refused: int = 0

    def __str__(self) -> str:
        return (
            f"{self.tracks_added:,} tracks added, {self.tracks_updated:,} changed; {self.plays_added:,} plays added, "
            f"{self.plays_known:,} known already; {self.refused:,} refused"
        )


def import_data_set(
    format: str,
    paths: Sequence[Path],
    *,
    namespace: str,
    as_of: int,
    on_bytes: Callable[[int], None] = lambda n: None,
    on_refused_row: Callable[[RefusedRow], None] = lambda row: None,
    on_batch: Callable[[ImportReport], None] = lambda report: None,
) -> ImportReport:
    """Import files of catalogues and plays, and return how many rows were stored.

    Args:
        format: a name in `importers.IMPORTERS`.
        paths: files or folders, as the format expects them.
        namespace: the prefix of ids from the files (`namespace:id`); "" for none.
        as_of: the UNIX second of plays that carry no time.
        on_bytes: called with the number of bytes read since its last call.
        on_refused_row: called with every row that is not stored.
        on_batch: called with the report so far after each batch is stored.

    Raises:
        FormatError: a file cannot be read. What was read before it stays imported.
    """
    data_set_import = _DataSetImport(f"import:{format}", on_refused_row, on_batch)
    records = IMPORTERS[format].read(paths, namespace=namespace, as_of=as_of, on_bytes=on_bytes)
    try:
        for record in records:
            data_set_import.add(record)
    finally:  # if a file turns out to be damaged, the records before the damage are stored
        data_set_import.flush()
        match_waiting_listens()
        refresh_popular_tracks()
    return data_set_import.report


@dataclass
class _DataSetImport:
    """A buffer of records, which are stored in batches."""

    source: str
    on_refused_row: Callable[[RefusedRow], None]
    on_batch: Callable[[ImportReport], None]
    report: ImportReport = field(default_factory=ImportReport)
    tracks: list[TrackRecord] = field(default_factory=list)
    plays: list[PlayRecord] = field(default_factory=list)

    def add(self, record: Record) -> None:
        match record:
            case TrackRecord():
                self.tracks.append(record)
            case PlayRecord():
                self.plays.append(record)
            case RefusedRow():
                self.refuse(record)
        if max(len(self.tracks), len(self.plays)) >= BATCH_SIZE:
            self.flush()

    def flush(self) -> None:
        if self.tracks:  # before the plays, which may be plays of these tracks
            change = import_tracks(self.tracks)
            self.report.tracks_added += change.added
            self.report.tracks_updated += change.updated
            for row in change.refusals:
                self.refuse(row)
            self.tracks = []
        if self.plays:
            interactions = list(self._build_interactions(self.plays))
            added = insert_interactions(interactions)
            self.report.plays_added += added
            self.report.plays_known += len(interactions) - added
            self.plays = []
        self.on_batch(self.report)

    def refuse(self, row: RefusedRow) -> None:
        self.report.refused += 1
        self.on_refused_row(row)

    def _build_interactions(self, plays: Sequence[PlayRecord]) -> Iterator[NewInteraction]:
        """Yield the interactions of the plays that may be stored, and refuse the others."""
        track_ids = ids_by_external_id(Track, {play.track for play in plays})
        user_ids = get_or_create_user_ids({play.user for play in plays if play.track in track_ids})
        has_consent = consent_by_user_id(user_ids.values())
        for play in plays:
            # Reasons do not name the listener, since lists of refused rows outlive an account.
            if play.track not in track_ids:
                reason = f"track: {play.track!r} is not in the catalogue; import it first, or add title and artist"
            elif play.user not in user_ids:
                reason = "user: this listener was erased on request, and is not created again"
            elif not has_consent.get(user_ids[play.user], False):
                reason = _NO_CONSENT
            else:
                yield NewInteraction(
                    user_id=user_ids[play.user],
                    track_id=track_ids[play.track],
                    kind=play.kind,
                    played_at=datetime.fromtimestamp(play.time, UTC),
                    plays=play.plays,
                    ms_played=play.ms_played,
                    milestone=play.milestone,
                    is_completed=play.is_completed,
                    session_id=play.session,
                    device=play.device,
                    context=play.context,
                    source=self.source,
                    event_id=UUID(bytes=play.event_id),
                )
                continue
            self.refuse(RefusedRow(play.file, play.line, reason))
