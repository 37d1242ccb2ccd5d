"""Erase listeners: close the account at once, and delete the rows about them from every table soon after.

A request to be erased is a row of `erasures`. It is completed when no rows about the listener are left. A run that is
killed anywhere is continued by the next one.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.apps import apps
from django.db import IntegrityError, models, transaction
from django.utils import timezone
from filelock import FileLock, Timeout

from access.models import Erasure, User
from access.selectors import external_id_digest
from access.services import bump_user_revisions
from interactions.imports.services import delete_uploads
from privacy.personal_data import anonymise, personal_data_of, tables_with_data_of
from recommendations.alarms import raise_alarm, resolve_alarms
from recommendations.version_store import version_store
from webhooks.models import WebhookEventType
from webhooks.services import announce

logger = logging.getLogger(__name__)
BATCH = 2_000  # rows per transaction
PAUSE_SECONDS = 0.02  # between transactions, since SQLite has one writer at a time and others may be waiting
GRACE_SECONDS = 2.0  # by then, HTTP requests that began before the account was closed have ended
MAX_ATTEMPTS = 5


class UnknownListener(Exception):
    """There is no such listener."""


class OperatorAccount(Exception):
    """The account belongs to staff; a superuser has to delete it in the admin."""


class RowsRemain(Exception):
    """Rows about a listener are left; the message names the tables."""


@dataclass
class ErasureResult:
    """How many listeners were erased, and how many could not be.

    If `busy`, nothing was done because another process was erasing.
    """

    erased: int = 0
    failed: int = 0
    busy: bool = False


@transaction.atomic
def request_erasure(user_id: int) -> Erasure:
    """Close an account and record the request to erase it. A repeated request returns the same Erasure.

    From now on nobody can sign in as this listener, and no events of theirs are stored.

    Raises:
        UnknownListener: there is no such listener.
        OperatorAccount: the account belongs to staff.
    """
    user = User.objects.select_for_update().filter(pk=user_id).first()
    if erasure := Erasure.objects.filter(user_id=user_id).first():
        return erasure
    if user is None:
        raise UnknownListener
    if user.is_staff or user.is_superuser:
        raise OperatorAccount
    user.is_active = user.consent = False
    user.set_unusable_password()
    user.save(update_fields=["is_active", "consent", "password"])
    user.listen_tokens.filter(revoked_at=None).update(revoked_at=timezone.now())
    digest = external_id_digest(user.external_id) if user.external_id else ""
    return Erasure.objects.create(user_id=user_id, external_digest=digest)


def finish_erasures(*, wait: float = 0, on_start: Callable[[], None] = lambda: None) -> ErasureResult:
    """Erase all listeners with a pending erasure. A failure raises an alarm, and the next run tries again.

    Args:
        wait: how many seconds to wait while another process is erasing.
        on_start: called before pending erasures are looked up.
    """
    root = version_store().root
    root.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(root / "erasing.lock", timeout=wait):  # freed by the kernel when its holder dies
            on_start()
            return _finish_pending()
    except Timeout:
        return ErasureResult(busy=True)


def _finish_pending() -> ErasureResult:
    result = ErasureResult()
    attempted: set[UUID] = set()
    pending = Erasure.objects.filter(completed_at=None).order_by("requested_at")
    while erasure := pending.exclude(pk__in=attempted).first():
        attempted.add(erasure.pk)
        try:
            _erase(erasure)
            result.erased += 1
        except Exception as error:  # one failure must not keep the others waiting
            logger.exception("erasure %s failed", erasure.pk)
            raise_alarm("erasure_failed", str(erasure.pk), f"{type(error).__name__}: {error}")
            result.failed += 1
    if not result.failed:
        resolve_alarms("erasure_failed")
    return result


def _erase(erasure: Erasure) -> None:
    _delete_data(erasure)
    time.sleep(max(0.0, GRACE_SECONDS - (timezone.now() - erasure.requested_at).total_seconds()))
    for _ in range(MAX_ATTEMPTS):
        _delete_data(erasure)
        try:
            _delete(erasure, User.objects.filter(pk=erasure.user_id))
            break
        except IntegrityError:  # a request that was under way has written a row
            logger.info("erasure %s: rows were written meanwhile; deleting them as well", erasure.pk)
    if tables := tables_with_data_of(erasure.user_id):
        raise RowsRemain(f"rows are left in {', '.join(tables)}; the next run tries again")
    with transaction.atomic():
        Erasure.objects.filter(pk=erasure.pk).update(completed_at=timezone.now())
        announce(WebhookEventType.ERASURE_COMPLETED, {"receipt": erasure.pk, "user_id": erasure.user_id})
    logger.info("erasure %s completed", erasure.pk)


def _delete_data(erasure: Erasure) -> None:
    """Delete all rows about a listener except the account, in batches."""
    delete_uploads(erasure.user_id)
    anonymise(erasure.user_id)
    for model, row_filter in personal_data_of(erasure.user_id).items():
        rows = model._base_manager.filter(row_filter).order_by()
        while batch := list(rows.values_list("pk", flat=True)[:BATCH]):
            _delete(erasure, model._base_manager.filter(pk__in=batch))
            time.sleep(PAUSE_SECONDS)


def _delete(erasure: Erasure, rows: models.QuerySet[Any]) -> None:
    """Delete rows, and count them in the same transaction, so that no count is lost if the process is killed.

    The listener's revision changes with them, so that no answer outlasts its rows even if the account is opened again.
    """
    counts = dict(erasure.erased)
    with transaction.atomic():
        for label, count in rows.delete()[1].items():
            table = apps.get_model(label)._meta.db_table
            counts[table] = counts.get(table, 0) + count
        Erasure.objects.filter(pk=erasure.pk).update(erased=counts)
        bump_user_revisions([erasure.user_id])
    erasure.erased = counts
