"""JSON of any length, an item at a time."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, NoReturn

from importers.errors import FormatError

MAX_ITEM = 16 << 20  # characters; a page of a thousand tracks has about one million
_ENDS = tuple(" \t\r\n,]")  # what may stand behind a number that is whole
_NO_ITEM = re.compile(r"[\s,]*")


def items(blocks: Iterable[bytes], file: str) -> Iterator[tuple[int, Any]]:
    """`(number, item)` of an array, or of values one behind the other; numbers from 1.

    Raises FormatError where it is no JSON, when the items before have been given.
    """
    text = _Text(_texts(blocks, file))
    text.skip()
    if is_array := text.begins_with("["):
        text.at += 1
    number = 0
    while not (text.skip() or (is_array and text.begins_with("]"))):
        number += 1
        yield number, text.item(f"{file}: item {number}")
    if is_array and not text.begins_with("]"):
        raise FormatError(f"{file}: ends after item {number} of a list that goes on; get the export again")
    text.at += is_array
    if not text.skip():
        raise FormatError(f"{file}: goes on after the list has ended; get the export again")


class _Text:
    """What has been read and not been given yet: `buffer` from `at` on."""

    def __init__(self, texts: Iterator[str]) -> None:
        self.texts, self.buffer, self.at = texts, "", 0

    def more(self, characters: int = 1) -> bool:
        """Read on by so many characters at least; whether there were any."""
        new = []
        while characters > 0 and (text := next(self.texts, "")):
            new.append(text)
            characters -= len(text)
        self.buffer, self.at = self.buffer[self.at :] + "".join(new), 0
        return bool(new)

    def skip(self) -> bool:
        """Go to the next item; whether the text ends before it."""
        while True:
            self.at = _NO_ITEM.match(self.buffer, self.at).end()  # type: ignore[union-attr]
            if self.at < len(self.buffer) or not self.more():
                return self.at >= len(self.buffer)

    def begins_with(self, character: str) -> bool:
        return self.buffer.startswith(character, self.at)

    def item(self, place: str) -> Any:
        """Raises FormatError. A number may go on where the buffer ends; each further look takes in twice as much."""
        while True:
            there = len(self.buffer) - self.at
            try:
                item, end = _DECODER.raw_decode(self.buffer, self.at)
            except (ValueError, RecursionError) as error:
                if isinstance(error, RecursionError) or there > MAX_ITEM or not self.more(there):
                    raise FormatError(f"{place} is not JSON, or the file ends in it; get the export again") from error
                continue
            if self.buffer[end : end + 1] in _ENDS or isinstance(item, dict | list) or not self.more():
                self.at = min(end, len(self.buffer))
                return item


def _texts(blocks: Iterable[bytes], file: str) -> Iterator[str]:
    """The text, decoded; never an empty one."""
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    try:
        for block in blocks:
            if text := decoder.decode(block):
                yield text
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise FormatError(f"{file}: is not UTF-8 ({error.reason}); get the export again") from error


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_no_constant)
