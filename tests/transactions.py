"""Transactions on SQLite that begin when those on other databases do."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa


def begin_in_time(engine: sa.Engine) -> None:
    """Make an engine on SQLite begin a transaction before the first statement.

    Python's sqlite3 begins one at the first write only, so that a SAVEPOINT before it would be
    the outermost, and its release a commit. The cure is that of SQLAlchemy's documentation:
    https://docs.sqlalchemy.org/dialects/sqlite.html#enabling-non-legacy-sqlite-transactional-modes
    """
    if engine.dialect.name == "sqlite":
        engine.dispose()
        sa.event.listen(engine, "connect", _leave_transactions_to_us)
        sa.event.listen(engine, "begin", _begin)


def _leave_transactions_to_us(connection: Any, _record: object) -> None:
    connection.isolation_level = None
    connection.execute("PRAGMA synchronous = OFF")


def _begin(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN")
