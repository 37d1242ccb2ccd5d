from typing import Any

from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework_simplejwt.serializers import TokenObtainSerializer
from rest_framework_simplejwt.settings import api_settings

from access.models import User
from access.sign_ins import TokenPair
from common.http.body_serializers import BodySerializer, StrictSerializer
from common.http.query_parameters import parse_parameters
from common.http.references import ExternalId, InvalidReference, parse_external_id

MIN_DEVICE_ID_LENGTH = 22  # 128 random bits in base64
MIN_DISTINCT_CHARACTERS = 8  # some phones report an advertising id of zeros


class SignInSerializer(TokenObtainSerializer):
    """A listener's user name and password. Wrong ones raise a 401."""

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        super().validate(attrs)
        assert isinstance(self.user, User)  # otherwise super() has raised
        return {"user": self.user}


class DeviceIdField(serializers.CharField):
    """The secret by which a phone without an account is known, so it must not be guessable."""

    default_error_messages = {
        "short": "has {length} characters; a device id is a secret, such as a random UUID, of at least {minimum}",
        "ascii": "must consist of visible ASCII characters",
        "constant": "is not random; make a UUID when the app first starts, and store it where only the app can read it",
    }

    def __init__(self, **kwargs: Any) -> None:
        help_text = "A secret of this phone, such as a random UUID. Whoever knows it can sign in as its listener."
        super().__init__(max_length=128, trim_whitespace=False, help_text=help_text, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        device_id = str(super().to_internal_value(data))
        if len(device_id) < MIN_DEVICE_ID_LENGTH:
            self.fail("short", length=len(device_id), minimum=MIN_DEVICE_ID_LENGTH)
        if not all("!" <= character <= "~" for character in device_id):
            self.fail("ascii")
        if len(set(device_id)) < MIN_DISTINCT_CHARACTERS:
            self.fail("constant")
        return device_id


class DeviceSerializer(StrictSerializer):
    device_id = DeviceIdField()


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

    external_id = serializers.CharField(
        trim_whitespace=False, help_text="With its namespace, if it was imported with one; with or without `external:`."
    )

    @classmethod
    def read(cls, request: Request) -> ExternalId:
        text = parse_parameters(cls, request.META.get("QUERY_STRING", ""))["external_id"]
        try:
            return parse_external_id(text)
        except InvalidReference as error:
            raise ValidationError({"?external_id": str(error)}) from error


class ListenerSerializer(serializers.Serializer[Any]):
    user_id = serializers.IntegerField()
    external_id = serializers.CharField()
