"""Listeners of a synthetic world: how much they play, what they like, and when they listen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from importers.synthetic.catalogue import GENRES, SCENES_PER_GENRE, SyntheticCatalogue
from importers.synthetic.world import SyntheticWorld

DAYPARTS = ("morning", "day", "evening", "night")
_DAYPART_ENERGIES = (0.55, 0.45, 0.75, 0.25)  # the energy of tracks that suits each of them
_EXPLORATION = 0.05  # share of plays that follow popularity instead of taste
_FAVOURITE_COUNT = 8  # draws of favourite artists
_FAVOURITE_BOOST = 4


@dataclass(frozen=True)
class SyntheticListener:
    """A listener and their habits.

    Attributes:
        plays: the number of plays in the whole history.
        taste: float64 (tracks,), 0 to 1, how much the listener likes each track.
        cumulative_odds: float64 (4, tracks), for each daypart the cumulative probability of choosing a track.
        daypart_shares: float64 (4,), the share of sessions in each daypart.
        weekend_weight: how much likelier a session is on a Saturday or Sunday.
        like_rate: the share of liked tracks among those heard with pleasure.
    """

    name: str
    plays: int
    taste: NDArray[np.float64]
    cumulative_odds: NDArray[np.float64]
    daypart_shares: NDArray[np.float64]
    weekend_weight: float
    like_rate: float


def generate_listeners(
    world: SyntheticWorld, catalogue: SyntheticCatalogue, prefix: str, rng: np.random.Generator
) -> Iterator[SyntheticListener]:
    """Yield the listeners of a world, with names that begin with `prefix`.

    They are generated one at a time, because each has arrays over all tracks.
    """
    activity = rng.permutation((10.0 + np.arange(world.listeners)) ** -0.8)
    for number, plays in enumerate(rng.multinomial(world.plays, activity / activity.sum()), 1):
        taste = _generate_taste(catalogue, rng)
        yield SyntheticListener(
            name=f"{prefix}listener-{number:04}",
            plays=int(plays),
            taste=taste,
            cumulative_odds=_cumulative_odds(catalogue, taste),
            daypart_shares=rng.dirichlet((2.0, 2.0, 4.0, 1.5)),
            weekend_weight=float(rng.lognormal(0.2, 0.5)),
            like_rate=float(rng.beta(1, 15)),
        )


def _generate_taste(catalogue: SyntheticCatalogue, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return float64 (tracks,): a few genres, in each mostly one scene, and favourite artists among them."""
    liked_genres = rng.choice(len(GENRES), size=int(rng.integers(2, 5)), replace=False)
    genre_weights = np.full(len(GENRES), 0.003)
    scene_weights = np.full((len(GENRES), SCENES_PER_GENRE), 0.15)
    genre_weights[liked_genres] = rng.dirichlet(np.full(len(liked_genres), 2.0))
    scene_weights[np.arange(len(GENRES)), rng.integers(SCENES_PER_GENRE, size=len(GENRES))] = 1.0
    taste = genre_weights[catalogue.genre] * scene_weights[catalogue.genre, catalogue.scene]
    play_weights = taste * catalogue.popularity
    favourites = rng.choice(len(taste), size=_FAVOURITE_COUNT, p=play_weights / play_weights.sum())
    is_favourite = np.isin(catalogue.artist, catalogue.artist[favourites])
    taste = np.where(is_favourite, taste * _FAVOURITE_BOOST, taste)
    return np.asarray(taste / taste.max())


def _cumulative_odds(catalogue: SyntheticCatalogue, taste: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return float64 (4, tracks), for each daypart the cumulative probability of choosing a track."""
    appeal = taste * catalogue.popularity
    energy_match = np.exp(-((catalogue.energy - np.array(_DAYPART_ENERGIES)[:, None]) ** 2) / 0.15)
    odds = appeal * energy_match / (appeal * energy_match).sum(axis=1, keepdims=True)
    odds = (1 - _EXPLORATION) * odds + _EXPLORATION * catalogue.popularity / catalogue.popularity.sum()
    return np.asarray(np.cumsum(odds, axis=1))
