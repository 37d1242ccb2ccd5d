from typing import Any

from django.contrib import admin, messages
from django.db.models import F, QuerySet
from django.http import HttpRequest
from unfold.admin import TabularInline

from common.admin import ActionButtonAdmin
from recommendations.admin import formatting
from recommendations.models import TuningStudy, TuningTrial
from recommendations.services import BrokerUnavailable, start_tuning


class TrialInline(TabularInline):  # type: ignore[misc]
    """The best first."""

    model = TuningTrial
    extra = 0
    can_delete = False
    fields = readonly_fields = ["number", "family", "ndcg_10", "seconds", "what_was_tried", "note"]
    ordering = [F("score").desc(nulls_last=True)]
    per_page = 50

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.display(description="NDCG@10")
    def ndcg_10(self, trial: TuningTrial) -> str:
        return formatting.UNKNOWN if trial.score is None else f"{trial.score:.4f}"

    @admin.display(description="parameters")
    def what_was_tried(self, trial: TuningTrial) -> str:
        confidence = trial.parameters.get("confidence", {})
        own = {n: v for n, v in trial.parameters.items() if n not in ("family", "confidence")}
        return ", ".join(f"{n} {_short(v)}" for n, v in (own | confidence).items())


@admin.register(TuningStudy)
class TuningStudyAdmin(ActionButtonAdmin):
    list_display = ["started_at", "trigger", "status", "best", "ndcg_10", "in_use", "tried", "budget", "artifact"]
    list_filter = ["status", "trigger"]
    inlines = [TrialInline]
    button_label, button_url_name = "Tune now", "tune_now"
    button_hint = "Searches for a better recipe; what the gate lets pass is used every night from then on."

    def get_queryset(self, request: HttpRequest) -> QuerySet[TuningStudy]:
        found: QuerySet[TuningStudy] = super().get_queryset(request).prefetch_related("trials")
        return found

    def perform_action(self, request: HttpRequest) -> None:
        try:
            start_tuning("admin")
        except BrokerUnavailable as error:
            self.message_user(request, str(error), messages.ERROR)
        else:
            said = "Tuning has been started; its row appears here, unless another study is going on."
            self.message_user(request, said, messages.SUCCESS)

    @admin.display
    def best(self, study: TuningStudy) -> str:
        parts = (study.recipe or {}).get("parts", [])
        return " + ".join(part["family"] for part in parts) or formatting.UNKNOWN

    @admin.display(description="NDCG@10")
    def ndcg_10(self, study: TuningStudy) -> str:
        return formatting.UNKNOWN if study.score is None else f"{study.score:.4f}"

    @admin.display(description="in use before")
    def in_use(self, study: TuningStudy) -> str:
        return formatting.UNKNOWN if study.score_in_use is None else f"{study.score_in_use:.4f}"

    @admin.display(description="trials")
    def tried(self, study: TuningStudy) -> int:
        return len(study.trials.all())

    @admin.display
    def budget(self, study: TuningStudy) -> str:
        return f"{study.budget_seconds:,.0f} s"


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
