"""By which name a track is found when a client knows no id of it: artist and title, made alike."""

import hashlib
import re
import unicodedata

MAX_KEY_LENGTH = 255  # characters: the column's width
SEPARATOR = "\x1f"
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
_GUESTS = re.compile(r"(?<=\S)\s(?:feat|ft|featuring)\s.*$")


def match_key(artist: str, title: str) -> str:
    """Artist and title as one text, the same however they are written; a hash of it where it would be longer than the
    column. Empty where one of them is."""
    names = normalize_name(artist), normalize_name(title)
    if not all(names):
        return ""
    key = SEPARATOR.join(names)
    return key if len(key) <= MAX_KEY_LENGTH else hashlib.sha256(key.encode()).hexdigest()


def normalize_name(name: str) -> str:
    """A name without what people leave out or write differently: capitals, diacritics, punctuation, guests ("feat."),
    and which edition it is ("(Remastered 2011)"). A name of nothing but these stays, folded."""
    folded = " ".join(_folded("".join(map(_visible, name))).split())
    bare = _AFTER_A_DASH.sub("", _BRACKETED.sub(" ", folded))
    words = "".join(map(_plain, _APOSTROPHES.sub("", bare).replace("&", " and "))).split()
    return _GUESTS.sub("", " ".join(words)) or folded


def _folded(name: str) -> str:
    """Compatibility forms and cases made alike, Latin, Greek and Cyrillic letters without their diacritics. Other
    scripts' marks stay: there they are letters."""
    while (once := _folded_once(name)) != name:
        name = once
    return name


def _folded_once(name: str) -> str:
    """One round: casefolding can bring forth what decomposes further."""
    bare = _DIACRITICS.sub("", unicodedata.normalize("NFKD", name))
    return unicodedata.normalize("NFKC", bare.casefold().translate(_NOT_DECOMPOSED))


def _visible(character: str) -> str:
    """Without soft hyphens and the like; control characters and what is no character are a space."""
    category = unicodedata.category(character)
    return character if category[0] != "C" else "" if category == "Cf" else " "


def _plain(character: str) -> str:
    """Letters, numbers, their marks and symbols stay (Ke$ha, +44); anything else is a space."""
    kept = character.isalnum() or unicodedata.category(character)[0] in "LNMS"
    return character if kept and character not in "^~|" else " "
