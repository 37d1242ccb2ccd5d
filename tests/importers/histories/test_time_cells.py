from datetime import UTC, datetime

import pytest

from importers.histories.time_cells import DateOrder, find_date_order, has_numeric_date, is_moment, parse_moment

LATEST = 1_790_000_000  # 2026-09-21
NOON = int(datetime(2010, 4, 9, 12, tzinfo=UTC).timestamp())
DAY_FIRST, MONTH_FIRST = DateOrder(True), DateOrder(False)


@pytest.mark.parametrize(
    "cell",
    [
        str(NOON),
        f"{NOON}.0",
        f"{NOON}000",
        f"{NOON}123456",
        "2010-04-09 12:00",
        "2010-04-09T12:00:00Z",
        "2010-04-09T12:00:00.123456+00:00",
        "2010-04-09 14:00:00 +02:00",
        "2010-04-09 07:00-0500",
        "2010-04-09 12:00:00 UTC",
        "2010-04-09, 12:00",
        "2010/4/9 12:00",
        "2010.04.09 12:00:00",
        "9.4.2010 12:00",
        "09.04.2010, 12:00:00",
        "09 Apr 2010 12:00",
        "09 Apr 2010, 12:00",
        " 9 April 2010, 12:00:00 ",
        "09-Apr-2010 12:00:00",
        "Fri, 09 Apr 2010 12:00:00 GMT",
        "Fri, 09 Apr 2010 14:00:00 +0200",
        "Apr 9, 2010 12:00 PM",
        "April 9, 2010 at 12:00\u202fPM",
        "Friday, April 9, 2010, 12:00:00",
    ],
)
def test_a_time_that_tools_write_is_read(cell: str) -> None:
    assert is_moment(cell)
    assert parse_moment(cell, None) == NOON


@pytest.mark.parametrize(
    "cell",
    ["", "x", "3:45", "225", "0", "1.27073E+12", "2010-04-09", "9.4.2010", "2010-13-09 12:00", "31 Feb 2010 12:00",
     "09 Foo 2010 12:00", "2010-04-09 25:00", "2010-04-09 12:61", "09/04/10 12:00", "13/13/2010 12:00", "٣" * 10,
     "2010-04/09 12:00", "9 Apr 2010 13:00 PM", "20100409", "Test Band", "1979"],
)  # fmt: skip
def test_a_cell_without_a_moment_is_no_moment(cell: str) -> None:
    assert not is_moment(cell)


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("9/4/2010 12:00 AM", "2010-04-09 00:00"),
        ("9/4/2010 12:00:00 PM", "2010-04-09 12:00"),
        ("9/4/2010 1:05 pm", "2010-04-09 13:05"),
        ("9/4/2010 11:05 a.m.", "2010-04-09 11:05"),
        ("09-04-2010 23:05", "2010-04-09 23:05"),
    ],
)
def test_the_order_of_numbers_decides_over_day_and_month(cell: str, expected: str) -> None:
    def read(order: DateOrder) -> str:
        return datetime.fromtimestamp(parse_moment(cell, order), UTC).strftime("%Y-%m-%d %H:%M")

    assert has_numeric_date(cell)
    assert read(DAY_FIRST) == expected
    assert read(MONTH_FIRST) == expected.replace("-04-09", "-09-04")
    with pytest.raises(ValueError, match="2010"):
        parse_moment(cell, None)


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["09/04/2010 12:00", "13/04/2010 12:00"], DateOrder(True, True)),
        (["09/04/2010 12:00", "04/13/2010 12:00"], DateOrder(False, True)),
        (["09-04-2010 12:00", "04-13-2010 12:00"], DateOrder(False, True)),
        (["13/04/2010 12:00 PM"], DateOrder(True, True)),
        # 3 December 2026 is in the future.
        (["03/12/2026 12:00"], DateOrder(False, True)),
        (["12/03/2026 12:00"], DateOrder(True, True)),
        # Only one order sorts the rows.
        (["01/02/2012 10:00", "02/02/2012 10:00", "03/01/2012 10:00"], DateOrder(False, True)),
        (["03/01/2012 10:00", "04/01/2012 10:00", "01/02/2012 10:00"], DateOrder(True, True)),
        (["01/02/2012 10:00", "04/01/2012 10:00", "03/01/2012 10:00"], DateOrder(True, True)),
        # Nothing proves the order.
        (["09/04/2010 12:00"], DateOrder(True, False)),
        (["9/4/2010 12:00 PM"], DateOrder(False, False)),
        (["09/04/2010 12:00", "31/31/2010 12:00", "30/02/2010 12:00", "x"], DateOrder(True, False)),
    ],
)
def test_the_dates_of_a_file_prove_their_order(cells: list[str], expected: DateOrder) -> None:
    assert find_date_order(cells, LATEST) == expected


def test_dates_that_contradict_each_other_are_an_error() -> None:
    with pytest.raises(ValueError, match="some dates have the day before the month"):
        find_date_order(["13/04/2010 12:00", "04/13/2010 12:00"], LATEST)
