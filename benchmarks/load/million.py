"""Serve a version of a million tracks: under load, swapped under load, from a cold start, and in eight processes.

    python -m benchmarks.load.million [--tracks 1000000] [--factors 64] [--listeners 20000] [--connections 100]

Answers are not cached (MUSICREC_RESULTS_SECONDS=0), and every listener is folded in. The factors are generated: 2,000
tastes, and norms that decrease with the rank of a track, so that the exact search for listeners can skip most tracks.
Similar tracks are searched by inverted lists. The client shares this machine with the servers.
"""

import argparse
import os
import subprocess
import sys
import threading
import time

import numpy as np
import psutil

from benchmarks.installation import BenchmarkDataset, run_installation
from benchmarks.load.client import LoadResult, build_request, run_load
from benchmarks.load.servers import run_web_server
from engine.bundle.model_bundle import assemble_bundle
from engine.data.id_map import IdMap
from engine.ensemble import ComponentConfig, EnsembleConfig
from engine.models.base import FittedModel, FoldInConfig
from engine.models.ials import IALS
from musicrec.processes import run_processes, wait_until_ready, web_command
from tests.postgres import free_port

TASTES = 2000
STARTUP_SCRIPT = """
import time
started = time.perf_counter()
import musicrec.wsgi
print(time.perf_counter() - started)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sizes = {"tracks": 1_000_000, "factors": 64, "listeners": 20_000, "plays": 500_000, "connections": 100}
    for name, default in sizes.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--seconds", type=float, default=8.0)
    options = parser.parse_args()
    with run_installation(MUSICREC_RESULTS_SECONDS="0") as folder:
        dataset = BenchmarkDataset.create(options.tracks, options.listeners, options.plays)
        started = time.perf_counter()
        for version in ("first", "second"):
            write_version(dataset, version, options.factors)
        print(f"writing a version, with its index: {(time.perf_counter() - started) / 2:.0f} s", flush=True)
        publish("first")
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.suffix in (".npz", ".faiss"))
        print(f"files of a version: {size / 2 / 1e6:,.0f} MB\n", flush=True)
        with run_web_server() as port:
            measure_load(dataset, port, options.connections, options.seconds)
            measure_swaps(dataset, port, options.connections, options.seconds)
        measure_cold_start()
        measure_memory(dataset)


def write_version(dataset: BenchmarkDataset, version: str, factors: int) -> None:
    from recommendations.training.config import index_config
    from recommendations.version_store import version_store
    from tracks.features import load_track_features

    rng = np.random.default_rng(len(version))
    centres = rng.standard_normal((TASTES, factors), np.float32)
    deviations = rng.standard_normal((len(dataset.tracks), factors), np.float32)
    tracks = centres[np.arange(len(deviations)) % TASTES] + np.float32(0.7) * deviations
    # As in iALS, popular tracks have large norms.
    norms = np.arange(1, len(deviations) + 1, dtype=np.float32) ** np.float32(-0.35)
    tracks *= (norms / np.linalg.norm(tracks, axis=1))[:, None]
    listeners = centres[rng.integers(TASTES, size=len(dataset.users))] * np.float32(0.1)
    bundle = assemble_bundle(
        version=version,
        items=IdMap(np.array(dataset.tracks)),
        popularity=np.ceil(1000 * norms).astype(np.float32),
        ensemble=EnsembleConfig((ComponentConfig(IALS(factors=factors)),)),
        fitted_models=[FittedModel((listeners, tracks), FoldInConfig())],
        users=IdMap(np.array(dataset.users)),
        features=load_track_features(dataset.tracks),
    )
    version_store().write(bundle, {"report": {}}, index_config())


def publish(version: str) -> None:
    from recommendations.reload_message import send_reload
    from recommendations.version_store import version_store

    version_store().publish(version)
    send_reload(version)


def measure_load(dataset: BenchmarkDataset, port: int, connections: int, seconds: float) -> None:
    print(f"| what is requested, {connections} connections | answers/s | p50 ms | p99 ms | errors |")
    print("|---|---|---|---|---|", flush=True)
    for name, requests in _build_requests(dataset).items():
        run_load(port, requests, connections, 2.0)
        _print_row(name, run_load(port, requests, connections, seconds))


def measure_swaps(dataset: BenchmarkDataset, port: int, connections: int, seconds: float) -> None:
    """Swap to the second version and back under load, and compare the p99 after a swap with the usual one."""
    requests, swaps = _build_requests(dataset)["recommendations"], {"second": seconds / 3, "first": 2 * seconds / 3}
    timers = [threading.Timer(at, publish, [version]) for version, at in swaps.items()]
    for timer in timers:
        timer.start()
    result = run_load(port, requests, connections, seconds)
    is_after_swap = np.zeros(len(result.at), np.bool_)
    for at in swaps.values():
        is_after_swap |= (result.at >= at) & (result.at < at + 1)
    milliseconds = 1000 * result.latencies
    usual_p99, swap_p99 = (float(np.percentile(milliseconds[mask], 99)) for mask in (~is_after_swap, is_after_swap))
    print(f"\ntwo publications under load: {result.errors} errors in {len(result.at):,} answers")
    print(f"p99 {usual_p99:.0f} ms, in the second after a publication {swap_p99:.0f} ms", end=" ")
    print(f"({swap_p99 / usual_p99:.2f} times as much)", flush=True)


def measure_cold_start(rounds: int = 3) -> None:
    """Compare the start of a web process that loads and checks the version with that of one without a version."""
    with_version, without_version = [], []
    for _ in range(rounds):
        with_version.append(_seconds_to_start({}))
        without_version.append(_seconds_to_start({"MUSICREC_VAR_DIR": "/nonexistent"}))
    print(f"\nfrom start to ready: {min(with_version):.2f} s", end=", ")
    print(f"without a version: {min(without_version):.2f} s", flush=True)


def _seconds_to_start(environment: dict[str, str]) -> float:
    command = [sys.executable, "-c", STARTUP_SCRIPT]
    return float(subprocess.run(command, env=os.environ | environment, capture_output=True, check=True).stdout)


def measure_memory(dataset: BenchmarkDataset) -> None:
    """Compare the memory (PSS) of one and of eight web processes after requests; both include the parent process."""
    pss = {processes: _web_server_pss(processes, dataset) for processes in (1, 8)}
    print(f"memory (PSS): one process {pss[1] / 1e6:,.0f} MB, eight {pss[8] / 1e6:,.0f} MB", end=" ")
    print(f"({pss[8] / pss[1]:.2f} times as much)")


def _web_server_pss(processes: int, dataset: BenchmarkDataset) -> float:
    port = free_port()
    command = web_command(port)
    command[command.index("--workers") + 1] = str(processes)
    with run_processes({"web": command}, dict(os.environ)) as started:
        wait_until_ready(port, started)
        time.sleep(processes)  # until all processes have started
        parent = psutil.Process(started["web"].pid)
        children = parent.children()
        assert len(children) >= processes, children
        for requests in _build_requests(dataset).values():
            run_load(port, requests, 8 * processes, 3.0)
        return float(sum(child.memory_full_info().pss for child in (parent, *children)))


def _build_requests(dataset: BenchmarkDataset) -> dict[str, list[bytes]]:
    key, rng = f"Api-Key {dataset.key}", np.random.default_rng(1)
    users, tracks = rng.permutation(dataset.users).tolist(), rng.choice(dataset.tracks, 20_000).tolist()
    return {
        "recommendations": [build_request(f"/recommend/user/{user}/ml?limit=20", key) for user in users],
        "similar tracks": [build_request(f"/recommend/similar/{track}?limit=20", key) for track in tracks],
    }


def _print_row(name: str, result: LoadResult) -> None:
    p50, p99 = result.percentile(50), result.percentile(99)
    print(f"| {name} | {result.rate:,.0f} | {p50:.1f} | {p99:.1f} | {result.errors} |", flush=True)


if __name__ == "__main__":
    main()
