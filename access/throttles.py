"""Rate limits of service keys, listeners and sign-ins, counted in fixed windows by the `limits` library.

All processes count together in Redis; without Redis each process counts for itself. While Redis does not answer,
requests are not counted, so that its failure neither refuses nor delays requests.
"""

import ipaddress
import math
import re
import time
from functools import cache, lru_cache
from threading import Lock
from typing import Any, NoReturn

from django.conf import settings
from django.utils.crypto import salted_hmac
from limits import (
    RateLimitItem,
    RateLimitItemPerDay,
    RateLimitItemPerHour,
    RateLimitItemPerMinute,
    RateLimitItemPerSecond,
    WindowStats,
)
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import FixedWindowRateLimiter
from prometheus_client import Counter
from redis import ResponseError
from rest_framework.exceptions import Throttled
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from access.models import ServiceKey
from access.sign_ins import InvalidRefreshToken, RefreshClaims
from common.redis_client import call_redis, redis_client

UNITS: dict[str, type[RateLimitItem]] = {
    "sec": RateLimitItemPerSecond,
    "min": RateLimitItemPerMinute,
    "hour": RateLimitItemPerHour,
    "day": RateLimitItemPerDay,
}
RATE = re.compile(rf"([1-9]\d{{0,8}})/({'|'.join(UNITS)})")
ADDRESS_LIMIT_FACTOR = 10  # many phones share the address of their mobile network

LEASES_PER_WINDOW = 100
MAX_LEASES = 10_000  # principals of whom a process remembers a lease
_leases: dict[tuple[str, RateLimitItem], tuple[float, int]] = {}  # end of the window in UNIX seconds, requests left
_lease_lock = Lock()

refused_requests = Counter("musicrec_requests_refused", "Requests that exceeded a rate limit, by limit.", ["limit"])


class RateLimitExceeded(Throttled):
    extra_detail_singular = "try again in {wait} second"
    extra_detail_plural = "try again in {wait} seconds"


class CounterStorage(RedisStorage):
    """Counters in Redis; one that holds something else than a number begins again at zero."""

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        try:
            return super().incr(key, expiry, amount)
        except ResponseError:
            self.clear(key)
            return super().incr(key, expiry, amount)


class PrincipalThrottle(BaseThrottle):
    """Limit the requests of each service key and each listener.

    Anonymous requests are not limited: the views that accept them are cheap or have a throttle of their own.
    """

    def allow_request(self, request: Request, view: Any) -> bool:
        consume_quota(request, 1)
        return True


class SignInThrottle(BaseThrottle):
    """Limit the attempts to sign in by user name and by client address.

    Neither is stored: the counters are named by an HMAC of them.
    """

    def allow_request(self, request: Request, view: Any) -> bool:
        limit = parse_rate(settings.MUSICREC["RATE_SIGN_IN"])
        if limit is None:
            return True
        body = request.data if isinstance(request.data, dict) else {}
        if wait := count_sign_in_attempt(str(body.get("username", ""))):
            refuse_request("sign_in", limit, wait)
        _count_address(request, limit)
        return True


class DeviceThrottle(BaseThrottle):
    """Limit the sign-ins of devices by client address, together with the attempts to sign in."""

    def allow_request(self, request: Request, view: Any) -> bool:
        if limit := parse_rate(settings.MUSICREC["RATE_SIGN_IN"]):
            _count_address(request, limit)
        return True


class RefreshThrottle(BaseThrottle):
    """Limit requests with a refresh token: genuine tokens by listener, others by client address.

    The many phones behind one address are not limited together, as long as their tokens are genuine. A token that was
    used or revoked still counts as genuine here, so these requests do not use up the listener's other requests.
    """

    def allow_request(self, request: Request, view: Any) -> bool:
        body = request.data if isinstance(request.data, dict) else {}
        try:
            listener_id = RefreshClaims.read(str(body.get("refresh", ""))).user_id
        except InvalidRefreshToken:
            if limit := parse_rate(settings.MUSICREC["RATE_SIGN_IN"]):
                _count_address(request, limit)
            return True
        limit = parse_rate(settings.MUSICREC["RATE_LISTENER"])
        if limit and (wait := count_requests(limit, f"refresh:{listener_id}")):
            refuse_request("listener", limit, wait)
        return True


