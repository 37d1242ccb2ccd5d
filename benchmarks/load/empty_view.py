"""An empty view of Django REST framework that returns constant bytes: the least that an answer can cost.

It runs in a process of its own, without the settings of `musicrec`, and reads two environment variables: BODY is the
file to return. MIDDLEWARE is "stock" for the middlewares that `startproject` lists, or "none" for no middleware and no
authentication.
"""

import os
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path

STOCK_MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
is_stock = os.environ["MIDDLEWARE"] == "stock"
settings.configure(
    SECRET_KEY="not a secret" * 5,
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=[
        *(f"django.contrib.{name}" for name in ("auth", "contenttypes", "sessions", "messages")),
        "rest_framework",
    ],
    MIDDLEWARE=STOCK_MIDDLEWARE if is_stock else [],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    REST_FRAMEWORK={} if is_stock else {"DEFAULT_AUTHENTICATION_CLASSES": [], "UNAUTHENTICATED_USER": None},
)
application = get_wsgi_application()

from rest_framework.views import APIView  # noqa: E402  # reads the settings when it is imported

CONTENT = Path(os.environ["BODY"]).read_bytes()


class ConstantView(APIView):
    def get(self, request: Any) -> HttpResponse:
        return HttpResponse(CONTENT, content_type="application/json", headers={"Content-Length": str(len(CONTENT))})


urlpatterns = [path(name, ConstantView.as_view()) for name in ("constant", "health/ready")]
