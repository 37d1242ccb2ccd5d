"""Likes, dislikes and blocks of a listener. Every function may be repeated without changing anything further."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from access.selectors import consent_by_user_id
from access.services import bump_user_revisions
from interactions.left_out import refresh_left_out
from interactions.models import Block, BlockKind, Interaction, InteractionKind
from interactions.selectors import Opinion, current_opinions, latest_opinion
from tracks.selectors import target_exists

CLEARED_BY = {InteractionKind.LIKE: InteractionKind.UNLIKE, InteractionKind.DISLIKE: InteractionKind.UNDISLIKE}


class TargetNotFound(Exception):
    """There is no such listener, track, artist, album or genre; the message says which."""


class ConsentMissing(Exception):
    """The listener's consent is off, so their likes and dislikes must not be stored."""


def set_opinion(user_id: int, track_id: int, opinion: InteractionKind) -> None:
    """Like or dislike a track; a like replaces a dislike and the other way round.

    Raises:
        TargetNotFound: there is no such listener or track.
        ConsentMissing: the listener's consent is off.
    """
    if not _has_consent(user_id):
        raise ConsentMissing
    if not target_exists(BlockKind.TRACK, track_id):
        raise TargetNotFound("no such track")
    latest = latest_opinion(user_id, track_id)
    if latest is None or latest.kind != opinion:
        _store_opinion(user_id, track_id, opinion, latest)


def clear_opinion(user_id: int, track_id: int, opinion: InteractionKind) -> None:
    """Withdraw a like or a dislike; do nothing if it is not the listener's current opinion of the track.

    Raises:
        TargetNotFound: there is no such listener.
        ConsentMissing: the listener's consent is off.
    """
    if not _has_consent(user_id):
        raise ConsentMissing
    latest = latest_opinion(user_id, track_id)
    if latest is not None and latest.kind == opinion:
        _store_opinion(user_id, track_id, CLEARED_BY[opinion], latest)


def add_block(user_id: int, kind: str, target_id: int, until: datetime | None) -> None:
    """Exclude an artist, album, track or genre from recommendations, permanently or until a time.

    Raises:
        TargetNotFound: there is no such listener or target.
    """
    _has_consent(user_id)  # blocks are stored without consent, but not for an unknown listener
    if not target_exists(kind, target_id):
        raise TargetNotFound(f"no such {kind}")
    with _deleted_meanwhile_as_not_found():
        Block.objects.update_or_create(user_id=user_id, kind=kind, target_id=target_id, defaults={"until": until})


def remove_block(user_id: int, kind: str, target_id: int) -> None:
    """Allow a target to be recommended again. Raises TargetNotFound if there is no such listener."""
    _has_consent(user_id)
    Block.objects.filter(user=user_id, kind=kind, target_id=target_id).delete()


def load_preferences(user_id: int) -> dict[str, Any]:
    """Return the ids of liked and disliked tracks and the blocks in force, the latest first.

    Raises:
        TargetNotFound: there is no such listener.
    """
    _has_consent(user_id)
    opinions = current_opinions(user_id)
    in_force = Block.objects.filter(Q(until=None) | Q(until__gt=timezone.now()), user=user_id)
    return {
        "likes": [track_id for track_id, kind in opinions.items() if kind == InteractionKind.LIKE],
        "dislikes": [track_id for track_id, kind in opinions.items() if kind == InteractionKind.DISLIKE],
        "blocks": list(in_force.order_by("-created_at", "-pk").values("kind", "target_id", "until")),
    }


def _has_consent(user_id: int) -> bool:
    """Return whether the listener's consent is on. Raises TargetNotFound if there is no such listener."""
    consents = consent_by_user_id([user_id])
    if user_id not in consents:
        raise TargetNotFound("no such listener")
    return consents[user_id]


def _store_opinion(user_id: int, track_id: int, kind: InteractionKind, latest: Opinion | None) -> None:
    now = timezone.now()
    # An event from a phone whose clock is fast may lie a few minutes ahead, but this opinion is the newer one.
    played_at = now if latest is None else max(now, latest.played_at + timedelta(microseconds=2))
    with _deleted_meanwhile_as_not_found():
        row = Interaction.objects.create(
            user_id=user_id, track_id=track_id, kind=kind, played_at=played_at, source="api"
        )
        bump_user_revisions([user_id])
        stored = Interaction.objects.filter(pk=row.pk)
        refresh_left_out(stored)
        like_left_out = stored.filter(kind=InteractionKind.LIKE, left_out=True)
        if latest and latest.kind == InteractionKind.DISLIKE and like_left_out.exists():
            # A like that an exclusion leaves out does not withdraw the dislike.
            Interaction.objects.create(
                user_id=user_id,
                track_id=track_id,
                kind=InteractionKind.UNDISLIKE,
                played_at=latest.played_at + timedelta(microseconds=1),
                source="api",
            )


@contextmanager
def _deleted_meanwhile_as_not_found() -> Iterator[None]:
    """Run the body in a transaction, and raise TargetNotFound if the listener or the track was deleted meanwhile."""
    try:
        with transaction.atomic():
            yield
    except IntegrityError as error:
        raise TargetNotFound("the listener or the track has just been deleted") from error
