"""The formats of listening histories, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from importers.errors import BadValue
from importers.histories.archive import HistoryFile
from importers.records import FileNote, ListenRecord, RefusedRow

Item = TypeVar("Item")
HistoryRecord = ListenRecord | RefusedRow | FileNote

ReadListens = Callable[[HistoryFile, int, Callable[[int], None]], Iterator[HistoryRecord]]


def include_every_member(member: str) -> bool:
    return True


@dataclass(frozen=True)
class HistoryImporter:
    """A format in which a service exports the history of one listener.

    Attributes:
        name: the value of `--format` and of the API's `format`; interactions get the source `import:<name>`.
        read: `read(file, latest, on_bytes)` streams the listens of a file. Listens after `latest`, in UNIX seconds,
            are refused. Raises FormatError for damage, after the listens before it.
        recognizes_text: whether a file that begins with this text, without white space before it, has this format.
        includes_member: whether a file of an archive or folder, by its name, may hold listens. Leaves out what looks
            like listens but is something else.
        lists_scrobbles: whether the format has only plays of which half of the track, or four minutes, were heard.
    """

    name: str
    read: ReadListens
    recognizes_text: Callable[[str], bool]
    includes_member: Callable[[str], bool] = include_every_member
    lists_scrobbles: bool = False


def parse_items(
    items: Iterable[tuple[int, Item | RefusedRow]], file: str, parse: Callable[[Item], ListenRecord]
) -> Iterator[ListenRecord | RefusedRow]:
    """Yield the listen of each item, or why it is refused.

    Args:
        items: the items, or refused rows, with their lines.
        parse: returns the listen of an item, without its place. Raises BadValue to refuse it.
    """
    for line, item in items:
        if isinstance(item, RefusedRow):
            yield item
            continue
        try:
            yield parse(item)._replace(file=file, line=line)
        except BadValue as error:
            yield RefusedRow(file, line, str(error), error.kind)


HISTORY_IMPORTERS: dict[str, HistoryImporter] = {}


def register_history_importer(importer: HistoryImporter) -> None:
    """Make a format available under its name. Raises ValueError if the name is taken."""
    if importer.name in HISTORY_IMPORTERS:
        raise ValueError(f"a history importer named {importer.name!r} is already registered")
    HISTORY_IMPORTERS[importer.name] = importer
