from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from tqdm import tqdm

from common.commands import DatabaseCommand, open_progress_bar
from importers import histories
from importers.errors import FormatError
from importers.records import RefusedRow
from interactions.imports.listening_history import HistoryImportReport, ImportNotAllowed, import_history

MAX_SHOWN_ROWS = 20


class Command(DatabaseCommand):
    help = "Import a listener's own history from another service. Safe to repeat: no listen is stored twice."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("user_id", type=int, help="the listener's id")
        parser.add_argument(
            "files",
            nargs="+",
            type=Path,
            metavar="FILE",
            help="the export, as it was downloaded: a file, an archive or a folder",
        )
        parser.add_argument("--format", default=histories.AUTO, choices=[histories.AUTO, *histories.HISTORY_IMPORTERS])

    def handle(self, *args: Any, user_id: int, files: list[Path], format: str, **options: Any) -> None:
        shown_rows = 0

        def show(row: RefusedRow) -> None:
            nonlocal shown_rows
            if shown_rows < MAX_SHOWN_ROWS:
                shown_rows += 1
                tqdm.write(f"refused {row.file}:{row.line}: {row.reason}", file=self.stderr, end="")

        try:
            selection = histories.select_files(files, format)
            with open_progress_bar("importing history:", selection.total_bytes) as bar:

                def show_count(report: HistoryImportReport) -> None:
                    count = report.added + report.known + report.unmatched
                    bar.set_description_str(f"importing history: {count:,} listens")

                report = import_history(
                    user_id,
                    files,
                    format,
                    on_bytes=bar.update,  # type: ignore[arg-type]
                    on_refused_row=show,
                    on_batch=show_count,
                )
        except (FormatError, ImportNotAllowed) as error:
            raise CommandError(str(error)) from error
        for line in report.describe_problems().splitlines():
            self.stderr.write(line)
        self.stdout.write(str(report))
