"""The output that the tutorial and the README show."""

import pytest

from docs.generate import comparable, generate_pages

pytestmark = [pytest.mark.slow, pytest.mark.one_stack]


def test_the_pages_show_what_their_commands_print() -> None:
    for page, text in generate_pages().items():
        assert comparable(page.read_text()) == comparable(text), f"{page.name} is out of date: run `make docs`"
