"""Invented names for the artists, albums and tracks of a synthetic world."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def _split_words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_FIRST_NAMES = _split_words(
    "Alba Anselm Beatrix Cosima Dario Edda Elio Fenna Gideon Hedda Ilka Isidor Jorunn Kasimir Leontine Lucan "
    "Maren Matteus Nerys Oda Orfeo Paloma Quill Rafe Sunniva Tamsin Ulla Veit Wilhelmina Xenia Yorick Zelda"
)
_SURNAME_HEADS = _split_words(
    "Amber Ash Birch Brindle Calder Fern Frost Harrow Heather Linden Marsh Oak Rook Rowan Thorn Willow"
)
_SURNAME_TAILS = _split_words("beck bourne by croft dale field gard holt hurst lund mere ridge stead vale wick worth")
_ADJECTIVES = _split_words(
    "Amber Backlit Borrowed Brass Chalk Cobalt Copper Crooked Distant Drifting Dusty Electric Faithful Feathered "
    "Gilded Glass Hollow Honest Indigo Ivory Lacquered Lantern Late Lemon Lunar Marble Midwinter Narrow Northern "
    "Painted Paper Patient Pewter Quiet Rusted Saffron Salted Scarlet Second Silver Sleepless Slow Tidal Tin "
    "Unsent Velvet Violet Wild"
)
_NOUNS = _split_words(
    "Almanac Anchor Arcade Atlas Aviary Balcony Beacon Bramble Cabin Canal Carousel Cartographer Chandelier Comet "
    "Compass Corridor Courier Delta Engine Estuary Ferry Fountain Gazette Greenhouse Harbour Heron Horizon "
    "Kestrel Ladder Lagoon Lighthouse Locket Magpie Meadow Meridian Mosaic Orchard Otter Parade Pavilion Pendulum "
    "Postcard Quarry Railway Satellite Semaphore Signal Sparrow Station Sundial Telescope Terrace Theatre Tramway "
    "Turnstile Umbrella Veranda Viaduct Weathervane Window Workshop"
)
_ENSEMBLES = _split_words("Assembly Club Collective Committee Ensemble Exchange Orchestra Quartet Society Trio Union")
_PLACES = _split_words("Avenue Bay Bridge City Coast Corner Garden Hill Island Market River Shore Square Street Valley")
_VERBS = _split_words(
    "Calling Chasing Counting Crossing Finding Following Holding Leaving Losing Painting Reading Remembering"
)
_TIMES = _split_words(
    "August Autumn Daybreak December Dusk February Midnight Monday Morning November Spring Sunday Tonight"
)

PickWord = Callable[[tuple[str, ...]], str]
NamePatterns = tuple[Callable[[PickWord], str], ...]
"""Patterns of names. Each is called with a function that picks one of several words."""

ARTIST_PATTERNS: NamePatterns = (
    lambda pick: f"{pick(_FIRST_NAMES)} {pick(_SURNAME_HEADS)}{pick(_SURNAME_TAILS)}",
    lambda pick: f"{pick(_FIRST_NAMES)} {pick(_SURNAME_HEADS)}{pick(_SURNAME_TAILS)}",  # twice as likely as the others
    lambda pick: f"The {pick(_ADJECTIVES)} {pick(_NOUNS)} {pick(_ENSEMBLES)}",
    lambda pick: f"{pick(_ADJECTIVES)} {pick(_NOUNS)} {pick(_ENSEMBLES)}",
    lambda pick: f"{pick(_FIRST_NAMES)} & the {pick(_ADJECTIVES)} {pick(_NOUNS)}",
)
TITLE_PATTERNS: NamePatterns = (
    lambda pick: f"{pick(_ADJECTIVES)} {pick(_NOUNS)}",
    lambda pick: f"{pick(_TIMES)} {pick(_NOUNS)}",
    lambda pick: f"{pick(_VERBS)} the {pick(_NOUNS)}",
    lambda pick: f"{pick(_VERBS)} {pick(_TIMES)}",
    lambda pick: f"{pick(_ADJECTIVES)} {pick(_PLACES)}",
    lambda pick: f"The {pick(_NOUNS)} on {pick(_SURNAME_HEADS)} {pick(_PLACES)}",
)
_MAX_ATTEMPTS = 20  # after that many names that are taken, a number makes the name unique


def generate_unique_name(patterns: NamePatterns, taken_names: set[str], rng: np.random.Generator) -> str:
    """Return a name that is not in `taken_names`, and add it to them."""

    def pick(words: tuple[str, ...]) -> str:
        return words[int(rng.integers(len(words)))]

    for _ in range(_MAX_ATTEMPTS):
        name = patterns[int(rng.integers(len(patterns)))](pick)
        if name not in taken_names:
            break
    else:
        name = f"{name} {len(taken_names)}"
    taken_names.add(name)
    return name
