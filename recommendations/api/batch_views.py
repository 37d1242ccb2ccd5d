from contextlib import suppress
from time import perf_counter
from typing import Any

import orjson
from django.http import Http404, HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.request import Request

from access.authentication import SCHEMES
from access.models import Scope, ServiceKey
from access.permissions import resolve_user_id
from access.throttles import consume_quota
from recommendations.api.authentication import ContextView
from recommendations.api.batch_serializers import KINDS, BatchAnswerSerializer, BatchSerializer
from recommendations.serving.batch import ShelfRequest, recommend_shelves, recommend_to_listeners
from recommendations.serving.request_context import RecommendationRequest, load_contexts
from recommendations.serving.response_cache import CachedResponse
from recommendations.serving.slate import UnknownTrack

OPTIONS = ("limit", "exclude_played", "explain", "placement", "market", "explicit")


@extend_schema(auth=SCHEMES)
class BatchView(ContextView):
    """Answers for many listeners, or many shelves of one listener's screen."""

    schema_tag = "Recommendations"
    required_scope = Scope.RECOMMEND
    _body: dict[str, Any] | None = None
    _error: APIException | None = None

    @extend_schema(operation_id="recommend_batch", request=BatchSerializer, responses=BatchAnswerSerializer)
    def post(self, request: Request) -> HttpResponse:
        """Recommend tracks to many listeners, or for many shelves of one listener: no track is on two of them."""
        body = self._validated_body(request)
        options = RecommendationRequest("personal", **{name: body[name] for name in OPTIONS})
        return self._listeners(request, body, options) if "users" in body else self._shelves(request, body, options)

    def requested_listener(self, request: Request) -> int | None:
        with suppress(APIException):
            return self._validated_body(request).get("user_id")
        return None

    def _listeners(self, request: Request, body: dict[str, Any], options: RecommendationRequest) -> HttpResponse:
        users: list[int] = body["users"]
        if not isinstance(request.auth, ServiceKey) and users != [request.user.pk]:
            raise Http404("no such listener")
        consume_quota(request, len(users) - 1)
        started = perf_counter()
        requests = [options._replace(listener_id=user_id) for user_id in users]
        recommendations = recommend_to_listeners(requests, load_contexts(users))
        responses = [response for response, _ in recommendations]
        _report(request, responses, sum(cached for _, cached in recommendations), started)
        answers = [_prepend("user_id", user_id, r) for user_id, r in zip(users, responses, strict=True)]
        return _json_list("answers", answers)

    def _shelves(self, request: Request, body: dict[str, Any], options: RecommendationRequest) -> HttpResponse:
        listener_id = resolve_user_id(request.user.pk, body.get("user_id"))
        if listener_id is None:
            raise ValidationError({"user_id": "is needed with a service key"})
        consume_quota(request, len(body["shelves"]) - 1)
        started = perf_counter()
        shelves = [ShelfRequest(s["name"], KINDS[s["kind"]], s["limit"], s.get("track_id")) for s in body["shelves"]]
        try:
            responses = recommend_shelves(options._replace(listener_id=listener_id), self.context, shelves)
        except UnknownTrack as error:
            raise ValidationError({"shelves": f"there is no track {error} in the catalogue"}) from error
        _report(request, responses, 0, started)
        answers = [_prepend("name", shelf.name, r) for shelf, r in zip(shelves, responses, strict=True)]
        return _json_list("shelves", answers)

    def _validated_body(self, request: Request) -> dict[str, Any]:
        """Raises ValidationError, or what parsing the body raises, each time it is called."""
        if self._error:
            raise self._error
        if self._body is None:
            try:
                serializer = BatchSerializer(data=request.data)
                serializer.is_valid(raise_exception=True)
            except APIException as error:
                self._error = error  # because `request.data` is empty after its first error
                raise
            self._body = dict(serializer.validated_data)
        return self._body


def _report(request: Request, responses: list[CachedResponse], cached: int, started: float) -> None:
    """Tell the metrics middleware how the batch was answered."""
    strategies = {response.strategy for response in responses}
    django_request: Any = request._request
    django_request.strategy = strategies.pop() if len(strategies) == 1 else "mixed"
    django_request.spans = {"cache": f"{cached} of {len(responses)}", "answer": perf_counter() - started}


def _prepend(name: str, value: Any, response: CachedResponse) -> bytes:
    """Put a member in front of the others of a JSON object."""
    return b'{"%s":%s,' % (name.encode(), orjson.dumps(value)) + response.body[1:]


def _json_list(name: str, answers: list[bytes]) -> HttpResponse:
    return HttpResponse(b'{"%s":[%s]}' % (name.encode(), b",".join(answers)), content_type="application/json")
