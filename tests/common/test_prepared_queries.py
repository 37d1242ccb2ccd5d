from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import psycopg2
import pytest
from django.db import DataError, NotSupportedError, connection, transaction
from django.db.models import BigIntegerField, CharField, DateTimeField
from django.test.utils import CaptureQueriesContext

from access.models import User
from common.prepared_queries import PreparedQuery, QueryParameter, RowsAsJson


@pytest.fixture
def names_query() -> PreparedQuery:
    listener = QueryParameter("listener", BigIntegerField())
    return PreparedQuery(lambda: User.objects.filter(pk=listener, is_active=True).values_list("username", "market"))


def test_each_execution_has_its_own_values(alice: User, bob: User, names_query: PreparedQuery) -> None:
    assert [names_query.fetch(listener=user.pk) for user in (alice, bob)] == [[("alice", "")], [("bob", "")]]
    assert names_query.fetch(listener=-1) == []


def test_it_is_compiled_and_prepared_once(alice: User, names_query: PreparedQuery) -> None:
    names_query.fetch(listener=alice.pk)
    with CaptureQueriesContext(connection) as queries:
        names_query.fetch(listener=alice.pk)
    [query] = queries
    assert query["sql"].startswith("EXECUTE" if connection.vendor == "postgresql" else "SELECT")


def test_it_is_not_prepared_behind_a_connection_pooler(
    alice: User, names_query: PreparedQuery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connection.settings_dict, "DISABLE_SERVER_SIDE_CURSORS", True)
    with CaptureQueriesContext(connection) as queries:
        assert names_query.fetch(listener=alice.pk) == [("alice", "")]
    assert [q["sql"].split()[0] for q in queries] == ["SELECT"]


def test_datetimes_are_converted_as_the_database_stores_them(alice: User) -> None:
    moment = datetime(2026, 1, 1, 12, 30, tzinfo=UTC)
    User.objects.filter(pk=alice.pk).update(last_login=moment)
    since = PreparedQuery(
        lambda: User.objects.filter(last_login__gte=QueryParameter("since", DateTimeField())).values_list("username")
    )
    assert since.fetch(since=moment) == [("alice",)]
    assert since.fetch(since=moment + timedelta(microseconds=1)) == []


def test_rows_as_json_keeps_their_order(alice: User, bob: User) -> None:
    everybody = User.objects.order_by("-pk").values("username", "is_active")
    columns = User.objects.filter(pk=alice.pk).values_list(RowsAsJson(everybody, ["username", "is_active"]))
    [(text,)] = columns
    assert orjson.loads(text) in ([["bob", True], ["alice", True]], [["bob", 1], ["alice", 1]])
    nobody = User.objects.filter(pk=alice.pk).values_list(RowsAsJson(everybody.none().values("username"), ["username"]))
    assert nobody[0][0] in (None, "[]")


@pytest.fixture
def closed_connection(transactional_db: None) -> Iterator[None]:
    yield
    connection.close()


@pytest.mark.usefixtures("closed_connection")
def test_it_is_prepared_again_on_a_new_connection(names_query: PreparedQuery) -> None:
    alice: Any = User.objects.create_user("alice")
    names_query.fetch(listener=alice.pk)
    connection.connection.close()
    connection.close_if_unusable_or_obsolete()  # as Django does before each request
    if connection.vendor != "postgresql":  # SQLite's file is still there, so that Django does not notice
        connection.close()
    assert names_query.fetch(listener=alice.pk) == [("alice", "")]


@pytest.fixture
def alter_market(transactional_db: None) -> Iterator[Callable[[str], None]]:
    """Change the type of a column as a migration does, by another connection; restored at the end."""
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has no prepared statements of ours")
    parameters = connection.get_connection_params()
    with closing(psycopg2.connect(**parameters | {"cursor_factory": None})) as migration, migration.cursor() as cursor:
        migration.autocommit = True
        yield lambda new_type: cursor.execute(f"ALTER TABLE access_user ALTER market TYPE {new_type}")
        connection.close()
        cursor.execute("ALTER TABLE access_user ALTER market TYPE varchar(2) USING ''")


def test_it_is_prepared_again_after_a_migration_changed_the_type_of_a_result(
    alter_market: Callable[[str], None], names_query: PreparedQuery, caplog: pytest.LogCaptureFixture
) -> None:
    alice: Any = User.objects.create_user("alice", market="SE")
    assert names_query.fetch(listener=alice.pk) == [("alice", "SE")]
    alter_market("text")
    assert names_query.fetch(listener=alice.pk) == [("alice", "SE")]
    assert "cached plan must not change result type" in caplog.text
    caplog.clear()
    assert names_query.fetch(listener=alice.pk) == [("alice", "SE")]
    assert caplog.text == ""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_prepared_statements WHERE name LIKE 'musicrec%'")
        assert cursor.fetchone() == (1,)


def test_it_is_prepared_again_after_a_migration_changed_the_type_of_a_parameter(
    alter_market: Callable[[str], None],
) -> None:
    User.objects.create_user("alice", market="7")
    market = QueryParameter("market", CharField())
    names = PreparedQuery(lambda: User.objects.filter(market=market).values_list("username"))
    assert names.fetch(market="7") == [("alice",)]
    alter_market("integer USING market::integer")
    assert names.fetch(market="7") == [("alice",)]


def test_in_a_transaction_it_fails_once_and_is_prepared_again_in_the_next(
    alter_market: Callable[[str], None], names_query: PreparedQuery
) -> None:
    alice: Any = User.objects.create_user("alice", market="SE")
    names_query.fetch(listener=alice.pk)
    alter_market("text")
    with pytest.raises(NotSupportedError, match="must not change result type"), transaction.atomic():
        names_query.fetch(listener=alice.pk)
    with transaction.atomic():
        assert names_query.fetch(listener=alice.pk) == [("alice", "SE")]


def test_an_error_that_preparing_again_does_not_help_is_raised(
    names_query: PreparedQuery, transactional_db: None
) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has no prepared statements of ours")
    for _ in range(2):
        with pytest.raises(DataError, match="out of range"):
            names_query.fetch(listener=2**70)
    assert names_query.fetch(listener=1) == []
