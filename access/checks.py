"""Settings that cannot work are refused at start, with a sentence."""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.checks import Error, Tags, register
from django.core.exceptions import ImproperlyConfigured

from common.rate_limits import SECONDS, rate

RATES = ("RATE_LISTENER", "RATE_KEY", "RATE_SIGN_IN")
ORIGIN = re.compile(r"https?://[^/\s*]+")
A_YEAR = timedelta(days=366)


def raise_for_invalid_settings() -> None:
    """For a web process, which Django starts without looking at any check. Raises ImproperlyConfigured."""
    if errors := check_settings(None):
        raise ImproperlyConfigured(" ".join(error.msg for error in errors))


@register(Tags.compatibility)
def check_settings(app_configs: Any, **kwargs: Any) -> list[Error]:
    said = [*_lifetimes(), *_rates(), *_who_asks()]
    return [Error(f"MUSICREC_{name} is {value}; it must be {rule}.", id="access.E001") for name, value, rule in said]


def _lifetimes() -> Iterator[tuple[str, object, str]]:
    lifetimes: dict[str, Any] = settings.SIMPLE_JWT
    access, refresh = lifetimes["ACCESS_TOKEN_LIFETIME"], lifetimes["REFRESH_TOKEN_LIFETIME"]
    if not timedelta(minutes=1) <= access <= timedelta(days=1):
        yield "TOKEN_MINUTES", access // timedelta(minutes=1), "between 1 and 1440"
    if not timedelta(days=1) <= refresh <= A_YEAR:
        yield "REFRESH_DAYS", refresh.days, f"between 1 and {A_YEAR.days}"


def _rates() -> Iterator[tuple[str, object, str]]:
    for name in RATES:
        try:
            rate(settings.MUSICREC[name])
        except ValueError:
            yield name, repr(settings.MUSICREC[name]), f"a number and one of /{', /'.join(SECONDS)}, or empty"


def _who_asks() -> Iterator[tuple[str, object, str]]:
    if settings.MUSICREC["PROXIES"] < 0:
        yield "PROXIES", settings.MUSICREC["PROXIES"], "0 or more"
    for origin in settings.CORS_ALLOWED_ORIGINS:
        if not ORIGIN.fullmatch(origin):
            yield "CORS_ORIGINS", repr(origin), "origins with scheme and without path, as https://app.example"
