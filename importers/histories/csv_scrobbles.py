"""Listens as text that is separated by commas, semicolons, tabs or bars.

Columns are found by their names. A file without names is read only if it has one of a few known arrangements, and the
place of the time proves which: nothing is guessed.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from importers.cell_parsers import EARLIEST_TIME, MAX_LABEL_LENGTH, MAX_NAME_LENGTH
from importers.delimited_text import SEPARATORS, TextLine, decode_lines, split_lines, split_rows
from importers.errors import MAX_SHOWN_LENGTH, BadValue, FormatError
from importers.histories.archive import HistoryFile, read_beginning, read_blocks
from importers.histories.csv_columns import COMMON_NAMES, find_field
from importers.histories.json_values import (
    MAX_MS,
    integer_or_none,
    isrc_or_empty,
    require_text,
    text_or_empty,
    uuid_or_empty,
)
from importers.histories.registry import HistoryRecord, parse_items
from importers.histories.time_cells import (
    DateOrder,
    find_date_order,
    has_numeric_date,
    is_date,
    is_moment,
    is_time_of_day,
    parse_moment,
)
from importers.records import FileNote, ListenRecord, RefusedRow

SAMPLE_LENGTH = 1 << 16  # bytes
_MAX_SAMPLED_ROWS = 100
_MIN_COMPARED_ROWS = 10  # of a file without names of columns; fewer say nothing about their order
_COMPLETE_TEXT_LENGTH = SAMPLE_LENGTH // 4  # characters; a text that is shorter was not cut off
_DAY_AND_ZONES = 26 * 3_600  # seconds by which two columns with the time of one play may differ
_JSON = re.compile(r"""[\[{]\s*["'\[{\]}]""")
_SEPARATOR_LINE = re.compile(r'"?sep=([\t;,|])"?', re.IGNORECASE)  # for spreadsheets
# The columns of files without a header, by tool.
_ARRANGEMENTS: tuple[tuple[str, ...], ...] = (
    ("artist", "album", "title", "time"),  # lastfm-to-csv
    ("artist", "album", "", "title", "time"),  # lastfmstats
    ("artist", "album", "title", "time", "album artist", "duration"),  # Last.fm-Scrubbler
    ("", "time", "artist", "title", "album", "album artist", "duration_ms", "device"),  # Pano Scrobbler
    ("", "time", "artist", "title", "album", "album artist", "duration_ms", "", "device", "", "event"),
)
_ADVICE = "add a first line with the names of the columns, such as artist,album,title,time"
_DATES_NOTE = (
    "dates have no times of day, so plays are stored at midnight, and a track that was played several times on a day "
    "counts once"
)
_EXPECTED_TIME = "a date and time, such as 2020-01-01 12:34, or UNIX seconds"

Cells = Sequence[str]


class Table(NamedTuple):
    """How a file is divided into columns.

    Attributes:
        separator: between cells.
        width: number of cells of a row.
        columns: the position of each field.
        header_lines: number of lines before the first row.
        has_numeric_dates: whether the order of day and month in its dates is open.
        has_only_dates: whether its dates have no times of day.
    """

    separator: str
    width: int
    columns: Mapping[str, int]
    header_lines: int = 0
    has_numeric_dates: bool = False
    has_only_dates: bool = False

    def cell(self, cells: Cells, field: str) -> str:
        """Return the cell of a field; "" if the file has no such column."""
        position = self.columns.get(field)
        return "" if position is None else cells[position].strip()

    def time_cell(self, cells: Cells) -> str:
        """Return the cell with the time, or those with the date and the time of day."""
        field = "time" if "time" in self.columns else "end time"
        return f"{self.cell(cells, field)} {self.cell(cells, 'time of day')}".strip()


def recognizes_text(text: str) -> bool:
    """Return whether a text is a table of listens.

    Raises:
        FormatError: it is a table, but it is not certain which of its columns are artist, title and time.
    """
    return not is_json(text) and find_table(text) is not None


def is_json(text: str) -> bool:
    """Return whether a text is JSON, and not a table whose first cell begins with a bracket, such as `[unknown]`."""
    return _JSON.match(text) is not None


def read_csv(file: HistoryFile, latest: int, on_bytes: Callable[[int], None]) -> Iterator[HistoryRecord]:
    """Stream the listens of a file; see HistoryImporter."""
    table = find_table(read_beginning(file, SAMPLE_LENGTH).decode("utf-8", "replace"))
    if table is None:
        raise FormatError(f"{file}: is no table of listens; give the file as it was exported")
    order = _find_date_order(file, table, latest) if table.has_numeric_dates else None
    if order is not None and not order.is_proven:
        parts = "day/month/year" if order.is_day_first else "month/day/year"
        yield FileNote(str(file), f"dates are read as {parts}, since none of them shows the order of its parts")
    if table.has_only_dates:
        yield FileNote(str(file), _DATES_NOTE)
    rows = (
        (line, RefusedRow(str(file), line, reason) if cells is None else cells)
        for line, cells, reason in _read_rows(file, table, on_bytes)
    )
    yield from parse_items(rows, str(file), lambda cells: _parse_cells(cells, table, order, latest))


def _read_rows(
    file: HistoryFile, table: Table, on_bytes: Callable[[int], None] = lambda n: None
) -> Iterator[tuple[int, Cells | None, str]]:
    lines = decode_lines(split_lines(read_blocks(file, on_bytes)), "utf-8")
    for _ in range(table.header_lines):
        next(lines)
    return split_rows(lines, table.separator, table.width)


def _find_date_order(file: HistoryFile, table: Table, latest: int) -> DateOrder:
    """Return the order that the dates of the whole file prove. Raises FormatError if they contradict each other."""
    try:
        rows = _read_rows(file, table)
        return find_date_order((table.time_cell(cells) for _, cells, _ in rows if cells is not None), latest)
    except ValueError as error:
        raise FormatError(f"{file}: {error}; write dates as 2020-01-31") from error


def _parse_cells(cells: Cells, table: Table, order: DateOrder | None, latest: int) -> ListenRecord:
    event = table.cell(cells, "event").lower()
    if event not in ("", "scrobble"):
        raise BadValue("event", event, "a scrobble (loved tracks are not imported)")
    ms_played = integer_or_none(table.cell(cells, "ms_played"), MAX_MS)
    time_cell = table.time_cell(cells)
    try:
        time = parse_moment(time_cell, order)
    except ValueError:
        raise BadValue("time", time_cell, _EXPECTED_TIME) from None
    if "time" not in table.columns:
        time -= (ms_played or 0) // 1000
    if not EARLIEST_TIME <= time <= latest:
        raise BadValue("time", time_cell, "a time from the year 2000 to today")
    return ListenRecord(
        artist=require_text("artist", table.cell(cells, "artist")),
        title=require_text("title", table.cell(cells, "title")),
        time=time,
        album=text_or_empty(table.cell(cells, "album"), MAX_NAME_LENGTH),
        ms_played=ms_played,
        isrc=isrc_or_empty(table.cell(cells, "isrc")),
        mbid=uuid_or_empty(table.cell(cells, "mbid")),
        device=text_or_empty(table.cell(cells, "device"), MAX_LABEL_LENGTH),
        duration_ms=_parse_duration(table, cells),
    )


def _parse_duration(table: Table, cells: Cells) -> int | None:
    """Return milliseconds. A number without a unit may be seconds or milliseconds, so it is left out."""
    if milliseconds := integer_or_none(table.cell(cells, "duration_ms"), MAX_MS):
        return milliseconds
    parts = table.cell(cells, "duration").partition(".")[0].split(":")
    if len(parts) not in (2, 3) or not all(part.isdecimal() and len(part) <= 2 for part in parts):
        return None
    seconds = 0
    for part in parts:
        seconds = seconds * 60 + int(part)
    return seconds * 1000 or None


def find_table(text: str) -> Table | None:
    """Return how the beginning of a file is divided into columns; None if it is no table.

    Raises:
        FormatError: it is a table, but it is not certain which of its columns are artist, title and time.
    """
    if "\n" not in text and "\r" in text.strip() and "\0" not in text:
        raise FormatError("has lines that end with a carriage return only; save the file as CSV UTF-8")
    lines = text.removeprefix("\ufeff").split("\n")
    if len(text) >= _COMPLETE_TEXT_LENGTH:
        lines.pop()  # it may be cut off
    numbered = list(decode_lines((line.encode() for line in lines), "utf-8"))
    header_lines = 0
    separators = f"{SEPARATORS}|"
    if numbered and (match := _SEPARATOR_LINE.fullmatch((numbered[0][1] or "").strip())):
        numbered, header_lines, separators = numbered[1:], 1, match[1]
    first_line = numbered[0][1] if numbered else None
    if first_line is None:  # it has null characters, or is too long for a table
        return None
    candidates = [
        (separator, cells) for separator in separators if len(cells := _split_line(first_line, separator)) > 1
    ]
    if not candidates:
        return None
    if "\ufffd" in first_line:
        raise FormatError("is not UTF-8 in its first line; save the file as UTF-8")
    unnamed = [_find_arrangement(numbered, separator, len(cells)) for separator, cells in candidates]
    if tables := [table for table in unnamed if table is not None]:
        if len(tables) > 1:
            raise FormatError(f"has no names of columns, and can be divided in several ways; {_ADVICE}")
        table = tables[0]
        sample = _sample_rows(numbered, table.separator, table.width)
        return _add_time_format(table._replace(header_lines=header_lines), sample)
    separator, header = max(candidates, key=lambda candidate: _count_known_columns(candidate[1]))
    if not _count_known_columns(header):
        raise FormatError(f"names no column that is known in its first line ({_shorten(header)}); {_ADVICE}")
    sample = _sample_rows(numbered[1:], separator, len(header))
    columns = _find_named_columns(header, sample)
    return _add_time_format(Table(separator, len(header), columns, header_lines + 1), sample)


def _split_line(line: str, separator: str) -> list[str]:
    if '"' not in line or separator == "\t":
        return line.split(separator)
    try:
        return next(csv.reader([line], delimiter=separator, skipinitialspace=True, strict=True))
    except csv.Error:
        return []


def _sample_rows(lines: Iterable[TextLine], separator: str, width: int) -> list[Cells]:
    rows = (cells for _, cells, _ in split_rows(iter(lines), separator, width) if cells is not None)
    return [cells for cells, _ in zip(rows, range(_MAX_SAMPLED_ROWS), strict=False)]


def _add_time_format(table: Table, sample: Iterable[Cells]) -> Table:
    times = [time for cells in sample if (time := table.time_cell(cells)) not in ("", "0")]
    return table._replace(
        has_numeric_dates=any(map(has_numeric_date, times)), has_only_dates=bool(times) and all(map(is_date, times))
    )


def _find_arrangement(lines: Sequence[TextLine], separator: str, width: int) -> Table | None:
    """Return the table if the first row is no header but a listen, in exactly one known arrangement.

    Raises:
        FormatError: the first row seems to be a listen, but other rows prove that its columns are something else.
    """
    first_row, *rows = _sample_rows(lines, separator, width) or [[]]
    arrangements = [arrangement for arrangement in _ARRANGEMENTS if len(arrangement) == width]
    tables = [
        Table(separator, width, {field: position for position, field in enumerate(arrangement) if field})
        for arrangement in arrangements
    ]
    tables = [table for table in tables if first_row and _may_be_listen(table, first_row)]
    # The track that is playing now has no time, and exports begin with it.
    timed_rows = [row for row in rows if any(table.time_cell(row) not in ("", "0") for table in tables)]
    if not any(is_moment(table.time_cell(row)) for table in tables for row in (first_row, *timed_rows)):
        return None
    proven = [table for table in tables if all(is_moment(table.time_cell(row)) for row in timed_rows)]
    if len(proven) != 1:
        cells = [table.time_cell(row) for table in tables for row in timed_rows]
        example = next((cell for cell in cells if not is_moment(cell)), "")[:MAX_SHOWN_LENGTH]
        raise FormatError(
            f"has no names of columns, and not all of its rows have a time in the same place ({example!r}); {_ADVICE}"
        )
    for field in ("artist", "title"):
        if all(_is_number(proven[0].cell(row, field)) for row in (first_row, *rows)):
            raise FormatError(f"has no names of columns, and only numbers where the {field} would be; {_ADVICE}")
    for field in ("artist", "album"):
        # An artist or album has several titles, and few titles have several artists or albums.
        names, titles = ({proven[0].cell(row, f) for row in (first_row, *rows)} for f in (field, "title"))
        if len(rows) >= _MIN_COMPARED_ROWS and len(names) > len(titles):
            raise FormatError(
                f"has no names of columns, and the column where the {field} would be has more different names than "
                f"that of the title, so they may be in another order; {_ADVICE}"
            )
    return proven[0]


def _may_be_listen(table: Table, first_row: Cells) -> bool:
    """Return whether a first row is no header: it has a time, and at most one name, such as the title `Time`.

    The time may be empty if there is no name either.
    """
    time_cell, known_columns = table.time_cell(first_row), _count_known_columns(first_row)
    return known_columns <= 1 if is_moment(time_cell) else not time_cell and not known_columns


def _is_number(cell: str) -> bool:
    return re.fullmatch(r"[-+]?[\d.,]*", cell) is not None


def _count_known_columns(header: Cells) -> int:
    return sum(find_field(cell) is not None for cell in header)


def _find_named_columns(header: Cells, sample: Sequence[Cells]) -> dict[str, int]:
    """Return the position of each field.

    Raises:
        FormatError: artist, title or time has no column, or several that differ.
    """
    positions: dict[str, list[int]] = {}
    ranks = {position: find_field(cell) for position, cell in enumerate(header)}
    for position in sorted((p for p, rank in ranks.items() if rank), key=lambda p: ranks[p] or ("", 0)):
        field, _ = ranks[position] or ("", 0)
        positions.setdefault(field, []).append(position)
    columns = {field: candidates[0] for field, candidates in positions.items()}
    columns |= _choose_time_columns(header, positions, sample)
    if "artist" not in columns and "album artist" in columns:
        columns["artist"] = columns["album artist"]
    missing = [field for field in ("artist", "title", "time") if field not in columns]
    if missing == ["time"] and "end time" in columns and "ms_played" in columns:
        missing = []
    if missing:
        unknown = [cell for position, cell in enumerate(header) if not ranks[position] and cell.strip()]
        unknown_columns = f" (not known: {_shorten(unknown)})" if unknown else ""
        examples = "; ".join(f"{field} as {COMMON_NAMES[field]}" for field in missing)
        raise FormatError(
            f"names no column for the {' and the '.join(missing)}{unknown_columns}; name the {examples}, or in another "
            "language"
        )
    for field in ("artist", "title"):
        columns[field] = _choose_name_column(field, header, positions.get(field, [columns[field]]), sample)
    return columns


def _choose_name_column(field: str, header: Cells, candidates: Sequence[int], sample: Sequence[Cells]) -> int:
    """Return the column with names; one that has only numbers is the number of a track or the id of an artist."""
    columns = [p for p in candidates if not all(_is_number(cells[p].strip()) for cells in sample)] or list(candidates)
    if any(cells[p].strip() != cells[columns[0]].strip() for cells in sample for p in columns):
        names = " and ".join(repr(header[position].strip()) for position in columns)
        raise FormatError(f"the columns {names} can both be the {field}; remove one of them, or rename it")
    return columns[0]


def _choose_time_columns(
    header: Cells, positions: Mapping[str, Sequence[int]], sample: Sequence[Cells]
) -> dict[str, int]:
    """Return the column of the time, or those of the date and the time of day."""
    field = "time" if positions.get("time") else "end time"
    candidates = positions.get(field, [])
    if not candidates or not sample:
        return {}

    def columns_of(is_kind: Callable[[str], bool]) -> list[int]:
        filled = [(p, [cells[p] for cells in sample if cells[p].strip() not in ("", "0")]) for p in candidates]
        return [p for p, cells in filled if cells and sum(map(is_kind, cells)) * 2 >= len(cells)]

    moments, dates, times_of_day = columns_of(is_moment), columns_of(is_date), columns_of(is_time_of_day)
    if moments:
        for position in moments[1:]:
            if any(_differ(cells[moments[0]], cells[position]) for cells in sample):
                names = f"{header[moments[0]].strip()!r} and {header[position].strip()!r}"
                raise FormatError(f"the columns {names} have different times; remove one of them, or rename it")
        return {field: moments[0]}
    if dates and times_of_day:
        return {field: dates[0], "time of day": times_of_day[0]}
    if dates:
        return {field: dates[0]}
    example = next((cells[candidates[0]].strip() for cells in sample if cells[candidates[0]].strip()), "")
    if example:
        name = header[candidates[0]].strip()
        raise FormatError(
            f"the column {name!r} has no times (but {example[:MAX_SHOWN_LENGTH]!r}); write {_EXPECTED_TIME}"
        )
    return {}


def _differ(cell: str, other_cell: str) -> bool:
    """Return whether two times cannot be the same in different zones."""
    if has_numeric_date(cell) or has_numeric_date(other_cell):
        return False
    try:
        return abs(parse_moment(cell, DateOrder()) - parse_moment(other_cell, DateOrder())) > _DAY_AND_ZONES
    except ValueError:
        return False


def _shorten(cells: Iterable[str]) -> str:
    names = ", ".join(repr(cell.strip()[:MAX_SHOWN_LENGTH]) for cell in cells)
    return names if len(names) <= 200 else f"{names[:199]}…"
