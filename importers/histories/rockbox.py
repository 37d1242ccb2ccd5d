"""rockbox: the `.scrobbler.log` of Rockbox and other portable players, in Audioscrobbler's format 1.0 or 1.1.

A line has artist, album, title, number of the track, length in seconds, L (listened) or S (skipped), UNIX time and,
since 1.1, the MusicBrainz id of the recording, separated by tabs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from importers.cell_parsers import MAX_NAME_LENGTH
from importers.delimited_text import decode_lines, split_lines
from importers.errors import BadValue
from importers.histories.archive import HistoryFile, read_blocks
from importers.histories.json_values import (
    MAX_MS,
    integer_or_none,
    require_text,
    require_unix_time,
    text_or_empty,
    uuid_or_empty,
)
from importers.histories.registry import HistoryImporter, HistoryRecord
from importers.records import FileNote, ListenRecord, RefusedRow

_MAGIC, _TIME_ZONE = "#AUDIOSCROBBLER/", "#TZ/"
_LOCAL_TIME_NOTE = (
    "the player does not know its time zone, so the times are those of its clock, read as UTC; they may be wrong by "
    "some hours"
)
_MIN_FIELDS, _MAX_FIELDS = 7, 8


def recognizes_text(text: str) -> bool:
    return text.startswith(_MAGIC)


def read(file: HistoryFile, latest: int, on_bytes: Callable[[int], None]) -> Iterator[HistoryRecord]:
    """Stream the listens of a file; see HistoryImporter."""
    has_note = False
    for line, text, reason in decode_lines(split_lines(read_blocks(file, on_bytes)), "utf-8"):
        if text is None:
            yield RefusedRow(str(file), line, reason)
            continue
        if not has_note and text.startswith(_TIME_ZONE) and text.removeprefix(_TIME_ZONE).strip().upper() != "UTC":
            has_note = True
            yield FileNote(str(file), _LOCAL_TIME_NOTE)
        fields = text.split("\t")
        if text.startswith("#") and not (len(fields) >= _MIN_FIELDS and fields[6].strip().isdecimal()):
            continue  # a comment; but there are artists whose names begin with #
        try:
            yield _parse_fields(fields, latest)._replace(file=str(file), line=line)
        except BadValue as error:
            yield RefusedRow(str(file), line, str(error), error.kind)


IMPORTER = HistoryImporter("rockbox", read, recognizes_text, lists_scrobbles=True)


def _parse_fields(fields: Sequence[str], latest: int) -> ListenRecord:
    if not _MIN_FIELDS <= len(fields) <= _MAX_FIELDS:
        raise BadValue("line", f"{len(fields)} fields", f"a line of {_MIN_FIELDS} or {_MAX_FIELDS} fields")
    artist, album, title, _, length, rating, time, *mbid = fields
    if rating.strip().upper() not in ("L", "S", ""):
        raise BadValue("rating", rating, "L (listened) or S (skipped)")
    seconds = integer_or_none(length, MAX_MS // 1000)
    return ListenRecord(
        artist=require_text("artist", artist),
        title=require_text("title", title),
        time=require_unix_time("time", time, latest),
        album=text_or_empty(album, MAX_NAME_LENGTH),
        end_reason="skipped" if rating.strip().upper() == "S" else "",
        mbid=uuid_or_empty(mbid[0].strip()) if mbid else "",
        duration_ms=seconds * 1000 if seconds else None,
    )
