import enum
import uuid
from collections.abc import Callable

import msgspec
import pytest
from rest_framework.test import APIClient

from access.models import User
from interactions.events import schema
from interactions.events.event_types import EventType
from interactions.models import Exposure, Interaction
from interactions.selectors import SIGNAL_BY_KIND
from tests.interactions.events.test_views import new_event
from tests.people import CatalogueFactory


class GiftType(enum.Enum):
    """An event type that the service does not have: a track that was given to somebody, stored like a share."""

    GIFT = "gift"
    model = enum.nonmember(Interaction)
    kind = enum.nonmember("share")
    fields = enum.nonmember(("ms_played",))


def test_an_event_of_a_new_type_is_parsed_and_stored_as_its_definition_says(
    alice: User,
    catalogue: CatalogueFactory,
    as_listener: Callable[[User], APIClient],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    event_with_gift = msgspec.defstruct("Event", [("type", GiftType)], bases=(schema.Event,), frozen=True, kw_only=True)
    monkeypatch.setattr(schema, "Event", event_with_gift)
    sent = new_event(catalogue.tracks(1)[0].pk, type="gift", ms_played=4_000, end_reason="skipped")
    receipt = as_listener(alice).post("/events", [sent], format="json").json()
    assert receipt == {"accepted": 1, "duplicates": 0, "rejected": []}
    stored = Interaction.objects.get()
    assert (stored.event_id, stored.kind, stored.ms_played) == (uuid.UUID(sent["event_id"]), "share", 4_000)
    assert stored.end_reason == ""  # not a field of the type


def test_every_kind_of_row_has_an_event_type_and_every_kind_of_interaction_a_signal() -> None:
    for model in (Interaction, Exposure):
        assert [t.kind for t in EventType if t.model is model] == list(model.Kind.values)
    assert list(SIGNAL_BY_KIND) == list(Interaction.Kind.values)
    assert len(set(SIGNAL_BY_KIND.values())) == len(SIGNAL_BY_KIND)
