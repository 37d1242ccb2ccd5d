"""Recognize the format of a file by its content."""

from __future__ import annotations

import re

from importers.errors import FormatError
from importers.histories.archive import HistoryFile, read_beginning
from importers.histories.registry import HISTORY_IMPORTERS, HistoryImporter

_LENGTH = 1 << 16  # bytes of a file that its format is recognized from
_PREAMBLE = re.compile(r"<\?xml[^>]{0,200}>|<!--.*?-->", re.DOTALL)
_WEB_PAGE = re.compile(r"<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE)


def recognize_format(file: HistoryFile, *, is_alone: bool) -> HistoryImporter:
    """Return the importer of a file.

    Args:
        is_alone: whether the file itself was chosen to be imported, whatever its name is.

    Raises:
        FormatError: the file cannot be read, or has none of the formats.
    """
    beginning = read_beginning(file, _LENGTH)
    text = beginning.decode("utf-8", "replace").removeprefix("\ufeff").lstrip(" \r\n")  # a tab may be an empty cell
    if not beginning.strip():
        raise FormatError("is empty; download the export again")
    if _is_web_page(text):
        raise FormatError(
            "is a web page (HTML), not an export: perhaps the page on which the service asks you to sign in; "
            "sign in there and download the export again"
        )
    if beginning.startswith(b"PK\x03\x04"):
        if file.member:
            raise FormatError("is an archive inside of an archive; unpack it and give its files")
        raise FormatError("is a damaged archive, or only the beginning of one; download the export again")
    for importer in HISTORY_IMPORTERS.values():
        if importer.recognizes_text(text):
            if is_alone or importer.includes_member(file.member or file.label):
                return importer
            raise FormatError(f"is left out: by its name, {importer.name} has something else than plays of music in it")
    raise FormatError(f"has none of the formats {', '.join(HISTORY_IMPORTERS)}; give the file as it was exported")


def _is_web_page(text: str) -> bool:
    while preamble := _PREAMBLE.match(text):
        text = text[preamble.end() :].lstrip()
    return _WEB_PAGE.match(text) is not None
