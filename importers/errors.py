"""Two ways of being wrong: an input that cannot be used at all, and one value that is not what its column promises."""

from __future__ import annotations

SHOWN = 40  # characters of a refused value that a message repeats


class FormatError(Exception):
    """An input that cannot be read as a whole. The message names file, fault and remedy."""


class BadValue(ValueError):
    """A value that makes its row a Refusal; str() is the refusal's reason."""

    def __init__(self, field: str, value: str, expected: str) -> None:
        super().__init__(
            f"{field}: {shown(value)} is not {expected}" if value else f"{field}: empty, expected {expected}"
        )


def shown(value: str) -> str:
    """The value as one line of text without tabs, at most about 40 characters of it."""
    return repr(value if len(value) <= SHOWN else value[: SHOWN - 1] + "…")
