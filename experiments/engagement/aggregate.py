"""Count what came of slates, listener by listener."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, field
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock
from typing import NamedTuple
from uuid import UUID

from django.utils import timezone

from experiments.engagement.ratio_metrics import RATIOS, Moments
from experiments.models import Slate
from interactions.attribution import ExposureRow, PlayRow, iter_active_listeners

COUNTS = ("slates", "impressions", "clicks", "plays", "completions", "skips", "listened_ms")
COUNT_INDEX = {name: place for place, name in enumerate(COUNTS)}
OTHER = "(other)"  # no placement is called so


class GroupKey(NamedTuple):
    strategy: str
    model_version: str
    placement: str


class SlateRow(NamedTuple):
    """A slate, without what a row of Django's costs."""

    pk: UUID
    user_id: int | None
    strategy: str
    model_version: str
    placement: str
    track_ids: list[int]


@dataclass
class GroupTotals:
    """What came of a group's slates. listeners: the `COUNTS` of each · nobodys, loose: of slates that are nobody's,
    their sum, and the moments of each rate, for which such a slate counts as a listener of its own."""

    listeners: dict[int, list[int]] = field(default_factory=dict)
    nobodys: list[int] = field(default_factory=lambda: [0] * len(COUNTS))
    loose: dict[str, Moments] = field(default_factory=lambda: dict.fromkeys(RATIOS, Moments()))

    @property
    def sums(self) -> dict[str, int]:
        columns = zip(self.nobodys, *self.listeners.values(), strict=True)
        return dict(zip(COUNTS, map(sum, columns), strict=True))

    @property
    def moments(self) -> dict[str, list[float]]:
        """What intervals need, by rate: n, Σx, Σy, Σx², Σxy, Σy² over listeners, as `rates.Moments` has them."""
        return {
            rate: list(astuple(Moments.together([self.loose[rate], _moments(self.listeners.values(), rate)])))
            for rate in RATIOS
        }

    def add_nobodys(self, rows: Sequence[Sequence[int]]) -> None:
        self.nobodys = [sum(column) for column in zip(self.nobodys, *rows, strict=True)]
        self.loose = {rate: Moments.together([self.loose[rate], _moments(rows, rate)]) for rate in RATIOS}


@dataclass
class DailyAggregate:
    """What came of the slates of a day, by group: memory for listeners, not for slates. placements: those told apart;
    the others count together."""

    placements: frozenset[str]
    groups: dict[GroupKey, GroupTotals] = field(default_factory=dict)

    def add(
        self,
        slates: Iterable[SlateRow],
        seen: Mapping[UUID, Sequence[ExposureRow]],
        done: Mapping[UUID, Sequence[PlayRow]],
    ) -> None:
        nobodys: dict[GroupKey, list[tuple[int, ...]]] = defaultdict(list)
        for slate in slates:
            group = self._group(slate)
            counts = count_slate(slate, seen.get(slate.pk, ()), done.get(slate.pk, ()))
            if slate.user_id is None:
                nobodys[group].append(counts)
                continue
            listeners = self.groups.setdefault(group, GroupTotals()).listeners
            before = listeners.get(slate.user_id)
            listeners[slate.user_id] = [a + b for a, b in zip(before, counts, strict=True)] if before else [*counts]
        for group, rows in nobodys.items():
            self.groups.setdefault(group, GroupTotals()).add_nobodys(rows)

    def _group(self, slate: SlateRow) -> GroupKey:
        placement = slate.placement if slate.placement in self.placements else OTHER
        return GroupKey(slate.strategy, slate.model_version, placement)


def count_slate(slate: SlateRow, seen: Sequence[ExposureRow], done: Sequence[PlayRow]) -> tuple[int, ...]:
    """The `COUNTS` of one slate. What is not its listener's, or not on it, is not its doing; each track counts once."""
    on_it = set(slate.track_ids)

    def its(row: ExposureRow | PlayRow) -> bool:
        return row.track_id in on_it and slate.user_id in (None, row.user_id)

    seen, done = [row for row in seen if its(row)], [row for row in done if its(row)]
    clicked = {row.track_id for row in seen if row.kind == "click"}
    reported = {row.track_id for row in seen if row.kind == "impression"}
    played = [row for row in done if row.kind == "play"]
    return (
        1,
        len(reported | clicked if reported else on_it),  # what was opened was seen
        len(clicked),
        len({row.track_id for row in done}),  # a skip without a play is a play too
        len({row.track_id for row in played if row.is_completed}),
        len({row.track_id for row in done if row.is_skip or row.kind == "skip"}),
        sum(row.ms_played or 0 for row in played),
    )


def _moments(rows: Iterable[Sequence[int]], rate: str) -> Moments:
    above, below = (COUNT_INDEX[name] for name in RATIOS[rate])
    return Moments.of((float(row[above]), float(row[below])) for row in rows if row[below])


def count_returning_listeners(day: date, groups: Mapping[GroupKey, GroupTotals]) -> dict[GroupKey, tuple[int, int]]:
    """Of each group's listeners, how many did anything on the day after, and within seven days."""
    next_day, week = _active(day, 1, 1), _active(day, 1, 7)
    return {
        group: (len(next_day.intersection(counted.listeners)), len(week.intersection(counted.listeners)))
        for group, counted in groups.items()
    }


def _active(day: date, first: int, last: int) -> set[int]:
    begin, end = (datetime.combine(day + timedelta(days=n), clock(), UTC) for n in (first, last + 1))
    if begin > timezone.now():
        return set()
    shown = Slate.objects.filter(shown_at__gte=begin, shown_at__lt=end, user_id__isnull=False).order_by()
    asked = shown.values_list("user_id", flat=True).distinct().iterator(chunk_size=20_000)
    return {*iter_active_listeners(begin, end), *asked}
