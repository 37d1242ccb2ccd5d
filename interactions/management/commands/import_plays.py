import time
from pathlib import Path
from typing import Any, TextIO

from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from tqdm import tqdm

from common.commands import DatabaseCommand, open_progress_bar
from importers import IMPORTERS, FormatError
from importers.records import RefusedRow
from interactions.imports.data_set import ImportReport, import_data_set
from interactions.imports.data_set_download import DownloadError, download_data_set

MAX_SHOWN_ROWS = 20


class Command(DatabaseCommand):
    help = "Import a catalogue and plays. Safe to repeat: nothing is stored twice."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("paths", nargs="*", metavar="PATH", help="files or folders; or the name of a data set")
        parser.add_argument("--format", required=True, choices=sorted(IMPORTERS))
        parser.add_argument("--namespace", help="the prefix of ids, as namespace:id (default: the format's)")
        parser.add_argument(
            "--as-of",
            type=int,
            metavar="UNIX_SECONDS",
            help="the time of plays that carry none (default: now, or when the data set ends)",
        )
        parser.add_argument("--refused", type=Path, metavar="FILE", help="where to list every refused row")

    def handle(self, *args: Any, paths: list[str], format: str, refused: Path | None, **options: Any) -> None:
        importer = IMPORTERS[format]
        resolved_paths = [self._resolve_path(path) for path in paths]
        if not resolved_paths and importer.needs_paths:
            raise CommandError(f"--format {format} needs a PATH")
        as_of = options["as_of"] or importer.as_of or int(time.time())
        namespace = importer.namespace if options["namespace"] is None else options["namespace"]
        if refused is None:
            started = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
            refused = settings.VAR_DIR / "imports" / f"{format}-{started}.refused.tsv"
        with _RefusedRowList(refused, self.stderr) as refused_rows:
            try:
                total = importer.total_bytes(resolved_paths)
                with open_progress_bar(f"importing {format}:", total) as bar:

                    def show_count(report: ImportReport) -> None:
                        count = report.plays_added + report.plays_known
                        bar.set_description_str(f"importing {format}: {count:,} plays")

                    report = import_data_set(
                        format,
                        resolved_paths,
                        namespace=namespace,
                        as_of=as_of,
                        on_bytes=bar.update,  # type: ignore[arg-type]
                        on_refused_row=refused_rows.add,
                        on_batch=show_count,
                    )
            except FormatError as error:
                raise CommandError(str(error)) from error
        self.stdout.write(str(report))
        if report.refused:
            self.stdout.write(f"every refused row, with its file, line and reason: {refused}")

    def _resolve_path(self, argument: str) -> Path:
        """Return the path; an argument that cannot be one is the name of a data set, which is downloaded."""
        path = Path(argument)
        if path.exists() or path.suffix or len(path.parts) > 1:
            return path
        with tqdm(unit="B", unit_scale=True, desc=f"downloading {argument}") as bar:

            def show(done: int, total: int) -> None:
                bar.total = total or None
                bar.update(done - bar.n)

            try:
                return download_data_set(argument, settings.VAR_DIR / "datasets", show)
            except DownloadError as error:
                raise CommandError(str(error)) from error


class _RefusedRowList:
    """A list of refused rows in a file, which is created with the first row. The first few are shown, too."""

    def __init__(self, path: Path, stderr: Any) -> None:
        self.path, self.stderr, self.count = path, stderr, 0
        self.file: TextIO | None = None

    def __enter__(self) -> "_RefusedRowList":
        return self

    def __exit__(self, *error: object) -> None:
        if self.file:
            self.file.close()

    def add(self, row: RefusedRow) -> None:
        if self.file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.file = self.path.open("w")
            self.file.write("file\tline\treason\n")
        self.file.write(f"{_spreadsheet_cell(row.file)}\t{row.line}\t{_spreadsheet_cell(row.reason)}\n")
        self.count += 1
        if self.count <= MAX_SHOWN_ROWS:
            tqdm.write(f"refused {row.file}:{row.line}: {row.reason}", file=self.stderr, end="")
        elif self.count == MAX_SHOWN_ROWS + 1:
            tqdm.write("further refused rows are in the list only", file=self.stderr, end="")


def _spreadsheet_cell(text: str) -> str:
    """Return a text that is one cell, and that spreadsheets do not take for a formula, even if it quotes a file."""
    line = " ".join(text.split())
    return f"'{line}" if line.startswith(("=", "+", "-", "@")) else line
