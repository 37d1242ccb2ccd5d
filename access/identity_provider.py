"""Verify the JWTs of the app's own identity provider (OpenID Connect), whose subject is the listener's external id.

Nothing in a token but its signature is trusted before that is checked: the algorithms and the address of the keys come
from the settings, so that the headers `jku`, `jwk`, `x5u` and `x5c` have no effect.
"""

import logging
import time
from functools import cache
from threading import Lock
from typing import Any

import jwt
from django.conf import settings
from jwt.exceptions import InvalidSubjectError
from rest_framework.exceptions import APIException, AuthenticationFailed

from access.models import User
from access.services import get_or_create_user_ids
from common.http.references import PREFIX, InvalidReference, parse_external_id

logger = logging.getLogger(__name__)
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
KEYS_LIFETIME_SECONDS = 300.0
FETCH_INTERVAL_SECONDS = 10.0  # at least, so that forged tokens cannot make this process fetch keys at each request
FETCH_TIMEOUT_SECONDS = 3.0


class ProviderTokenRefused(AuthenticationFailed):
    """A 401 that says why a token of the identity provider is refused."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"this token is refused: {reason}")


class ProviderUnavailable(APIException):
    """The identity provider's keys have not been read yet, and cannot be read."""

    status_code = 503
    default_detail = "the keys of the identity provider cannot be read at the moment; try again"
    wait = FETCH_INTERVAL_SECONDS  # DRF sends it as Retry-After


class ProviderKeys:
    """The keys at a JWKS URL. They are fetched again when they are old and for a key that is not among them.

    While the server is down, the keys that were fetched last stay in use.
    """

    def __init__(self, url: str) -> None:
        self._client = jwt.PyJWKClient(url, cache_jwk_set=False, timeout=FETCH_TIMEOUT_SECONDS)
        self._keys: list[jwt.PyJWK] = []
        self._fetched_at = self._attempted_at = -float("inf")
        self._lock = Lock()

    def current(self, *, refresh: bool = False) -> list[jwt.PyJWK]:
        """Return the keys for signatures.

        Args:
            refresh: fetch them again even if they are not old, unless that was tried a few seconds ago.

        Raises:
            ProviderUnavailable: no keys have been fetched yet.
        """
        is_due = refresh or time.monotonic() - self._fetched_at >= KEYS_LIFETIME_SECONDS
        # If another thread is fetching already, only those wait that cannot go on with the keys of before.
        if is_due and self._lock.acquire(blocking=refresh or not self._keys):
            try:
                self._fetch()
            finally:
                self._lock.release()
        if not self._keys:
            raise ProviderUnavailable
        return self._keys

    def _fetch(self) -> None:
        now = time.monotonic()
        if now - self._attempted_at < FETCH_INTERVAL_SECONDS:
            return
        self._attempted_at = now
        try:
            keys = [key for key in self._client.get_jwk_set().keys if key.public_key_use in ("sig", None)]
        except (jwt.PyJWTError, OSError, ValueError) as error:
            logger.warning("the keys of the identity provider cannot be read: %s", error)
            return
        self._keys, self._fetched_at = keys, now


@cache
def provider_keys(url: str) -> ProviderKeys:
    return ProviderKeys(url)


def authenticate_provider_token(raw_token: bytes) -> tuple[User, dict[str, Any]]:
    """Return the listener of a token of the identity provider, and its claims.

    A listener who is not known yet is created if MUSICREC_IDP_CREATE_LISTENERS is on.

    Raises:
        ProviderTokenRefused: the token is not valid, or the account is closed or was erased.
        ProviderUnavailable: the keys are not known.
    """
    claims = _verify(raw_token)
    subject = claims["sub"]
    try:
        external_id = parse_external_id(PREFIX + subject).text
    except InvalidReference as error:
        raise ProviderTokenRefused(f"its subject (sub) cannot be an external id: {error}") from error
    user = User.objects.filter(external_id=external_id).first()
    if user is None and settings.MUSICREC["IDP_CREATE_LISTENERS"]:
        user_ids = get_or_create_user_ids([external_id])
        if not user_ids:
            raise ProviderTokenRefused("this account was erased on request")
        user = User.objects.filter(pk=user_ids[external_id]).first()
    if user is None:
        raise ProviderTokenRefused("there is no listener with its subject (sub) as external id")
    if not user.is_active:
        raise ProviderTokenRefused("this account is closed")
    return user, claims


def _verify(raw_token: bytes) -> dict[str, Any]:
    """Return the claims of a token whose signature, times, issuer and audience are right."""
    issuer, audience = settings.MUSICREC["IDP_ISSUER"], settings.MUSICREC["IDP_AUDIENCE"]
    algorithms = settings.MUSICREC["IDP_ALGORITHMS"]
    if not issuer:
        raise ProviderTokenRefused(
            "it is not of this service, and no identity provider is configured (MUSICREC_IDP_ISSUER)"
        )
    try:
        unverified = jwt.decode_complete(raw_token, options={"verify_signature": False})
    except (jwt.PyJWTError, ValueError, RecursionError) as error:
        raise ProviderTokenRefused("it is not a JWT that this service can read") from error
    # These come first, so that no keys are fetched for a token that would be refused anyway.
    if (algorithm := unverified["header"].get("alg")) not in algorithms:
        raise ProviderTokenRefused(
            f"its algorithm {str(algorithm)[:20]!r} is not allowed; allowed are {', '.join(algorithms)}"
        )
    if unverified["payload"].get("iss") != issuer:
        raise ProviderTokenRefused("its issuer (iss) is not the identity provider of this service")
    key_id, keys = unverified["header"].get("kid"), provider_keys(settings.MUSICREC["IDP_JWKS_URL"])
    for is_second_attempt in (False, True):  # the provider may have replaced its keys
        candidates = [
            key
            for key in keys.current(refresh=is_second_attempt)
            if key.algorithm_name == algorithm and key_id in (None, key.key_id)
        ]
        for key in candidates:
            try:
                return jwt.decode(
                    raw_token,
                    key,
                    algorithms=algorithms,
                    issuer=issuer,
                    audience=audience,
                    leeway=settings.MUSICREC["IDP_LEEWAY_SECONDS"],
                    options={"require": ["exp", "iss", "aud", "sub"]},
                )
            except jwt.InvalidSignatureError:
                continue  # a token without a key id is tried with every key
            except jwt.PyJWTError as error:
                raise ProviderTokenRefused(_explain(error, audience)) from error
        if candidates and key_id is not None:
            raise ProviderTokenRefused("its signature is wrong")
    if key_id is None:
        raise ProviderTokenRefused("its signature is wrong: it is by none of the identity provider's keys")
    raise ProviderTokenRefused(f"the identity provider has no key for {algorithm} with its id (kid)")


def _explain(error: jwt.PyJWTError, audience: list[str]) -> str:
    match error:
        case jwt.ExpiredSignatureError():
            return "it has expired (exp); get a new one from the identity provider"
        case jwt.ImmatureSignatureError():
            return "it is not valid yet (nbf, iat); the clock of the identity provider or of this service is wrong"
        case jwt.InvalidAudienceError():
            return f"its audience (aud) is not {' or '.join(audience)}"
        case jwt.MissingRequiredClaimError():
            return f"it has no {error.claim}"
        case InvalidSubjectError():
            return "its subject (sub) is not a text"
    return f"a claim has the wrong type: {error}"
