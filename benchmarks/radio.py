"""Measure how long the next tracks of a radio take, for many listeners at once.

    python -m benchmarks.radio [--tracks 50000] [--listeners 50] [--seconds 10]

PostgreSQL, Valkey, the production server and the client share this machine. Each listener has a radio of their own, a
third each from an artist, a tag and their taste, in all three modes; a fifth of the tracks of each radio are skipped or
liked before. Each request takes 5 tracks that were never offered. First every listener asks once a second, far more
often than a player does; then all ask again as soon as they are answered, which shows what the machine can do. Prints a
table, and exits with 1 after any error.
"""

import argparse
import sys
import uuid

import numpy as np
import orjson

from benchmarks.installation import BenchmarkDataset, run_installation
from benchmarks.load.client import LoadResult, build_request, run_load
from benchmarks.load.servers import run_web_server

ARTISTS, TAGS, TRACKS_OF_TAG = 5_000, 50, 1_000
LIMIT, WARM_UP = 5, 4  # tracks of a request, and requests of each radio before it is measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tracks", type=int, default=50_000)
    parser.add_argument("--listeners", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=10.0, help="duration of each row")
    options = parser.parse_args()
    with run_installation(MUSICREC_FAMILY="ials"):
        dataset = BenchmarkDataset.create(options.tracks, plays=10 * options.tracks)
        tag_tracks(dataset)
        dataset.train_model()
        radio_ids = start_radios(dataset, options.listeners)
        requests = [
            build_request(f"/radio/{radio_id}/next?limit={LIMIT}", f"Api-Key {dataset.key}") for radio_id in radio_ids
        ]
        with run_web_server() as port:
            results = [run_load(port, WARM_UP * requests, 2, 60.0, once=True)]
            react(radio_ids)
            print("| requests | a second | p50 | p95 | p99 | errors |\n|---|---|---|---|---|---|")
            for name, pause in (("one a second and listener", 1.0), ("as many as possible", 0.0)):
                results.append(run_load(port, requests, options.listeners, options.seconds, pause=pause))
                print(f"| {name} | {format_result(results[-1])} |", flush=True)
    sys.exit(any(result.errors for result in results))


def format_result(result: LoadResult) -> str:
    percentiles = " | ".join(f"{result.percentile(percent):.0f} ms" for percent in (50, 95, 99))
    return f"{result.rate:.0f} | {percentiles} | {result.errors}"


def tag_tracks(dataset: BenchmarkDataset) -> None:
    """Give all artists equally many tracks, and the tracks tags."""
    from django.db.models import F

    from tracks.models import Artist, Tag, Track, TrackTag
    from tracks.services import bump_catalogue_revision

    artists = Artist.objects.bulk_create(Artist(name=f"Artist {n}") for n in range(ARTISTS))
    Track.objects.update(artist_id=artists[0].pk + F("pk") % ARTISTS)
    rng = np.random.default_rng(1)
    for tag in Tag.objects.bulk_create(Tag(name=f"tag {n}", kind="genre") for n in range(TAGS)):
        tagged = rng.choice(dataset.tracks, min(TRACKS_OF_TAG, len(dataset.tracks)), replace=False).tolist()
        TrackTag.objects.bulk_create(TrackTag(track_id=track_id, tag=tag) for track_id in tagged)
    bump_catalogue_revision()
    dataset.vacuum()


def start_radios(dataset: BenchmarkDataset, listeners: int) -> list[str]:
    """Start a radio for each of the most active listeners, and return the ids."""
    from rest_framework.test import APIClient

    from tracks.models import Track

    client = APIClient(headers={"Authorization": f"Api-Key {dataset.key}", "Host": "localhost"})
    radio_ids = []
    for number, user_id in enumerate(dataset.users[:listeners]):
        artist_id = Track.objects.values_list("artist", flat=True).get(pk=dataset.tracks[number])
        genre = {"kind": "genre", "name": f"tag {number % TAGS}"}
        seed = ({"kind": "artist", "id": artist_id}, genre, {"kind": "taste"})[number % 3]
        body = {"seeds": [seed], "mode": ("easy", "medium", "hard")[number // 3 % 3], "user_id": user_id, "drift": 0.5}
        answer = client.post("/radio", orjson.dumps(body), content_type="application/json")
        assert answer.status_code == 201, answer.content
        radio_ids.append(answer.json()["radio_id"])
    return radio_ids


def react(radio_ids: list[str]) -> None:
    """Let each listener skip or like every fifth track that their radio has offered."""
    from django.utils import timezone

    from interactions.bulk import NewInteraction, insert_interactions
    from recommendations.models import Radio

    for radio in Radio.objects.filter(pk__in=radio_ids):
        insert_interactions(
            [
                NewInteraction(
                    radio.user_id,
                    track_id,
                    ("skip", "like")[number % 2],
                    timezone.now(),
                    source="benchmark",
                    event_id=uuid.uuid4(),
                    is_skip=number % 2 == 0,
                )
                for number, track_id in enumerate(radio.track_ids[::5])
            ]
        )


if __name__ == "__main__":
    main()
