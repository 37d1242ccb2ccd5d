"""Compare bulk PUTs of tracks with Django's `bulk_create` of the same rows.

    python -m benchmarks.catalogue [--tracks 100000] [--sqlite]

Starts PostgreSQL and Valkey from wheels on this machine. The ways take turns, batch by batch, each with tracks of its
own and the same content: an artist and an album per ten tracks, three of 300 tags, all columns. The API is called in
this process, from the JSON body to the JSON answer, without a socket.
"""

import argparse
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.installation import run_installation

BATCH_SIZE = 1_000
WORDS = [
    "silver",
    "valley",
    "northern",
    "bridge",
    "morning",
    "hours",
    "river",
    "glass",
    "paper",
    "stone",
    "winter",
    "light",
    "shadow",
    "garden",
    "harbour",
]
TAGS = [(f"tag {n}", "genre") for n in range(300)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tracks", type=int, default=100_000)
    parser.add_argument("--sqlite", action="store_true", help="use SQLite instead of PostgreSQL")
    options = parser.parse_args()
    environment = {"DATABASE_URL": "sqlite:////tmp/musicrec-benchmark.sqlite3"} if options.sqlite else {}
    with run_installation(**environment):
        measure(options.tracks)


def make_items(way: str, batch: int) -> list[dict[str, Any]]:
    """Return the tracks of a batch, as an app sends them."""
    rng = random.Random(batch)
    return [
        {
            "external_id": f"{way}:{batch}:{n}",
            "title": f"{' '.join(rng.sample(WORDS, 3))} {batch * BATCH_SIZE + n}",
            "artist": {"external_id": f"{way}:{batch}:{n // 10}", "name": f"{rng.choice(WORDS)} {batch} {n // 10}"},
            "album": {"external_id": f"{way}:{batch}:{n // 10}", "title": f"{rng.choice(WORDS)} {n // 10}"},
            "duration_ms": rng.randint(60_000, 400_000),
            "released_on": "2024-05-17",
            "tags": [{"name": name, "kind": kind} for name, kind in rng.sample(TAGS, 3)],
            "tempo": rng.uniform(60, 180),
            "energy": rng.random(),
            "valence": rng.random(),
            "danceability": rng.random(),
            "acousticness": rng.random(),
            "markets": ["AT", "CH", "DE"],
            "preview_url": f"https://cdn.example.org/{batch}/{n}.mp3",
            "cover_url": f"https://cdn.example.org/{batch}/{n}.jpg",
        }
        for n in range(BATCH_SIZE)
    ]


def bulk_create(items: list[dict[str, Any]], tag_ids: dict[tuple[str, str], int]) -> None:
    """Insert the rows of a batch, those of the search included, in one transaction, without validating anything."""
    from django.db import transaction

    from tracks.match_keys import make_match_key
    from tracks.models import Album, AlbumDocument, Artist, ArtistDocument, SearchWord, Track, TrackDocument, TrackTag
    from tracks.search.documents import document_fields, word_fields

    with transaction.atomic():
        names = {item["artist"]["external_id"]: item["artist"]["name"] for item in items}
        artists = Artist.objects.bulk_create(Artist(external_id=i, name=name) for i, name in names.items())
        artist_of = {artist.external_id: artist for artist in artists}
        albums = Album.objects.bulk_create(
            Album(external_id=i, title=title, artist=artist_of[i])
            for i, title in {item["album"]["external_id"]: item["album"]["title"] for item in items}.items()
        )
        album_of = {album.external_id: album for album in albums}
        plain = ("external_id", "title", "duration_ms", "released_on", "preview_url", "cover_url")
        features = ("tempo", "energy", "valence", "danceability", "acousticness")
        tracks = Track.objects.bulk_create(
            Track(
                **{name: item[name] for name in (*plain, *features)},
                artist=artist_of[item["artist"]["external_id"]],
                album=album_of[item["album"]["external_id"]],
                markets=" ".join(item["markets"]),
                match_key=make_match_key(item["artist"]["name"], item["title"]),
            )
            for item in items
        )
        TrackTag.objects.bulk_create(
            TrackTag(track=track, tag_id=tag_ids[tag["name"], tag["kind"]])
            for track, item in zip(tracks, items, strict=True)
            for tag in item["tags"]
        )
        documents: list[Any] = [
            ArtistDocument.objects.bulk_create(ArtistDocument(pk=a.pk, **document_fields(a.name, "")) for a in artists),
            AlbumDocument.objects.bulk_create(
                AlbumDocument(pk=a.pk, **document_fields(a.title, a.artist.name)) for a in albums
            ),
            TrackDocument.objects.bulk_create(
                TrackDocument(pk=t.pk, **document_fields(t.title, t.artist.name)) for t in tracks
            ),
        ]
        for rows in documents:
            words = [SearchWord(**fields) for fields in word_fields(document.words for document in rows)]
            SearchWord.objects.bulk_create(words, ignore_conflicts=True)


def measure(tracks: int) -> None:
    """Print how long each way takes for this many tracks."""
    import orjson
    from django.core.management import call_command
    from rest_framework.test import APIClient

    call_command("migrate", verbosity=0)
    from access.models import Scope
    from access.services import create_service_key
    from tracks.models import Tag
    from tracks.upserts import upsert_tracks

    Tag.objects.bulk_create(Tag(name=name, kind=kind) for name, kind in TAGS)
    tag_ids = {(tag.name, tag.kind): tag.pk for tag in Tag.objects.all()}
    api = APIClient(SERVER_NAME="localhost")
    api.credentials(HTTP_AUTHORIZATION=f"Api-Key {create_service_key('benchmark', Scope.values)}")
    seconds: dict[str, float] = {}

    @contextmanager
    def timed(way: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        seconds[way] = seconds.get(way, 0.0) + time.perf_counter() - started

    def put(batch: int, expected: str, **changes: Any) -> None:
        body = orjson.dumps({"tracks": [item | changes for item in make_items("put", batch)]})
        with timed(f"PUT /tracks, {expected}"):
            answer = api.put("/tracks", body, content_type="application/json").json()
        assert answer[expected] == BATCH_SIZE, answer

    for batch in range(tracks // BATCH_SIZE):
        items = make_items("bare", batch)
        with timed("bulk_create"):
            bulk_create(items, tag_ids)
        items = [item | {"markets": " ".join(item["markets"])} for item in make_items("service", batch)]
        for item in items:
            item["tags"] = [{**tag, "weight": 1.0} for tag in item["tags"]]
        with timed("upsert_tracks, without HTTP and validation"):
            upsert_tracks(items)
        put(batch, "created")
        put(batch, "unchanged")
        put(batch, "updated", cover_url="https://cdn.example.org/new.jpg")
    baseline = seconds["bulk_create"]
    count = tracks // BATCH_SIZE * BATCH_SIZE
    print(f"\n{count:,} tracks, batches of {BATCH_SIZE:,}\n")
    print("| way | tracks / s | times bulk_create's time |\n|---|---|---|")
    for way, total in seconds.items():
        print(f"| {way} | {count / total:,.0f} | {total / baseline:.2f} |")


if __name__ == "__main__":
    main()
