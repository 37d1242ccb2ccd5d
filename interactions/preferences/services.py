"""What a listener likes, dislikes and never wants to be offered. Everything here may be repeated."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from access.selectors import consent_by_user_id
from access.services import bump_user_revisions
from interactions.models import Block, Interaction
from interactions.selectors import current_opinion, current_opinions, last_opinion_at
from tracks.selectors import target_exists

Kind = Interaction.Kind
WITHDRAWN = {Kind.LIKE: Kind.UNLIKE, Kind.DISLIKE: Kind.UNDISLIKE}


class TargetNotFound(Exception):
    """There is no such listener, track, artist, album or genre; the message says which."""


class ConsentMissing(Exception):
    """The listener has not agreed that what they like is kept."""


def set_opinion(user_id: int, track_id: int, opinion: Kind) -> None:
    """Like or dislike a track; the one takes the place of the other. Raises Unknown, NoConsent."""
    _agreed(user_id)
    if not target_exists(Block.Kind.TRACK, track_id):
        raise TargetNotFound("no such track")
    if current_opinion(user_id, track_id) != opinion:
        _write(user_id, track_id, opinion)


def clear_opinion(user_id: int, track_id: int, opinion: Kind) -> None:
    """Neither like nor dislike it any more, if that is what was said last. Raises Unknown, NoConsent."""
    _agreed(user_id)
    if current_opinion(user_id, track_id) == opinion:
        _write(user_id, track_id, WITHDRAWN[opinion])


def add_block(user_id: int, kind: str, target_id: int, until: datetime | None) -> None:
    """Never offer it, or not until then. Raises Unknown."""
    _known(user_id)
    if not target_exists(kind, target_id):
        raise TargetNotFound(f"no such {kind}")
    with _there():
        Block.objects.update_or_create(user_id=user_id, kind=kind, target_id=target_id, defaults={"until": until})


def remove_block(user_id: int, kind: str, target_id: int) -> None:
    """Raises Unknown."""
    _known(user_id)
    Block.objects.filter(user=user_id, kind=kind, target_id=target_id).delete()


def load_preferences(user_id: int) -> dict[str, Any]:
    """likes, dislikes: track ids, the newest first · blocks: those in force. Raises Unknown."""
    _known(user_id)
    said = current_opinions(user_id)
    in_force = Block.objects.filter(Q(until=None) | Q(until__gt=timezone.now()), user=user_id)
    return {
        "likes": [track for track, opinion in said.items() if opinion == Kind.LIKE],
        "dislikes": [track for track, opinion in said.items() if opinion == Kind.DISLIKE],
        "blocks": list(in_force.order_by("-created_at", "-pk").values("kind", "target_id", "until")),
    }


def _known(user_id: int) -> bool:
    """Whether they agreed that what they like is kept."""
    listeners = consent_by_user_id([user_id])
    if user_id not in listeners:
        raise TargetNotFound("no such listener")
    return listeners[user_id]


def _agreed(user_id: int) -> None:
    if not _known(user_id):
        raise ConsentMissing


def _write(user_id: int, track_id: int, kind: Kind) -> None:
    now, last = timezone.now(), last_opinion_at(user_id, track_id)
    # A phone whose clock is fast may have said something in a minute from now: this is newer all the same.
    at = now if last is None else max(now, last + timedelta(microseconds=1))
    with _there():
        Interaction.objects.create(user_id=user_id, track_id=track_id, kind=kind, played_at=at, source="api")
        bump_user_revisions([user_id])


@contextmanager
def _there() -> Iterator[None]:
    """A listener may be erased, or a track deleted, between the look and the commit."""
    try:
        with transaction.atomic():
            yield
    except IntegrityError as error:
        raise TargetNotFound("no such listener or track any more") from error
