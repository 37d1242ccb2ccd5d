"""What is shipped for production, as far as it can be examined without a container engine.

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
THIRD_PARTY = {
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
OURS = {"migrate", "web", "worker", "trainer", "beat"}
COMPOSE_TEXT = (ROOT / "docker-compose.yml").read_text()
SERVICES: dict[str, Any] = yaml.safe_load(COMPOSE_TEXT)["services"]
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def beside_python(program: str) -> str:
    return str(Path(sys.executable).with_name(program))


def variables_of_settings() -> set[str]:
    return set(re.findall(r"\benv\.\w+\(\s*\"(\w+)\"", (ROOT / "musicrec/settings.py").read_text()))


def variables_of_example() -> set[str]:
    return set(re.findall(r"^(?:# )?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.M))


def variables_asked_for() -> set[str]:
    """Those that docker-compose.yml takes from .env; `$$` is a dollar for the container's own shell."""
    return set(re.findall(r"(?<!\$)\$\{?(\w+)", COMPOSE_TEXT))


def with_defaults(command: list[str]) -> list[str]:
    return [re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", word) for word in command]


def last_of(instruction: str) -> list[str]:
    """The words of a Dockerfile instruction in exec form."""
    found = re.findall(rf"^\s*{instruction} (\[.*?\])$", DOCKERFILE.replace("\\\n", " "), re.M)
    return json.loads(found[-1])


def test_the_compose_file_is_valid() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    checked = subprocess.run([*command, "docker-compose.yml"], cwd=ROOT, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_dockerfile_is_valid() -> None:
    checked = subprocess.run([beside_python("hadolint"), "Dockerfile"], cwd=ROOT, capture_output=True, text=True)
    assert (checked.returncode, checked.stdout) == (0, ""), checked.stderr


def test_every_variable_means_something_to_somebody() -> None:
    set_in_containers = {name for service in SERVICES.values() for name in service.get("environment", {})}
    named = variables_asked_for() | variables_of_example() | set_in_containers
    assert named - variables_of_settings() - THIRD_PARTY.keys() == set()


def test_the_image_sets_only_variables_of_ours_or_pythons() -> None:
    named = set(re.findall(r"^(?:ENV)?\s+([A-Z_]+)=", DOCKERFILE, re.M))
    assert "MUSICREC_VAR_DIR" in named
    assert {name for name in named if not name.startswith("PYTHON")} <= variables_of_settings()


def test_the_example_names_every_variable_asked_for() -> None:
    assert variables_asked_for() <= variables_of_example()


def test_a_secret_has_no_default() -> None:
    without_default = set(re.findall(r"\$\{(\w+):\?[^}]{20,}\}", COMPOSE_TEXT))
    assert without_default == {"SECRET_KEY", "POSTGRES_PASSWORD", "ALLOWED_HOSTS"}
    example = (ROOT / ".env.example").read_text()
    for name in without_default:
        assert re.search(rf"^{name}=$", example, re.M), name


def test_every_variable_of_the_example_is_explained() -> None:
    for paragraph in (ROOT / ".env.example").read_text().strip().split("\n\n")[1:]:
        *comment, assignment = paragraph.split("\n")
        assert comment, paragraph
        assert all(line.startswith("#") for line in comment), paragraph
        assert re.match(r"(# )?[A-Z_]+=", assignment), paragraph


def test_secrets_and_data_stay_out_of_the_image() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert {".*", "var", "*.sqlite3*"} <= set(ignored)
    assert not [line for line in ignored if line.startswith("!")]


def test_web_is_more_than_one_process() -> None:
    command = with_defaults(SERVICES["web"]["command"])
    assert int(command[command.index("--workers") + 1]) > 1
    assert "--respawn-failed-workers" in OPTIONS


def test_the_image_by_itself_is_web() -> None:
    assert last_of("CMD") == with_defaults(SERVICES["web"]["command"])


def test_the_image_runs_as_somebody_without_rights() -> None:
    assert re.findall(r"^USER (.+)$", DOCKERFILE, re.M) == ["10001"]


def test_ours_are_one_image_in_one_environment() -> None:
    shared = SERVICES["migrate"]["environment"]
    for name in OURS:
        service = SERVICES[name]
        assert service["image"] == SERVICES["web"]["image"]
        assert shared.items() <= service["environment"].items(), name
    assert SERVICES["worker"]["environment"] == SERVICES["beat"]["environment"] == shared
    assert SERVICES["trainer"]["environment"] == shared


@pytest.mark.parametrize("name", sorted(OURS))
def test_commands_are_lists_of_words(name: str) -> None:
    """A shell in between would not pass on the signal to stop."""
    assert isinstance(SERVICES[name]["command"], list)
    assert all(isinstance(word, str) for word in SERVICES[name]["command"])
    assert SERVICES[name]["command"][0] in ("python", "celery")


@pytest.mark.parametrize("name", sorted(OURS - {"migrate"}))
def test_nobody_starts_before_the_database_is_migrated(name: str) -> None:
    assert SERVICES[name]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
    assert SERVICES["migrate"]["restart"] == "no"
    assert SERVICES["migrate"]["depends_on"]["db"] == {"condition": "service_healthy"}


def test_web_and_worker_share_the_models() -> None:
    folder = SERVICES["web"]["environment"]["MUSICREC_MODEL_DIR"]
    assert f"models:{folder}" in SERVICES["web"]["volumes"]
    assert f"models:{folder}" in SERVICES["worker"]["volumes"]
    assert f"models:{folder}" in SERVICES["trainer"]["volumes"]


def test_every_queue_is_somebodys() -> None:
    command = {name: SERVICES[name]["command"] for name in ("worker", "trainer")}
    queues = {name: words[words.index("--queues") + 1] for name, words in command.items()}
    assert queues == {"worker": "celery", "trainer": "training"}
    assert {route["queue"] for route in settings.CELERY_TASK_ROUTES.values()} == {"training"}
    assert "--queues=celery,training" in " ".join(worker_command(Path("x"))).replace("--queues ", "--queues=")


def test_there_is_one_clock_and_it_is_not_in_the_worker() -> None:
    assert "beat" in SERVICES["beat"]["command"]
    assert not {"--beat", "-B"} & set(SERVICES["worker"]["command"])


def test_only_this_host_reaches_web_directly() -> None:
    """Whoever reaches it can say X-Forwarded-Proto, which is believed."""
    assert SERVICES["web"]["ports"] == ["127.0.0.1:8000:8000"]
    published = {name for name, service in SERVICES.items() if "ports" in service}
    assert published == {"web", "prometheus", "grafana"}
    assert all(port.startswith("127.0.0.1:") for name in published for port in SERVICES[name]["ports"])


def test_monitoring_is_started_only_when_asked_for() -> None:
    asked_for = {name for name, service in SERVICES.items() if service.get("profiles") == ["monitoring"]}
    assert asked_for == {"prometheus", "grafana"} == {name for name, s in SERVICES.items() if "profiles" in s}


def test_prometheus_may_ask_web_by_its_name() -> None:
    """Of whom a `Host` that ALLOWED_HOSTS names is wanted; and HTTPS, or a header that says so."""
    (job,) = yaml.safe_load((ROOT / "monitoring/prometheus.yml").read_text())["scrape_configs"]
    (target,) = job["static_configs"][0]["targets"]
    host, port = target.split(":")
    assert host in SERVICES["web"]["environment"]["ALLOWED_HOSTS"].split(",")
    assert SERVICES["web"]["ports"][0].endswith(f":{port}")
    assert job["http_headers"]["X-Forwarded-Proto"] == {"values": ["https"]}
    assert Path(job["authorization"]["credentials_file"]).name in SERVICES["prometheus"]["secrets"]


def test_what_containers_mount_is_here() -> None:
    mounted = [v for s in SERVICES.values() for v in s.get("volumes", []) if v.startswith("./")]
    assert len(mounted) == 4
    assert all((ROOT / volume.split(":")[0]).exists() for volume in mounted)
