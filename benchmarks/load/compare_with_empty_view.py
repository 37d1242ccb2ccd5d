"""Compare recommendations with an empty view of Django REST framework that returns as many constant bytes.

    python -m benchmarks.load.compare_with_empty_view [--tracks 50000] [--connections 100] [--seconds 4] [--rounds 5]

Both run under the same server. PostgreSQL, Valkey, the servers and the client share this machine. Rounds alternate, and
medians are printed. The first row is the empty view with the middlewares that `startproject` lists.
"""

import argparse
import statistics
import urllib.request
from pathlib import Path

from benchmarks.installation import BenchmarkDataset, run_installation
from benchmarks.load.client import LoadResult, build_request, run_load
from benchmarks.load.servers import run_empty_view, run_web_server

CACHED_LISTENERS = 500
Target = tuple[int, list[bytes]]
"""A port, and the requests to send there."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tracks", type=int, default=50_000)
    parser.add_argument("--listeners", type=int, default=20_000)
    parser.add_argument("--plays", type=int, default=1_000_000)
    parser.add_argument("--connections", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=4.0, help="duration of each target in a round")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with run_installation() as folder:
        dataset = BenchmarkDataset.create(options.tracks, options.listeners, options.plays)
        dataset.train_model()
        compare(dataset, folder, options.connections, options.seconds, options.rounds)


def compare(dataset: BenchmarkDataset, folder: Path, connections: int, seconds: float, rounds: int) -> None:
    body = folder / "body"
    paths = [f"/recommend/user/{user}/ml?limit=20" for user in dataset.users]
    requests = [build_request(path, f"Api-Key {dataset.key}") for path in paths]
    with run_web_server() as caching_port, run_web_server(MUSICREC_RESULTS_SECONDS="0") as uncached_port:
        first = f"http://127.0.0.1:{caching_port}{paths[0]}"
        with urllib.request.urlopen(
            urllib.request.Request(first, headers={"Authorization": f"Api-Key {dataset.key}"})
        ) as response:
            body.write_bytes(response.read())
        with run_empty_view(body, "stock") as stock_port, run_empty_view(body, "none") as bare_port:
            constant = [build_request("/constant")]
            baseline = "empty view with the middlewares of `startproject`"
            targets: dict[str, Target] = {
                baseline: (stock_port, constant),
                "empty view without middleware and authentication": (bare_port, constant),
                "recommendations, cached": (caching_port, requests[:CACHED_LISTENERS]),
                "recommendations, `MUSICREC_RESULTS_SECONDS=0`": (uncached_port, requests),
            }
            for target in targets.values():
                run_load(*target, connections, 2.0)  # fills the caches
            results: dict[str, list[LoadResult]] = {name: [] for name in targets}
            for _ in range(rounds):
                for name, target in targets.items():
                    results[name].append(run_load(*target, connections, seconds))
    size, tracks = body.stat().st_size, len(dataset.tracks)
    print(f"{tracks:,} tracks, limit 20, answers of {size:,} bytes, {connections} connections, {rounds} rounds\n")
    print("| what is requested | answers/s | relative to the first row | p50 ms | p99 ms | errors |")
    print("|---|---|---|---|---|---|")
    baseline_rate = statistics.median(result.rate for result in results[baseline])
    for name, of_target in results.items():
        rate = statistics.median(result.rate for result in of_target)
        p50, p99 = (statistics.median(result.percentile(percent) for result in of_target) for percent in (50, 99))
        errors = sum(result.errors for result in of_target)
        print(f"| {name} | {rate:,.0f} | {rate / baseline_rate:.2f} | {p50:.1f} | {p99:.1f} | {errors} |")


if __name__ == "__main__":
    main()
