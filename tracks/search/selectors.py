"""Find tracks, albums and artists by what somebody types into a search box.

First the documents are found that contain all words of the query, the last of which may be unfinished. If these are
few, words that differ by a typing error are accepted as well. The candidates are then compared with the query as a
whole, since neither database can order so many of them quickly.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import Q, QuerySet
from rapidfuzz import fuzz
from rapidfuzz.distance import OSA

from tracks.models import Album, Artist, SearchWord, Track
from tracks.search.documents import MIN_CORRECTED_LENGTH, head_key, tail_key
from tracks.search.words import QueryWord, split_query

MAX_RESULTS = 300  # of a query
ENOUGH = 5  # results without corrections; with fewer, typing errors are looked for
MAX_CORRECTIONS = 20  # of a word
TWO_ERRORS_LENGTH = 8  # letters of a word that may contain two typing errors
ARTIST_WEIGHT = 0.9  # a track whose title is the query precedes the other tracks of an artist of that name
SHORT_BEGINNING = 2  # letters
LAST_CHARACTER = "\U0010ffff"
Names = tuple[int, str, str]  # an object's id, its title and its artist's name


class SearchHit(NamedTuple):
    """A search result. Hits are ordered by their values."""

    is_corrected: bool
    distance: float
    pk: int


def search_catalogue(model: type[Track | Album | Artist], query: str, only: Q) -> list[SearchHit]:
    """Return the best matches for a query, at most MAX_RESULTS.

    Args:
        model: what to search.
        query: as typed.
        only: a filter on the objects.
    """
    text, words = split_query(query)
    if not words:
        return []
    objects = model._default_manager.filter(only, document__isnull=False)
    candidates = set(_containing(objects, [[word] for word in words]))
    if len(candidates) == MAX_RESULTS:
        candidates |= set(_beginning_with(objects, text))
    hits = [SearchHit(False, _distance(text, title, artist), pk) for pk, title, artist in candidates]
    if len(candidates) < ENOUGH and (corrections := _corrections(words, only_unknown=bool(candidates))):
        corrected = set(_containing(objects, [[word, *corrections.get(word, [])] for word in words])) - candidates
        hits += [SearchHit(True, _distance(text, title, artist), pk) for pk, title, artist in corrected]
    return sorted(hits)[:MAX_RESULTS]


def find_artist_by_name(name: str) -> int | None:
    """Return the artist with a name, however it is written; None if there is none.

    Of several artists it is the one that is written in the same way, else the oldest.
    """
    # The documents of search have an index of names, and both databases fold capitals and accents alike there.
    folded_name, _ = split_query(name)
    if not folded_name:
        return None
    named = Artist.objects.filter(document__title=folded_name).order_by("pk").values_list("name", "pk")
    return min(named, key=lambda row: row[0].casefold() != name.casefold(), default=("", None))[1]


def _containing(objects: QuerySet[Any], words: Sequence[Sequence[QueryWord]]) -> Iterable[Names]:
    """Return objects whose documents contain one of the alternatives for each word."""
    kind = objects.model._meta.model_name
    document = f"tracks_{kind}document"
    if connection.vendor == "postgresql":
        indexed, beginnings = _split_off_short_beginning(words)
        terms = (" | ".join(f"{_quote(word.text)}{':*' * word.is_prefix}" for word in group) for group in indexed)
        query = " & ".join(f"({term})" for term in terms)
        where = [f"{document}.word_vector @@ %s::tsquery"]
        where += [f"strpos(' ' || {document}.words, %s) > 0" for _ in beginnings]
        matching = objects.extra(where=where, params=[query, *beginnings])  # noqa: S610
    else:
        terms = (" OR ".join(f'"{word.text}"{"*" * word.is_prefix}' for word in group) for group in words)
        query = " AND ".join(f"({term})" for term in terms)
        index = f"{kind}_words"
        where = [f"{index} MATCH %s", f"{index}.rowid = {document}.{kind}_id"]
        matching = objects.extra(tables=[index], where=where, params=[query])  # noqa: S610
    return matching.order_by().values_list("pk", "document__title", "document__artist_name")[:MAX_RESULTS]


def _split_off_short_beginning(words: Sequence[Sequence[QueryWord]]) -> tuple[Sequence[Sequence[QueryWord]], list[str]]:
    """Return the words to look up in GIN, and an unfinished word of one or two letters as a text to search for.

    GIN would read the places of all words with this beginning, a tenth of the catalogue, before anything else.
    """
    *others, last = words
    if others and len(last) == 1 and last[0].is_prefix and len(last[0].text) <= SHORT_BEGINNING:
        return others, [f" {last[0].text}"]
    return words, []


def _quote(word: str) -> str:
    """Quote a word for PostgreSQL's tsquery. Words contain no quotation marks."""
    return "'" + word.replace("\\", "\\\\") + "'"


def _beginning_with(objects: QuerySet[Any], text: str) -> Iterable[Names]:
    """Return objects whose titles begin with the query, of which there may be more than could be compared."""
    if connection.vendor == "postgresql":
        beginning = Q(document__title__startswith=text)
    else:  # where LIKE does not use the index
        beginning = Q(document__title__gte=text, document__title__lt=text + LAST_CHARACTER)
    matching = objects.filter(beginning).order_by()
    return matching.values_list("pk", "document__title", "document__artist_name")[:MAX_RESULTS]


def _distance(text: str, title: str, artist: str) -> float:
    """Return how different the names of an object are from a query: 0 for the same, 1 for nothing in common."""
    similarity = fuzz.ratio(text, title)
    if artist:
        both = (fuzz.ratio(text, f"{title} {artist}"), fuzz.ratio(text, f"{artist} {title}"))
        similarity = max(similarity, *both, ARTIST_WEIGHT * fuzz.ratio(text, artist))
    return round(1 - similarity / 100, 4)


def _corrections(words: Sequence[QueryWord], only_unknown: bool) -> dict[QueryWord, list[QueryWord]]:
    """Return similar words of the catalogue for the words that are in no document.

    If each is in one, but in different ones, any of them may be wrong. This is checked unless `only_unknown` is true.
    """
    long_words = [word for word in words if len(word.text) >= MIN_CORRECTED_LENGTH]
    known = set(SearchWord.objects.filter(word__in=[word.text for word in long_words]).values_list("word", flat=True))
    misspelled = [word for word in long_words if word.text not in known]
    if not misspelled and not only_unknown:
        misspelled = long_words
    return {word: similar for word in misspelled if (similar := _similar_words(word.text))}


def _similar_words(word: str) -> list[QueryWord]:
    """Return the words of the catalogue that differ by one error, or by two from a long word, the nearest first.

    An error is a missing, a superfluous or a wrong letter, or two letters in the wrong order.
    """
    max_errors = 2 if len(word) >= TWO_ERRORS_LENGTH else 1
    lengths = range(len(word) - max_errors, len(word) + max_errors + 1)
    has_same_end = Q(head_key__in=[head_key(word, n) for n in lengths])
    has_same_end |= Q(tail_key__in=[tail_key(word, n) for n in lengths])
    errors = {
        other: OSA.distance(word, other, score_cutoff=max_errors)
        for other in SearchWord.objects.filter(has_same_end).values_list("word", flat=True)
    }
    similar = sorted((count, other) for other, count in errors.items() if 0 < count <= max_errors)
    return [QueryWord(other, False) for _, other in similar[:MAX_CORRECTIONS]]