def consume_quota(request: Request, cost: int) -> None:
    """Count a request as `cost` requests of its service key or listener.

    Raises:
        RateLimitExceeded: the principal has reached its limit.
    """
    if isinstance(request.auth, ServiceKey):
        kind, principal_id = "key", request.auth.pk
    elif request.user.is_authenticated:
        kind, principal_id = "listener", request.user.pk
    else:
        return
    limit = parse_rate(settings.MUSICREC[f"RATE_{kind.upper()}"])
    if limit is None or cost < 1:
        return
    # Asking Redis at each request takes a quarter of a cached answer. So a process leases a hundredth of the limit at
    # once and counts that down by itself. Never more than the limit is let through; what a process has leased and does
    # not use in the window, the other processes cannot give.
    principal = f"{kind}:{principal_id}"
    with _lease_lock:
        ends_at, left = _leases.get((principal, limit), (0.0, 0))
        if left >= cost and time.time() < ends_at:
            _leases[principal, limit] = ends_at, left - cost
            return
    size = max(cost, limit.amount // LEASES_PER_WINDOW)
    count = call_redis(
        lambda: limiter().storage.incr(limit.key_for(principal), limit.get_expiry(), amount=size), default=0
    )
    granted = size - max(0, count - limit.amount)
    if granted < cost:
        refuse_request(kind, limit, seconds_until_reset(limit, principal))
    if granted > cost:
        ends_at = window_stats(limit, principal).reset_time  # asks Redis, and so does not belong under the lock
        with _lease_lock:
            if len(_leases) >= MAX_LEASES:
                _leases.clear()
            _leases[principal, limit] = ends_at, granted - cost


def count_sign_in_attempt(name: str) -> int:
    """Count an attempt to sign in with a user name; return how many seconds to wait, 0 if it is allowed."""
    limit = parse_rate(settings.MUSICREC["RATE_SIGN_IN"])
    return count_requests(limit, _hmac_key("name", name.strip())) if limit else 0


def refuse_request(name: str, limit: RateLimitItem, wait: int) -> NoReturn:
    """Count the refusal and raise RateLimitExceeded."""
    refused_requests.labels(name).inc()
    raise RateLimitExceeded(wait, f"more than {limit.amount} requests a {limit.GRANULARITY.name};")


@lru_cache
def parse_rate(text: str) -> RateLimitItem | None:
    """Parse a rate such as `600/min`; an empty text means no limit.

    Raises:
        ValueError: the text is neither empty nor a number and one of UNITS.
    """
    if not text:
        return None
    if (match := RATE.fullmatch(text)) is None:
        raise ValueError(f"{text!r} is not a rate: write a number and one of /{', /'.join(UNITS)}")
    return UNITS[match[2]](int(match[1]))


def count_requests(limit: RateLimitItem, principal: str, cost: int = 1) -> int:
    """Count a principal's request, as `cost` requests; return how many seconds to wait, 0 if the limit allows it."""
    if call_redis(lambda: limiter().hit(limit, principal, cost=cost), default=True):
        return 0
    return seconds_until_reset(limit, principal)


def seconds_until_reset(limit: RateLimitItem, principal: str) -> int:
    """Return the seconds until the principal's window ends, at least 1."""
    return max(1, math.ceil(window_stats(limit, principal).reset_time - time.time()))


def window_stats(limit: RateLimitItem, principal: str) -> WindowStats:
    """Return when a principal's current window ends, in UNIX seconds, and how many requests remain in it."""
    unused = WindowStats(time.time() + limit.get_expiry(), limit.amount)
    return call_redis(limiter().get_window_stats, limit, principal, default=unused)


@cache
def limiter() -> FixedWindowRateLimiter:
    """Return this process's rate limiter; created on first use, so that settings are read only then."""
    if settings.REDIS_URL:
        return FixedWindowRateLimiter(
            CounterStorage(settings.REDIS_URL, connection_pool=redis_client().connection_pool)
        )
    return FixedWindowRateLimiter(MemoryStorage())


def _count_address(request: Request, limit: RateLimitItem) -> None:
    """Count an attempt by the client's address, for which the limit is ADDRESS_LIMIT_FACTOR times as high.

    Raises:
        RateLimitExceeded: the address has reached it.
    """
    if address := _client_address(request):
        address_limit = type(limit)(limit.amount * ADDRESS_LIMIT_FACTOR)
        if wait := count_requests(address_limit, _hmac_key("address", address)):
            refuse_request("sign_in", address_limit, wait)


def _hmac_key(kind: str, value: str) -> str:
    return f"{kind}:{salted_hmac('access.throttles', value, algorithm='sha256').hexdigest()}"


def _client_address(request: Request) -> str:
    """Return the client's network address in a form that the client cannot vary, or "" if it is not certain.

    Behind proxies it is the address that the outermost of our own proxies saw. Anybody can write addresses into
    `X-Forwarded-For`; only those that our proxies appended, the last ones, can be trusted.
    """
    if not settings.HTTPS:
        return _network(str(request.META.get("REMOTE_ADDR") or ""))
    addresses = [a.strip() for a in request.headers.get("X-Forwarded-For", "").split(",") if a.strip()]
    proxies = settings.MUSICREC["PROXIES"]
    return _network(addresses[-proxies]) if 0 < proxies <= len(addresses) else ""


def _network(address: str) -> str:
    """Return an IPv4 address without its port, or the /64 of an IPv6 address, all of which one client may use."""
    host = address.partition("]")[0].lstrip("[") if address.startswith("[") else address
    if host.count(":") == 1:  # an IPv4 address with a port, as some gateways write it
        host = host.partition(":")[0]
    try:
        ip = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return address
    if isinstance(ip, ipaddress.IPv6Address):
        return str(ip.ipv4_mapped or ipaddress.IPv6Network((int(ip), 64), strict=False))
    return str(ip)
