"""Make the mixes of active listeners before they ask, after each nightly training run.

The work is cut into batches, each a task of its own, so that other tasks wait for one batch at most. Mixes that are
stored already stay as they are, so a repeated task does nothing.
"""

import logging
from datetime import timedelta
from typing import NamedTuple

from django.conf import settings
from django.utils import timezone

from interactions.selectors import recently_active_listeners
from recommendations.alarms import raise_alarm, resolve_alarms
from recommendations.mixes.selectors import listeners_with_mixes
from recommendations.mixes.storage import shelves_of_the_day
from recommendations.serving.model_cache import model_cache
from recommendations.serving.request_context import load_contexts
from webhooks.models import WebhookEventType
from webhooks.services import announce

logger = logging.getLogger(__name__)
MIXES_FAILED = "mixes_failed"
BATCH = 50  # listeners, whose mixes take some seconds
ACTIVE = timedelta(days=30)


class MixesProgress(NamedTuple):
    """How far making the mixes of a day has come.

    Attributes:
        after: the id of the last listener done.
        done: the number of listeners done.
        made: the number of those who had no mixes yet.
    """

    after: int = 0
    done: int = 0
    made: int = 0


def make_mixes_of_active(progress: MixesProgress) -> MixesProgress | None:
    """Make the mixes of the next batch of recently active listeners; announce them when all are done.

    Returns:
        The new progress; None if all are done.
    """
    if not progress.done:
        resolve_alarms(MIXES_FAILED)  # of the night before
    count = min(BATCH, settings.MUSICREC["AHEAD_LISTENERS"] - progress.done)
    listeners = recently_active_listeners(timezone.now() - ACTIVE, progress.after, count) if count > 0 else []
    made = progress.made + _make_mixes(listeners)
    if listeners and len(listeners) == count:
        return MixesProgress(listeners[-1], progress.done + len(listeners), made)
    if made:
        version = model_cache.current().bundle.version
        data = {"day": timezone.now().date().isoformat(), "listeners": made, "model_version": version}
        announce(WebhookEventType.MIXES_READY, data)
    return None


def _make_mixes(listeners: list[int]) -> int:
    """Make the mixes of those of some listeners who have none for today, and return how many got some."""
    model_cache.check_pointer()  # a worker's child process may not have noticed a new version yet
    today = timezone.now().date()
    without = set(listeners) - listeners_with_mixes(listeners, today)
    for listener_id, context in load_contexts(sorted(without)).items():
        model_cache.notice_revision(context.revisions.catalogue)
        try:
            shelves_of_the_day(context, model_cache.current(), context.settings.market, today)
        except Exception as error:  # the others must not wait for the mixes of this one
            logger.exception("mixes of listener=%d could not be made", listener_id)
            raise_alarm(MIXES_FAILED, "", f"mixes of listener {listener_id}: {type(error).__name__}: {error}")
    return len(listeners_with_mixes(without, today))
