"""The packed columns of PostgreSQL are compared with the rows of the ORM, and these with the model instances."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from access.models import User
from common import database_columns
from engine.data.plays import Plays, Signal
from interactions.models import Interaction
from interactions.training_data import iter_play_chunks
from tests.people import NOON, CatalogueFactory, store_interaction

KINDS = list(Interaction.Kind.values)


@pytest.fixture
def users(catalogue: CatalogueFactory) -> list[User]:
    """Six listeners with interactions of every kind and gaps between the ids; the first two are not learnt from."""
    rng = random.Random(7)
    users = [User.objects.create_user(f"user-{n}") for n in range(6)]
    tracks = catalogue.tracks(9)
    for _ in range(200):
        at = datetime(1969, 12, 30, tzinfo=UTC) + timedelta(days=rng.randrange(40_000), microseconds=400_000)
        store_interaction(
            rng.choice(users),
            rng.choice(tracks),
            rng.choice(KINDS),
            at=at,
            plays=rng.choice([1, 2, 2_000_000]),
            milestone=rng.choice([0, 74, 75, 100]),
            is_completed=rng.random() < 0.3,
            is_skip=rng.random() < 0.2,
        )
    Interaction.objects.filter(pk__in=Interaction.objects.values_list("pk", flat=True)[50:90]).delete()
    User.objects.filter(pk=users[0].pk).update(consent=False)
    User.objects.filter(pk=users[1].pk).update(is_active=False)
    return users


def read_by_orm(monkeypatch: pytest.MonkeyPatch) -> Plays:
    with monkeypatch.context() as patched:
        patched.setattr(database_columns, "_read_packed", database_columns._read_rows)
        return Plays.concatenate(iter_play_chunks())


def assert_equal(plays: Plays, expected: Plays) -> None:
    for name in ("user", "track", "count", "qualified", "time", "signal"):
        column, expected_column = getattr(plays, name), getattr(expected, name)
        assert column.dtype == expected_column.dtype
        np.testing.assert_array_equal(column, expected_column, err_msg=name)


@pytest.mark.parametrize("rows", [1, 7, 1000])
def test_the_chunks_equal_what_the_orm_reads(users: list[User], monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    expected = read_by_orm(monkeypatch)
    assert_equal(Plays.concatenate(iter_play_chunks(rows)), expected)
    assert set(expected.user.tolist()) == {user.pk for user in users[2:]}
    assert all(len(chunk) <= rows for chunk in iter_play_chunks(rows))


def test_the_orm_reads_what_is_in_the_table(users: list[User], monkeypatch: pytest.MonkeyPatch) -> None:
    rows = Interaction.objects.filter(user__in=users[2:]).order_by("pk")
    plays = read_by_orm(monkeypatch)
    assert plays.count.tolist() == [float(row.plays) for row in rows]
    assert plays.qualified.tolist() == [row.milestone >= 75 or row.is_completed for row in rows]
    assert plays.time.tolist() == [int(row.played_at.timestamp() // 1) for row in rows]


def test_an_empty_table_yields_no_chunk(db: Any) -> None:
    assert list(iter_play_chunks()) == []


def test_a_chunk_takes_one_query(users: list[User], django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(4):  # the range of ids, sliders, the excluded listeners, the chunk
        list(iter_play_chunks())


def test_the_chunks_contain_all_interactions_in_order(alice: User, bob: User, catalogue: CatalogueFactory) -> None:
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
