"""Times as tools and spreadsheets write them in cells.

A date such as 09/04/2010 is read with the order of day and month that the other dates of the file prove.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, timezone
from typing import NamedTuple

from importers.cell_parsers import EARLIEST_TIME, FIRST_MILLISECONDS

_FIRST_MICROSECONDS = 10**14  # read as milliseconds this is the year 5138, as microseconds 1973
_MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "jan january",
            "feb february",
            "mar march",
            "apr april",
            "may",
            "jun june",
            "jul july",
            "aug august",
            "sep sept september",
            "oct october",
            "nov november",
            "dec december",
        ),
        1,
    )
    for name in names.split()
}
_NUMBER = re.compile(r"(\d{1,16})(?:\.\d*)?", re.ASCII)
_MOMENT = re.compile(
    r"(?:[a-z]{3,9},? )?"  # the day of the week
    r"(?:(?P<y1>\d{4})(?P<s1>[-/.])(?P<m1>\d{1,2})(?P=s1)(?P<d1>\d{1,2})"  # 2010-04-09
    r"|(?P<first>\d{1,2})(?P<separator>[-/.])(?P<second>\d{1,2})(?P=separator)(?P<y2>\d{4})"  # 09/04/2010
    r"|(?P<d3>\d{1,2})\.?[ -](?P<m3>[a-z]{3,9})\.?,?[ -](?P<y3>\d{4})"  # 09 Apr 2010
    r"|(?P<m4>[a-z]{3,9})\.? (?P<d4>\d{1,2}),? (?P<y4>\d{4}))"  # April 9, 2010
    r"(?:(?:T|,? |, ?)(?:at )?(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second_of_minute>\d{2})(?:[.,]\d+)?)?"
    r"(?:\s?(?P<half>[ap])\.?m\.?)?)?"
    r"(?: ?(?P<zone>Z|UTC|GMT|[+-]\d{2}:?\d{2}))?",
    re.ASCII | re.IGNORECASE,
)
_TIME_OF_DAY = re.compile(r"\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?(?:\s?[ap]\.?m\.?)?", re.ASCII | re.IGNORECASE)


class DateOrder(NamedTuple):
    """The order of day and month in dates such as 09/04/2010.

    Attributes:
        is_day_first: whether the day comes before the month.
        is_proven: whether a date of the file has no other reading.
    """

    is_day_first: bool = True
    is_proven: bool = True


def has_numeric_date(cell: str) -> bool:
    """Return whether a cell has a date like 09/04/2010, which may have the day or the month first."""
    match = _match_moment(cell)
    return match is not None and match["separator"] in ("/", "-")


def find_date_order(cells: Iterable[str], latest: int) -> DateOrder:
    """Return the order in which all dates of a file make sense.

    An order is wrong if it makes a month of 13, or a date after `latest`, or if only the other one sorts the rows by
    time, as exports are. If nothing proves an order, times with AM and PM mean the month first, as in the United
    States, and others the day first.

    Raises:
        ValueError: some dates have the day first, and others the month.
    """
    possible = {True: True, False: True}  # whether an order, by is_day_first, makes no date impossible
    sorted_up, sorted_down = {True: True, False: True}, {True: True, False: True}
    previous: dict[bool, int] = {}
    has_halves = False
    for cell in cells:
        match = _match_moment(cell)
        if match is None or match["separator"] not in ("/", "-"):
            continue
        times = {is_day_first: _parse_or_none(cell, DateOrder(is_day_first)) for is_day_first in (True, False)}
        if times[True] is None and times[False] is None:
            continue  # no date in either order
        has_halves |= match["half"] is not None
        for is_day_first, time in times.items():
            if time is None or time > latest:
                possible[is_day_first] = False
                continue
            before = previous.setdefault(is_day_first, time)
            sorted_up[is_day_first] &= before <= time
            sorted_down[is_day_first] &= before >= time
            previous[is_day_first] = time
    if not any(possible.values()):
        raise ValueError("some dates have the day before the month, and others behind it")
    if not all(possible.values()):
        return DateOrder(is_day_first=possible[True])
    is_sorted = {order: sorted_up[order] or sorted_down[order] for order in (True, False)}
    if is_sorted[True] != is_sorted[False]:
        return DateOrder(is_day_first=is_sorted[True])
    return DateOrder(is_day_first=not has_halves, is_proven=False)


def is_moment(cell: str) -> bool:
    """Return whether a cell is a date with a time of day, or a number of seconds, since the year 2000."""
    match = _match_moment(cell)
    if match is not None and match["hour"] is None:
        return False
    times = (_parse_or_none(cell, DateOrder(is_day_first)) for is_day_first in (True, False))
    return any(time is not None and (match is not None or time >= EARLIEST_TIME) for time in times)


def is_date(cell: str) -> bool:
    """Return whether a cell is a date without a time of day."""
    match = _match_moment(cell)
    return match is not None and match["hour"] is None


def is_time_of_day(cell: str) -> bool:
    return _TIME_OF_DAY.fullmatch(cell.strip()) is not None


def parse_moment(cell: str, order: DateOrder | None) -> int:
    """Return UNIX seconds, from UNIX seconds, milliseconds or microseconds, or a date, in UTC if it names no zone.

    Args:
        order: of dates such as 09/04/2010; None if they are not accepted.

    Raises:
        ValueError: the cell is none of these.
    """
    cell = cell.strip()
    if match := _NUMBER.fullmatch(cell):
        number = int(match[1])
        if number >= _FIRST_MICROSECONDS:
            return number // 1_000_000
        return number // 1_000 if number >= FIRST_MILLISECONDS else number
    match = _match_moment(cell)
    if match is None:
        raise ValueError(cell)
    year, month, day = _find_date(match, order)
    hour = int(match["hour"] or 0)
    if match["half"]:
        if not 1 <= hour <= 12:
            raise ValueError(cell)
        hour = hour % 12 + (12 if match["half"] in "pP" else 0)
    minute, second = int(match["minute"] or 0), int(match["second_of_minute"] or 0)
    try:
        moment = datetime(year, month, day, hour, minute, second, tzinfo=_parse_zone(match["zone"]))
        return int(moment.timestamp())
    except OverflowError as error:
        raise ValueError(cell) from error


def _match_moment(cell: str) -> re.Match[str] | None:
    return _MOMENT.fullmatch(" ".join(cell.split()))  # spreadsheets write no-break spaces before AM and PM


def _parse_or_none(cell: str, order: DateOrder) -> int | None:
    try:
        return parse_moment(cell, order)
    except ValueError:
        return None


def _find_date(match: re.Match[str], order: DateOrder | None) -> tuple[int, int, int]:
    if match["y1"]:
        return int(match["y1"]), int(match["m1"]), int(match["d1"])
    if match["y2"]:
        first, second = int(match["first"]), int(match["second"])
        if match["separator"] == ".":  # nobody writes 4.9.2010 for April 9
            return int(match["y2"]), second, first
        if order is None:
            raise ValueError(match[0])
        return int(match["y2"]), *((second, first) if order.is_day_first else (first, second))
    month = _MONTHS.get((match["m3"] or match["m4"]).lower(), 0)  # 0 is a ValueError of datetime
    return int(match["y3"] or match["y4"]), month, int(match["d3"] or match["d4"])


def _parse_zone(zone: str | None) -> timezone:
    if zone is None or zone[0] not in "+-":
        return UTC
    minutes = int(zone[1:3]) * 60 + int(zone[-2:])
    return timezone(timedelta(minutes=-minutes if zone[0] == "-" else minutes))
