import time
from pathlib import Path
from typing import Any, TextIO

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from tqdm import tqdm

from importers import AS_OF, FORMATS, NAMESPACES, FormatError, total_bytes
from importers.records import RefusedRow
from interactions.imports import data_set_download
from interactions.imports.data_set import import_data_set

SHOWN_REFUSALS = 20


class Command(BaseCommand):
    help = "Import a catalogue and plays. Safe to repeat: what is known already is not added again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("paths", nargs="*", metavar="PATH", help="files or folders; or the name of a data set")
        parser.add_argument("--format", required=True, choices=sorted(FORMATS))
        parser.add_argument("--namespace", help="put before outside ids, as namespace:id (default: the format's)")
        parser.add_argument(
            "--as-of",
            type=int,
            metavar="UNIX_SECONDS",
            help="the time of plays that carry none (default: now, or when the data set ends)",
        )
        parser.add_argument("--refused", type=Path, metavar="FILE", help="where to list every refused row")

    def handle(self, *args: Any, paths: list[str], refused: Path | None, **options: Any) -> None:
        name = options["format"]
        sources = [self._path(p) for p in paths]
        if not sources and name != "synthetic":
            raise CommandError(f"--format {name} needs a PATH")
        as_of = options["as_of"] or AS_OF.get(name, int(time.time()))
        namespace = NAMESPACES[name] if options["namespace"] is None else options["namespace"]
        listing = (
            refused
            or settings.VAR_DIR / "imports" / f"{name}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}.refused.tsv"
        )
        with _Refusals(listing, self.stderr) as refusals:
            try:
                with tqdm(total=total_bytes(sources, name), unit="B", unit_scale=True, desc=f"importing {name}") as bar:
                    report = import_data_set(
                        name,
                        sources,
                        namespace=namespace,
                        as_of=as_of,
                        on_bytes=bar.update,  # type: ignore[arg-type]
                        on_refused_row=refusals.add,
                    )
            except FormatError as error:
                raise CommandError(str(error)) from error
        self.stdout.write(str(report))
        if report.refused:
            self.stdout.write(f"every refused row, with its file, line and reason: {listing}")

    def _path(self, given: str) -> Path:
        path = Path(given)
        if path.exists() or path.suffix or len(path.parts) > 1:
            return path
        with tqdm(unit="B", unit_scale=True, desc=f"downloading {given}") as bar:

            def show(done: int, total: int) -> None:
                bar.total = total or None
                bar.update(done - bar.n)

            try:
                return data_set_download.download_data_set(given, settings.VAR_DIR / "datasets", show)
            except data_set_download.DownloadError as error:
                raise CommandError(str(error)) from error


class _Refusals:
    """Lists every refusal in a file, made only when there is one, and shows the first."""

    def __init__(self, path: Path, stderr: Any) -> None:
        self.path, self.stderr, self.seen = path, stderr, 0
        self.file: TextIO | None = None

    def __enter__(self) -> "_Refusals":
        return self

    def __exit__(self, *error: object) -> None:
        if self.file:
            self.file.close()

    def add(self, refusal: RefusedRow) -> None:
        if self.file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.file = self.path.open("w")
            self.file.write("file\tline\treason\n")
        self.file.write(f"{refusal.file}\t{refusal.line}\t{refusal.reason}\n")
        self.seen += 1
        if self.seen <= SHOWN_REFUSALS:
            tqdm.write(f"refused {refusal.file}:{refusal.line}: {refusal.reason}", file=self.stderr, end="")
        elif self.seen == SHOWN_REFUSALS + 1:
            tqdm.write("further refused rows are in the list only", file=self.stderr, end="")
