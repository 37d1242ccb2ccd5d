"""Import plays into the database, and read them back for training.

    python -m benchmarks.training_data [--imported 1000000] [--read 10000000] [--rounds 3]

Runs PostgreSQL from wheels on this machine. Import: `manage.py import_plays --format csv` reads a file with seven
columns into an empty table; for comparison, as many rows are inserted into the same table, with its indexes, by a bare
COPY, and a tenth of them by Django's `bulk_create`. Reading: the plays of the table become the confidence matrix that
models are fitted on; for comparison, three packed columns are copied into NumPy arrays. Both take turns; medians.
"""

import argparse
import csv
import io
import os
import statistics
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.ingestion import bulk_create_events
from benchmarks.installation import BATCH_SIZE, BenchmarkDataset, run_installation

COPY_CHUNK_ROWS = 500_000  # rows of one COPY, as in `interactions.training_data`


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("imported", 1_000_000), ("read", 10_000_000), ("rounds", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    with run_installation() as folder:
        dataset = BenchmarkDataset.create(10_000, listeners=20_000, plays=0)
        measure_import(dataset, folder, options.imported)
        measure_reading(dataset, options.read, options.rounds)


def measure_import(dataset: BenchmarkDataset, folder: Path, plays: int) -> None:
    path = folder / "plays.csv"
    _write_csv(path, plays)
    seconds = {
        "bare COPY": _time(lambda: dataset.insert_plays(plays)),
        "bulk_create": 10 * _time(lambda: _bulk_create(dataset, plays // 10)),
    }
    _truncate_interactions()
    command = [sys.executable, "manage.py", "import_plays", str(path), "--format", "csv"]
    seconds["import_plays"] = _time(lambda: subprocess.run(command, check=True, capture_output=True, env=os.environ))
    print(f"\nImporting {plays:,} plays\n\n| way | s | of bare COPY | of bulk_create |\n|---|---|---|---|")
    for way, way_seconds in seconds.items():
        ratios = (f"{way_seconds / seconds[baseline]:.2f}" for baseline in ("bare COPY", "bulk_create"))
        print(f"| {way} | {way_seconds:.1f} | {' | '.join(ratios)} |", flush=True)


def measure_reading(dataset: BenchmarkDataset, plays: int, rounds: int) -> None:
    from engine.data.confidence import ConfidenceWeights, confidence_matrix
    from engine.data.id_map import IdMap
    from engine.data.plays import Plays
    from engine.data.user_item_pairs import UserItemPairs
    from interactions.training_data import iter_play_chunks

    _truncate_interactions()
    _generate_interactions(dataset, plays)

    def read_matrix() -> None:
        all_plays = Plays.concatenate(list(iter_play_chunks()))
        users, items = IdMap.from_ids(all_plays.user), IdMap.from_ids(all_plays.track)
        pairs = UserItemPairs.from_plays(all_plays, users, items)
        confidence_matrix(pairs, (len(users), len(items)), ConfidenceWeights())

    seconds: dict[str, list[float]] = {"bare COPY into columns": [], "to the matrix": []}
    for _ in range(rounds):
        seconds["bare COPY into columns"].append(_time(_copy_columns))
        seconds["to the matrix"].append(_time(read_matrix))
    baseline = statistics.median(seconds["bare COPY into columns"])
    print(f"\nReading {plays:,} plays\n\n| way | s | of the bare |\n|---|---|---|")
    for way, times in seconds.items():
        print(f"| {way} | {statistics.median(times):.1f} | {statistics.median(times) / baseline:.2f} |")


def _write_csv(path: Path, plays: int) -> None:
    """Write plays whose listeners and tracks follow power laws."""
    rng, start = np.random.default_rng(1), datetime(2026, 1, 1, tzinfo=UTC)
    users = (rng.random(plays) ** 1.5 * 20_000).astype(int).tolist()
    tracks = (rng.random(plays) ** 2.5 * 9_000).astype(int).tolist()
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["user", "track", "title", "artist", "timestamp", "ms_played", "duration_ms"])
        for n, (user, track) in enumerate(zip(users, tracks, strict=True)):
            at = f"{start + timedelta(seconds=n):%Y-%m-%dT%H:%M:%SZ}"
            writer.writerow([f"u{user}", f"t{track}", f"Song {track}", f"Artist {track % 700}", at, 150_000, 200_000])


def _bulk_create(dataset: BenchmarkDataset, plays: int) -> None:
    for start in range(0, plays, 5000):
        batches = min(5000, plays - start) // BATCH_SIZE
        bulk_create_events([event for _ in range(batches) for event in dataset.make_batch()])


def _truncate_interactions() -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE interactions CASCADE")


def _generate_interactions(dataset: BenchmarkDataset, plays: int) -> None:
    """Generate plays inside the database, which is much faster than sending them."""
    from django.db import connection

    users, tracks = dataset.users, dataset.tracks
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")  # do not check the foreign keys of each row
        cursor.execute(
            "INSERT INTO interactions (user_id, track_id, kind, played_at, plays, milestone, is_completed, is_skip, "
            "is_listen, session_id, device, context, source, event_id, end_reason) SELECT %s + (random() * %s)::int, "
            "%s + (power(random(), 2.5) * %s)::int, 'play', '2026-01-01'::timestamptz + g * interval '1 second', "
            "1, 80, false, false, false, '', '', '', 'bare', gen_random_uuid(), '' FROM generate_series(1, %s) g",
            [users[0], len(users) - 1, tracks[0], len(tracks) - 1, plays],
        )
        cursor.execute("RESET session_replication_role")
        cursor.execute("ANALYZE interactions")


def _copy_columns() -> list[NDArray[np.int64]]:
    """Read listener, track and plays of all interactions: each chunk's column is one packed value, sent by COPY."""
    from django.db import connection

    columns = (("user_id", "int8send", ">i8"), ("track_id", "int8send", ">i8"), ("plays", "int4send", ">i4"))
    packed = ", ".join(f"string_agg({send}({column}), ''::bytea)" for column, send, _ in columns)
    chunks: list[list[NDArray[np.int64]]] = [[] for _ in columns]
    with connection.cursor() as cursor:
        cursor.execute("SELECT min(id), max(id) FROM interactions")
        first, last = cursor.fetchone()
        for start in range(first, last + 1, COPY_CHUNK_ROWS):
            buffer = io.BytesIO()
            where = f"id >= {start} AND id < {start + COPY_CHUNK_ROWS}"
            cursor.copy_expert(
                f"COPY (SELECT {packed} FROM interactions WHERE {where}) TO STDOUT (FORMAT binary)", buffer
            )
            view, offset = buffer.getbuffer(), 21  # after the header and the number of fields
            for (_, _, dtype), column_chunks in zip(columns, chunks, strict=True):
                [length] = struct.unpack_from(">i", view, offset)
                column_chunks.append(np.frombuffer(view[offset + 4 : offset + 4 + length], dtype).astype(np.int64))
                offset += 4 + length
    return [np.concatenate(column_chunks) for column_chunks in chunks]


def _time(function: Callable[[], object]) -> float:
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
