from contextlib import suppress
from time import perf_counter
from typing import Any

import orjson
from django.http import Http404, HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.request import Request as HttpRequest
from rest_framework.views import APIView

from access.authentication import SCHEMES
from access.models import Scope, ServiceKey
from access.permissions import resolve_user_id
from access.throttles import consume_quota
from recommendations.api.authentication import Asking, asked_of
from recommendations.api.batch_serializers import KINDS, BatchAnswerSerializer, BatchSerializer
from recommendations.serving.batch import Shelf, answers_for, shelves_for
from recommendations.serving.recommender import RequestOptions, UnknownTrack
from recommendations.serving.response_cache import CachedResponse


@extend_schema(auth=SCHEMES)
class BatchView(Asking, APIView):
    required_scope = Scope.RECOMMEND

    @extend_schema(operation_id="recommend_batch", request=BatchSerializer, responses=BatchAnswerSerializer)
    def post(self, request: HttpRequest) -> HttpResponse:
        """Answers for many listeners, or many shelves for one: no track is on two of them."""
        wanted = self._wanted(request)
        return self._for_listeners(request, wanted) if "users" in wanted else self._shelves(request, wanted)

    def about(self, request: HttpRequest) -> int | None:
        with suppress(APIException):
            return self._wanted(request).get("user_id")
        return None

    def _for_listeners(self, request: HttpRequest, wanted: dict[str, Any]) -> HttpResponse:
        if not isinstance(request.auth, ServiceKey) and wanted["users"] != [request.user.pk]:
            raise Http404("no such listener")
        consume_quota(request, len(wanted["users"]) - 1)
        began = perf_counter()
        given = answers_for(wanted["users"], _request(wanted))
        _tell(request, [one.answer for one in given], perf_counter() - began)
        return _rendered("answers", [_with("user_id", one.listener, one.answer) for one in given])

    def _shelves(self, request: HttpRequest, wanted: dict[str, Any]) -> HttpResponse:
        listener = self._listener(request, wanted)
        consume_quota(request, len(wanted["shelves"]) - 1)
        shelves = [Shelf(s["name"], KINDS[s["kind"]], s["limit"], s.get("track_id")) for s in wanted["shelves"]]
        began = perf_counter()
        try:
            given = shelves_for(listener, asked_of(request), shelves, _request(wanted))
        except UnknownTrack as error:
            raise ValidationError({"shelves": f"there is no track {error} in the catalogue"}) from error
        _tell(request, [kept for _, kept in given], perf_counter() - began)
        return _rendered("shelves", [_with("name", one.name, kept) for one, kept in given])

    def _listener(self, request: HttpRequest, wanted: dict[str, Any]) -> int:
        listener = resolve_user_id(request.user.pk, wanted.get("user_id"))
        if listener is None:
            raise ValidationError({"user_id": "is needed with a service key"})
        return listener

    def _wanted(self, request: HttpRequest) -> dict[str, Any]:
        """Raises ValidationError, or what reading the body raises."""
        if not hasattr(self, "_read"):
            parsed = BatchSerializer(data=request.data)
            parsed.is_valid(raise_exception=True)
            self._read: dict[str, Any] = dict(parsed.validated_data)
        return self._read


def _tell(request: HttpRequest, found: list[CachedResponse], seconds: float) -> None:
    """`common.http.request_metrics`, of the answers that were found."""
    strategies, kept = {one.strategy for one in found}, sum(not one.fresh for one in found)
    inner: Any = request._request
    inner.strategy = strategies.pop() if len(strategies) == 1 else "mixed"
    inner.spans = {"cache": f"{kept} of {len(found)}", "answer": seconds}


def _request(wanted: dict[str, Any]) -> RequestOptions:
    return RequestOptions(**{name: wanted[name] for name in RequestOptions._fields})


def _with(name: str, value: Any, kept: CachedResponse) -> bytes:
    return b'{"%s":%s,' % (name.encode(), orjson.dumps(value)) + kept.body[1:]


def _rendered(name: str, answers: list[bytes]) -> HttpResponse:
    return HttpResponse(b'{"%s":[%s]}' % (name.encode(), b",".join(answers)), content_type="application/json")
