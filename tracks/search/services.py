"""Write the documents that searches read. `tracks.services` calls this in the transaction that changes the names."""

from collections.abc import Iterable
from typing import Any

from tracks.models import AlbumDocument, ArtistDocument, SearchWord, TrackDocument
from tracks.search.documents import document_fields, word_fields

AT_ONCE = 5_000  # documents of a statement


def index_tracks(names: Iterable[tuple[int, str, str]]) -> None:
    """Make tracks findable by their present names: the id, the title and the artist's name of each."""
    _index(TrackDocument, names)


def index_albums(names: Iterable[tuple[int, str, str]]) -> None:
    """Make albums findable by their present names: the id, the title and the artist's name of each."""
    _index(AlbumDocument, names)


def index_artists(names: Iterable[tuple[int, str]]) -> None:
    """Make artists findable by their present names: the id and the name of each."""
    _index(ArtistDocument, ((pk, name, "") for pk, name in names))


def _index(model: Any, names: Iterable[tuple[int, str, str]]) -> None:
    rows = sorted(names)  # everybody writes in the same order, so that two transactions do not wait for each other
    for start in range(0, len(rows), AT_ONCE):
        documents = [
            model(pk=pk, **document_fields(title, artist)) for pk, title, artist in rows[start : start + AT_ONCE]
        ]
        model.objects.bulk_create(
            documents,
            update_conflicts=True,
            unique_fields=["pk"],
            update_fields=["title", "artist_name", "words"],
        )
        SearchWord.objects.bulk_create(
            [SearchWord(**fields) for fields in word_fields(document.words for document in documents)],
            ignore_conflicts=True,
        )
