"""Admin of training runs, tuning studies, listener factors and alarms, with buttons that start a run."""

from typing import Any

from celery import Task
from django.contrib import admin, messages
from django.db.models import F, QuerySet
from django.http import HttpRequest
from unfold.admin import TabularInline

from common.admin import ActionButtonAdmin, ReadOnlyAdmin
from common.background import BrokerUnavailable, start_background_task
from recommendations.admin import formatting
from recommendations.models import Alarm, TrainingRun, TuningStudy, TuningTrial, UserFeatures
from recommendations.tasks import train_model, tune_model


class StartTaskAdmin(ActionButtonAdmin):
    """A list whose button starts a task: in a worker, or in a child process if there is no broker."""

    task: Task
    command = ""
    started_message = ""

    def perform_action(self, request: HttpRequest) -> None:
        try:
            start_background_task(self.task, "admin", command=[self.command, "--trigger", "admin"], log="training.log")
        except BrokerUnavailable as error:
            self.message_user(request, str(error), messages.ERROR)
        else:
            self.log_action(request, f"Pressed “{self.button_label}”.")
            self.message_user(request, self.started_message, messages.SUCCESS)


@admin.register(TrainingRun)
class TrainingRunAdmin(StartTaskAdmin):
    task, command = train_model, "train_model"
    started_message = "Training has been started; its row appears here, unless another run is in progress."
    list_display = ["started_at", "trigger", "status", "stage", "artifact", "duration", "peak_memory"]
    list_filter = ["status", "trigger"]
    button_label = "Train now"
    button_view_name = "train_now"
    button_hint = (
        "Learns from all plays, as the nightly run does. The result goes into service if the gate lets it pass."
    )

    @admin.display
    def duration(self, run: TrainingRun) -> str:
        if run.finished_at is None:
            return formatting.UNKNOWN
        return f"{(run.finished_at - run.started_at).total_seconds():.1f} s"

    @admin.display
    def peak_memory(self, run: TrainingRun) -> str:
        return f"{run.peak_memory_bytes / 1e6:,.0f} MB" if run.peak_memory_bytes else formatting.UNKNOWN


class TuningTrialInline(TabularInline):  # type: ignore[misc]
    """The trials of a study, the best first."""

    model = TuningTrial
    extra = 0
    can_delete = False
    fields = readonly_fields = ["number", "family", "ndcg_10", "seconds", "hyperparameters", "note"]
    ordering = [F("score").desc(nulls_last=True)]
    per_page = 50

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.display(description="NDCG@10")
    def ndcg_10(self, trial: TuningTrial) -> str:
        return formatting.UNKNOWN if trial.score is None else f"{trial.score:.4f}"

    @admin.display(description="parameters")
    def hyperparameters(self, trial: TuningTrial) -> str:
        confidence = trial.parameters.get("confidence", {})
        model = {name: value for name, value in trial.parameters.items() if name not in ("family", "confidence")}
        values = {n: f"{v:.4g}" if isinstance(v, float) else v for n, v in (model | confidence).items()}
        return ", ".join(f"{name} {value}" for name, value in values.items())


@admin.register(TuningStudy)
class TuningStudyAdmin(StartTaskAdmin):
    task, command = tune_model, "tune_model"
    started_message = "Tuning has been started; its row appears here, unless another study is in progress."
    list_display = ["started_at", "trigger", "status", "best", "ndcg_10", "in_use", "trial_count", "budget", "artifact"]
    list_filter = ["status", "trigger"]
    inlines = [TuningTrialInline]
    button_label = "Tune now"
    button_view_name = "tune_now"
    button_hint = "Searches for a better ensemble. If the gate lets it pass, it is used every night from then on."

    def get_queryset(self, request: HttpRequest) -> QuerySet[TuningStudy]:
        studies: QuerySet[TuningStudy] = super().get_queryset(request).prefetch_related("trials")
        return studies

    @admin.display
    def best(self, study: TuningStudy) -> str:
        components = (study.recipe or {}).get("parts", [])
        return " + ".join(component["family"] for component in components) or formatting.UNKNOWN

    @admin.display(description="NDCG@10")
    def ndcg_10(self, study: TuningStudy) -> str:
        return formatting.UNKNOWN if study.score is None else f"{study.score:.4f}"

    @admin.display(description="in use before")
    def in_use(self, study: TuningStudy) -> str:
        return formatting.UNKNOWN if study.score_in_use is None else f"{study.score_in_use:.4f}"

    @admin.display(description="trials")
    def trial_count(self, study: TuningStudy) -> int:
        return len(study.trials.all())  # prefetched

    @admin.display
    def budget(self, study: TuningStudy) -> str:
        return f"{study.budget_seconds:,.0f} s"


@admin.register(UserFeatures)
class UserFeaturesAdmin(ReadOnlyAdmin):
    list_display = ["user", "version", "interactions", "norm", "first_values", "updated_at"]
    list_select_related = ["user"]
    search_fields = ["user__username"]
    fields = ["user", "version", "interactions", "norm", "all_values", "updated_at"]

    @admin.display
    def norm(self, features: UserFeatures) -> str:
        return f"{float((features.vector**2).sum()) ** 0.5:.3f}"

    @admin.display(description="embedding")
    def first_values(self, features: UserFeatures) -> str:
        return ", ".join(f"{v:+.2f}" for v in features.vector[:6]) + f" … ({len(features.vector)})"

    @admin.display(description="embedding")
    def all_values(self, features: UserFeatures) -> str:
        return ", ".join(f"{v:+.4f}" for v in features.vector)


@admin.register(Alarm)
class AlarmAdmin(ReadOnlyAdmin):
    list_display = ["last_at", "kind", "subject", "message", "count", "resolved_at"]
    list_filter = ["kind", ("resolved_at", admin.EmptyFieldListFilter)]
    search_fields = ["message", "subject"]
