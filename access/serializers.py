from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework_simplejwt.serializers import TokenObtainSerializer
from rest_framework_simplejwt.settings import api_settings

from access.models import User
from access.sign_ins import TokenPair
from common.http.body_serializers import BodySerializer
from common.http.query_parameters import parse_parameters


class SignInSerializer(TokenObtainSerializer):
    """A listener's user name and password. Wrong ones raise a 401."""

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        super().validate(attrs)
        assert isinstance(self.user, User)  # otherwise super() has raised
        return {"user": self.user}


class RefreshSerializer(BodySerializer):
    refresh = serializers.CharField(max_length=4096, help_text="The newest refresh token. It can be used once.")


class SignOutSerializer(RefreshSerializer):
    everywhere = serializers.BooleanField(default=False, help_text="On all of the listener's devices.")


class TokenSerializer(serializers.Serializer[Any]):
    access = serializers.CharField(help_text="Send it as `Authorization: Bearer ACCESS`.")
    token_type = serializers.CharField()
    expires_in = serializers.IntegerField(help_text="Seconds.")
    refresh = serializers.CharField(help_text="For `POST /token/refresh`, once. Store it securely.")
    refresh_expires_in = serializers.IntegerField(help_text="Seconds.")
    user_id = serializers.IntegerField()

    def to_representation(self, instance: TokenPair) -> dict[str, Any]:
        return {
            "access": instance.access,
            "token_type": "Bearer",
            "expires_in": int(api_settings.ACCESS_TOKEN_LIFETIME.total_seconds()),
            "refresh": instance.refresh,
            "refresh_expires_in": int(api_settings.REFRESH_TOKEN_LIFETIME.total_seconds()),
            "user_id": instance.user_id,
        }


class ExternalIdParameter(serializers.Serializer[Any]):
    """`?external_id=`, by which clients find the ids of listeners and tracks that they know by ids of their own."""

    external_id = serializers.CharField(max_length=128, help_text="With its namespace, if it was imported with one.")

    @classmethod
    def read(cls, request: Request) -> str:
        return str(parse_parameters(cls, request.META.get("QUERY_STRING", ""))["external_id"])


class ListenerSerializer(serializers.Serializer[Any]):
    user_id = serializers.IntegerField()
    external_id = serializers.CharField()
