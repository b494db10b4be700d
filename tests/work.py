"""Measure what a read costs a database: in rows and plan steps, never in time."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import sqlalchemy as sa

Sent = tuple[str, Any]


def sent_by(engine: sa.Engine, run: Callable[[], object]) -> list[Sent]:
    """Run a function; return the statements it sent through the engine, with their parameters."""
    sent: list[Sent] = []

    def note(
        connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool
    ) -> None:
        sent.append((statement, parameters))

    sa.event.listen(engine, "before_cursor_execute", note)
    try:
        run()
    finally:
        sa.event.remove(engine, "before_cursor_execute", note)
    return sent


def settle(engine: sa.Engine, tables: Iterable[sa.Table]) -> None:
    """Have the database count and tidy its rows, so that it plans as it would in daily work."""
    statements = {"postgresql": "VACUUM (ANALYZE) {}", "sqlite": "ANALYZE {}"}
    statement = statements.get(engine.dialect.name, "ANALYZE TABLE {}")
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for table in tables:
            name = engine.dialect.identifier_preparer.format_table(table)
            connection.exec_driver_sql(statement.format(name)).close()
            while engine.dialect.name == "postgresql" and not _is_all_visible(connection, name):
                connection.exec_driver_sql(statement.format(name)).close()


def _is_all_visible(connection: sa.Connection, name: str) -> bool:
    """Tell whether VACUUM has found all rows of a table to be visible to all.

    It has not where a commit is not on disk yet: the test databases commit asynchronously (see
    `databases.py`), and PostgreSQL keeps account of that for many transactions together, also those
    of other runs on the same server. So a commit that waits for the disk takes all before it along.
    """
    pages = "SELECT relallvisible >= relpages FROM pg_class WHERE oid = CAST(%s AS regclass)"
    if connection.exec_driver_sql(pages, (name,)).scalar_one():
        return True
    connection.exec_driver_sql("SET synchronous_commit = on")
    connection.exec_driver_sql("SELECT pg_logical_emit_message(true, 'tests', 'settle')")
    return False


def plan(connection: sa.Connection, sent: Sent) -> str:
    """Return the database's plan for a statement, in its own words."""
    statement, parameters = sent
    words = "EXPLAIN QUERY PLAN" if connection.dialect.name == "sqlite" else "EXPLAIN"
    rows = connection.exec_driver_sql(f"{words} {statement}", parameters).all()
    return "\n".join(" ".join(str(value) for value in row) for row in rows)


def cost(connection: sa.Connection, sent: Sent) -> int:
    """Run a statement; return what it cost, in the unit that the database counts exactly.

    PostgreSQL: rows that its plan's nodes gave and filtered out. MariaDB: rows its handlers read.
    SQLite: steps of its virtual machine.
    """
    return _COSTS.get(connection.dialect.name, _handler_reads)(connection, *sent)


def _plan_rows(connection: sa.Connection, statement: str, parameters: Any) -> int:
    explain = f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}"
    result = connection.exec_driver_sql(explain, parameters).scalar_one()
    (explained,) = json.loads(result) if isinstance(result, str) else result
    return round(sum(_rows(node) for node in _nodes(explained["Plan"])))


def _rows(node: dict[str, Any]) -> float:
    removed = sum(value for name, value in node.items() if name.startswith("Rows Removed"))
    rows: float = node["Actual Loops"] * (node["Actual Rows"] + removed)
    return rows


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from _nodes(child)


def _handler_reads(connection: sa.Connection, statement: str, parameters: Any) -> int:
    connection.exec_driver_sql("FLUSH STATUS")
    connection.exec_driver_sql(statement, parameters).all()
    counters = connection.exec_driver_sql("SHOW SESSION STATUS LIKE 'Handler_read%%'")
    return sum(int(value) for _, value in counters)


def _machine_steps(connection: sa.Connection, statement: str, parameters: Any) -> int:
    driver = connection.connection.driver_connection
    assert driver is not None
    steps = 0

    def step() -> int:
        nonlocal steps
        steps += 1
        return 0

    driver.set_progress_handler(step, 1)
    try:
        connection.exec_driver_sql(statement, parameters).all()
    finally:
        driver.set_progress_handler(None, 1)
    return steps


_COSTS = {"postgresql": _plan_rows, "sqlite": _machine_steps}
