"""Admin of versions: the list, a page for each version, their quality over time, and a version's map of tracks."""

import json
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.views.decorators.http import require_safe
from unfold.decorators import action

from common.admin import ActionButtonAdmin, list_url
from common.confirmation import confirmation_page, is_confirmed
from recommendations.admin import formatting
from recommendations.admin.change_of_version import confirm_publication, confirm_rollback
from recommendations.admin.history import quality_history
from recommendations.admin.report import MAIN_METRIC, Report, question_name
from recommendations.admin.version_page import version_page
from recommendations.models import ModelArtifact
from recommendations.selectors import MapUnavailable, build_track_map, select_map_tracks
from recommendations.services import CannotPublish, publish_version, roll_back
from recommendations.version_store import current_pointer, version_in_service

RETRY_SECONDS = 2
RECORDED_FIELDS = [
    "version",
    "algorithm",
    "fingerprint",
    "gate",
    "gate_reason",
    "published_at",
    "projected_at",
    "pruned_at",
]


@admin.register(ModelArtifact)
class ModelArtifactAdmin(ActionButtonAdmin):
    list_display = [
        "version",
        "in_service",
        "algorithm",
        "gate",
        "ndcg_10",
        "users",
        "items",
        "plays",
        "size",
        "created_at",
    ]
    list_filter = ["gate", "algorithm"]
    actions = ["put_into_service"]
    actions_list = ["quality"]
    actions_detail = ["map_of_tracks"]
    fieldsets = [("Everything recorded", {"classes": ["collapse"], "fields": [*RECORDED_FIELDS, "manifest_json"]})]
    readonly_fields = ["manifest_json"]
    change_form_outer_before_template = "recommendations/version.html"
    button_label = "Roll back"
    button_view_name = "roll_back"
    button_hint = "Puts the previous version back into service. You will be asked to confirm."

    class Media:
        css = {"all": ["common/admin_pages.css"]}

    def get_urls(self) -> list[URLPattern]:
        name = "recommendations_modelartifact"
        publish_view = self.admin_site.admin_view(self._publish_view)
        map_data_view = self.admin_site.admin_view(require_safe(self._map_data_view))
        return [
            path("<int:pk>/put-into-service", publish_view, name=f"{name}_put_into_service"),
            path("<int:pk>/map.json", map_data_view, name=f"{name}_map_data"),
            *super().get_urls(),
        ]

    def perform_action(self, request: HttpRequest) -> HttpResponse | None:
        """Roll back, or return the page that asks whether to."""
        pointer = current_pointer()
        if pointer and pointer.previous:
            confirmation = confirm_rollback(pointer.version, pointer.previous)
            if not is_confirmed(request, confirmation.answer):
                return confirmation_page(self, request, confirmation, list_url(self))
        try:
            version = roll_back()
        except CannotPublish as error:
            self.message_user(request, str(error), messages.ERROR)
        else:
            self.log_action(request, f"Rolled back from {pointer.version if pointer else 'none'} to {version}.")
            self.message_user(request, f"Version {version} is in service again.", messages.SUCCESS)
        return None

    def has_publish_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_superuser)

    @admin.action(description="Put into service (also one that was held back)", permissions=["publish"])
    def put_into_service(self, request: HttpRequest, queryset: QuerySet[ModelArtifact]) -> HttpResponse | None:
        if len(queryset) == 1:
            return self._publish(request, queryset[0])
        self.message_user(request, "Select exactly one version.", messages.ERROR)
        return None

    def _publish_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        artifact = self._get_artifact(request, pk)
        if request.method != "POST":  # the address of a confirmation, opened again
            return _redirect_to(artifact)
        if not self.has_publish_permission(request):
            self.message_user(request, "Only a superuser may do this.", messages.ERROR)
            return _redirect_to(artifact)
        return self._publish(request, artifact) or _redirect_to(artifact)

    def _publish(self, request: HttpRequest, artifact: ModelArtifact) -> HttpResponse | None:
        """Publish a version, or return the page that asks whether to. The result is a message."""
        overrides, current = artifact.gate == ModelArtifact.Gate.HELD_BACK, version_in_service()
        confirmation = confirm_publication(current, artifact)
        if artifact.pruned_at is None and not is_confirmed(request, confirmation.answer):
            return confirmation_page(self, request, confirmation, _page_url(artifact))
        try:
            publish_version(artifact.version)
        except CannotPublish as error:
            self.message_user(request, str(error), messages.ERROR)
        else:
            replaced = f" in place of {current}" if current else ""
            gate = ", overriding the gate" if overrides else ""
            self.log_change(request, artifact, f"Put into service{replaced}{gate}.")
            self.message_user(request, f"Version {artifact.version} is in service.", messages.SUCCESS)
        return None

    @action(description="Quality over time", url_path="quality", icon="monitoring", permissions=["view"])  # type: ignore[untyped-decorator]
    def quality(self, request: HttpRequest) -> HttpResponse:
        context = quality_history(request.GET.get("metric", ""), request.GET.get("question", ""))
        return self._render(request, "quality", None, "Quality over time", **context)

    @action(description="Map of tracks", url_path="map", icon="scatter_plot", permissions=["view"])  # type: ignore[untyped-decorator]
    def map_of_tracks(self, request: HttpRequest, object_id: str) -> HttpResponse:
        artifact = self._get_artifact(request, object_id)
        try:
            unavailable, tracks = "", len(select_map_tracks(artifact).rows)
        except MapUnavailable as reason:
            unavailable, tracks = str(reason), 0
        return self._render(request, "map", artifact, "Map of tracks", unavailable=unavailable, tracks=tracks)

    def _map_data_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        artifact = self._get_artifact(request, pk)
        try:
            track_map = build_track_map(artifact)
        except MapUnavailable as reason:
            return JsonResponse({"error": str(reason)}, status=404)
        if track_map is None:
            return JsonResponse({}, status=202, headers={"Retry-After": str(RETRY_SECONDS)})
        return JsonResponse(track_map)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        artifact = self.get_object(request, object_id)
        context: dict[str, Any] = {"may_publish": self.has_publish_permission(request), **(extra_context or {})}
        if artifact:
            requested, question, segment = (request.GET.get(name, "") for name in ("with", "question", "segment"))
            context |= version_page(artifact.pk, requested, question, segment)
        response: HttpResponse = super().change_view(request, object_id, form_url, context)
        return response

    def _get_artifact(self, request: HttpRequest, object_id: str | int) -> ModelArtifact:
        artifact: ModelArtifact | None = self.get_object(request, str(object_id))
        if artifact is None:
            raise Http404("This version does not exist.")
        if not self.has_view_permission(request, artifact):
            raise PermissionDenied
        return artifact

    def _render(
        self, request: HttpRequest, name: str, artifact: ModelArtifact | None, title: str, **context: Any
    ) -> TemplateResponse:
        context |= {"opts": self.opts, "original": artifact, "title": title, "media": self.media}
        context = self.admin_site.each_context(request) | context
        return TemplateResponse(request, f"recommendations/{name}.html", context)

    @admin.display(boolean=True)
    def in_service(self, artifact: ModelArtifact) -> bool:
        return artifact.version == version_in_service()

    @admin.display(description="NDCG@10")
    def ndcg_10(self, artifact: ModelArtifact) -> str:
        # Versions may have been chosen for different questions, whose numbers must not be compared.
        report = Report.from_artifact(artifact)
        ndcg = report.metrics().get(MAIN_METRIC)
        return f"{ndcg.mean:.4f} ({question_name(report.question)})" if ndcg else formatting.UNKNOWN

    @admin.display
    def size(self, artifact: ModelArtifact) -> str:
        return formatting.format_size(artifact.size_bytes) if artifact.pruned_at is None else "removed"

    @admin.display(description="manifest")
    def manifest_json(self, artifact: ModelArtifact) -> str:
        return format_html('<pre class="quality-manifest">{}</pre>', json.dumps(artifact.manifest, indent=2))


def _redirect_to(artifact: ModelArtifact) -> HttpResponseRedirect:
    return HttpResponseRedirect(_page_url(artifact))


def _page_url(artifact: ModelArtifact) -> str:
    return reverse("admin:recommendations_modelartifact_change", args=[artifact.pk])
