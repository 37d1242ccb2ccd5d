from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.parsers import FormParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from access.serializers import SignInSerializer, TokenSerializer


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
