"""Single values: from text to what a record holds, or BadValue. Optional values are None (or "") where empty."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from importers.errors import BadValue

MAX_INTEGER = 2**31 - 1  # a PostgreSQL integer
MAX_ID_LENGTH, MAX_NAME_LENGTH, MAX_LABEL_LENGTH, MAX_URL_LENGTH = 128, 512, 64, 512  # characters; the columns' widths
EARLIEST_TIME = 946_684_800  # 2000-01-01: before music services existed, so a unit or a column was mistaken
CLOCK_TOLERANCE = 86_400  # seconds a play may lie in the future: clocks and time zones differ
_MILLISECONDS_FROM = 100_000_000_000  # as seconds that would be the year 5138, as milliseconds it is 1973
_EPOCH, _SECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(seconds=1)
_BOOLEANS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def parse_required_text(field: str, value: str, limit: int) -> str:
    """Text of 1 to `limit` characters, without white space around it."""
    value = value.strip()
    if not value or len(value) > limit:
        raise BadValue(field, value, f"a text of 1 to {limit} characters")
    return value


def parse_text(field: str, value: str, limit: int) -> str:
    """Text of at most `limit` characters, without white space around it; may be empty."""
    value = value.strip()
    if len(value) > limit:
        raise BadValue(field, value, f"a text of at most {limit} characters")
    return value


def parse_integer(field: str, value: str, low: int, high: int = MAX_INTEGER) -> int | None:
    """A whole number in low..high; `5.0` is one, as programs with a missing value in the column write it."""
    value = value.strip()
    if not value:
        return None
    try:
        number = int(value) if value.isdecimal() else parse_integral_float(value)
    except (ValueError, OverflowError):
        number = low - 1
    if not low <= number <= high:
        raise BadValue(field, value, f"a whole number from {low} to {high}")
    return number


def parse_integral_float(value: str) -> int:
    number = float(value)
    if "_" in value or not number.is_integer():
        raise ValueError(value)
    return int(number)


def parse_number(field: str, value: str, low: float, high: float) -> float | None:
    """A number in low..high."""
    value = value.strip()
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
    value = value.strip()
    if not value:
        return None
    if (known := _BOOLEANS.get(value.lower())) is None:
        raise BadValue(field, value, "true, false, 1, 0, yes or no")
    return known


def parse_url(field: str, value: str) -> str:
    value = value.strip()
    if value and not is_url(value):
        raise BadValue(field, value, f"an http or https address of at most {MAX_URL_LENGTH} characters")
    return value


def is_url(value: str) -> bool:
    scheme, separator, rest = value.partition("://")
    whole_address = bool(separator and rest) and scheme.lower() in ("http", "https") and not rest.startswith("/")
    return whole_address and len(value) <= MAX_URL_LENGTH and len(value.split()) == 1


def parse_isrc(field: str, value: str) -> str | None:
    """Twelve letters and digits, in capitals; the hyphens of its printed form are left out."""
    code = value.strip().replace("-", "").upper()
    if not code:
        return None
    if len(code) != 12 or not (code.isascii() and code.isalnum()):
        raise BadValue(field, value.strip(), "12 letters and digits")
    return code


def parse_uuid_bytes(field: str, value: str) -> bytes:
    """The 16 bytes of a UUID, with or without hyphens; b"" where empty."""
    value = value.strip()
    digits = value.replace("-", "")
    try:
        decoded = bytes.fromhex(digits) if len(digits) in (0, 32) else b"?"
    except ValueError:
        decoded = b"?"
    if value and len(decoded) != 16:
        raise BadValue(field, value, "a UUID")
    return decoded


def parse_uuid(field: str, value: str) -> str | None:
    decoded = parse_uuid_bytes(field, value)
    return str(UUID(bytes=decoded)) if decoded else None


def parse_time(field: str, value: str, latest: int) -> int:
    """UNIX seconds from UNIX seconds, UNIX milliseconds or ISO 8601 (UTC where it names no zone), up to `latest`."""
    try:
        time = int(value)
    except ValueError:
        time = parse_written_time(field, value.strip())
    if time >= _MILLISECONDS_FROM:
        time //= 1000
    if EARLIEST_TIME <= time <= latest:
        return time
    raise BadValue(field, value.strip(), "a time from the year 2000 to the day after the import")


def parse_written_time(field: str, value: str) -> int:
    try:
        return int(float(value))
    except (ValueError, OverflowError):
        pass
    try:
        stamp = datetime.fromisoformat(value)
        return ((stamp if stamp.tzinfo else stamp.replace(tzinfo=UTC)) - _EPOCH) // _SECOND
    except (ValueError, OverflowError):
        raise BadValue(field, value, "a time in UNIX seconds, UNIX milliseconds or ISO 8601") from None
