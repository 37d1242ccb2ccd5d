"""ORM queries that are compiled once per process and prepared once per PostgreSQL connection.

The query behind every recommendation reads the principal and the listener's settings, blocks and history in one round
trip. Building and compiling it by the ORM takes 5 ms of CPU time (2 ms if it is split into three simple queries),
sending its compiled SQL 0.18 ms plus 0.5 ms of planning in PostgreSQL, and executing it prepared 0.1 ms. The rest of a
cached answer takes 0.4 ms.
"""

import itertools
import logging
from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakKeyDictionary

from django.db import (
    DEFAULT_DB_ALIAS,
    DataError,
    InterfaceError,
    NotSupportedError,
    OperationalError,
    ProgrammingError,
    connections,
)
from django.db.models import Expression, Field, QuerySet, Subquery, TextField

logger = logging.getLogger(__name__)
Row = tuple[Any, ...]
_statement_numbers = itertools.count(1)
# Errors of a prepared statement whose tables have been altered since, by PostgreSQL's order: the types of its columns
# have changed ("cached plan must not change result type"), they cannot be compared with its parameters any more, or a
# value fits the new type of a column and not the type that the parameter had.
OUTDATED_STATEMENT_ERRORS = (NotSupportedError, ProgrammingError, DataError)


class QueryParameter(Expression):
    """A placeholder in a PreparedQuery; its value is passed to `fetch` under its name."""

    def __init__(self, name: str, output_field: "Field[Any, Any]") -> None:
        super().__init__(output_field=output_field)
        self.name = name

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, list[Any]]:  # type: ignore[override]
        return "%s", [self]


class RowsAsJson(Subquery):
    """A subquery whose rows become one JSON text, a list of lists; NULL or `[]` if there are no rows.

    Args:
        rows: the query, with `values()`.
        columns: the names of its values, in the order in which each list contains them.
    """

    output_field = TextField()
    template = "(SELECT json_agg(json_build_array(%(columns)s))::text FROM (%(subquery)s) item)"

    def __init__(self, rows: "QuerySet[Any, Any]", columns: Sequence[str]) -> None:
        super().__init__(rows, columns=", ".join(f"item.{name}" for name in columns))

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        template = "(SELECT json_group_array(json_array(%(columns)s)) FROM (%(subquery)s) item)"
        return self.as_sql(compiler, connection, template=template, **context)


class PreparedQuery:
    """A query with QueryParameters, built on first use, when the database is known.

    It is not prepared behind a connection pooler, where the next statement may run on another connection.
    """

    def __init__(self, build: "Callable[[], QuerySet[Any, Any]]") -> None:
        self._build = build
        self._sql = ""
        self._parameters: list[Any] = []  # in the order of the SQL: QueryParameters, and constants of the query
        self._names: list[str] = []  # of the QueryParameters, each once
        self._prepared: WeakKeyDictionary[Any, str] = WeakKeyDictionary()  # EXECUTE statements by driver connection

    def fetch(self, **values: Any) -> list[Row]:
        """Return the rows for these parameter values, as the driver returns them: without conversion by fields.

        Django would test the connection by a query of its own at its first use in each request, which takes a third of
        a cached answer. Here, a broken connection is replaced when the query fails.
        """
        connection: Any = connections[DEFAULT_DB_ALIAS]  # the stubs do not know health_check_done
        connection.health_check_done = True
        try:
            return self._execute(connection, values)
        except (OperationalError, InterfaceError):
            if connection.in_atomic_block:
                raise
            connection.close()
            return self._execute(connection, values)
        except OUTDATED_STATEMENT_ERRORS as error:
            if not self._forget_statement(connection):
                raise
            logger.warning("a prepared query failed and is prepared again: %s", error)
            return self._execute(connection, values)

    def _execute(self, connection: Any, values: dict[str, Any]) -> list[Row]:
        with connection.cursor() as cursor:
            if not self._sql:
                sql, parameters = self._build().query.get_compiler(connection=connection).as_sql()
                self._parameters = list(parameters)
                self._names = list(dict.fromkeys(p.name for p in parameters if isinstance(p, QueryParameter)))
                self._sql = sql
            behind_pooler = connection.settings_dict.get("DISABLE_SERVER_SIDE_CURSORS")
            if connection.vendor == "postgresql" and not behind_pooler:
                statement = self._prepared.get(connection.connection)
                if statement is None:
                    statement = self._prepared[connection.connection] = self._prepare(cursor)
                cursor.execute(statement, [values[name] for name in self._names])
            else:
                cursor.execute(
                    self._sql,
                    [
                        p.output_field.get_db_prep_value(values[p.name], connection)
                        if isinstance(p, QueryParameter)
                        else p
                        for p in self._parameters
                    ],
                )
            return list(cursor.fetchall())

    def _forget_statement(self, connection: Any) -> bool:
        """Deallocate the statement; return False if there is none, or if a transaction must be rolled back first."""
        statement = self._prepared.pop(connection.connection, None)
        if statement is None or connection.in_atomic_block:
            return False
        with connection.cursor() as cursor:
            cursor.execute(f"DEALLOCATE {statement.split()[1]}")
        return True

    def _prepare(self, cursor: Any) -> str:
        """Prepare the query on the cursor's connection and return the statement that executes it."""
        placeholders = {name: f"${number}" for number, name in enumerate(self._names, 1)}
        parameters = [
            placeholders[p.name] if isinstance(p, QueryParameter) else cursor.mogrify("%s", [p]).decode()
            for p in self._parameters
        ]
        name = f"musicrec_{next(_statement_numbers)}"
        cursor.execute(f"PREPARE {name} AS {self._sql % tuple(parameters)}")
        return f"EXECUTE {name} ({', '.join(['%s'] * len(self._names))})"
