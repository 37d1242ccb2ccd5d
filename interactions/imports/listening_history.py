"""Import a listener's own history from another service.

Files are streamed. Files and rows that cannot be stored are reported while the others are imported, and repeating an
import adds nothing.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import time

from access.selectors import consent_by_user_id
from importers import histories
from importers.errors import FormatError
from importers.records import FileNote, ListenRecord, RefusedRow
from interactions.imports.reasons import ReasonCounts
from interactions.listenbrainz.services import store_listens
from interactions.services import refresh_popular_tracks

BATCH_SIZE = 2_000  # listens of one transaction
MAX_SHOWN_FILES = 5  # of those that are damaged


class ImportNotAllowed(Exception):
    """Nothing may be imported for this listener; the message says why."""


@dataclass
class HistoryImportReport:
    """How many rows of a history were stored, were stored already, or were refused, and why.

    Attributes:
        known: listens that were stored or waited before, or that the history has twice.
        unmatched: listens that wait from now on, until the catalogue has their tracks.
        refused: rows, including the place from which on a damaged file cannot be read.
        refusals: the reasons for refused rows.
        skipped_files: the reasons for files that are not read.
        notes: what the listener should know about files that are read.
    """

    added: int = 0
    known: int = 0
    unmatched: int = 0
    refused: int = 0
    refusals: ReasonCounts = field(default_factory=lambda: ReasonCounts("rows"))
    skipped_files: ReasonCounts = field(default_factory=lambda: ReasonCounts("files"))
    notes: ReasonCounts = field(default_factory=lambda: ReasonCounts("files"))

    def describe_problems(self) -> str:
        """Return the notes, the skipped files and the refused rows as lines of text."""
        return "\n".join(self.notes.describe() + self.skipped_files.describe() + self.refusals.describe())

    def __str__(self) -> str:
        return (
            f"{self.added:,} listens added, {self.known:,} known already, {self.unmatched:,} newly waiting for "
            f"tracks that the catalogue does not have; {self.refused:,} rows refused"
        )


def import_history(
    user_id: int,
    paths: Sequence[Path],
    format: str = histories.AUTO,
    *,
    on_bytes: Callable[[int], None] = lambda n: None,
    on_refused_row: Callable[[RefusedRow], None] = lambda row: None,
    on_batch: Callable[[HistoryImportReport], None] = lambda report: None,
) -> HistoryImportReport:
    """Import files of one listener's history, and return how many listens were stored.

    Args:
        user_id: the listener.
        paths: files, archives or folders, as they were exported.
        format: a name in `histories.HISTORY_IMPORTERS`, or AUTO to detect it for each file.
        on_bytes: called with the number of bytes read since its last call.
        on_refused_row: called with every row that is not stored.
        on_batch: called with the report so far after each batch is stored.

    Raises:
        ImportNotAllowed: the listener does not exist, or has not given consent.
        FormatError: a path does not exist, or there is not one listen because files are damaged or hold none.
    """
    has_consent = consent_by_user_id([user_id]).get(user_id)
    if has_consent is None:
        raise ImportNotAllowed(f"there is no listener {user_id}, or their account is closed")
    if not has_consent:
        raise ImportNotAllowed("the listener does not consent to storing plays (consent is off)")

    selection = histories.select_files(paths, format)
    report = HistoryImportReport()
    for name, reason in selection.skipped:
        report.skipped_files.add(name, reason)
    damage: list[str] = []

    def add_refused_row(row: RefusedRow) -> None:
        report.refused += 1
        report.refusals.add(f"{row.file}:{row.line}", row.reason, row.kind)
        on_refused_row(row)

    try:
        for selected in selection.files:
            try:
                for batch in _split_into_batches(selected.read(int(time()), on_bytes)):
                    for record in batch:
                        if isinstance(record, RefusedRow):
                            add_refused_row(record)
                        elif isinstance(record, FileNote):
                            report.notes.add(record.file, record.text)
                    listens = [record for record in batch if isinstance(record, ListenRecord)]
                    stored = store_listens(user_id, listens, f"import:{selected.importer.name}")
                    report.added += stored.added
                    report.known += stored.known
                    report.unmatched += stored.unmatched
                    on_batch(report)
            except FormatError as error:
                damage.append(str(error))
                report.refused += 1
                report.skipped_files.add(str(selected.file), str(error).removeprefix(f"{selected.file}: "))
                on_batch(report)
    finally:
        if report.added:
            refresh_popular_tracks()
    if damage and not report.added + report.known + report.unmatched:
        raise FormatError("\n".join(damage[:MAX_SHOWN_FILES]))
    return report


def _split_into_batches(
    records: Iterator[histories.HistoryRecord],
) -> Iterator[list[histories.HistoryRecord]]:
    """Yield batches of BATCH_SIZE records. The records before an error make a batch, too, before it is raised."""
    batch: list[histories.HistoryRecord] = []
    try:
        for record in records:
            batch.append(record)
            if len(batch) == BATCH_SIZE:
                yield batch
                batch = []
    except FormatError:
        yield batch
        raise
    if batch:
        yield batch
