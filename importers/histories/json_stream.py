"""Read JSON of any length one item at a time, in bounded memory.

ijson was measured and not adopted. On exports of 50 to 60 MB it is as fast for Spotify and saves 0.06 to 0.17 s for
ListenBrainz and Last.fm, in the same memory. But its C backend turns half a surrogate pair into "?", where the row has
to be refused, and it bounds neither depth (30,000 opening brackets take 2 GB) nor length (a text of 64 MB takes 28 s).
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Collection, Iterable, Iterator
from typing import Any

from importers.delimited_text import MAX_LINE_LENGTH, decode_lines, split_lines
from importers.errors import FormatError
from importers.histories.archive import HistoryFile, read_beginning
from importers.records import RefusedRow

MAX_ITEM_LENGTH = 16 << 20  # characters; a page of a thousand tracks has about one million
_NUMBER_ENDS = tuple(" \t\r\n,]}")
_SEPARATORS = re.compile(r"[\s,]*")


def read_items(
    blocks: Iterable[bytes], file: str, list_names: Collection[str] = frozenset()
) -> Iterator[tuple[int, Any]]:
    """Yield `(number, item)` for the items of an array, or for values that follow each other; numbers start at 1.

    Args:
        blocks: the content of the file.
        file: the name of the file, for error messages.
        list_names: if the file is an object, the items are those of its first list with one of these names.

    Raises:
        FormatError: the file is not JSON, or ends too early. The items before the fault are yielded first.
    """
    text = _TextBuffer(_decode_blocks(blocks, file))
    text.skip_separators()
    is_in_object = bool(list_names) and text.starts_with("{")
    if is_in_object:
        text.enter_list(list_names, file)
    if is_array := text.starts_with("["):
        text.position += 1
    number = 0
    while text.skip_separators() and not (is_array and text.starts_with("]")):
        number += 1
        yield number, text.decode_item(f"{file}: item {number}")
    if is_array and not text.starts_with("]"):
        raise FormatError(f"{file}: ends after item {number}, before the end of the list; download the export again")
    text.position += is_array
    if text.skip_separators() and not is_in_object:
        raise FormatError(f"{file}: continues after the end of the list; download the export again")


class _TextBuffer:
    """The text that was read but not yet decoded: `text` from `position` on."""

    def __init__(self, chunks: Iterator[str]) -> None:
        self.chunks, self.text, self.position = chunks, "", 0

    def read_more(self, characters: int = 1) -> bool:
        """Drop the decoded text, append at least this many characters, and return whether there were any."""
        new_chunks = []
        while characters > 0 and (chunk := next(self.chunks, "")):
            new_chunks.append(chunk)
            characters -= len(chunk)
        self.text, self.position = self.text[self.position :] + "".join(new_chunks), 0
        return bool(new_chunks)

    def skip_separators(self) -> bool:
        """Skip white space and commas, and return whether any text follows."""
        while True:
            self.position = _SEPARATORS.match(self.text, self.position).end()  # type: ignore[union-attr]
            if self.position < len(self.text):
                return True
            if not self.read_more():
                return False

    def starts_with(self, character: str) -> bool:
        return self.text.startswith(character, self.position)

    def enter_list(self, names: Collection[str], file: str) -> None:
        """Move from the beginning of an object to that of its first list with one of the names. Raises FormatError."""
        self.position += 1
        while self.skip_separators() and not self.starts_with("}"):
            name = self.decode_item(f"{file}: the object")
            if self.skip_separators() and self.starts_with(":"):
                self.position += 1
                self.skip_separators()
            if name in names and self.starts_with("["):
                return
            self.decode_item(f"{file}: {name!r:.80}")
        raise FormatError(f"{file}: has no list {' or '.join(sorted(names))}; download the export again")

    def decode_item(self, place: str) -> Any:
        """Return the item at the position. Raises FormatError with the `place`."""
        while True:
            available = len(self.text) - self.position
            try:
                item, end = _DECODER.raw_decode(self.text, self.position)
            except (ValueError, RecursionError) as error:
                # The item may be incomplete. Doubling the text each time keeps repeated decoding linear.
                is_final = isinstance(error, RecursionError) or available > MAX_ITEM_LENGTH
                if is_final or not self.read_more(available):
                    raise FormatError(f"{place} is not valid JSON, or is cut off; download the export again") from error
                continue
            # A number at the end of the text may have further digits.
            is_complete = isinstance(item, dict | list | str) or self.text[end : end + 1] in _NUMBER_ENDS
            if is_complete or not self.read_more():
                self.position = min(end, len(self.text))
                return item


def _decode_blocks(blocks: Iterable[bytes], file: str) -> Iterator[str]:
    """Yield texts that are not empty."""
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    try:
        for block in blocks:
            if text := decoder.decode(block):
                yield text
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        if undamaged_text := error.object[: error.start].decode():
            yield undamaged_text
        raise FormatError(f"{file}: is not UTF-8 ({error.reason}); download the export again") from error


def is_json_lines(file: HistoryFile) -> bool:
    """Return whether the first line of a file is a JSON object of its own."""
    first_line, line_end, _ = read_beginning(file, MAX_LINE_LENGTH).removeprefix(codecs.BOM_UTF8).partition(b"\n")
    try:
        return bool(line_end) and isinstance(_DECODER.decode(first_line.decode()), dict)
    except (ValueError, RecursionError):
        return False


def read_json_lines(blocks: Iterable[bytes], file: str) -> Iterator[tuple[int, Any]]:
    """Yield `(line number, item)`; the item is a RefusedRow for a line that is not JSON."""
    for line, text, reason in decode_lines(split_lines(blocks), "utf-8"):
        if text is None:
            yield line, RefusedRow(file, line, reason)
            continue
        try:
            yield line, _DECODER.decode(text)
        except (ValueError, RecursionError) as error:
            yield line, RefusedRow(file, line, f"line: is not JSON ({error})", "line: is not JSON")


# NaN and Infinity, which are not JSON, are what some programs write for a missing value.
_DECODER = json.JSONDecoder(parse_constant=lambda name: None)
