"""Queries of the ORM that are compiled once, and on PostgreSQL planned once a connection.

Building and compiling a query takes Django longer than the database needs to answer it. A `Statement` is built with
`Parameter`s in the place of values, compiled on first use, and from then on only executed. Where connections are shared
between clients by a pooler (DISABLE_SERVER_SIDE_CURSORS, as Django has it), it is not prepared.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from django.db import DEFAULT_DB_ALIAS, InterfaceError, OperationalError, connections
from django.db.models import Expression, Field, QuerySet, Subquery, TextField

Row = tuple[Any, ...]
_numbers = itertools.count(1)  # of the statements of this process: a name is the connection's


class QueryParameter(Expression):
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


class _Compiled(NamedTuple):
    """names: of the parameters, each once."""

    sql: str
    parameters: list[Any]
    names: list[str]


class PreparedQuery:
    """build: gives the query; called once, when the database is known."""

    def __init__(self, build: "Callable[[], QuerySet[Any, Any]]") -> None:
        self._build = build
        self._compiled: _Compiled | None = None
        self._prepared: WeakKeyDictionary[Any, str] = WeakKeyDictionary()

    def fetch(self, **values: Any) -> list[Row]:
        """Raw rows: what the driver makes of them, not the fields.

        It may be the first query of a request: a connection that has died meanwhile is replaced, so that nobody has to
        ask each time whether it lives.
        """
        one: Any = connections[DEFAULT_DB_ALIAS]  # looked up once: `connection` is looked up at each use of it
        one.health_check_done = True
        try:
            return self._execute(one, values)
        except (OperationalError, InterfaceError):
            if one.in_atomic_block:
                raise
            one.close()
            return self._execute(one, values)

    def _execute(self, one: Any, values: dict[str, Any]) -> list[Row]:
        compiled = self._compiled or self._compile(one)
        pooled = one.settings_dict.get("DISABLE_SERVER_SIDE_CURSORS")
        prepared = one.vendor == "postgresql" and not pooled
        with one.wrap_database_errors, _cursor(one, own=prepared) as cursor:
            if prepared:
                cursor.execute(self._prepare(one, cursor, compiled), [values[name] for name in compiled.names])
            else:
                cursor.execute(compiled.sql, [_value(parameter, values, one) for parameter in compiled.parameters])
            return list(cursor.fetchall())

    def _compile(self, one: Any) -> "_Compiled":
        sql, parameters = self._build().query.get_compiler(connection=one).as_sql()
        names = dict.fromkeys(p.name for p in parameters if isinstance(p, QueryParameter))
        self._compiled = _Compiled(sql, list(parameters), list(names))
        return self._compiled

    def _prepare(self, one: Any, cursor: Any, compiled: "_Compiled") -> str:
        """The statement that executes it, prepared on this connection if it is not yet. Each parameter has one number,
        however often it is used."""
        if (call := self._prepared.get(one.connection)) is None:
            numbers = {name: f"${number}" for number, name in enumerate(compiled.names, 1)}
            given = [
                numbers[p.name] if isinstance(p, QueryParameter) else _literal(cursor, p) for p in compiled.parameters
            ]
            name = f"musicrec_{next(_numbers)}"
            cursor.execute(f"PREPARE {name} AS {compiled.sql % tuple(given)}")
            marks = ", ".join(["%s"] * len(numbers))
            call = self._prepared[one.connection] = f"EXECUTE {name} ({marks})"
        return call


def _cursor(one: Any, own: bool) -> Any:
    """own: the driver's, for Django's takes as long as the driver; but not where queries are being logged."""
    if not own or one.queries_logged:
        return one.cursor()
    one.ensure_connection()
    return one.connection.cursor()


def _literal(cursor: Any, value: Any) -> str:
    text: str = cursor.mogrify("%s", [value]).decode()
    return text


def _value(parameter: Any, values: dict[str, Any], one: Any) -> Any:
    """As the database wants it. The driver of PostgreSQL knows what Python has."""
    if not isinstance(parameter, QueryParameter):
        return parameter
    return parameter.output_field.get_db_prep_value(values[parameter.name], one)
