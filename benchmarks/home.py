"""Measure a home screen of six shelves, compared with one personal slate.

    OPENBLAS_NUM_THREADS=1 python -m benchmarks.home [--tracks 50000] [--listeners 60] [--rounds 3]

The first table is the time in the engine: the mixes of a listener as they are made once a day, with the version and the
listeners of `benchmarks.slate`, and the personal slate of the same listener, in turns.

The second one is the time of a whole request, in one process and without a server: an installation with generated plays
(`benchmarks.installation`), with genres. For each listener, a personal slate of 20 tracks and a home screen of six
shelves with 12 tracks each take turns: a screen whose mixes have to be made first, one of stored mixes after something
has changed for the listener, such as a play, the same screen again, and again by a process that finds the answer in the
shared cache. Medians and 95th percentiles are printed.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.installation import BenchmarkDataset, run_installation
from benchmarks.slate import NOW, K, build_world
from engine.listener_query import ListenerState, plan_query
from engine.mixes import build_mixes
from engine.pipeline import recommend

SHELVES, LIMIT = 6, 12
GENRES = 50
Seconds = dict[str, list[float]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tracks", type=int, default=50_000)
    parser.add_argument("--listeners", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print(f"load average at the start: {os.getloadavg()[0]:.1f}\n")
    with threadpool_limits(1):
        print_table("engine", measure_engine(options.tracks, options.listeners * options.rounds))
        with run_installation(MUSICREC_FAMILY="ials"):
            dataset = BenchmarkDataset.create(options.tracks, plays=10 * options.tracks)
            describe_tracks(dataset)
            dataset.train_model()
            print_table("request", measure_requests(dataset, options.listeners, options.rounds))
    print(f"load average at the end: {os.getloadavg()[0]:.1f}")


def print_table(name: str, seconds: Seconds) -> None:
    one = statistics.median(next(iter(seconds.values())))
    print(f"| {name} | median, ms | 95th percentile, ms | median, relative |\n|---|---|---|---|")
    for step, times in seconds.items():
        median, slowest = statistics.median(times), float(np.quantile(times, 0.95))
        print(f"| {step} | {1000 * median:.2f} | {1000 * slowest:.2f} | {median / one:.2f} |")
    print(flush=True)


def measure_engine(tracks: int, rounds: int) -> Seconds:
    """Return the seconds of the personal slate and of the mixes of each round."""
    bundle, histories = build_world(tracks, factors=64)
    seconds: Seconds = {"personal slate": [], "all mixes of a listener": []}
    count = []
    for number in range(rounds):
        listener = number % len(histories)
        state = ListenerState(listener, histories[listener], len(histories[listener]))
        query, policy = plan_query(bundle, state, limit=K, now=NOW)
        started = time.perf_counter()
        recommend(bundle, query, policy)
        between = time.perf_counter()
        count.append(len(build_mixes(bundle, query, policy, NOW // 86_400)))
        seconds["personal slate"].append(between - started)
        seconds["all mixes of a listener"].append(time.perf_counter() - between)
    print(f"a listener has {statistics.mean(count):.1f} mixes of up to 40 tracks on average\n")
    return seconds


def describe_tracks(dataset: BenchmarkDataset) -> None:
    """Give the tracks genres and dates of release."""
    from datetime import timedelta

    from django.utils import timezone

    from tracks.models import Tag, Track, TrackTag
    from tracks.services import bump_catalogue_revision

    today = timezone.now().date()
    Track.objects.update(released_on=today - timedelta(days=900))
    Track.objects.filter(pk__in=dataset.tracks[::50]).update(released_on=today - timedelta(days=9))
    genres = Tag.objects.bulk_create(Tag(name=f"genre {n}", kind="genre") for n in range(GENRES))
    TrackTag.objects.bulk_create(
        (TrackTag(track_id=track_id, tag=genres[track_id % GENRES]) for track_id in dataset.tracks), batch_size=5_000
    )
    bump_catalogue_revision()
    dataset.vacuum()


def measure_requests(dataset: BenchmarkDataset, listeners: int, rounds: int) -> Seconds:
    """Return the seconds of each kind of request, in turns for each listener."""
    from rest_framework.test import APIClient

    from access.services import bump_user_revisions
    from recommendations.models import StoredMixes
    from recommendations.serving.response_cache import response_cache

    client = APIClient(headers={"Authorization": f"Api-Key {dataset.key}", "Host": "localhost"})
    seconds: Seconds = {}

    def get(name: str, path: str, prepare: Callable[[], Any]) -> None:
        prepare()
        started = time.perf_counter()
        answer = client.get(path)
        seconds.setdefault(name, []).append(time.perf_counter() - started)
        assert answer.status_code == 200, answer.content
        if "home" in path:
            assert len(answer.json()["shelves"]) == SHELVES, answer.json()

    for number in range(rounds + 1):
        for user_id in dataset.users[:: len(dataset.users) // listeners]:
            slate, home = f"/recommend/user/{user_id}/ml", f"/users/{user_id}/home?shelves={SHELVES}&limit={LIMIT}"

            def change(user_id: int = user_id) -> None:
                bump_user_revisions([user_id])

            def forget(user_id: int = user_id) -> None:
                change(user_id)
                StoredMixes.objects.filter(user=user_id).delete()

            get("personal slate, computed", slate, change)
            get("personal slate, cached", slate, lambda: None)
            get("home screen, mixes made for the request", home, forget)
            get("home screen, stored mixes, after a change", home, change)
            get("home screen, cached", home, lambda: None)
            get("home screen, in the shared cache", home, response_cache.clear)
        if not number:  # the first round warms up: shelves that all listeners share are made, and cards are read
            seconds.clear()
    return seconds


if __name__ == "__main__":
    main()
