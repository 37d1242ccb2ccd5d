"""yambda: the Yambda data set of Yandex Music; listeners, tracks, artists and albums are numbers without names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from importers.arrow_columns import ColumnReader, column_reader
from importers.cell_parsers import CLOCK_TOLERANCE, MAX_ID_LENGTH, MAX_INTEGER, parse_id, parse_integer, strip_missing
from importers.errors import BadValue, FormatError
from importers.parquet import import_pyarrow, open_parquet, read_batches
from importers.play_rows import infer_completion
from importers.records import PlayRecord, Record, RefusedRow, TrackRecord, placeholder_track, play_event_id
from importers.registry import Importer
from importers.tables import resolve_files, total_size

PUBLISHED = 1_748_390_400  # 2025-05-28
LAST_SECOND = 26_000_000  # the timestamps are seconds since an unknown day, 300 days before the last event
KINDS_BY_FILE = {
    "listens": "listen",
    "likes": "like",
    "unlikes": "unlike",
    "dislikes": "dislike",
    "undislikes": "undislike",
}
_KINDS = {"listen": "play"} | {kind: kind for kind in KINDS_BY_FILE.values() if kind != "listen"}
_ALL_EVENTS = "multi_event"
_MAPPINGS = ("artist_item_mapping.parquet", "album_item_mapping.parquet")
FILE_NAMES = (*_MAPPINGS, f"{_ALL_EVENTS}.parquet", *(f"{name}.parquet" for name in KINDS_BY_FILE))
_EVENT_COLUMNS = ("uid", "item_id", "timestamp", "is_organic", "event_type", "played_ratio_pct", "track_length_seconds")
_SEQUENTIAL_BATCH_SIZE = 16  # rows; each has all events of a listener
_MAX_ITEM = 1 << 24  # the data set has 9.4 million tracks; their artists and albums are kept in arrays


def read(paths: Sequence[Path], *, namespace: str, as_of: int, on_bytes: Callable[[int], None]) -> Iterator[Record]:
    """Stream the events, each track (`Track <id>` by `Artist <id>`) before its first event; see ReadRecords.

    The last event of the data set is placed at `as_of`.
    """
    files = {path: _columns_of(path) for path in _find_files(paths)}
    event_files = {path: columns for path, columns in files.items() if "uid" in columns}
    kinds = {path: _kind_of_file(path, columns) for path, columns in event_files.items()}
    readers = {path: _event_readers(path, columns) for path, columns in event_files.items()}

    def read_files() -> Iterator[Record]:
        mappings = {"artist_id": _ItemMapping(), "album_id": _ItemMapping()}
        for path, columns in files.items():
            if path not in event_files:
                name = "artist_id" if "artist_id" in columns else "album_id"
                mappings[name].read(path, name, on_bytes)
        parser = _EventParser(namespace, as_of, mappings["artist_id"], mappings["album_id"])
        for path, column_readers in readers.items():
            for row, cells in _read_events(path, column_readers, event_files[path], on_bytes):
                yield from parser.parse(path.name, row, kinds[path], cells)

    return read_files()


IMPORTER = Importer(
    "yambda",
    read,
    total_bytes=lambda paths: total_size(_find_files(paths)),
    namespace="yambda",
    as_of=PUBLISHED,
)


def _find_files(paths: Sequence[Path]) -> list[Path]:
    """Return the files. In a folder, the file of all events stands for those of each type."""
    files = resolve_files(paths, FILE_NAMES, (f"{_ALL_EVENTS}.parquet", "listens.parquet"))
    complete = {file.parent for file in files if file.stem == _ALL_EVENTS}
    return [file for file in files if file in paths or file.stem not in KINDS_BY_FILE or file.parent not in complete]


def _columns_of(path: Path) -> dict[str, Any]:
    """Return the types of the columns. Raises FormatError if the file is not one of the data set's."""
    with open_parquet(path) as file:
        columns = {field.name: field.type for field in file.schema_arrow}
    if {"uid", "item_id", "timestamp"} <= columns.keys() or (
        "item_id" in columns and ("artist_id" in columns or "album_id" in columns)
    ):
        return columns
    raise FormatError(
        f"{path}: the columns are {', '.join(columns)[:200]}; give files of events (uid, item_id, timestamp), "
        f"{' and '.join(_MAPPINGS)}"
    )


def _kind_of_file(path: Path, columns: Mapping[str, Any]) -> str:
    """Return the type of the events of a file; "" if a column says it."""
    if "event_type" in columns:
        return ""
    kind = KINDS_BY_FILE.get(path.stem, "listen" if "played_ratio_pct" in columns else "")
    if not kind:
        raise FormatError(
            f"{path}: there is no column event_type, and the file has none of the names "
            f"{', '.join(f'{name}.parquet' for name in KINDS_BY_FILE)}; give it the name it was published under"
        )
    return kind


def _event_readers(path: Path, columns: Mapping[str, Any]) -> dict[str, ColumnReader]:
    pyarrow = import_pyarrow()
    readers = {}
    for name in _EVENT_COLUMNS:
        if name in columns:
            column_type = columns[name]
            if _is_list(pyarrow, column_type):  # of the sequential files, where a row has all events of a listener
                column_type = column_type.value_type
            readers[name] = column_reader(pyarrow, f"{path}: the column {name}", name, column_type)
    return readers


def _is_list(pyarrow: Any, column_type: Any) -> bool:
    return bool(pyarrow.types.is_list(column_type) or pyarrow.types.is_large_list(column_type))


