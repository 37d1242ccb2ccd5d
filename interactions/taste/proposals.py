"""Propose what a listener may want to leave out: habits such as lullabies around 22:00. The listener decides."""

import hashlib
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

import numpy as np

from interactions.models import DeclinedProposal, ExclusionKind, Interaction
from interactions.selectors import HEARD
from interactions.taste.habits import Habit, find_habits
from tracks.models import Tag, TrackTag

READ_PLAYS = 20_000  # the latest ones: habits of the past years need no proposal
MAX_PROPOSALS = 10
MAX_EXCLUSIONS_PROPOSED = 100  # as many as one request may contain
TAG, PLAYLIST, DEVICE = "tag", "playlist", "device"
PROPOSAL_KINDS = [TAG, PLAYLIST, DEVICE]
_TEXTS = {
    TAG: "{plays} plays of {name} around {hour:02}:00 UTC",
    PLAYLIST: "{plays} plays from {name} around {hour:02}:00 UTC",
    DEVICE: "{plays} plays on {name} around {hour:02}:00 UTC",
}


class Proposal(NamedTuple):
    """Plays that a listener may want to leave out, and the exclusions that do so.

    Attributes:
        proposal_id: the same for the same tag, playlist or device, so that it is not proposed again once declined.
        kind: one of `PROPOSAL_KINDS`.
        name: of the tag, playlist or device.
        text: what was noticed, in English.
        plays: their number.
        hour: the hour of most of them, 0 to 23, UTC.
        exclusions: the body of a request that leaves them out.
    """

    proposal_id: str
    kind: str
    name: str
    text: str
    plays: int
    hour: int
    exclusions: list[dict[str, Any]]


class _Play(NamedTuple):
    track_id: int
    context: str
    device: str
    session_id: str
    played_at: datetime


def load_proposals(user_id: int) -> list[Proposal]:
    """Return what a listener may want to leave out and has not declined, the clearest first."""
    rows = Interaction.objects.filter(HEARD, user=user_id, plays=1).order_by("-played_at", "-pk")
    plays = [_Play(*row) for row in rows.values_list(*_Play._fields)[:READ_PLAYS]]
    track_ids = {play.track_id for play in plays}
    tags: dict[int, list[int]] = {}
    own = Interaction.objects.filter(HEARD, user=user_id, plays=1).values("track_id")
    for track_id, tag_id in TrackTag.objects.filter(track__in=own).values_list("track_id", "tag_id").iterator():
        if track_id in track_ids:
            tags.setdefault(track_id, []).append(tag_id)
    numbers: dict[tuple[str, Any], int] = {}
    pairs = [
        (numbers.setdefault(key, len(numbers)), index) for index, play in enumerate(plays) for key in _keys(play, tags)
    ]
    group, index = np.array(pairs, np.int64).reshape(-1, 2).T
    time = np.array([int(play.played_at.timestamp()) for play in plays], np.int64)
    keys, habits = list(numbers), find_habits(time, group, index)
    declined = set(DeclinedProposal.objects.filter(user=user_id).values_list("proposal_id", flat=True))
    tag_ids = [key for kind, key in (keys[habit.group] for habit in habits) if kind == TAG]
    names = dict(Tag.objects.filter(pk__in=tag_ids).values_list("pk", "name"))
    proposals: list[Proposal] = []
    for habit in habits:
        kind, key = keys[habit.group]
        name = names.get(key, "") if kind == TAG else key
        proposal_id = hashlib.blake2b(f"{kind}:{key}".encode(), digest_size=8).hexdigest()
        if proposal_id not in declined and len(proposals) < MAX_PROPOSALS:
            text = _TEXTS[kind].format(plays=len(habit.plays), name=name, hour=habit.hour)
            exclusions = list(_make_exclusions(kind, key, habit, plays))[:MAX_EXCLUSIONS_PROPOSED]
            proposals.append(Proposal(proposal_id, kind, name, text, len(habit.plays), habit.hour, exclusions))
    return proposals


def _keys(play: _Play, tags: dict[int, list[int]]) -> Iterator[tuple[str, Any]]:
    """Yield the tags of a play, its playlist and its device."""
    for tag_id in tags.get(play.track_id, ()):
        yield TAG, tag_id
    if play.context:
        yield PLAYLIST, play.context
    if play.device:
        yield DEVICE, play.device


def _make_exclusions(kind: str, key: Any, habit: Habit, all_plays: Sequence[_Play]) -> Iterator[dict[str, Any]]:
    """Yield the exclusions of the plays of a habit, the latest first.

    A playlist is excluded as a whole, a tag by its tracks, and a device by its sessions, or by the times of its plays
    where it reports no sessions.
    """
    plays = [all_plays[index] for index in habit.plays.tolist()]
    if kind == PLAYLIST:
        yield {"kind": ExclusionKind.PLAYLIST.value, "context": key}
    elif kind == TAG:
        for track_id in dict.fromkeys(play.track_id for play in plays):
            yield {"kind": ExclusionKind.TRACK.value, "track_id": track_id}
    elif all(play.session_id for play in plays):
        for session_id in dict.fromkeys(play.session_id for play in plays):
            yield {"kind": ExclusionKind.SESSION.value, "session_id": session_id}
    else:
        times: dict[date, list[datetime]] = {}
        for play in plays:  # days that begin with the window, which may go on after midnight
            day = (play.played_at - timedelta(hours=habit.first_hour)).astimezone(UTC).date()
            times.setdefault(day, []).append(play.played_at)
        for of_day in times.values():
            until = max(of_day) + timedelta(seconds=1)
            yield {"kind": ExclusionKind.PERIOD.value, "since": min(of_day), "until": until}
