"""A request body longer than `DATA_UPLOAD_MAX_MEMORY_SIZE` is refused before anybody reads it."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from musicrec.problems import answer


class BodyLimitMiddleware:
    """Django's own limit does not reach views that read the stream, as those of the API do."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        limit, length = settings.DATA_UPLOAD_MAX_MEMORY_SIZE, request.META.get("CONTENT_LENGTH") or "0"
        if not length.isdigit() or int(length) > limit:
            return answer(413, f"the body may have {limit} bytes; send less at once")
        return self.get_response(request)
