from dataclasses import asdict
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from access.models import Scope
from interactions.serializers import MAX_EVENTS, EventSerializer, ReceiptSerializer
from interactions.services import Event, Receipt, record_events


class EventViewSet(ViewSet):
    """What happened on the phone."""

    required_scope = Scope.EVENTS

    @extend_schema(operation_id="send_events", request=EventSerializer(many=True), responses={202: ReceiptSerializer})
    def create(self, request: Request) -> Response:
        """An array of 1 to 500 events. A bad one is named in the receipt and does not lose the others."""
        if not isinstance(request.data, list) or not 1 <= len(request.data) <= MAX_EVENTS:
            raise ValidationError({"": f"the body must be a JSON array of 1 to {MAX_EVENTS} events"})
        receipt = Receipt()
        own = request.user.pk
        events = [e for i, item in enumerate(request.data) if (e := _parse(i, item, own, receipt))]
        record_events(events, receipt)
        return Response(asdict(receipt), status.HTTP_202_ACCEPTED)


def _parse(index: int, item: Any, own: int | None, receipt: Receipt) -> Event | None:
    nested = isinstance(item, dict) and any(isinstance(value, dict | list) for value in item.values())
    parsed = EventSerializer(data=None if nested else item)
    if nested:
        fault = "an event's fields are texts and numbers, not objects or arrays"
    elif parsed.is_valid():
        fields: dict[str, Any] = {"user_id": own, "ms_played": None, "session_id": "", "device": "", "context": ""}
        fields |= parsed.validated_data
        if fields["user_id"] is not None and own in (None, fields["user_id"]):
            return Event(place=index, **fields)
        fault = "user_id: is another listener than the token's" if own else "user_id: a service key must name it"
    else:
        fault = "; ".join(f"{name}: {' '.join(map(str, said))}" for name, said in parsed.errors.items())
    named = item if isinstance(item, dict) else {}
    receipt.reject(index, _text(named.get("event_id")), _text(named.get("type")), fault)
    return None


def _text(value: Any) -> str | None:
    return None if value is None or isinstance(value, dict | list) else str(value)[:128]
