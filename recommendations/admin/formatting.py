"""Format numbers for operators; unknown values become a dash."""

from datetime import UTC, datetime
from typing import Any

UNKNOWN = "—"


def format_count(number: float | None) -> str:
    return UNKNOWN if number is None else f"{number:,.0f}"


def format_listeners(number: float) -> str:
    return "1 listener" if number == 1 else f"{format_count(number)} listeners"


def format_duration(seconds: float | None) -> str:
    if seconds is None:
        return UNKNOWN
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def format_size(number: float | None) -> str:
    if number is None:
        return UNKNOWN
    return f"{number / 1e9:,.2f} GB" if number >= 1e9 else f"{number / 1e6:,.{0 if number >= 1e8 else 1}f} MB"


def format_time(at: datetime | None) -> str:
    return UNKNOWN if at is None else f"{at:%Y-%m-%d %H:%M}"


def format_day(unix_seconds: Any) -> str:
    """Return the UTC day of a UNIX time; a dash for anything else."""
    try:
        return f"{datetime.fromtimestamp(unix_seconds, UTC):%Y-%m-%d}"
    except (TypeError, ValueError, OverflowError, OSError):
        return UNKNOWN


def format_change(now: float | None, then: float | None) -> str:
    """Return the relative change since `then`, or "" if there is none or it is unknown."""
    return "" if not then or now is None or now == then else f"{(now - then) / then:+.1%}"
