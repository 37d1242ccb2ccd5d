"""What docker-compose.yml starts, started here: its commands in its environment.

Hosts, ports and folders are the test's own, and there is no proxy in front.
"""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from musicrec.processes import ROOT
from tests.postgres import create_database, free_port

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        os.environ.get("MUSICREC_TEST_STACK") != "production",
        reason="needs PostgreSQL and Valkey (--stack production)",
    ),
]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
HOST = "music.example.org"
DOT_ENV = {"SECRET_KEY": uuid.uuid4().hex + uuid.uuid4().hex, "POSTGRES_PASSWORD": "unused", "ALLOWED_HOSTS": HOST}
SERVERS = ("web", "worker", "trainer", "beat")
SIZE = 12  # listeners and tracks; each listener has five plays, which is as few as the model is used for
PATIENCE = 60.0  # seconds; for what takes two or three on an idle machine
SWAP_SECONDS = 5.0  # from the pointer's replacement to the last process
IN_SERVICE = re.compile(r"pid=(\d+) .*model version=(\S+) in service")

LOOK = """
import json
from django.core.management import call_command
from django_celery_beat.models import IntervalSchedule, PeriodicTask
call_command("check", deploy=True, fail_level="WARNING")
nightly = PeriodicTask.objects.get(name="Nightly training")
times = {name: str(getattr(nightly.crontab, name)) for name in
         ("minute", "hour", "day_of_week", "day_of_month", "month_of_year", "timezone")}
print(json.dumps({"task": nightly.task, "enabled": nightly.enabled, "crontab": times}))
second, _ = IntervalSchedule.objects.get_or_create(every=1, period="seconds")
PeriodicTask.objects.create(name="Once", task="recommendations.version_here", interval=second, one_off=True)
"""
TRAIN = """
import json
from access.models import User
from recommendations.tasks import train_model
train_model.delay("test")
print(json.dumps({u.external_id: u.pk for u in User.objects.all()}))
"""


def resolved(value: str) -> str:
    """As Docker Compose reads it, with DOT_ENV as .env."""

    def put_in(found: re.Match[str]) -> str:
        name, how, what = found.groups()
        if name is None:
            return "$"
        if how == "?":
            return DOT_ENV[name]
        return DOT_ENV.get(name, what)

    return re.sub(r"\$(?:\$|\{(\w+):([?-])([^}]*)\})", put_in, value)


