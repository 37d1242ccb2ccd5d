"""The compose file, the Dockerfile and .env.example, as far as they can be checked without a container engine.

tests/slow/test_production_stack.py runs the same commands with the same environment.
"""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings

from musicrec.processes import ROOT, worker_command
from musicrec.server import OPTIONS

pytestmark = pytest.mark.one_stack
THIRD_PARTY_VARIABLES = {
    "POSTGRES_DB": "the image of PostgreSQL",
    "POSTGRES_USER": "the image of PostgreSQL",
    "POSTGRES_PASSWORD": "the image of PostgreSQL",
    "GRANIAN_WORKERS": "granian --help",
    "OPENBLAS_NUM_THREADS": "OpenBLAS",
    "PROMETHEUS_MULTIPROC_DIR": "prometheus-client, multiprocess mode",
    "HOSTNAME": "set by the container engine",
    "REDIS_MEMORY": "the command of the service redis",
    "GF_ANALYTICS_REPORTING_ENABLED": "the image of Grafana",
    "GF_ANALYTICS_CHECK_FOR_UPDATES": "the image of Grafana",
}
OUR_SERVICES = {"migrate", "web", "worker", "trainer", "beat"}
COMPOSE_TEXT = (ROOT / "docker-compose.yml").read_text()
SERVICES: dict[str, Any] = yaml.safe_load(COMPOSE_TEXT)["services"]
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def path_of_program(program: str) -> str:
    return str(Path(sys.executable).with_name(program))


def settings_variables() -> set[str]:
    return set(re.findall(r"\benv\.\w+\(\s*\"(\w+)\"", (ROOT / "musicrec/settings.py").read_text()))


