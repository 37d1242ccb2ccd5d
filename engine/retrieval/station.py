"""What a radio is about: its seeds, and what its listener has made of it so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]
Floats = NDArray[np.float64]
EASY, MEDIUM, HARD = "easy", "medium", "hard"
FADING = 0.8  # what a reaction counts in proportion to the newer one before it
NEGATIVE, LIKED, SKIPPED = 0.5, 0.3, 0.5  # the weights of the parts of a station, see `Station.parts`


class RadioMode(NamedTuple):
    """Where a radio looks for tracks.

    Attributes:
        closeness: of the tracks that come first: 1 for the nearest one of the catalogue, 0 for the farthest; see
            `engine.retrieval.radio`.
        popularity: weight of the popularity percentile; below 0, tracks that few people know come first.
    """

    closeness: float
    popularity: float


MODES: Mapping[str, RadioMode] = {
    EASY: RadioMode(1.0, 0.2),
    MEDIUM: RadioMode(0.65, 0.0),
    HARD: RadioMode(0.45, -0.3),
}


class StationPart(NamedTuple):
    """Tracks that a station is drawn to, or away from.

    Attributes:
        track_ids: int64 (k,), at least one.
        shares: of these tracks in the part, float64 (k,), with the sum 1.
        strength: of the part; below 0 it pushes away.
    """

    track_ids: Ids
    shares: Floats
    strength: float


class Seed(NamedTuple):
    """One thing that a radio was made from, as the tracks that stand for it: a track, or those of an artist or a tag.

    Attributes:
        track_ids: int64 (k,).
        weight: in proportion to the other seeds of the same sign; below 0 it pushes away.
        shares: of these tracks, float64 (k,), above 0; equal ones if it is None.
    """

    track_ids: Ids
    weight: float
    shares: Floats | None = None


def _no_ids() -> Ids:
    return np.zeros(0, np.int64)


@dataclass(frozen=True)
class Station:
    """The seeds of a radio, and the tracks of it that its listener has reacted to, the newest first.

    Attributes:
        seeds: of either sign.
        mode: one of `MODES`.
        drift: how far the station follows its listener, from 0, it stays at its seeds, to 1, it goes where they go.
        only_seeds: offer the tracks of the seeds, and no others.
        liked: int64 (k,).
        played: to the end, or nearly so: int64 (k,).
        skipped: int64 (k,).
    """

    seeds: tuple[Seed, ...]
    mode: str = EASY
    drift: float = 0.0
    only_seeds: bool = False
    liked: Ids = field(default_factory=_no_ids)
    played: Ids = field(default_factory=_no_ids)
    skipped: Ids = field(default_factory=_no_ids)

    def parts(self) -> list[StationPart]:
        """Return what makes the station, a sum of directions (after Rocchio 1971, "Relevance feedback").

        With D the drift, which counts from the first track on that is liked or played to its end, and m = Σ 0.8^i over
        the reactions of a kind, the strengths are

            (1 − D) · weight / Σ weights           for each positive seed
            −0.5 · |weight| / Σ |weights|          for each negative seed
            D                                      for the liked and the played tracks together, the likes twice
            0.3 · m / (1 + m)                      for the liked tracks, whatever the drift
            −0.5 · m / (1 + m)                     for the skipped tracks

        so that one skip counts 0.25 and many up to 0.42. In the last three, a reaction counts 0.8 of the one after it.
        """
        parts: list[StationPart] = []
        drift = self.drift if len(self.liked) or len(self.played) else 0.0
        for sign, strength in ((1, 1 - drift), (-1, -NEGATIVE)):
            seeds = [seed for seed in self.seeds if seed.weight * sign > 0 and len(seed.track_ids)]
            total = sum(abs(seed.weight) for seed in seeds)
            for seed in seeds:
                shares = np.ones(len(seed.track_ids)) if seed.shares is None else seed.shares
                parts.append(StationPart(seed.track_ids, shares / shares.sum(), strength * abs(seed.weight) / total))
        if drift:
            shares = np.concatenate([2 * _fading(len(self.liked)), _fading(len(self.played))])
            parts.append(StationPart(np.concatenate([self.liked, self.played]), shares / shares.sum(), drift))
        for track_ids, weight in ((self.liked, LIKED), (self.skipped, -SKIPPED)):
            if len(track_ids):
                fading = _fading(len(track_ids))
                total = float(fading.sum())
                parts.append(StationPart(track_ids, fading / total, weight * total / (1 + total)))
        return [part for part in parts if part.strength]


def _fading(k: int) -> Floats:
    return np.asarray(FADING ** np.arange(k), np.float64)
