"""The way of most requests: a good question about recommendations, by a principal who may ask it.

Such a request is answered here, in front of Django, whose handler, middlewares and views take longer than the answer.
Whatever is not plainly that – another path, a browser of another origin, a wrong parameter, a key that is not good, a
limit that is reached, an error – goes on to Django, where the same functions are called, and refusals are worded.
`tests/musicrec/test_express.py` holds both ways to the same answers and headers.
"""

import logging
import re
from collections.abc import Callable, Iterable
from functools import cache, lru_cache
from time import perf_counter
from typing import Any, NamedTuple

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections
from django.http.request import split_domain_port, validate_host
from rest_framework.exceptions import APIException

from access.authentication import read_access_token
from access.models import Scope
from access.services import record_service_key_use
from access.throttles import within_rate_limit
from common.http.request_id import accept_request_id
from common.http.request_metrics import count_request, format_server_timing
from common.http.security_headers import DEFAULT_POLICY, SECURITY_HEADERS
from recommendations.api.query_parameters import QueryParameters, parse_query
from recommendations.api.views import HEADERS
from recommendations.serving.answer import answer, spans
from recommendations.serving.recommender import RecommendationRequest, UnknownTrack
from recommendations.serving.request_context import RequestContext, load_context_by_key, load_context_by_token
from recommendations.serving.response_cache import response_cache

logger = logging.getLogger(__name__)
Environ = dict[str, Any]
Start = Callable[..., Any]
PATH = re.compile(r"/recommend/(?:user/(?P<user>me|[0-9]{1,18})(?P<ml>/ml)?|similar/(?P<track>[0-9]{1,18}))", re.ASCII)
NAMES = {"personal": "recommend", "legacy": "recommend-legacy", "similar": "similar"}  # of the URLs


class Express:
    """WSGI."""

    def __init__(self, django: Callable[[Environ, Start], Iterable[bytes]]) -> None:
        self._django = django

    def __call__(self, environ: Environ, start: Start) -> Iterable[bytes]:
        began = perf_counter()
        asking = _asking(environ)
        if asking is None:
            return self._django(environ, start)
        try:
            given = _given(environ, asking, began)
        except (DatabaseError, APIException, UnknownTrack):
            given = None
        except Exception:
            logger.exception("a request could not be answered the short way")
            given = None
        if given is None:
            return self._django(environ, start)
        start(given.status, given.headers)
        return [given.body]


class Asking(NamedTuple):
    """kind: of the question · named, track: in the path · scheme, credential: of the header `Authorization`."""

    kind: str
    named: str | None
    track: int | None
    scheme: str
    credential: str

    def question(self, wanted: QueryParameters, listener: int | None) -> RecommendationRequest:
        return RecommendationRequest(self.kind, wanted.request, listener, self.track)


class Given(NamedTuple):
    status: str
    headers: list[tuple[str, str]]
    body: bytes


def _asking(environ: Environ) -> Asking | None:
    """What is plainly a question; None for all else."""
    if environ["REQUEST_METHOD"] != "GET" or "HTTP_ORIGIN" in environ or environ.get("CONTENT_LENGTH"):
        return None
    path = PATH.fullmatch(environ["PATH_INFO"])
    if (
        path is None
        or environ.get("SCRIPT_NAME")
        or not _is_ours(environ.get("HTTP_HOST", ""))
        or not _is_safe(environ)
    ):
        return None
    scheme, _, credential = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme not in ("Api-Key", "Bearer"):
        return None
    kind = "similar" if path["track"] else "personal" if path["ml"] else "legacy"
    track = int(path["track"]) if path["track"] else None
    return Asking(kind, path["user"], track, scheme, credential)


@lru_cache(maxsize=64)
def _is_ours(host: str) -> bool:
    return validate_host(split_domain_port(host)[0], settings.ALLOWED_HOSTS)


def _is_safe(environ: Environ) -> bool:
    return not settings.HTTPS or environ.get("HTTP_X_FORWARDED_PROTO") == "https"


def _given(environ: Environ, asking: Asking, began: float) -> Given | None:
    """Raises what the way through Django answers with a refusal."""
    one: Any = connections[DEFAULT_DB_ALIAS]
    if not one.in_atomic_block:  # but in tests
        one.close_if_unusable_or_obsolete()  # as Django does before each request
    request_id = accept_request_id(environ.get("HTTP_X_REQUEST_ID", ""))
    by = _by_key if asking.scheme == "Api-Key" else _by_token
    found = by(asking, parse_query(asking.kind, environ.get("QUERY_STRING", "")))
    if found is None:
        return None
    question, asked = found
    had, begun = environ.get("HTTP_IF_NONE_MATCH", ""), perf_counter()
    kept = answer(question, asked, had)
    timing = spans(asked, kept, perf_counter() - begun)
    unchanged = kept.etag in had
    seconds = perf_counter() - began
    count_request(NAMES[asking.kind], kept.strategy, 304 if unchanged else 200, seconds)
    said = [
        ("ETag", kept.etag),
        ("X-Request-ID", request_id),
        ("Server-Timing", format_server_timing(seconds, timing)),
        *HEADERS.items(),
    ]
    if unchanged:
        return Given("304 Not Modified", said, b"")
    return Given("200 OK", [*said, ("Content-Length", str(len(kept.body))), *_said_always()], kept.body)


def _by_key(asking: Asking, wanted: QueryParameters) -> tuple[RecommendationRequest, RequestContext] | None:
    if asking.named == "me":
        return None
    listener = int(asking.named) if asking.named else wanted.user_id
    question = asking.question(wanted, listener)
    found = load_context_by_key(asking.credential, listener, response_cache.known(question))
    if found is None or Scope.RECOMMEND not in found[0].scopes:
        return None
    record_service_key_use(found[0])
    return (question, found[1]) if within_rate_limit("key", found[0].pk) else None


def _by_token(asking: Asking, wanted: QueryParameters) -> tuple[RecommendationRequest, RequestContext] | None:
    claims = read_access_token(asking.credential.encode("latin-1"))
    about = asking.named or wanted.user_id or "me"
    if claims.sign_in is None or str(about) not in ("me", str(claims.user_id)):
        return None
    question = asking.question(wanted, claims.user_id)
    found = load_context_by_token(claims.user_id, claims.sign_in, response_cache.known(question))
    return (question, found[1]) if found and within_rate_limit("listener", claims.user_id) else None


@cache
def _said_always() -> list[tuple[str, str]]:
    hsts = [("Strict-Transport-Security", f"max-age={settings.SECURE_HSTS_SECONDS}; includeSubDomains; preload")]
    return [*SECURITY_HEADERS.items(), ("Content-Security-Policy", DEFAULT_POLICY), *(hsts if settings.HTTPS else [])]
