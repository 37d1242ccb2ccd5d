"""Recommendations beside a bare view of Django REST framework that gives as many constant bytes, by the same server.

    python -m benchmarks.load.against_bare [--tracks 50000] [--connections 100] [--seconds 4] [--rounds 5]

PostgreSQL, Valkey, the servers and the client share this machine. Rounds alternate; medians are printed, the answers of
the last column beside the bare view's with the middlewares that `startproject` lists.
"""

import argparse
import statistics
import urllib.request
from pathlib import Path

from benchmarks.installation import BenchmarkDataset, run_installation
from benchmarks.load.client import Measured, load, request
from benchmarks.load.servers import bare, web

LISTENERS = 500  # whose answers are kept, where they are
Way = tuple[int, list[bytes]]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--tracks", type=int, default=50_000)
    options.add_argument("--listeners", type=int, default=20_000)
    options.add_argument("--plays", type=int, default=1_000_000)
    options.add_argument("--connections", type=int, default=100)
    options.add_argument("--seconds", type=float, default=4.0, help="of each way in a round")
    options.add_argument("--rounds", type=int, default=5)
    chosen = options.parse_args()
    with run_installation() as folder:
        dataset = BenchmarkDataset.create(chosen.tracks, chosen.listeners, chosen.plays)
        dataset.train_model()
        compare(dataset, folder, chosen.connections, chosen.seconds, chosen.rounds)


def compare(dataset: BenchmarkDataset, folder: Path, connections: int, seconds: float, rounds: int) -> None:
    body = folder / "body"
    asked = [request(f"/recommend/user/{user}/ml?limit=20", f"Api-Key {dataset.key}") for user in dataset.users]
    with web() as kept, web(MUSICREC_RESULTS_SECONDS="0") as off:
        body.write_bytes(_answer(kept, dataset))
        with bare(body, "stock") as stock, bare(body, "none") as nothing:
            constant = [request("/constant")]
            ways: dict[str, Way] = {
                "bare view, stock middlewares": (stock, constant),
                "bare view, no middlewares": (nothing, constant),
                "recommendations, kept": (kept, asked[:LISTENERS]),
                "recommendations, cache off": (off, asked),
            }
            for way in ways.values():
                load(*way, connections, 2.0)  # until everything is warm
            found: dict[str, list[Measured]] = {name: [] for name in ways}
            for _ in range(rounds):
                for name, way in ways.items():
                    found[name].append(load(*way, connections, seconds))
    bytes_, tracks = body.stat().st_size, len(dataset.tracks)
    print(f"{tracks:,} tracks, limit 20, answers of {bytes_:,} bytes, {connections} connections, {rounds} rounds\n")
    print("| way | answers/s | of the bare view | p50 ms | p99 ms | errors |\n|---|---|---|---|---|---|")
    base = statistics.median(one.rate for one in found["bare view, stock middlewares"])
    for name, rounds_ in found.items():
        rate, p50, p99 = (
            statistics.median(values)
            for values in zip(*((r.rate, r.percentile(50), r.percentile(99)) for r in rounds_), strict=True)
        )
        errors = sum(r.errors for r in rounds_)
        print(f"| {name} | {rate:,.0f} | {rate / base:.2f} | {p50:.1f} | {p99:.1f} | {errors} |")


def _answer(port: int, dataset: BenchmarkDataset) -> bytes:
    url = f"http://127.0.0.1:{port}/recommend/user/{dataset.users[0]}/ml?limit=20"
    asked = urllib.request.Request(url, headers={"Authorization": f"Api-Key {dataset.key}"})
    with urllib.request.urlopen(asked) as answer:
        content: bytes = answer.read()
        return content


if __name__ == "__main__":
    main()
