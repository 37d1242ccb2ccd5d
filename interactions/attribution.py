"""Selectors of what came of slates, and of who was there: for counting, many at once."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from interactions.models import Exposure, Interaction


class Seen(NamedTuple):
    """A track was seen or opened."""

    user_id: int
    track_id: int
    kind: str  # impression, click or play_start


class Done(NamedTuple):
    """A track was played or skipped."""

    user_id: int
    track_id: int
    kind: str  # play or skip
    is_completed: bool
    is_skip: bool
    ms_played: int | None


def seen_of(recommendation_ids: Collection[UUID]) -> dict[UUID, list[Seen]]:
    rows = Exposure.objects.filter(recommendation_id__in=recommendation_ids)
    found: dict[UUID, list[Seen]] = defaultdict(list)
    for slate, *row in rows.values_list("recommendation_id", *Seen._fields):
        found[slate].append(Seen(*row))
    return found


def done_of(recommendation_ids: Collection[UUID]) -> dict[UUID, list[Done]]:
    kinds = [Interaction.Kind.PLAY, Interaction.Kind.SKIP]
    rows = Interaction.objects.filter(recommendation_id__in=recommendation_ids, kind__in=kinds)
    found: dict[UUID, list[Done]] = defaultdict(list)
    for slate, *row in rows.values_list("recommendation_id", *Done._fields):
        found[slate].append(Done(*row))
    return found


def active_listeners(begin: datetime, end: datetime) -> Iterable[int]:
    """Ids of the listeners who did anything from `begin` until before `end`; repeats possible."""
    for model, moment in ((Interaction, "played_at"), (Exposure, "occurred_at")):
        during = model._default_manager.filter(**{f"{moment}__gte": begin, f"{moment}__lt": end})
        yield from during.order_by().values_list("user_id", flat=True).distinct().iterator(chunk_size=20_000)
