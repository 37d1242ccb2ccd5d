"""For whom a list of tracks is: the market, and whether explicit tracks are welcome."""

from typing import Any

from django.db.models import Q
from rest_framework import serializers
from rest_framework.request import Request

from access.models import User
from tracks.availability import unavailable_filter


class AudienceParameters(serializers.Serializer[Any]):
    market = serializers.RegexField(
        r"^[A-Z]{2}$",
        default="",
        allow_blank=True,
        error_messages={"invalid": "must be two capital letters, as in ISO 3166-1, or empty"},
        help_text="A country code such as DE; by default the market of the listener.",
    )
    explicit = serializers.BooleanField(default=True, help_text="If false, leave out tracks marked as explicit.")


def find_audience(request: Request, market: str, explicit: bool) -> tuple[str, bool]:
    """Return the market that counts, "" for none, and whether explicit tracks are welcome.

    Args:
        request: with a listener's token, the listener's own market and wishes apply as well.
        market: instead of the listener's; "" if none is named.
        explicit: false to leave out explicit tracks that the listener would accept.
    """
    if isinstance(request.user, User):  # a service key has none
        return market or request.user.market, explicit and request.user.allow_explicit
    return market, explicit


def available_to(request: Request, market: str, explicit: bool) -> Q:
    """Return a filter for the tracks that may be shown; see `find_audience`."""
    return ~unavailable_filter(*find_audience(request, market, explicit))
