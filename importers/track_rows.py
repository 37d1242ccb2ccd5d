"""Parse a row of cells into a track of the catalogue, and derive ids for artists and albums that have none."""

from __future__ import annotations

import hashlib
import re
import unicodedata

from importers.cell_parsers import (
    MAX_ID_LENGTH,
    MAX_INTEGER,
    MAX_NAME_LENGTH,
    MISSING_VALUES,
    parse_id,
    parse_integer,
    parse_isrc,
    parse_number,
    parse_optional_id,
    parse_required_text,
    parse_text,
    parse_url,
    parse_uuid,
    strip_missing,
)
from importers.columns import ABSENT, ColumnPositions
from importers.errors import BadValue
from importers.records import TagRecord, TrackRecord

_TAG_KINDS = {"genre": "genre", "mood": "mood", "mood/theme": "mood", "instrument": "instrument", "other": "other"}
_WRITTEN_LIST = re.compile(r"\[\s*['\"{(\[].*\]$|\{.*\}$", re.DOTALL)  # of JSON, Python or NumPy


class TrackRowParser:
    """Parser of the rows of one file that describe tracks.

    A file without a column of titles, or of artist names, gets the placeholders `Track <id>` and `Artist <id>`.

    Args:
        columns: the positions of the fields. Rows must end with the empty cell that ABSENT refers to.
        file: the name of the file, for the records.
        namespace: the prefix of ids; "" for none.
    """

    def __init__(self, columns: ColumnPositions, file: str, namespace: str) -> None:
        self.columns, self.file = columns, file
        self.prefix = f"{namespace}:" if namespace else ""
        self.has_titles = columns.get("title", ABSENT) != ABSENT
        self.has_artist_names = columns.get("artist", ABSENT) != ABSENT

    def describes_track(self, cells: list[str]) -> bool:
        """Return whether a row names both the title and the artist, or the ids that stand in for them."""
        title = self._cell(cells, "title" if self.has_titles else "id")
        artist = self._cell(cells, "artist" if self.has_artist_names else "artist_id")
        return bool(title.strip() and artist.strip() and (strip_missing(title) or strip_missing(artist)))

    def parse(self, cells: list[str], line: int) -> TrackRecord:
        """Return the track of a row. Raises BadValue."""
        max_length = MAX_ID_LENGTH - len(self.prefix)
        track = parse_id("track", self._cell(cells, "id"), max_length)
        own_artist_id = parse_optional_id("artist_id", self._cell(cells, "artist_id"), max_length)
        artist = self._parse_artist(cells, own_artist_id)
        artist_id = shorten_id(self.prefix + (own_artist_id or f"name:{normalize_name(artist)}"))
        album = parse_text("album", self._cell(cells, "album"), MAX_NAME_LENGTH)
        own_album_id = parse_optional_id("album_id", self._cell(cells, "album_id"), max_length)
        if own_album_id:
            album, album_id = album or f"Album {own_album_id}", f"{self.prefix}{own_album_id}"
        else:
            album_id = shorten_id(f"{artist_id}/{normalize_name(album)}") if album else ""
        return TrackRecord(
            external_id=f"{self.prefix}{track}",
            title=self._parse_title(cells, track),
            artist=artist,
            artist_id=artist_id,
            album=album,
            album_id=album_id,
            year=parse_integer("year", self._cell(cells, "year"), 1000, 2100),
            duration_ms=self._parse_duration(cells),
            isrc=parse_isrc("isrc", self._cell(cells, "isrc")),
            mbid=parse_uuid("mbid", self._cell(cells, "mbid")),
            tempo=parse_number("tempo", self._cell(cells, "tempo"), 20, 400),
            energy=parse_number("energy", self._cell(cells, "energy"), 0, 1),
            valence=parse_number("valence", self._cell(cells, "valence"), 0, 1),
            danceability=parse_number("danceability", self._cell(cells, "danceability"), 0, 1),
            acousticness=parse_number("acousticness", self._cell(cells, "acousticness"), 0, 1),
            preview_url=parse_url("preview_url", self._cell(cells, "preview_url")),
            cover_url=parse_url("cover_url", self._cell(cells, "cover_url")),
            tags=self._parse_tags(cells),
            has_placeholder_names=not (self.has_titles and self.has_artist_names),
            file=self.file,
            line=line,
        )

    def _cell(self, cells: list[str], field: str) -> str:
        return cells[self.columns.get(field, ABSENT)]

    def _parse_title(self, cells: list[str], track_id: str) -> str:
        if not self.has_titles:
            return f"Track {track_id}"
        title = parse_required_text("title", self._cell(cells, "title"), MAX_NAME_LENGTH)
        # One of the two may be a name: there are tracks called None and artists called NULL.
        if title in MISSING_VALUES and self._cell(cells, "artist").strip() in MISSING_VALUES:
            raise BadValue("title", title, "a title; programs write it for a missing value")
        return title

    def _parse_artist(self, cells: list[str], artist_id: str) -> str:
        if not self.has_artist_names and artist_id:
            return f"Artist {artist_id}"
        return parse_required_text("artist", self._cell(cells, "artist"), MAX_NAME_LENGTH)

    def _parse_duration(self, cells: list[str]) -> int | None:
        """Return milliseconds, from duration_ms or else duration_s."""
        milliseconds = parse_integer("duration_ms", self._cell(cells, "duration_ms"), 1)
        if milliseconds is not None:
            return milliseconds
        seconds = parse_number("duration_s", self._cell(cells, "duration_s"), 0.001, MAX_INTEGER // 1000)
        return None if seconds is None else round(seconds * 1000)

    def _parse_tags(self, cells: list[str]) -> tuple[TagRecord, ...]:
        written: list[tuple[str, str]] = []
        for field, default_kind in (("tags", "other"), ("genres", "genre")):
            cell = strip_missing(self._cell(cells, field))
            if cell in ("[]", "{}"):
                continue
            if _WRITTEN_LIST.match(cell):
                raise BadValue(field, cell, "names separated by a bar; write rock|pop")
            written += [(text, default_kind) for text in cell.split("|")]
        tags = (parse_tag(text.strip(), default_kind) for text, default_kind in written if text.strip())
        return tuple(dict.fromkeys(tags))


def parse_tag(text: str, default_kind: str) -> TagRecord:
    """Return the tag written as `name`, `kind:name` or `kind---name`.

    A colon after anything but a kind belongs to the name, as in `AC: DC`. Raises BadValue if the name is too long.
    """
    name, kind = text, default_kind
    for separator in ("---", ":"):
        prefix, has_separator, suffix = text.partition(separator)
        prefix_kind = _TAG_KINDS.get(prefix.strip().lower())
        if has_separator and suffix.strip() and (prefix_kind or separator == "---"):
            name, kind = suffix.strip(), prefix_kind or "other"
            break
    if len(name) > MAX_ID_LENGTH:
        raise BadValue("tags", name, f"a tag of at most {MAX_ID_LENGTH} characters")
    return TagRecord(name, kind)


def normalize_name(name: str) -> str:
    """Return a form that is equal for names that differ in case, white space or Unicode composition only."""
    return " ".join(unicodedata.normalize("NFC", name).casefold().split())


def shorten_id(identifier: str) -> str:
    """Return an id of at most MAX_ID_LENGTH characters, with a hash in place of the end of a longer one."""
    if len(identifier) <= MAX_ID_LENGTH:
        return identifier
    digest = hashlib.blake2b(identifier.encode(), digest_size=16).hexdigest()
    return f"{identifier[: MAX_ID_LENGTH - 1 - len(digest)]}~{digest}"
