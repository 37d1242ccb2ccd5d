"""Training runs over HTTP: start one, and see what became of it."""

from typing import Any, ClassVar

from django.http import Http404
from django.urls import reverse
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.response import Response

from access.models import Scope
from common.background import BrokerUnavailable
from common.http.body_serializers import refuse_body
from common.http.cursor_pages import PageParameters, PageSerializer, build_page, decode_cursor, invalid_cursor
from common.http.query_parameters import ApiView, parse_parameters
from common.http.references import INT64_MAX
from recommendations.models import TrainingRun
from recommendations.services import TrainingInProgress, notice_killed_runs, request_training
from recommendations.tasks import train_model

RUNS = TrainingRun.objects.select_related("artifact")


class TrainingRunSerializer(serializers.Serializer[Any]):
    training_run_id = serializers.IntegerField(source="pk")
    status = serializers.ChoiceField(
        choices=TrainingRun.Status.values,
        help_text="`published`: the version is in service; `held_back`: it is not better than the one in service; "
        "`unchanged`: there was nothing new to learn from.",
    )
    stage = serializers.CharField(help_text="What a running run is doing; empty before and afterwards.")
    trigger = serializers.CharField(help_text="What started it: `api`, `admin`, `command` or `schedule`.")
    started_at = serializers.SerializerMethodField()
    finished_at = serializers.DateTimeField(allow_null=True)
    version = serializers.SerializerMethodField()
    detail = serializers.SerializerMethodField()

    def get_started_at(self, run: TrainingRun) -> str | None:
        """Null while it is waiting."""
        return (
            None
            if run.status == TrainingRun.Status.WAITING
            else serializers.DateTimeField().to_representation(run.started_at)
        )

    def get_version(self, run: TrainingRun) -> str | None:
        """The version that was trained, or that nothing has changed since."""
        return run.artifact.version if run.artifact else None

    def get_detail(self, run: TrainingRun) -> str:
        """The result in words: why a version was held back, or the reason of a failure."""
        return run.detail.partition("\n\n")[0]  # what follows is a traceback, which the admin shows


class TrainingRunPageSerializer(PageSerializer):
    results = TrainingRunSerializer(many=True)


class TrainingConflict(APIException):
    status_code = status.HTTP_409_CONFLICT


class TrainingUnavailable(APIException):
    status_code = status.HTTP_503_SERVICE_UNAVAILABLE


class TrainingRunsView(ApiView):
    """All training runs, and a request for another one."""

    schema_tag = "Operations"
    required_scope = Scope.TRAINING
    service_only = True
    query_parameters: ClassVar = {"get": PageParameters}

    @extend_schema(operation_id="list_training_runs", responses=TrainingRunPageSerializer)
    def get(self, request: Request) -> Response:
        """List training runs, the newest first."""
        notice_killed_runs()
        page = parse_parameters(PageParameters, request.META.get("QUERY_STRING", ""))
        runs = RUNS.order_by("-pk")
        if "cursor" in page:
            [before] = decode_cursor(page["cursor"], 1)
            if type(before) is not int or not 0 < before <= INT64_MAX:
                raise invalid_cursor()
            runs = runs.filter(pk__lt=before)
        rows = list(runs[: page["limit"] + 1])
        shown = rows[: page["limit"]]
        position = [shown[-1].pk] if len(rows) > len(shown) else None
        return Response(build_page(request, list(TrainingRunSerializer(shown, many=True).data), position))

    @extend_schema(operation_id="start_training_run", request=None, responses={202: TrainingRunSerializer})
    def post(self, request: Request) -> Response:
        """Start a training run in the background; it is published if the gate lets it pass."""
        refuse_body(request)
        try:
            run = request_training(train_model)
        except TrainingInProgress as error:
            raise TrainingConflict(
                f"training run {error} has not finished; GET /training-runs/{error} shows it"
            ) from error
        except BrokerUnavailable as error:
            raise TrainingUnavailable(str(error)) from error
        location = reverse("training-run", kwargs={"training_run_id": run.pk})
        return Response(TrainingRunSerializer(run).data, status.HTTP_202_ACCEPTED, headers={"Location": location})


class TrainingRunView(ApiView):
    schema_tag = "Operations"
    required_scope = Scope.TRAINING
    service_only = True

    @extend_schema(operation_id="read_training_run", responses=TrainingRunSerializer)
    def get(self, request: Request, training_run_id: int) -> Response:
        """Show the state of a training run, and what came of it."""
        notice_killed_runs()
        run = RUNS.filter(pk=training_run_id).first() if training_run_id <= INT64_MAX else None
        if run is None:
            raise Http404("no such training run")
        return Response(TrainingRunSerializer(run).data)
