"""Normalised names: match keys, by which a track is found if the client does not know its id, and names of tags."""

import hashlib
import re
import string
import unicodedata
from functools import lru_cache

from importers.html_entities import unescape_html

MAX_KEY_LENGTH = 255  # characters: the column's width
SEPARATOR = "\x1f"
MAX_ESCAPES = 3  # times that a name may have been escaped; some services do it twice
_NOT_DECOMPOSED = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ħ": "h", "ı": "i", "ð": "d", "æ": "ae", "œ": "oe", "þ": "th"}
)
_DIACRITICS = re.compile("[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]")
_APOSTROPHES = re.compile("['’‘ʼ′`´ʹ]")
_VERSION = (
    r"(?:\d{4}\s+)?(?:digital(?:ly)?\s+)?remaster(?:ed)?(?:\s+version)?(?:\s+\d{4})?(?:\s+(?:version|edition))?"
    r"|(?:album|single|original|lp|explicit|clean|stereo|mono)\s+version|explicit|bonus\s+track|(?:feat|ft|featuring)\b.*"
)
_BRACKETED = re.compile(rf"[(\[{{]\s*(?:{_VERSION})\s*[)\]}}]")
_AFTER_A_DASH = re.compile(rf"\s[-–—]\s+(?:{_VERSION})\s*$")
# Characters that are invisible without being format characters: the rest of Unicode's Default_Ignorable_Code_Point.
_IGNORABLE = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]")
_ASCII_PUNCTUATION = str.maketrans(dict.fromkeys(set(string.punctuation) - set("$+<=>`"), " "))
_GUESTS = re.compile(r"(?<=\S)\s(?:feat|ft|featuring)\s.*$")


def make_match_key(artist: str, title: str) -> str:
    """Return artist and title as one normalised text, or its hash if it is longer than the column.

    The key is empty if either name is.
    """
    names = normalize_name(artist), normalize_name(title)
    if not all(names):
        return ""
    key = SEPARATOR.join(names)
    return key if len(key) <= MAX_KEY_LENGTH else hashlib.sha256(key.encode()).hexdigest()


@lru_cache(maxsize=5_000)  # a listener plays the same artists and tracks again and again
def normalize_name(name: str) -> str:
    """Return a name without the parts that people omit or write differently.

    Removed are capitals, diacritics, punctuation, invisible marks, guests ("feat.") and editions ("(Remastered 2011)").
    Characters that were escaped for HTML ("&amp;") are what they stand for. A name that consists of nothing else is
    only folded.
    """
    folded = " ".join(fold_name(name).split())
    without_edition = _APOSTROPHES.sub("", _AFTER_A_DASH.sub("", _BRACKETED.sub(" ", folded))).replace("&", " and ")
    if without_edition.isascii():
        words = without_edition.translate(_ASCII_PUNCTUATION).split()
    else:
        words = "".join(map(replace_punctuation, without_edition)).split()
    return _GUESTS.sub("", " ".join(words)) or folded


def normalize_tag(name: str) -> str:
    """Return the name of a tag without what people write differently: capitals, diacritics, punctuation and spaces.

    Hip-Hop and hip hop are equal, and so are R&B and r and b. A name that consists of nothing else is only folded.
    """
    folded = fold_name(name)
    words = "".join(map(replace_punctuation, _APOSTROPHES.sub("", folded).replace("&", " and "))).split()
    return " ".join(words) or " ".join(folded.split())


def fold_name(name: str) -> str:
    """Fold case and compatibility forms, and remove invisible characters and the diacritics of European letters.

    The marks of scripts other than Latin, Greek and Cyrillic stay, because there they distinguish letters.
    """
    for _ in range(MAX_ESCAPES):
        name = unescape_html(name)
    if not name.isprintable():
        name = "".join(map(_replace_invisible, name))
    if name.isascii():
        return name.lower()
    name = _IGNORABLE.sub("", name)
    while True:  # casefolding can produce characters that decompose further
        without_marks = _DIACRITICS.sub("", unicodedata.normalize("NFKD", name))
        folded = unicodedata.normalize("NFKC", without_marks.casefold().translate(_NOT_DECOMPOSED))
        if folded == name:
            return name
        name = folded


def _replace_invisible(character: str) -> str:
    """Remove soft hyphens and other format characters; turn control and unassigned characters into spaces."""
    category = unicodedata.category(character)
    return character if category[0] != "C" else "" if category == "Cf" else " "


def replace_punctuation(character: str) -> str:
    """Keep letters, numbers, marks and symbols (Ke$ha, +44); turn everything else into a space."""
    is_part_of_name = character.isalnum() or unicodedata.category(character)[0] in "LNMS"
    return character if is_part_of_name and character not in "^~|" else " "
