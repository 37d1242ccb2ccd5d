"""Read what a listener's plays say about their taste: totals, and plays by artist, tag, decade and sound."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

from django.db.models import Count, F, FloatField, Max, Min, Q, QuerySet, Sum
from django.db.models.functions import Coalesce, ExtractYear

from interactions.models import Exclusion, Interaction, InteractionKind
from interactions.selectors import HEARD

SOUND = ("tempo", "energy", "valence", "danceability", "acousticness")
SKIPPED = (Q(kind=InteractionKind.SKIP) | Q(is_skip=True)) & Q(left_out=False)


class PlayTotals(NamedTuple):
    """The interactions of a listener that are not left out, counted.

    Attributes:
        plays: plays that were not skipped, with imported totals.
        skips: plays that the listener ended within 30 seconds.
        tracks: different tracks among plays and skips.
        milliseconds: the time listened, as far as players reported it.
        first, last: the times of the first and the last interaction; None without any.
    """

    plays: int
    skips: int
    tracks: int
    milliseconds: int
    first: datetime | None
    last: datetime | None


class PlayGroup(NamedTuple):
    """The plays of one artist, tag or decade.

    Attributes:
        key: its id, or the first year of the decade.
        name: what it is called.
        plays: plays that were not skipped, with imported totals.
        recent: how many of the latest plays are among them.
    """

    key: int
    name: str
    plays: int
    recent: int


def load_exclusions(user_id: int) -> list[Exclusion]:
    """Return what a listener has excluded from learning, the latest first."""
    return list(Exclusion.objects.filter(user=user_id).order_by("-created_at", "-pk"))


def load_play_totals(user_id: int) -> PlayTotals:
    """Count the interactions of a listener that are not left out."""
    totals = Interaction.objects.filter(user=user_id, left_out=False).aggregate(
        plays=Coalesce(Sum("plays", filter=HEARD), 0),
        skips=Count("pk", filter=SKIPPED),
        tracks=Count("track", filter=HEARD | SKIPPED, distinct=True),
        milliseconds=Coalesce(Sum("ms_played"), 0),
        first=Min("played_at"),
        last=Max("played_at"),
    )
    return PlayTotals(**totals)


def latest_plays_since(user_id: int, count: int) -> datetime | None:
    """Return the time of the oldest of a listener's latest `count` plays; None if they have none."""
    latest = Interaction.objects.filter(HEARD, user=user_id).order_by("-played_at").values("played_at")[:count]
    oldest: datetime | None = latest.aggregate(oldest=Min("played_at"))["oldest"]
    return oldest


def plays_by_artist(user_id: int, since: datetime) -> list[PlayGroup]:
    """Return the artists of a listener's plays, the most played first.

    Args:
        since: plays from this time on count as recent.
    """
    return _group(_count(user_id, since, "track__artist_id", "track__artist__name"))


def plays_by_tag(user_id: int, since: datetime) -> list[PlayGroup]:
    """Return the tags of the tracks of a listener's plays, the most played first; see `plays_by_artist`."""
    rows = _count(user_id, since, "track__track_tags__tag_id", "track__track_tags__tag__name")
    return _group(row for row in rows if row[0] is not None)  # a filter would join the tags of each track twice


def plays_by_decade(user_id: int, since: datetime) -> list[PlayGroup]:
    """Return the decades in which the tracks of a listener's plays were released, in order of time.

    Tracks whose year the catalogue does not know are left out.
    """
    rows = Interaction.objects.filter(HEARD, user=user_id).annotate(year=release_year("track__"))
    by_year = (
        rows.filter(year__isnull=False)
        .order_by()
        .values("year")
        .annotate(**_counts(since))
        .values_list("year", "all", "recent")
    )
    decades: dict[int, tuple[int, int]] = {}
    for year, plays, recent in by_year:
        decade = int(year) // 10 * 10
        earlier = decades.get(decade, (0, 0))
        decades[decade] = earlier[0] + plays, earlier[1] + recent
    return [PlayGroup(decade, f"{decade}s", *decades[decade]) for decade in sorted(decades)]


def mean_sound(user_id: int) -> dict[str, float]:
    """Return the mean of each audio feature over a listener's plays, by name, without unknown ones."""
    means = {
        name: Sum(F("plays") * F(f"track__{name}"), output_field=FloatField())
        / Sum("plays", filter=Q(**{f"track__{name}__isnull": False}), output_field=FloatField())
        for name in SOUND
    }
    values = Interaction.objects.filter(HEARD, user=user_id).aggregate(**means)
    return {name: value for name, value in values.items() if value is not None}


def release_year(prefix: str = "") -> Coalesce:
    """Return an expression for the year in which a track was released; null if the catalogue does not know it.

    Args:
        prefix: leads from the rows to their tracks, such as `track__`.
    """
    return Coalesce(
        f"{prefix}album__year", ExtractYear(f"{prefix}released_on"), ExtractYear(f"{prefix}album__released_on")
    )


def _counts(since: datetime) -> dict[str, Any]:
    return {"all": Sum("plays"), "recent": Count("pk", filter=Q(played_at__gte=since))}


def _count(user_id: int, since: datetime, key: str, name: str) -> "QuerySet[Any, Any]":
    plays = Interaction.objects.filter(HEARD, user=user_id).order_by().values(key, name)
    rows: QuerySet[Any, Any] = plays.annotate(**_counts(since)).values_list(key, name, "all", "recent")
    return rows


def _group(rows: Iterable[Any]) -> list[PlayGroup]:
    return sorted((PlayGroup(*row) for row in rows), key=lambda group: (-group.plays, group.name))