def _read_events(
    path: Path, readers: Mapping[str, ColumnReader], columns: Mapping[str, Any], on_bytes: Callable[[int], None]
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the number of the row, and the cells by column; no cells if the lists of a row differ in length."""
    pyarrow = import_pyarrow()
    lists = [name for name in readers if _is_list(pyarrow, columns[name])]
    row = 0
    for batch in read_batches(path, list(readers), on_bytes, _SEQUENTIAL_BATCH_SIZE if lists else 4096):
        if not lists:
            texts = [read_column(batch.column(name)) for name, read_column in readers.items()]
            for cells in zip(*texts, strict=True):
                row += 1
                yield row, {name: cell or "" for name, cell in zip(readers, cells, strict=True)}
            continue
        for index in range(batch.num_rows):
            row += 1
            events: dict[str, list[str | None]] = {}
            for name in lists:
                values = batch.column(name)[index].values
                events[name] = [] if values is None else readers[name](values)
            if len({len(cells) for cells in events.values()}) != 1:
                yield row, {}
                continue
            shared = {
                name: readers[name](batch.column(name).slice(index, 1))[0] for name in readers if name not in lists
            }
            for cells in zip(*events.values(), strict=True):
                named = shared | dict(zip(events, cells, strict=True))
                yield row, {name: cell or "" for name, cell in named.items()}


class _ItemMapping:
    """The first artist, or album, of each track; 4 bytes for each track."""

    def __init__(self) -> None:
        self.values = np.zeros(0, np.uint32)  # the id and 1; 0 for none

    def read(self, path: Path, name: str, on_bytes: Callable[[int], None]) -> None:
        for batch in read_batches(path, ["item_id", name], on_bytes, 1 << 16):
            pairs = zip(batch.column("item_id").to_pylist(), batch.column(name).to_pylist(), strict=True)
            valid = [
                (item, value)
                for item, value in pairs
                if isinstance(item, int) and isinstance(value, int) and 0 <= item < _MAX_ITEM and 0 <= value < 2**32 - 1
            ]
            if not valid:
                continue
            items, values = np.array(valid[::-1], np.int64).T  # reversed: of several assignments the last one counts
            if items.max() >= len(self.values):
                self.values = np.concatenate([self.values, np.zeros(items.max() + 1 - len(self.values), np.uint32)])
            is_new = self.values[items] == 0
            self.values[items[is_new]] = values[is_new] + 1

    def get(self, item: str) -> str:
        """Return the id for a track, or ""."""
        number = int(item) if item.isdecimal() else _MAX_ITEM
        value = int(self.values[number]) if number < len(self.values) else 0
        return str(value - 1) if value else ""


class _EventParser:
    """Parser of events, which yields each track before its first event."""

    def __init__(self, namespace: str, as_of: int, artists: _ItemMapping, albums: _ItemMapping) -> None:
        self.namespace, self.start = namespace, as_of - LAST_SECOND
        self.artists, self.albums = artists, albums
        self.prefix = f"{namespace}:" if namespace else ""
        self.seen_items: set[str] = set()

    def parse(self, file: str, row: int, kind: str, cells: Mapping[str, str]) -> Iterator[Record]:
        """Yield the records of an event, whose type is `kind` or in the cell event_type."""
        try:
            if not cells:
                raise BadValue("row", "its lists", "of the same length")
            max_id_length = MAX_ID_LENGTH - len(self.prefix)
            user = f"{self.prefix}{parse_id('uid', cells['uid'], max_id_length)}"
            item = parse_id("item_id", cells["item_id"], max_id_length)
            second = parse_integer("timestamp", cells["timestamp"], 0, LAST_SECOND + CLOCK_TOLERANCE)
            if second is None:
                raise BadValue("timestamp", "", "seconds since the start of the data set")
            written_kind = kind or strip_missing(cells["event_type"])
            if written_kind not in _KINDS:
                raise BadValue("event_type", written_kind, f"one of {', '.join(_KINDS)}")
            percent = parse_integer("played_ratio_pct", cells.get("played_ratio_pct", ""), 0)
            length = parse_integer("track_length_seconds", cells.get("track_length_seconds", ""), 0)
        except BadValue as error:
            yield RefusedRow(file, row, str(error))
            return
        duration_ms = length * 1000 if length and length <= MAX_INTEGER // 1000 else None
        if item not in self.seen_items:
            self.seen_items.add(item)
            yield self._build_track(item, duration_ms)._replace(file=file, line=row)
        kind = _KINDS[written_kind]
        # A listener who goes back hears more than 100 % of a track.
        ms_played = min(duration_ms * percent // 100, MAX_INTEGER) if duration_ms and percent is not None else None
        milestone, is_completed = infer_completion(kind, None, None if percent is None else min(percent, 100), None)
        is_organic = cells.get("is_organic", "")
        yield PlayRecord(
            user,
            f"{self.prefix}{item}",
            self.start + second,
            kind=kind,
            ms_played=ms_played,
            milestone=milestone,
            is_completed=is_completed,
            context="recommendation" if is_organic in ("0", "false") else "organic" if is_organic else "",
            # With the second of the data set, so that another as_of does not add the events again.
            event_id=play_event_id(self.namespace, user, f"{self.prefix}{item}", second, kind),
            file=file,
            line=row,
        )

    def _build_track(self, item: str, duration_ms: int | None) -> TrackRecord:
        artist, album = self.artists.get(item), self.albums.get(item)
        if not artist:
            return placeholder_track(self.prefix, item)._replace(duration_ms=duration_ms)
        return TrackRecord(
            external_id=f"{self.prefix}{item}",
            title=f"Track {item}",
            artist=f"Artist {artist}",
            artist_id=f"{self.prefix}{artist}",
            album=f"Album {album}" if album else "",
            album_id=f"{self.prefix}{album}" if album else "",
            duration_ms=duration_ms,
            has_placeholder_names=True,
        )
