"""What the documentation says is so."""

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
OUR_APPS = ("access", "tracks", "interactions", "recommendations", "privacy")
FENCE = re.compile(r"^```.*?^```[^\n]*$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
COMMAND = re.compile(r"manage\.py ([a-z_]+)((?:\\\n|[^\n`|;&#])*)")
MACHINE = re.compile(r"(?<![\w.])/(?:work|root|home|Users)/")
pytestmark = pytest.mark.one_stack
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))


def prose(page: Path) -> str:
    """A page without its blocks of code."""
    return FENCE.sub("", page.read_text())


def anchors(page: Path) -> set[str]:
    """Of its headings, as GitHub makes them; of equal ones the second ends in -1."""
    found: list[str] = []
    for heading in re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE):
        slug = re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
        found.append(slug if slug not in found else f"{slug}-{found.count(slug)}")
    return set(found)


def commands_of(text: str) -> Iterator[tuple[str, list[str]]]:
    """Each `manage.py COMMAND` of a text, with the options that stand behind it."""
    for name, rest in COMMAND.findall(text):
        yield name, re.findall(r"(?<![\w-])--?[a-z][a-z-]*", rest.split(' -c "')[0])


def parser_of(command: str) -> CommandParser:
    app = get_commands()[command]
    return (load_command_class(app, command) if isinstance(app, str) else app).create_parser("manage.py", command)


def arguments(parser: CommandParser) -> set[str]:
    """Options by their long form, the others by name."""
    return {(action.option_strings or [action.dest])[-1] for action in parser._actions}


def options_of(command: str) -> set[str]:
    return set(parser_of(command)._option_string_actions)


def our_commands() -> list[str]:
    return sorted(name for name, app in get_commands().items() if app in OUR_APPS)


def settings_read() -> list[tuple[str, str, str]]:
    """(name, type, default) of every variable that settings.py reads, in its order.

    Paths are evaluated as if the project stood in the current folder; a default that is another setting is its name.
    """
    known = {"BASE_DIR": PurePosixPath(), "VAR_DIR": PurePosixPath("var"), "REDIS_URL": "$REDIS_URL", "str": str}
    calls = []
    for node in ast.walk(ast.parse((ROOT / "musicrec/settings.py").read_text())):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="env"), attr=reader), args=[ast.Constant(name), *rest]):
                default = [*rest, *(k.value for k in node.keywords if k.arg == "default")][0]
                value = eval(compile(ast.Expression(default), name, "eval"), {}, known)
                calls.append((node.lineno, str(name), reader.removeprefix("db_"), as_written(value)))
    return [(name, reader, default) for _, name, reader, default in sorted(calls)]


def as_written(value: object) -> str:
    """A default as the environment would state it."""
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(value) if isinstance(value, list) else str(value)


def settings_documented() -> list[tuple[str, str, str]]:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.*?) \| .+\|$", (REFERENCE / "settings.md").read_text(), re.MULTILINE)
    return [(name, kind, "" if default == "*(empty)*" else default.strip("`")) for name, kind, default in rows]


def sections(page: Path) -> dict[str, str]:
    """The text below each heading, the level left out."""
    parts = re.split(r"^#+ (.+)$", page.read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_the_table_of_settings_is_settings_py_in_its_order() -> None:
    assert settings_documented() == settings_read()


def test_no_setting_is_read_in_a_way_this_test_does_not_see() -> None:
    assert len(settings_read()) == len(re.findall(r"\benv\.\w+\(", (ROOT / "musicrec/settings.py").read_text()))


@every_page
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in LINK.findall(re.sub(r"`[^`\n]*`", "", prose(page))):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        linked = page.parent / path if path else page
        assert linked.exists(), f"{target}: there is no such file"
        assert not anchor or anchor in anchors(linked), f"{target}: there is no such heading"


@every_page
def test_every_command_exists_and_accepts_its_options(page: Path) -> None:
    for command, options in commands_of(page.read_text()):
        assert command in get_commands(), f"manage.py {command}: there is no such command"
        unknown = set(options) - options_of(command)
        assert not unknown, f"manage.py {command} does not accept {unknown}"


@every_page
def test_no_page_knows_the_machine_it_was_written_on(page: Path) -> None:
    assert not MACHINE.findall(page.read_text())


def test_every_page_of_docs_is_reached_from_the_index() -> None:
    index = ROOT / "docs" / "index.md"
    linked = {(index.parent / target.partition("#")[0]).resolve() for target in LINK.findall(prose(index))}
    assert set(DOCS) - {index} <= linked


@pytest.mark.parametrize("command", our_commands())
def test_every_command_of_ours_is_described_with_all_its_arguments(command: str) -> None:
    described = re.findall(r"^\| `([\w-]+)` \|", sections(REFERENCE / "commands.md")[command], re.MULTILINE)
    inherited = arguments(BaseCommand().create_parser("manage.py", command))
    assert arguments(parser_of(command)) - inherited <= set(described)


def test_every_path_of_the_api_is_described() -> None:
    described = (REFERENCE / "api.md").read_text()
    for path, methods in SchemaGenerator().get_schema(public=True)["paths"].items():
        for method in methods:
            assert f"`{method.upper()} {path}`" in described


def test_every_field_and_value_of_an_answer_is_described() -> None:
    described = set(re.findall(r"`(\w+)`", prose(REFERENCE / "api.md")))
    answer, result = AnswerSerializer().fields, ResultSerializer().fields
    assert {*answer, *result} <= described
    for choices in (answer["strategy"].choices, answer["fallback_reason"].choices, result["source"].choices):
        assert set(filter(None, choices)) <= described


@pytest.mark.parametrize("app", OUR_APPS)
def test_every_table_with_its_constraints_is_described(app: str) -> None:
    section = (REFERENCE / "tables.md").read_text()
    for model in apps.get_app_config(app).get_models():
        assert re.search(rf"^###.*\b{model._meta.db_table}\b", section, re.MULTILINE), model._meta.db_table
        for rule in (*model._meta.constraints, *model._meta.indexes):
            assert f"`{rule.name}`" in section
