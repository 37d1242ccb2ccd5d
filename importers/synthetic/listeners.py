"""The listeners of the synthetic world: how much they play, what they like, and when."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from importers.synthetic.catalogue import SCENES, SyntheticCatalogue
from importers.synthetic.genres import GENRES
from importers.synthetic.size import SyntheticWorld

DAYPARTS = ("morning", "day", "evening", "night")
_ENERGIES = (0.55, 0.45, 0.75, 0.25)  # what each of them asks for
_EXPLORE = 0.05  # share of plays by what everybody plays, not by taste
_FAVOURITES = 8  # artists played out of proportion


@dataclass(frozen=True)
class SyntheticListener:
    """taste: float64 (tracks,), 0..1, how much the listener cares for each · odds: float64 (4, tracks), running sums up
    to 1 of what is chosen in each daypart · dayparts: float64 (4,), shares of sessions · weekend: how much likelier a
    session is on a Saturday or Sunday · likes: share of tracks heard with pleasure that are liked."""

    name: str
    plays: int
    taste: NDArray[np.float64]
    odds: NDArray[np.float64]
    dayparts: NDArray[np.float64]
    weekend: float
    likes: float


def generate_listeners(
    world: SyntheticWorld, catalogue: SyntheticCatalogue, prefix: str, rng: np.random.Generator
) -> Iterator[SyntheticListener]:
    """One at a time: each holds arrays over all tracks."""
    activity = rng.permutation((10.0 + np.arange(world.listeners)) ** -0.8)
    for number, plays in enumerate(rng.multinomial(world.plays, activity / activity.sum()), 1):
        taste = _taste(catalogue, rng)
        yield SyntheticListener(
            name=f"{prefix}listener-{number:04}",
            plays=int(plays),
            taste=taste,
            odds=_odds(catalogue, taste),
            dayparts=rng.dirichlet((2.0, 2.0, 4.0, 1.5)),
            weekend=float(rng.lognormal(0.2, 0.5)),
            likes=float(rng.beta(1, 15)),
        )


def _taste(catalogue: SyntheticCatalogue, rng: np.random.Generator) -> NDArray[np.float64]:
    """A few genres, in each mostly one scene, and favourite artists among theirs."""
    genres = rng.choice(len(GENRES), size=int(rng.integers(2, 5)), replace=False)
    of_genre, of_scene = np.full(len(GENRES), 0.003), np.full((len(GENRES), SCENES), 0.15)
    of_genre[genres] = rng.dirichlet(np.full(len(genres), 2.0))
    of_scene[np.arange(len(GENRES)), rng.integers(SCENES, size=len(GENRES))] = 1.0
    taste = of_genre[catalogue.genre] * of_scene[catalogue.genre, catalogue.scene]
    drawn = rng.choice(len(taste), size=_FAVOURITES, p=(weight := taste * catalogue.popularity) / weight.sum())
    taste = np.where(np.isin(catalogue.artist, catalogue.artist[drawn]), taste * 4, taste)
    return np.asarray(taste / taste.max())


def _odds(catalogue: SyntheticCatalogue, taste: NDArray[np.float64]) -> NDArray[np.float64]:
    wanted = taste * catalogue.popularity
    moods = np.exp(-((catalogue.energy - np.array(_ENERGIES)[:, None]) ** 2) / 0.15)
    chosen = wanted * moods / (wanted * moods).sum(axis=1, keepdims=True)
    chosen = (1 - _EXPLORE) * chosen + _EXPLORE * catalogue.popularity / catalogue.popularity.sum()
    return np.asarray(np.cumsum(chosen, axis=1))
