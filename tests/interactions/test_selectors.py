import uuid
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from django.db import connection

from access.models import User
from engine.data.plays import Signal
from interactions.bulk import NewInteraction, insert_interactions
from interactions.models import Interaction
from interactions.selectors import _HISTORY_QUERY, load_history, load_popular_tracks
from interactions.services import refresh_popular_tracks
from interactions.training_data import iter_play_chunks
from tests.people import NOON, Catalogue


def test_history_is_one_query_and_one_row_a_track(
    alice: User, catalogue: Catalogue, django_assert_num_queries: Any
) -> None:
    one, two, three = catalogue.tracks(3)
    catalogue.play(alice, one, one, milestone=10, is_completed=False)
    catalogue.play(alice, two, milestone=75, is_completed=False, at=NOON + timedelta(hours=1, milliseconds=700))
    catalogue.play(alice, two, milestone=0, is_completed=False, plays=5)
    catalogue.play(alice, three, milestone=0, is_completed=False, kind="like")
    load_history(alice.pk)  # prepares the statement
    with django_assert_num_queries(1):
        past = load_history(alice.pk)
    pairs = past.pairs
    assert pairs.track.tolist() == [one.pk, two.pk, three.pk]
    assert pairs.qualified.tolist() == [False, True, False]
    assert pairs.liked.tolist() == [False, False, True]
    assert pairs.count.tolist() == [2, 6, 0]
    noon = int(NOON.timestamp())
    assert pairs.newest.tolist() == [noon + 60, noon + 3600, noon]
    assert [c.dtype for c in (pairs.track, pairs.qualified, pairs.liked, pairs.count, pairs.newest)] == [
        *("int64", "bool", "bool", "float32", "int64")
    ]
    assert past.stamp == (5, noon + 3600)


@pytest.mark.usefixtures("db")
@pytest.mark.skipif(connection.vendor != "postgresql", reason="covering indexes are PostgreSQL's")
def test_a_history_is_read_from_its_index_alone() -> None:
    load_history(1)
    call = _HISTORY_QUERY._prepared[connection.connection]
    with connection.cursor() as cursor:
        for setting in ("enable_seqscan = off", "enable_bitmapscan = off", "plan_cache_mode = force_custom_plan"):
            cursor.execute(f"SET LOCAL {setting}")  # the tables are tiny here, and plans made for that
        cursor.execute(f"EXPLAIN {call % 1}")
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "Index Only Scan using interaction_of_listener" in plan


@pytest.mark.usefixtures("db")
def test_nobody_has_an_empty_history() -> None:
    assert (load_history(999).interactions, len(load_history(999).pairs)) == (0, 0)


def test_chunks_are_all_plays_in_order(alice: User, bob: User, catalogue: Catalogue) -> None:
    tracks = catalogue.tracks(5)
    catalogue.play(alice, *tracks, plays=3)
    catalogue.play(bob, tracks[0], milestone=20, is_completed=False)
    catalogue.play(bob, tracks[1], milestone=20, is_completed=False, kind="like")
    chunks = list(iter_play_chunks(rows=3))
    assert [len(c) for c in chunks] == [3, 3, 1]
    assert [u for c in chunks for u in c.user.tolist()] == [alice.pk] * 5 + [bob.pk] * 2
    assert [q for c in chunks for q in c.qualified.tolist()] == [True] * 5 + [False, False]
    assert [s for c in chunks for s in c.signal.tolist()] == [Signal.PLAY] * 6 + [Signal.LIKE]
    assert [n for c in chunks for n in c.count.tolist()] == [3] * 5 + [1] * 2
    assert chunks[0].time.tolist() == [int(NOON.timestamp()) + 60 * n for n in range(3)]
    assert chunks[0].user.dtype == np.int64
    assert chunks[0].signal.dtype == np.int8


def test_a_bundle_and_a_history_agree_on_the_stamp(alice: User, catalogue: Catalogue) -> None:
    """Half seconds, and plays before 1970, are rounded alike by training and serving."""
    catalogue.play(alice, *catalogue.tracks(2), at=NOON + timedelta(microseconds=500_001))
    [chunk] = iter_play_chunks()
    assert load_history(alice.pk).stamp == (2, int(chunk.time.max()))


def test_popularity_counts_listeners_not_plays(alice: User, bob: User, catalogue: Catalogue) -> None:
    crowd, fans, _unheard = catalogue.tracks(3)
    catalogue.play(alice, crowd, fans, fans, fans)
    catalogue.play(bob, crowd)
    refresh_popular_tracks()
    assert load_popular_tracks() == {crowd.pk: 2, fans.pk: 1}
    Interaction.objects.all().delete()
    refresh_popular_tracks()
    assert load_popular_tracks() == {}


def test_bulk_rows_read_back_as_they_were_written(alice: User, catalogue: Catalogue) -> None:
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
