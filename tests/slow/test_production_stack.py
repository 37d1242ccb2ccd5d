"""The commands of docker-compose.yml, run on this machine in the environment of their services.

Hosts, ports and folders are replaced by those of the test, and there is no proxy.
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
SIZE = 12  # listeners and tracks; each listener has five plays, the fewest that the model is used for
TIMEOUT = 60.0  # seconds; on an idle machine everything takes two or three
SWAP_SECONDS = 5.0  # from the pointer's replacement to the last process
IN_SERVICE = re.compile(r"pid=(\d+) .*model version=(\S+) in service")

SCHEDULE = """
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


def interpolate(value: str) -> str:
    """Replace the variables as Docker Compose does, with DOT_ENV as .env."""

    def substitute(match: re.Match[str]) -> str:
        name, operator, default = match.groups()
        if name is None:
            return "$"
        if operator == "?":
            return DOT_ENV[name]
        return DOT_ENV.get(name, default)

    return re.sub(r"\$(?:\$|\{(\w+):([?-])([^}]*)\})", substitute, value)


@dataclass
class Production:
    """All services of the compose file on one host."""

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
        """Return the variables of the service and of the image; nothing is inherited from the test."""
        replaced = {
            "DATABASE_URL": self.database_url,
            "REDIS_URL": self.redis_url,
            "MUSICREC_MODEL_DIR": str(self.folder / "models"),
            "PROMETHEUS_MULTIPROC_DIR": str(self.folder / "metrics"),
        }
        of_service = {name: interpolate(value) for name, value in COMPOSE[service]["environment"].items()}
        image = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            "HOSTNAME": socket.gethostname(),
            "MUSICREC_VAR_DIR": str(self.folder / "var" / service),
            "PYTHONUNBUFFERED": "1",
        }
        return image | of_service | {name: value for name, value in replaced.items() if name in of_service}

    def localize(self, words: list[str]) -> list[str]:
        replaced = {"0.0.0.0": "127.0.0.1", "8000": str(self.port)}
        return [replaced.get(word, word).replace(":8000/", f":{self.port}/") for word in map(interpolate, words)]

    def start(self, service: str) -> None:
        with self.log(service).open("wb") as log:
            self.processes[service] = subprocess.Popen(
                self.localize(COMPOSE[service]["command"]),
                env=self.environment(service),
                cwd=ROOT,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def run(self, service: str, words: list[str]) -> str:
        """Run a command as `docker compose exec` does and return its output."""
        result = subprocess.run(
            self.localize(words),
            env=self.environment(service),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
        )
        assert result.returncode == 0, f"{' '.join(words)}: {result.stdout}{result.stderr}"
        return result.stdout

    def manage(self, *words: str) -> str:
        return self.run("worker", ["python", "manage.py", *words])

    def shell(self, code: str) -> Any:
        return json.loads(self.manage("shell", "--verbosity", "0", "--command", code).splitlines()[-1])

    def get(self, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
        """Send a GET request over a new connection, so that any web process may answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path, headers={name.replace("_", "-"): text for name, text in headers.items()})
            answer = connection.getresponse()
            return answer.status, {name.lower(): text for name, text in answer.headers.items()}, answer.read()
        finally:
            connection.close()

    def get_as_proxy(self, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
        """Send a GET request as the proxy that terminates HTTPS does."""
        key = f"Api-Key {self.key}"
        return self.get(path, Host=HOST, X_Forwarded_Proto="https", Authorization=key, **headers)

    def wait_until_ready(self) -> dict[int, dict[str, Any]]:
        """Wait until every web process has answered, and return its readiness by process id."""
        answers: dict[int, dict[str, Any]] = {}
        workers = int(interpolate(COMPOSE["web"]["command"][COMPOSE["web"]["command"].index("--workers") + 1]))

        def all_have_answered() -> bool:
            try:
                status, _, body = self.get("/health/ready")
            except OSError:
                return False
            assert status == 200, body
            answer = json.loads(body)
            answers[answer.pop("pid")] = answer
            return len(answers) == workers

        self.wait(all_have_answered, f"{workers} web processes to answer")
        return answers

    def served_versions(self) -> dict[int, str]:
        return {pid: answer["model_version"] for pid, answer in self.wait_until_ready().items()}

    def published_version(self) -> str | None:
        pointer = self.folder / "models" / "current.json"
        return json.loads(pointer.read_bytes())["version"] if pointer.exists() else None

    def published_at(self) -> float:
        return (self.folder / "models" / "current.json").stat().st_mtime

    def worker_versions(self) -> dict[int, list[str]]:
        """Return the versions that each process of the worker has loaded, in order."""
        versions: dict[int, list[str]] = {}
        for pid, version in IN_SERVICE.findall(self.log("worker").read_text()):
            versions.setdefault(int(pid), []).append(version)
        return versions

    def wait(self, condition: Callable[[], Any], what: str, seconds: float = TIMEOUT) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
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
    """Start every service, import plays and train; every web process serves the version that the trainer published."""
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
    host.nightly = host.shell(SCHEDULE)
    for service in SERVERS:
        host.start(service)
    host.manage("import_plays", "--format", "csv", str(write_checkerboard(host.folder / "plays.csv")))
    host.key = host.manage("create_service_key", "test", "--scope", "recommend", "--scope", "metrics").split()[-1]
    host.before_training = host.wait_until_ready()
    host.wait(lambda: "version_here" in host.log("worker").read_text(), "beat's task to reach the worker")
    host.listeners = host.shell(TRAIN)
    host.wait(host.published_version, "the trainer to publish a version")
    host.wait(lambda: set(host.served_versions().values()) == {host.published_version()}, "web to serve it")


def played_at(listener: int, track: int) -> int:
    """Return a time of play, in mixed order: a model can predict the newest plays from older plays of others."""
    return 1_700_000_000 + 60 * ((7 * track + 3 * listener) % SIZE)


def write_checkerboard(file: Path) -> Path:
    """Write plays: even listeners play even tracks, odd ones odd tracks, each except the track of their own number."""
    rows = [
        f"listener-{listener},track-{track},Song {track},Artist {track % 2},{played_at(listener, track)}\n"
        for listener in range(SIZE)
        for track in range(SIZE)
        if listener % 2 == track % 2 and listener != track
    ]
    file.write_text("user_id,track_id,title,artist_name,played_at\n" + "".join(rows))
    return file


@pytest.fixture(autouse=True)
def _print_logs(production: Production) -> Iterator[None]:
    """Print the logs after each test; pytest shows them if the test failed."""
    yield
    production.print_logs()


def test_web_answers_before_there_is_a_model(production: Production) -> None:
    assert (
        list(production.before_training.values())
        == [{"status": "degraded", "problem": "no_model", "model_version": None}] * 2
    )


def test_every_web_process_serves_the_version_that_the_trainer_published(production: Production) -> None:
    version = production.published_version()
    assert version is not None
    answers = production.wait_until_ready()
    assert answers.keys() == production.before_training.keys()  # no process was restarted
    assert list(answers.values()) == [{"status": "ok", "problem": None, "model_version": version}] * 2


def test_a_listener_gets_personal_recommendations(production: Production) -> None:
    """Listener 4 has played every even song except song 4."""
    path = f"/recommend/user/{production.listeners['listener-4']}/ml?limit=3"
    status, _, body = production.get_as_proxy(path)
    answer = json.loads(body)
    assert status == 200
    assert (answer["strategy"], answer["degraded"], answer["fallback_reason"]) == ("personal", False, None)
    assert answer["model_version"] == production.published_version()
    assert answer["results"][0]["title"] == "Song 4"


def test_only_health_checks_are_answered_without_https(production: Production) -> None:
    status, headers, _ = production.get("/recommend/similar/1", Host=HOST)
    assert (status, headers["location"]) == (301, f"https://{HOST}/recommend/similar/1")
    assert production.get("/health/live")[0] == 200
    assert production.get("/health/live", Host="elsewhere.example.org")[0] == 400


def test_the_style_sheets_of_the_admin_are_served(production: Production) -> None:
    """The deployment does not run collectstatic."""
    status, headers, page = production.get_as_proxy("/admin/login/")
    assert status == 200
    assert headers["strict-transport-security"].startswith("max-age=31536000")
    assert "Secure" in headers["set-cookie"]
    styles = re.findall(r'href="(/static/[^"]+\.css)"', page.decode())
    assert styles
    assert [production.get_as_proxy(path)[0] for path in styles] == [200] * len(styles)


def test_metrics_add_up_all_web_processes(production: Production) -> None:
    status, _, body = production.get_as_proxy("/metrics")
    assert status == 200
    metrics = dict(re.findall(rb"^(musicrec_\w+) (\S+)$", body, re.M))
    assert float(metrics[b"musicrec_model_loads_total"]) >= 2


def test_the_nightly_training_starts_at_three(production: Production) -> None:
    every_day = {"day_of_week": "*", "day_of_month": "*", "month_of_year": "*"}
    assert production.nightly == {
        "task": "recommendations.train_model",
        "enabled": True,
        "crontab": {"minute": "0", "hour": "3", "timezone": "UTC"} | every_day,
    }


def test_beat_sends_the_tasks_scheduled_in_the_database(production: Production) -> None:
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


def test_every_process_swaps_to_a_new_version_within_seconds(production: Production) -> None:
    before = production.served_versions()
    (first,) = set(before.values())
    production.manage("train_model", "--force")
    second = production.published_version()
    assert second != first
    remaining = production.published_at() + SWAP_SECONDS - time.time()
    production.wait(lambda: set(production.served_versions().values()) == {second}, "web to swap", remaining)
    assert production.served_versions().keys() == before.keys()
    production.wait(
        lambda: list(production.worker_versions().values()) == [[first, second]], "the worker's pool to swap", remaining
    )


def test_every_service_stops_on_sigterm(production: Production) -> None:
    """Stop idle services as `docker compose stop` does."""
    for process in production.processes.values():
        process.terminate()
    assert {name: process.wait(10) for name, process in production.processes.items()} == dict.fromkeys(SERVERS, 0)
