from typing import Any

from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework.parsers import FormParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from access.models import Scope
from access.selectors import listener_ids
from access.serializers import ExternalIdParameter, ListenerSerializer, SignInSerializer, TokenSerializer


class TokenView(APIView):
    """Trade a listener's sign-in for a token."""

    authentication_classes: list[Any] = []
    permission_classes: list[Any] = []
    parser_classes = [*APIView.parser_classes, FormParser]

    def get_authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="api"'  # without it DRF would answer a wrong password with 403

    @extend_schema(operation_id="sign_in", request=SignInSerializer, responses=TokenSerializer, auth=[])
    def post(self, request: Request) -> Response:
        sign_in = SignInSerializer(data=request.data)
        sign_in.is_valid(raise_exception=True)
        return Response(sign_in.validated_data)


class ListenersView(APIView):
    """For back ends, which know their listeners by ids of their own."""

    required_scope = Scope.RECOMMEND
    service_only = True

    @extend_schema(operation_id="find_listener", parameters=[ExternalIdParameter], responses=ListenerSerializer)
    def get(self, request: Request) -> Response:
        """By their id in the service they were imported from."""
        wanted = ExternalIdParameter.read(request)
        if (user_id := listener_ids([wanted]).get(wanted)) is None:
            raise Http404("no such listener")
        return Response({"user_id": user_id, "external_id": wanted})
