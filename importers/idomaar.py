"""The idomaar files of 30Music: a line per track, artist, play, session or loved track, with properties as JSON."""

from __future__ import annotations

import json
from array import array
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote_plus

from importers.cell_parsers import (
    CLOCK_TOLERANCE,
    MAX_ID_LENGTH,
    MAX_INTEGER,
    MAX_LABEL_LENGTH,
    MAX_NAME_LENGTH,
    parse_id,
    parse_required_text,
    parse_time,
)
from importers.delimited_text import TextLine, read_header_line, read_lines
from importers.errors import BadValue, FormatError
from importers.play_rows import infer_completion
from importers.records import PlayRecord, Record, RefusedRow, TagRecord, TrackRecord, placeholder_track, play_event_id

# Names come before the tracks that refer to them, and tracks before their plays.
KINDS = ("person", "album", "tag", "track", "event.play", "event.session", "preference")
_NAME_KINDS = ("person", "album", "tag")
MAX_TAGS = 10  # of one track
MIN_SCROBBLED_MS = 30_000  # Last.fm counts no play of a track that is shorter
_MAX_TRACK_NUMBER = 1 << 24  # the data set has 5.7 million tracks; durations are kept in an array
_SHORTEST_MS = 10_000  # a shorter duration is in seconds
_DECODER = json.JSONDecoder()


class IdomaarLine(NamedTuple):
    """A line: what it describes, its id, a time or "", its properties and the things that it links."""

    kind: str
    id: str
    time: str
    properties: dict[str, Any]
    links: dict[str, Any]


_Records = list[TrackRecord] | list[TrackRecord | PlayRecord]


def kind_of_file(path: Path) -> str:
    """Return the kind of the lines of a file; "" if this is not an idomaar file. Raises FormatError."""
    kind, _, rest = read_header_line(path).partition("\t")
    if "{" not in rest:  # the header of a table may begin with the name of a kind
        return ""
    if kind in ("user", "playlist"):
        raise FormatError(f"{path}: lines of the kind {kind} are not imported; leave the file out")
    return kind if kind in KINDS else ""


def parse_line(text: str) -> IdomaarLine:
    """Split a line. Between time, properties and links there are tabs or, in some of the files, spaces."""
    kind, _, rest = text.partition("\t")
    identifier, _, rest = rest.partition("\t")
    time, brace, rest = rest.partition("{")
    rest = brace + rest
    values: list[dict[str, Any]] = []
    while rest := rest.strip():
        try:
            value, end = _DECODER.raw_decode(rest)
        except ValueError as error:
            raise BadValue("line", rest, "JSON") from error
        if not isinstance(value, dict):
            raise BadValue("line", rest, "a JSON object")
        values.append(value)
        rest = rest[end:]
    values += [{}, {}]
    return IdomaarLine(kind, identifier.strip(), time.strip(), values[0], values[1])


