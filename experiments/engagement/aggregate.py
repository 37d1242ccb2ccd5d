"""Aggregate the engagement with slates: counts for each listener, then totals for each group of a day."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple
from uuid import UUID

from django.utils import timezone

from experiments.engagement.ratio_metrics import RATIOS, Moments
from experiments.models import Slate
from interactions.attribution import ExposureRow, PlayRow, iter_active_listeners

COUNTS = ("slates", "impressions", "clicks", "plays", "completions", "skips", "listened_ms")
COUNT_INDEX = {name: index for index, name in enumerate(COUNTS)}
OTHER = "(other)"  # no client can use this name for a placement, because parentheses are refused


class GroupKey(NamedTuple):
    strategy: str
    model_version: str
    placement: str


class SlateRow(NamedTuple):
    """The columns of a slate that are aggregated; a model instance would cost several times as much."""

    pk: UUID
    user_id: int | None
    strategy: str
    model_version: str
    placement: str
    track_ids: list[int]


@dataclass
class GroupTotals:
    """The totals of one group.

    Slates of anonymous requests have no listener whose counts they could be added to. They are summed at once, and
    each counts as a listener of its own in the moments.
    """

    listeners: dict[int, list[int]] = field(default_factory=dict)
    """`COUNTS` by listener."""
    anonymous: list[int] = field(default_factory=lambda: [0] * len(COUNTS))
    anonymous_moments: dict[str, Moments] = field(default_factory=lambda: dict.fromkeys(RATIOS, Moments()))

    @property
    def sums(self) -> dict[str, int]:
        columns = zip(self.anonymous, *self.listeners.values(), strict=True)
        return dict(zip(COUNTS, map(sum, columns), strict=True))

    @property
    def moments(self) -> dict[str, list[float]]:
        """The fields of `Moments` over listeners, by rate: what the intervals are computed from."""
        return {
            rate: list(
                astuple(Moments.combine([self.anonymous_moments[rate], _moments(self.listeners.values(), rate)]))
            )
            for rate in RATIOS
        }

    def add_anonymous(self, rows: Sequence[Sequence[int]]) -> None:
        """Add the `COUNTS` of anonymous slates."""
        self.anonymous = [sum(column) for column in zip(self.anonymous, *rows, strict=True)]
        self.anonymous_moments = {
            rate: Moments.combine([self.anonymous_moments[rate], _moments(rows, rate)]) for rate in RATIOS
        }


@dataclass
class DailyAggregate:
    """The totals of a day by group. Memory grows with the listeners, not with the slates.

    Args:
        placements: the placements that get groups of their own; all others share one.
    """

    placements: frozenset[str]
    groups: dict[GroupKey, GroupTotals] = field(default_factory=dict)

    def add(
        self,
        slates: Iterable[SlateRow],
        exposures: Mapping[UUID, Sequence[ExposureRow]],
        plays: Mapping[UUID, Sequence[PlayRow]],
    ) -> None:
        """Add slates, with the exposures and plays that name them."""
        anonymous: dict[GroupKey, list[tuple[int, ...]]] = defaultdict(list)
        for slate in slates:
            placement = slate.placement if slate.placement in self.placements else OTHER
            group = GroupKey(slate.strategy, slate.model_version, placement)
            counts = count_slate(slate, exposures.get(slate.pk, ()), plays.get(slate.pk, ()))
            if slate.user_id is None:
                anonymous[group].append(counts)
                continue
            listeners = self.groups.setdefault(group, GroupTotals()).listeners
            previous = listeners.get(slate.user_id)
            listeners[slate.user_id] = [a + b for a, b in zip(previous, counts, strict=True)] if previous else [*counts]
        for group, rows in anonymous.items():
            self.groups.setdefault(group, GroupTotals()).add_anonymous(rows)


def count_slate(slate: SlateRow, exposures: Sequence[ExposureRow], plays: Sequence[PlayRow]) -> tuple[int, ...]:
    """Return the `COUNTS` of one slate; each track counts once.

    Events of other listeners, and of tracks that were not on the slate, are ignored.
    """
    track_ids = set(slate.track_ids)

    def belongs(event: ExposureRow | PlayRow) -> bool:
        return event.track_id in track_ids and slate.user_id in (None, event.user_id)

    exposures = [event for event in exposures if belongs(event)]
    plays = [event for event in plays if belongs(event)]
    clicked_tracks = {event.track_id for event in exposures if event.kind == "click"}
    seen_tracks = {event.track_id for event in exposures if event.kind == "impression"}
    full_plays = [event for event in plays if event.kind == "play"]
    return (
        1,
        # A clicked track was seen. An app that reports no impressions is taken to show all tracks of its slates.
        len(seen_tracks | clicked_tracks if seen_tracks else track_ids),
        len(clicked_tracks),
        len({event.track_id for event in plays}),  # a skip was played too, if only for a moment
        len({event.track_id for event in full_plays if event.is_completed}),
        len({event.track_id for event in plays if event.is_skip or event.kind == "skip"}),
        sum(event.ms_played or 0 for event in full_plays),
    )


def _moments(rows: Iterable[Sequence[int]], rate: str) -> Moments:
    numerator, denominator = (COUNT_INDEX[name] for name in RATIOS[rate])
    return Moments.from_pairs((float(row[numerator]), float(row[denominator])) for row in rows if row[denominator])


def count_returning_listeners(day: date, groups: Mapping[GroupKey, GroupTotals]) -> dict[GroupKey, tuple[int, int]]:
    """Return how many listeners of each group were active on the day after, and within seven days."""
    next_day, week = _active_listeners(day, 1, 1), _active_listeners(day, 1, 7)
    return {
        group: (len(next_day.intersection(totals.listeners)), len(week.intersection(totals.listeners)))
        for group, totals in groups.items()
    }


def _active_listeners(day: date, first: int, last: int) -> set[int]:
    """Return the ids of listeners with an event or a slate from `first` to `last` days after `day`."""
    begin, end = (datetime.combine(day + timedelta(days=n), time(), UTC) for n in (first, last + 1))
    if begin > timezone.now():
        return set()
    slates = Slate.objects.filter(shown_at__gte=begin, shown_at__lt=end, user_id__isnull=False).order_by()
    with_slates = slates.values_list("user_id", flat=True).distinct().iterator(chunk_size=20_000)
    return {*iter_active_listeners(begin, end), *with_slates}
