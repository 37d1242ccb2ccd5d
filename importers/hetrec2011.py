"""hetrec2011: the original files of HetRec 2011 Last.fm-2K. Its artists are imported as tracks."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from importers.cell_parsers import MAX_ID_LENGTH, MAX_NAME_LENGTH, is_url, parse_required_text
from importers.delimited_text import CellRow, read_header_line, read_rows, split_header
from importers.errors import BadValue, FormatError
from importers.play_rows import PlayRowParser
from importers.records import PlayRecord, Record, RefusedRow, TagRecord, TrackRecord
from importers.registry import Importer
from importers.tables import total_size

PUBLISHED = 1_304_208_000  # 2011-05-01; the totals of plays carry no times
ARTISTS, PLAYS, TAGS, TAGGED_ARTISTS = "artists.dat", "user_artists.dat", "tags.dat", "user_taggedartists.dat"
_HEADERS = {
    ARTISTS: ["id", "name", "url", "pictureurl"],
    PLAYS: ["userid", "artistid", "weight"],
    TAGS: ["tagid", "tagvalue"],
    TAGGED_ARTISTS: ["userid", "artistid", "tagid", "day", "month", "year"],
}
_ENCODINGS = {TAGS: "latin-1"}  # the other files are UTF-8
_PLAY_COLUMNS = {"user": 0, "track": 1, "plays": 2}

MIN_TAGGERS = 2  # a tag that one person gave says more about the person than about the artist
MIN_AGREED_TAGS = 3  # an artist with fewer tags that MIN_TAGGERS people gave gets all of its tags
MAX_TAGS = 10  # of one artist
GENRE_COUNT = 300  # the tags used most are nearly all genres, the others mostly private notes


def read(paths: Sequence[Path], *, namespace: str, as_of: int, on_bytes: Callable[[int], None]) -> Iterator[Record]:
    """Stream the artists of each folder with their tags, then its totals of plays; see ReadRecords."""
    folders = _check_folders(paths)
    for folder in folders:
        for file in _files(folder):
            header = split_header(read_header_line(file, _ENCODINGS.get(file.name, "utf-8")), "\t")
            if header != _HEADERS[file.name]:
                raise FormatError(
                    f"{file}: the header is {' '.join(header)[:100]}, not {' '.join(_HEADERS[file.name])}; give the "
                    "original, tab-separated file"
                )
    return (record for folder in folders for record in _read_folder(folder, namespace, as_of, on_bytes))


def total_bytes(paths: Sequence[Path]) -> int:
    return total_size(file for folder in _check_folders(paths) for file in _files(folder))


IMPORTER = Importer("hetrec2011", read, total_bytes, namespace="lastfm", as_of=PUBLISHED)


def _check_folders(paths: Sequence[Path]) -> list[Path]:
    for folder in paths:
        if not folder.is_dir():
            raise FormatError(f"{folder}: this is not a folder; give the folder that holds {ARTISTS} and {PLAYS}")
        for name in (ARTISTS, PLAYS):
            if not (folder / name).is_file():
                raise FormatError(f"{folder / name}: there is no such file; unpack the whole data set into one folder")
    if not paths:
        raise FormatError(f"no input: give the folder that holds {ARTISTS} and {PLAYS}")
    return list(paths)


def _has_tags(folder: Path) -> bool:
    """Return whether the folder has both files of tags; either is of no use without the other."""
    return (folder / TAGS).is_file() and (folder / TAGGED_ARTISTS).is_file()


def _files(folder: Path) -> list[Path]:
    names = [ARTISTS, PLAYS, *([TAGS, TAGGED_ARTISTS] if _has_tags(folder) else [])]
    return [folder / name for name in names]


def _read_folder(folder: Path, namespace: str, as_of: int, on_bytes: Callable[[int], None]) -> Iterator[Record]:
    def read_cells(name: str) -> Iterator[CellRow]:
        return read_rows(folder / name, "\t", len(_HEADERS[name]), on_bytes, _ENCODINGS.get(name, "utf-8"))

    tags = ArtistTags()
    if _has_tags(folder):
        yield from tags.read_names(read_cells(TAGS))
        yield from tags.read_assignments(read_cells(TAGGED_ARTISTS))
    artist_ids: set[str] = set()
    yield from _read_artists(read_cells(ARTISTS), namespace, tags, artist_ids)
    yield from _read_plays(read_cells(PLAYS), namespace, as_of, artist_ids)


def _read_artists(
    rows: Iterator[CellRow], namespace: str, tags: ArtistTags, artist_ids: set[str]
) -> Iterator[TrackRecord | RefusedRow]:
    """Yield the artists, and add their ids to `artist_ids` as the file writes them."""
    prefix = f"{namespace}:" if namespace else ""
    for line, cells, reason in rows:
        if cells is None:
            yield RefusedRow(ARTISTS, line, reason)
            continue
        try:
            artist_id = parse_required_text("id", cells[0], MAX_ID_LENGTH - len(prefix))
            name = parse_required_text("name", cells[1], MAX_NAME_LENGTH)
        except BadValue as error:
            yield RefusedRow(ARTISTS, line, str(error))
            continue
        artist_ids.add(artist_id)
        picture_url = cells[3].strip()
        yield TrackRecord(
            external_id=f"{prefix}{artist_id}",
            title=name,
            artist=name,
            artist_id=f"{prefix}{artist_id}",
            cover_url=picture_url if is_url(picture_url) else "",
            tags=tags.strongest_tags(artist_id),
            file=ARTISTS,
            line=line,
        )


def _read_plays(
    rows: Iterator[CellRow], namespace: str, as_of: int, artist_ids: set[str]
) -> Iterator[PlayRecord | RefusedRow]:
    parser = PlayRowParser(_PLAY_COLUMNS, PLAYS, namespace, as_of)
    for line, cells, reason in rows:
        if cells is None:
            yield RefusedRow(PLAYS, line, reason)
            continue
        artist_id = cells[1].strip()
        try:
            if artist_id and artist_id not in artist_ids:
                raise BadValue("artistID", cells[1], f"the id of an artist in {ARTISTS}")
            parse_required_text("weight", cells[2], MAX_ID_LENGTH)
            yield parser.parse([*cells, ""], line)
        except BadValue as error:
            yield RefusedRow(PLAYS, line, str(error))


class ArtistTags:
    """Counts of the people who gave each tag to each artist. Its size depends on the tags, not on the plays."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        self.tagger_counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.genres: frozenset[str] = frozenset()

    def read_names(self, rows: Iterator[CellRow]) -> Iterator[RefusedRow]:
        """Read the names of the tags, and yield the rows that are refused."""
        for line, cells, reason in rows:
            if cells is None:
                yield RefusedRow(TAGS, line, reason)
                continue
            try:
                tag_id = parse_required_text("tagID", cells[0], MAX_ID_LENGTH)
                self.names[tag_id] = parse_required_text("tagValue", cells[1], MAX_ID_LENGTH)
            except BadValue as error:
                yield RefusedRow(TAGS, line, str(error))

    def read_assignments(self, rows: Iterator[CellRow]) -> Iterator[RefusedRow]:
        """Count who gave which tag, one row each, and yield the rows that are refused. Unknown tags are left out."""
        use_counts: Counter[str] = Counter()
        for line, cells, reason in rows:
            if cells is None:
                yield RefusedRow(TAGGED_ARTISTS, line, reason)
                continue
            _, artist_id, tag_id, *_ = cells
            if tag_id in self.names:
                self.tagger_counts[artist_id][tag_id] += 1
                use_counts[tag_id] += 1
        by_use = sorted(use_counts, key=lambda tag_id: (-use_counts[tag_id], self.names[tag_id]))
        self.genres = frozenset(by_use[:GENRE_COUNT])

    def strongest_tags(self, artist_id: str) -> tuple[TagRecord, ...]:
        """Return the tags that most people gave to the artist; their number is the weight, and ties go by name."""
        counts = self.tagger_counts.get(artist_id, Counter())
        agreed = {tag_id: count for tag_id, count in counts.items() if count >= MIN_TAGGERS}
        eligible = agreed if len(agreed) >= MIN_AGREED_TAGS else counts
        strongest = sorted(eligible, key=lambda tag_id: (-eligible[tag_id], self.names[tag_id]))[:MAX_TAGS]
        return tuple(
            TagRecord(self.names[tag_id], "genre" if tag_id in self.genres else "other", float(eligible[tag_id]))
            for tag_id in strongest
        )
