from typing import Any

from django.conf import settings
from django.http import Http404
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.exceptions import APIException, AuthenticationFailed, PermissionDenied
from rest_framework.parsers import FormParser
from rest_framework.request import Request
from rest_framework.response import Response

from access.devices import sign_in_device
from access.models import Scope, User
from access.selectors import find_listener_id, user_ids_by_external_id
from access.serializers import (
    DeviceSerializer,
    RefreshSerializer,
    SignInSerializer,
    SignOutSerializer,
    TokenSerializer,
)
from access.sign_ins import (
    InvalidRefreshToken,
    OperatorSignIn,
    UnknownAccount,
    mint_tokens,
    refresh_tokens,
    sign_in,
    sign_out,
)
from access.throttles import DeviceThrottle, RefreshThrottle, SignInThrottle
from common.http.body_serializers import refuse_body
from common.http.query_parameters import ApiView
from common.http.references import PREFIX, parse_path_reference

# Only this type is in the OpenAPI schema: generated clients use one class for both types of body, and mix them up.
JSON = "application/json"
REFRESH_REFUSED = "this refresh token is unknown, expired or was used before; sign in again"


LISTENER_ID = OpenApiParameter(
    "listener_id",
    {"type": "string", "pattern": rf"^(\d+|{PREFIX}.+)$"},
    "path",
    description="A listener's id, or `external:` and the app's own id.",
)


class AmbiguousListener(APIException):
    status_code = status.HTTP_409_CONFLICT
    default_detail = (
        "this number is the user_id of one listener and the external id of another; "
        f"write {PREFIX} before an external id"
    )


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


class DeviceTokenView(CredentialsView):
    """Sign a phone in without an account."""

    throttle_classes = [DeviceThrottle]
    parser_classes = [*ApiView.parser_classes]

    @extend_schema(operation_id="sign_in_device", request=DeviceSerializer, responses=TokenSerializer, auth=[])
    def post(self, request: Request) -> Response:
        """Get tokens for this phone's anonymous listener, who is created by the first request.

        Later, `POST /users/me/merge` moves what the phone has collected into an account.
        """
        if not settings.MUSICREC["ANONYMOUS_LISTENERS"]:
            raise PermissionDenied("listening without an account is turned off (MUSICREC_ANONYMOUS_LISTENERS)")
        serializer = DeviceSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        return Response(TokenSerializer(sign_in_device(serializer.validated_data["device_id"])).data)


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


class ListenerTokenView(ApiView):
    """Tokens of listeners, for back ends that authenticate their listeners themselves."""

    schema_tag = "Sign-in"
    required_scope = Scope.TOKENS
    service_only = True

    @extend_schema(operation_id="mint_token", parameters=[LISTENER_ID], request=None, responses=TokenSerializer)
    def post(self, request: Request, listener_id: str) -> Response:
        """Mint tokens of a listener, to be handed to their phone, so that no phone ever holds a service key.

        The back end has made sure that it talks to this listener. Like any sign-in it ends by `POST /token/revoke`.
        """
        refuse_body(request)
        reference = parse_path_reference("listener_id", listener_id)
        user_id = find_listener_id(reference)
        if isinstance(reference, int) and user_id is not None:
            namesake = user_ids_by_external_id([listener_id]).get(listener_id)
            if namesake not in (None, user_id) and User.objects.filter(pk=user_id).exists():
                raise AmbiguousListener
        try:
            if user_id is None:
                raise UnknownAccount
            tokens = mint_tokens(user_id)
        except UnknownAccount as error:
            raise Http404("no such listener, or the account is closed; PUT /listeners creates listeners") from error
        except OperatorSignIn as error:
            raise PermissionDenied("this is an operator's account, whom a service key cannot sign in") from error
        return Response(TokenSerializer(tokens).data)
