"""The admin shows dates and times as the pages of this project do."""

from datetime import UTC, date, datetime

import pytest
from django.utils.formats import date_format, localize

pytestmark = pytest.mark.one_stack


def test_dates_and_times_of_lists_are_those_of_pages() -> None:
    at = datetime(2026, 3, 1, 17, 5, tzinfo=UTC)
    assert (localize(at), localize(date(2026, 3, 1))) == ("2026-03-01 17:05", "2026-03-01")
    assert date_format(at, "SHORT_DATETIME_FORMAT") == "2026-03-01 17:05"