def example_variables() -> set[str]:
    return set(re.findall(r"^(?:# )?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.M))


def compose_variables() -> set[str]:
    """Return the variables that docker-compose.yml takes from .env; `$$` is a dollar sign for the container's shell."""
    return set(re.findall(r"(?<!\$)\$\{?(\w+)", COMPOSE_TEXT))


def substitute_defaults(command: list[str]) -> list[str]:
    return [re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", word) for word in command]


def last_instruction(instruction: str) -> list[str]:
    """Return the arguments of the last such Dockerfile instruction in exec form."""
    matches = re.findall(rf"^\s*{instruction} (\[.*?\])$", DOCKERFILE.replace("\\\n", " "), re.M)
    return json.loads(matches[-1])


def test_the_compose_file_is_valid() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    result = subprocess.run([*command, "docker-compose.yml"], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_dockerfile_is_valid() -> None:
    result = subprocess.run([path_of_program("hadolint"), "Dockerfile"], cwd=ROOT, capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (0, ""), result.stderr


def test_every_variable_is_read_by_a_service() -> None:
    set_in_containers = {name for service in SERVICES.values() for name in service.get("environment", {})}
    names = compose_variables() | example_variables() | set_in_containers
    assert names - settings_variables() - THIRD_PARTY_VARIABLES.keys() == set()


def test_the_image_sets_only_our_variables_and_those_of_python() -> None:
    names = set(re.findall(r"^(?:ENV)?\s+([A-Z_]+)=", DOCKERFILE, re.M))
    assert "MUSICREC_VAR_DIR" in names
    assert {name for name in names if not name.startswith("PYTHON")} <= settings_variables()


def test_the_example_lists_every_variable_of_the_compose_file() -> None:
    assert compose_variables() <= example_variables()


def test_secrets_have_no_default() -> None:
    without_default = set(re.findall(r"\$\{(\w+):\?[^}]{20,}\}", COMPOSE_TEXT))
    assert without_default == {"SECRET_KEY", "POSTGRES_PASSWORD", "ALLOWED_HOSTS"}
    example = (ROOT / ".env.example").read_text()
    for name in without_default:
        assert re.search(rf"^{name}=$", example, re.M), name


def test_every_variable_of_the_example_has_a_comment() -> None:
    for paragraph in (ROOT / ".env.example").read_text().strip().split("\n\n")[1:]:
        *comment, assignment = paragraph.split("\n")
        assert comment, paragraph
        assert all(line.startswith("#") for line in comment), paragraph
        assert re.match(r"(# )?[A-Z_]+=", assignment), paragraph


def test_secrets_and_data_are_not_copied_into_the_image() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert {".*", "var", "*.sqlite3*"} <= set(ignored)
    assert not [line for line in ignored if line.startswith("!")]


def test_web_has_several_workers_and_respawns_failed_ones() -> None:
    command = substitute_defaults(SERVICES["web"]["command"])
    assert int(command[command.index("--workers") + 1]) > 1
    assert "--respawn-failed-workers" in OPTIONS


def test_the_default_command_of_the_image_is_that_of_web() -> None:
    assert last_instruction("CMD") == substitute_defaults(SERVICES["web"]["command"])


def test_the_image_runs_as_an_unprivileged_user() -> None:
    assert re.findall(r"^USER (.+)$", DOCKERFILE, re.M) == ["10001"]


def test_our_services_share_one_image_and_one_environment() -> None:
    shared = SERVICES["migrate"]["environment"]
    for name in OUR_SERVICES:
        service = SERVICES[name]
        assert service["image"] == SERVICES["web"]["image"]
        assert shared.items() <= service["environment"].items(), name
    assert SERVICES["worker"]["environment"] == SERVICES["beat"]["environment"] == shared
    assert SERVICES["trainer"]["environment"] == shared


@pytest.mark.parametrize("name", sorted(OUR_SERVICES))
def test_commands_are_lists_of_arguments(name: str) -> None:
    """A string would be run by a shell, which does not pass on the stop signal."""
    assert isinstance(SERVICES[name]["command"], list)
    assert all(isinstance(word, str) for word in SERVICES[name]["command"])
    assert SERVICES[name]["command"][0] in ("python", "celery")


@pytest.mark.parametrize("name", sorted(OUR_SERVICES - {"migrate"}))
def test_services_start_after_the_database_is_migrated(name: str) -> None:
    assert SERVICES[name]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
    assert SERVICES["migrate"]["restart"] == "no"
    assert SERVICES["migrate"]["depends_on"]["db"] == {"condition": "service_healthy"}


def test_web_worker_and_trainer_share_the_models() -> None:
    folder = SERVICES["web"]["environment"]["MUSICREC_MODEL_DIR"]
    assert f"models:{folder}" in SERVICES["web"]["volumes"]
    assert f"models:{folder}" in SERVICES["worker"]["volumes"]
    assert f"models:{folder}" in SERVICES["trainer"]["volumes"]


def test_every_queue_has_a_worker() -> None:
    command = {name: SERVICES[name]["command"] for name in ("worker", "trainer")}
    queues = {name: words[words.index("--queues") + 1] for name, words in command.items()}
    assert queues == {"worker": "celery", "trainer": "training"}
    assert {route["queue"] for route in settings.CELERY_TASK_ROUTES.values()} == {"training"}
    assert "--queues=celery,training" in " ".join(worker_command(Path("x"))).replace("--queues ", "--queues=")


def test_only_the_beat_service_schedules_tasks() -> None:
    assert "beat" in SERVICES["beat"]["command"]
    assert not {"--beat", "-B"} & set(SERVICES["worker"]["command"])


def test_ports_are_published_on_this_host_only() -> None:
    """The web server trusts X-Forwarded-Proto of every client that can connect to it."""
    assert SERVICES["web"]["ports"] == ["127.0.0.1:8000:8000"]
    published = {name for name, service in SERVICES.items() if "ports" in service}
    assert published == {"web", "prometheus", "grafana"}
    assert all(port.startswith("127.0.0.1:") for name in published for port in SERVICES[name]["ports"])


def test_monitoring_is_started_only_with_its_profile() -> None:
    with_profile = {name for name, service in SERVICES.items() if service.get("profiles") == ["monitoring"]}
    assert with_profile == {"prometheus", "grafana"} == {name for name, s in SERVICES.items() if "profiles" in s}


def test_web_accepts_the_scrapes_of_prometheus() -> None:
    """A request needs a `Host` that ALLOWED_HOSTS contains, and either HTTPS or the header that claims it."""
    (job,) = yaml.safe_load((ROOT / "monitoring/prometheus.yml").read_text())["scrape_configs"]
    (target,) = job["static_configs"][0]["targets"]
    host, port = target.split(":")
    assert host in SERVICES["web"]["environment"]["ALLOWED_HOSTS"].split(",")
    assert SERVICES["web"]["ports"][0].endswith(f":{port}")
    assert job["http_headers"]["X-Forwarded-Proto"] == {"values": ["https"]}
    assert Path(job["authorization"]["credentials_file"]).name in SERVICES["prometheus"]["secrets"]


def test_mounted_files_exist() -> None:
    mounted = [v for s in SERVICES.values() for v in s.get("volumes", []) if v.startswith("./")]
    assert len(mounted) == 4
    assert all((ROOT / volume.split(":")[0]).exists() for volume in mounted)
