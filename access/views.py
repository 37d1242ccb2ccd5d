from typing import Any

from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.parsers import FormParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from access.models import Scope
from access.selectors import user_ids_by_external_id
from access.serializers import (
    ExternalIdParameter,
    ListenerSerializer,
    RefreshSerializer,
    SignInSerializer,
    SignOutSerializer,
    TokenSerializer,
)
from access.sign_ins import InvalidRefreshToken, refresh, sign_in, sign_out
from access.throttles import SignInThrottle

NO_LONGER_GOOD = "this refresh token is unknown, expired or was used before; sign in again"


class _Open(APIView):
    """What stands in the body is the credential."""

    authentication_classes: list[Any] = []
    permission_classes: list[Any] = []
    parser_classes = [*APIView.parser_classes, FormParser]

    def get_authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="api"'  # without it DRF would answer a wrong password with 403


class TokenView(_Open):
    """Trade a listener's sign-in for tokens."""

    throttle_classes = [SignInThrottle]

    @extend_schema(operation_id="sign_in", request=SignInSerializer, responses=TokenSerializer, auth=[])
    def post(self, request: Request) -> Response:
        given = SignInSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        return Response(TokenSerializer(sign_in(given.validated_data["user"])).data)


class TokenRefreshView(_Open):
    """Stay signed in."""

    @extend_schema(operation_id="refresh_token", request=RefreshSerializer, responses=TokenSerializer, auth=[])
    def post(self, request: Request) -> Response:
        """The next tokens. A refresh token works once; used again, it ends the sign-in, for it may be stolen."""
        given = RefreshSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        try:
            return Response(TokenSerializer(refresh(given.validated_data["refresh"])).data)
        except InvalidRefreshToken as error:
            raise AuthenticationFailed(NO_LONGER_GOOD) from error


class TokenRevokeView(_Open):
    """Sign out."""

    @extend_schema(operation_id="sign_out", request=SignOutSerializer, responses={204: None}, auth=[])
    def post(self, request: Request) -> Response:
        """From now on the tokens of this sign-in are refused; with `everywhere`, all of the listener's."""
        given = SignOutSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        try:
            sign_out(given.validated_data["refresh"], everywhere=given.validated_data["everywhere"])
        except InvalidRefreshToken as error:
            raise AuthenticationFailed(NO_LONGER_GOOD) from error
        return Response(status=status.HTTP_204_NO_CONTENT)


class ListenersView(APIView):
    """For back ends, which know their listeners by ids of their own."""

    required_scope = Scope.RECOMMEND
    service_only = True

    @extend_schema(operation_id="find_listener", parameters=[ExternalIdParameter], responses=ListenerSerializer)
    def get(self, request: Request) -> Response:
        """By their id in the service they were imported from."""
        wanted = ExternalIdParameter.read(request)
        if (user_id := user_ids_by_external_id([wanted]).get(wanted)) is None:
            raise Http404("no such listener")
        return Response({"user_id": user_id, "external_id": wanted})
