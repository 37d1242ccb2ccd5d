"""Response headers that tell browsers what a page may do, and caches that a response is private."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.utils.cache import patch_vary_headers

# Alpine evaluates attributes of the admin's pages, and unfold writes inline styles and scripts into them.
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
# Swagger UI writes inline styles, and its icons are `data:` URLs.
API_DOCS_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
DEFAULT_POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
PERMISSIONS_POLICY = "camera=(), geolocation=(), microphone=(), payment=(), usb=()"


class SecurityHeadersMiddleware:
    """Set the headers that Django's own middlewares do not know, unless the view has set them."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if response.status_code == 304:  # its headers would replace those that the browser has cached with the page
            return response
        response.headers.setdefault("Permissions-Policy", PERMISSIONS_POLICY)
        if request.path.startswith("/admin/"):
            policy = ADMIN_POLICY
        elif request.path.startswith("/schema/docs"):
            policy = API_DOCS_POLICY
        else:
            policy = DEFAULT_POLICY
        response.headers.setdefault("Content-Security-Policy", policy)
        if not response.has_header("Cache-Control") and not response.get("Content-Type", "").startswith("text/html"):
            # Only the client that asked may store a response, and only if an ETag lets it revalidate.
            can_revalidate = response.status_code == 200 and response.has_header("ETag")
            response["Cache-Control"] = "private, no-cache" if can_revalidate else "no-store"
            patch_vary_headers(response, ["Authorization"])
        return response
