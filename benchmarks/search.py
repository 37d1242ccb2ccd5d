"""Measure how long searches in a million tracks take, and whether they find the expected track.

    python -m benchmarks.search [--tracks 1000000] [--database postgresql|sqlite]

The names are invented: words whose frequencies follow Zipf's law, as in real catalogues, with the commonest words of
English titles in front, some accents, and a tenth of the titles used by several artists. Each kind of query is asked
50 times, always differently, without artists and albums. Filling the database takes a few minutes.
"""

import argparse
import os
import random
import tempfile
import time
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import django
import numpy as np

from benchmarks.installation import ENVIRONMENT, run_installation

QUERIES = 50  # of each kind
TOP = 10  # among these results the expected track should be
COMMON_WORDS = [
    "the",
    "you",
    "of",
    "in",
    "love",
    "my",
    "i",
    "to",
    "a",
    "me",
    "and",
    "on",
    "it",
    "is",
    "no",
    "all",
    "your",
]
COMMON_WORDS += ["be", "for", "night", "with", "time", "up", "life", "down"]
ACCENTED = {"a": "á", "e": "é", "i": "í", "o": "ö", "u": "ü", "n": "ñ"}
ONSETS = ["b", "br", "c", "ch", "d", "f", "g", "gr", "h", "j", "k", "l", "m", "n", "p", "pr", "r", "s", "st", "t", "tr"]
ENDS = ["", "", "", "l", "n", "r", "s", "t", "m", "ng", "ck"]


class Name(NamedTuple):
    title: str
    artist: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tracks", type=int, default=1_000_000)
    parser.add_argument("--database", choices=["postgresql", "sqlite"], default="postgresql")
    options = parser.parse_args()
    with run_installation() if options.database == "postgresql" else run_embedded():
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        names = invent_names(options.tracks)
        started = time.perf_counter()
        fill_catalogue(names)
        print(f"{options.tracks:,} tracks were written and indexed in {time.perf_counter() - started:.0f} s\n")
        measure(names)


@contextmanager
def run_embedded() -> Iterator[None]:
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= ENVIRONMENT | {"MUSICREC_VAR_DIR": folder}
        django.setup()
        yield


