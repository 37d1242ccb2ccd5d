"""Import a listener's own history from another service.

Files are streamed, rows that cannot be stored are reported while the others are imported, and repeating an import adds
nothing.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import time

from access.selectors import consent_by_user_id
from importers import histories
from importers.errors import FormatError
from importers.records import ListenRecord, RefusedRow
from interactions.listenbrainz.services import store_listens
from interactions.services import refresh_popular_tracks

BATCH_SIZE = 2_000  # listens of one transaction


class ImportNotAllowed(Exception):
    """Nothing may be imported for this listener; the message says why."""


@dataclass
class HistoryImportReport:
    """How many rows of a history were stored, were stored already, or were refused.

    Attributes:
        unmatched: listens that wait until the catalogue has their tracks.
    """

    added: int = 0
    known: int = 0
    unmatched: int = 0
    refused: int = 0

    def __str__(self) -> str:
        return (
            f"{self.added:,} listens added, {self.known:,} known already, {self.unmatched:,} of tracks that the "
            f"catalogue does not have; {self.refused:,} rows refused"
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
        paths: files or archives, as they were exported.
        format: a name in `histories.HISTORY_IMPORTERS`, or AUTO to detect it for each file.
        on_bytes: called with the number of bytes read since its last call.
        on_refused_row: called with every row that is not stored.
        on_batch: called with the report so far after each batch is stored.

    Raises:
        ImportNotAllowed: the listener does not exist, or has not given consent.
        FormatError: a file cannot be read. What was read before it stays imported.
    """
    has_consent = consent_by_user_id([user_id]).get(user_id)
    if has_consent is None:
        raise ImportNotAllowed(f"there is no listener {user_id}, or their account is closed")
    if not has_consent:
        raise ImportNotAllowed("the listener does not consent to storing plays (consent is off)")

    report = HistoryImportReport()
    try:
        for path in paths:
            file_format = histories.detect_format(path) if format == histories.AUTO and path.is_file() else format
            records = histories.read_history([path], file_format, now=int(time()), on_bytes=on_bytes)
            for batch in _split_into_batches(records):
                refused_rows = [record for record in batch if isinstance(record, RefusedRow)]
                report.refused += len(refused_rows)
                for row in refused_rows:
                    on_refused_row(row)
                listens = [record for record in batch if isinstance(record, ListenRecord)]
                stored = store_listens(user_id, listens, f"import:{file_format}")
                report.added += stored.added
                report.known += stored.known
                report.unmatched += stored.unmatched
                on_batch(report)
    finally:
        if report.added:
            refresh_popular_tracks()
    return report


def _split_into_batches(
    records: Iterator[ListenRecord | RefusedRow],
) -> Iterator[list[ListenRecord | RefusedRow]]:
    """Yield batches of BATCH_SIZE records. The records before an error make a batch, too, before it is raised."""
    batch: list[ListenRecord | RefusedRow] = []
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
