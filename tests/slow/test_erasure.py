"""A listener with many plays is erased under load; an erasure killed by SIGKILL is finished by the next run."""

import json
import os
import signal
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.play_files import write_checkerboard_csv
from tests.stack import PASSWORD, ApiResponse, Stack, new_stack

pytestmark = pytest.mark.slow
PRODUCTION = os.environ.get("MUSICREC_TEST_STACK") == "production"
PLAYS = 100_000
ANSWER_SECONDS = 1.0
COMPLETE_SECONDS = 60.0

MANY_PLAYS = """
import uuid
from datetime import datetime, timedelta, UTC
from interactions.bulk import NewInteraction, insert_interactions
from tracks.models import Track
tracks = list(Track.objects.values_list("pk", flat=True)[::2])
start = datetime(2024, 1, 1, tzinfo=UTC)
insert_interactions([
    NewInteraction({user}, tracks[n % len(tracks)], "play", start + timedelta(minutes=n), "test", uuid.uuid4(),
        milestone=100, is_completed=True)
    for n in range({plays})
])
"""
REMAINING_TABLES = """
from privacy.personal_data import tables_with_data_of
print(tables_with_data_of({user}))
"""
ERASE_AND_DIE = """
import os, signal
from privacy import erasure
erasure.BATCH = 3
erasure.request_erasure({user})
original, calls = erasure.{name}, []
def call_and_die(*args):
    calls.append(args)
    if len(calls) == {call} and {before}:
        os.kill(os.getpid(), signal.SIGKILL)
    result = original(*args)
    if len(calls) == {call}:
        os.kill(os.getpid(), signal.SIGKILL)
    return result
erasure.{name} = call_and_die
erasure.finish_erasures()
"""
STATE = """
import json
from access.models import Erasure
from privacy.personal_data import tables_with_data_of
erasure = Erasure.objects.get(user_id={user})
print(json.dumps([erasure.completed_at is not None, erasure.erased, tables_with_data_of({user})]))
"""


def install_with_plays(folder: Path) -> Stack:
    stack = new_stack(folder, MUSICREC_GATE_MARGIN="1", MUSICREC_RATE_LISTENER="100000/min")
    stack.manage("import_plays", str(write_checkerboard_csv(stack.var)), "--format", "csv")
    return stack


def test_a_listener_with_many_plays_is_erased_under_load(tmp_path: Path) -> None:
    stack = install_with_plays(tmp_path)
    user = stack.prepare_listener("u2", username="carol")
    stack.manage("train_model")
    stack.run_python(MANY_PLAYS.format(user=user, plays=PLAYS))
    key = f"Api-Key {stack.create_service_key('recommend', 'events', 'listeners', 'tracks')}"
    with stack.run_servers(worker=PRODUCTION):
        signed_in = stack.request("/token", body={"username": "carol", "password": PASSWORD}).body
        token, path = f"Bearer {signed_in['access']}", f"/recommend/user/{user}/ml?limit=5"
        before = stack.request(path, auth=key).body
        assert before["strategy"] == "personal"
        track = before["results"][0]["track_id"]
        calls: dict[str, Callable[[], ApiResponse]] = {
            "recommend by key": lambda: stack.request(path, auth=key),
            "recommend by token": lambda: stack.request(path, auth=token),
            "events by key": lambda: stack.request("/events", auth=key, body=[event(user, track)]),
            "events by token": lambda: stack.request("/events", auth=token, body=[event(user, track)]),
        }
        with Load(calls) as load:
            time.sleep(1)
            began = time.monotonic()
            answer = stack.request(f"/users/{user}", auth=token, method="DELETE")
            answer_seconds = time.monotonic() - began
            assert answer.status == 202
            assert stack.request("/users/me", auth=token).status == 401
            receipt = wait_for_receipt(stack, f"/erasures/{answer.body['receipt']}")
            completion_seconds = time.monotonic() - began
            time.sleep(1)
        after = stack.request(path, auth=key).body
        again = stack.request(f"/users/{user}", auth=key, method="DELETE")
    print(f"answered after {answer_seconds:.2f} s, completed after {completion_seconds:.1f} s, meanwhile {load.seen}")
    assert load.failures == []
    assert load.seen["recommend by token", 200] > 0 < load.seen["recommend by token", 401]
    assert load.seen["events by key", 202] > 0 < load.seen["events by token", 202]
    assert load.seen.keys() <= {(n, s) for n in load.calls for s in (200, 202, 401)}
    assert receipt["erased"]["interactions"] >= PLAYS
    assert stack.run_python(REMAINING_TABLES.format(user=user)) == "[]"
    assert (after["strategy"], after["fallback_reason"]) == ("popular", "cold_user")
    assert (again.status, again.body["status"]) == (202, "completed")
    assert answer_seconds < ANSWER_SECONDS
    assert completion_seconds < COMPLETE_SECONDS


def wait_for_receipt(stack: Stack, location: str) -> dict[str, dict[str, int]]:
    """Wait until the erasure is completed and return its receipt."""
    deadline = time.monotonic() + 2 * COMPLETE_SECONDS
    while time.monotonic() < deadline:
        receipt: dict[str, dict[str, int]] = stack.request(location).body
        if receipt["status"] == "completed":
            return receipt
        time.sleep(0.2)
    raise AssertionError(f"not completed: {receipt}")


def event(user: int, track: int) -> dict[str, object]:
    at = datetime.now(UTC).isoformat()
    kind = {"type": "play_end", "ms_played": 200_000}
    return kind | {"event_id": str(uuid.uuid4()), "user_id": user, "track_id": track, "occurred_at": at}


class Load:
    """Threads that repeat one call each until the block ends.

    Attributes:
        seen: how often each call got each status.
        failures: exceptions, and answers with a status of 500 or more.
    """

    def __init__(self, calls: dict[str, Callable[[], ApiResponse]]) -> None:
        self.calls, self.seen, self.failures = calls, Counter[tuple[str, int]](), list[object]()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._repeat, args=item) for item in calls.items()]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _repeat(self, name: str, call: Callable[[], ApiResponse]) -> None:
        while not self._stop.is_set():
            try:
                answer = call()
                self.seen[name, answer.status] += 1
                if answer.status >= 500:
                    self.failures.append(answer)
            except Exception as error:
                self.failures.append(error)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Stack:
    return install_with_plays(tmp_path_factory.mktemp("killed"))


@pytest.mark.parametrize(
    ("name", "call", "before", "external_id"),
    [
        ("_delete_data", 1, True, "u2"),
        ("_delete", 2, True, "u3"),
        ("_delete", 2, False, "u4"),
        ("tables_with_data_of", 1, True, "u5"),
        ("tables_with_data_of", 1, False, "u6"),
    ],
)
def test_the_next_run_finishes_an_erasure_killed_at_any_step(
    stack: Stack, name: str, call: int, before: bool, external_id: str
) -> None:
    user = stack.prepare_listener(external_id)
    code = ERASE_AND_DIE.format(user=user, name=name, call=call, before=before)
    result = stack.manage("shell", "--verbosity", "0", "--command", code, check=False)
    assert result.returncode == -signal.SIGKILL
    assert not json.loads(stack.run_python(STATE.format(user=user)))[0]
    assert stack.manage("erase_listeners").stdout == "1 listeners erased\n"
    assert json.loads(stack.run_python(STATE.format(user=user))) == [True, {"interactions": 9, "access_user": 1}, []]
