"""Exclusions and sliders of a listener: what recommenders must not learn from, and what counts more or less."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from django.db import transaction

from access.services import bump_user_revisions
from interactions.left_out import covered_by, refresh_left_out
from interactions.models import DeclinedProposal, Exclusion, ExclusionKind, Interaction, Slider, SliderKind
from interactions.taste.proposals import load_proposals

MAX_TARGETS = 100  # of one request
MAX_SLIDERS = 100  # of a listener; each request looks up their tracks
MAX_EXCLUSIONS = 500  # of a listener; each event is compared with all of them


class TooManyExclusions(Exception):
    """The listener has `MAX_EXCLUSIONS` already."""


class TooManySliders(Exception):
    """The listener has `MAX_SLIDERS` already."""


class ExclusionTarget(NamedTuple):
    """What an exclusion covers: a track, the `context` or `session_id` of events, or a period."""

    kind: ExclusionKind
    track_id: int | None = None
    name: str = ""
    since: datetime | None = None
    until: datetime | None = None


@transaction.atomic
def add_exclusions(user_id: int, targets: Sequence[ExclusionTarget]) -> list[Exclusion]:
    """Let recommenders learn nothing from what these targets cover, in the past and in the future.

    All of them are stored, or none. A target that is excluded already stays as it is.

    Raises:
        TooManyExclusions: the listener would have too many.
        IntegrityError: the listener or a track has just been deleted.
    """
    bump_user_revisions([user_id])  # first, because it locks the listener: see `interactions.left_out`
    exclusions, added = [], 0
    for target in targets:
        exclusion, is_new = Exclusion.objects.get_or_create(user_id=user_id, **target._asdict())
        exclusions.append(exclusion)
        if is_new:
            refresh_left_out(covered_by(exclusion))
            added += 1
    if added and Exclusion.objects.filter(user=user_id).count() > MAX_EXCLUSIONS:  # merged listeners may have more
        raise TooManyExclusions
    return exclusions


@transaction.atomic
def remove_exclusion(user_id: int, exclusion_id: int) -> None:
    """Undo an exclusion: what it covers counts again, unless its client or another exclusion leaves it out."""
    bump_user_revisions([user_id])
    exclusion = Exclusion.objects.filter(user=user_id, pk=exclusion_id).first()
    if exclusion is not None:
        rows = covered_by(exclusion)
        exclusion.delete()
        refresh_left_out(rows)


@transaction.atomic
def set_slider(user_id: int, kind: SliderKind, target_id: int, value: float) -> None:
    """Let an artist or a tag count more (up to 1) or less (down to -1) for a listener; 0 removes the slider.

    Raises:
        TooManySliders: the listener has `MAX_SLIDERS` others.
    """
    bump_user_revisions([user_id])
    sliders = Slider.objects.filter(user=user_id)
    if not value:
        sliders.filter(kind=kind, target_id=target_id).delete()
        return
    if sliders.exclude(kind=kind, target_id=target_id).count() >= MAX_SLIDERS:
        raise TooManySliders
    Slider.objects.update_or_create(user_id=user_id, kind=kind, target_id=target_id, defaults={"value": value})


def merge_sliders(source_id: int, target_id: int) -> None:
    """Move the sliders of one listener to another, as far as the other has none for the same artist or tag."""
    own = set(Slider.objects.filter(user=target_id).values_list("kind", "target_id"))
    for slider in Slider.objects.filter(user=source_id):
        if (slider.kind, slider.target_id) not in own:
            Slider.objects.filter(pk=slider.pk).update(user=target_id)


def decline_proposal(user_id: int, proposal_id: str) -> None:
    """Do not make a proposal to a listener again. Ids of other proposals than the current ones are ignored."""
    if any(proposal.proposal_id == proposal_id for proposal in load_proposals(user_id)):
        DeclinedProposal.objects.get_or_create(user_id=user_id, proposal_id=proposal_id)


def merge_declined_proposals(source_id: int, target_id: int) -> None:
    """Move the declined proposals of one listener to another."""
    own = list(DeclinedProposal.objects.filter(user=target_id).values_list("proposal_id", flat=True))
    DeclinedProposal.objects.filter(user=source_id).exclude(proposal_id__in=own).update(user=target_id)


def merge_exclusions(source_id: int, target_id: int) -> None:
    """Move the exclusions of one listener to another, and apply all of them to all interactions of the other.

    Both listeners must be locked, and the interactions be moved already.
    """
    targets = {_target_of(exclusion) for exclusion in Exclusion.objects.filter(user=target_id)}
    for exclusion in Exclusion.objects.filter(user=source_id):
        if _target_of(exclusion) not in targets:
            Exclusion.objects.filter(pk=exclusion.pk).update(user=target_id)
    refresh_left_out(Interaction.objects.filter(user=target_id))


def _target_of(exclusion: Exclusion) -> ExclusionTarget:
    return ExclusionTarget(*(getattr(exclusion, name) for name in ExclusionTarget._fields))
