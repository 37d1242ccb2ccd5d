from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from tqdm import tqdm

from importers import histories
from importers.errors import FormatError
from importers.records import RefusedRow
from interactions.imports.listening_history import ImportNotAllowed, import_history

SHOWN_REFUSALS = 20


class Command(BaseCommand):
    help = "Import a listener's own history from another service. Safe to repeat: each listen is kept once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("user_id", type=int, help="whose history it is")
        parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="the export, as it was downloaded")
        parser.add_argument("--format", default=histories.AUTO, choices=[histories.AUTO, *histories.HISTORIES])

    def handle(self, *args: Any, user_id: int, files: list[Path], format: str, **options: Any) -> None:
        refusals: list[RefusedRow] = []
        try:
            total = histories.total_bytes(files, format)
            with tqdm(total=total, unit="B", unit_scale=True, desc="importing history") as bar:
                report = import_history(
                    user_id,
                    files,
                    format,
                    on_bytes=bar.update,  # type: ignore[arg-type]
                    on_refused_row=lambda refusal: self._show(refusal, refusals),
                )
        except (FormatError, ImportNotAllowed) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(str(report))

    def _show(self, refusal: RefusedRow, shown: list[RefusedRow]) -> None:
        """The first few."""
        if len(shown) < SHOWN_REFUSALS:
            shown.append(refusal)
            said = f"refused {refusal.file}:{refusal.line}: {refusal.reason}"
            tqdm.write(said, file=self.stderr, end="")
