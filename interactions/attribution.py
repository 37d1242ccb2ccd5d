"""Reads for measuring engagement: what listeners did with the slates that they were shown."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from interactions.models import Exposure, Interaction


class ExposureRow(NamedTuple):
    """A listener saw a track of a slate, or opened it."""

    user_id: int
    track_id: int
    kind: str  # impression, click or play_start


class PlayRow(NamedTuple):
    """A listener played a track of a slate, or skipped it."""

    user_id: int
    track_id: int
    kind: str  # play or skip
    is_completed: bool
    is_skip: bool
    ms_played: int | None


def load_exposures_by_slate(recommendation_ids: Collection[UUID]) -> dict[UUID, list[ExposureRow]]:
    rows = Exposure.objects.filter(recommendation_id__in=recommendation_ids)
    exposures: dict[UUID, list[ExposureRow]] = defaultdict(list)
    for recommendation_id, *columns in rows.values_list("recommendation_id", *ExposureRow._fields):
        exposures[recommendation_id].append(ExposureRow(*columns))
    return exposures


def load_plays_by_slate(recommendation_ids: Collection[UUID]) -> dict[UUID, list[PlayRow]]:
    """Return the plays and skips that name some slates, without those that are left out."""
    kinds = [Interaction.Kind.PLAY, Interaction.Kind.SKIP]
    rows = Interaction.objects.filter(recommendation_id__in=recommendation_ids, kind__in=kinds, left_out=False)
    plays: dict[UUID, list[PlayRow]] = defaultdict(list)
    for recommendation_id, *columns in rows.values_list("recommendation_id", *PlayRow._fields):
        plays[recommendation_id].append(PlayRow(*columns))
    return plays


def iter_active_listeners(begin: datetime, end: datetime) -> Iterable[int]:
    """Yield the ids of listeners with an interaction or exposure in [begin, end), some twice."""
    interactions = Interaction.objects.filter(played_at__gte=begin, played_at__lt=end)
    exposures = Exposure.objects.filter(occurred_at__gte=begin, occurred_at__lt=end)
    for rows in (interactions, exposures):
        yield from rows.order_by().values_list("user_id", flat=True).distinct().iterator(chunk_size=20_000)
