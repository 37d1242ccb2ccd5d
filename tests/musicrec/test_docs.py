"""The documentation agrees with the code, and its links work."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest
from django.apps import apps
from django.core.management import get_commands, load_command_class
from django.core.management.base import BaseCommand, CommandParser
from drf_spectacular.generators import SchemaGenerator

from musicrec.processes import ROOT
from recommendations.api.serializers import AnswerSerializer, ResultSerializer

DOCS = sorted((ROOT / "docs").rglob("*.md"))
PAGES = DOCS + [ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")]
REFERENCE = ROOT / "docs" / "reference"
MUSICREC_APPS = ("webhooks", "access", "tracks", "interactions", "experiments", "recommendations", "privacy")
FENCE = re.compile(r"^```.*?^```[^\n]*$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
COMMAND = re.compile(r"manage\.py ([a-z_]+)((?:\\\n|[^\n`|;&#])*)")
REPOSITORY_PATH = re.compile(r"`([a-z]+/[\w./-]*)`")
BENCHMARK = re.compile(r"-m (benchmarks[\w.]*)")
LOCAL_PATH = re.compile(r"(?<![\w.])/(?:work|root|home|Users)/")
pytestmark = pytest.mark.one_stack
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))


def read_prose(page: Path) -> str:
    """Return the text of a page without its fenced blocks."""
    return FENCE.sub("", page.read_text())


def heading_anchors(page: Path) -> set[str]:
    """Return the anchors of the headings as GitHub derives them; the second of two equal headings ends in -1."""
    anchors: list[str] = []
    for heading in re.findall(r"^#+ (.+)$", read_prose(page), re.MULTILINE):
        slug = re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
        anchors.append(slug if slug not in anchors else f"{slug}-{anchors.count(slug)}")
    return set(anchors)


def find_commands(text: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each `manage.py COMMAND` of a text, with the options that follow it."""
    for name, rest in COMMAND.findall(text):
        yield name, re.findall(r"(?<![\w-])--?[a-z][a-z-]*", rest.split(' -c "')[0])


def command_parser(command: str) -> CommandParser:
    app = get_commands()[command]
    return (load_command_class(app, command) if isinstance(app, str) else app).create_parser("manage.py", command)


def argument_names(parser: CommandParser) -> set[str]:
    """Return the long forms of options, and the names of positional arguments."""
    return {(action.option_strings or [action.dest])[-1] for action in parser._actions}


def command_options(command: str) -> set[str]:
    return set(command_parser(command)._option_string_actions)


def musicrec_commands() -> list[str]:
    return sorted(name for name, app in get_commands().items() if app in MUSICREC_APPS)


def settings_in_code() -> list[tuple[str, str, str]]:
    """Return (name, type, default) of every variable that settings.py reads, in its order.

    Paths are relative to the project; a default that is the value of another variable is `$` and its name.
    """
    names = {"BASE_DIR": PurePosixPath(), "VAR_DIR": PurePosixPath("var"), "REDIS_URL": "$REDIS_URL", "str": str}
    calls = []
    for node in ast.walk(ast.parse((ROOT / "musicrec/settings.py").read_text())):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="env"), attr=reader), args=[ast.Constant(name), *rest]):
                default = [*rest, *(k.value for k in node.keywords if k.arg == "default")][0]
                value = eval(compile(ast.Expression(default), name, "eval"), {}, names)
                calls.append((node.lineno, str(name), reader.removeprefix("db_"), format_default(value)))
    return [(name, reader, default) for _, name, reader, default in sorted(calls)]


def format_default(value: object) -> str:
    """Return a default as it would be set in the environment."""
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(value) if isinstance(value, list) else str(value)


def settings_in_docs() -> list[tuple[str, str, str]]:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.*?) \| .+\|$", (REFERENCE / "settings.md").read_text(), re.MULTILINE)
    return [(name, kind, "" if default == "*(empty)*" else default.strip("`")) for name, kind, default in rows]


