"""The words by which names are found: folded, split, and made the same way for the catalogue and for queries.

Languages that write spaces are split into words, so that the beginning of a word finds it and a typing error can be
recognised. Japanese, Chinese, Thai and the like are cut into overlapping pairs of characters.
"""

import re
from functools import lru_cache
from typing import NamedTuple

from tracks.match_keys import fold_name, replace_punctuation

MAX_NAME_LENGTH = 255  # characters of a normalised name; an index entry of PostgreSQL has room for these
MAX_WORD_LENGTH = 64
IGNORED_WORDS = frozenset(("the", "and", "by", "feat", "ft", "featuring"))  # some write them, some leave them out
_APOSTROPHES = re.compile("['’‘ʼ′`´ʹ\"]")
_HIRAGANA_BY_KATAKANA = {katakana: katakana - 0x60 for katakana in range(0x30A1, 0x30F7)}
# Kana, Han, Thai, Lao, Burmese and Khmer are written without spaces.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3041-\u30fa\u30fc-\u30ff\u31f0-\u31ff"
_UNSPACED += "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_RUNS = re.compile(f"[{_UNSPACED}]+|[^{_UNSPACED}]+")
_IS_UNSPACED = re.compile(f"[{_UNSPACED}]")
# Letters that artists replace by a sign that resembles them: P!nk, A$AP.
_SIGNS_WITHIN_WORDS = str.maketrans({"!": "i", "@": "a", "$": "s", "€": "e", "¥": "y", "£": "l"})


class NameWords(NamedTuple):
    """The words of a name: a text to compare with queries, and all words that it is found by."""

    text: str
    keys: tuple[str, ...]


class QueryWord(NamedTuple):
    """A word of a query. With `is_prefix`, it stands for every word that begins with it."""

    text: str
    is_prefix: bool


@lru_cache(maxsize=10_000)  # an import names the same artists and albums again and again
def split_name(name: str) -> NameWords:
    """Split the name of a track, artist or album.

    A word with punctuation inside is found by its parts and in one piece: AC/DC by `ac dc` and by `acdc`.
    """
    words: list[str] = []
    keys: dict[str, None] = {}
    for chunk in _chunks(name):
        parts = _split_chunk(chunk)
        words += parts
        for part in parts:
            keys.update(dict.fromkeys(_pairs(part) if _IS_UNSPACED.match(part) else [part]))
        if len(parts) > 1 and not _IS_UNSPACED.search(chunk):
            in_one_piece = "".join(_split_chunk(chunk.strip("!").translate(_SIGNS_WITHIN_WORDS)))
            keys[in_one_piece[:MAX_WORD_LENGTH]] = None
    return NameWords(" ".join(_needed(words))[:MAX_NAME_LENGTH], tuple(keys))


def split_query(query: str) -> tuple[str, list[QueryWord]]:
    """Return a text to compare with names, and the words that must occur. The last one may be unfinished."""
    needed = _needed([part for chunk in _chunks(query) for part in _split_chunk(chunk)])
    query_words: dict[QueryWord, None] = {}
    for number, word in enumerate(needed, 1):
        if not _IS_UNSPACED.match(word):
            query_words[QueryWord(word, number == len(needed))] = None
        elif len(word) == 1:
            query_words[QueryWord(word, True)] = None
        else:
            query_words.update(dict.fromkeys(QueryWord(pair, False) for pair in _pairs(word)[:-1]))
    return " ".join(needed)[:MAX_NAME_LENGTH], list(query_words)


def _needed(words: list[str]) -> list[str]:
    """Return the words without those that people leave out, unless there are no others."""
    return [word for word in words if word not in IGNORED_WORDS] or words


def _chunks(name: str) -> list[str]:
    """Return the texts between spaces. Those of nothing but punctuation count only if there are no others."""
    folded = _APOSTROPHES.sub("", fold_name(name)).translate(_HIRAGANA_BY_KATAKANA)
    chunks = folded.replace("&", " and ").split()
    return [chunk for chunk in chunks if chunk.isalnum() or set(map(replace_punctuation, chunk)) != {" "}] or chunks


def _split_chunk(chunk: str) -> list[str]:
    """Split a text without spaces at punctuation and between scripts. A text of nothing but punctuation stays whole."""
    if chunk.isascii() and chunk.isalnum():
        return [chunk[:MAX_WORD_LENGTH]]
    if any(map(str.isalnum, chunk)):
        chunk = chunk.replace("$", "s")
    parts = [run for part in "".join(map(replace_punctuation, chunk)).split() for run in _RUNS.findall(part)]
    return [part if _IS_UNSPACED.match(part) else part[:MAX_WORD_LENGTH] for part in parts or [chunk]]


def _pairs(text: str) -> list[str]:
    """Return the overlapping pairs of characters, and the last character, by which a query for it alone finds it."""
    return [text[start : start + 2] for start in range(len(text))]
