"""The pages of a slate: each continues the one before it, and they are read from the slate log."""

import threading
import time
from uuid import UUID

from django.db import connection
from rest_framework.exceptions import APIException

from experiments.exposures.log import FLUSH_SECONDS, slate_log
from experiments.exposures.recommendation_ids import seconds_since
from experiments.models import Slate

WRITTEN_AFTER_SECONDS = 2 * FLUSH_SECONDS  # whichever process shows a slate has written it by then
POLL_SECONDS = 0.1
MAX_WAITING = 2  # threads of a process, because anybody can make up ids that look new
waiting_threads = threading.BoundedSemaphore(MAX_WAITING)
_PAGES = """
WITH RECURSIVE pages AS (
    SELECT slates.*, 0 AS age FROM slates WHERE id = %s
    UNION ALL
    SELECT slates.*, pages.age + 1 FROM slates JOIN pages ON slates.id = pages.previous
)
SELECT * FROM pages ORDER BY age
"""


class SlateBeingStored(APIException):
    """The slate is so new that it may not be stored yet, and enough threads wait for others."""

    status_code = 503
    default_detail = "this slate is being stored; try again in a second"
    wait = 1  # DRF sends it as Retry-After


def load_pages(recommendation_id: UUID) -> list[Slate]:
    """Return a slate and those it continues, the newest first, by one query; empty if any of them is not stored."""
    slate_id = Slate._meta.pk.get_db_prep_value(recommendation_id, connection)
    pages = list(Slate.objects.raw(_PAGES, [slate_id]))
    return pages if pages and pages[-1].previous is None else []


def wait_for_pages(recommendation_id: UUID) -> list[Slate]:
    """Return what `load_pages` does, for a slate that this process or another one may not have written yet.

    A client that turns the page within a second would otherwise be told that there is no such slate. Only ids of the
    last seconds are waited for.

    Raises:
        SlateBeingStored: it may appear yet, but as many threads wait as may.
    """
    slate_log.flush()
    pages = load_pages(recommendation_id)
    if pages or seconds_since(recommendation_id) >= WRITTEN_AFTER_SECONDS:
        return pages
    if not waiting_threads.acquire(blocking=False):
        raise SlateBeingStored
    try:
        give_up_at = time.monotonic() + WRITTEN_AFTER_SECONDS
        while not pages and seconds_since(recommendation_id) < WRITTEN_AFTER_SECONDS and time.monotonic() < give_up_at:
            time.sleep(POLL_SECONDS)
            pages = load_pages(recommendation_id)
        return pages
    finally:
        waiting_threads.release()
