from typing import Any

from django.http import Http404
from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import ValidationError
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from access.models import ServiceKey, User
from access.selectors import find_listener_id
from common.http.references import PREFIX, ExternalId, parse_path_reference

USER_ID = OpenApiParameter(
    "user_id",
    {"type": "string", "pattern": rf"^(me|\d+|{PREFIX}.+)$"},
    "path",
    description="A listener's id, `external:` and the app's own id, or `me` with a token.",
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
        self.message = f"this needs a service key with the scope '{scope}', for back ends; a listener's token has none"
        return scope is not None and request.user.is_authenticated and not is_service_only


def parse_path_user_id(request: Request, user_id: str) -> int | ExternalId:
    """Return the listener that `user_id` in a path names: an integer, `external:ID`, or "me" with a token.

    Raises:
        ValidationError: the path is none of them, or a service key names "me".
    """
    if user_id != "me":
        return parse_path_reference("user_id", user_id)
    if isinstance(request.auth, ServiceKey):
        raise ValidationError({"{user_id}": "'me' needs a listener's token; a service key names the listener by id"})
    return _own_user_id(request)


def resolve_path_user_id(request: Request, user_id: str) -> int:
    """Return the id of the listener that `user_id` in a path names. An integer may be the id of no listener.

    Raises:
        Http404: no listener can have this id, or a listener names somebody else.
        ValidationError: the path is not a reference, or a service key names "me".
    """
    reference = parse_path_user_id(request, user_id)
    if not isinstance(request.auth, ServiceKey):
        return resolve_own_user_id(request, reference)
    if (listener_id := find_listener_id(reference)) is None:
        raise Http404("no such listener")
    return listener_id


def resolve_own_user_id(request: Request, reference: int | ExternalId | None) -> int:
    """Return the id of the token's listener, whom a request may name or leave out.

    Raises:
        Http404: the request names somebody else.
    """
    own = _own_user_id(request)
    if reference is not None and find_listener_id(reference) != own:
        raise Http404("no such listener")
    return own


def _own_user_id(request: Request) -> int:
    assert isinstance(request.user, User)
    return int(request.user.pk)
