"""References to rows that have two ids: our own, an integer, and the app's, a text.

Wherever a listener or a track is named in a path or a body, `42` is the id here and `external:ID` the app's own id.
"""

from typing import NamedTuple
from unicodedata import category

PREFIX = "external:"
MAX_LENGTH = 128  # of an external id, in characters


class ExternalId(NamedTuple):
    """The app's own id of a listener, track, artist or album."""

    text: str


class InvalidReference(ValueError):
    """A value that names nothing; the message says what was expected."""


def parse_reference(value: int | str) -> int | ExternalId:
    """Return what a path segment or a JSON value refers to.

    An integer beyond the range of the database is returned as it is; no row has it.

    Raises:
        InvalidReference: it is neither an id nor `external:ID`.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and value.startswith(PREFIX):
        return parse_external_id(value)
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return int(value[:40])  # int() is slow for very long texts, and no id has 40 digits
    raise InvalidReference(f"expected an integer, or {PREFIX}ID with an id of your own")


def parse_external_id(text: str) -> ExternalId:
    """Return the external id in a text, with or without the prefix.

    Raises:
        InvalidReference: it is empty, too long, or cannot be stored.
    """
    external_id = text.removeprefix(PREFIX)
    if not external_id.strip():
        raise InvalidReference("the external id is empty")
    if len(external_id) > MAX_LENGTH:
        raise InvalidReference(f"the external id has {len(external_id)} characters; it may have {MAX_LENGTH}")
    if any(category(character) in ("Cc", "Cs") for character in external_id):  # PostgreSQL stores no NUL, no surrogates
        raise InvalidReference("the external id contains control characters or invalid Unicode")
    return ExternalId(external_id)
