"""Queries of the ORM that are compiled once, and on PostgreSQL planned once a connection.

Building and compiling a query takes Django longer than the database needs to answer it. A `Statement` is built with
`Parameter`s in the place of values, compiled on first use, and from then on only executed. Where connections are shared
between clients by a pooler (DISABLE_SERVER_SIDE_CURSORS, as Django has it), it is not prepared.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakKeyDictionary

from django.db import InterfaceError, OperationalError, connection
from django.db.models import Expression, Field, QuerySet, Subquery, TextField

Row = tuple[Any, ...]
_numbers = itertools.count(1)  # of the statements of this process: a name is the connection's


class Parameter(Expression):
    """A value that is named when the statement is executed."""

    def __init__(self, name: str, output_field: "Field[Any, Any]") -> None:
        super().__init__(output_field=output_field)
        self.name = name

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, list[Any]]:  # type: ignore[override]
        return "%s", [self]


class RowsAsJson(Subquery):
    """The rows of a query as one JSON text, a list of lists, in their order; NULL or `[]` where there are none.

    columns: names of the query's values, in the order wanted.
    """

    output_field = TextField()
    template = "(SELECT json_agg(json_build_array(%(columns)s))::text FROM (%(subquery)s) found)"

    def __init__(self, rows: "QuerySet[Any, Any]", columns: Sequence[str]) -> None:
        super().__init__(rows, columns=", ".join(f"found.{name}" for name in columns))

    def as_sqlite(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        template = "(SELECT json_group_array(json_array(%(columns)s)) FROM (%(subquery)s) found)"
        return self.as_sql(compiler, connection, template=template, **extra)


class Statement:
    """build: gives the query; called once, when the database is known."""

    def __init__(self, build: "Callable[[], QuerySet[Any, Any]]") -> None:
        self._build = build
        self._compiled: tuple[str, list[Any]] | None = None
        self._prepared: WeakKeyDictionary[Any, str] = WeakKeyDictionary()

    def rows(self, **values: Any) -> list[Row]:
        """Raw rows: what the driver makes of them, not the fields.

        It may be the first query of a request: a connection that has died meanwhile is replaced, so that nobody has to
        ask each time whether it lives.
        """
        connection.health_check_done = True  # type: ignore[attr-defined]
        try:
            return self._execute(values)
        except (OperationalError, InterfaceError):
            if connection.in_atomic_block:
                raise
            connection.close()
            return self._execute(values)

    def _execute(self, values: dict[str, Any]) -> list[Row]:
        sql, parameters = self._compiled or self._compile()
        pooled = connection.settings_dict.get("DISABLE_SERVER_SIDE_CURSORS")
        prepared = connection.vendor == "postgresql" and not pooled
        given = [_value(p, values) for p in parameters if isinstance(p, Parameter) or not prepared]
        with connection.wrap_database_errors, _cursor(own=prepared) as cursor:
            cursor.execute(self._prepare(cursor, sql, parameters) if prepared else sql, given)
            return list(cursor.fetchall())

    def _compile(self) -> tuple[str, list[Any]]:
        sql, parameters = self._build().query.get_compiler(connection=connection).as_sql()
        self._compiled = sql, list(parameters)
        return self._compiled

    def _prepare(self, cursor: Any, sql: str, parameters: list[Any]) -> str:
        """The statement that executes it, prepared on this connection if it is not yet."""
        if (call := self._prepared.get(connection.connection)) is None:
            numbers = iter(range(1, len(parameters) + 1))
            given = [f"${next(numbers)}" if isinstance(p, Parameter) else _literal(cursor, p) for p in parameters]
            name = f"musicrec_{next(_numbers)}"
            cursor.execute(f"PREPARE {name} AS {sql % tuple(given)}")
            marks = ", ".join(["%s"] * sum(isinstance(p, Parameter) for p in parameters))
            call = self._prepared[connection.connection] = f"EXECUTE {name} ({marks})"
        return call


def _cursor(own: bool) -> Any:
    """own: the driver's, for Django's takes as long as the driver; but not where queries are being logged."""
    if not own or connection.queries_logged:
        return connection.cursor()
    connection.ensure_connection()
    return connection.connection.cursor()


def _literal(cursor: Any, value: Any) -> str:
    text: str = cursor.mogrify("%s", [value]).decode()
    return text


def _value(parameter: Any, values: dict[str, Any]) -> Any:
    if not isinstance(parameter, Parameter):
        return parameter
    value = values[parameter.name]
    return value if isinstance(value, int | str) else parameter.output_field.get_db_prep_value(value, connection)
