"""Derive columns from one playback. Everything uses these rules, so that events and imports are comparable."""

from typing import NamedTuple

from interactions.models import Interaction

COMPLETED_PERCENT = 95  # the rest is fade-out
SKIP_MS = 30_000
LISTEN_MS = 240_000
MIN_LISTEN_DURATION_MS = 30_000
ENDED_BY_LISTENER = frozenset(
    reason.value
    for reason in (Interaction.EndReason.SKIPPED, Interaction.EndReason.REPLACED, Interaction.EndReason.STOPPED)
)


class Playback(NamedTuple):
    """The columns of `interactions` that say how much of a track was heard.

    Attributes:
        milestone: percent of the track.
        is_completed: 95 % or more was heard.
        is_skip: the listener ended a playback that is not completed within 30 seconds.
        is_listen: half of a track longer than 30 seconds was heard, or four minutes: the rule of Last.fm for scrobbles.
    """

    milestone: int = 0
    is_completed: bool = False
    is_skip: bool = False
    is_listen: bool = False


def derive_playback(ms_played: int | None, duration_ms: int | None, end_reason: str = "") -> Playback:
    """Derive how much of the track was heard in one playback.

    Args:
        ms_played: milliseconds that were heard; None if unknown.
        duration_ms: length of the track in milliseconds; None if unknown.
        end_reason: a value of `Interaction.EndReason`, or "" if unknown.
    """
    heard_ms = ms_played or 0
    milestone = min(100, heard_ms * 100 // duration_ms) if duration_ms else 0
    is_completed = milestone >= COMPLETED_PERCENT
    is_half = duration_ms is not None and duration_ms > MIN_LISTEN_DURATION_MS and heard_ms * 2 >= duration_ms
    return Playback(
        milestone,
        is_completed,
        is_skip=ms_played is not None and heard_ms < SKIP_MS and end_reason in ENDED_BY_LISTENER and not is_completed,
        is_listen=is_half or heard_ms >= LISTEN_MS,
    )
