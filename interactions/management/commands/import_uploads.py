from typing import Any

from django.core.management.base import BaseCommand

from interactions.imports.jobs import run_pending_imports


class Command(BaseCommand):
    help = (
        "Take in the histories that were uploaded, and those that a killed process left. Uploads start this themselves."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(run_pending_imports())
