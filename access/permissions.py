from typing import Any

from django.http import Http404
from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import ValidationError
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from access.models import ServiceKey

USER_ID = OpenApiParameter(
    "user_id", {"type": "string", "pattern": r"^(me|\d+)$"}, "path", description="A listener's id, or `me`."
)


class HasScope(BasePermission):
    """Allow signed-in listeners, and service keys with the view's `required_scope`.

    A view without `required_scope` allows nobody. A view with `service_only` allows service keys only. In a view with a
    `write_scope`, that is the scope of all methods but GET, which are for service keys only.
    """

    def has_permission(self, request: Request, view: Any) -> bool:
        write_scope = getattr(view, "write_scope", None)
        is_write = write_scope is not None and request.method not in SAFE_METHODS
        scope = write_scope if is_write else getattr(view, "required_scope", None)
        if isinstance(request.auth, ServiceKey):
            self.message = f"this service key lacks the scope '{scope}'"
            return scope is not None and scope in request.auth.scopes
        is_service_only = is_write or getattr(view, "service_only", False)
        return scope is not None and request.user.is_authenticated and not is_service_only


def resolve_path_user_id(request: Request, user_id: str) -> int:
    """Return the id of the listener that `user_id` in a path names: digits, or "me" for the token's own listener.

    Raises:
        Http404: a listener names somebody else.
        ValidationError: the path is neither, or a service key names "me".
    """
    token_user_id = None if isinstance(request.auth, ServiceKey) else request.user.pk
    if user_id == "me":
        if token_user_id is None:
            raise ValidationError(
                {"{user_id}": "'me' needs a listener's token; a service key names the listener by id"}
            )
        return int(token_user_id)
    if not (user_id.isascii() and user_id.isdigit()):
        raise ValidationError({"{user_id}": "is not a listener's id: expected an integer, or 'me' with a token"})
    requested = parse_id(user_id)
    if token_user_id is not None and requested != token_user_id:
        raise Http404("no such listener")
    return requested


def parse_id(digits: str) -> int:
    """Return the number. Only 40 digits are read, because int() is slow for very long texts; no id is that large."""
    return int(digits[:40])


def resolve_user_id(token_user_id: int | None, requested: int | None) -> int | None:
    """Return the id of the listener that a request is about, or None if it names no listener.

    Args:
        token_user_id: the listener of the token; None for a service key, which may name any listener.
        requested: the listener that the request names, if any.

    Raises:
        Http404: a listener names somebody else.
    """
    if token_user_id is not None and requested not in (None, token_user_id):
        raise Http404("no such listener")
    return requested if token_user_id is None else token_user_id
