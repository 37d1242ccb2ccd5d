"""The principal, recognised in the same query that says in which state the listener is."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from access.authentication import ListenerTokenAuthentication, ServiceKeyAuthentication
from access.models import ServiceKey, User
from recommendations.serving.request_context import (
    RequestContext,
    Revisions,
    load_context_by_key,
    load_context_by_token,
)


class ContextKeyAuthentication(ServiceKeyAuthentication):
    """Load the request context together with the service key."""

    def find_key(self, request: Request, key: str) -> ServiceKey | None:
        view: Asking = request.parser_context["view"]
        listener = view.about(request)
        found: ServiceKey | None = _noted(request, load_context_by_key(key, listener, view.known(request, listener)))
        return found


class ContextTokenAuthentication(ListenerTokenAuthentication):
    """Load the request context together with the listener."""

    def find_user(self, request: Request, user_id: int, sign_in: UUID) -> User | None:
        view: Asking = request.parser_context["view"]
        found: User | None = _noted(request, load_context_by_token(user_id, sign_in, view.known(request, user_id)))
        return found


class Asking:
    """For views: what was found with the principal is `asked_of(request)` from then on."""

    authentication_classes: Sequence[type[BaseAuthentication]] = [ContextKeyAuthentication, ContextTokenAuthentication]

    def about(self, request: Request) -> int | None:
        """Whom a service key asks about, as far as that can be read: what cannot is refused once it is certain that it
        may ask."""
        raise NotImplementedError

    def known(self, request: Request, listener: int | None) -> Revisions:
        """The state in which the answer is known already: only of another one the history is read."""
        return Revisions()


def asked_of(request: Request) -> RequestContext:
    asked: RequestContext = request._request.asked  # type: ignore[attr-defined]
    return asked


def _noted(request: Request, found: tuple[Any, RequestContext] | None) -> Any:
    if found is None:
        return None
    principal, request._request.asked = found  # type: ignore[attr-defined]
    return principal
