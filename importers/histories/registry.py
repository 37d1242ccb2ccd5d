"""The formats of listening histories, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from importers.histories.archive import HistoryFile
from importers.records import ListenRecord, RefusedRow

ReadListens = Callable[[HistoryFile, int, Callable[[int], None]], Iterator[ListenRecord | RefusedRow]]


@dataclass(frozen=True)
class HistoryImporter:
    """A format in which a service exports the history of one listener.

    Attributes:
        name: the value of `--format` and of the API's `format`; interactions get the source `import:<name>`.
        read: `read(file, latest, on_bytes)` streams the listens of a file. Listens after `latest`, in UNIX seconds,
            are refused. Raises FormatError for damage, after the listens before it.
        includes_member: whether a member of an archive, by its name, holds listens.
        recognizes_text: whether a file that begins with this text, without white space before it, has this format.
        has_distinctive_names: whether `includes_member` is enough to recognize an archive.
    """

    name: str
    read: ReadListens
    includes_member: Callable[[str], bool]
    recognizes_text: Callable[[str], bool]
    has_distinctive_names: bool = True


HISTORY_IMPORTERS: dict[str, HistoryImporter] = {}


def register_history_importer(importer: HistoryImporter) -> None:
    """Make a format available under its name. Raises ValueError if the name is taken."""
    if importer.name in HISTORY_IMPORTERS:
        raise ValueError(f"a history importer named {importer.name!r} is already registered")
    HISTORY_IMPORTERS[importer.name] = importer
