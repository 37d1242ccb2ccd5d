"""Every way of reading gives what the ORM gives, row by row."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from access.models import User
from engine.data.plays import Plays
from interactions import training_data
from interactions.models import Interaction
from interactions.training_data import iter_play_chunks
from tests.people import Catalogue, store_interaction

KINDS = list(Interaction.Kind.values)


@pytest.fixture
def world(catalogue: Catalogue) -> list[User]:
    """Whatever there can be in a row, and gaps between the rows."""
    chance = random.Random(7)
    users = [User.objects.create_user(f"user-{n}") for n in range(6)]
    tracks = catalogue.tracks(9)
    for _ in range(200):
        at = datetime(1969, 12, 30, tzinfo=UTC) + timedelta(days=chance.randrange(40_000), microseconds=400_000)
        store_interaction(
            chance.choice(users),
            chance.choice(tracks),
            chance.choice(KINDS),
            at=at,
            plays=chance.choice([1, 2, 2_000_000]),
            milestone=chance.choice([0, 74, 75, 100]),
            is_completed=chance.random() < 0.3,
            is_skip=chance.random() < 0.2,
        )
    Interaction.objects.filter(pk__in=Interaction.objects.values_list("pk", flat=True)[50:90]).delete()
    User.objects.filter(pk=users[0].pk).update(consent=False)
    User.objects.filter(pk=users[1].pk).update(is_active=False)
    return users


def by_orm(monkeypatch: pytest.MonkeyPatch) -> Plays:
    with monkeypatch.context() as patch:
        patch.setattr(training_data, "_packed", training_data._fetched)
        patch.setattr(training_data, "_listed", training_data._fetched)
        return Plays.concatenate(iter_play_chunks())


def same(one: Plays, other: Plays) -> None:
    for name in ("user", "track", "count", "qualified", "time", "signal"):
        a, b = getattr(one, name), getattr(other, name)
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b, err_msg=name)


@pytest.mark.parametrize("rows", [1, 7, 1000])
def test_chunks_add_up_to_what_the_orm_gives(world: list[User], monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    expected = by_orm(monkeypatch)
    same(Plays.concatenate(iter_play_chunks(rows)), expected)
    assert set(expected.user.tolist()) == {user.pk for user in world[2:]}
    assert all(len(chunk) <= rows for chunk in iter_play_chunks(rows))


def test_the_orm_gives_what_is_in_the_table(world: list[User], monkeypatch: pytest.MonkeyPatch) -> None:
    rows = Interaction.objects.filter(user__in=world[2:]).order_by("pk")
    plays = by_orm(monkeypatch)
    assert plays.count.tolist() == [float(row.plays) for row in rows]
    assert plays.qualified.tolist() == [row.milestone >= 75 or row.is_completed for row in rows]
    assert plays.time.tolist() == [int(row.played_at.timestamp() // 1) for row in rows]


def test_an_empty_table_is_no_chunk(db: Any) -> None:
    assert list(iter_play_chunks()) == []


def test_a_chunk_is_one_query(world: list[User], django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(3):  # the span, the listeners not learnt from, the chunk
        list(iter_play_chunks())
