"""Recognize the caller of a recommendation view and load the context of the request, in one query."""

from uuid import UUID

from rest_framework.request import Request

from access.authentication import ListenerTokenAuthentication, ServiceKeyAuthentication
from access.models import ServiceKey, User
from common.http.query_parameters import ApiView
from recommendations.serving.request_context import (
    RequestContext,
    Revisions,
    load_context_by_key,
    load_context_by_token,
    load_contexts,
)


class ContextKeyAuthentication(ServiceKeyAuthentication):
    def find_key(self, request: Request, key: str) -> ServiceKey | None:
        view: ContextView = request.parser_context["view"]
        listener_id = view.requested_listener(request)
        loaded = load_context_by_key(key, listener_id, view.cached_revisions(request, listener_id))
        if loaded is None:
            return None
        service_key, view.context = loaded
        return service_key


class ContextTokenAuthentication(ListenerTokenAuthentication):
    def find_user(self, request: Request, user_id: int, sign_in: UUID) -> User | None:
        view: ContextView = request.parser_context["view"]
        loaded = load_context_by_token(user_id, sign_in, view.cached_revisions(request, user_id))
        if loaded is None:
            return None
        user, view.context = loaded
        return user

    def load_provider_user(self, request: Request, user: User) -> None:
        view: ContextView = request.parser_context["view"]
        view.context = load_contexts([user.pk])[user.pk]


class ContextView(ApiView):
    """A view whose `context` is loaded while the caller is authenticated.

    Authentication comes before the request is checked, so the two methods below ignore what they cannot read: it is
    refused once the caller is known to have access.
    """

    authentication_classes = [ContextKeyAuthentication, ContextTokenAuthentication]
    context: RequestContext

    def requested_listener(self, request: Request) -> int | None:
        """Return the listener that a service key asks about."""
        raise NotImplementedError

    def cached_revisions(self, request: Request, listener_id: int | None) -> Revisions:
        """Return the revisions for which this process has an answer, so that the history need not be read."""
        return Revisions()
