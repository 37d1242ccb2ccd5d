"""Parsers of single cells: text in, a value of a record out.

Every parser raises BadValue, with the name of the field, for text that it does not accept. White space around a value
is ignored. Values that may be missing are None, or "", if their cell is empty or holds one of MISSING_VALUES.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from uuid import UUID

from importers.errors import BadValue

MAX_INTEGER = 2**31 - 1  # of a PostgreSQL integer column
MAX_ID_LENGTH, MAX_NAME_LENGTH, MAX_LABEL_LENGTH, MAX_URL_LENGTH = 128, 512, 64, 512  # characters, as in the tables
EARLIEST_TIME = 946_684_800  # 2000-01-01; an earlier time means that the unit or the column is wrong
CLOCK_TOLERANCE = 86_400  # seconds that a play may lie in the future, since clocks and time zones differ
FIRST_MILLISECONDS = 100_000_000_000  # read as seconds this is the year 5138, as milliseconds 1973
_EPOCH, _SECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(seconds=1)
BOOLEANS = {"true": True, "1": True, "1.0": True, "yes": True, "false": False, "0": False, "0.0": False, "no": False}
# What pandas, NumPy, R, spreadsheets, JavaScript and database dumps write for a value that is missing. Titles and names
# are not compared with these, since there are tracks called None and artists called NULL.
MISSING_VALUES = frozenset(
    ("None", "nan", "NaN", "NAN", "NaT", "<NA>", "NULL", "Null", "null", "NA", "N/A", "n/a", "#N/A", "\\N", "undefined")
)
_WHOLE_FLOAT = re.compile(r"(-?(?:0|[1-9]\d*))\.0*", re.ASCII)
_INEXACT_FLOAT = re.compile(r"-?(?:\d\.\d+[eE]\+\d+|inf)", re.ASCII)


def parse_required_text(field: str, value: str, limit: int) -> str:
    """Return a text of 1 to `limit` characters."""
    value = value.strip()
    if not value or len(value) > limit:
        raise BadValue(field, value, f"a text of 1 to {limit} characters")
    return value


def parse_text(field: str, value: str, limit: int) -> str:
    """Return a text of at most `limit` characters, which may be empty."""
    value = value.strip()
    if len(value) > limit:
        raise BadValue(field, value, f"a text of at most {limit} characters")
    return value


def parse_id(field: str, value: str, limit: int) -> str:
    """Return an id of 1 to `limit` characters.

    `7.0` is the id 7: programs write it when another value of the column is missing.
    """
    value = value.strip()
    if value.endswith(("0", ".")) and (whole := _WHOLE_FLOAT.fullmatch(value)):
        value = whole[1]
    elif value in MISSING_VALUES:
        raise BadValue(field, value, "an id; programs write it for a missing value")
    elif ("+" in value or value.endswith("inf")) and _INEXACT_FLOAT.fullmatch(value):
        raise BadValue(field, value, "a complete id; write ids as text or whole numbers")
    if not value or len(value) > limit:
        raise BadValue(field, value, f"a text of 1 to {limit} characters")
    return value


def parse_optional_id(field: str, value: str, limit: int) -> str:
    """Return an id like `parse_id`, or "" for a missing one."""
    value = parse_text(field, strip_missing(value), limit)
    return parse_id(field, value, limit) if value else ""


def strip_missing(value: str) -> str:
    """Return the value without white space around it; "" if it stands for a missing value."""
    value = value.strip()
    return "" if value in MISSING_VALUES else value


def parse_integer(field: str, value: str, low: int, high: int = MAX_INTEGER) -> int | None:
    """Return a whole number from `low` to `high`.

    `5.0` is accepted: programs write it when another value of the column is missing.
    """
    value = strip_missing(value)
    if not value:
        return None
    try:
        if value.isdecimal():
            number = int(value)
        else:
            real = float(value)
            # float() accepts 1_000, which no file should mean as a number.
            number = int(real) if real.is_integer() and "_" not in value else low - 1
    except (ValueError, OverflowError):
        number = low - 1
    if not low <= number <= high:
        raise BadValue(field, value, f"a whole number from {low} to {high}")
    return number


def parse_number(field: str, value: str, low: float, high: float) -> float | None:
    """Return a number from `low` to `high`."""
    value = strip_missing(value)
    if not value:
        return None
    try:
        number = float(value)
    except ValueError:
        number = float("nan")
    if "_" in value or not low <= number <= high:
        raise BadValue(field, value, f"a number from {low:.7g} to {high:.7g}")
    return number


def parse_boolean(field: str, value: str) -> bool | None:
    """Return True for true, 1 or yes, and False for false, 0 or no."""
    value = strip_missing(value)
    if not value:
        return None
    if (parsed := BOOLEANS.get(value.lower())) is None:
        raise BadValue(field, value, "true, false, 1, 0, yes or no")
    return parsed


def parse_url(field: str, value: str) -> str:
    """Return an http or https address."""
    value = strip_missing(value)
    if value and not is_url(value):
        raise BadValue(field, value, f"an http or https address of at most {MAX_URL_LENGTH} characters")
    return value


def is_url(value: str) -> bool:
    """Return whether the value is an http or https address that fits its column."""
    scheme, separator, rest = value.partition("://")
    has_host = bool(separator and rest) and scheme.lower() in ("http", "https") and not rest.startswith("/")
    return has_host and len(value) <= MAX_URL_LENGTH and len(value.split()) == 1


def parse_isrc(field: str, value: str) -> str | None:
    """Return an ISRC as twelve capital letters and digits, without the hyphens of its printed form."""
    value = strip_missing(value)
    code = value.replace("-", "").upper()
    if not code:
        return None
    if len(code) != 12 or not (code.isascii() and code.isalnum()):
        raise BadValue(field, value, "12 letters and digits")
    return code


def parse_uuid_bytes(field: str, value: str) -> bytes:
    """Return the 16 bytes of a UUID, which is written with or without hyphens; b"" for an empty cell."""
    value = strip_missing(value)
    digits = value.replace("-", "")
    try:
        decoded = bytes.fromhex(digits) if len(digits) in (0, 32) else b"?"
    except ValueError:
        decoded = b"?"
    if value and len(decoded) != 16:
        raise BadValue(field, value, "a UUID")
    return decoded


def parse_uuid(field: str, value: str) -> str | None:
    """Return a UUID in its usual form."""
    decoded = parse_uuid_bytes(field, value)
    return str(UUID(bytes=decoded)) if decoded else None


def parse_time(field: str, value: str, latest: int) -> int:
    """Return UNIX seconds, from 2000-01-01 to `latest`.

    The value may be UNIX seconds, UNIX milliseconds, or ISO 8601, which is read as UTC if it names no zone.
    """
    try:
        time = int(value)
    except ValueError:
        time = _parse_fractional_or_iso_time(field, value.strip())
    if time >= FIRST_MILLISECONDS:
        time //= 1000
    if EARLIEST_TIME <= time <= latest:
        return time
    raise BadValue(field, value.strip(), "a time from the year 2000 to the day after the import")


def _parse_fractional_or_iso_time(field: str, value: str) -> int:
    try:
        return int(float(value))
    except (ValueError, OverflowError):
        pass
    try:
        moment = datetime.fromisoformat(value)
        return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH) // _SECOND
    except (ValueError, OverflowError):
        raise BadValue(field, value, "a time in UNIX seconds, UNIX milliseconds or ISO 8601") from None
