"""The production stack under load: how many answers a second, and how long each takes.

    make load, or
    python -m benchmarks.load [--tracks 20000] [--connections 1,10,100,300] [--seconds 3] [--report var/load]

Starts PostgreSQL and Valkey from wheels, the web processes and the worker of `make demo`, and fills them with invented
listeners. All of it shares this machine with the client, so that a second machine would see more. Writes `report.md`
and `report.html`. Ends after some two minutes; exit code 1 where any answer was an error.
"""

import argparse
import os
import platform
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.installation import BenchmarkDataset, run_installation
from benchmarks.load.client import Measured, load, request
from benchmarks.load.report import Row, write_report
from benchmarks.load.servers import web
from musicrec.processes import run_processes, worker_command

KEPT = 500  # listeners or tracks whose answers are warm


@dataclass(frozen=True)
class Scenario:
    """kept: "warm" answers were asked for before, "cold" ones never since the catalogue changed, "off" are not kept."""

    name: str
    kept: str
    paths: list[str]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--tracks", type=int, default=20_000)
    options.add_argument("--listeners", type=int, default=10_000)
    options.add_argument("--plays", type=int, default=300_000)
    options.add_argument("--connections", default="1,10,100,300")
    options.add_argument("--seconds", type=float, default=3.0, help="of each line of the report")
    options.add_argument("--report", type=Path, default=Path("var/load"), help="the folder of the reports")
    chosen = options.parse_args()
    connections = [int(word) for word in chosen.connections.split(",")]
    with run_installation() as folder:
        print(f"· {chosen.tracks:,} tracks, {chosen.listeners:,} listeners, {chosen.plays:,} plays: filling, training")
        dataset = BenchmarkDataset.create(chosen.tracks, chosen.listeners, chosen.plays)
        dataset.train_model()
        with run_processes({"worker": worker_command(folder / "beat")}, dict(os.environ)):
            rows = list(measured(dataset, connections, chosen.seconds))
    about = f"{chosen.tracks:,} tracks, {chosen.listeners:,} listeners, {chosen.plays:,} plays; {_machine()}"
    for path in write_report(chosen.report, rows, about):
        print(f"· {path}")
    sys.exit(any(row.measured.errors for row in rows))


def measured(dataset: BenchmarkDataset, connections: list[int], seconds: float) -> Iterator[Row]:
    """A row of the report for each scenario and number of connections."""
    with web() as kept, web(MUSICREC_RESULTS_SECONDS="0") as off:
        for scenario in scenarios(dataset):
            port = off if scenario.kept == "off" else kept
            requests = [request(path, f"Api-Key {dataset.key}") for path in scenario.paths]
            load(port, requests, 10, min(seconds, 2.0 if scenario.kept == "warm" else 0.5))
            for number in connections:
                row = Row(scenario.name, scenario.kept, number, _run(scenario.kept, port, requests, number, seconds))
                print(f"· {row}", flush=True)
                yield row


def scenarios(dataset: BenchmarkDataset) -> list[Scenario]:
    users, few, tracks = dataset.users, dataset.users[:KEPT], dataset.tracks
    personal: Callable[[int], str] = "/recommend/user/{}/ml?limit=20".format
    similar: Callable[[int], str] = "/recommend/similar/{}?limit=20".format
    return [
        Scenario("personal", "warm", [personal(user) for user in few]),
        Scenario("personal", "cold", [personal(user) for user in users]),
        Scenario("personal", "off", [personal(user) for user in users]),
        Scenario("similar", "warm", [similar(track) for track in tracks[:KEPT]]),
        Scenario("similar", "off", [similar(track) for track in tracks]),
        Scenario("legacy", "warm", [f"/recommend/user/{user}?limit=20" for user in few]),
    ]


def _run(kept: str, port: int, requests: list[bytes], connections: int, seconds: float) -> Measured:
    if kept == "cold":
        from tracks.services import bump_catalogue_revision

        bump_catalogue_revision()  # cached responses are out of date
        return load(port, requests, connections, seconds, once=True)
    return load(port, requests, connections, seconds)


def _machine() -> str:
    return f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"


if __name__ == "__main__":
    main()
