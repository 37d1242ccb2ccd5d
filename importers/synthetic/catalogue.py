"""Artists, albums and tracks of the synthetic world."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from importers.records import TagRecord, TrackRecord
from importers.synthetic.genres import GENRES, Genre
from importers.synthetic.names import ARTIST, TITLE, unique_name
from importers.synthetic.size import SyntheticWorld

SCENES = 3  # within a genre: who likes one of its artists mostly likes those of the same scene
ALBUM = 10  # tracks of a full album
_SPREAD = 0.09  # of sounds around those typical for the genre


@dataclass(frozen=True)
class SyntheticCatalogue:
    """Columns over n tracks, those of an album side by side.

    genre, scene, artist, album: int64 (n,) · popularity: float64 (n,) > 0 · energy: float64 (n,) 0..1 ·
    duration_ms: int64 (n,).
    """

    records: list[TrackRecord]
    genre: NDArray[np.int64]
    scene: NDArray[np.int64]
    artist: NDArray[np.int64]
    album: NDArray[np.int64]
    popularity: NDArray[np.float64]
    energy: NDArray[np.float64]
    duration_ms: NDArray[np.int64]


def build_catalogue(world: SyntheticWorld, prefix: str, rng: np.random.Generator) -> SyntheticCatalogue:
    """The tracks of `world`, their ids beginning with `prefix`."""
    genres = rng.integers(len(GENRES), size=world.artists)
    scenes = rng.integers(SCENES, size=world.artists)
    fame = (1 + rng.permutation(world.artists)) ** -0.6  # an unequal world, but not one of a few stars only
    tracks_of = 1 + rng.multinomial(world.tracks - world.artists, rng.dirichlet(np.full(world.artists, 5.0)))
    artist = np.repeat(np.arange(world.artists), tracks_of)
    records = list(_records(world, prefix, genres, tracks_of, rng))
    return SyntheticCatalogue(
        records=records,
        genre=genres[artist],
        scene=scenes[artist],
        artist=artist,
        album=np.unique([r.album_id for r in records], return_inverse=True)[1].astype(np.int64),
        popularity=fame[artist] * rng.lognormal(0, 0.6, world.tracks),
        energy=np.array([r.energy for r in records], np.float64),
        duration_ms=np.array([r.duration_ms for r in records], np.int64),
    )


def _records(
    world: SyntheticWorld,
    prefix: str,
    genres: NDArray[np.int64],
    tracks_of: NDArray[np.int64],
    rng: np.random.Generator,
) -> Iterator[TrackRecord]:
    names: set[str] = set()
    number = album_number = 0
    for artist, tracks in enumerate(tracks_of, 1):
        name, genre = unique_name(ARTIST, names, rng), GENRES[genres[artist - 1]]
        titles: set[str] = set()
        album, year = "", 0
        for position in range(tracks):
            if position % ALBUM == 0:
                album, year = unique_name(TITLE, titles, rng), int(rng.integers(1970, 2025))
                album_number += 1
            number += 1
            yield TrackRecord(
                external_id=f"{prefix}track-{number:05}",
                title=unique_name(TITLE, titles, rng),
                artist=name,
                artist_id=f"{prefix}artist-{artist:04}",
                album=album,
                album_id=f"{prefix}album-{album_number:04}",
                year=year,
                line=number,
                file="synthetic",
                **_sound(genre, rng),
            )


def _sound(genre: Genre, rng: np.random.Generator) -> dict[str, Any]:
    """What a track of the genre sounds like: the columns of TrackRecord that tell."""
    typical = (genre.energy, genre.valence, genre.danceability, genre.acousticness)
    sounds = np.clip(rng.normal(typical, _SPREAD), 0.01, 0.99).round(3).tolist()
    moods = rng.choice(genre.moods, size=int(rng.integers(1, 3)), replace=False).tolist()
    return {
        "duration_ms": int(genre.minutes * 60_000 * np.clip(rng.lognormal(0, 0.2), 0.5, 2)),
        "tempo": round(float(np.clip(rng.normal(genre.tempo, 7), 50, 200)), 1),
        **dict(zip(("energy", "valence", "danceability", "acousticness"), sounds, strict=True)),
        "tags": (TagRecord(genre.name, "genre"), *(TagRecord(mood, "mood") for mood in moods)),
    }
