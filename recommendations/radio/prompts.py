"""The prompts of ListenBrainz Radio: a few words that say what a radio is made from.

    artist:(pretty lights):3:easy tag:(trip hop):2 #(rock,pop)

Each term is `element:value:weight:options`. A value with spaces, commas or colons stands in brackets, in which `\\`
makes the next bracket a part of it. The weight is a positive integer, 1 if it is left out; options are separated by
commas. `#` is short for `tag:`, and a prompt without any element names an artist. The grammar is that of
https://troi.readthedocs.io/en/latest/lb_radio.html.
"""

import re
from typing import NamedTuple

from engine.retrieval.station import MODES

TIME_RANGES = ("week", "month", "quarter", "half_yearly", "year", "all_time", "this_week", "this_month", "this_year")
OPTIONS = {
    "artist": ("nosim", *MODES),
    "tag": ("nosim", "and", "or", *MODES),
    "user": (*MODES,),
    "stats": (*TIME_RANGES, *MODES),
    "recs": ("listened", "unlistened", *MODES),
}
# Elements that the grammar has and this catalogue has nothing for, and what to send instead.
REMEDIES = {
    "playlist": "playlists of ListenBrainz are not stored here; send its tracks as seeds",
    "collection": "collections of MusicBrainz are not stored here; send their tracks or artists as seeds",
    "country": "the catalogue does not know where artists come from; name artists or tags of that country",
}
MAX_TERMS = 20
MAX_WEIGHT = 100
_START = re.compile(r"#|([A-Za-z_]+):")
_TERM = re.compile(
    r"(?:#|(?P<element>[A-Za-z_]+):)"
    r"(?:\((?P<bracketed>(?:\\.|[^()\\])*)\)|(?P<word>[^\s:()]+))"
    r"(?::(?P<weight>[^\s:]*))?(?::(?P<options>[^\s:]*))?(?=\s|$)"
)


class PromptError(ValueError):
    """A prompt that cannot be understood, or that names something which is not stored here; the message says what."""


class PromptTerm(NamedTuple):
    """One term of a prompt.

    Attributes:
        text: as it was written.
        element: one of `OPTIONS`.
        values: what it names; several only for tags.
        weight: 1 to 100.
        options: of `OPTIONS`.
    """

    text: str
    element: str
    values: tuple[str, ...]
    weight: int = 1
    options: tuple[str, ...] = ()

    @property
    def mode(self) -> str | None:
        """The mode that the term asks for; None if it asks for none."""
        return next((option for option in self.options if option in MODES), None)


def parse_prompt(prompt: str) -> list[PromptTerm]:
    """Parse a prompt.

    Raises:
        PromptError: naming the term that cannot be understood, and what would be.
    """
    text = " ".join(prompt.split())
    if not text:
        raise PromptError("is empty; an example is artist:(Portishead):2 #(trip hop)")
    if not _START.match(text):
        if ":" in text or "#" in text:
            raise PromptError(f"must begin with an element, such as artist:(NAME) or #TAG, not with {text[:40]!r}")
        return [PromptTerm(text, "artist", (text,))]
    terms, position = [], 0
    while position < len(text):
        match = _TERM.match(text, position)
        if match is None:
            raise PromptError(
                f"{text[position : position + 40]!r} is no term; write element:value:weight:options, with brackets "
                "around a value that has spaces, as in artist:(massive attack):2"
            )
        terms.append(_parse_term(match))
        position = match.end() + 1
    if len(terms) > MAX_TERMS:
        raise PromptError(f"has {len(terms)} terms; it may have {MAX_TERMS}")
    return terms


def _parse_term(match: re.Match[str]) -> PromptTerm:
    text, element = match[0], (match["element"] or "tag").lower()
    if element in REMEDIES:
        raise PromptError(f"{text}: {REMEDIES[element]}")
    if element not in OPTIONS:
        raise PromptError(f"{text}: {element} is no element; there are {', '.join(OPTIONS)} and # for tag")
    value = match["word"] or re.sub(r"\\(.)", r"\1", match["bracketed"] or "")
    values = tuple(part.strip() for part in value.split(",")) if element == "tag" else (value.strip(),)
    if not all(values):
        raise PromptError(f"{text}: names nothing; write {element}:(NAME)")
    weight = match["weight"] or "1"
    if not (weight.isascii() and weight.isdigit() and len(weight) <= 3 and 1 <= int(weight) <= MAX_WEIGHT):
        raise PromptError(f"{text}: the weight must be a whole number from 1 to {MAX_WEIGHT}, not {weight!r}")
    options = tuple(match["options"].lower().split(",")) if match["options"] else ()
    if unknown := [option for option in options if option not in OPTIONS[element]]:
        allowed = ", ".join(OPTIONS[element])
        raise PromptError(f"{text}: {unknown[0]!r} is no option of {element}; there are {allowed}, after the weight")
    if len({option for option in options if option in MODES}) > 1:
        raise PromptError(f"{text}: has several modes; name one of {', '.join(MODES)}")
    return PromptTerm(text, element, values, int(weight), options)
