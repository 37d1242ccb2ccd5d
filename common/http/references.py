"""References to rows that have two ids: our own, an integer, and the app's, a text.

Wherever a listener or a track is named in a path or a body, `42` is the id here and `external:ID` the app's own id.
"""

from typing import NamedTuple
from unicodedata import category

from rest_framework.exceptions import ValidationError

PREFIX = "external:"
# The schema names one type only, because generators make a class of each value that may have two types.
PATH_SCHEMA = {"type": "string", "pattern": rf"^(\d+|{PREFIX}.+)$"}
MAX_LENGTH = 128  # of an external id, in characters
INT64_MAX = 2**63 - 1  # of an integer id


class ExternalId(NamedTuple):
    """The app's own id of a listener, track, artist or album."""

    text: str

    def __str__(self) -> str:
        return PREFIX + self.text


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


def parse_path_reference(name: str, segment: str) -> int | ExternalId:
    """Return what a segment of a path refers to.

    Args:
        name: the name of the path parameter, such as `track_id`.
        segment: the decoded segment.

    Raises:
        ValidationError: it is neither an id nor `external:ID`; the error points to `{name}`.
    """
    try:
        return parse_reference(segment)
    except InvalidReference as error:
        raise ValidationError({f"{{{name}}}": str(error)}) from error
