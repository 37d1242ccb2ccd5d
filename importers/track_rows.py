"""Cells of a row → a track of the catalogue, and the ids of artists and albums that have none."""

from __future__ import annotations

import hashlib
import unicodedata

from importers import cell_parsers
from importers.cell_parsers import MAX_ID_LENGTH, MAX_NAME_LENGTH
from importers.columns import ABSENT, Positions
from importers.errors import BadValue
from importers.records import TagRecord, TrackRecord

_KINDS = {"genre": "genre", "mood": "mood", "mood/theme": "mood", "instrument": "instrument", "other": "other"}


class TrackRows:
    """Reads the rows of one file that tells of tracks. Cells end with the empty one that ABSENT points to.

    A file without a column of titles, or with ids of artists but no names, gives `Track <id>`, `Artist <id>`.
    """

    def __init__(self, at: Positions, file: str, namespace: str) -> None:
        self.at, self.file = at, file
        self.prefix = f"{namespace}:" if namespace else ""
        self.titled, self.named = at.get("title", ABSENT) != ABSENT, at.get("artist", ABSENT) != ABSENT

    def tells(self, cells: list[str]) -> bool:
        """Whether the row says what its track is called and whose it is."""
        title = cells[self.at["title" if self.titled else "id"]].strip()
        return bool(title and cells[self.at["artist" if self.named else "artist_id"]].strip())

    def read(self, cells: list[str], line: int) -> TrackRecord:
        """Raises BadValue."""
        room = MAX_ID_LENGTH - len(self.prefix)
        track = cell_parsers.parse_required_text("track", self._cell(cells, "id"), room)
        given_artist = cell_parsers.parse_text("artist_id", self._cell(cells, "artist_id"), room)
        artist = self._name(cells, "artist", given_artist)
        artist_id = short_id(self.prefix + (given_artist or f"name:{normalised(artist)}"))
        album = cell_parsers.parse_text("album", self._cell(cells, "album"), MAX_NAME_LENGTH)
        given_album = cell_parsers.parse_text("album_id", self._cell(cells, "album_id"), room)
        if album:
            album_id = f"{self.prefix}{given_album}" if given_album else short_id(f"{artist_id}/{normalised(album)}")
        else:
            album_id = f"{self.prefix}{given_album}" if given_album else ""
        return TrackRecord(
            f"{self.prefix}{track}",
            self._name(cells, "title", track),
            artist,
            artist_id,
            album or (f"Album {given_album}" if given_album else ""),
            album_id,
            cell_parsers.parse_integer("year", self._cell(cells, "year"), 1000, 2100),
            self._duration(cells),
            cell_parsers.parse_isrc("isrc", self._cell(cells, "isrc")),
            cell_parsers.parse_uuid("mbid", self._cell(cells, "mbid")),
            cell_parsers.parse_number("tempo", self._cell(cells, "tempo"), 20, 400),
            cell_parsers.parse_number("energy", self._cell(cells, "energy"), 0, 1),
            cell_parsers.parse_number("valence", self._cell(cells, "valence"), 0, 1),
            cell_parsers.parse_number("danceability", self._cell(cells, "danceability"), 0, 1),
            cell_parsers.parse_number("acousticness", self._cell(cells, "acousticness"), 0, 1),
            cell_parsers.parse_url("preview_url", self._cell(cells, "preview_url")),
            cell_parsers.parse_url("cover_url", self._cell(cells, "cover_url")),
            self._tags(cells),
            not (self.titled and self.named),
            self.file,
            line,
        )

    def _cell(self, cells: list[str], field: str) -> str:
        return cells[self.at.get(field, ABSENT)]

    def _name(self, cells: list[str], field: str, identity: str) -> str:
        """What it is called; made from its id where the file has no such column."""
        if (self.titled if field == "title" else self.named) or not identity:
            return cell_parsers.parse_required_text(field, self._cell(cells, field), MAX_NAME_LENGTH)
        return f"{'Track' if field == 'title' else 'Artist'} {identity}"

    def _duration(self, cells: list[str]) -> int | None:
        """Milliseconds."""
        milliseconds = cell_parsers.parse_integer("duration_ms", self._cell(cells, "duration_ms"), 1)
        if milliseconds is None:
            seconds = cell_parsers.parse_number(
                "duration_s", self._cell(cells, "duration_s"), 0.001, cell_parsers.MAX_INTEGER // 1000
            )
            return None if seconds is None else round(seconds * 1000)
        return milliseconds

    def _tags(self, cells: list[str]) -> tuple[TagRecord, ...]:
        written = [(part, "other") for part in self._cell(cells, "tags").split("|")]
        written += [(part, "genre") for part in self._cell(cells, "genres").split("|")]
        tags = (tag(part.strip(), kind) for part, kind in written if part.strip())
        return tuple(dict.fromkeys(tags))


def tag(written: str, kind: str) -> TagRecord:
    """From `name`, `kind:name` or `kind---name`; a colon after anything but a kind belongs to the name."""
    for separator in ("---", ":"):
        before, found, after = written.partition(separator)
        known = _KINDS.get(before.strip().lower())
        if found and after.strip() and (known or separator == "---"):
            written, kind = after.strip(), known or "other"
            break
    if len(written) > MAX_ID_LENGTH:
        raise BadValue("tags", written, f"a tag of at most {MAX_ID_LENGTH} characters")
    return TagRecord(written, kind)


def normalised(name: str) -> str:
    """Spellings of a name that differ in capitals, white space or Unicode composition become one."""
    return " ".join(unicodedata.normalize("NFC", name).casefold().split())


def short_id(identity: str) -> str:
    """An id of at most 128 characters; of a longer one the end is replaced by its hash."""
    if len(identity) <= MAX_ID_LENGTH:
        return identity
    digest = hashlib.blake2b(identity.encode(), digest_size=16).hexdigest()
    return f"{identity[: MAX_ID_LENGTH - 1 - len(digest)]}~{digest}"
