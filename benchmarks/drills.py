"""Break an installation under load in many ways, and report what its clients and its operator notice of it.

    make drills, or
    python -m benchmarks.drills [--only silent,disk] [--report var/drills.md]

Each drill starts PostgreSQL, Valkey, two web processes and a worker of its own, while clients ask for recommendations
and send events. A client that sends events repeats a batch until it is acknowledged, as phones do. Takes about ten
minutes. Drills with full or read-only disks mount a small file system and need root. The exit code is 1 if an
acknowledged event was lost or the installation did not recover.
"""

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from musicrec.processes import ROOT, Processes, wait_until_ready, web_command
from tests.play_files import write_checkerboard_csv
from tests.postgres import Postgres, free_port
from tests.stack import Stack, new_stack
from tests.valkey import SilenceableValkey

READERS, SENDERS, BATCH = 3, 2, 10
RECOVERY_SECONDS = 60.0
STEADY_SECONDS = 3.0  # without a failure: the installation has recovered
DISK = "48m"
STORED_EVENTS = """
import json
from interactions.models import Interaction
print(json.dumps([str(event) for event in Interaction.objects.filter(source="api").values_list("event_id", flat=True)]))
"""
OPEN_ALARMS = """
from recommendations.models import Alarm
print(", ".join(sorted(set(Alarm.objects.values_list("kind", flat=True)))))
"""
PUBLISH_IN_TURN = """
import time
from recommendations.training.publish import publish
from recommendations.version_store import version_store
versions = version_store().versions()
for number in range(20):
    publish(versions[number % len(versions)])
    time.sleep(0.3)
"""
TRAIN_EVERY_FEW_SECONDS = """
from django_celery_beat.models import IntervalSchedule, PeriodicTask
every, _ = IntervalSchedule.objects.get_or_create(every=4, period="seconds")
PeriodicTask.objects.create(name="Drill", task="recommendations.train_model", interval=every)
"""
OVERLAPPING_RUNS = """
from recommendations.models import TrainingRun
runs = list(TrainingRun.objects.order_by("started_at").values_list("started_at", "finished_at"))
print(len(runs), sum(later[0] < earlier[1] for earlier, later in zip(runs, runs[1:]) if earlier[1]))
"""
TABLES_WITH_DATA = """
from privacy.personal_data import tables_with_data_of
print(tables_with_data_of({user}))
"""


@dataclass
class Traffic:
    """Clients that read recommendations and send events, and what became of their requests."""

    stack: Stack
    auth: str
    readers: list[int]
    senders: list[int]
    tracks: list[int]
    acknowledged: dict[str, int] = field(default_factory=dict)  # listeners by event
    statuses: Counter[str] = field(default_factory=Counter)
    failed_at: list[float] = field(default_factory=list)
    slowest: float = 0.0
    _stop: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def running(self) -> Iterator[None]:
        clients = [threading.Thread(target=self._read, args=(n,)) for n in range(READERS)]
        clients += [threading.Thread(target=self._send, args=(n,)) for n in range(SENDERS)]
        for client in clients:
            client.start()
        try:
            yield
        finally:
            self._stop.set()
            for client in clients:
                client.join()

    def recovery(self, healed_at: float) -> float | None:
        """Wait until no request has failed for a while; return how long after the end of the fault the last did."""
        deadline = time.monotonic() + RECOVERY_SECONDS
        while time.monotonic() < deadline:
            last = max(self.failed_at, default=0.0)
            if time.monotonic() - max(last, healed_at) > STEADY_SECONDS:
                return max(0.0, last - healed_at)
            time.sleep(0.1)
        return None

    def _read(self, number: int) -> None:
        while not self._stop.is_set():
            self._request(f"/recommend/user/{self.readers[number % len(self.readers)]}/ml?limit=5", None, (200,))
            time.sleep(0.02)

    def _send(self, number: int) -> None:
        user = self.senders[number % len(self.senders)]
        while not self._stop.is_set():
            batch = [self._event(user) for _ in range(BATCH)]
            while not self._stop.is_set() and not self._acknowledge(batch):
                time.sleep(0.2)
            time.sleep(0.05)

    def _acknowledge(self, batch: list[dict[str, Any]]) -> bool:
        receipt = self._request("/events", batch, (202,))
        if receipt is None:
            return False
        rejected = {rejection["index"] for rejection in receipt["rejected"]}
        self.acknowledged |= {e["event_id"]: e["user_id"] for index, e in enumerate(batch) if index not in rejected}
        return True

    def _event(self, user: int) -> dict[str, Any]:
        context = {"occurred_at": "2026-01-01T10:00:00Z", "user_id": user, "track_id": self.tracks[user % 7]}
        return {"event_id": str(uuid.uuid4()), "type": "play_end", "ms_played": 1000} | context

    def _request(self, path: str, body: Any, accepted: tuple[int, ...]) -> Any:
        """Return the body of the answer, or None if the request failed."""
        started, result = time.monotonic(), None
        try:
            answer = self.stack.request(path, auth=self.auth, body=body)
            status = str(answer.status)
            result = answer.body if answer.status in accepted else None
        except Exception as error:
            status = type(error).__name__
        now = time.monotonic()
        self.statuses[status] += 1
        self.slowest = max(self.slowest, now - started)
        if result is None:
            self.failed_at.append(now)
        return result


