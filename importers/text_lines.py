"""Physical lines of a text file, however long they or the file are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from importers.errors import FormatError

BLOCK = 1 << 16  # bytes read at once: about 1,000 lines between two calls of on_bytes
MAX_LINE = 1 << 20  # bytes; more is no table row, and would have to be held in memory
_BOM = b"\xef\xbb\xbf"

Line = tuple[int, str | None, str]
"""1-based number, the text without its line end, and "" — or no text, and why not."""


def blocks_of(path: Path, on_bytes: Callable[[int], None]) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            yield block
            on_bytes(len(block))


def raw_lines(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Lines at `\\n` only, so that a line number is what every editor and `wc` shows. One that is too long is cut at
    MAX_LINE + 1 bytes and its rest skipped."""
    kept = b""
    for block in blocks:
        lines = block.split(b"\n")
        lines[0] = kept + lines[0]
        kept = lines.pop()[: MAX_LINE + 1]
        yield from lines
    if kept:
        yield kept


def numbered_lines(path: Path, encoding: str, on_bytes: Callable[[int], None]) -> Iterator[Line]:
    """Every line that is not blank. A byte order mark is left out, as is a carriage return at the line's end."""
    return numbered(raw_lines(blocks_of(path, on_bytes)), encoding)


def numbered(lines: Iterable[bytes], encoding: str) -> Iterator[Line]:
    """The same of lines from anywhere."""
    for number, raw in enumerate(lines, 1):
        if number == 1:
            raw = raw.removeprefix(_BOM)
        if b"\0" in raw or len(raw) > MAX_LINE:
            long = len(raw) > MAX_LINE
            yield number, None, f"line: longer than {MAX_LINE:,} bytes" if long else "line: contains a NUL character"
            continue
        try:
            text = raw.decode(encoding)
        except UnicodeDecodeError as error:
            yield number, None, f"line: byte {error.start + 1} is not {encoding.upper()}; save the file as UTF-8"
            continue
        if text and (text[-1] != "\r" or (text := text[:-1])) and not (text[0] == " " and text.isspace()):
            yield number, text, ""


def header_line(path: Path, encoding: str = "utf-8") -> str:
    """The first line. Raises FormatError where there is none that can be read."""
    try:
        raw = next(raw_lines(blocks_of(path, lambda n: None)), b"").removeprefix(_BOM)
    except OSError as error:
        raise FormatError(f"{path}: {error.strerror}; check the path and who may read it") from error
    try:
        text = raw.decode(encoding).rstrip("\r")
    except UnicodeDecodeError as error:
        raise FormatError(f"{path}: the header line is not {encoding.upper()}; save the file as UTF-8") from error
    if not text.strip():
        raise FormatError(f"{path}: the first line is empty; it must name the columns")
    if "\0" in text or len(raw) > MAX_LINE:
        raise FormatError(f"{path}: this is not a text file; give a text file whose first line names the columns")
    return text
