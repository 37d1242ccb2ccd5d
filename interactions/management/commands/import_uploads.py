from typing import Any

from common.commands import DatabaseCommand
from interactions.imports.jobs import run_pending_imports


class Command(DatabaseCommand):
    help = "Import the uploaded histories, and those that a killed process left. Each upload starts this by itself."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(run_pending_imports())
