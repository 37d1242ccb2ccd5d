"""Import uploaded histories in the background, one after another. An import is a row and a file.

The process that works on an import holds a lock on its file. The lock ends with the process, so that the next run finds
an import whose process was killed, and starts it again. Listens that are stored already are not stored twice.
"""

import fcntl
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import time
from typing import Any
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from common.database_connections import release_connections
from importers import histories
from importers.errors import FormatError
from interactions.imports.listening_history import HistoryImportReport, ImportNotAllowed, import_history
from interactions.models import HistoryImport

logger = logging.getLogger(__name__)
Status = HistoryImport.Status
UNFINISHED = [Status.WAITING, Status.RUNNING]
ORPHAN_AGE_S = 3_600  # an older file without a row was left behind
RESTARTED = "interrupted, and started again"


class ImportDeleted(Exception):
    """The row of the import was deleted while the import ran: its listener was erased."""


def upload_folder() -> Path:
    """Return the folder of uploaded files, which all web processes and workers must share."""
    path: Path = settings.VAR_DIR / "uploads"
    path.mkdir(parents=True, exist_ok=True)
    return path


def upload_path(import_id: UUID) -> Path:
    return upload_folder() / str(import_id)


def run_pending_imports() -> str:
    """Run the imports that wait, and those that a killed process left unfinished; return a summary."""
    _delete_orphaned_files()
    count = 0
    while job := _run_next_import():
        count += 1
        logger.info("history import %s: %s", job.pk, job.status)
    return f"{count} imports"


def _delete_orphaned_files() -> None:
    """Delete the files that a killed upload or an erased listener left behind."""
    # List the files before the rows: a file is moved here before its row is written.
    old = [path for path in upload_folder().iterdir() if time() - path.stat().st_mtime > ORPHAN_AGE_S]
    unfinished = HistoryImport.objects.filter(status__in=UNFINISHED).values_list("pk", flat=True)
    names = {str(import_id) for import_id in unfinished}
    for path in old:
        if path.name not in names:
            path.unlink(missing_ok=True)


def _run_next_import() -> HistoryImport | None:
    """Run the oldest unfinished import that no other process works on, and return it; None if there is none."""
    unfinished = HistoryImport.objects.filter(status__in=UNFINISHED)
    for import_id in unfinished.order_by("created_at").values_list("pk", flat=True):
        with _lock_file(import_id) as is_locked:
            # Read the row under the lock: another process may just have finished it.
            job = unfinished.filter(pk=import_id).first() if is_locked else None
            if job is not None:
                _run_import(job)
                return job
    return None


@contextmanager
def _lock_file(import_id: UUID) -> Iterator[bool]:
    """Lock the file of an import and yield whether that succeeded. An import whose file is gone is marked as failed."""
    try:
        file = upload_path(import_id).open("rb")
    except FileNotFoundError:
        HistoryImport.objects.filter(pk=import_id, status__in=UNFINISHED).update(
            status=Status.FAILED, detail="the file is gone; upload it again", finished_at=timezone.now()
        )
        yield False
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def _run_import(job: HistoryImport) -> None:
    """Import the file of a job, record the outcome, and delete the file."""
    try:
        if job.status == Status.RUNNING and job.detail == RESTARTED:
            _finish(job, Status.FAILED, "was interrupted twice; upload smaller parts of it")
        else:
            _import_file(job)
    except ImportDeleted:
        pass
    except (FormatError, ImportNotAllowed) as error:
        _finish(job, Status.FAILED, str(error))
    except Exception:
        logger.exception("history import %s failed", job.pk)
        release_connections()  # it may be what failed
        _finish(job, Status.FAILED, "the import failed because of an error in the server; its log has the details")
    upload_path(job.pk).unlink(missing_ok=True)


def _import_file(job: HistoryImport) -> None:
    path = upload_path(job.pk)
    _update(job, status=Status.RUNNING, detail=RESTARTED if job.status == Status.RUNNING else "", bytes_done=0)
    selection = histories.select_files([path], job.format)
    _update(job, bytes_total=selection.total_bytes)
    bytes_done = 0

    def count_bytes(count: int) -> None:
        nonlocal bytes_done
        bytes_done += count

    def update_counts(report: HistoryImportReport) -> None:
        _update(
            job,
            bytes_done=bytes_done,
            added=report.added,
            known=report.known,
            unmatched=report.unmatched,
            refused=report.refused,
        )

    report = import_history(job.user_id, [path], job.format, on_bytes=count_bytes, on_batch=update_counts)
    bytes_done = job.bytes_total
    update_counts(report)
    # Only now: an import that is started again has to detect the format of each file again.
    _update(job, format=selection.files[0].importer.name)
    _finish(job, Status.DONE, report.describe_problems())


def _update(job: HistoryImport, **columns: Any) -> None:
    """Update columns of the job's row. Raises ImportDeleted."""
    if not HistoryImport.objects.filter(pk=job.pk).update(**columns):
        raise ImportDeleted
    for name, value in columns.items():
        setattr(job, name, value)


def _finish(job: HistoryImport, status: str, detail: str) -> None:
    detail = detail.replace(str(job.pk), "upload")  # the stored file's name would mean nothing to the listener
    HistoryImport.objects.filter(pk=job.pk).update(status=status, detail=detail, finished_at=timezone.now())
    job.status = status
