"""Headers that tell browsers what an answer may do, and caches that it is nobody else's."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers

# Of the admin's pages Alpine evaluates attributes, and unfold writes styles and scripts into them.
ADMIN_POLICY = "; ".join(
    [
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' https: http: data:",
        "font-src 'self' data:",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    ]
)
# Swagger UI writes styles, and draws its icons from `data:`.
API_DOCS_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
DEFAULT_POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}


class SecurityHeadersMiddleware:
    """Outside of all others, so that their answers have them too. What a view has said itself stays."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if response.status_code == 304:  # what it says takes the place of what the browser has kept with the page
            return response
        for name, value in SECURITY_HEADERS.items():
            response.headers.setdefault(name, value)
        response.headers.setdefault("Content-Security-Policy", _policy(request.path))
        if not response.has_header("Cache-Control") and not response.get("Content-Type", "").startswith("text/html"):
            _keep_private(response)
        return response


def _policy(path: str) -> str:
    if path.startswith("/admin/"):
        return ADMIN_POLICY
    return API_DOCS_POLICY if path.startswith("/schema/docs") else DEFAULT_POLICY


def _keep_private(response: HttpResponseBase) -> None:
    """An answer with an ETag may be kept by who got it, and asked for again; any other is not worth keeping."""
    again = response.has_header("ETag") and response.status_code == 200
    response["Cache-Control"] = "private, no-cache" if again else "no-store"
    patch_vary_headers(response, ["Authorization"])
