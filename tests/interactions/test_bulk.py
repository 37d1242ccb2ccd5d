import uuid
from datetime import timedelta

from access.models import User
from interactions.bulk import NewInteraction, insert_interactions
from interactions.models import Interaction
from tests.people import NOON, CatalogueFactory


def test_inserted_rows_are_read_back_as_they_were_written(alice: User, catalogue: CatalogueFactory) -> None:
    track = catalogue.tracks(1)[0]
    hostile = "tab\t newline\n backslash\\ quote' \\N ünï 🎵"
    row = NewInteraction(
        user_id=alice.pk,
        track_id=track.pk,
        kind="play",
        played_at=NOON,
        source="t",
        event_id=uuid.uuid4(),
        plays=7,
        is_completed=True,
        session_id=hostile,
        context="\\.",
    )
    second = row._replace(event_id=uuid.uuid4(), ms_played=5, played_at=NOON + timedelta(microseconds=123456))
    assert insert_interactions([row, second, row]) == 2
    assert insert_interactions([row]) == 0
    first, other = Interaction.objects.order_by("played_at")
    assert (first.session_id, first.context, first.ms_played, first.plays) == (hostile, "\\.", None, 7)
    assert (first.played_at, first.event_id, first.is_completed) == (NOON, row.event_id, True)
    assert (other.ms_played, other.played_at) == (5, NOON + timedelta(microseconds=123456))
    assert Interaction.objects.filter(played_at=NOON).count() == 1  # stored as Django would have stored it