def read_sections(page: Path) -> dict[str, str]:
    """Return the text below each heading, by its title."""
    parts = re.split(r"^#+ (.+)$", page.read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_the_settings_page_lists_the_settings_in_the_order_of_settings_py() -> None:
    assert settings_in_docs() == settings_in_code()


def test_every_setting_is_read_in_a_way_that_these_tests_recognize() -> None:
    assert len(settings_in_code()) == len(re.findall(r"\benv\.\w+\(", (ROOT / "musicrec/settings.py").read_text()))


@every_page
def test_every_link_has_a_target(page: Path) -> None:
    for target in LINK.findall(re.sub(r"`[^`\n]*`", "", read_prose(page))):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        linked = page.parent / path if path else page
        assert linked.exists(), f"{target}: no such file"
        assert not anchor or anchor in heading_anchors(linked), f"{target}: no such heading"


@every_page
def test_every_command_exists_and_accepts_its_options(page: Path) -> None:
    for command, options in find_commands(page.read_text()):
        assert command in get_commands(), f"manage.py {command}: no such command"
        unknown = set(options) - command_options(command)
        assert not unknown, f"manage.py {command} does not accept {unknown}"


@every_page
def test_no_page_contains_paths_of_the_machine_it_was_written_on(page: Path) -> None:
    assert not LOCAL_PATH.findall(page.read_text())


@every_page
def test_every_file_that_is_named_exists(page: Path) -> None:
    for path in REPOSITORY_PATH.findall(page.read_text()):
        folder = path.partition("/")[0]
        if folder != "var" and (ROOT / folder).is_dir():
            assert (ROOT / path).exists(), path


@every_page
def test_every_benchmark_exists(page: Path) -> None:
    for module in BENCHMARK.findall(page.read_text()):
        path = ROOT / module.replace(".", "/")
        assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), module


def test_the_index_links_to_every_page() -> None:
    index = ROOT / "docs" / "index.md"
    linked = {(index.parent / target.partition("#")[0]).resolve() for target in LINK.findall(read_prose(index))}
    assert set(DOCS) - {index} <= linked


@pytest.mark.parametrize("command", musicrec_commands())
def test_every_command_is_described_with_all_its_arguments(command: str) -> None:
    described = re.findall(r"^\| `([\w-]+)` \|", read_sections(REFERENCE / "commands.md")[command], re.MULTILINE)
    inherited = argument_names(BaseCommand().create_parser("manage.py", command))
    assert argument_names(command_parser(command)) - inherited <= set(described)


def test_every_endpoint_is_described() -> None:
    described = (REFERENCE / "api.md").read_text()
    for path, methods in SchemaGenerator().get_schema(public=True)["paths"].items():
        for method in methods:
            assert f"`{method.upper()} {path}`" in described


def test_the_table_of_endpoints_has_every_path() -> None:
    table = (REFERENCE / "api.md").read_text().partition("\n## Endpoints\n")[2].partition("\n`{user_id}`")[0]
    abbreviated = re.compile(r"/users/{user_id}/(likes|dislikes|blocks)/")  # as `…/likes`
    paths = [path for path in SchemaGenerator().get_schema(public=True)["paths"] if not abbreviated.match(path)]
    assert [path for path in paths if f" {path}`" not in table and f"`{path}`" not in table] == []


def test_every_field_and_value_of_a_recommendation_is_described() -> None:
    described = set(re.findall(r"`(\w+)`", read_prose(REFERENCE / "api.md")))
    answer, result = AnswerSerializer().fields, ResultSerializer().fields
    assert {*answer, *result} <= described
    for choices in (answer["strategy"].choices, answer["fallback_reason"].choices, result["source"].choices):
        assert set(filter(None, choices)) <= described


@pytest.mark.parametrize("app", MUSICREC_APPS)
def test_every_table_is_described_with_its_constraints(app: str) -> None:
    section = (REFERENCE / "tables.md").read_text()
    for model in apps.get_app_config(app).get_models():
        assert re.search(rf"^###.*\b{model._meta.db_table}\b", section, re.MULTILINE), model._meta.db_table
        for rule in (*model._meta.constraints, *model._meta.indexes):
            assert f"`{rule.name}`" in section