def invent_names(count: int) -> list[Name]:
    """Return names of tracks. A tenth as many artists have between one and hundreds of them."""
    rng = np.random.default_rng(7)
    words = np.array(COMMON_WORDS + invent_words(rng, 400_000))
    frequency = 1 / (np.arange(len(words)) + 10)
    distribution = np.cumsum(frequency / frequency.sum())

    def draw_names(number: int, lengths: list[float]) -> list[str]:
        length = rng.choice(len(lengths), number, p=lengths) + 1
        drawn = iter(words[np.searchsorted(distribution, rng.random(length.sum()))])
        return [" ".join(next(drawn) for _ in range(n)).title() for n in length]

    artists = draw_names(count // 10, [0.25, 0.55, 0.2])
    titles = draw_names(count - count // 10, [0.2, 0.28, 0.24, 0.16, 0.08, 0.04])
    titles += [titles[n] for n in rng.integers(0, len(titles) // 20, count - len(titles))]
    by_rank = (rng.random(count) ** 2 * len(artists)).astype(int)
    return [Name(title, artists[rank]) for title, rank in zip(titles, by_rank, strict=True)]


def invent_words(rng: np.random.Generator, count: int) -> list[str]:
    draw = random.Random(int(rng.integers(1 << 30)))
    words: dict[str, None] = {}
    while len(words) < count:
        syllables = draw.choices((1, 2, 3, 4), (1, 6, 6, 2))[0]
        word = "".join(draw.choice(ONSETS) + draw.choice("aeiou") + draw.choice(ENDS) for _ in range(syllables))
        if draw.random() < 0.1:
            letter = draw.choice(list(ACCENTED))
            word = word.replace(letter, ACCENTED[letter], 1)
        words[word] = None
    return list(words)


def fill_catalogue(names: list[Name]) -> None:
    """Write artists and tracks as imports do: with their search documents."""
    from django.db import connection, transaction

    from tracks.models import Artist, Track
    from tracks.search.services import index_artists, index_tracks

    artists = {name: pk for pk, name in enumerate(dict.fromkeys(name.artist for name in names), 1)}
    with transaction.atomic():
        Artist.objects.bulk_create([Artist(pk=pk, name=name) for name, pk in artists.items()], batch_size=5000)
        index_artists((pk, name) for name, pk in artists.items())
    for start in range(0, len(names), 20_000):
        batch = list(enumerate(names[start : start + 20_000], start + 1))
        with transaction.atomic():
            Track.objects.bulk_create(
                [Track(pk=pk, title=name.title, artist_id=artists[name.artist]) for pk, name in batch]
            )
            index_tracks((pk, name.title, name.artist) for pk, name in batch)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE" if connection.vendor == "postgresql" else "ANALYZE")


def measure(names: list[Name]) -> None:
    from tracks.availability import unavailable_filter
    from tracks.models import Track
    from tracks.search.selectors import search_catalogue
    from tracks.selectors import track_cards

    available = ~unavailable_filter("DE", True)

    def search(query: str) -> list[int]:
        found = [hit.pk for hit in search_catalogue(Track, query, available)[:TOP]]
        track_cards(found)
        return found

    draw = random.Random(5)
    print("| query | p50, ms | p99, ms | found among the first ten |\n|---|---|---|---|")
    for kind, make_query in KINDS.items():
        seconds, found = [], 0
        for _ in range(QUERIES):
            pk = draw.randrange(len(names)) + 1
            query = make_query(names[pk - 1], draw)
            started = time.perf_counter()
            results = search(query)
            seconds.append(time.perf_counter() - started)
            # Another track may have the same names.
            found += names[pk - 1] in [names[result - 1] for result in results]
        p50, p99 = np.percentile(seconds, [50, 99]) * 1000
        share = f"{found / QUERIES:.0%}" if kind not in NOT_EXPECTED else ""
        print(f"| {kind} | {p50:.1f} | {p99:.1f} | {share} |", flush=True)


def misspell(text: str, draw: random.Random) -> str:
    """Make one error in one of the longest words."""
    words = text.split()
    place = max(range(len(words)), key=lambda n: (len(words[n]), n))
    word = words[place]
    position = draw.randrange(len(word) - 1)
    before, letter, after = word[:position], word[position], word[position + 1 :]
    errors = [before + after, before + letter * 2 + after, f"{before}{draw.choice('aeiourst')}{after}"]
    errors.append(before + after[:1] + letter + after[1:])
    words[place] = draw.choice(errors)
    return " ".join(words)


def both(name: Name) -> str:
    return f"{name.title} {name.artist}"


def remove_accents(text: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c))


KINDS: dict[str, Callable[[Name, random.Random], str]] = {
    "title and artist": lambda name, draw: both(name),
    "artist and title, lower case, no accents": lambda name, draw: remove_accents(
        f"{name.artist} {name.title}".lower()
    ),
    "the first two thirds of title and artist": lambda name, draw: both(name)[: max(4, len(both(name)) * 2 // 3)],
    "one typing error": lambda name, draw: misspell(both(name).lower(), draw),
    "two typing errors": lambda name, draw: f"{misspell(name.title, draw)} {misspell(name.artist, draw)}",
    "title": lambda name, draw: name.title,
    "artist": lambda name, draw: name.artist,
    "one of the 25 commonest words": lambda name, draw: draw.choice(COMMON_WORDS),
    "two of the commonest words": lambda name, draw: " ".join(draw.sample(COMMON_WORDS, 2)),
    "the first two letters": lambda name, draw: name.title[:2],
    "a word that no track has": lambda name, draw: "".join(draw.choices("bcdfghklmnprstaeiou", k=9)),
}
NOT_EXPECTED = {*list(KINDS)[5:]}  # these match many tracks, or none

if __name__ == "__main__":
    main()
