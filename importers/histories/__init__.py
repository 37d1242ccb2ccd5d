"""Importers of a single listener's history, as other services export it.

`select_files(paths, format)` finds the files with listens; their `read` streams listens, refused rows and notes. To add
a format, write a module with a HistoryImporter and register it below.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from importers.cell_parsers import CLOCK_TOLERANCE
from importers.errors import FormatError
from importers.histories import lastfm, lastfmstats, listenbrainz, maloja, pano, rockbox, spotify
from importers.histories.archive import MAX_MEMBERS, HistoryFile, is_system_file, list_files
from importers.histories.recognition import recognize_format
from importers.histories.registry import (
    HISTORY_IMPORTERS,
    HistoryImporter,
    HistoryRecord,
    register_history_importer,
)

__all__ = [
    "AUTO",
    "HISTORY_IMPORTERS",
    "HistoryImporter",
    "HistoryRecord",
    "SelectedFile",
    "Selection",
    "SkippedFile",
    "register_history_importer",
    "select_files",
]

AUTO = "auto"  # detect the format
_MAX_SHOWN_FILES = 5

# Detection takes the first format that recognizes a file, so the one that accepts most comes last.
register_history_importer(spotify.IMPORTER)
register_history_importer(listenbrainz.IMPORTER)
register_history_importer(maloja.IMPORTER)
register_history_importer(lastfmstats.IMPORTER)
register_history_importer(rockbox.IMPORTER)
register_history_importer(pano.IMPORTER)
register_history_importer(lastfm.IMPORTER)


class SelectedFile(NamedTuple):
    """A file that holds listens, and the importer of its format."""

    file: HistoryFile
    importer: HistoryImporter

    def read(self, now: int, on_bytes: Callable[[int], None] = lambda n: None) -> Iterator[HistoryRecord]:
        """Stream the listens.

        Args:
            now: UNIX seconds; listens more than a day later are refused.
            on_bytes: called with the number of bytes consumed since its last call.

        Raises:
            FormatError: the file is damaged. The listens before the damage are yielded first.
        """
        return self.importer.read(self.file, now + CLOCK_TOLERANCE, on_bytes)


class SkippedFile(NamedTuple):
    """A file that holds no listens, or none that can be read, and the reason."""

    name: str
    reason: str


class Selection(NamedTuple):
    """The files with listens, at least one, and the others."""

    files: list[SelectedFile]
    skipped: list[SkippedFile]

    @property
    def total_bytes(self) -> int:
        """The sum of all numbers that reading the files passes to on_bytes."""
        return sum(selected.file.size for selected in self.files)


def select_files(paths: Sequence[Path], format: str = AUTO) -> Selection:
    """Return the files with listens, judged by their content.

    Args:
        paths: files, archives, or folders of files and archives.
        format: a name in HISTORY_IMPORTERS, or AUTO for any of them.

    Raises:
        FormatError: a path does not exist, or no file holds listens.
    """
    selected: list[SelectedFile] = []
    skipped: list[SkippedFile] = []
    for path, label in _expand_folders(paths):
        try:
            files = list_files(path, label)
        except FormatError as error:
            skipped.append(SkippedFile(label, str(error).removeprefix(f"{label}: ")))
            continue
        for file in files:
            try:
                importer = recognize_format(file, is_alone=path in paths and not file.member)
                if format not in (AUTO, importer.name):
                    raise FormatError(f"holds {importer.name} listens, not {format}; let the format be detected")
            except FormatError as error:
                skipped.append(SkippedFile(str(file), str(error).removeprefix(f"{file}: ")))
            else:
                selected.append(SelectedFile(file, importer))
    if not selected:
        raise FormatError(_describe_skipped_files(skipped))
    return Selection(selected, skipped)


def _expand_folders(paths: Sequence[Path]) -> list[tuple[Path, str]]:
    """Return `(path, its name in reports)` of the files, and of all files in folders. Raises FormatError."""
    expanded: list[tuple[Path, str]] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(file for file in path.rglob("*") if file.is_file())
            names = [(file, str(file.relative_to(path.parent))) for file in inside]
            expanded += [(file, name) for file, name in names if not is_system_file(name)]
        elif path.is_file():
            expanded.append((path, path.name))
        else:
            raise FormatError(f"{path}: there is no such file; check the path")
    if not expanded:
        raise FormatError(f"{', '.join(map(str, paths))}: contains no files; check the path")
    if len(expanded) > MAX_MEMBERS:
        raise FormatError(f"{paths[0]}: has {len(expanded):,} files; an export has at most {MAX_MEMBERS:,}")
    return expanded


def _describe_skipped_files(skipped: Sequence[SkippedFile]) -> str:
    reasons = [f"{name}: {reason}" for name, reason in skipped[:_MAX_SHOWN_FILES]]
    if len(skipped) > _MAX_SHOWN_FILES:
        reasons.append(f"and {len(skipped) - _MAX_SHOWN_FILES:,} further files without listens")
    return "\n".join(reasons) or "the archive is empty; download the export again"
