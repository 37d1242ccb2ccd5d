"""What listeners may ask about themselves: what is kept, to change it, to have it, to be forgotten."""

import logging
from typing import Any
from uuid import UUID

from access.models import Erasure, User
from recommendations.erasure import UnknownListener, request_erasure
from recommendations.starting import CannotStart, start_erasing

logger = logging.getLogger(__name__)


def listener(user_id: int) -> User:
    """Raises UnknownListener, also for one who is being erased."""
    known = User.objects.exclude(pk__in=Erasure.objects.values("user_id"))
    if (user := known.filter(pk=user_id).first()) is None:
        raise UnknownListener
    return user


def change_listener(user_id: int, changes: dict[str, Any]) -> User:
    """changes: of consent, market, allow_explicit. Raises UnknownListener."""
    user = listener(user_id)
    if changes:
        User.objects.filter(pk=user.pk).update(**changes)
    return listener(user_id)


def erase(user_id: int) -> Erasure:
    """Forget a listener: closed at once, and erased in the background. Again, it gives the same receipt.

    Raises UnknownListener, IsOperator.
    """
    erasure = request_erasure(user_id)
    if erasure.completed_at is None:
        try:
            start_erasing()
        except CannotStart as error:
            logger.warning("erasure %s waits for the next run: %s", erasure.pk, error)
    return erasure


def erasure_of(receipt: UUID) -> Erasure | None:
    return Erasure.objects.filter(pk=receipt).first()
