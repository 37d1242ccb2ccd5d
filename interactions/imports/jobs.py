"""Histories that listeners upload: a row and a file each, taken in one behind the other in the background.

Whoever works on one holds a lock on its file, which ends with the process: a job whose process was killed is found by
the next start, and begun again. What is in the tables already is not added twice.
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
from django.db import transaction
from django.utils import timezone

from access.selectors import consent_by_user_id
from access.services import lock_user
from common.background import start_background_task
from importers import histories
from importers.errors import FormatError
from importers.records import RefusedRow
from interactions.imports.listening_history import HistoryImportReport, ImportNotAllowed, import_history
from interactions.models import HistoryImport

logger = logging.getLogger(__name__)
Status = HistoryImport.Status
UNFINISHED = [Status.WAITING, Status.RUNNING]
MAX_UNFINISHED_IMPORTS = 3  # of one listener
SHOWN_REFUSALS = 20
ORPHANED_S = 3_600  # a file without a row, so long after it was written, is nobody's
RESTARTED = "interrupted, and begun again"


class ImportLimitReached(Exception):
    """The listener has uploads that wait."""


class ImportDeleted(Exception):
    """The job's row is not there any more: its listener was erased."""


def upload_folder() -> Path:
    """Of the uploaded files. All web processes and workers must see the same one."""
    path: Path = settings.VAR_DIR / "uploads"
    path.mkdir(parents=True, exist_ok=True)
    return path


def check_upload(user_id: int) -> None:
    """Before the body is read. Raises ImportNotAllowed or TooMany."""
    if not consent_by_user_id([user_id]).get(user_id, False):
        raise ImportNotAllowed("the listener's consent is off, so no history is kept")
    if HistoryImport.objects.filter(user=user_id, status__in=UNFINISHED).count() >= MAX_UNFINISHED_IMPORTS:
        raise ImportLimitReached


def create_import(user_id: int, format: str, file: Path) -> HistoryImport:
    """Make a job of an uploaded file, which is moved, and start it. Raises ImportNotAllowed, TooMany or
    BrokerUnavailable: then
    there is neither."""
    job = HistoryImport(user_id=user_id, format=format, bytes_total=file.stat().st_size)
    file.rename(kept := _file(job.pk))
    try:
        with transaction.atomic():
            lock_user(user_id)  # of several uploads at once each sees those before it
            check_upload(user_id)
            job.save(force_insert=True)
        start_importing()
    except BaseException:
        HistoryImport.objects.filter(pk=job.pk).delete()
        kept.unlink(missing_ok=True)
        raise
    return job


def start_importing() -> None:
    """Raises BrokerUnavailable."""
    from interactions.tasks import import_histories  # which imports this

    start_background_task(import_histories, command=["import_uploads"], log="imports.log")


def run_pending_imports() -> str:
    """Take in what was uploaded, and what a killed process left; gives a sentence."""
    _remove_orphans()
    done = 0
    while job := _next():
        done += 1
        logger.info("history import %s: %s", job.pk, job.status)
    return f"{done} imports"


def delete_uploads(user_id: int) -> None:
    """Remove the files of a listener; whoever works on one notices that its row is gone."""
    for pk in HistoryImport.objects.filter(user=user_id).values_list("pk", flat=True):
        _file(pk).unlink(missing_ok=True)


def _next() -> HistoryImport | None:
    """Work on the oldest job that nobody works on; None where there is none."""
    for pk in HistoryImport.objects.filter(status__in=UNFINISHED).order_by("created_at").values_list("pk", flat=True):
        with _held(pk) as mine:
            job = HistoryImport.objects.filter(pk=pk, status__in=UNFINISHED).first() if mine else None
            if job is not None:
                _work(job)
                return job
    return None


@contextmanager
def _held(pk: UUID) -> Iterator[bool]:
    """Whether nobody else works on the job. A job without its file is nobody's, and is told so."""
    try:
        file = _file(pk).open("rb")
    except FileNotFoundError:
        lost = {"status": Status.FAILED, "detail": "the file is gone; upload it again", "finished_at": timezone.now()}
        HistoryImport.objects.filter(pk=pk, status__in=UNFINISHED).update(**lost)
        yield False
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def _work(job: HistoryImport) -> None:
    """To its end, whichever it is. The file goes with it."""
    try:
        if job.status == Status.RUNNING and job.detail == RESTARTED:
            _end(job, Status.FAILED, "was interrupted twice; upload smaller parts of it")
        else:
            _begin(job)
            _import(job)
    except ImportDeleted:
        pass
    except (FormatError, ImportNotAllowed) as error:
        _end(job, Status.FAILED, str(error))
    except Exception:
        logger.exception("history import %s failed", job.pk)
        _end(job, Status.FAILED, "something went wrong here; the log has it")
    _file(job.pk).unlink(missing_ok=True)


def _begin(job: HistoryImport) -> None:
    again = RESTARTED if job.status == Status.RUNNING else ""
    _write(job, status=Status.RUNNING, detail=again, bytes_done=0)
    _write(job, bytes_total=histories.total_bytes([_file(job.pk)], job.format))
    if job.format == histories.AUTO:
        _write(job, format=histories.detect_format(_file(job.pk)))


def _import(job: HistoryImport) -> None:
    refusals: list[str] = []
    done = 0

    def count(read: int) -> None:
        nonlocal done
        done += read

    def show(refusal: RefusedRow) -> None:
        if len(refusals) < SHOWN_REFUSALS:
            refusals.append(f"{refusal.file}:{refusal.line}: {refusal.reason}")

    def write(report: HistoryImportReport) -> None:
        _write(job, bytes_done=done, **_counts(report))

    path = _file(job.pk)
    report = import_history(job.user_id, [path], job.format, on_bytes=count, on_refused_row=show, on_batch=write)
    _write(job, bytes_done=job.bytes_total, **_counts(report))
    _end(job, Status.DONE, "\n".join(refusals))


def _counts(report: HistoryImportReport) -> dict[str, int]:
    return {"added": report.added, "known": report.known, "unmatched": report.unmatched, "refused": report.refused}


def _end(job: HistoryImport, status: str, detail: str) -> None:
    said = detail.replace(str(job.pk), "upload")  # the file's name here says nothing to its owner
    HistoryImport.objects.filter(pk=job.pk).update(status=status, detail=said, finished_at=timezone.now())
    job.status = status


def _write(job: HistoryImport, **columns: Any) -> None:
    """Raises Gone."""
    if not HistoryImport.objects.filter(pk=job.pk).update(**columns):
        raise ImportDeleted
    for name, value in columns.items():
        setattr(job, name, value)


def _remove_orphans() -> None:
    """What a killed upload or an erased listener left."""
    old = [path for path in upload_folder().iterdir() if time() - path.stat().st_mtime > ORPHANED_S]
    rows = {str(pk) for pk in HistoryImport.objects.filter(status__in=UNFINISHED).values_list("pk", flat=True)}
    for path in old:
        if path.name not in rows:
            path.unlink(missing_ok=True)


def _file(pk: UUID) -> Path:
    return upload_folder() / str(pk)
