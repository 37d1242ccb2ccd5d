"""The way of plays into the database and out of it again: import, and reading for training.

    python -m benchmarks.training_data [--imported 1000000] [--read 10000000] [--rounds 3]

PostgreSQL from wheels on this machine. Import: `manage.py import_plays --format csv` of a file with seven columns into
an empty table, beside as many rows by a bare COPY into the same table with its indexes, and by Django's `bulk_create`
of a tenth of them. Reading: plays in the table to the confidence matrix that models fit, beside a bare COPY of three
packed columns into NumPy arrays, in turns; medians.
"""

import argparse
import csv
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.installation import BATCH_SIZE, BenchmarkDataset, run_installation

ROWS = 500_000  # of a bare COPY at once, as of ours


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("imported", 1_000_000), ("read", 10_000_000), ("rounds", 3)):
        options.add_argument(f"--{name}", type=int, default=default)
    given = options.parse_args()
    with run_installation() as folder:
        dataset = BenchmarkDataset.create(10_000, listeners=20_000, plays=0)
        imports(dataset, folder, given.imported)
        reading(dataset, given.read, given.rounds)


def imports(dataset: BenchmarkDataset, folder: Path, plays: int) -> None:
    path = folder / "plays.csv"
    _write_csv(path, plays)
    took = {
        "bare COPY": _timed(lambda: dataset.insert_plays(plays)),
        "bulk_create": 10 * _timed(lambda: _bulk_create(dataset, plays // 10)),
    }
    _empty()
    command = [sys.executable, "manage.py", "import_plays", str(path), "--format", "csv"]
    took["import_plays"] = _timed(lambda: subprocess.run(command, check=True, capture_output=True, env=os.environ))
    print(f"\nImporting {plays:,} plays\n\n| way | s | of bare COPY | of bulk_create |\n|---|---|---|---|")
    for name, seconds in took.items():
        ratios = (f"{seconds / took[one]:.2f}" for one in ("bare COPY", "bulk_create"))
        print(f"| {name} | {seconds:.1f} | {' | '.join(ratios)} |", flush=True)


def reading(dataset: BenchmarkDataset, plays: int, rounds: int) -> None:
    from engine.data.confidence import ConfidenceWeights, confidence_matrix
    from engine.data.id_map import IdMap
    from engine.data.plays import Plays
    from engine.data.user_item_pairs import UserItemPairs
    from interactions.training_data import iter_play_chunks

    _empty()
    _fill(dataset, plays)

    def ours() -> None:
        found = Plays.concatenate(list(iter_play_chunks()))
        users, items = IdMap.from_ids(found.user), IdMap.from_ids(found.track)
        confidence_matrix(UserItemPairs.from_plays(found, users, items), (len(users), len(items)), ConfidenceWeights())

    took: dict[str, list[float]] = {"bare COPY into columns": [], "to the matrix": []}
    for _ in range(rounds):
        took["bare COPY into columns"].append(_timed(_bare_columns))
        took["to the matrix"].append(_timed(ours))
    bare = statistics.median(took["bare COPY into columns"])
    print(f"\nReading {plays:,} plays\n\n| way | s | of the bare |\n|---|---|---|")
    for name, times in took.items():
        print(f"| {name} | {statistics.median(times):.1f} | {statistics.median(times) / bare:.2f} |")


def _write_csv(path: Path, plays: int) -> None:
    rng, start = np.random.default_rng(1), datetime(2026, 1, 1, tzinfo=UTC)
    users = (rng.random(plays) ** 1.5 * 20_000).astype(int).tolist()
    tracks = (rng.random(plays) ** 2.5 * 9_000).astype(int).tolist()
    with open(path, "w", newline="") as f:
        rows = csv.writer(f)
        rows.writerow(["user", "track", "title", "artist", "timestamp", "ms_played", "duration_ms"])
        for n, (user, track) in enumerate(zip(users, tracks, strict=True)):
            at = f"{start + timedelta(seconds=n):%Y-%m-%dT%H:%M:%SZ}"
            rows.writerow([f"u{user}", f"t{track}", f"Song {track}", f"Artist {track % 700}", at, 150_000, 200_000])


def _bulk_create(dataset: BenchmarkDataset, plays: int) -> None:
    from benchmarks.ingestion import bulk_create_events

    for begin in range(0, plays, 5000):
        bulk_create_events(
            [event for _ in range(min(5000, plays - begin) // BATCH_SIZE) for event in dataset.make_batch()]
        )


def _empty() -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE interactions CASCADE")


def _fill(dataset: BenchmarkDataset, plays: int) -> None:
    from django.db import connection

    users, tracks = (dataset.users[0], len(dataset.users)), (dataset.tracks[0], len(dataset.tracks))
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")  # no look at each listener and track
        cursor.execute(
            "INSERT INTO interactions (user_id, track_id, kind, played_at, plays, milestone, is_completed, is_skip, "
            "is_listen, session_id, device, context, source, event_id, end_reason) SELECT %s + (random() * %s)::int, "
            "%s + (power(random(), 2.5) * %s)::int, 'play', '2026-01-01'::timestamptz + g * interval '1 second', "
            "1, 80, false, false, false, '', '', '', 'bare', gen_random_uuid(), '' FROM generate_series(1, %s) g",
            [users[0], users[1] - 1, tracks[0], tracks[1] - 1, plays],
        )
        cursor.execute("RESET session_replication_role")
        cursor.execute("ANALYZE interactions")


def _bare_columns() -> list[NDArray[np.int64]]:
    import io
    import struct

    from django.db import connection

    sends = (("user_id", "int8send", ">i8"), ("track_id", "int8send", ">i8"), ("plays", "int4send", ">i4"))
    packed = ", ".join(f"string_agg({send}({column}), ''::bytea)" for column, send, _ in sends)
    chunks: list[list[NDArray[np.int64]]] = [[] for _ in sends]
    with connection.cursor() as cursor:
        cursor.execute("SELECT min(id), max(id) FROM interactions")
        first, last = cursor.fetchone()
        for begin in range(first, last + 1, ROWS):
            buffer = io.BytesIO()
            where = f"id >= {begin} AND id < {begin + ROWS}"
            cursor.copy_expert(
                f"COPY (SELECT {packed} FROM interactions WHERE {where}) TO STDOUT (FORMAT binary)", buffer
            )
            view, place = buffer.getbuffer(), 21
            for (_, _, dtype), kept in zip(sends, chunks, strict=True):
                [length] = struct.unpack_from(">i", view, place)
                kept.append(np.frombuffer(view[place + 4 : place + 4 + length], dtype).astype(np.int64))
                place += 4 + length
    return [np.concatenate(kept) for kept in chunks]


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
