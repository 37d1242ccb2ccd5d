"""Events over HTTP beside the same rows by a bare bulk insert, and recommendations while events pour in.

    python -m benchmarks.ingestion [--rounds 5] [--batches 300] [--tracks 20000]

Starts PostgreSQL and Valkey from wheels and the production server on this machine, so that client, server and database
share its cores. Rounds of the two ways alternate; medians are printed.
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
from benchmarks.load.servers import web

CONNECTIONS = 4
POURING_PER_SECOND = 10  # batches


def main() -> None:
    options = argparse.ArgumentParser(prog="python -m benchmarks.ingestion", description=__doc__)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--batches", type=int, default=300, help="of a round")
    options.add_argument("--tracks", type=int, default=20_000)
    options.add_argument("--seconds", type=float, default=10.0, help="of a round of recommendations")
    chosen = options.parse_args()
    with run_installation():
        dataset = BenchmarkDataset.create(chosen.tracks)
        dataset.train_model()
        with web() as port:
            ingestion(dataset, port, chosen.rounds, chosen.batches)
            while_pouring(dataset, port, chosen.rounds, chosen.seconds)


def bulk_create_events(batch: list[dict[str, Any]]) -> None:
    """The same rows by Django's own bulk insert, in one transaction, checked by nobody."""
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


def ingestion(dataset: BenchmarkDataset, port: int, rounds: int, batches: int) -> None:
    """Events a second, each way by as many clients at once."""
    rates: dict[str, list[float]] = {"POST /events": [], "bulk_create, bare": [], "COPY, bare": []}
    for _ in range(rounds):
        prepared = [dataset.make_batch() for _ in range(3 * batches)]
        bodies = [json.dumps(b).encode() for b in prepared[:batches]]
        rates["POST /events"].append(_rate(bodies, lambda: _poster(dataset, port)))
        rates["bulk_create, bare"].append(_rate(prepared[batches : 2 * batches], lambda: bulk_create_events))
        rates["COPY, bare"].append(_rate(prepared[2 * batches :], lambda: dataset.copy_events))
    bare = statistics.median(rates["bulk_create, bare"])
    print(f"\nIngestion, {CONNECTIONS} clients, batches of {BATCH_SIZE}, median of {rounds} alternating rounds\n")
    print("| way | events / s | times the bare insert's time |\n|---|---|---|")
    for way, found in rates.items():
        print(f"| {way} | {statistics.median(found):,.0f} | {bare / statistics.median(found):.2f} |")


def _rate(work: list[Any], client: Callable[[], Callable[[Any], None]]) -> float:
    """Events a second by `CONNECTIONS` clients."""
    left = iter(work)
    lock = threading.Lock()

    def run() -> None:
        send = client()
        while True:
            with lock:
                item = next(left, None)
            if item is None:
                return
            send(item)

    threads = [threading.Thread(target=run) for _ in range(CONNECTIONS)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(work) * BATCH_SIZE / (time.perf_counter() - began)


def _poster(dataset: BenchmarkDataset, port: int) -> Callable[[bytes], None]:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    headers = {"Authorization": f"Api-Key {dataset.key}", "Content-Type": "application/json"}

    def post(body: bytes) -> None:
        connection.request("POST", "/events", body, headers)
        answer = connection.getresponse()
        said = answer.read()
        assert answer.status == 202, said
        assert json.loads(said)["accepted"] == BATCH_SIZE, said

    return post


def while_pouring(dataset: BenchmarkDataset, port: int, rounds: int, seconds: float) -> None:
    """p50 and p99 of recommendations, idle and while events pour in, in alternating rounds."""
    found: dict[str, list[float]] = {"idle": [], "pouring": []}
    for _ in range(rounds):
        found["idle"] += _latencies(dataset, port, seconds)
        stop = threading.Event()
        pouring = threading.Thread(target=_pour, args=(dataset, port, stop))
        pouring.start()
        found["pouring"] += _latencies(dataset, port, seconds)
        stop.set()
        pouring.join()
    said = f"{POURING_PER_SECOND * BATCH_SIZE:,} events a second"
    print(f"\nRecommendations (limit 20) one after another, {len(dataset.tracks):,} tracks; pouring: {said}\n")
    print("| | p50 ms | p99 ms | answers |\n|---|---|---|---|")
    tails = {}
    for state, times in found.items():
        cuts = statistics.quantiles(times, n=100)
        tails[state] = cuts[98]
        print(f"| {state} | {1000 * cuts[49]:.1f} | {1000 * cuts[98]:.1f} | {len(times):,} |")
    print(f"\np99 while pouring / idle: {tails['pouring'] / tails['idle']:.2f}")


def _latencies(dataset: BenchmarkDataset, port: int, seconds: float) -> list[float]:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    headers = {"Authorization": f"Api-Key {dataset.key}"}
    times, until = [], time.perf_counter() + seconds
    while (began := time.perf_counter()) < until:
        user = dataset.users[len(times) * 7919 % len(dataset.users)]
        connection.request("GET", f"/recommend/user/{user}/ml?limit=20", headers=headers)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200
        times.append(time.perf_counter() - began)
        time.sleep(0.005)
    return times


def _pour(dataset: BenchmarkDataset, port: int, stop: threading.Event) -> None:
    post, due = _poster(dataset, port), time.perf_counter()
    while not stop.is_set():
        post(json.dumps(dataset.make_batch()).encode())
        due += 1 / POURING_PER_SECOND
        time.sleep(max(0.0, due - time.perf_counter()))


if __name__ == "__main__":
    main()
