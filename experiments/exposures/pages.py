"""The pages of a slate: each continues the one before it, and they are read from the slate log."""

import time
from uuid import UUID

from django.db import connection

from experiments.exposures.log import FLUSH_SECONDS, slate_log
from experiments.exposures.recommendation_ids import seconds_since
from experiments.models import Slate

WRITTEN_AFTER_SECONDS = 2 * FLUSH_SECONDS  # whichever process shows a slate has written it by then
POLL_SECONDS = 0.1
_PAGES = """
WITH RECURSIVE pages AS (
    SELECT slates.*, 0 AS age FROM slates WHERE id = %s
    UNION ALL
    SELECT slates.*, pages.age + 1 FROM slates JOIN pages ON slates.id = pages.previous
)
SELECT * FROM pages ORDER BY age
"""


def load_pages(recommendation_id: UUID) -> list[Slate]:
    """Return a slate and those it continues, the newest first, by one query; empty if any of them is not stored."""
    slate_id = Slate._meta.pk.get_db_prep_value(recommendation_id, connection)
    pages = list(Slate.objects.raw(_PAGES, [slate_id]))
    return pages if pages and pages[-1].previous is None else []


def wait_for_pages(recommendation_id: UUID) -> list[Slate]:
    """Return what `load_pages` does, for a slate that this process or another one may not have written yet.

    A client that turns the page within a second would otherwise be told that there is no such slate. Only ids of the
    last seconds are waited for.
    """
    slate_log.flush()
    give_up_at = time.monotonic() + WRITTEN_AFTER_SECONDS
    while True:
        pages = load_pages(recommendation_id)
        is_recent = seconds_since(recommendation_id) < WRITTEN_AFTER_SECONDS and time.monotonic() < give_up_at
        if pages or not is_recent:
            return pages
        time.sleep(POLL_SECONDS)
