"""System checks that refuse unusable settings at start."""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.checks import Error, Tags, register
from django.core.exceptions import ImproperlyConfigured

from access.identity_provider import ALGORITHMS
from access.throttles import UNITS, parse_rate

RATE_SETTINGS = ("RATE_LISTENER", "RATE_KEY", "RATE_SIGN_IN")
ORIGIN = re.compile(r"https?://[^/\s*]+")
MAX_REFRESH_DAYS = 366
MAX_LEEWAY_SECONDS = 600


def raise_for_invalid_settings() -> None:
    """Run the checks in a web process, where Django does not run them.

    Raises:
        ImproperlyConfigured: a setting cannot work.
    """
    if errors := check_settings(None):
        raise ImproperlyConfigured(" ".join(error.msg for error in errors))


@register(Tags.compatibility)
def check_settings(app_configs: Any, **kwargs: Any) -> list[Error]:
    return [
        Error(f"MUSICREC_{name} is {value}; it must be {rule}.", id="access.E001")
        for name, value, rule in _invalid_settings()
    ]


def _invalid_settings() -> Iterator[tuple[str, object, str]]:
    """Yield name, value and rule of each setting that cannot work."""
    lifetimes: dict[str, Any] = settings.SIMPLE_JWT
    access, refresh = lifetimes["ACCESS_TOKEN_LIFETIME"], lifetimes["REFRESH_TOKEN_LIFETIME"]
    if not timedelta(minutes=1) <= access <= timedelta(days=1):
        yield "TOKEN_MINUTES", access // timedelta(minutes=1), "between 1 and 1440"
    if not timedelta(days=1) <= refresh <= timedelta(days=MAX_REFRESH_DAYS):
        yield "REFRESH_DAYS", refresh.days, f"between 1 and {MAX_REFRESH_DAYS}"
    for name in RATE_SETTINGS:
        try:
            parse_rate(settings.MUSICREC[name])
        except ValueError:
            yield name, repr(settings.MUSICREC[name]), f"a number and one of /{', /'.join(UNITS)}, or empty"
    if settings.MUSICREC["PROXIES"] < 0:
        yield "PROXIES", settings.MUSICREC["PROXIES"], "0 or more"
    provider = [settings.MUSICREC[name] for name in ("IDP_ISSUER", "IDP_AUDIENCE", "IDP_JWKS_URL")]
    for name, value in zip(("IDP_ISSUER", "IDP_AUDIENCE", "IDP_JWKS_URL"), provider, strict=True):
        if any(provider) and not value:
            yield name, "empty", "set too: an identity provider needs its issuer, an audience and the URL of its keys"
    for algorithm in settings.MUSICREC["IDP_ALGORITHMS"] or [""]:
        if algorithm not in ALGORITHMS:
            # With `none` or a symmetric algorithm, anybody who knows the public key could sign tokens.
            yield "IDP_ALGORITHMS", repr(algorithm), f"one or several of {', '.join(ALGORITHMS)}"
    if not 0 <= settings.MUSICREC["IDP_LEEWAY_SECONDS"] <= MAX_LEEWAY_SECONDS:
        yield "IDP_LEEWAY_SECONDS", settings.MUSICREC["IDP_LEEWAY_SECONDS"], f"between 0 and {MAX_LEEWAY_SECONDS}"
    for origin in settings.CORS_ALLOWED_ORIGINS:
        if not ORIGIN.fullmatch(origin):
            yield "CORS_ORIGINS", repr(origin), "origins with scheme and without path, as https://app.example"
