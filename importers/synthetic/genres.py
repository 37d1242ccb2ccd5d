"""The genres of the synthetic world: what their music sounds like and which moods it has."""

from __future__ import annotations

from typing import NamedTuple


class Genre(NamedTuple):
    """tempo: beats per minute; the other sounds 0..1. minutes: of a typical track."""

    name: str
    tempo: float
    energy: float
    valence: float
    danceability: float
    acousticness: float
    minutes: float
    moods: tuple[str, ...]


GENRES = (
    Genre("ambient", 78, 0.18, 0.35, 0.25, 0.70, 5.6, ("calm", "dreamy", "spacious")),
    Genre("baroque chamber", 96, 0.22, 0.55, 0.28, 0.95, 4.2, ("calm", "elegant", "thoughtful")),
    Genre("blues", 98, 0.45, 0.45, 0.52, 0.55, 4.1, ("longing", "warm", "late-night")),
    Genre("country", 116, 0.55, 0.62, 0.58, 0.45, 3.4, ("warm", "hopeful", "homely")),
    Genre("drum and bass", 174, 0.88, 0.45, 0.62, 0.04, 4.6, ("driving", "dark", "euphoric")),
    Genre("folk", 104, 0.32, 0.48, 0.45, 0.85, 3.7, ("homely", "longing", "thoughtful")),
    Genre("funk", 108, 0.72, 0.82, 0.82, 0.18, 4.3, ("playful", "sunny", "euphoric")),
    Genre("hip hop", 92, 0.66, 0.55, 0.80, 0.15, 3.5, ("confident", "late-night", "playful")),
    Genre("house", 124, 0.80, 0.65, 0.85, 0.05, 5.4, ("euphoric", "driving", "sunny")),
    Genre("indie pop", 118, 0.60, 0.60, 0.62, 0.30, 3.5, ("dreamy", "hopeful", "sunny")),
    Genre("jazz", 112, 0.40, 0.55, 0.52, 0.75, 5.2, ("late-night", "elegant", "warm")),
    Genre("metal", 138, 0.95, 0.28, 0.38, 0.02, 4.8, ("dark", "angry", "driving")),
    Genre("post-punk", 142, 0.78, 0.38, 0.50, 0.08, 3.6, ("dark", "restless", "angry")),
    Genre("soul", 96, 0.52, 0.65, 0.65, 0.40, 3.8, ("warm", "longing", "hopeful")),
)
