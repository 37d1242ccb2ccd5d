"""Lines → cells: the separator, and quotes that cannot swallow a file."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator
from contextlib import suppress

from importers.text_lines import Line

SEPARATORS = "\t;,"
MAX_LINES_OF_A_FIELD = 20  # that a quoted field may go on for after its first line

Row = tuple[int, list[str] | None, str]
"""1-based number of its first line, its cells, and "" — or no cells, and why not."""

_STRAY_QUOTE = (
    'quotes: a quoted field does not end where it should; write a quote inside a quoted field as "", '
    "and put quotes around a field that begins with one"
)


def separator_of(header: str) -> str:
    """The one that stands most often in the header line; a tab or a semicolon before a comma."""
    return max(SEPARATORS, key=header.count)


def header_cells(header: str, separator: str) -> list[str]:
    """The names of the columns, in lower case."""
    cells = header.split(separator)
    if '"' in header and separator != "\t":
        with suppress(csv.Error):
            cells = next(csv.reader([header], delimiter=separator, strict=True))
    return [cell.strip().strip('"').strip().lower() for cell in cells]


def split_lines(lines: Iterator[Line], separator: str, width: int) -> Iterator[Row]:
    """Rows of `width` cells. Tab-separated text has no quoting: there a quote is an ordinary character."""
    pushed_back: deque[Line] = deque()
    quoting = separator != "\t"
    while (line := pushed_back.popleft() if pushed_back else next(lines, None)) is not None:
        number, text, fault = line
        if text is None:
            yield number, None, fault
        elif quoting and '"' in text:
            yield _quoted(line, lines, pushed_back, separator, width)
        elif len(cells := text.split(separator)) == width:
            yield number, cells, ""
        else:
            yield number, None, _wrong_width(len(cells), width)


def _wrong_width(found: int, width: int) -> str:
    return f"fields: {found} of them where the header names {width} columns"


def _quoted(line: Line, lines: Iterator[Line], pushed_back: deque[Line], separator: str, width: int) -> Row:
    """The row that begins with `line`, on further lines where a quoted field needs them to end. Unless the whole has
    the right number of cells only this line is refused, and the others are pushed back to be rows of their own."""
    borrowed: list[Line] = []
    try:
        texts = _borrow(line, lines, pushed_back, borrowed)
        cells = next(csv.reader(texts, delimiter=separator, strict=True))
    except csv.Error:
        cells = []
    if len(cells) == width:
        return line[0], cells, ""
    pushed_back.extendleft(reversed(borrowed))
    return line[0], None, _wrong_width(len(cells), width) if cells and not borrowed else _STRAY_QUOTE


def _borrow(line: Line, lines: Iterator[Line], pushed_back: deque[Line], borrowed: list[Line]) -> Iterator[str]:
    """Feeds csv.reader, which asks for another line only while a quoted field is open."""
    yield f"{line[1]}\n"
    while len(borrowed) < MAX_LINES_OF_A_FIELD:
        following = pushed_back.popleft() if pushed_back else next(lines, None)
        if following is None:
            return
        borrowed.append(following)
        if following[1] is None or following[0] > line[0] + MAX_LINES_OF_A_FIELD:
            return
        yield f"{following[1]}\n"
