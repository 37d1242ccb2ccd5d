from django.contrib import admin, messages
from django.http import HttpRequest

from common.admin import ActionButtonAdmin, ReadOnlyAdmin
from recommendations.models import Alarm, TrainingRun, UserFeatures
from recommendations.services import BrokerUnavailable, start_training


@admin.register(TrainingRun)
class TrainingRunAdmin(ActionButtonAdmin):
    list_display = ["started_at", "trigger", "status", "stage", "artifact", "duration", "peak_memory"]
    list_filter = ["status", "trigger"]
    button_label, button_url_name = "Train now", "train_now"
    button_hint = "Learns from all plays and publishes the result, as the nightly run does."

    def perform_action(self, request: HttpRequest) -> None:
        try:
            start_training("admin")
        except BrokerUnavailable as error:
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
