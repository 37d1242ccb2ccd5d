"""hetrec2011: the original files of HetRec 2011 Last.fm-2K; artists stand in as tracks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from importers import cell_parsers
from importers.csv_lines import Row, header_cells, split_lines
from importers.errors import BadValue, FormatError
from importers.hetrec2011_tags import TAGGED, TAGS, Tagging
from importers.paths import total_size
from importers.play_rows import PlayRows
from importers.records import PlayRecord, Record, RefusedRow, TrackRecord
from importers.text_lines import header_line, numbered_lines

AS_OF = 1_304_208_000  # 2011-05-01, when it was published; its totals carry no times
NAMESPACE = "lastfm"
ARTISTS, PLAYS = "artists.dat", "user_artists.dat"
_HEADERS = {
    ARTISTS: ["id", "name", "url", "pictureurl"],
    PLAYS: ["userid", "artistid", "weight"],
    TAGS: ["tagid", "tagvalue"],
    TAGGED: ["userid", "artistid", "tagid", "day", "month", "year"],
}
_ENCODINGS = {TAGS: "latin-1"}  # the other files are UTF-8
_PLAY_AT = {"user": 0, "track": 1, "plays": 2}


def read(paths: Sequence[Path], *, namespace: str, as_of: int, on_bytes: Callable[[int], None]) -> Iterator[Record]:
    """Artists with their tags, then the totals of plays; of each folder. Raises FormatError at once."""
    folders = [_checked(path) for path in _folders(paths)]
    return (record for folder in folders for record in _folder(folder, namespace, as_of, on_bytes))


def total_bytes(paths: Sequence[Path]) -> int:
    """What the calls of on_bytes add up to."""
    return total_size([file for folder in _folders(paths) for file in _files(folder)])


def _folders(paths: Sequence[Path]) -> list[Path]:
    for folder in paths:
        if not folder.is_dir():
            raise FormatError(f"{folder}: this is not a folder; give the folder that holds {ARTISTS} and {PLAYS}")
        for name in (ARTISTS, PLAYS):
            if not (folder / name).is_file():
                raise FormatError(f"{folder / name}: there is no such file; unpack the whole data set into one folder")
    if not paths:
        raise FormatError(f"no input: give the folder that holds {ARTISTS} and {PLAYS}")
    return list(paths)


def _files(folder: Path) -> list[Path]:
    """Those that are read; without one of the two tag files the other says nothing."""
    tagging = [folder / TAGS, folder / TAGGED]
    return [folder / ARTISTS, folder / PLAYS, *(tagging if all(file.is_file() for file in tagging) else [])]


def _checked(folder: Path) -> Path:
    for file in _files(folder):
        header = header_cells(header_line(file, _ENCODINGS.get(file.name, "utf-8")), "\t")
        if header != _HEADERS[file.name]:
            raise FormatError(
                f"{file}: the header is {' '.join(header)[:100]}, not {' '.join(_HEADERS[file.name])}; give the "
                "original, tab-separated file"
            )
    return folder


def _folder(folder: Path, namespace: str, as_of: int, on_bytes: Callable[[int], None]) -> Iterator[Record]:
    tagging = Tagging()
    if folder / TAGS in _files(folder):
        yield from tagging.read_names(_rows(folder / TAGS, on_bytes))
        yield from tagging.read_given(_rows(folder / TAGGED, on_bytes))
    artists: set[str] = set()
    yield from _artists(folder / ARTISTS, namespace, tagging, artists, on_bytes)
    yield from _plays(folder / PLAYS, namespace, as_of, artists, on_bytes)


def _rows(file: Path, on_bytes: Callable[[int], None]) -> Iterator[Row]:
    """Tab separated: quotes in names are ordinary characters."""
    lines = numbered_lines(file, _ENCODINGS.get(file.name, "utf-8"), on_bytes)
    next(lines)  # the header
    return split_lines(lines, "\t", len(_HEADERS[file.name]))


def _artists(
    file: Path, namespace: str, tagging: Tagging, artists: set[str], on_bytes: Callable[[int], None]
) -> Iterator[TrackRecord | RefusedRow]:
    """Fills `artists` with the ids as the file writes them."""
    prefix = f"{namespace}:" if namespace else ""
    for line, cells, fault in _rows(file, on_bytes):
        if cells is None:
            yield RefusedRow(file.name, line, fault)
            continue
        try:
            identity = cell_parsers.parse_required_text("id", cells[0], cell_parsers.MAX_ID_LENGTH - len(prefix))
            name = cell_parsers.parse_required_text("name", cells[1], cell_parsers.MAX_NAME_LENGTH)
        except BadValue as bad:
            yield RefusedRow(file.name, line, str(bad))
            continue
        artists.add(identity)
        cover, own = cells[3].strip(), f"{prefix}{identity}"
        yield TrackRecord(
            own, name, name, own, cover_url=cover if cell_parsers.is_url(cover) else "", tags=tagging.of(identity),
            file=file.name, line=line,
        )  # fmt: skip


def _plays(
    file: Path, namespace: str, as_of: int, artists: set[str], on_bytes: Callable[[int], None]
) -> Iterator[PlayRecord | RefusedRow]:
    reader = PlayRows(_PLAY_AT, file.name, namespace, as_of)
    for line, cells, fault in _rows(file, on_bytes):
        try:
            if cells is None:
                yield RefusedRow(file.name, line, fault)
            elif cells[1].strip() and cells[1].strip() not in artists:
                raise BadValue("artistID", cells[1], f"the id of an artist in {ARTISTS}")
            else:
                cell_parsers.parse_required_text("weight", cells[2], cell_parsers.MAX_ID_LENGTH)
                yield reader.read([*cells, ""], line)
        except BadValue as bad:
            yield RefusedRow(file.name, line, str(bad))
