"""Recognize the caller of a recommendation view and load the context of the request, in one query."""

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, ClassVar
from uuid import UUID

from rest_framework.exceptions import APIException, ValidationError
from rest_framework.request import Request
from rest_framework.serializers import Serializer
from rest_framework.views import APIView

from access.authentication import ListenerTokenAuthentication, ServiceKeyAuthentication
from access.models import ServiceKey, User
from access.permissions import parse_path_user_id, resolve_own_user_id
from access.selectors import find_listener_ids
from common.http.query_parameters import ApiView, parse_parameters
from common.http.references import ExternalId, parse_path_reference
from recommendations.serving.request_context import (
    RequestContext,
    Revisions,
    load_context_by_key,
    load_context_by_token,
    load_contexts,
)

FIRST_STAND_IN = 1 << 62  # larger than any id that a database hands out


def find_listeners_or_stand_ins(references: Sequence[int | ExternalId]) -> list[int]:
    """Return the ids of the listeners that references name; where there cannot be one, a stand-in that is no row's id.

    A listener with a stand-in is answered like one without interactions, with a pseudo-random order of their own.
    """
    ids = find_listener_ids(references)
    return [ids[reference] if reference in ids else _stand_in(reference) for reference in references]


def _stand_in(reference: int | ExternalId) -> int:
    digest = hashlib.blake2b(str(reference).encode(), digest_size=8).digest()
    return FIRST_STAND_IN + int.from_bytes(digest) % FIRST_STAND_IN


class ContextKeyAuthentication(ServiceKeyAuthentication):
    def find_key(self, request: Request, key: str) -> ServiceKey | None:
        view: BaseContextView = request.parser_context["view"]
        listener_id = view.requested_listener(request)
        cached, session_id = view.cached_revisions(request, listener_id), view.requested_session(request)
        loaded = load_context_by_key(key, listener_id, cached, session_id)
        if loaded is None:
            return None
        service_key, view.context = loaded
        return service_key


class ContextTokenAuthentication(ListenerTokenAuthentication):
    def find_user(self, request: Request, user_id: int, sign_in: UUID) -> User | None:
        view: BaseContextView = request.parser_context["view"]
        cached, session_id = view.cached_revisions(request, user_id), view.requested_session(request)
        loaded = load_context_by_token(user_id, sign_in, cached, session_id)
        if loaded is None:
            return None
        user, view.context = loaded
        return user

    def load_provider_user(self, request: Request, user: User) -> None:
        view: BaseContextView = request.parser_context["view"]
        view.context = load_contexts([user.pk], view.requested_session(request))[user.pk]


class BaseContextView(APIView):
    """A view whose `context` is loaded while the caller is authenticated.

    Authentication comes before the request is checked, so the methods below ignore what they cannot read: it is
    refused once the caller is known to have access.
    """

    authentication_classes = [ContextKeyAuthentication, ContextTokenAuthentication]
    context: RequestContext

    def requested_listener(self, request: Request) -> int | None:
        """Return the listener that a service key asks about."""
        raise NotImplementedError

    def requested_session(self, request: Request) -> str:
        """Return the current session that the request names; empty for none."""
        return ""

    def cached_revisions(self, request: Request, listener_id: int | None) -> Revisions:
        """Return the revisions for which this process has an answer, so that the history need not be read."""
        return Revisions()


class ContextView(BaseContextView, ApiView):
    """A view of our own API whose `context` is loaded while the caller is authenticated."""

    def resolve_listener(self, request: Request, reference: int | ExternalId | None) -> int | None:
        """Return the listener to answer for; None if a service key names none.

        Args:
            reference: the listener that the request names, who need not exist if a service key asks.

        Raises:
            Http404: a token names somebody else.
        """
        if isinstance(request.auth, ServiceKey):
            return self.context.listener_id  # found while the key was authenticated
        return resolve_own_user_id(request, reference)


class PathListenerView(ContextView):
    """A view whose path names the listener whose `context` is loaded, as `user_id`."""

    def requested_listener(self, request: Request) -> int | None:
        with suppress(ValidationError):
            reference = parse_path_reference("user_id", self.kwargs.get("user_id", ""))  # absent in a wrong method
            return find_listeners_or_stand_ins([reference])[0]
        return None

    def find_listener(self, request: Request, user_id: str) -> int | None:
        """Return the listener to answer for, who need not exist if a service key asks.

        Raises:
            Http404: a token names somebody else.
            ValidationError: the path is not a reference, or a service key names "me".
        """
        return self.resolve_listener(request, parse_path_user_id(request, user_id))


class QueryListenerView(ContextView):
    """A view whose query parameters may name the listener whose `context` is loaded, as `user_id`."""

    def requested_listener(self, request: Request) -> int | None:
        with suppress(ValidationError):
            parameters = parse_parameters(self.query_parameters["get"], request.META.get("QUERY_STRING", ""))
            if "user_id" in parameters:
                return find_listeners_or_stand_ins([parameters["user_id"]])[0]
        return None


class BodyContextView(ContextView):
    """A view whose body names the listener whose `context` is loaded, as `user_id`.

    Attributes:
        body_serializer: of the body.
    """

    body_serializer: ClassVar[type[Serializer[Any]]]
    _body: dict[str, Any] | None = None
    _error: APIException | None = None

    def validated_body(self, request: Request) -> dict[str, Any]:
        """Return the body. Raises ValidationError, or what parsing the body raises, each time it is called."""
        if self._error:
            raise self._error
        if self._body is None:
            try:
                serializer = self.body_serializer(data=request.data)
                serializer.is_valid(raise_exception=True)
            except APIException as error:
                self._error = error  # because `request.data` is empty after its first error
                raise
            self._body = dict(serializer.validated_data)
        return self._body

    def requested_listener(self, request: Request) -> int | None:
        with suppress(APIException):
            reference = self.validated_body(request).get("user_id")
            return None if reference is None else find_listeners_or_stand_ins([reference])[0]
        return None
