"""Bring a listening history into the tables: streamed, repeatable, never losing a good row to a bad one."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from access.selectors import consent_by_user_id
from access.services import get_or_create_user_ids
from importers import FORMATS
from importers.records import PlayRecord, Record, RefusedRow, TrackRecord
from interactions.bulk import NewInteraction, insert_interactions
from interactions.listenbrainz.services import match_waiting_listens
from interactions.services import refresh_popular_tracks
from tracks.models import Track
from tracks.selectors import ids_by_external_id
from tracks.services import upsert_tracks

BATCH = 5_000  # records held at a time: about 5 MB


@dataclass
class ImportReport:
    """What became of the rows. refused: how many; `on_refusal` has seen each."""

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


@dataclass
class _Import:
    source: str
    on_refused_row: Callable[[RefusedRow], None]
    report: ImportReport = field(default_factory=ImportReport)
    tracks: list[TrackRecord] = field(default_factory=list)
    plays: list[PlayRecord] = field(default_factory=list)

    def take(self, record: Record) -> None:
        match record:
            case TrackRecord():
                self.tracks.append(record)
            case PlayRecord():
                self.plays.append(record)
            case RefusedRow():
                self.refuse(record)
        if max(len(self.tracks), len(self.plays)) >= BATCH:
            self.flush()

    def flush(self) -> None:
        """Tracks first: the plays may be theirs."""
        if self.tracks:
            change = upsert_tracks(self.tracks)
            self.report.tracks_added += change.added
            self.report.tracks_updated += change.updated
            for refusal in change.refusals:
                self.refuse(refusal)
            self.tracks = []
        if self.plays:
            rows = list(self._rows(self.plays))
            added = insert_interactions(rows)
            self.report.plays_added += added
            self.report.plays_known += len(rows) - added
            self.plays = []

    def refuse(self, refusal: RefusedRow) -> None:
        self.report.refused += 1
        self.on_refused_row(refusal)

    def _rows(self, plays: Sequence[PlayRecord]) -> Iterator[NewInteraction]:
        tracks = ids_by_external_id(Track, {p.track for p in plays})
        users = get_or_create_user_ids({p.user for p in plays if p.track in tracks})
        agreeing = consent_by_user_id(users.values())
        for play in plays:
            if reason := _fault(play, tracks, users, agreeing):
                self.refuse(RefusedRow(play.file, play.line, reason))
            else:
                yield _row(play, users[play.user], tracks[play.track], self.source)


def import_data_set(
    name: str,
    paths: Sequence[Path],
    *,
    namespace: str,
    as_of: int,
    on_bytes: Callable[[int], None] = lambda n: None,
    on_refused_row: Callable[[RefusedRow], None] = lambda refusal: None,
) -> ImportReport:
    """Import `paths` in the format `name` of `importers`. as_of: the UNIX second of plays that carry no time.

    Raises FormatError for a file that cannot be read at all; what was read before it stays imported.
    """
    running = _Import(f"import:{name}", on_refused_row)
    records = FORMATS[name](paths, namespace=namespace, as_of=as_of, on_bytes=on_bytes)
    try:
        for record in records:
            running.take(record)
    finally:  # what was read before a file turned out to be damaged stays
        running.flush()
        match_waiting_listens()
        refresh_popular_tracks()
    return running.report


def _fault(play: PlayRecord, tracks: dict[str, int], users: dict[str, int], agreeing: dict[int, bool]) -> str:
    """Why a play is not stored. It does not name the listener: the list of refusals outlives them."""
    if play.track not in tracks:
        return f"track: {play.track!r} is not in the catalogue; import it first, or add title and artist"
    if play.user not in users:
        return "user: this listener wished to be forgotten, and is not brought back"
    if not agreeing.get(users[play.user], False):
        return "user: this listener has not agreed that plays are kept (consent is off), or their account is closed"
    return ""


def _row(play: PlayRecord, user_id: int, track_id: int, source: str) -> NewInteraction:
    return NewInteraction(
        user_id=user_id,
        track_id=track_id,
        kind=play.kind,
        played_at=datetime.fromtimestamp(play.time, UTC),
        plays=play.plays,
        ms_played=play.ms_played,
        milestone=play.milestone,
        is_completed=play.is_completed,
        session_id=play.session,
        device=play.device,
        context=play.context,
        source=source,
        event_id=UUID(bytes=play.event_id),
    )