class IdomaarReader:
    """Reader of the files of one import.

    Memory holds the names of artists, albums and tags, the ids of the tracks, and four bytes for each track's duration,
    but no plays.

    Args:
        namespace: the prefix of ids; "" for none.
        as_of: the UNIX second of loved tracks that carry no time.
    """

    def __init__(self, namespace: str, as_of: int) -> None:
        self.namespace, self.as_of, self.latest = namespace, as_of, as_of + CLOCK_TOLERANCE
        self.prefix = f"{namespace}:" if namespace else ""
        self.max_id_length = MAX_ID_LENGTH - len(self.prefix)
        self.names: dict[str, dict[str, str]] = {kind: {} for kind in _NAME_KINDS}
        self.durations = array("i")  # milliseconds by the number of the track, 0 for unknown
        self.seen_tracks: set[str] = set()

    def read(self, files: Sequence[Path], on_bytes: Callable[[int], None]) -> Iterator[Record]:
        """Yield the records of the files, those with names first and those with plays last."""
        for path in sorted(files, key=lambda file: KINDS.index(kind_of_file(file))):
            for line in read_lines(path, on_bytes):
                yield from self._read_line(path.name, line)

    def _read_line(self, file: str, text_line: TextLine) -> Iterator[Record]:
        number, text, reason = text_line
        if text is None:
            yield RefusedRow(file, number, reason)
            return
        try:
            line = parse_line(text)
            if line.kind in _NAME_KINDS:
                self._add_name(line)
                return
            records: _Records
            if line.kind == "track":
                records = [self._parse_track(line)]
            elif line.kind == "event.session":
                records = self._parse_session(line)
            elif line.kind in ("event.play", "preference"):
                records = self._parse_event(line)
            else:
                raise BadValue("kind", line.kind, f"one of {', '.join(KINDS)}")
        except BadValue as error:
            yield RefusedRow(file, number, str(error))
            return
        for record in records:
            if isinstance(record, TrackRecord):
                self.seen_tracks.add(record.external_id)
            yield record._replace(file=file, line=number)

    def _add_name(self, line: IdomaarLine) -> None:
        name = line.properties.get({"person": "name", "album": "title", "tag": "value"}[line.kind])
        if not isinstance(name, str):
            raise BadValue("name", "" if name is None else str(name), "a text")
        name = " ".join(unquote_plus(name).split())
        self.names[line.kind][line.id] = parse_required_text("name", name, MAX_NAME_LENGTH)

    def _parse_track(self, line: IdomaarLine) -> TrackRecord:
        """Return the track, without its MusicBrainz id, which other tracks of the data set share."""
        track = parse_id("track", line.id, self.max_id_length)
        # The name is an address of Last.fm, with the artist before the title.
        written_artist, separator, written_title = str(line.properties.get("name") or "").partition("/_/")
        title = unquote_plus(written_title if separator else written_artist).strip()
        artist = unquote_plus(written_artist).strip() if separator else ""
        artist_id = next(iter(_linked_ids(line.links, "artists")), "")
        artist = self.names["person"].get(artist_id) or artist or (f"Artist {artist_id}" if artist_id else "")
        album_id = next(iter(_linked_ids(line.links, "albums")), "")
        tags = [self.names["tag"].get(tag, "")[:MAX_ID_LENGTH] for tag in _linked_ids(line.links, "tags")]
        duration_ms = _whole_number(line.properties.get("duration"))
        if duration_ms and duration_ms < _SHORTEST_MS:
            duration_ms *= 1000
        self._keep_duration(track, duration_ms or 0)
        artist = parse_required_text("artist", artist, MAX_NAME_LENGTH)
        return TrackRecord(
            external_id=f"{self.prefix}{track}",
            title=parse_required_text("title", title, MAX_NAME_LENGTH),
            artist=artist,
            artist_id=f"{self.prefix}{artist_id or f'of-track:{track}'}",
            album=(self.names["album"].get(album_id) or f"Album {album_id}") if album_id else "",
            album_id=f"{self.prefix}{album_id}" if album_id else "",
            duration_ms=duration_ms or None,
            tags=tuple(TagRecord(tag) for tag in dict.fromkeys(tags) if tag)[:MAX_TAGS],
        )

    def _parse_event(self, line: IdomaarLine) -> list[TrackRecord | PlayRecord]:
        user, tracks = self._linked_user(line), _linked_ids(line.links, "objects")
        if not tracks:
            raise BadValue("track", "", "the id of a track in objects")
        kind = "play" if line.kind == "event.play" else "like"
        # Many loved tracks carry no time.
        time = None if kind == "like" and line.time in ("", "-1", "0") else parse_time("time", line.time, self.latest)
        ms_played = _milliseconds(line.properties.get("playtime"))
        return [
            record for track in tracks for record in self._build_play(user, track, time, kind, ms_played, session="")
        ]

    def _parse_session(self, line: IdomaarLine) -> list[TrackRecord | PlayRecord]:
        user, began = self._linked_user(line), parse_time("time", line.time, self.latest)
        session = parse_id("session", line.id, MAX_LABEL_LENGTH)
        records: list[TrackRecord | PlayRecord] = []
        for item in line.links.get("objects") or []:
            if isinstance(item, dict) and item.get("id") is not None:
                time = min(began + (_whole_number(item.get("playstart")) or 0), self.latest)
                ms_played = _milliseconds(item.get("playtime"))
                records += self._build_play(user, str(item["id"]), time, "play", ms_played, session)
        return records

    def _build_play(
        self, user: str, track: str, time: int | None, kind: str, ms_played: int | None, session: str
    ) -> list[TrackRecord | PlayRecord]:
        """Return the play, and before it the track if the import has not named it."""
        track = parse_id("track", track, self.max_id_length)
        track_id = f"{self.prefix}{track}"
        duration_ms = self._duration(track)
        if ms_played is None or duration_ms:
            milestone, is_completed = infer_completion(kind, ms_played, None, None, duration_ms)
        else:  # how much of the track this is, is unknown
            is_completed = kind == "play" and ms_played >= MIN_SCROBBLED_MS
            milestone = 100 if is_completed else 0
        play = PlayRecord(
            user,
            track_id,
            self.as_of if time is None else time,
            kind=kind,
            ms_played=ms_played,
            milestone=milestone,
            is_completed=is_completed,
            session=session,
            event_id=play_event_id(self.namespace, user, track_id, time, kind),
        )
        return [play] if track_id in self.seen_tracks else [placeholder_track(self.prefix, track), play]

    def _linked_user(self, line: IdomaarLine) -> str:
        user = next(iter(_linked_ids(line.links, "subjects")), "")
        return f"{self.prefix}{parse_id('user', user, self.max_id_length)}"

    def _keep_duration(self, track: str, duration_ms: int) -> None:
        if duration_ms and track.isdecimal() and (number := int(track)) < _MAX_TRACK_NUMBER:
            if number >= len(self.durations):
                self.durations.frombytes(bytes(self.durations.itemsize * (number + 1 - len(self.durations))))
            self.durations[number] = duration_ms

    def _duration(self, track: str) -> int:
        number = int(track) if track.isdecimal() else _MAX_TRACK_NUMBER
        return self.durations[number] if number < len(self.durations) else 0


def _linked_ids(links: dict[str, Any], name: str) -> list[str]:
    """Return the ids of linked things. The lists are null or contain empty lists in some lines."""
    items = links.get(name)
    if not isinstance(items, list):
        return []
    return [str(item["id"]) for item in items if isinstance(item, dict) and item.get("id") is not None]


def _whole_number(value: Any) -> int | None:
    """Return a number without its fraction; None for -1, which stands for an unknown one, and for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MAX_INTEGER:
        return None
    return int(value)


def _milliseconds(seconds: Any) -> int | None:
    number = _whole_number(seconds)
    return None if number is None or number > MAX_INTEGER // 1000 else number * 1000
