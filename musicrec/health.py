"""Views for load balancers and Prometheus: liveness, readiness and metrics."""

import logging
import os
from typing import Any

from django.db import Error, connection
from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from prometheus_client import CONTENT_TYPE_LATEST
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from access.models import Scope
from musicrec.metrics.exposition import render_metrics
from recommendations.serving.model_cache import model_cache

logger = logging.getLogger(__name__)


class LiveView(APIView):
    """Report that the process answers."""

    authentication_classes: list[Any] = []
    permission_classes = [AllowAny]

    @extend_schema(exclude=True)
    def get(self, request: Request) -> Response:
        return Response({"status": "ok"})


class ReadyView(APIView):
    """Report whether the process can answer requests: 503 without a database.

    Without a readable model it still recommends by popularity, so the status is "degraded" and the code 200.
    """

    authentication_classes: list[Any] = []
    permission_classes = [AllowAny]

    @extend_schema(exclude=True)
    def get(self, request: Request) -> Response:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")
            loaded = model_cache.current()
        except Error as error:
            logger.warning("not ready: %s", error)
            return Response({"status": "unavailable", "problem": "database", "pid": os.getpid()}, 503)
        return Response(
            {
                "status": "degraded" if loaded.problem else "ok",
                "problem": loaded.problem,
                "model_version": loaded.bundle.version,
                "pid": os.getpid(),
            }
        )


class MetricsView(APIView):
    """Return the metrics to a service key with the scope `metrics`."""

    required_scope = Scope.METRICS
    service_only = True

    @extend_schema(exclude=True)
    def get(self, request: Request) -> HttpResponse:
        return HttpResponse(render_metrics(), content_type=CONTENT_TYPE_LATEST)
