"""Importers of a single listener's history, as other services export it.

`read_history(paths, format, now=…)` streams listens and refused rows. To add a format, write a module with a
HistoryImporter and register it below.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from importers.cell_parsers import CLOCK_TOLERANCE
from importers.errors import FormatError
from importers.histories import lastfm, listenbrainz, spotify
from importers.histories.archive import HistoryFile, list_files, read_blocks
from importers.histories.registry import HISTORY_IMPORTERS, HistoryImporter, register_history_importer
from importers.records import ListenRecord, RefusedRow

__all__ = [
    "AUTO",
    "HISTORY_IMPORTERS",
    "HistoryImporter",
    "detect_format",
    "read_history",
    "register_history_importer",
    "total_bytes",
]

AUTO = "auto"  # detect the format
_DETECTION_LENGTH = 1 << 16  # bytes of a file that its format is detected from

# Detection takes the first format that recognizes a file, so the one that accepts most comes last.
register_history_importer(spotify.IMPORTER)
register_history_importer(listenbrainz.IMPORTER)
register_history_importer(lastfm.IMPORTER)


def read_history(
    paths: Sequence[Path], format: str, *, now: int, on_bytes: Callable[[int], None] = lambda n: None
) -> Iterator[ListenRecord | RefusedRow]:
    """Stream the listens of all files.

    Args:
        paths: files or archives.
        format: a name in HISTORY_IMPORTERS, or AUTO.
        now: UNIX seconds; listens more than a day later are refused.
        on_bytes: called with the number of bytes consumed since its last call.

    Raises:
        FormatError: at once if a file is missing or is not a history; during the iteration if it is damaged.
    """
    selections = [_select_files(path, format) for path in paths]
    return (
        record
        for importer, files in selections
        for file in files
        for record in importer.read(file, now + CLOCK_TOLERANCE, on_bytes)
    )


def total_bytes(paths: Sequence[Path], format: str) -> int:
    """Return the sum of all numbers that `read_history` passes to on_bytes. Raises FormatError as it does."""
    selections = [_select_files(path, format) for path in paths]
    return sum(file.size for _, files in selections for file in files)


def detect_format(path: Path) -> str:
    """Return the format of a file or archive, judged by its content. Raises FormatError if it is not a history."""
    files = list_files(path)
    for file in files:
        for importer in HISTORY_IMPORTERS.values():
            if file.member and importer.has_distinctive_names and importer.includes_member(file.member):
                return importer.name
    for file in files:
        beginning = next(read_blocks(file), b"")[:_DETECTION_LENGTH]
        text = beginning.decode("utf-8", "ignore").removeprefix("\ufeff").lstrip()
        for importer in HISTORY_IMPORTERS.values():
            if importer.recognizes_text(text):
                return importer.name
    raise FormatError(
        f"{path.name}: is neither an export of ListenBrainz, nor scrobbles of Last.fm as CSV or JSON, nor the extended "
        "streaming history of Spotify; give the file as it was exported"
    )


def _select_files(path: Path, format: str) -> tuple[HistoryImporter, list[HistoryFile]]:
    """Return the importer of a file or archive, and the files in it that hold listens."""
    if not path.is_file():
        raise FormatError(f"{path}: there is no such file; check the path")
    importer = HISTORY_IMPORTERS[detect_format(path) if format == AUTO else format]
    files = [file for file in list_files(path) if not file.member or importer.includes_member(file.member)]
    if not files:
        raise FormatError(f"{path.name}: contains no {importer.name} listens; check that it is the right archive")
    return importer, files
