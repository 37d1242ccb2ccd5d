"""Measure a slate for a group over HTTP, compared with the slate of one listener.

    python -m benchmarks.group_http [--tracks 50000] [--size 5] [--rounds 5] [--requests 100]

PostgreSQL, Valkey, the production server and the client share this machine. Answers are not cached, so that each slate
is computed; the cards of all tracks are, as in a server that has run for a while. One connection asks for one slate
after the other: in each round first for those of single listeners, then for those of groups by both strategies.
"""

import argparse
import sys

import numpy as np
import orjson

from benchmarks.installation import BenchmarkDataset, run_installation
from benchmarks.load.client import build_request, run_load
from benchmarks.load.servers import run_web_server
from benchmarks.radio import tag_tracks
from engine.retrieval.candidates import GROUP_STRATEGIES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tracks", type=int, default=50_000)
    parser.add_argument("--size", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=100, help="of each kind in a round")
    options = parser.parse_args()
    with run_installation(MUSICREC_FAMILY="ials", MUSICREC_RESULTS_SECONDS="0"):
        dataset = BenchmarkDataset.create(options.tracks, plays=10 * options.tracks)
        tag_tracks(dataset)
        dataset.train_model()
        requests = make_requests(dataset, options.size, options.requests)
        latencies: dict[str, list[float]] = {name: [] for name in requests}
        errors = 0
        with run_web_server() as port:
            for number in range(options.rounds + 1):
                for name, of_kind in requests.items():
                    result = run_load(port, of_kind, 1, 600.0, once=True)
                    errors += result.errors
                    if number:  # the first round fills the caches of cards
                        latencies[name] += (1000 * result.latencies).tolist()
    one = float(np.median(latencies["one listener"]))
    print("| slate over HTTP | median, ms | 99th percentile, ms | median, relative |\n|---|---|---|---|")
    for name, times in latencies.items():
        median, slowest = np.median(times), np.quantile(times, 0.99)
        print(f"| {name} | {median:.1f} | {slowest:.1f} | {median / one:.2f} |")
    sys.exit(errors)


def make_requests(dataset: BenchmarkDataset, size: int, count: int) -> dict[str, list[bytes]]:
    """Return `count` requests of each kind: for single listeners, and for groups that begin with these."""
    users, credential = dataset.users[: count * size], f"Api-Key {dataset.key}"
    groups = [users[start : start + size] for start in range(0, len(users), size)]
    requests = {
        "one listener": [build_request(f"/recommend/user/{group[0]}/ml?limit=20", credential) for group in groups]
    }
    for strategy in GROUP_STRATEGIES:
        bodies = [orjson.dumps({"listeners": group, "strategy": strategy, "limit": 20}) for group in groups]
        name = f"{size} listeners, {strategy}".replace("_", " ")
        requests[name] = [build_request("/recommend/group", credential, body) for body in bodies]
    return requests


if __name__ == "__main__":
    main()
