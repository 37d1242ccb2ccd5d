from pathlib import Path

from django.db import transaction

from access.selectors import consent_by_user_id
from access.services import lock_user
from common.background import start_background_task
from interactions.imports.jobs import UNFINISHED, upload_path
from interactions.imports.listening_history import ImportNotAllowed
from interactions.models import HistoryImport
from interactions.tasks import import_histories

MAX_UNFINISHED_IMPORTS = 3  # of one listener


class ImportLimitReached(Exception):
    """The listener has as many unfinished imports as they may have."""


def check_upload(user_id: int) -> None:
    """Check that the listener may upload a history; called before the body is read.

    Raises:
        ImportNotAllowed: the listener's consent is off.
        ImportLimitReached: earlier imports are not finished.
    """
    if not consent_by_user_id([user_id]).get(user_id, False):
        raise ImportNotAllowed("the listener does not consent to storing plays (consent is off)")
    if HistoryImport.objects.filter(user=user_id, status__in=UNFINISHED).count() >= MAX_UNFINISHED_IMPORTS:
        raise ImportLimitReached


def create_import(user_id: int, format: str, file: Path) -> HistoryImport:
    """Create an import of an uploaded file, which is moved to `upload_path`, and start it in the background.

    When this raises, neither a row nor a file remains.

    Raises:
        ImportNotAllowed, ImportLimitReached: see `check_upload`, which is repeated here under a lock.
        BrokerUnavailable: the import cannot be started.
    """
    job = HistoryImport(user_id=user_id, format=format, bytes_total=file.stat().st_size)
    path = file.rename(upload_path(job.pk))
    try:
        with transaction.atomic():
            lock_user(user_id)  # of several uploads at the same moment, each counts those before it
            check_upload(user_id)
            job.save(force_insert=True)
        start_background_task(import_histories, command=["import_uploads"], log="imports.log")
    except BaseException:
        HistoryImport.objects.filter(pk=job.pk).delete()
        path.unlink(missing_ok=True)
        raise
    return job


def delete_uploads(user_id: int) -> None:
    """Delete the files of a listener. A process that is importing one notices when the row is deleted, and stops."""
    for import_id in HistoryImport.objects.filter(user=user_id).values_list("pk", flat=True):
        upload_path(import_id).unlink(missing_ok=True)
