import re
from dataclasses import asdict

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from access.models import Scope, ServiceKey
from common.http.json import ListBodyParser, escape_unstorable
from common.http.query_parameters import MAX_NAME_LENGTH, ApiView
from interactions.events.schema import MAX_EVENTS, InvalidEvent, parse_sent_at
from interactions.events.serializers import ReceiptSerializer
from interactions.events.services import IdempotencyKeyReused, record_events, record_events_once

IDEMPOTENCY_KEY = r"^[\x21-\x7e]{1,128}$"


class IdempotencyConflict(APIException):
    status_code = status.HTTP_422_UNPROCESSABLE_ENTITY
    default_detail = "this Idempotency-Key was sent before, with another body; a new batch needs a new key"


class EventViewSet(ApiView, ViewSet):
    """The events that clients report."""

    schema_tag = "Events"
    required_scope = Scope.EVENTS
    parser_classes = [ListBodyParser]

    @extend_schema(
        operation_id="send_events",
        request={"application/json": {"$ref": "#/components/schemas/EventsRequest"}},
        responses={202: ReceiptSerializer},
        parameters=[
            OpenApiParameter(
                "Idempotency-Key",
                {"type": "string", "pattern": IDEMPOTENCY_KEY},
                "header",
                description="A batch sent again with the same key within two days is answered with the same receipt.",
            ),
        ],
    )
    def create(self, request: Request) -> Response:
        """Record 1 to 500 events. The receipt names each event that is rejected; the others are stored.

        The body may be the array of events alone, too, and it may be gzipped (`Content-Encoding: gzip`).
        """
        items, sent_at, token_user_id = request.data, None, request.user.pk
        if isinstance(items, dict) and "events" in items:
            if unknown := [escape_unstorable(name) for name in items if name not in ("events", "sent_at")]:
                raise ValidationError(
                    {unknown[0][:MAX_NAME_LENGTH]: "unknown field; this body accepts events, sent_at"}
                )
            try:
                sent_at = parse_sent_at(items.get("sent_at"))
            except InvalidEvent as error:
                raise ValidationError({"sent_at": str(error)}) from error
            items = items["events"]
        if not isinstance(items, list) or not 1 <= len(items) <= MAX_EVENTS:
            raise ValidationError(
                {"": f"the body must be a JSON array of 1 to {MAX_EVENTS} events, or an object with it as events"}
            )
        key = request.headers.get("Idempotency-Key")
        if key is None:
            receipt = record_events(items, token_user_id, sent_at)
        elif not re.fullmatch(IDEMPOTENCY_KEY, key):
            raise ValidationError({"Idempotency-Key": "must be 1 to 128 visible ASCII characters"})
        else:
            is_service = isinstance(request.auth, ServiceKey)
            principal = f"key:{request.auth.pk}" if is_service else f"user:{token_user_id}"
            try:
                receipt = record_events_once(items, token_user_id, sent_at, principal=principal, idempotency_key=key)
            except IdempotencyKeyReused as error:
                raise IdempotencyConflict from error
        return Response(asdict(receipt), status.HTTP_202_ACCEPTED)
