"""The nightly roll-up: totals of each day's slates by strategy, model version and placement.

A day is counted again as long as it can change: phones report plays days later, and listeners may come back within
seven days. Each time its rows are replaced in one transaction, so a run may be killed, and two may run at once.
"""

import logging
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice

from django.conf import settings
from django.db import transaction
from django.db.models import Count, QuerySet
from django.utils import timezone

from experiments import metrics
from experiments.engagement.aggregate import (
    COUNTS,
    DailyAggregate,
    GroupKey,
    SlateRow,
    count_returning_listeners,
)
from experiments.models import Engagement, RollUp, Slate
from interactions.attribution import load_exposures_by_slate, load_plays_by_slate
from interactions.services import delete_in_batches, delete_old_events

logger = logging.getLogger(__name__)
DAYS = 9  # seven because listeners may return within a week, today, and one more for late events
MAX_PLACEMENTS = 100  # groups of their own in a day: apps may send any name, and each adds rows that stay
SLATES_BATCH = 2_000
_FIRST_DAY = date(2000, 1, 1)


def roll_up(days: int = DAYS) -> RollUp:
    """Count the last `days` days, today included, and delete expired rows.

    An exception is recorded in the row of the run and then raised.
    """
    RollUp.objects.filter(status=RollUp.Status.RUNNING).update(
        status=RollUp.Status.FAILED, finished_at=timezone.now(), detail="the process was killed, or another run began"
    )
    run = RollUp.objects.create()
    try:
        today = timezone.now().date()
        groups = sum(count_day(today - timedelta(days=back)) for back in range(days))
        removed = delete_expired_rows()
    except Exception as error:
        logger.exception("roll-up=%s failed", run.pk)
        _finish(run, RollUp.Status.FAILED, f"{type(error).__name__}: {error}")
        raise
    summary = ", ".join(f"{count:,} {table}" for table, count in removed.items() if count) or "nothing"
    return _finish(run, RollUp.Status.DONE, f"{days} days, {groups:,} groups; removed: {summary}")


def count_day(day: date) -> int:
    """Replace the engagement rows of a UTC day, and return the number of groups.

    A day whose slates have been deleted keeps its rows.
    """
    if _is_final(day):
        return 0
    slates = _slates_on(day)
    most_used = slates.values_list("placement").annotate(n=Count("pk")).order_by("-n", "placement")
    aggregate = DailyAggregate(frozenset(placement for placement, _ in most_used[:MAX_PLACEMENTS]))
    for batch in _slate_batches(slates):
        ids = [slate.pk for slate in batch]
        aggregate.add(batch, load_exposures_by_slate(ids), load_plays_by_slate(ids))
    groups = aggregate.groups
    returned = count_returning_listeners(day, groups)
    with transaction.atomic():
        rows = [
            Engagement(
                day=day,
                listeners=len(groups[group].listeners),
                returned_1=returned[group][0],
                returned_7=returned[group][1],
                moments=groups[group].moments,
                **group._asdict(),
                **groups[group].sums,
            )
            for group in sorted(groups)
        ]
        existing = Engagement.objects.filter(day=day).values_list("pk", *GroupKey._fields)
        obsolete = [pk for pk, *group in existing if GroupKey(*group) not in groups]
        Engagement.objects.filter(pk__in=obsolete).delete()
        # An upsert: if two runs deleted and inserted all rows at once, one of them would fail.
        Engagement.objects.bulk_create(
            rows,
            batch_size=500,
            update_conflicts=True,
            unique_fields=["day", *GroupKey._fields],
            update_fields=[*COUNTS, "listeners", "returned_1", "returned_7", "moments", "updated_at"],
        )
    return len(groups)


def delete_expired_rows() -> dict[str, int]:
    """Delete old slates and events, and return the number of rows by table. Engagement stays."""
    begin = _midnight(_first_retained_day())
    removed = delete_old_events(exposures_before=begin)
    return removed | {"slates": delete_in_batches(Slate.objects.filter(shown_at__lt=begin))}


def _is_final(day: date) -> bool:
    """Return whether the slates of a day were deleted, possibly only in part because the process was killed."""
    if day < _first_retained_day() and Engagement.objects.filter(day=day).exists():
        return True
    return not Slate.objects.filter(shown_at__lt=_midnight(day + timedelta(days=1))).exists()


def _first_retained_day() -> date:
    """Return the first day whose slates are retained.

    Days are deleted as a whole: the rest of a half-deleted day would be counted as if it were all of it.
    """
    retained_days = settings.MUSICREC["SLATE_DAYS"]
    today = timezone.now().date()
    return today - timedelta(days=min(retained_days, (today - _FIRST_DAY).days)) if retained_days else _FIRST_DAY


def _slates_on(day: date) -> QuerySet[Slate]:
    counted = Slate.objects.filter(is_counted=True)
    return counted.filter(shown_at__gte=_midnight(day), shown_at__lt=_midnight(day + timedelta(days=1)))


def _slate_batches(slates: QuerySet[Slate]) -> Iterator[list[SlateRow]]:
    columns = slates.order_by("shown_at").values_list(*SlateRow._fields)
    rows = map(SlateRow._make, columns.iterator(chunk_size=SLATES_BATCH))
    while batch := list(islice(rows, SLATES_BATCH)):
        yield batch


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _finish(run: RollUp, status: RollUp.Status, detail: str) -> RollUp:
    run.status, run.detail, run.finished_at = status, detail, timezone.now()
    run.save()
    metrics.roll_ups.labels(status.value).inc()
    return run
