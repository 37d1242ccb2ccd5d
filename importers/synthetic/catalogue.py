"""Genres, artists, albums and tracks of a synthetic world."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from importers.records import TagRecord, TrackRecord
from importers.synthetic.names import ARTIST_PATTERNS, TITLE_PATTERNS, generate_unique_name
from importers.synthetic.world import SyntheticWorld

SCENES_PER_GENRE = 3  # listeners who like an artist mostly like the other artists of its scene
TRACKS_PER_ALBUM = 10
_FEATURE_SPREAD = 0.09  # standard deviation of audio features around those typical of the genre


class SyntheticGenre(NamedTuple):
    """A genre and the typical audio features of its tracks.

    Attributes:
        tempo: beats per minute.
        energy, valence, danceability, acousticness: 0 to 1.
        minutes: the length of a track.
        moods: tags that its tracks may have.
    """

    name: str
    tempo: float
    energy: float
    valence: float
    danceability: float
    acousticness: float
    minutes: float
    moods: tuple[str, ...]


GENRES = (
    SyntheticGenre("ambient", 78, 0.18, 0.35, 0.25, 0.70, 5.6, ("calm", "dreamy", "spacious")),
    SyntheticGenre("baroque chamber", 96, 0.22, 0.55, 0.28, 0.95, 4.2, ("calm", "elegant", "thoughtful")),
    SyntheticGenre("blues", 98, 0.45, 0.45, 0.52, 0.55, 4.1, ("longing", "warm", "late-night")),
    SyntheticGenre("country", 116, 0.55, 0.62, 0.58, 0.45, 3.4, ("warm", "hopeful", "homely")),
    SyntheticGenre("drum and bass", 174, 0.88, 0.45, 0.62, 0.04, 4.6, ("driving", "dark", "euphoric")),
    SyntheticGenre("folk", 104, 0.32, 0.48, 0.45, 0.85, 3.7, ("homely", "longing", "thoughtful")),
    SyntheticGenre("funk", 108, 0.72, 0.82, 0.82, 0.18, 4.3, ("playful", "sunny", "euphoric")),
    SyntheticGenre("hip hop", 92, 0.66, 0.55, 0.80, 0.15, 3.5, ("confident", "late-night", "playful")),
    SyntheticGenre("house", 124, 0.80, 0.65, 0.85, 0.05, 5.4, ("euphoric", "driving", "sunny")),
    SyntheticGenre("indie pop", 118, 0.60, 0.60, 0.62, 0.30, 3.5, ("dreamy", "hopeful", "sunny")),
    SyntheticGenre("jazz", 112, 0.40, 0.55, 0.52, 0.75, 5.2, ("late-night", "elegant", "warm")),
    SyntheticGenre("metal", 138, 0.95, 0.28, 0.38, 0.02, 4.8, ("dark", "angry", "driving")),
    SyntheticGenre("post-punk", 142, 0.78, 0.38, 0.50, 0.08, 3.6, ("dark", "restless", "angry")),
    SyntheticGenre("soul", 96, 0.52, 0.65, 0.65, 0.40, 3.8, ("warm", "longing", "hopeful")),
)


@dataclass(frozen=True)
class SyntheticCatalogue:
    """Columns over n tracks, in which the tracks of an album follow each other.

    Attributes:
        records: the n tracks.
        genre, scene, artist, album: int64 (n,), the number of each track's genre, scene within it, artist and album.
        popularity: float64 (n,), more than 0.
        energy: float64 (n,), 0 to 1.
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


def generate_catalogue(world: SyntheticWorld, prefix: str, rng: np.random.Generator) -> SyntheticCatalogue:
    """Return the tracks of a world, with ids that begin with `prefix`."""
    artist_genres = rng.integers(len(GENRES), size=world.artists)
    artist_scenes = rng.integers(SCENES_PER_GENRE, size=world.artists)
    fame = (1 + rng.permutation(world.artists)) ** -0.6  # unequal, but not a world of a few stars only
    extra_tracks = rng.multinomial(world.tracks - world.artists, rng.dirichlet(np.full(world.artists, 5.0)))
    track_counts = 1 + extra_tracks
    artist = np.repeat(np.arange(world.artists), track_counts)
    records = list(_generate_tracks(prefix, artist_genres, track_counts, rng))
    return SyntheticCatalogue(
        records=records,
        genre=artist_genres[artist],
        scene=artist_scenes[artist],
        artist=artist,
        album=np.unique([record.album_id for record in records], return_inverse=True)[1].astype(np.int64),
        popularity=fame[artist] * rng.lognormal(0, 0.6, world.tracks),
        energy=np.array([record.energy for record in records], np.float64),
        duration_ms=np.array([record.duration_ms for record in records], np.int64),
    )


def _generate_tracks(
    prefix: str, artist_genres: NDArray[np.int64], track_counts: NDArray[np.int64], rng: np.random.Generator
) -> Iterator[TrackRecord]:
    artist_names: set[str] = set()
    track_number = album_number = 0
    for artist_number, track_count in enumerate(track_counts, 1):
        artist = generate_unique_name(ARTIST_PATTERNS, artist_names, rng)
        genre = GENRES[artist_genres[artist_number - 1]]
        titles: set[str] = set()
        album, year = "", 0
        for position in range(track_count):
            if position % TRACKS_PER_ALBUM == 0:
                album, year = generate_unique_name(TITLE_PATTERNS, titles, rng), int(rng.integers(1970, 2025))
                album_number += 1
            track_number += 1
            yield TrackRecord(
                external_id=f"{prefix}track-{track_number:05}",
                title=generate_unique_name(TITLE_PATTERNS, titles, rng),
                artist=artist,
                artist_id=f"{prefix}artist-{artist_number:04}",
                album=album,
                album_id=f"{prefix}album-{album_number:04}",
                year=year,
                line=track_number,
                file="synthetic",
                **_generate_features(genre, rng),
            )


def _generate_features(genre: SyntheticGenre, rng: np.random.Generator) -> dict[str, Any]:
    """Return the duration, audio features and tags of a track of the genre, as fields of TrackRecord."""
    typical = (genre.energy, genre.valence, genre.danceability, genre.acousticness)
    features = np.clip(rng.normal(typical, _FEATURE_SPREAD), 0.01, 0.99).round(3).tolist()
    moods = rng.choice(genre.moods, size=int(rng.integers(1, 3)), replace=False).tolist()
    return {
        "duration_ms": int(genre.minutes * 60_000 * np.clip(rng.lognormal(0, 0.2), 0.5, 2)),
        "tempo": round(float(np.clip(rng.normal(genre.tempo, 7), 50, 200)), 1),
        **dict(zip(("energy", "valence", "danceability", "acousticness"), features, strict=True)),
        "tags": (TagRecord(genre.name, "genre"), *(TagRecord(mood, "mood") for mood in moods)),
    }
