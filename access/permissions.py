from typing import Any

from django.http import Http404
from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import ValidationError
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from access.models import ServiceKey

USER_ID = OpenApiParameter(
    "user_id", {"type": "string", "pattern": r"^(me|\d+)$"}, "path", description="A listener's id, or `me`."
)


class HasScope(BasePermission):
    """A signed-in listener, or a service key with the view's `required_scope`. A view that names none is for nobody."""

    def has_permission(self, request: Request, view: Any) -> bool:
        scope = getattr(view, "required_scope", None)
        if isinstance(request.auth, ServiceKey):
            self.message = f"this service key lacks the scope '{scope}'"
            return scope is not None and scope in request.auth.scopes
        return scope is not None and request.user.is_authenticated and not getattr(view, "service_only", False)


def resolve_path_user_id(request: Request, user_id: str) -> int:
    """The listener that `user_id` in a path stands for, if this principal may ask about them.

    Raises 404 for anybody but the token's own listener, and 400 where a service key says "me".
    """
    own = None if isinstance(request.auth, ServiceKey) else request.user.pk
    if user_id == "me":
        if own is None:
            raise ValidationError(
                {"{user_id}": "'me' needs a listener's token; a service key names the listener by id"}
            )
        return int(own)
    if not (user_id.isascii() and user_id.isdigit()):
        raise ValidationError({"{user_id}": "is not a listener's id: expected an integer, or 'me' with a token"})
    named = parse_id(user_id)
    resolve_user_id(own, named)
    return named


def parse_id(user_id: str) -> int:
    """Of digits, however many: more than a number has are nobody's."""
    return int(user_id[:40])


def resolve_user_id(own: int | None, named: int | None) -> int | None:
    """Whom a principal asks about: a listener (`own`) themselves, a service key (None) whoever it names, if anybody.

    Raises 404 where a listener names somebody else.
    """
    if own is not None and named not in (None, own):
        raise Http404("no such listener")
    return named if own is None else own
