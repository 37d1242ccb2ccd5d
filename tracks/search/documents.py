"""What the tables of search contain, for the services and for the migration that filled them."""

from collections.abc import Iterable

from tracks.search.words import MAX_WORD_LENGTH, split_name

MIN_CORRECTED_LENGTH = 4  # letters of a word that may contain a typing error


def document_fields(title: str, artist_name: str) -> dict[str, str]:
    """Return the columns of the document of a track or album, or of an artist if there is no second name."""
    title_words, artist_words = split_name(title), split_name(artist_name)
    return {
        "title": title_words.text,
        "artist_name": artist_words.text,
        "words": " ".join(dict.fromkeys(title_words.keys + artist_words.keys)),
    }


def word_fields(texts: Iterable[str]) -> list[dict[str, str]]:
    """Return the columns of the words that typing errors are corrected to, each word once, in a fixed order."""
    words = {word for text in texts for word in text.split(" ")}
    lengths = range(MIN_CORRECTED_LENGTH - 1, MAX_WORD_LENGTH + 1)
    return [
        {"word": word, "head_key": head_key(word, len(word)), "tail_key": tail_key(word, len(word))}
        for word in sorted(words)
        if len(word) in lengths
    ]


def head_key(word: str, length: int) -> str:
    """Return the key of words with this length that begin as this one."""
    return f"{length}{word[: _key_letters(length)]}"


def tail_key(word: str, length: int) -> str:
    """Return the key of words with this length that end as this one."""
    return f"{length}{word[-_key_letters(length) :]}"


def _key_letters(length: int) -> int:
    """Return how many letters a key has. With three letters of a short word, an error would often be in both keys."""
    return 2 if length <= 6 else 3
