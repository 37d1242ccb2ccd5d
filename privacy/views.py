from typing import Any
from uuid import UUID

from django.http import Http404, StreamingHttpResponse
from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.exceptions import APIException
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from access.listener_serializers import AccountSerializer
from access.listener_upserts import OPERATOR
from access.models import Scope, ServiceKey, User
from access.permissions import USER_ID, parse_path_user_id, resolve_path_user_id
from access.selectors import find_erased_listener_id
from access.serializers import DeviceSerializer
from common.http.query_parameters import ApiView
from common.http.references import ExternalId
from privacy.erasure import OperatorAccount, UnknownListener
from privacy.export import export_listener
from privacy.merging import MergeRefused, UnknownDevice, merge_device
from privacy.serializers import AccountChangeSerializer, ErasureSerializer, MergeReportSerializer
from privacy.services import erase_listener, find_erasure, get_listener, update_listener_settings

NO_STORE = {"Cache-Control": "no-store"}


class Conflict(APIException):
    status_code = status.HTTP_409_CONFLICT


class ListenerView(ApiView):
    """A listener's own settings."""

    schema_tag = "Listeners"
    required_scope = Scope.LISTENERS

    @extend_schema(operation_id="read_listener", parameters=[USER_ID], responses=AccountSerializer)
    def get(self, request: Request, user_id: str) -> Response:
        """Read a listener's settings: consent, market and whether explicit tracks are allowed."""
        return _render(_find_listener(request, user_id))

    @extend_schema(
        operation_id="change_listener",
        parameters=[USER_ID],
        request=AccountChangeSerializer,
        responses=AccountSerializer,
    )
    def patch(self, request: Request, user_id: str) -> Response:
        """Change the settings that are sent. Without consent no new events are stored; stored ones stay."""
        user = _find_listener(request, user_id)
        serializer = AccountChangeSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        if isinstance(request.auth, ServiceKey) and (user.is_staff or user.is_superuser):
            raise Conflict(OPERATOR)
        try:
            return _render(update_listener_settings(user.pk, serializer.validated_data))
        except UnknownListener as error:
            raise Http404("no such listener") from error

    @extend_schema(operation_id="erase_listener", parameters=[USER_ID], responses={202: ErasureSerializer})
    def delete(self, request: Request, user_id: str) -> Response:
        """Erase a listener: the account is closed at once, and all data deleted soon after. The receipt shows when."""
        try:
            erasure = erase_listener(_resolve_listener_to_erase(request, user_id))
        except UnknownListener as error:
            raise Http404("no such listener") from error
        except OperatorAccount as error:
            raise Conflict("this is an operator's account; a superuser deletes it in the admin") from error
        location = reverse("erasure", args=[erasure.receipt])
        return Response(ErasureSerializer(erasure).data, status.HTTP_202_ACCEPTED, headers={"Location": location})


class ListenerExportView(ApiView):
    """All data about a listener."""

    schema_tag = "Listeners"
    required_scope = Scope.LISTENERS

    @extend_schema(
        operation_id="export_listener",
        parameters=[USER_ID],
        responses={(200, "application/json"): OpenApiTypes.OBJECT},
    )
    def get(self, request: Request, user_id: str) -> StreamingHttpResponse:
        """Download the account, the model's data and all rows about the listener as JSON, without credentials."""
        user = _find_listener(request, user_id)
        filename = f"musicrec-listener-{user.pk}.json"
        headers = {"Content-Disposition": f'attachment; filename="{filename}"', **NO_STORE}
        return StreamingHttpResponse(export_listener(user), content_type="application/json", headers=headers)


class ListenerMergeView(ApiView):
    """The merge of what a phone collected before its listener signed in."""

    schema_tag = "Listeners"
    required_scope = Scope.LISTENERS

    @extend_schema(
        operation_id="merge_device", parameters=[USER_ID], request=DeviceSerializer, responses=MergeReportSerializer
    )
    def post(self, request: Request, user_id: str) -> Response:
        """Move everything of a phone's anonymous listener into this account, once; each play counts once.

        The anonymous listener is deleted and its tokens end. A repetition moves nothing and says when it was done.
        """
        account_id = resolve_path_user_id(request, user_id)
        serializer = DeviceSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        try:
            report = merge_device(account_id, serializer.validated_data["device_id"])
        except UnknownListener as error:
            raise Http404("no such listener") from error
        except UnknownDevice as error:
            raise Http404("this device has no listener: POST /token/device creates one") from error
        except MergeRefused as error:
            raise Conflict(str(error)) from error
        return Response(MergeReportSerializer(report).data)


class ErasureView(ApiView):
    """The progress of an erasure."""

    schema_tag = "Listeners"
    authentication_classes: list[Any] = []
    permission_classes = [AllowAny]

    @extend_schema(operation_id="read_erasure", responses=ErasureSerializer, auth=[])
    def get(self, request: Request, receipt: UUID) -> Response:
        """Read an erasure by its receipt, which is secret. No token is needed: the listener's is invalid by then."""
        if (erasure := find_erasure(receipt)) is None:
            raise Http404("no such receipt")
        return Response(ErasureSerializer(erasure).data, headers=NO_STORE)


def _resolve_listener_to_erase(request: Request, user_id: str) -> int:
    """Return the id of the listener in the path, also of one who was erased already if a service key asks.

    A back end may therefore repeat its request by external id, as it may by the integer, and gets the same receipt.

    Raises:
        Http404: there is and was no such listener, or a listener names somebody else.
    """
    try:
        return resolve_path_user_id(request, user_id)
    except Http404:
        reference = parse_path_user_id(request, user_id)
        erased = find_erased_listener_id(reference.text) if isinstance(reference, ExternalId) else None
        if erased is None or not isinstance(request.auth, ServiceKey):
            raise
        return erased


def _find_listener(request: Request, user_id: str) -> User:
    try:
        return get_listener(resolve_path_user_id(request, user_id))
    except UnknownListener as error:
        raise Http404("no such listener") from error


def _render(user: User) -> Response:
    headers = {"Cache-Control": "private, no-cache", "Vary": "Authorization"}
    return Response(AccountSerializer(user).data, headers=headers)
