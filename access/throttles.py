"""Too many requests of one principal are a 429: of a key, of a listener, of who tries passwords."""

from typing import Any

from django.conf import settings
from django.utils.crypto import salted_hmac
from prometheus_client import Counter
from rest_framework.exceptions import Throttled
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from access.models import ServiceKey
from common.rate_limits import Leases, Rate, rate

refused_requests = Counter("musicrec_requests_refused", "Requests beyond a limit, by which.", ["limit"])
ATTEMPTS_PER_ADDRESS_FACTOR = 10  # many phones share the address of their carrier


_leases = Leases()


class RateLimitExceeded(Throttled):
    extra_detail_singular = "try again in {wait} second"
    extra_detail_plural = "try again in {wait} seconds"


class PrincipalThrottle(BaseThrottle):
    """Of whoever has signed in, or shown a key. Others reach only what costs nothing."""

    def allow_request(self, request: Request, view: Any) -> bool:
        if isinstance(request.auth, ServiceKey):
            _limit("key", f"key:{request.auth.pk}")
        elif request.user.is_authenticated:
            _limit("listener", f"listener:{request.user.pk}")
        return True


def consume_quota(request: Request, more: int) -> None:
    """Count a request that asks for many things at once as so many more. Raises TooMany."""
    if more > 0 and isinstance(request.auth, ServiceKey):
        _limit("key", f"key:{request.auth.pk}", more)
    elif more > 0:
        _limit("listener", f"listener:{request.user.pk}", more)


class SignInThrottle(BaseThrottle):
    """Of a name and of an address. Neither is kept: only an HMAC of it, as long as it counts."""

    def allow_request(self, request: Request, view: Any) -> bool:
        if (limit := rate(settings.MUSICREC["RATE_SIGN_IN"])) is None:
            return True
        body = request.data if isinstance(request.data, dict) else {}
        raise_if_limited(limit, "sign_in", count_sign_in_attempt(str(body.get("username", ""))))
        if address := _client_address(request):
            raise_if_limited(limit, "sign_in", limit.wait(_hmac_key("address", address), ATTEMPTS_PER_ADDRESS_FACTOR))
        return True


def count_sign_in_attempt(name: str) -> int:
    """Count one more password tried for a name; 0 if it may be tried, else the seconds to wait."""
    limit = rate(settings.MUSICREC["RATE_SIGN_IN"])
    return limit.wait(_hmac_key("name", name.strip())) if limit else 0


def _limit(name: str, principal: str, requests: int = 1) -> None:
    """Raises TooMany."""
    if limit := rate(settings.MUSICREC[f"RATE_{name.upper()}"]):
        raise_if_limited(limit, name, _leases.wait(limit, principal, requests))


def within_rate_limit(name: str, principal: int) -> bool:
    """Count one request more of a "key" or a "listener"; whether it is within the limit."""
    limit = rate(settings.MUSICREC[f"RATE_{name.upper()}"])
    return limit is None or not _leases.wait(limit, f"{name}:{principal}")


def raise_if_limited(limit: Rate, name: str, wait: int) -> None:
    """Raises TooMany where there is something to wait for."""
    if wait:
        refused_requests.labels(name).inc()
        raise RateLimitExceeded(wait, f"more than {limit.count} requests a {limit.unit};")


def _hmac_key(kind: str, value: str) -> str:
    return f"{kind}:{salted_hmac('access.throttles', value, algorithm='sha256').hexdigest()}"


def _client_address(request: Request) -> str:
    """The caller's, as far as it can be known: behind proxies, as the outermost of ours has seen it; "" else.

    Who is no proxy of ours may write any address into the header, so only the last ones count.
    """
    if not settings.HTTPS:
        return str(request.META.get("REMOTE_ADDR") or "")
    seen = [a.strip() for a in request.headers.get("X-Forwarded-For", "").split(",") if a.strip()]
    proxies = settings.MUSICREC["PROXIES"]
    return seen[-proxies] if 0 < proxies <= len(seen) else ""
