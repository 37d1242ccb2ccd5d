import re
from dataclasses import asdict
from typing import Any

import orjson
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from access.models import Scope, ServiceKey
from interactions.events.ingest import IdempotencyKeyReused, IndexedEvent, Receipt, record_events, record_once
from interactions.events.schema import MAX_EVENTS, InvalidEvent, event_batch_schema, parse_event
from interactions.events.serializers import ReceiptSerializer

_KEY = re.compile(r"[\x21-\x7e]{1,128}")


class IdempotencyConflict(APIException):
    status_code = status.HTTP_422_UNPROCESSABLE_ENTITY
    default_detail = "this Idempotency-Key was sent before, with another body; a new batch needs a new key"


class EventViewSet(ViewSet):
    """What happened on the phone."""

    required_scope = Scope.EVENTS

    @extend_schema(
        operation_id="send_events",
        request={"application/json": event_batch_schema()[0]},
        responses={202: ReceiptSerializer},
        parameters=[
            OpenApiParameter(
                "Idempotency-Key",
                {"type": "string", "pattern": r"^[\x21-\x7e]{1,128}$"},
                "header",
                description="The same key again, within two days, is answered with the same receipt.",
            ),
            OpenApiParameter("Content-Encoding", str, "header", enum=["gzip"], description="The body may be gzipped."),
        ],
    )
    def create(self, request: Request) -> Response:
        """An array of 1 to 500 events. A bad one is named in the receipt and does not lose the others."""
        if not isinstance(request.data, list) or not 1 <= len(request.data) <= MAX_EVENTS:
            raise ValidationError({"": f"the body must be a JSON array of 1 to {MAX_EVENTS} events"})
        events, refused = _parsed(request.data, request.user.pk)
        if (key := _idempotency_key(request)) is None:
            receipt = record_events(events, refused)
        else:
            body = orjson.dumps(request.data, option=orjson.OPT_SORT_KEYS)
            try:
                receipt = record_once(_principal(request), key, body, lambda: record_events(events, refused))
            except IdempotencyKeyReused as error:
                raise IdempotencyConflict from error
        return Response(asdict(receipt), status.HTTP_202_ACCEPTED)


def _idempotency_key(request: Request) -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is not None and not _KEY.fullmatch(key):
        raise ValidationError({"Idempotency-Key": "must be 1 to 128 visible ASCII characters"})
    return key


def _principal(request: Request) -> str:
    return f"key:{request.auth.pk}" if isinstance(request.auth, ServiceKey) else f"user:{request.user.pk}"


def _parsed(items: list[Any], own: int | None) -> tuple[list[IndexedEvent], Receipt]:
    """own: the token's listener; None for a service key, whose events name theirs."""
    events, refused = [], Receipt()
    for index, item in enumerate(items):
        try:
            event = parse_event(item)
            user_id = own if event.user_id is None else event.user_id
            if user_id is None:
                raise InvalidEvent("user_id: a service key must name it")
            if own is not None and user_id != own:
                raise InvalidEvent("user_id: is another listener than the token's")
        except InvalidEvent as error:
            named = item if isinstance(item, dict) else {}
            refused.reject(index, _text(named.get("event_id")), _text(named.get("type")), str(error))
        else:
            events.append(IndexedEvent(index, user_id, event))
    return events, refused


def _text(value: Any) -> str | None:
    return None if value is None or isinstance(value, dict | list) else str(value)[:128]