@dataclass
class Production:
    """One host with everything on it."""

    folder: Path
    database_url: str
    redis_url: str
    port: int = field(default_factory=free_port)
    processes: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)
    nightly: dict[str, Any] = field(default_factory=dict)
    before_training: dict[int, Any] = field(default_factory=dict)
    listeners: dict[str, int] = field(default_factory=dict)
    key: str = ""

    def environment(self, service: str) -> dict[str, str]:
        """The service's own and the image's, nothing inherited."""
        here = {
            "DATABASE_URL": self.database_url,
            "REDIS_URL": self.redis_url,
            "MUSICREC_MODEL_DIR": str(self.folder / "models"),
            "PROMETHEUS_MULTIPROC_DIR": str(self.folder / "metrics"),
        }
        given = {name: resolved(value) for name, value in COMPOSE[service]["environment"].items()}
        image = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            "HOSTNAME": socket.gethostname(),
            "MUSICREC_VAR_DIR": str(self.folder / "var" / service),
            "PYTHONUNBUFFERED": "1",
        }
        return image | given | {name: value for name, value in here.items() if name in given}

    def here(self, words: list[str]) -> list[str]:
        own = {"0.0.0.0": "127.0.0.1", "8000": str(self.port)}
        return [own.get(word, word).replace(":8000/", f":{self.port}/") for word in map(resolved, words)]

    def start(self, service: str) -> None:
        with self.log(service).open("wb") as log:
            self.processes[service] = subprocess.Popen(
                self.here(COMPOSE[service]["command"]),
                env=self.environment(service),
                cwd=ROOT,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def run(self, service: str, words: list[str]) -> str:
        """What `docker compose exec` would do; its output."""
        done = subprocess.run(
            self.here(words),
            env=self.environment(service),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert done.returncode == 0, f"{' '.join(words)}: {done.stdout}{done.stderr}"
        return done.stdout

    def manage(self, *words: str) -> str:
        return self.run("worker", ["python", "manage.py", *words])

    def shell(self, code: str) -> Any:
        return json.loads(self.manage("shell", "--verbosity", "0", "--command", code).splitlines()[-1])

    def get(self, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
        """Over a connection of its own, so that any web process may answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path, headers={name.replace("_", "-"): text for name, text in headers.items()})
            answer = connection.getresponse()
            return answer.status, {name.lower(): text for name, text in answer.headers.items()}, answer.read()
        finally:
            connection.close()

    def get_as_proxy(self, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
        """As it arrives from the proxy that ends HTTPS."""
        key = f"Api-Key {self.key}"
        return self.get(path, Host=HOST, X_Forwarded_Proto="https", Authorization=key, **headers)

    def ready(self) -> dict[int, dict[str, Any]]:
        """What each web process says of itself, once all have been heard."""
        heard: dict[int, dict[str, Any]] = {}
        workers = int(resolved(COMPOSE["web"]["command"][COMPOSE["web"]["command"].index("--workers") + 1]))

        def all_heard() -> bool:
            try:
                status, _, body = self.get("/health/ready")
            except OSError:
                return False
            assert status == 200, body
            answer = json.loads(body)
            heard[answer.pop("pid")] = answer
            return len(heard) == workers

        self.wait(all_heard, f"{workers} web processes to answer")
        return heard

    def versions(self) -> dict[int, str]:
        return {pid: answer["model_version"] for pid, answer in self.ready().items()}

    def published(self) -> str | None:
        pointer = self.folder / "models" / "current.json"
        return json.loads(pointer.read_bytes())["version"] if pointer.exists() else None

    def published_at(self) -> float:
        return (self.folder / "models" / "current.json").stat().st_mtime

    def pools_versions(self) -> dict[int, list[str]]:
        """The versions that the worker's processes have taken into service, in order."""
        taken: dict[int, list[str]] = {}
        for pid, version in IN_SERVICE.findall(self.log("worker").read_text()):
            taken.setdefault(int(pid), []).append(version)
        return taken

    def wait(self, holds: Callable[[], Any], what: str, seconds: float = PATIENCE) -> None:
        deadline = time.monotonic() + seconds
        while not holds():
            for service, process in self.processes.items():
                assert process.poll() is None, f"{service} ended with {process.returncode}"
            assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
            time.sleep(0.05)

    def log(self, service: str) -> Path:
        return self.folder / f"{service}.log"

    def print_logs(self) -> None:
        for service in SERVERS:
            if self.log(service).exists():
                print(f"--- {service}\n{self.log(service).read_text()[-6000:]}")

    def kill(self) -> None:
        for process in self.processes.values():
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            process.wait(10)


@pytest.fixture(scope="module")
def production(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Production]:
    """Migrated, started, filled, trained by the worker; every web process has the version."""
    host = Production(
        folder=tmp_path_factory.mktemp("production"),
        database_url=create_database(os.environ["DATABASE_URL"], f"production_{uuid.uuid4().hex[:12]}"),
        redis_url=f"{os.environ['REDIS_URL'].rsplit('/', 1)[0]}/15",
    )
    (host.folder / "metrics").mkdir()
    try:
        set_up(host)
        yield host
    except BaseException:
        host.print_logs()
        raise
    finally:
        host.kill()


def set_up(host: Production) -> None:
    host.run("migrate", COMPOSE["migrate"]["command"])
    host.nightly = host.shell(LOOK)
    for service in SERVERS:
        host.start(service)
    host.manage("import_plays", "--format", "csv", str(checkerboard(host.folder / "plays.csv")))
    host.key = host.manage("create_service_key", "test", "--scope", "recommend", "--scope", "metrics").split()[-1]
    host.before_training = host.ready()
    host.wait(lambda: "version_here" in host.log("worker").read_text(), "beat's task to reach the worker")
    host.listeners = host.shell(TRAIN)
    host.wait(host.published, "the trainer to publish a version")
    host.wait(lambda: set(host.versions().values()) == {host.published()}, "web to serve it")


def played_at(listener: int, track: int) -> int:
    """Mixed, so that the newest plays are of tracks that others played before, and a model can foresee them."""
    return 1_700_000_000 + 60 * ((7 * track + 3 * listener) % SIZE)


def checkerboard(file: Path) -> Path:
    """Even listeners play even tracks, odd ones odd tracks, all but the one of their own number."""
    rows = [
        f"listener-{listener},track-{track},Song {track},Artist {track % 2},{played_at(listener, track)}\n"
        for listener in range(SIZE)
        for track in range(SIZE)
        if listener % 2 == track % 2 and listener != track
    ]
    file.write_text("user_id,track_id,title,artist_name,played_at\n" + "".join(rows))
    return file


@pytest.fixture(autouse=True)
def _logs_beside_a_failure(production: Production) -> Iterator[None]:
    """pytest shows what is printed here where the test has failed."""
    yield
    production.print_logs()


def test_web_is_ready_before_there_is_a_model(production: Production) -> None:
    assert (
        list(production.before_training.values())
        == [{"status": "degraded", "problem": "no_model", "model_version": None}] * 2
    )


def test_the_worker_trains_and_every_web_process_serves_the_version(production: Production) -> None:
    version = production.published()
    assert version is not None
    answers = production.ready()
    assert answers.keys() == production.before_training.keys()  # the same processes: nobody was restarted
    assert list(answers.values()) == [{"status": "ok", "problem": None, "model_version": version}] * 2


def test_a_listener_is_answered_by_the_model(production: Production) -> None:
    """Listener 4 has heard every even song but the fourth."""
    path = f"/recommend/user/{production.listeners['listener-4']}/ml?limit=3"
    status, _, body = production.get_as_proxy(path)
    answer = json.loads(body)
    assert status == 200
    assert (answer["strategy"], answer["degraded"], answer["fallback_reason"]) == ("personal", False, None)
    assert answer["model_version"] == production.published()
    assert answer["results"][0]["title"] == "Song 4"


def test_only_probes_may_come_without_https(production: Production) -> None:
    status, headers, _ = production.get("/recommend/similar/1", Host=HOST)
    assert (status, headers["location"]) == (301, f"https://{HOST}/recommend/similar/1")
    assert production.get("/health/live")[0] == 200
    assert production.get("/health/live", Host="elsewhere.example.org")[0] == 400


def test_pages_bring_their_styles(production: Production) -> None:
    """Nobody has to collect static files."""
    status, headers, page = production.get_as_proxy("/admin/login/")
    assert status == 200
    assert headers["strict-transport-security"].startswith("max-age=31536000")
    assert "Secure" in headers["set-cookie"]
    styles = re.findall(r'href="(/static/[^"]+\.css)"', page.decode())
    assert styles
    assert [production.get_as_proxy(path)[0] for path in styles] == [200] * len(styles)


def test_metrics_are_those_of_all_web_processes(production: Production) -> None:
    status, _, body = production.get_as_proxy("/metrics")
    assert status == 200
    numbers = dict(re.findall(rb"^(musicrec_\w+) (\S+)$", body, re.M))
    assert float(numbers[b"musicrec_model_loads_total"]) >= 2


def test_the_nightly_training_is_at_three(production: Production) -> None:
    every_day = {"day_of_week": "*", "day_of_month": "*", "month_of_year": "*"}
    assert production.nightly == {
        "task": "recommendations.train_model",
        "enabled": True,
        "crontab": {"minute": "0", "hour": "3", "timezone": "UTC"} | every_day,
    }


def test_beat_sends_what_is_in_the_database(production: Production) -> None:
    assert "Sending due task Once (recommendations.version_here)" in production.log("beat").read_text()


def test_the_health_checks_pass(production: Production) -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    web = re.search(r"^HEALTHCHECK .*\\\n\s+CMD (\[.*\])$", dockerfile, re.M)
    assert web
    production.run("web", json.loads(web[1]))
    for service in ("worker", "trainer", "beat"):
        kind, command = COMPOSE[service]["healthcheck"]["test"]
        assert kind == "CMD-SHELL"
        assert "pong" in production.run(service, ["sh", "-c", command])


def test_another_version_takes_over_in_every_process_within_seconds(production: Production) -> None:
    before = production.versions()
    (first,) = set(before.values())
    production.manage("train_model", "--force")
    second = production.published()
    assert second != first
    left = production.published_at() + SWAP_SECONDS - time.time()
    production.wait(lambda: set(production.versions().values()) == {second}, "web to swap", left)
    assert production.versions().keys() == before.keys()
    production.wait(
        lambda: list(production.pools_versions().values()) == [[first, second]], "the worker's pool to swap", left
    )


def test_everything_stops_when_told_to(production: Production) -> None:
    """`docker compose stop`, with nothing to do."""
    for process in production.processes.values():
        process.terminate()
    assert {name: process.wait(10) for name, process in production.processes.items()} == dict.fromkeys(SERVERS, 0)
