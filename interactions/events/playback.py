"""What one playback says, derived here and nowhere else, so that phones and imports mean the same."""

from typing import NamedTuple

from interactions.models import Interaction

COMPLETED_MILESTONE = 95  # percent; the rest is fade-out
SKIP_MS = 30_000
LISTEN_MS = 240_000
LISTEN_SHORTEST_MS = 30_000
BY_THE_LISTENER = frozenset(
    r.value for r in (Interaction.EndReason.SKIPPED, Interaction.EndReason.REPLACED, Interaction.EndReason.STOPPED)
)


class Playback(NamedTuple):
    """Columns of `interactions`."""

    milestone: int = 0
    is_completed: bool = False
    is_skip: bool = False
    is_listen: bool = False


def derive_playback(ms_played: int | None, duration_ms: int | None, end_reason: str = "") -> Playback:
    """milestone: percent of the track · completed: 95 % · skip: ended by the listener within 30 seconds, and not heard
    to the end by then · listen: half of a track longer than 30 seconds, or four minutes (Last.fm's rule for scrobbles).

    Times in milliseconds, None where unknown.
    """
    heard = ms_played or 0
    milestone = min(100, heard * 100 // duration_ms) if duration_ms else 0
    is_completed = milestone >= COMPLETED_MILESTONE
    half = duration_ms is not None and duration_ms > LISTEN_SHORTEST_MS and heard * 2 >= duration_ms
    return Playback(
        milestone,
        is_completed,
        is_skip=ms_played is not None and heard < SKIP_MS and end_reason in BY_THE_LISTENER and not is_completed,
        is_listen=half or heard >= LISTEN_MS,
    )
