"""Rows of comma, semicolon or tab separated text files of any size."""

from __future__ import annotations

import csv
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from importers.errors import FormatError

BLOCK_SIZE = 1 << 16  # bytes read at once: about 1,000 lines between two calls of on_bytes
MAX_LINE_LENGTH = 1 << 20  # bytes; a longer line is not a table row, and would have to be held in memory
MAX_CONTINUATION_LINES = 20  # lines that a quoted field may continue for after its first one
SEPARATORS = "\t;,"  # in order of preference
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_STRAY_QUOTE = (
    'quotes: a quoted field does not end where it should; write a quote inside a quoted field as "", '
    "and put quotes around a field that begins with one"
)

TextLine = tuple[int, str | None, str]
"""(1-based line number, text without its line end, ""), or (line number, None, why the line is refused)."""

CellRow = tuple[int, list[str] | None, str]
"""(1-based number of the row's first line, cells, ""), or (line number, None, why the row is refused)."""


def read_header_line(path: Path, encoding: str = "utf-8") -> str:
    """Return the first line of a file. Raises FormatError if it cannot be read or is empty."""
    try:
        raw = next(split_lines(_read_file_blocks(path, lambda n: None)), b"").removeprefix(_BYTE_ORDER_MARK)
    except OSError as error:
        raise FormatError(f"{path}: {error.strerror}; check the path and its permissions") from error
    try:
        text = raw.decode(encoding).rstrip("\r")
    except UnicodeDecodeError as error:
        raise FormatError(f"{path}: the header line is not {encoding.upper()}; save the file as UTF-8") from error
    if not text.strip():
        raise FormatError(f"{path}: the first line is empty; it must name the columns")
    if "\0" in text or len(raw) > MAX_LINE_LENGTH:
        raise FormatError(f"{path}: this is not a text file; give a text file whose first line names the columns")
    return text


def detect_separator(header: str) -> str:
    """Return the separator that occurs most often in the header line; in a tie, tab before semicolon before comma."""
    return max(SEPARATORS, key=header.count)


def split_header(header: str, separator: str) -> list[str]:
    """Return the names of the columns in lower case."""
    cells = header.split(separator)
    if '"' in header and separator != "\t":
        with suppress(csv.Error):
            cells = next(csv.reader([header], delimiter=separator, skipinitialspace=True, strict=True))
    return [cell.strip().strip('"').strip().lower() for cell in cells]


def read_rows(
    path: Path, separator: str, column_count: int, on_bytes: Callable[[int], None], encoding: str = "utf-8"
) -> Iterator[CellRow]:
    """Yield the rows that follow the header line of a file."""
    lines = read_lines(path, on_bytes, encoding)
    next(lines)  # the header
    return split_rows(lines, separator, column_count)


def read_lines(path: Path, on_bytes: Callable[[int], None], encoding: str = "utf-8") -> Iterator[TextLine]:
    """Yield the lines of a file that are not blank."""
    return decode_lines(split_lines(_read_file_blocks(path, on_bytes)), encoding)


def _read_file_blocks(path: Path, on_bytes: Callable[[int], None]) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(BLOCK_SIZE):
            yield block
            on_bytes(len(block))


def split_lines(blocks: Iterable[bytes]) -> Iterator[bytes]:
    r"""Yield the lines of a file that is read in blocks.

    Lines end at `\n` only, so that line numbers are those that editors and `wc` show. A line that is too long is cut
    at MAX_LINE_LENGTH + 1 bytes, for the caller to notice, and the rest of it is skipped.
    """
    unfinished = b""
    for block in blocks:
        lines = block.split(b"\n")
        lines[0] = unfinished + lines[0]
        unfinished = lines.pop()[: MAX_LINE_LENGTH + 1]
        yield from lines
    if unfinished:
        yield unfinished


def decode_lines(lines: Iterable[bytes], encoding: str) -> Iterator[TextLine]:
    """Yield the lines that are not blank, without byte order mark and carriage returns at their ends."""
    for number, raw in enumerate(lines, 1):
        if number == 1:
            raw = raw.removeprefix(_BYTE_ORDER_MARK)
        if len(raw) > MAX_LINE_LENGTH:
            yield number, None, f"line: longer than {MAX_LINE_LENGTH:,} bytes"
            continue
        if b"\0" in raw:
            yield number, None, "line: contains a NUL character"
            continue
        try:
            text = raw.decode(encoding)
        except UnicodeDecodeError as error:
            yield number, None, f"line: byte {error.start + 1} is not {encoding.upper()}; save the file as UTF-8"
            continue
        if text and (text[-1] != "\r" or (text := text[:-1])) and not (text[0] == " " and text.isspace()):
            yield number, text, ""


def split_rows(lines: Iterator[TextLine], separator: str, column_count: int) -> Iterator[CellRow]:
    """Yield rows of `column_count` cells each.

    Tab separated text has no quoting: there a quote is an ordinary character.
    """
    pushed_back: deque[TextLine] = deque()
    allow_quotes = separator != "\t"
    while (line := pushed_back.popleft() if pushed_back else next(lines, None)) is not None:
        number, text, reason = line
        if text is None:
            yield number, None, reason
        elif allow_quotes and '"' in text:
            yield _split_quoted_row(line, lines, pushed_back, separator, column_count)
        elif len(cells := text.split(separator)) == column_count:
            yield number, cells, ""
        else:
            yield number, None, _describe_wrong_width(len(cells), column_count)


def _describe_wrong_width(cell_count: int, column_count: int) -> str:
    return f"fields: {cell_count} of them where the header names {column_count} columns"


def _split_quoted_row(
    first: TextLine, lines: Iterator[TextLine], pushed_back: deque[TextLine], separator: str, column_count: int
) -> CellRow:
    """Parse the row that begins with `first`, taking further lines while a quoted field is open.

    Three readings are tried: with spaces before quoted fields, with spaces on both sides of them, and with quotes
    behind a space as ordinary characters. If none has the right number of cells, only `first` is refused: the other
    lines go to `pushed_back`, to be rows of their own. Otherwise a single stray quote would swallow the rows that
    follow it.
    """
    reason = ""
    for skip_before, skip_after in ((True, False), (True, True), (False, False)):
        continuation: list[TextLine] = []
        lines_of_row = _take_lines(first, lines, pushed_back, continuation)
        if skip_after:  # csv.reader skips the spaces before a quoted field only
            lines_of_row = (re.sub(rf'" +(?={re.escape(separator)}|$)', '"', text) for text in lines_of_row)
        reader = csv.reader(lines_of_row, delimiter=separator, skipinitialspace=skip_before, strict=True)
        try:
            cells = next(reader)
        except csv.Error:
            cells = []
        if len(cells) == column_count:
            return first[0], cells, ""
        pushed_back.extendleft(reversed(continuation))
        if not reason:
            is_one_line = bool(cells) and not continuation
            reason = _describe_wrong_width(len(cells), column_count) if is_one_line else _STRAY_QUOTE
    return first[0], None, reason


def _take_lines(
    first: TextLine, lines: Iterator[TextLine], pushed_back: deque[TextLine], continuation: list[TextLine]
) -> Iterator[str]:
    """Yield the lines of a row to csv.reader, which takes another one only while a quoted field is open.

    Those after the first one are added to `continuation`.
    """
    yield f"{first[1]}\n"
    while len(continuation) < MAX_CONTINUATION_LINES:
        line = pushed_back.popleft() if pushed_back else next(lines, None)
        if line is None:
            return
        continuation.append(line)
        if line[1] is None or line[0] > first[0] + MAX_CONTINUATION_LINES:
            return
        yield f"{line[1]}\n"
