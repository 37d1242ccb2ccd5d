"""The rights of listeners over their own data: read and change their settings, and have their data erased."""

import fcntl
import logging
from typing import Any
from uuid import UUID

from django.conf import settings

from access.listener_upserts import change_settings
from access.models import Erasure, User
from common.background import BrokerUnavailable, start_background_task, start_child_process
from privacy.erasure import UnknownListener, request_erasure
from privacy.tasks import erase_listeners
from recommendations.version_store import version_store

logger = logging.getLogger(__name__)


def get_listener(user_id: int) -> User:
    """Return a listener.

    Raises:
        UnknownListener: there is no such listener, or their erasure is pending.
    """
    user = User.objects.exclude(pk__in=Erasure.objects.values("user_id")).filter(pk=user_id).first()
    if user is None:
        raise UnknownListener
    return user


def update_listener_settings(user_id: int, changes: dict[str, Any]) -> User:
    """Change a listener's settings and return the listener.

    Args:
        user_id: the listener.
        changes: new values of `consent`, `market`, `allow_explicit` and `display_name`.

    Raises:
        UnknownListener: there is no such listener, or their erasure is pending.
    """
    user = get_listener(user_id)
    change_settings(user, changes)
    return get_listener(user_id)


def erase_listener(user_id: int) -> Erasure:
    """Close a listener's account and erase their data in the background.

    A repeated request returns the same Erasure.

    Raises:
        UnknownListener: there is no such listener.
        OperatorAccount: the account belongs to staff.
    """
    erasure = request_erasure(user_id)
    if erasure.completed_at is None:
        try:
            start_erasure_run()
        except BrokerUnavailable as error:
            logger.warning("erasure %s waits for the next run: %s", erasure.pk, error)
    return erasure


def start_erasure_run() -> None:
    """Start erasing in the background. Without Celery at most one child process works and one waits.

    Raises:
        BrokerUnavailable: Celery's broker does not answer.
    """
    if settings.CELERY_BROKER_URL:
        start_background_task(erase_listeners, command=["erase_listeners"], log="erasing.log")
        return
    version_store().root.mkdir(parents=True, exist_ok=True)
    with open(version_store().root / "erasing.waiting", "w") as waiting:
        try:
            fcntl.flock(waiting, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:  # a child process is waiting already, and has not looked for erasures yet
            return
        # The child inherits the lock as its standard input, and releases it just before it looks for erasures.
        start_child_process(["erase_listeners"], "erasing.log", stdin=waiting)


def find_erasure(receipt: UUID) -> Erasure | None:
    return Erasure.objects.filter(pk=receipt).first()
