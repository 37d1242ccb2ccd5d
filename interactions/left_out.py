"""Decide which interactions recommenders do not learn from, and keep the column `left_out` up to date.

An interaction is left out if its client said `learn: false`, or if an exclusion of the listener covers it. Everything
that learns or counts reads rows with `left_out` false; the listener's own lists show all.

Call `refresh_left_out` with the listeners locked (`bump_user_revisions` does that): otherwise an exclusion could be
added between an event and the look at the exclusions, and neither transaction would see the other's row.
"""

from collections.abc import Collection

from django.db.models import Exists, OuterRef, Q, QuerySet

from interactions.models import Exclusion, ExclusionKind, Interaction, InteractionKind

# A dislike only forbids, so it holds whatever else is left out; and its withdrawal has to hold as well.
ALWAYS_COUNTED = [InteractionKind.DISLIKE, InteractionKind.UNDISLIKE]
_IS_COVERED = Exists(
    Exclusion.objects.filter(
        Q(kind=ExclusionKind.TRACK, track=OuterRef("track"))
        | Q(kind=ExclusionKind.PLAYLIST, name=OuterRef("context"))
        | Q(kind=ExclusionKind.SESSION, name=OuterRef("session_id"))
        | Q(
            Q(until=None) | Q(until__gt=OuterRef("played_at")),
            kind=ExclusionKind.PERIOD,
            since__lte=OuterRef("played_at"),
        ),
        user=OuterRef("user"),
    )
)


def listeners_with_exclusions(user_ids: Collection[int]) -> set[int]:
    """Return those of some listeners who have exclusions."""
    return set(Exclusion.objects.filter(user__in=user_ids).values_list("user_id", flat=True))


def covered_by(exclusion: Exclusion) -> QuerySet[Interaction]:
    """Return the interactions that an exclusion covers."""
    rows = Interaction.objects.filter(user=exclusion.user_id)
    match exclusion.kind:
        case ExclusionKind.TRACK:
            return rows.filter(track=exclusion.track_id)
        case ExclusionKind.PLAYLIST:
            return rows.filter(context=exclusion.name)
        case ExclusionKind.SESSION:
            return rows.filter(session_id=exclusion.name)
    rows = rows.filter(played_at__gte=exclusion.since)
    return rows if exclusion.until is None else rows.filter(played_at__lt=exclusion.until)


def refresh_left_out(rows: QuerySet[Interaction]) -> None:
    """Derive `left_out` of some interactions from their `learn` and the exclusions of their listeners."""
    is_left_out = (Q(learn=False) | Q(_IS_COVERED)) & ~Q(kind__in=ALWAYS_COUNTED)
    rows.filter(is_left_out, left_out=False).update(left_out=True)
    rows.filter(~is_left_out, left_out=True).update(left_out=False)
