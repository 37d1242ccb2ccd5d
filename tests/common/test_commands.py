"""Management commands on a database that is not ready."""

from pathlib import Path

import pytest
from django.core.management import get_commands, load_command_class

from common.commands import DatabaseCommand
from tests.stack import Stack, new_stack

APPS = {"webhooks", "access", "tracks", "interactions", "experiments", "recommendations", "privacy", "web"}


@pytest.mark.one_stack
def test_every_command_checks_that_the_database_is_ready() -> None:
    own_commands = {name: app for name, app in get_commands().items() if app in APPS}
    assert len(own_commands) >= 13
    for name, app in own_commands.items():
        assert isinstance(load_command_class(app, name), DatabaseCommand), name


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    return new_stack(tmp_path)


@pytest.mark.parametrize("command", [("import_plays", "--format", "synthetic"), ("erase_listeners",)])
def test_a_database_that_lacks_migrations_is_a_sentence(stack: Stack, command: tuple[str, ...]) -> None:
    stack.manage("migrate", "interactions", "zero", "--verbosity", "0")
    result = stack.manage(*command, check=False)
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.startswith("CommandError: the database lacks ")
    assert result.stderr.endswith("; run `manage.py migrate` first\n")
    assert len(result.stderr.splitlines()) == 1


def test_a_database_that_does_not_answer_is_a_sentence(stack: Stack) -> None:
    unreachable = Stack(stack.var, stack.environment | {"DATABASE_URL": "postgres://nobody:x@127.0.0.1:9/nothing"})
    result = unreachable.manage("import_plays", "--format", "synthetic", check=False)
    assert result.returncode == 1
    assert result.stderr.startswith("CommandError: the database does not answer (")
    assert result.stderr.endswith("; check DATABASE_URL and the server\n")
