from django.contrib import admin
from django.urls import include, path
from drf_spectacular.views import SpectacularJSONAPIView, SpectacularSwaggerSplitView

from musicrec.health import LiveView, MetricsView, ReadyView

urlpatterns = [
    path("", include("recommendations.urls")),  # first, because most requests are for these
    path("", include("privacy.urls")),
    path("", include("access.urls")),
    path("", include("tracks.urls")),
    path("", include("interactions.urls")),
    path("", include("experiments.urls")),
    path("", include("web.urls")),
    path("admin/", admin.site.urls),
    path("schema", SpectacularJSONAPIView.as_view(), name="schema"),
    path("schema/docs", SpectacularSwaggerSplitView.as_view(url_name="schema"), name="docs"),
    path("health/live", LiveView.as_view(), name="live"),
    path("health/ready", ReadyView.as_view(), name="ready"),
    path("metrics", MetricsView.as_view(), name="metrics"),
]
handler400 = "common.http.problems.bad_request"
handler403 = "common.http.problems.forbidden"
handler404 = "common.http.problems.not_found"
handler500 = "common.http.problems.server_error"
