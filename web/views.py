from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

# Catalogues come from others: their pictures and previews may be on any host, but code must be our own.
CONTENT_SECURITY_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "font-src 'self'",
        "connect-src 'self'",
        "img-src 'self' https: http: data:",
        "media-src https: http:",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    ]
)


@require_safe
def listener_page(request: HttpRequest) -> HttpResponse:
    response = render(request, "web/listener.html")
    response["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    return response
