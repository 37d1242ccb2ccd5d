"""The size of a synthetic world."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SyntheticWorld:
    """How much music, how many listeners and how many plays to generate.

    Attributes:
        plays: the number of plays of all listeners; likes are not counted.
        days: the length of the history, which ends on the day of `as_of`.
        seed: the seed of the random number generator.

    Raises:
        ValueError: there is nothing of a kind, or there are fewer tracks than artists.
    """

    artists: int = 300
    tracks: int = 3_000
    listeners: int = 800
    plays: int = 120_000
    days: int = 90
    seed: int = 2011

    def __post_init__(self) -> None:
        if min(self.artists, self.listeners, self.plays, self.days) < 1 or self.tracks < self.artists:
            raise ValueError("a world needs an artist, a listener, a play and a day, and a track for each artist")
