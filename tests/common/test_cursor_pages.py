import pytest
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.test import APIRequestFactory

from common.http.cursor_pages import build_page, decode_cursor, encode_cursor


def test_a_cursor_holds_the_position_after_the_last_result() -> None:
    assert decode_cursor(encode_cursor(["2026-11-30T12:00:00Z", 42]), 2) == ["2026-11-30T12:00:00Z", 42]


@pytest.mark.parametrize("cursor", ["", "x", "é", "%%%", encode_cursor([1]), encode_cursor([1, 2, 3]), "e30", "MQ"])
def test_a_broken_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(ValidationError, match="is not a cursor of this list"):
        decode_cursor(cursor, 2)


def test_next_repeats_the_parameters_of_the_request() -> None:
    request = Request(APIRequestFactory().get("/search/tracks", {"q": "sigur rós", "limit": 1, "cursor": "old"}))

    page = build_page(request, ["a"], [42])

    cursor = encode_cursor([42])
    path = f"/search/tracks?q=sigur+r%C3%B3s&limit=1&cursor={cursor}"
    assert page == {"results": ["a"], "next": path, "next_cursor": cursor}


def test_the_last_page_has_no_next() -> None:
    request = Request(APIRequestFactory().get("/search/tracks"))

    assert build_page(request, [], None) == {"results": [], "next": None, "next_cursor": None}
