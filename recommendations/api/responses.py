from django.http import HttpResponse
from rest_framework.request import Request

from recommendations.serving.response_cache import CachedResponse


def build_response(
    request: Request, answer: CachedResponse, cached: bool, query_seconds: float, answer_seconds: float
) -> HttpResponse:
    """Return the HTTP response of an answer; a 304 to a client that has the same slate already, and goes on showing it.

    Args:
        cached: whether the answer came from a cache.
        query_seconds: how long the query for the context took.
        answer_seconds: how long everything after it took.
    """
    request._request.strategy = answer.strategy  # type: ignore[attr-defined]  # for the metrics middleware
    request._request.spans = {  # type: ignore[attr-defined]  # for the Server-Timing header
        "db": query_seconds,
        "cache": "hit" if cached else "miss",
        "answer": answer_seconds,
    }
    headers = {"ETag": answer.etag, "Cache-Control": "private, no-cache", "Vary": "Authorization"}
    if answer.etag in request.headers.get("If-None-Match", ""):
        return HttpResponse(status=304, headers=headers | {"Content-Type": "application/json"})
    return HttpResponse(answer.body, content_type="application/json", headers=headers)
