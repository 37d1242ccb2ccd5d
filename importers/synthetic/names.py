"""Invented names for the artists, albums and tracks of the synthetic world."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_FIRST = _words(
    "Alba Anselm Beatrix Cosima Dario Edda Elio Fenna Gideon Hedda Ilka Isidor Jorunn Kasimir Leontine Lucan "
    "Maren Matteus Nerys Oda Orfeo Paloma Quill Rafe Sunniva Tamsin Ulla Veit Wilhelmina Xenia Yorick Zelda"
)
_LAST_HEAD = _words("Amber Ash Birch Brindle Calder Fern Frost Harrow Heather Linden Marsh Oak Rook Rowan Thorn Willow")
_LAST_TAIL = _words("beck bourne by croft dale field gard holt hurst lund mere ridge stead vale wick worth")
_ADJECTIVES = _words(
    "Amber Backlit Borrowed Brass Chalk Cobalt Copper Crooked Distant Drifting Dusty Electric Faithful Feathered "
    "Gilded Glass Hollow Honest Indigo Ivory Lacquered Lantern Late Lemon Lunar Marble Midwinter Narrow Northern "
    "Painted Paper Patient Pewter Quiet Rusted Saffron Salted Scarlet Second Silver Sleepless Slow Tidal Tin "
    "Unsent Velvet Violet Wild"
)
_NOUNS = _words(
    "Almanac Anchor Arcade Atlas Aviary Balcony Beacon Bramble Cabin Canal Carousel Cartographer Chandelier Comet "
    "Compass Corridor Courier Delta Engine Estuary Ferry Fountain Gazette Greenhouse Harbour Heron Horizon "
    "Kestrel Ladder Lagoon Lighthouse Locket Magpie Meadow Meridian Mosaic Orchard Otter Parade Pavilion Pendulum "
    "Postcard Quarry Railway Satellite Semaphore Signal Sparrow Station Sundial Telescope Terrace Theatre Tramway "
    "Turnstile Umbrella Veranda Viaduct Weathervane Window Workshop"
)
_ENSEMBLES = _words("Assembly Club Collective Committee Ensemble Exchange Orchestra Quartet Society Trio Union")
_PLACES = _words("Avenue Bay Bridge City Coast Corner Garden Hill Island Market River Shore Square Street Valley")
_VERBS = _words(
    "Calling Chasing Counting Crossing Finding Following Holding Leaving Losing Painting Reading Remembering"
)
_TIMES = _words("August Autumn Daybreak December Dusk February Midnight Monday Morning November Spring Sunday Tonight")

Grammar = tuple[Callable[[Callable[[tuple[str, ...]], str]], str], ...]
"""Sentences with gaps; each is given a function that draws a word from its argument."""

ARTIST: Grammar = (
    lambda one: f"{one(_FIRST)} {one(_LAST_HEAD)}{one(_LAST_TAIL)}",
    lambda one: f"{one(_FIRST)} {one(_LAST_HEAD)}{one(_LAST_TAIL)}",
    lambda one: f"The {one(_ADJECTIVES)} {one(_NOUNS)} {one(_ENSEMBLES)}",
    lambda one: f"{one(_ADJECTIVES)} {one(_NOUNS)} {one(_ENSEMBLES)}",
    lambda one: f"{one(_FIRST)} & the {one(_ADJECTIVES)} {one(_NOUNS)}",
)
TITLE: Grammar = (
    lambda one: f"{one(_ADJECTIVES)} {one(_NOUNS)}",
    lambda one: f"{one(_TIMES)} {one(_NOUNS)}",
    lambda one: f"{one(_VERBS)} the {one(_NOUNS)}",
    lambda one: f"{one(_VERBS)} {one(_TIMES)}",
    lambda one: f"{one(_ADJECTIVES)} {one(_PLACES)}",
    lambda one: f"The {one(_NOUNS)} on {one(_LAST_HEAD)} {one(_PLACES)}",
)
_TRIES = 20  # until a name that nobody has; after that names are numbered


def unique_name(grammar: Grammar, taken: set[str], rng: np.random.Generator) -> str:
    """A name that is not in `taken`, and now is."""

    def one(words: tuple[str, ...]) -> str:
        return words[int(rng.integers(len(words)))]

    for _ in range(_TRIES):
        name = grammar[int(rng.integers(len(grammar)))](one)
        if name not in taken:
            break
    else:
        name = f"{name} {len(taken)}"
    taken.add(name)
    return name
