"""The tags that people gave to the artists of HetRec 2011 Last.fm-2K."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

from importers import cell_parsers
from importers.csv_lines import Row
from importers.errors import BadValue
from importers.records import RefusedRow, TagRecord

TAGS, TAGGED = "tags.dat", "user_taggedartists.dat"
AGREED = 2  # people who must have given a tag before it says something about the artist rather than about them
FEW = 3  # with fewer tags agreed on, an artist keeps all it has
MOST = 10  # tags of one artist
GENRES = 300  # the most used tags are nearly all names of genres, those after them mostly private notes


class Tagging:
    """Who is called what by how many. Its size is that of the catalogue's tags, not of the plays."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        self.given: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.genres: frozenset[str] = frozenset()

    def read_names(self, rows: Iterable[Row]) -> Iterator[RefusedRow]:
        for line, cells, fault in rows:
            if cells is None:
                yield RefusedRow(TAGS, line, fault)
                continue
            try:
                self.names[cell_parsers.parse_required_text("tagID", cells[0], cell_parsers.MAX_ID_LENGTH)] = (
                    cell_parsers.parse_required_text("tagValue", cells[1], cell_parsers.MAX_ID_LENGTH)
                )
            except BadValue as bad:
                yield RefusedRow(TAGS, line, str(bad))

    def read_given(self, rows: Iterable[Row]) -> Iterator[RefusedRow]:
        """One row: one person gave one tag to one artist, once. Artists and tags nobody knows the name of are left."""
        used: Counter[str] = Counter()
        for line, cells, fault in rows:
            if cells is None:
                yield RefusedRow(TAGGED, line, fault)
            elif cells[2] in self.names:
                self.given[cells[1]][cells[2]] += 1
                used[cells[2]] += 1
        self.genres = frozenset(sorted(used, key=lambda tag: (-used[tag], self.names[tag]))[:GENRES])

    def of(self, artist: str) -> tuple[TagRecord, ...]:
        """The artist's strongest tags, weight = people; equals by name."""
        people = self.given.get(artist, Counter())
        agreed = {tag: n for tag, n in people.items() if n >= AGREED}
        chosen = agreed if len(agreed) >= FEW else people
        strongest = sorted(chosen, key=lambda tag: (-chosen[tag], self.names[tag]))[:MOST]
        return tuple(
            TagRecord(self.names[tag], "genre" if tag in self.genres else "other", float(chosen[tag]))
            for tag in strongest
        )
