"""A real OpenID Connect provider in a process of its own."""

import subprocess
import sys
import time
from typing import Any
from urllib.parse import parse_qs, urlparse

import requests

from tests.postgres import free_port

START_SECONDS = 30


class OpenIdProvider:
    """A provider that runs from construction to `stop()`. Started again, it has the same address and a new key."""

    def __init__(self) -> None:
        self.port = free_port()
        self.issuer = f"http://127.0.0.1:{self.port}"
        self.jwks_url = f"{self.issuer}/jwks"
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "oidc_provider_mock", "--port", str(self.port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                requests.get(self.jwks_url, timeout=5).raise_for_status()
                return
            except requests.ConnectionError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()

    def sign_in(self, subject: str, client_id: str) -> str:
        """Go through the authorization code flow as an app does, and return the ID token."""
        redirect_uri = "https://app.example/signed-in"
        query = {"client_id": client_id, "redirect_uri": redirect_uri, "response_type": "code", "scope": "openid"}
        authorization = requests.post(
            f"{self.issuer}/oauth2/authorize",
            params=query | {"state": "s"},
            data={"sub": subject},
            allow_redirects=False,
            timeout=10,
        )
        code = parse_qs(urlparse(authorization.headers["Location"]).query)["code"][0]
        answer = requests.post(
            f"{self.issuer}/oauth2/token",
            data={"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri},
            auth=(client_id, "secret"),
            timeout=10,
        )
        tokens: dict[str, Any] = answer.json()
        return str(tokens["id_token"])
