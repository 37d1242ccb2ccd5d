from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from access.models import User
from interactions.selectors import _HISTORY_QUERY, load_history
from interactions.training_data import iter_play_chunks
from tests.people import NOON, CatalogueFactory


def test_a_history_takes_one_query_and_has_one_pair_per_track(
    alice: User, catalogue: CatalogueFactory, django_assert_num_queries: Any
) -> None:
    one, two, three = catalogue.tracks(3)
    catalogue.play(alice, one, one, milestone=10, is_completed=False)
    catalogue.play(alice, two, milestone=75, is_completed=False, at=NOON + timedelta(hours=1, milliseconds=700))
    catalogue.play(alice, two, milestone=0, is_completed=False, plays=5)
    catalogue.play(alice, three, milestone=0, is_completed=False, kind="like")
    load_history(alice.pk)  # prepares the statement
    with django_assert_num_queries(1):
        loaded = load_history(alice.pk)
    pairs = loaded.pairs
    assert pairs.track.tolist() == [one.pk, two.pk, three.pk]
    assert pairs.qualified.tolist() == [False, True, False]
    assert pairs.liked.tolist() == [False, False, True]
    assert pairs.count.tolist() == [2, 6, 0]
    noon = int(NOON.timestamp())
    assert pairs.oldest.tolist() == [noon, noon, noon]
    assert pairs.newest.tolist() == [noon + 60, noon + 3600, noon]
    assert [c.dtype for c in (pairs.track, pairs.qualified, pairs.liked, pairs.count, pairs.oldest)] == [
        *("int64", "bool", "bool", "float32", "int64")
    ]
    assert (loaded.interactions, loaded.newest) == (5, noon + 3600)


@pytest.mark.usefixtures("db")
@pytest.mark.skipif(connection.vendor != "postgresql", reason="covering indexes are PostgreSQL's")
def test_a_history_is_read_from_the_index_alone() -> None:
    load_history(1)
    call = _HISTORY_QUERY._prepared[connection.connection]
    with connection.cursor() as cursor:
        for setting in ("enable_seqscan = off", "enable_bitmapscan = off", "plan_cache_mode = force_custom_plan"):
            cursor.execute(f"SET LOCAL {setting}")  # the tables are tiny here, and plans made for that
        cursor.execute(f"EXPLAIN {call % 1}")
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "Index Only Scan using interaction_of_listener" in plan


@pytest.mark.usefixtures("db")
def test_an_unknown_listener_has_an_empty_history() -> None:
    assert (load_history(999).interactions, len(load_history(999).pairs)) == (0, 0)


def test_training_and_serving_compute_the_same_stamp(alice: User, catalogue: CatalogueFactory) -> None:
    """Half seconds, and plays before 1970, are rounded alike by training and serving."""
    catalogue.play(alice, *catalogue.tracks(2), at=NOON + timedelta(microseconds=500_001))
    [chunk] = iter_play_chunks()
    history = load_history(alice.pk)
    assert (history.interactions, history.newest) == (2, int(chunk.time.max()))
