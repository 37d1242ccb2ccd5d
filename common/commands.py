"""The base class of the management commands that read or write the database, and the progress bar of imports."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections
from django.db.migrations.exceptions import InconsistentMigrationHistory
from django.db.migrations.executor import MigrationExecutor
from tqdm import tqdm


class DatabaseCommand(BaseCommand):
    """A command that ends with a sentence if the database does not answer or lacks migrations."""

    requires_migrations_checks = True

    def check_migrations(self) -> None:
        """Raise CommandError unless all migrations are applied. Django calls this before `handle`."""
        try:
            executor = MigrationExecutor(connections[DEFAULT_DB_ALIAS])
            plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
        except DatabaseError as error:
            reason = str(error).strip().splitlines()[0]
            raise CommandError(f"the database does not answer ({reason}); check DATABASE_URL and the server") from error
        except InconsistentMigrationHistory as error:
            raise CommandError(f"the migrations of the database are inconsistent: {error}") from error
        if plan:
            first = plan[0][0]
            raise CommandError(
                f"the database lacks {len(plan)} migrations, beginning with {first}; run `manage.py migrate` first"
            )


def open_progress_bar(description: str, total_bytes: int) -> "tqdm[Any]":
    """Return a progress bar over bytes; the caller updates its description with the number of plays."""
    return tqdm(
        total=total_bytes, desc=description, bar_format="{desc} {percentage:3.0f}%|{bar}| {elapsed}<{remaining}"
    )
