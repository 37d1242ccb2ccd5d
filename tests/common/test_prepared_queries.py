from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from django.db import connection
from django.db.models import BigIntegerField, DateTimeField
from django.test.utils import CaptureQueriesContext

from access.models import User
from common.prepared_queries import PreparedQuery, QueryParameter, RowsAsJson


@pytest.fixture
def named() -> PreparedQuery:
    listener = QueryParameter("listener", BigIntegerField())
    return PreparedQuery(lambda: User.objects.filter(pk=listener, is_active=True).values_list("username", "market"))


def test_it_is_executed_with_the_values_of_each_time(alice: User, bob: User, named: PreparedQuery) -> None:
    assert [named.fetch(listener=user.pk) for user in (alice, bob)] == [[("alice", "")], [("bob", "")]]
    assert named.fetch(listener=-1) == []


def test_it_is_compiled_and_prepared_once(alice: User, named: PreparedQuery) -> None:
    named.fetch(listener=alice.pk)
    with CaptureQueriesContext(connection) as queries:
        named.fetch(listener=alice.pk)
    [query] = queries
    assert query["sql"].startswith("EXECUTE" if connection.vendor == "postgresql" else "SELECT")


def test_behind_a_pooler_nothing_is_prepared(
    alice: User, named: PreparedQuery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connection.settings_dict, "DISABLE_SERVER_SIDE_CURSORS", True)
    with CaptureQueriesContext(connection) as queries:
        assert named.fetch(listener=alice.pk) == [("alice", "")]
    assert [q["sql"].split()[0] for q in queries] == ["SELECT"]


def test_times_are_compared_as_the_database_keeps_them(alice: User) -> None:
    moment = datetime(2026, 1, 1, 12, 30, tzinfo=UTC)
    User.objects.filter(pk=alice.pk).update(last_login=moment)
    since = PreparedQuery(
        lambda: User.objects.filter(last_login__gte=QueryParameter("since", DateTimeField())).values_list("username")
    )
    assert since.fetch(since=moment) == [("alice",)]
    assert since.fetch(since=moment + timedelta(microseconds=1)) == []


def test_rows_come_as_one_text_in_their_order(alice: User, bob: User) -> None:
    everybody = User.objects.order_by("-pk").values("username", "is_active")
    columns = User.objects.filter(pk=alice.pk).values_list(RowsAsJson(everybody, ["username", "is_active"]))
    [(text,)] = columns
    assert orjson.loads(text) in ([["bob", True], ["alice", True]], [["bob", 1], ["alice", 1]])
    nobody = User.objects.filter(pk=alice.pk).values_list(RowsAsJson(everybody.none().values("username"), ["username"]))
    assert nobody[0][0] in (None, "[]")


@pytest.fixture
def dying(transactional_db: None) -> Iterator[None]:
    yield
    connection.close()


@pytest.mark.usefixtures("dying")
def test_a_connection_that_died_meanwhile_is_replaced(named: PreparedQuery) -> None:
    alice: Any = User.objects.create_user("alice")
    named.fetch(listener=alice.pk)
    connection.connection.close()
    if connection.vendor != "postgresql":  # whose file does not go away
        connection.close()
    assert named.fetch(listener=alice.pk) == [("alice", "")]
