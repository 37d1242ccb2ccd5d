"""Read settings from environment variables. A value that is not what the setting expects is refused by its name.

django-environ reads numbers leniently: it drops characters that do not belong to a number, so that `1e3` becomes 13 and
`10%` becomes 10, and any text that is not a word for true is false.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured

TRUE_WORDS = ("1", "true", "on", "yes", "y", "ok")
FALSE_WORDS = ("0", "false", "off", "no", "n")
DATABASE_PREFIXES = ("postgres://", "postgresql://", "sqlite:///")
_WHOLE_NUMBER = re.compile(r"[+-]?[0-9]{1,18}")
_NUMBER = re.compile(r"[+-]?([0-9]{1,18}(\.[0-9]*)?|\.[0-9]+)")


class Environment(environ.Env):  # type: ignore[misc]
    """A reader of environment variables. Spaces around a value, and around the items of a list, do not count."""

    def get_value(self, var: Any, *args: Any, **kwargs: Any) -> Any:
        """Read a variable; a value that begins with `$` is the value of that other variable.

        Raises:
            ImproperlyConfigured: the value cannot be read, or the other variable does not exist.
        """
        value = self.ENVIRON.get(var, "")
        if value.startswith("$") and value.lstrip("$") not in self.ENVIRON:
            # The value is not shown, because it may be a password that begins with a dollar sign.
            raise ImproperlyConfigured(
                f"{var} begins with $, which means the value of another variable, and there is no variable of that name"
            )
        try:
            return super().get_value(var, *args, **kwargs)
        except ValueError as error:
            raise ImproperlyConfigured(f"{var} cannot be read: {error}") from error

    def int(self, var: Any, default: Any, at_most: Any = 10**15) -> Any:
        """Read a whole number."""
        text = self._read_text(var)
        if text is None:
            return default
        if not _WHOLE_NUMBER.fullmatch(text):
            raise ImproperlyConfigured(f"{var} is {text!r}; it must be a whole number in digits, such as {default}")
        if int(text) > at_most:
            raise ImproperlyConfigured(f"{var} is {text}; it must be at most {at_most}")
        return int(text)

    def float(self, var: Any, default: Any) -> Any:
        """Read a decimal number."""
        text = self._read_text(var)
        if text is None:
            return default
        if not _NUMBER.fullmatch(text):
            raise ImproperlyConfigured(
                f"{var} is {text!r}; it must be a number in digits with a decimal point, such as {default}"
            )
        return float(text)

    def bool(self, var: Any, default: Any) -> Any:
        """Read a word for true or false."""
        text = self._read_text(var)
        if text is None:
            return default
        if text.lower() not in TRUE_WORDS + FALSE_WORDS:
            raise ImproperlyConfigured(
                f"{var} is {text!r}; it must be one of {', '.join(TRUE_WORDS)}, or one of {', '.join(FALSE_WORDS)}"
            )
        return text.lower() in TRUE_WORDS

    def list(self, var: Any, default: Any) -> Any:
        """Read items separated by commas."""
        text = self._read_text(var)
        return default if text is None else [item.strip() for item in text.split(",") if item.strip()]

    def choice(self, var: Any, default: Any, choices: Sequence[Any]) -> Any:
        """Read one of the choices, which are in capitals; the value may be written in any case."""
        text = self._read_text(var)
        if text is None:
            return default
        if text.upper() not in choices:
            raise ImproperlyConfigured(f"{var} is {text!r}; it must be one of {', '.join(choices)}")
        return text.upper()

    def folder(self, var: Any, default: Path) -> Path:
        """Read the path of a folder, which need not exist."""
        text = self._read_text(var)
        if text == "":
            raise ImproperlyConfigured(f"{var} is empty; it must be a folder, or not be set at all")
        return default if text is None else Path(text)

    def url(self, var: Any, default: Any, schemes: Sequence[Any] = ()) -> Any:
        """Read the address of a server, with one of the schemes if there are any; the empty text is no server."""
        text = self._read_text(var)
        if text is None:
            return default
        scheme, separator, rest = text.partition("://")
        if text and not (separator and rest and scheme in (schemes or [scheme])):
            # The value is not shown, here and below, because it may contain a password.
            expected = " or ".join(f"{scheme}://" for scheme in schemes) or "SCHEME://"
            raise ImproperlyConfigured(f"{var} must be a URL that begins with {expected}")
        return text

    def db_url(self, var: Any, default: Any) -> Any:
        """Read the address of a database as Django's settings of it."""
        text = self._read_text(var)
        address = default if text is None else text
        expected = "postgres://USER:PASSWORD@HOST:5432/NAME, or sqlite:/// and the path of a file"
        if not address.startswith(DATABASE_PREFIXES):
            raise ImproperlyConfigured(f"{var} must be {expected}")
        try:
            database = self.db_url_config(address)
        except ValueError:
            raise ImproperlyConfigured(
                f"{var} cannot be read; in its password, write / as %2F, ? as %3F and @ as %40"
            ) from None  # the error shows part of the password
        if database["NAME"] in ("", ":memory:"):  # each connection would have an empty database of its own
            raise ImproperlyConfigured(f"{var} does not name a database; it must be {expected}")
        return database

    def _read_text(self, var: Any) -> Any:
        """Return the value without spaces around it; None if the variable is not set."""
        return self.str(var, default="").strip() if var in self.ENVIRON else None
