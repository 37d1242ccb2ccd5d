"""Messages of serializer fields that say what to send instead, where the framework only says that a value is wrong."""

from collections.abc import Iterable
from typing import Any

from rest_framework.serializers import BooleanField, CharField, ChoiceField, Field, ListField


def use_plain_messages(fields: Iterable["Field[Any, Any, Any, Any]"]) -> None:
    """Replace messages of the framework by ones that name what is allowed; those that a field defines itself stay."""
    for field in fields:
        if isinstance(field, ListField):
            use_plain_messages([field.child])
        elif isinstance(field, BooleanField):
            _replace(field, BooleanField, "invalid", "must be true or false")
        elif isinstance(field, ChoiceField):
            _replace(field, ChoiceField, "invalid_choice", f"must be one of {', '.join(map(str, field.choices))}")
        elif isinstance(field, CharField):
            instead = "send a text" if field.required else "send a text, or leave the field out"
            _replace(field, CharField, "blank", f"must not be empty or consist of spaces; {instead}")


def _replace(
    field: "Field[Any, Any, Any, Any]", framework: "type[Field[Any, Any, Any, Any]]", code: str, message: str
) -> None:
    if field.error_messages[code] is framework.default_error_messages[code]:
        field.error_messages[code] = message
