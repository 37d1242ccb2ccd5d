"""How large a synthetic world is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SyntheticWorld:
    """plays: play events in all; likes come on top · days: of history, the last of them that of `as_of`. Raises
    ValueError for a world without artists, tracks, listeners, plays or days, or with fewer tracks than artists."""

    artists: int = 300
    tracks: int = 3_000
    listeners: int = 800
    plays: int = 120_000
    days: int = 90
    seed: int = 2011

    def __post_init__(self) -> None:
        if min(self.artists, self.listeners, self.plays, self.days) < 1 or self.tracks < self.artists:
            raise ValueError("a world needs an artist, a listener, a play and a day, and a track for each artist")
