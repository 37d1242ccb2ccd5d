from collections.abc import Collection
from datetime import date
from typing import NamedTuple

from django.db.models import Case, Q, When

from recommendations.models import StoredMixes
from tracks.models import Tag, TrackTag


class Topic(NamedTuple):
    """The id and the name of the tag or the artist that a mix is about."""

    id: int
    name: str


def load_stored_mixes(listener_id: int | None, market: str, day: date) -> tuple[StoredMixes | None, StoredMixes | None]:
    """Return the mixes of a listener for a day, and those of everybody in a market, by one query.

    Args:
        listener_id: None for nobody's.
    """
    which = Q(user=None, market=market)
    if listener_id is not None:
        which |= Q(user=listener_id)
    rows = {row.user_id is None: row for row in StoredMixes.objects.filter(which, day=day)}
    return rows.get(False), rows.get(True)


def listeners_with_mixes(listener_ids: Collection[int], day: date) -> set[int]:
    """Return those of some listeners whose mixes for a day are stored."""
    rows = StoredMixes.objects.filter(user__in=listener_ids, day=day)
    return {user_id for user_id in rows.values_list("user", flat=True) if user_id is not None}


def strongest_tags(track_ids: Collection[int]) -> dict[int, Topic]:
    """Return each track's strongest tag, preferring genres, without tracks that have no tags."""
    genre_first = Case(When(tag__kind=Tag.Kind.GENRE, then=0), default=1)
    rows = TrackTag.objects.filter(track__in=track_ids).order_by(genre_first, "-weight", "tag__name")
    strongest_last = reversed(list(rows.values_list("track_id", "tag_id", "tag__name")))
    return {track_id: Topic(tag_id, name) for track_id, tag_id, name in strongest_last}
