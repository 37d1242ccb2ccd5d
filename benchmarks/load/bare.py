"""A bare view of Django REST framework that gives constant bytes: what an answer costs at least, by the same server.

In a process of its own: `musicrec`'s settings are not loaded. BODY: the file of bytes · MIDDLEWARE: "stock" for what
`startproject` lists, "none" for none of it, and a view that looks at nobody's credentials.
"""

import os
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path

STOCK = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
stock = os.environ["MIDDLEWARE"] == "stock"
settings.configure(
    SECRET_KEY="not a secret" * 5,
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=[
        *(f"django.contrib.{name}" for name in ("auth", "contenttypes", "sessions", "messages")),
        "rest_framework",
    ],
    MIDDLEWARE=STOCK if stock else [],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    REST_FRAMEWORK={} if stock else {"DEFAULT_AUTHENTICATION_CLASSES": [], "UNAUTHENTICATED_USER": None},
)
application = get_wsgi_application()

from rest_framework.views import APIView  # noqa: E402  # it reads the settings when it is imported

BYTES = Path(os.environ["BODY"]).read_bytes()


class Constant(APIView):
    def get(self, request: Any) -> HttpResponse:
        return HttpResponse(BYTES, content_type="application/json", headers={"Content-Length": str(len(BYTES))})


urlpatterns = [path(name, Constant.as_view()) for name in ("constant", "health/ready")]
