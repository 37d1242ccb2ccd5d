"""A listener's own history, as services give it to them: `read(paths, …)` streams listens, and the rows it refuses."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from importers.cell_parsers import CLOCK_TOLERANCE
from importers.errors import FormatError
from importers.histories import lastfm, listenbrainz_export, spotify
from importers.histories.archive import HistoryFile, list_files, read_blocks
from importers.histories.spotify import TITLE
from importers.records import ListenRecord, RefusedRow

_READERS = {"listenbrainz": listenbrainz_export, "lastfm": lastfm, "spotify": spotify}
AUTO = "auto"
HISTORIES = tuple(_READERS)
_MARKS = {TITLE: "spotify", "track_metadata": "listenbrainz", "recenttracks": "lastfm", "#text": "lastfm"}
_LOOKED_AT = 1 << 16  # bytes


def read_history(
    paths: Sequence[Path], format: str, *, now: int, on_bytes: Callable[[int], None] = lambda n: None
) -> Iterator[ListenRecord | RefusedRow]:
    """format: one of HISTORIES, or `auto` · now: UNIX seconds, beyond which by a day nothing was played.

    Raises FormatError at once where a file is missing or is no history, and later for one that is damaged.
    """
    parts = [(part, name) for path in paths for part, name in _found(path, format)]
    return (record for part, name in parts for record in _READERS[name].read(part, now + CLOCK_TOLERANCE, on_bytes))


def total_bytes(paths: Sequence[Path], format: str) -> int:
    """What the calls of on_bytes add up to. Raises FormatError as `read` does."""
    return sum(part.size for path in paths for part, _ in _found(path, format))


def detect_format(path: Path) -> str:
    """By what is in it. Raises FormatError where that is no history."""
    parts = list_files(path)
    for part in parts:
        for name, reader in _READERS.items():
            if part.member and name != "lastfm" and reader.wanted(part):
                return name
    for part in parts:
        if name := _looks_like(next(read_blocks(part), b"")[:_LOOKED_AT]):
            return name
    raise FormatError(
        f"{path.name}: is neither an export of ListenBrainz, nor scrobbles of Last.fm as CSV or JSON, nor the extended "
        "streaming history of Spotify"
    )


def _found(path: Path, format: str) -> list[tuple[HistoryFile, str]]:
    """The parts that are read, each with its format."""
    if not path.is_file():
        raise FormatError(f"{path}: there is no such file; check the path")
    name = detect_format(path) if format == AUTO else format
    parts = [part for part in list_files(path) if not part.member or _READERS[name].wanted(part)]
    if not parts:
        raise FormatError(f"{path.name}: has no listens of {name}; is it the right archive?")
    return [(part, name) for part in parts]


def _looks_like(beginning: bytes) -> str:
    """The format that a file begins like, or "": JSON by the names of its fields, CSV by its first line."""
    text = beginning.decode("utf-8", "ignore").removeprefix("\ufeff").lstrip()
    if text[:1] in ("[", "{"):
        return next((name for mark, name in _MARKS.items() if f'"{mark}"' in text), "")
    line = text.partition("\n")[0]
    separators = max((line.count(separator) for separator in ",;\t"), default=0)
    return "lastfm" if "\0" not in line and separators >= 2 else ""
