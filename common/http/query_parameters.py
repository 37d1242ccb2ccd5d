"""Query parameters: a view declares them once, for the OpenAPI schema and for the check that refuses all others."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, ClassVar

from django.http import QueryDict
from drf_spectacular.openapi import AutoSchema
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.serializers import IntegerField, Serializer
from rest_framework.views import APIView

from common.http.field_messages import use_plain_messages

MAX_REPORTED = 10
MAX_NAME_LENGTH = 100
MAX_QUERY_LENGTH = 4096  # characters; query strings are keys of caches in memory


class NoParameters(Serializer[Any]):
    """The query parameters of an endpoint that has none."""


class LimitField(IntegerField):
    """The number of results that a request asks for. A value out of range is an error, not the nearest limit."""

    def __init__(self, default: int, max_value: int = 100, **options: Any) -> None:
        message = f"must be an integer from 1 to {max_value}"
        messages: dict[str, Any] = dict.fromkeys(("invalid", "min_value", "max_value", "max_string_length"), message)
        options = {"help_text": f"1 to {max_value}.", "error_messages": messages, **options}
        super().__init__(default=default, min_value=1, max_value=max_value, **options)


class ApiView(APIView):
    """A view that refuses query parameters which it does not declare, after it has checked who asks.

    `query_parameters` has the serializer of the parameters by the name of the handler: the action of a viewset, or the
    method in lower case. A handler that is not in it accepts none. `schema_tag` is the section of the OpenAPI document
    in which the operations of the view are listed.
    """

    schema_tag: ClassVar[str] = ""
    query_parameters: ClassVar[Mapping[str, type[Serializer[Any]]]] = {}

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        query_string = request.META.get("QUERY_STRING", "")
        if query_string and request.method != "OPTIONS" and request.method in self.allowed_methods:
            handler = getattr(self, "action", None) or str(request.method).lower()  # only viewsets have actions
            check_names(self.query_parameters.get("get" if handler == "head" else handler, NoParameters), query_string)


class ApiSchema(AutoSchema):
    """Describe a view by what it declares: its query parameters, its section, and the docstrings of its handlers."""

    def get_tags(self) -> list[str]:
        tag = getattr(self.view, "schema_tag", "")
        return [tag] if tag else super().get_tags()

    def get_summary(self) -> str | None:
        """Return the first sentence of the handler's docstring, which is also the title in generated clients."""
        return super().get_summary() or re.split(r"[.:;](?:\s|$)", self.get_description(), maxsplit=1)[0] or None

    def get_auth(self) -> list[Any]:
        requirements: list[Any] = super().get_auth()
        is_write = getattr(self.view, "write_scope", None) is not None and self.method != "GET"
        if is_write or getattr(self.view, "service_only", False):
            return [requirement for requirement in requirements if "ListenerToken" not in requirement]
        return requirements

    def get_override_parameters(self) -> list[Any]:
        parameters: list[Any] = super().get_override_parameters()
        if isinstance(self.view, ApiView):
            handler = getattr(self.view, "action", None) or self.method.lower()
            if handler in self.view.query_parameters:
                return [*parameters, self.view.query_parameters[handler]]
        return parameters


@lru_cache(maxsize=4096)
def check_names(serializer_class: type[Serializer[Any]], query_string: str) -> None:
    """Check that a query string, as in the WSGI environment, is short and has no unknown or repeated parameters.

    Raises:
        ValidationError: naming each of them as `?name`, with what is allowed.
    """
    if len(query_string) > MAX_QUERY_LENGTH:
        raise ValidationError(f"the query string has {len(query_string)} characters; it may have {MAX_QUERY_LENGTH}")
    allowed = list(serializer_class().fields)
    errors: dict[str, str] = {}
    for name, values in QueryDict(query_string.encode("latin-1")).lists():
        if name not in allowed:
            accepted = ", ".join(allowed) or "none"
            errors[f"?{name[:MAX_NAME_LENGTH]}"] = f"unknown parameter; this endpoint accepts {accepted}"
        elif len(values) > 1:
            errors[f"?{name}"] = f"is sent {len(values)} times; send it once"
    if errors:
        raise ValidationError(dict(list(errors.items())[:MAX_REPORTED]))


def parse_parameters(serializer_class: type[Serializer[Any]], query_string: str) -> dict[str, Any]:
    """Parse and validate a query string, as in the WSGI environment.

    Raises:
        ValidationError: naming each wrong parameter as `?name`.
    """
    check_names(serializer_class, query_string)
    serializer = serializer_class(data=QueryDict(query_string.encode("latin-1")).dict())
    use_plain_messages(serializer.fields.values())
    if not serializer.is_valid():
        raise ValidationError({f"?{name}": errors for name, errors in serializer.errors.items()})
    return dict(serializer.validated_data)
