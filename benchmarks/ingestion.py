"""Ingest events over HTTP and by bulk inserts, and measure recommendations while events arrive.

    python -m benchmarks.ingestion [--rounds 5] [--batches 300] [--tracks 20000]

Starts PostgreSQL and Valkey from wheels and the production server on this machine, so that client, server and database
share its cores. The alternatives take turns, and medians are printed.
"""

import argparse
import http.client
import json
import statistics
import threading
import time
from collections.abc import Callable
from typing import Any

from benchmarks.installation import BATCH_SIZE, BenchmarkDataset, run_installation
from benchmarks.load.servers import run_web_server

CLIENTS = 4
BATCHES_PER_SECOND = 10  # while recommendations are measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batches", type=int, default=300, help="batches of events per round")
    parser.add_argument("--tracks", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=10.0, help="length of a round of recommendations")
    options = parser.parse_args()
    with run_installation():
        dataset = BenchmarkDataset.create(options.tracks)
        dataset.train_model()
        with run_web_server() as port:
            measure_ingestion(dataset, port, options.rounds, options.batches)
            measure_recommendations(dataset, port, options.rounds, options.seconds)


def bulk_create_events(batch: list[dict[str, Any]]) -> None:
    """Insert the rows of a batch with Django's `bulk_create`, in one transaction, without validating anything."""
    from interactions.models import Interaction

    Interaction.objects.bulk_create(
        [
            Interaction(
                user_id=e["user_id"],
                track_id=e["track_id"],
                played_at=e["occurred_at"],
                ms_played=e["ms_played"],
                milestone=75,
                session_id=e["session_id"],
                device=e["device"],
                context=e["context"],
                source="bare",
                event_id=e["event_id"],
            )
            for e in batch
        ]
    )


def measure_ingestion(dataset: BenchmarkDataset, port: int, rounds: int, batches: int) -> None:
    """Print the events per second of each way to store them, all by the same number of clients at once."""
    rates: dict[str, list[float]] = {"POST /events": [], "bulk_create, bare": [], "COPY, bare": []}
    for _ in range(rounds):
        prepared = [dataset.make_batch() for _ in range(3 * batches)]
        bodies = [json.dumps(batch).encode() for batch in prepared[:batches]]
        rates["POST /events"].append(_events_per_second(bodies, lambda: _event_sender(dataset, port)))
        rates["bulk_create, bare"].append(
            _events_per_second(prepared[batches : 2 * batches], lambda: bulk_create_events)
        )
        rates["COPY, bare"].append(_events_per_second(prepared[2 * batches :], lambda: dataset.copy_events))
    baseline = statistics.median(rates["bulk_create, bare"])
    print(f"\nIngestion, {CLIENTS} clients, batches of {BATCH_SIZE}, median of {rounds} alternating rounds\n")
    print("| way | events / s | times the bare insert's time |\n|---|---|---|")
    for way, way_rates in rates.items():
        rate = statistics.median(way_rates)
        print(f"| {way} | {rate:,.0f} | {baseline / rate:.2f} |")


def _events_per_second(batches: list[Any], make_sender: Callable[[], Callable[[Any], None]]) -> float:
    """Send batches from CLIENTS threads, each with a sender of its own, and return the events per second."""
    remaining = iter(batches)
    lock = threading.Lock()

    def send_batches() -> None:
        send = make_sender()
        while True:
            with lock:
                batch = next(remaining, None)
            if batch is None:
                return
            send(batch)

    threads = [threading.Thread(target=send_batches) for _ in range(CLIENTS)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(batches) * BATCH_SIZE / (time.perf_counter() - started)


def _event_sender(dataset: BenchmarkDataset, port: int) -> Callable[[bytes], None]:
    """Return a function that posts a batch over one persistent connection and checks that it was accepted."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    headers = {"Authorization": f"Api-Key {dataset.key}", "Content-Type": "application/json"}

    def post(body: bytes) -> None:
        connection.request("POST", "/events", body, headers)
        response = connection.getresponse()
        content = response.read()
        assert response.status == 202, content
        assert json.loads(content)["accepted"] == BATCH_SIZE, content

    return post


def measure_recommendations(dataset: BenchmarkDataset, port: int, rounds: int, seconds: float) -> None:
    """Print p50 and p99 of recommendations, idle and while events arrive, in alternating rounds."""
    latencies: dict[str, list[float]] = {"idle": [], "ingesting": []}
    for _ in range(rounds):
        latencies["idle"] += _measure_latencies(dataset, port, seconds)
        stop = threading.Event()
        sender = threading.Thread(target=_send_events, args=(dataset, port, stop))
        sender.start()
        latencies["ingesting"] += _measure_latencies(dataset, port, seconds)
        stop.set()
        sender.join()
    rate = f"{BATCHES_PER_SECOND * BATCH_SIZE:,} events a second"
    print(f"\nRecommendations (limit 20) one after another, {len(dataset.tracks):,} tracks; ingesting {rate}\n")
    print("| | p50 ms | p99 ms | answers |\n|---|---|---|---|")
    p99 = {}
    for state, times in latencies.items():
        percentiles = statistics.quantiles(times, n=100)
        p99[state] = percentiles[98]
        print(f"| {state} | {1000 * percentiles[49]:.1f} | {1000 * p99[state]:.1f} | {len(times):,} |")
    print(f"\np99 while ingesting / idle: {p99['ingesting'] / p99['idle']:.2f}")


def _measure_latencies(dataset: BenchmarkDataset, port: int, seconds: float) -> list[float]:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    headers = {"Authorization": f"Api-Key {dataset.key}"}
    times, end = [], time.perf_counter() + seconds
    while (started := time.perf_counter()) < end:
        user = dataset.users[len(times) * 7919 % len(dataset.users)]  # a prime, so that every user comes up
        connection.request("GET", f"/recommend/user/{user}/ml?limit=20", headers=headers)
        response = connection.getresponse()
        response.read()
        assert response.status == 200
        times.append(time.perf_counter() - started)
        time.sleep(0.005)
    return times


def _send_events(dataset: BenchmarkDataset, port: int, stop: threading.Event) -> None:
    """Post BATCHES_PER_SECOND batches a second until `stop` is set."""
    post, next_batch_at = _event_sender(dataset, port), time.perf_counter()
    while not stop.is_set():
        post(json.dumps(dataset.make_batch()).encode())
        next_batch_at += 1 / BATCHES_PER_SECOND
        time.sleep(max(0.0, next_batch_at - time.perf_counter()))


if __name__ == "__main__":
    main()
