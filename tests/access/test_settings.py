"""Invalid settings are refused, and the documented production settings pass the deployment check."""

import os
import secrets
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from access.checks import check_settings, raise_for_invalid_settings
from musicrec.processes import ROOT


def test_the_defaults_are_accepted() -> None:
    assert check_settings(None) == []


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("RATE_LISTENER", "600", "MUSICREC_RATE_LISTENER is '600'; it must be a number and one of /sec"),
        ("RATE_KEY", "0/min", "MUSICREC_RATE_KEY is '0/min'; it must be"),
        ("RATE_SIGN_IN", "ten/min", "MUSICREC_RATE_SIGN_IN is 'ten/min'; it must be"),
        ("PROXIES", -1, "MUSICREC_PROXIES is -1; it must be 0 or more."),
    ],
)
def test_an_invalid_rate_is_refused(settings: Any, name: str, value: Any, message: str) -> None:
    settings.MUSICREC = settings.MUSICREC | {name: value}
    [error] = check_settings(None)
    assert error.msg.startswith(message)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("ACCESS_TOKEN_LIFETIME", timedelta(0), "MUSICREC_TOKEN_MINUTES is 0; it must be between 1 and 1440."),
        ("ACCESS_TOKEN_LIFETIME", timedelta(minutes=-5), "MUSICREC_TOKEN_MINUTES is -5; it must be"),
        ("REFRESH_TOKEN_LIFETIME", timedelta(0), "MUSICREC_REFRESH_DAYS is 0; it must be between 1 and 366."),
    ],
)
def test_an_invalid_token_lifetime_is_refused(settings: Any, name: str, value: Any, message: str) -> None:
    settings.SIMPLE_JWT = settings.SIMPLE_JWT | {name: value}
    with pytest.raises(ImproperlyConfigured, match=message):
        raise_for_invalid_settings()


PROVIDER = {"IDP_ISSUER": "https://id.example", "IDP_AUDIENCE": ["app"], "IDP_JWKS_URL": "https://id.example/jwks"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, None),
        ({"IDP_ALGORITHMS": ["ES256", "EdDSA"], "IDP_LEEWAY_SECONDS": 0}, None),
        ({"IDP_ISSUER": ""}, "MUSICREC_IDP_ISSUER is empty; it must be set too"),
        ({"IDP_AUDIENCE": []}, "MUSICREC_IDP_AUDIENCE is empty; it must be set too"),
        ({"IDP_JWKS_URL": ""}, "MUSICREC_IDP_JWKS_URL is empty; it must be set too"),
        (
            {"IDP_ALGORITHMS": ["RS256", "none"]},
            "MUSICREC_IDP_ALGORITHMS is 'none'; it must be one or several of RS256",
        ),
        ({"IDP_ALGORITHMS": ["HS256"]}, "MUSICREC_IDP_ALGORITHMS is 'HS256'; it must be one or several of RS256"),
        ({"IDP_ALGORITHMS": []}, "MUSICREC_IDP_ALGORITHMS is ''; it must be one or several of RS256"),
        ({"IDP_LEEWAY_SECONDS": -1}, "MUSICREC_IDP_LEEWAY_SECONDS is -1; it must be between 0 and 600."),
    ],
)
def test_an_identity_provider_that_cannot_work_is_refused(
    settings: Any, changes: dict[str, Any], message: str | None
) -> None:
    settings.MUSICREC = settings.MUSICREC | PROVIDER | changes
    errors = [error.msg for error in check_settings(None)]
    assert [error[: len(message or "")] for error in errors] == ([message] if message else [])


@pytest.mark.parametrize("origin", ["app.example", "https://app.example/", "*", "https://*.example"])
def test_an_invalid_origin_is_refused(settings: Any, origin: str) -> None:
    settings.CORS_ALLOWED_ORIGINS = ["https://app.example", "http://localhost:3000", origin]
    [error] = check_settings(None)
    assert error.msg.startswith(f"MUSICREC_CORS_ORIGINS is {origin!r}")


def manage(folder: Path, *words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    inherited = {name: value for name, value in os.environ.items() if name != "DJANGO_ALLOW_ASYNC_UNSAFE"}
    return subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), *words],
        env=inherited | {"MUSICREC_VAR_DIR": str(folder)} | environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )


def test_the_documented_production_settings_pass_the_deployment_check(tmp_path: Path) -> None:
    result = manage(
        tmp_path,
        *("check", "--deploy", "--fail-level", "WARNING"),
        SECRET_KEY=secrets.token_urlsafe(50),
        ALLOWED_HOSTS="127.0.0.1,music.example.org",
        MUSICREC_HTTPS="true",
        MUSICREC_CORS_ORIGINS="https://app.example",
    )
    assert result.returncode == 0, result.stderr


def test_an_invalid_token_lifetime_stops_the_start(tmp_path: Path) -> None:
    result = manage(tmp_path, "check", MUSICREC_TOKEN_MINUTES="0")
    assert result.returncode == 1
    assert "MUSICREC_TOKEN_MINUTES is 0; it must be between 1 and 1440." in result.stderr


def test_the_algorithm_none_stops_the_start(tmp_path: Path) -> None:
    result = manage(tmp_path, "check", MUSICREC_IDP_ALGORITHMS="RS256,none")
    assert result.returncode == 1
    assert "MUSICREC_IDP_ALGORITHMS is 'none'; it must be one or several of RS256" in result.stderr


def test_a_value_that_cannot_be_read_stops_the_start_with_one_line(tmp_path: Path) -> None:
    result = manage(tmp_path, "check", MUSICREC_GATE_MARGIN="nan")
    assert (result.returncode, result.stderr) == (
        1,
        "Error: MUSICREC_GATE_MARGIN is 'nan'; it must be a number in digits with a decimal point, such as 0.1\n",
    )
