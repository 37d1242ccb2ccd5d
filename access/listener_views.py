"""Listeners by the app's own ids, for its back end."""

from django.http import Http404
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from access.listener_serializers import (
    AccountSerializer,
    ListenerItemSerializer,
    ListenersUpsertAnswerSerializer,
    ListenersUpsertSerializer,
    ListenerUpsertSerializer,
)
from access.listener_upserts import upsert_listeners
from access.models import Scope, User
from access.selectors import find_listener_id
from access.serializers import ExternalIdParameter, ListenerSerializer
from common.http.json import ListBodyParser
from common.http.query_parameters import ApiView
from common.http.references import ExternalId, InvalidReference, parse_external_id
from common.http.upserts import upsert_items

EXTERNAL_ID = OpenApiParameter(
    "external_id", str, "path", description="The app's own id of the listener, with or without `external:` before it."
)


class ListenerConflict(APIException):
    status_code = status.HTTP_409_CONFLICT


class ListenersView(ApiView):
    """Many listeners."""

    schema_tag = "Listeners"
    required_scope = Scope.RECOMMEND
    write_scope = Scope.LISTENERS
    service_only = True
    query_parameters = {"get": ExternalIdParameter}
    parser_classes = [ListBodyParser]

    @extend_schema(operation_id="find_listener", responses=ListenerSerializer)
    def get(self, request: Request) -> Response:
        """Find a listener by their external id."""
        reference = ExternalIdParameter.read(request)
        user_id = find_listener_id(reference)
        if user_id is None:
            raise Http404("no such listener")
        return Response({"user_id": user_id, "external_id": reference.text})

    @extend_schema(
        operation_id="upsert_listeners", request=ListenersUpsertSerializer, responses=ListenersUpsertAnswerSerializer
    )
    def put(self, request: Request) -> Response:
        """Create or update up to 1,000 listeners. An invalid one is listed under `rejected`; the others are stored."""
        return Response(upsert_items(request.data, "listeners", "user_id", ListenerItemSerializer(), upsert_listeners))


class ListenerByExternalIdView(ApiView):
    """One listener, by the app's own id."""

    schema_tag = "Listeners"
    required_scope = Scope.LISTENERS
    service_only = True

    @extend_schema(operation_id="read_listener_by_external_id", parameters=[EXTERNAL_ID], responses=AccountSerializer)
    def get(self, request: Request, external_id: str) -> Response:
        """Read a listener's settings by external id."""
        user = User.objects.filter(pk=find_listener_id(_parse(external_id)) or 0).first()
        if user is None:
            raise Http404("no such listener")
        return Response(AccountSerializer(user).data)

    @extend_schema(
        operation_id="upsert_listener",
        parameters=[EXTERNAL_ID],
        request=ListenerUpsertSerializer,
        responses={200: AccountSerializer, 201: AccountSerializer},
    )
    def put(self, request: Request, external_id: str) -> Response:
        """Create a listener, or change the settings that are sent. A repetition changes nothing."""
        reference = _parse(external_id)
        serializer = ListenerUpsertSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        [outcome] = upsert_listeners([{"external_id": reference.text} | serializer.validated_data])
        if outcome.status == "rejected":
            raise ListenerConflict(outcome.errors["external_id"])
        account = AccountSerializer(User.objects.get(external_id=reference.text)).data
        return Response(account, status.HTTP_201_CREATED if outcome.status == "created" else status.HTTP_200_OK)


def _parse(external_id: str) -> ExternalId:
    try:
        return parse_external_id(external_id)
    except InvalidReference as error:
        raise ValidationError({"{external_id}": str(error)}) from error
