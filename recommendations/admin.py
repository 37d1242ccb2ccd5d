from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.views.decorators.http import require_POST
from unfold.admin import ModelAdmin

from recommendations.models import Alarm, ModelArtifact, TrainingRun, UserFeatures
from recommendations.publishing import CannotPublish, publish, roll_back, version_in_service
from recommendations.starting import CannotStart, start_training


class ReadOnlyAdmin(ModelAdmin):  # type: ignore[misc]
    """What the service writes, people only look at."""

    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class _ButtonAdmin(ReadOnlyAdmin):
    """A list with a button above it, which posts; a link must not change anything."""

    button_label = button_hint = button_url_name = ""
    list_before_template = "recommendations/button.html"

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(require_POST(self._press))
        return [path("press", view, name=self.button_url_name), *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        button = {"label": self.button_label, "hint": self.button_hint, "url": reverse(f"admin:{self.button_url_name}")}
        shown = button if request.user.is_superuser else None
        return super().changelist_view(request, {**(extra_context or {}), "button": shown})

    def _press(self, request: HttpRequest) -> HttpResponseRedirect:
        if request.user.is_superuser:
            self.press(request)
        else:
            self.message_user(request, "Only a superuser may do this.", messages.ERROR)
        return HttpResponseRedirect(reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist"))

    def press(self, request: HttpRequest) -> None:
        raise NotImplementedError


@admin.register(TrainingRun)
class TrainingRunAdmin(_ButtonAdmin):
    list_display = ["started_at", "trigger", "status", "stage", "artifact", "duration", "peak_memory"]
    list_filter = ["status", "trigger"]
    button_label, button_url_name = "Train now", "train_now"
    button_hint = "Learns from all plays and publishes the result, as the nightly run does."

    def press(self, request: HttpRequest) -> None:
        try:
            start_training("admin")
        except CannotStart as error:
            self.message_user(request, str(error), messages.ERROR)
        else:
            said = "Training has been started; its row appears here, unless another run is going on."
            self.message_user(request, said, messages.SUCCESS)

    @admin.display
    def duration(self, run: TrainingRun) -> str:
        return f"{(run.finished_at - run.started_at).total_seconds():.1f} s" if run.finished_at else "—"

    @admin.display
    def peak_memory(self, run: TrainingRun) -> str:
        return f"{run.peak_memory_bytes / 1e6:,.0f} MB" if run.peak_memory_bytes else "—"


@admin.register(ModelArtifact)
class ModelArtifactAdmin(_ButtonAdmin):
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
    button_label, button_url_name = "Roll back", "roll_back"
    button_hint = "Puts the version before the one in service back into service, at once and everywhere."

    def press(self, request: HttpRequest) -> None:
        try:
            self.message_user(request, f"Version {roll_back()} is in service again.", messages.SUCCESS)
        except CannotPublish as error:
            self.message_user(request, str(error), messages.ERROR)

    @admin.action(description="Put into service (also one that was held back)", permissions=["publish"])
    def put_into_service(self, request: HttpRequest, chosen: QuerySet[ModelArtifact]) -> None:
        if len(chosen) != 1:
            self.message_user(request, "Choose one version.", messages.ERROR)
            return
        try:
            publish(chosen[0].version)
            self.message_user(request, f"Version {chosen[0].version} is in service.", messages.SUCCESS)
        except CannotPublish as error:
            self.message_user(request, str(error), messages.ERROR)

    def has_publish_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_superuser)

    @admin.display(boolean=True)
    def in_service(self, artifact: ModelArtifact) -> bool:
        return artifact.version == version_in_service()

    @admin.display(description="NDCG@10")
    def ndcg_10(self, artifact: ModelArtifact) -> str:
        return "—" if artifact.ndcg is None else f"{artifact.ndcg:.4f}"

    @admin.display
    def size(self, artifact: ModelArtifact) -> str:
        return f"{artifact.size_bytes / 1e6:,.1f} MB" if artifact.pruned_at is None else "removed"


@admin.register(UserFeatures)
class UserFeaturesAdmin(ReadOnlyAdmin):
    list_display = ["user", "version", "interactions", "norm", "beginning", "updated_at"]
    list_select_related = ["user"]
    search_fields = ["user__username"]
    fields = ["user", "version", "interactions", "norm", "all_values", "updated_at"]

    @admin.display
    def norm(self, features: UserFeatures) -> str:
        return f"{float((features.vector**2).sum()) ** 0.5:.3f}"

    @admin.display(description="embedding")
    def beginning(self, features: UserFeatures) -> str:
        return ", ".join(f"{v:+.2f}" for v in features.vector[:6]) + f" … ({len(features.vector)})"

    @admin.display(description="embedding")
    def all_values(self, features: UserFeatures) -> str:
        return ", ".join(f"{v:+.4f}" for v in features.vector)


@admin.register(Alarm)
class AlarmAdmin(ReadOnlyAdmin):
    list_display = ["last_at", "kind", "subject", "message", "count", "resolved_at"]
    list_filter = ["kind", ("resolved_at", admin.EmptyFieldListFilter)]
    search_fields = ["message", "subject"]
