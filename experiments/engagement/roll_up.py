"""What came of the slates of a day, summed by strategy, version and placement.

A day is counted again as long as something can change it: plays that a phone without a net reports days later, and who
came back within seven days. Each time its rows are replaced in one transaction, so a run may be killed, or run twice.
"""

import logging
from collections.abc import Collection, Iterator
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock
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
    GroupTotals,
    SlateRow,
    count_returning_listeners,
)
from experiments.models import Engagement, RollUp, Slate
from interactions.attribution import load_exposures_by_slate, load_plays_by_slate
from interactions.services import delete_in_batches, delete_old_events

logger = logging.getLogger(__name__)
DAYS = 9  # seven for who comes back, one for today, one for late events
MAX_PLACEMENTS = 100  # told apart in a day: apps may send any word, and each makes rows that stay
SLATES_AT_ONCE = 2_000
_EVER = date(2000, 1, 1)


def roll_up(days: int = DAYS) -> RollUp:
    """Count the last `days` days, today included, and remove what is older than it is kept. Raises what goes wrong,
    which the row of the run then tells too."""
    RollUp.objects.filter(status=RollUp.Status.RUNNING).update(
        status=RollUp.Status.FAILED, finished_at=timezone.now(), detail="the process was killed, or another run began"
    )
    run = RollUp.objects.create()
    try:
        today = timezone.now().date()
        groups = sum(count_day(today - timedelta(days=back)) for back in range(days))
        removed = remove_expired_rows()
    except Exception as error:
        logger.exception("roll-up=%s failed", run.pk)
        _finish(run, RollUp.Status.FAILED, f"{type(error).__name__}: {error}")
        raise
    said = ", ".join(f"{n:,} {table}" for table, n in removed.items() if n) or "nothing"
    return _finish(run, RollUp.Status.DONE, f"{days} days, {groups:,} groups; removed: {said}")


def count_day(day: date) -> int:
    """Count the slates of a UTC day; gives how many groups there are. A day whose slates were removed keeps its
    rows."""
    if _is_final(day):
        return 0
    tally = DailyAggregate(_placements(day))
    for slates in _chunks(day):
        ids = [slate.pk for slate in slates]
        tally.add(slates, load_exposures_by_slate(ids), load_plays_by_slate(ids))
    back = count_returning_listeners(day, tally.groups)
    with transaction.atomic():
        rows = [_row(day, group, tally.groups[group], back[group]) for group in sorted(tally.groups)]
        Engagement.objects.filter(pk__in=_no_more(day, tally.groups)).delete()
        Engagement.objects.bulk_create(  # in place of deleting all, which two at once would do to each other
            rows,
            batch_size=500,
            update_conflicts=True,
            unique_fields=["day", *GroupKey._fields],
            update_fields=[*COUNTS, "listeners", "returned_1", "returned_7", "moments", "updated_at"],
        )
    return len(tally.groups)


def _is_final(day: date) -> bool:
    """Whether its slates were removed, or some of them before the process was killed."""
    if day < _kept_from() and Engagement.objects.filter(day=day).exists():
        return True
    return not Slate.objects.filter(shown_at__lt=_begin(day + timedelta(days=1))).exists()


def _no_more(day: date, groups: Collection[GroupKey]) -> list[int]:
    rows = Engagement.objects.filter(day=day).values_list("pk", *GroupKey._fields)
    return [pk for pk, *group in rows if GroupKey(*group) not in groups]


def remove_expired_rows() -> dict[str, int]:
    """Rows removed, by table. Engagement stays."""
    begin = _begin(_kept_from())
    removed = delete_old_events(exposures_before=begin)
    return removed | {"slates": delete_in_batches(Slate.objects.filter(shown_at__lt=begin))}


def _kept_from() -> date:
    """The first day whose slates are kept. Whole days: one that is half removed would be counted by its other half."""
    keep = settings.MUSICREC["SLATE_DAYS"]
    today = timezone.now().date()
    return today - timedelta(days=min(keep, (today - _EVER).days)) if keep else _EVER


def _slates(day: date) -> QuerySet[Slate]:
    return Slate.objects.filter(shown_at__gte=_begin(day), shown_at__lt=_begin(day + timedelta(days=1)))


def _placements(day: date) -> frozenset[str]:
    """Those with the most slates."""
    most = _slates(day).values_list("placement").annotate(n=Count("pk")).order_by("-n", "placement")
    return frozenset(placement for placement, _ in most[:MAX_PLACEMENTS])


def _chunks(day: date) -> Iterator[list[SlateRow]]:
    found = _slates(day).order_by("shown_at").values_list(*SlateRow._fields)
    rest = map(SlateRow._make, found.iterator(chunk_size=SLATES_AT_ONCE))
    while chunk := list(islice(rest, SLATES_AT_ONCE)):
        yield chunk


def _begin(day: date) -> datetime:
    return datetime.combine(day, clock(), UTC)


def _row(day: date, group: GroupKey, counted: GroupTotals, back: tuple[int, int]) -> Engagement:
    return Engagement(
        day=day,
        listeners=len(counted.listeners),
        returned_1=back[0],
        returned_7=back[1],
        moments=counted.moments,
        **group._asdict(),
        **counted.sums,
    )


def _finish(run: RollUp, status: RollUp.Status, detail: str) -> RollUp:
    run.status, run.detail, run.finished_at = status, detail, timezone.now()
    run.save()
    metrics.roll_ups.labels(status.value).inc()
    return run
