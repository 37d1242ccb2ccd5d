"""Base classes of the serializers of JSON bodies."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request

from common.http.field_messages import use_plain_messages
from common.http.query_parameters import MAX_NAME_LENGTH, MAX_REPORTED
from common.http.references import INT64_MAX, PATH_SCHEMA, ExternalId, InvalidReference, parse_reference


class BodySerializer(serializers.Serializer[Any]):
    """A serializer of a JSON body: null in a field that is not required means that the field is absent."""

    null_is_absent = True

    def get_fields(self) -> dict[str, Any]:
        fields: dict[str, Any] = super().get_fields()
        use_plain_messages(fields.values())
        return fields

    def to_internal_value(self, data: Any) -> Any:
        if self.null_is_absent and isinstance(data, dict) and None in data.values():
            optional = {name for name, field in self.fields.items() if not field.required}
            data = {name: value for name, value in data.items() if value is not None or name not in optional}
        return super().to_internal_value(data)


class StrictSerializer(BodySerializer):
    """A serializer of a body that refuses unknown fields: an option that is misspelled must not be ignored."""

    unknown_field_message = "unknown field; this body accepts {fields}"

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict) and (unknown := [name for name in data if name not in self.fields]):
            message = self.unknown_field_message.format(fields=", ".join(self.fields))
            raise serializers.ValidationError({name[:MAX_NAME_LENGTH]: message for name in unknown[:MAX_REPORTED]})
        return super().to_internal_value(data)


# An integer is accepted as well. Generated clients have one type for it: the text, which may be digits.
@extend_schema_field(PATH_SCHEMA | {"examples": ["external:4711"]})
class ReferenceField(serializers.Field[Any, Any, Any, Any]):
    """A listener or a track: an integer id, as a number or a text, or `external:` and the app's own id.

    The value is an int or an ExternalId.
    """

    default_error_messages = {"invalid": "{fault}"}

    def to_internal_value(self, data: Any) -> int | ExternalId:
        if isinstance(data, float) and data.is_integer():  # clients whose language has floats only
            data = int(data)
        try:
            reference = parse_reference(data)
        except InvalidReference as error:
            self.fail("invalid", fault=str(error))
        if isinstance(reference, int) and not 1 <= reference <= INT64_MAX:
            self.fail("invalid", fault=f"an id is a number from 1 to {INT64_MAX}")
        return reference


def refuse_body(request: Request) -> None:
    """Check that a request has no body, or an empty one, where nothing can be sent.

    Raises:
        ValidationError: it has one, from which the client expects something that would not happen.
    """
    if request.data:
        raise serializers.ValidationError("this endpoint takes no body; send the request without one")


class BoundedListField(serializers.ListField):
    """A list whose length is validated before its items are, so that a very long one costs no time."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, list):
            self.run_validators(data)
        return super().to_internal_value(data)
