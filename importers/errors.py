"""Errors of the importers: an input that cannot be used at all, and a value that its field does not accept."""

from __future__ import annotations

MAX_SHOWN_LENGTH = 40  # characters of a refused value that a message repeats


class FormatError(Exception):
    """An input that cannot be read as a whole. The message names the file, the fault and the remedy."""


class BadValue(ValueError):
    """A value that its field does not accept. The row becomes a RefusedRow whose reason is str(error).

    Args:
        field: the name of the field.
        value: the value as the file writes it; "" if it is missing.
        expected: what the field accepts, as a noun phrase that completes "… is not".

    Attributes:
        kind: the message without the value, by which refused rows are counted.
    """

    def __init__(self, field: str, value: str, expected: str) -> None:
        self.kind = f"{field}: is not {expected}" if value else f"{field}: empty, expected {expected}"
        if not value:
            super().__init__(self.kind)
            return
        if len(value) > MAX_SHOWN_LENGTH:
            value = value[: MAX_SHOWN_LENGTH - 1] + "…"
        super().__init__(f"{field}: {value!r} is not {expected}")  # repr() keeps line breaks and tabs out of reports
