from typing import Any

from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.parsers import FormParser
from rest_framework.request import Request
from rest_framework.response import Response

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
from access.sign_ins import InvalidRefreshToken, refresh_tokens, sign_in, sign_out
from access.throttles import RefreshThrottle, SignInThrottle
from common.http.query_parameters import ApiView

# Only this type is in the OpenAPI schema: generated clients use one class for both types of body, and mix them up.
JSON = "application/json"
REFRESH_REFUSED = "this refresh token is unknown, expired or was used before; sign in again"


class CredentialsView(ApiView):
    """A view without authentication, whose request body contains the credentials."""

    schema_tag = "Sign-in"
    authentication_classes: list[Any] = []
    permission_classes: list[Any] = []
    parser_classes = [*ApiView.parser_classes, FormParser]

    def get_authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="api"'  # without it DRF would answer a wrong password with 403


class TokenView(CredentialsView):
    """Exchange a user name and password for tokens."""

    throttle_classes = [SignInThrottle]

    @extend_schema(operation_id="sign_in", request={JSON: SignInSerializer}, responses=TokenSerializer, auth=[])
    def post(self, request: Request) -> Response:
        """Exchange a user name and password for tokens."""
        serializer = SignInSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        return Response(TokenSerializer(sign_in(serializer.validated_data["user"])).data)


class TokenRefreshView(CredentialsView):
    """Exchange a refresh token for new tokens."""

    throttle_classes = [RefreshThrottle]

    @extend_schema(operation_id="refresh_token", request={JSON: RefreshSerializer}, responses=TokenSerializer, auth=[])
    def post(self, request: Request) -> Response:
        """Get new tokens. A refresh token can be used once; used again, it may be stolen, and the sign-in ends."""
        serializer = RefreshSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        try:
            return Response(TokenSerializer(refresh_tokens(serializer.validated_data["refresh"])).data)
        except InvalidRefreshToken as error:
            raise AuthenticationFailed(REFRESH_REFUSED) from error


class TokenRevokeView(CredentialsView):
    """Sign out."""

    throttle_classes = [RefreshThrottle]

    @extend_schema(operation_id="sign_out", request={JSON: SignOutSerializer}, responses={204: None}, auth=[])
    def post(self, request: Request) -> Response:
        """End this sign-in, whose tokens are refused from now on; with `everywhere`, all sign-ins of the listener."""
        serializer = SignOutSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        try:
            sign_out(serializer.validated_data["refresh"], everywhere=serializer.validated_data["everywhere"])
        except InvalidRefreshToken as error:
            raise AuthenticationFailed(REFRESH_REFUSED) from error
        return Response(status=status.HTTP_204_NO_CONTENT)


class ListenersView(ApiView):
    """Find listeners by external id, for back ends."""

    schema_tag = "Listeners"
    required_scope = Scope.RECOMMEND
    service_only = True
    query_parameters = {"get": ExternalIdParameter}

    @extend_schema(operation_id="find_listener", responses=ListenerSerializer)
    def get(self, request: Request) -> Response:
        """Find a listener by their id in the service they were imported from."""
        external_id = ExternalIdParameter.read(request)
        user_id = user_ids_by_external_id([external_id]).get(external_id)
        if user_id is None:
            raise Http404("no such listener")
        return Response({"user_id": user_id, "external_id": external_id})
