"""Put the production stack under load and report how many requests a second it answers, and how long each takes.

    make load, or
    python -m benchmarks.load [--tracks 20000] [--connections 1,10,100,300] [--seconds 3] [--report var/load]

Starts PostgreSQL and Valkey from wheels, the web processes and the worker of `make demo`, and fills them with generated
listeners. All of them share this machine with the client, so a client on a second machine would measure more. Writes
`report.md` and `report.html` after about two minutes. The exit code is 1 if any answer was an error.
"""

import argparse
import os
import platform
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.installation import BenchmarkDataset, run_installation
from benchmarks.load.client import LoadResult, build_request, run_load
from benchmarks.load.report import ReportRow, write_report
from benchmarks.load.servers import run_web_server
from musicrec.processes import run_processes, worker_command

WARM_PATHS = 500  # listeners or tracks that are requested again and again in the scenarios with a warm cache


@dataclass(frozen=True)
class Scenario:
    """Requests of one kind.

    Attributes:
        cache: "warm" if the answers have been requested before, "cold" if none has since the catalogue changed, "off"
            if answers are not cached.
    """

    name: str
    cache: str
    paths: list[str]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tracks", type=int, default=20_000)
    parser.add_argument("--listeners", type=int, default=10_000)
    parser.add_argument("--plays", type=int, default=300_000)
    parser.add_argument("--connections", default="1,10,100,300")
    parser.add_argument("--seconds", type=float, default=3.0, help="duration of each row of the report")
    parser.add_argument("--report", type=Path, default=Path("var/load"), help="the folder of the reports")
    options = parser.parse_args()
    connections = [int(number) for number in options.connections.split(",")]
    size = f"{options.tracks:,} tracks, {options.listeners:,} listeners, {options.plays:,} plays"
    with run_installation() as folder:
        print(f"· {size}: filling, training")
        dataset = BenchmarkDataset.create(options.tracks, options.listeners, options.plays)
        dataset.train_model()
        with run_processes({"worker": worker_command(folder / "beat")}, dict(os.environ)):
            rows = list(measure(dataset, connections, options.seconds))
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    for path in write_report(options.report, rows, f"{size}; {machine}"):
        print(f"· {path}")
    sys.exit(any(row.result.errors for row in rows))


def measure(dataset: BenchmarkDataset, connections: list[int], seconds: float) -> Iterator[ReportRow]:
    """Yield a row of the report for each scenario and number of connections."""
    with run_web_server() as caching_port, run_web_server(MUSICREC_RESULTS_SECONDS="0") as uncached_port:
        for scenario in scenarios(dataset):
            port = uncached_port if scenario.cache == "off" else caching_port
            requests = [build_request(path, f"Api-Key {dataset.key}") for path in scenario.paths]
            if scenario.cache == "warm":
                run_load(port, requests, 10, 60.0, once=True)
            else:
                run_load(port, requests, 10, min(seconds, 0.5))
            for number in connections:
                result = _run_scenario(scenario, port, requests, number, seconds)
                row = ReportRow(scenario.name, scenario.cache, number, result)
                print(f"· {row}", flush=True)
                yield row


def scenarios(dataset: BenchmarkDataset) -> list[Scenario]:
    users, warm_users, tracks = dataset.users, dataset.users[:WARM_PATHS], dataset.tracks
    personal: Callable[[int], str] = "/recommend/user/{}/ml?limit=20".format
    similar: Callable[[int], str] = "/recommend/similar/{}?limit=20".format
    return [
        Scenario("personal", "warm", [personal(user) for user in warm_users]),
        Scenario("personal", "cold", [personal(user) for user in users]),
        Scenario("personal", "off", [personal(user) for user in users]),
        Scenario("similar", "warm", [similar(track) for track in tracks[:WARM_PATHS]]),
        Scenario("similar", "off", [similar(track) for track in tracks]),
        Scenario("legacy", "warm", [f"/recommend/user/{user}?limit=20" for user in warm_users]),
    ]


def _run_scenario(scenario: Scenario, port: int, requests: list[bytes], connections: int, seconds: float) -> LoadResult:
    if scenario.cache == "cold":
        from tracks.services import bump_catalogue_revision

        bump_catalogue_revision()  # makes all cached answers outdated
        return run_load(port, requests, connections, seconds, once=True)
    return run_load(port, requests, connections, seconds)


if __name__ == "__main__":
    main()
