"""Forget a listener: for everybody who asks, at once; in every table, soon after. Killed anywhere, the next run goes
on.

A row of `erasures` is the wish; it is fulfilled when nothing is left, and only then says so.
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
from interactions.imports.services import delete_uploads
from privacy.personal_data import anonymise, personal_data_of, tables_with_data_of
from recommendations.alarms import raise_alarm, resolve_alarms
from recommendations.version_store import version_store

logger = logging.getLogger(__name__)
BATCH = 2_000  # rows a transaction
PAUSE_SECONDS = 0.02  # between transactions: SQLite has one writer at a time, and others are waiting
GRACE_SECONDS = 2.0  # a request that began before the wish has ended by then
_TRIES = 5


class UnknownListener(Exception):
    """There is no such listener."""


class OperatorAccount(Exception):
    """An account of staff is not erased by the API."""


class RowsRemain(Exception):
    """Rows are left; the message says in which tables."""


@dataclass
class ErasureResult:
    """erased, failed: listeners · busy: another process was erasing, and nothing was done."""

    erased: int = 0
    failed: int = 0
    busy: bool = False


@transaction.atomic
def request_erasure(user_id: int) -> Erasure:
    """From now on nobody signs in as this listener, and nothing of them is kept. Again, it gives the same receipt.

    Raises UnknownListener, IsOperator.
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


def finish_erasures(*, wait: float = 0, begun: Callable[[], None] = lambda: None) -> ErasureResult:
    """Erase everybody who wished it. wait: seconds, while another process is at it · begun: called before it looks.

    What goes wrong with one listener is an alarm, and tried again by the next run.
    """
    root = version_store().root
    root.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(root / "erasing.lock", timeout=wait):  # freed by the kernel when its holder dies
            begun()
            return _finish()
    except Timeout:
        return ErasureResult(busy=True)


def _finish() -> ErasureResult:
    outcome = ErasureResult()
    tried: set[UUID] = set()
    wishes = Erasure.objects.filter(completed_at=None).order_by("requested_at")
    while erasure := wishes.exclude(pk__in=tried).first():
        tried.add(erasure.pk)
        try:
            _erase(erasure)
            outcome.erased += 1
        except Exception as error:  # whatever it is, the others are waiting
            logger.exception("erasure %s failed", erasure.pk)
            raise_alarm("erasure_failed", str(erasure.pk), f"{type(error).__name__}: {error}")
            outcome.failed += 1
    if not outcome.failed:
        resolve_alarms("erasure_failed")
    return outcome


def _erase(erasure: Erasure) -> None:
    _clear(erasure)
    time.sleep(max(0.0, GRACE_SECONDS - (timezone.now() - erasure.requested_at).total_seconds()))
    for _ in range(_TRIES):
        _clear(erasure)
        try:
            _delete(erasure, User.objects.filter(pk=erasure.user_id))
            break
        except IntegrityError:  # a request that was under way has written a row of theirs
            logger.info("erasure %s: rows came back, and go again", erasure.pk)
    if left := tables_with_data_of(erasure.user_id):
        raise RowsRemain(f"rows are left in {', '.join(left)}; the next run tries again")
    Erasure.objects.filter(pk=erasure.pk).update(completed_at=timezone.now())
    logger.info("erasure %s completed", erasure.pk)


def _clear(erasure: Erasure) -> None:
    """All but the account, a batch at a time."""
    delete_uploads(erasure.user_id)
    anonymise(erasure.user_id)
    for model, about in personal_data_of(erasure.user_id).items():
        rows = model._base_manager.filter(about).order_by()
        while batch := list(rows.values_list("pk", flat=True)[:BATCH]):
            _delete(erasure, model._base_manager.filter(pk__in=batch))
            time.sleep(PAUSE_SECONDS)


def _delete(erasure: Erasure, rows: models.QuerySet[Any]) -> None:
    """And count them in the same transaction, so that a killed run loses no count."""
    counts = dict(erasure.erased)
    with transaction.atomic():
        for label, number in rows.delete()[1].items():
            table = apps.get_model(label)._meta.db_table
            counts[table] = counts.get(table, 0) + number
        Erasure.objects.filter(pk=erasure.pk).update(erased=counts)
    erasure.erased = counts
