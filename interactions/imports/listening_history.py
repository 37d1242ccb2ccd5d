"""Bring a listener's own history into the tables: streamed, repeatable, never losing a good row to a bad one."""

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

BATCH = 2_000  # listens of one transaction

Read = ListenRecord | RefusedRow


class ImportNotAllowed(Exception):
    """Nothing may be imported for this listener; the message says why."""


@dataclass
class HistoryImportReport:
    """What became of the rows of a history. unmatched: they wait until the catalogue has their tracks."""

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
    on_refused_row: Callable[[RefusedRow], None] = lambda refusal: None,
    on_batch: Callable[[HistoryImportReport], None] = lambda report: None,
) -> HistoryImportReport:
    """Import the files of one listener. on_batch: called with the report so far whenever some of it is written.

    Raises ImportNotAllowed, and FormatError for a file that cannot be read; what was read before it stays imported.
    """
    _check(user_id)
    report = HistoryImportReport()
    try:
        for path in paths:
            name = histories.detect_format(path) if format == histories.AUTO and path.is_file() else format
            records = histories.read_history([path], name, now=int(time()), on_bytes=on_bytes)
            for batch in _batches(records):
                _take(user_id, batch, f"import:{name}", report, on_refused_row)
                on_batch(report)
    finally:
        if report.added:
            refresh_popular_tracks()
    return report


def _batches(records: Iterator[Read]) -> Iterator[list[Read]]:
    """What was read before a file turned out to be damaged is a batch too."""
    batch: list[Read] = []
    try:
        for record in records:
            batch.append(record)
            if len(batch) == BATCH:
                yield batch
                batch = []
    except FormatError:
        yield batch
        raise
    if batch:
        yield batch


def _check(user_id: int) -> None:
    agreed = consent_by_user_id([user_id]).get(user_id)
    if agreed is None:
        raise ImportNotAllowed(f"there is no listener {user_id}, or their account is closed")
    if not agreed:
        raise ImportNotAllowed("the listener has not agreed that what they play is kept (consent is off)")


def _take(
    user_id: int,
    batch: Sequence[Read],
    source: str,
    report: HistoryImportReport,
    on_refused_row: Callable[[RefusedRow], None],
) -> None:
    for record in batch:
        if isinstance(record, RefusedRow):
            report.refused += 1
            on_refused_row(record)
    kept = store_listens(user_id, [record for record in batch if isinstance(record, ListenRecord)], source)
    report.added += kept.added
    report.known += kept.known
    report.unmatched += kept.unmatched


__all__ = ["FormatError", "HistoryImportReport", "ImportNotAllowed", "import_history"]
