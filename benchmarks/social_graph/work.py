"""What the statements of a contender cost the database, in rows, never in time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .contender import Sent
from .databases import Database, connect


def rows_read(database: Database, sent: list[Sent]) -> int | None:
    """Run SELECT statements again; return what they cost, None where there is none.

    PostgreSQL: rows that the plan's nodes gave and filtered out. MariaDB: rows that its handlers
    read. SQLite: steps of its virtual machine, in tens, since it counts no rows.
    """
    selects = [each for each in sent if each[0].lstrip().upper().startswith(("SELECT", "WITH"))]
    if not selects:
        return None
    connection = connect(database.url)
    try:
        return sum(COSTS[database.name](connection, *each) for each in selects)
    finally:
        connection.close()


def _plan_rows(connection: Any, statement: str, parameters: Any) -> int:
    cursor = connection.cursor()
    cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", parameters)
    ((explained,),) = cursor.fetchone()
    return round(sum(_rows(node) for node in _nodes(explained["Plan"])))


def _rows(node: dict[str, Any]) -> float:
    removed = sum(value for name, value in node.items() if name.startswith("Rows Removed"))
    rows: float = node["Actual Loops"] * (node["Actual Rows"] + removed)
    return rows


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from _nodes(child)


def _handler_reads(connection: Any, statement: str, parameters: Any) -> int:
    cursor = connection.cursor()
    cursor.execute("FLUSH STATUS")
    cursor.execute(statement, parameters)
    cursor.fetchall()
    cursor.execute("SHOW SESSION STATUS LIKE 'Handler_read%'")
    return sum(int(value) for _, value in cursor.fetchall())


def _machine_steps(connection: Any, statement: str, parameters: Any) -> int:
    tens = 0

    def step() -> int:
        nonlocal tens
        tens += 1
        return 0

    # A first look has the schema read, which takes steps of its own.
    connection.execute(f"EXPLAIN {statement}", parameters).fetchall()
    connection.set_progress_handler(step, 10)
    connection.execute(statement, parameters).fetchall()
    return tens * 10


COSTS = {"postgresql": _plan_rows, "mariadb": _handler_reads, "sqlite": _machine_steps}
