"""The formats that `manage.py import_plays` reads, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from importers.records import Record


class ReadRecords(Protocol):
    def __call__(
        self, paths: Sequence[Path], *, namespace: str, as_of: int, on_bytes: Callable[[int], None]
    ) -> Iterator[Record]:
        """Stream the records of `paths`, each track before its first play.

        Args:
            paths: files, or folders of files with the names that the format expects.
            namespace: the prefix of ids from the files (`namespace:id`); "" for none.
            as_of: the UNIX second of plays that carry no time. Times more than a day later are refused.
            on_bytes: called with the number of bytes consumed since its last call, about every 1,000 rows.

        A row that cannot be parsed is yielded as a RefusedRow, and reading continues.

        Raises:
            FormatError: the input cannot be used. Raised by the call itself if the headers show it, and during the
                iteration if a file turns out to be damaged.
        """
        ...


@dataclass(frozen=True)
class Importer:
    """A format of catalogues and plays.

    Attributes:
        name: the value of `--format`.
        read: streams the records of the input.
        total_bytes: returns the sum of all numbers that `read` passes to on_bytes. Raises FormatError.
        namespace: the default prefix of ids.
        as_of: the UNIX second of plays without a time; None for the time of the import.
        needs_paths: whether the format reads files; False for generated data.
    """

    name: str
    read: ReadRecords
    total_bytes: Callable[[Sequence[Path]], int]
    namespace: str = ""
    as_of: int | None = None
    needs_paths: bool = True


IMPORTERS: dict[str, Importer] = {}


def register_importer(importer: Importer) -> None:
    """Make a format available under its name. Raises ValueError if the name is taken."""
    if importer.name in IMPORTERS:
        raise ValueError(f"an importer named {importer.name!r} is already registered")
    IMPORTERS[importer.name] = importer