@dataclass
class Installation:
    """A running installation with traffic."""

    stack: Stack
    postgres: Postgres
    valkey: SilenceableValkey
    processes: Processes
    traffic: Traffic
    log: Path
    notes: list[str] = field(default_factory=list)
    healed_at: float = 0.0
    erased: int | None = None  # the listener whose events must not be stored at the end

    def heal(self) -> None:
        """Remember that the fault has ended."""
        self.healed_at = time.monotonic()

    def ready(self) -> str:
        """Return what the health check says."""
        try:
            body = self.stack.request("/health/ready").body
            return str(body["problem"] or body["status"])
        except Exception as error:
            return type(error).__name__

    def fill_disk(self, leave: int) -> Path:
        filler = self.stack.var / "filler"
        free = os.statvfs(self.stack.var)
        with filler.open("wb") as file:
            file.write(b"\0" * max(0, free.f_bavail * free.f_frsize - leave))
        return filler

    def upload(self, size: int) -> int:
        rows = b"Artist,Album,Song,01 Jan 2024 10:00\n"
        body = rows * (size // len(rows))
        return self.stack.request(
            f"/users/{self.traffic.readers[0]}/imports?format=lastfm", auth=self.traffic.auth, body=body
        ).status


Drill = Callable[[Installation], None]


def valkey_stopped(i: Installation) -> None:
    """Valkey is stopped for 4 s"""
    i.valkey.stop()
    time.sleep(4)
    i.valkey.start()
    i.heal()


def valkey_silent(i: Installation) -> None:
    """Valkey accepts connections and is silent for at least 8 s, while a version is published"""
    version = i.stack.run_python(NEWEST_VERSION)
    i.valkey.silence()
    started = time.monotonic()
    command = [sys.executable, "manage.py", "publish_model", version]
    try:
        result = subprocess.run(
            command, cwd=ROOT, env=i.stack.environment, capture_output=True, timeout=30, check=False
        )
        done = "failed" if result.returncode else "succeeded"
    except subprocess.TimeoutExpired:
        done = "did not end"
    i.notes.append(f"publication {done} after {time.monotonic() - started:.0f} s")
    time.sleep(max(0.0, started + 8 - time.monotonic()))
    i.valkey.resume()
    i.heal()


NEWEST_VERSION = "from recommendations.version_store import version_store; print(version_store().versions()[-1])"


def postgres_crashed(i: Installation) -> None:
    """PostgreSQL is killed and starts again after 4 s"""
    i.postgres.crash()
    time.sleep(2)
    i.notes.append(f"health check: {i.ready()}")
    time.sleep(2)
    i.postgres.start()
    i.heal()


def web_terminated(i: Installation) -> None:
    """`SIGTERM` to the web server under load, which is started again at once"""
    web = i.processes["web"]
    started = time.monotonic()
    web.terminate()
    code = web.wait(30)
    i.notes.append(f"exit code {code} after {time.monotonic() - started:.1f} s")
    command = [sys.executable, "-m", *web_command(i.stack.port)]
    i.processes["web"] = subprocess.Popen(command, cwd=ROOT, env=i.stack.environment, start_new_session=True)
    wait_until_ready(i.stack.port, i.processes)
    i.heal()


def web_killed(i: Installation) -> None:
    """`kill -9` of one of two web processes, four times"""
    for _ in range(4):
        for child in Stack.web_processes(i.processes)[:1]:
            os.kill(child.pid, signal.SIGKILL)
        time.sleep(1)
    i.heal()


def disk_full_while_publishing(i: Installation) -> None:
    """The disk is full while a version is trained and written"""
    filler = i.fill_disk(leave=4096)
    failed = i.stack.manage("train_model", "--force", check=False).returncode
    filler.unlink()
    i.heal()
    i.notes.append(f"training {'failed' if failed else 'succeeded'}; health check: {i.ready()}")
    again = i.stack.manage("train_model", "--force", check=False).returncode
    leftovers = len(list((i.stack.var / "models").glob("*.tmp")))
    i.notes.append(f"the next one {'failed' if again else 'succeeded'}; {leftovers} unfinished folders")


def disk_full_while_uploading(i: Installation) -> None:
    """The disk is full while a history is uploaded"""
    filler = i.fill_disk(leave=200_000)
    status = i.upload(2_000_000)
    leftovers = len(list((i.stack.var / "uploads").glob("*")))
    filler.unlink()
    i.heal()
    i.notes.append(f"upload: {status}, {leftovers} files left; afterwards {i.upload(20_000)}")


def disk_read_only(i: Installation) -> None:
    """The data folder is read-only: an upload and a training run"""
    subprocess.run(["mount", "-o", "remount,ro", i.stack.var], check=True)
    status = i.upload(20_000)
    failed = i.stack.manage("train_model", "--force", check=False).returncode
    subprocess.run(["mount", "-o", "remount,rw", i.stack.var], check=True)
    i.heal()
    i.notes.append(f"upload: {status}; training {'failed' if failed else 'succeeded'}; then upload {i.upload(20_000)}")


def model_flipped(i: Installation) -> None:
    """64 bytes in the middle of the served model file are inverted in place"""
    folder = i.stack.var / "models" / i.stack.run_python(NEWEST_VERSION)
    path = folder / "model.npz"
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        data = file.read(64)
        file.seek(-len(data), os.SEEK_CUR)
        file.write(bytes(byte ^ 0xFF for byte in data))
    time.sleep(3)
    i.notes.append(f"health check: {i.ready()}")
    i.stack.manage("train_model", "--force")
    i.heal()
    time.sleep(3)
    i.notes.append(f"after the next training: {i.ready()}")


def slow_headers(i: Installation) -> None:
    """150 idle connections, and 150 that send their headers byte by byte, for 40 s"""
    connections = [socket.create_connection(("127.0.0.1", i.stack.port)) for _ in range(300)]
    closed = 0
    for second in range(40):
        for connection in connections[150:]:
            try:
                connection.sendall(b"GET / HTTP/1.1\r\nX-Slow: "[second : second + 1] or b"x")
            except OSError:
                closed += 1
        time.sleep(1)
    for connection in connections:
        connection.close()
    i.heal()
    i.notes.append("the server closed slow ones" if closed else "the server closed none")


def slow_bodies(i: Installation) -> None:
    """300 connections that send their bodies byte by byte, for 5 s, without a proxy that buffers bodies"""
    head = f"POST /events HTTP/1.1\r\nHost: localhost\r\nAuthorization: {i.traffic.auth}\r\n"
    head += "Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
    connections = []
    for _ in range(300):
        connection = socket.create_connection(("127.0.0.1", i.stack.port))
        connection.sendall(head.encode())
        connections.append(connection)
    for _ in range(5):
        for connection in connections:
            connection.sendall(b" ")
        time.sleep(1)
    for connection in connections:
        connection.close()
    i.heal()


def two_beats(i: Installation) -> None:
    """A second beat runs for 20 s, and training is scheduled every 4 s"""
    i.stack.run_python(TRAIN_EVERY_FEW_SECONDS)
    command = [sys.executable, "-m", "celery", "-A", "musicrec", "--quiet", "beat"]
    command += ["--schedule", str(i.stack.var / "beat-2"), "--pidfile", "", "--loglevel", "WARNING"]
    second = subprocess.Popen(command, cwd=ROOT, env=i.stack.environment, start_new_session=True)
    time.sleep(20)
    second.terminate()
    second.wait()
    i.heal()
    runs, overlapping = i.stack.run_python(OVERLAPPING_RUNS).split()
    i.notes.append(f"{runs} runs, {overlapping} at the same time as another")


def erasure_against_events(i: Installation) -> None:
    """A listener is erased while events about them arrive"""
    user = i.traffic.senders.pop()
    receipt = i.stack.request(f"/users/{user}", auth=i.traffic.auth, method="DELETE").body["receipt"]
    i.erased = user
    location = f"/erasures/{receipt}"
    started = time.monotonic()
    while i.stack.request(location).body["status"] != "completed" and time.monotonic() - started < RECOVERY_SECONDS:
        time.sleep(0.2)
    seconds = time.monotonic() - started
    time.sleep(2)
    i.heal()
    left = i.stack.run_python(TABLES_WITH_DATA.format(user=user))
    i.notes.append(f"completed after {seconds:.1f} s; tables with data afterwards: {left}")


def twenty_publications(i: Installation) -> None:
    """Two versions are published twenty times"""
    i.stack.manage("train_model", "--force")
    i.stack.run_python(PUBLISH_IN_TURN)
    i.heal()


DISK_DRILLS = (disk_full_while_publishing, disk_full_while_uploading, disk_read_only)
DRILLS: tuple[Drill, ...] = (
    *(valkey_stopped, valkey_silent, postgres_crashed, web_terminated, web_killed),
    *DISK_DRILLS,
    *(model_flipped, slow_headers, slow_bodies, two_beats, erasure_against_events, twenty_publications),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="names of drills, or parts of them, with commas between")
    parser.add_argument("--report", type=Path, default=Path("var/drills.md"))
    options = parser.parse_args()
    rows = ["| fault | requests | failed | slowest | acknowledged | lost | recovered after | told |"]
    rows.append("|---|---|---|---|---|---|---|---|")
    is_bad = False
    for drill in DRILLS:
        if not any(part in drill.__name__ for part in options.only.split(",")):
            continue
        if drill in DISK_DRILLS and os.geteuid() != 0:
            print(f"· {drill.__name__}: skipped, because mounting a file system needs root")
            continue
        row, drill_is_bad = run_drill(drill)
        is_bad |= drill_is_bad
        rows.append(row)
        print(row, flush=True)
    options.report.parent.mkdir(parents=True, exist_ok=True)
    options.report.write_text("\n".join(rows) + "\n")
    print(f"· {options.report}")
    sys.exit(is_bad)


def run_drill(drill: Drill) -> tuple[str, bool]:
    """Return a row of the report, and whether events were lost or the installation did not recover."""
    with run_installation(with_small_disk=drill in DISK_DRILLS) as installation:
        traffic = installation.traffic
        with traffic.running():
            time.sleep(2)
            logged = installation.log.stat().st_size
            drill(installation)
            recovered = traffic.recovery(installation.healed_at)
        alarms = installation.stack.run_python(OPEN_ALARMS)
        stored = set(json.loads(installation.stack.run_python(STORED_EVENTS)))
        with installation.log.open("rb") as log:
            log.seek(logged)
            lines = log.read().decode(errors="replace").splitlines()
    loggers = set(filter(None, map(_logger_of_problem, lines)))
    told = [*installation.notes, f"alarm: {alarms}" if alarms else ""]
    told.append("log: " + ", ".join(sorted(loggers)) if loggers else "")
    lost = sum(e not in stored for e, user in traffic.acknowledged.items() if user != installation.erased)
    failed = ", ".join(f"{n} × {s}" for s, n in sorted(traffic.statuses.items()) if s not in ("200", "202")) or "0"
    time_to_recover = "did not" if recovered is None else f"{recovered:.1f} s"
    cells = [(drill.__doc__ or "").strip(), f"{traffic.statuses.total():,}", failed, f"{traffic.slowest:.1f} s"]
    cells += [f"{len(traffic.acknowledged):,}", str(lost), time_to_recover, "; ".join(filter(None, told))]
    return f"| {' | '.join(cells)} |", lost > 0 or recovered is None


def _logger_of_problem(line: str) -> str:
    """Return the logger of a warning or an error, as the server and the application write them, or ""."""
    words = line.split()
    if line.startswith(("[WARNING]", "[ERROR]")):
        return "granian"
    return words[3] if len(words) > 3 and words[2] in ("WARNING", "ERROR", "CRITICAL") else ""


@contextmanager
def run_installation(*, with_small_disk: bool) -> Iterator[Installation]:
    """Run an installation with a catalogue, a trained version and clients, whose processes log to a file."""
    with ExitStack() as cleanup:
        folder = Path(cleanup.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        postgres, valkey = Postgres(durable=True), SilenceableValkey(port=free_port())
        cleanup.callback(postgres.stop)
        valkey.start()
        cleanup.callback(valkey.stop)
        stack = new_stack(
            folder, DATABASE_URL=postgres.url, REDIS_URL=valkey.url, MUSICREC_GATE_MARGIN="1", **NO_LIMITS
        )
        if with_small_disk:
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", stack.var], check=True)
            cleanup.callback(subprocess.run, ["umount", "--lazy", stack.var], check=False)
        stack.manage("import_plays", str(write_checkerboard_csv(stack.var)), "--format", "csv")
        stack.manage("train_model", "--force")
        users, tracks = json.loads(stack.run_python(IDS))
        auth = f"Api-Key {stack.create_service_key('recommend', 'events', 'listeners')}"
        log = folder / "log"
        with _output_to(log):
            processes = cleanup.enter_context(stack.run_servers(worker=True))
        yield Installation(
            stack, postgres, valkey, processes, Traffic(stack, auth, users[:10], users[10:14], tracks), log
        )


NO_LIMITS = {"MUSICREC_RATE_KEY": "", "MUSICREC_RATE_LISTENER": ""}
IDS = """
import json
from access.models import User
from tracks.models import Track
print(json.dumps([list(rows.objects.order_by("pk").values_list("pk", flat=True)) for rows in (User, Track)]))
"""


@contextmanager
def _output_to(path: Path) -> Iterator[None]:
    """Let the processes that are started in the block write to a file."""
    saved = os.dup(1), os.dup(2)
    with path.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        for number, descriptor in zip((1, 2), saved, strict=True):
            os.dup2(descriptor, number)
            os.close(descriptor)


if __name__ == "__main__":
    main()
