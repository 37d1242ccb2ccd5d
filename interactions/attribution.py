"""Selectors of what came of slates, and of who was there: for counting, many at once."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from interactions.models import Exposure, Interaction


class ExposureRow(NamedTuple):
    """A track was seen or opened."""

    user_id: int
    track_id: int
    kind: str  # impression, click or play_start


class PlayRow(NamedTuple):
    """A track was played or skipped."""

    user_id: int
    track_id: int
    kind: str  # play or skip
    is_completed: bool
    is_skip: bool
    ms_played: int | None


def load_exposures_by_slate(recommendation_ids: Collection[UUID]) -> dict[UUID, list[ExposureRow]]:
    rows = Exposure.objects.filter(recommendation_id__in=recommendation_ids)
    found: dict[UUID, list[ExposureRow]] = defaultdict(list)
    for slate, *row in rows.values_list("recommendation_id", *ExposureRow._fields):
        found[slate].append(ExposureRow(*row))
    return found


def load_plays_by_slate(recommendation_ids: Collection[UUID]) -> dict[UUID, list[PlayRow]]:
    kinds = [Interaction.Kind.PLAY, Interaction.Kind.SKIP]
    rows = Interaction.objects.filter(recommendation_id__in=recommendation_ids, kind__in=kinds)
    found: dict[UUID, list[PlayRow]] = defaultdict(list)
    for slate, *row in rows.values_list("recommendation_id", *PlayRow._fields):
        found[slate].append(PlayRow(*row))
    return found


def iter_active_listeners(begin: datetime, end: datetime) -> Iterable[int]:
    """Ids of the listeners who did anything from `begin` until before `end`; repeats possible."""
    for model, moment in ((Interaction, "played_at"), (Exposure, "occurred_at")):
        during = model._default_manager.filter(**{f"{moment}__gte": begin, f"{moment}__lt": end})
        yield from during.order_by().values_list("user_id", flat=True).distinct().iterator(chunk_size=20_000)
