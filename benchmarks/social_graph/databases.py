"""A database of its own for a run: made, filled by its fastest way, and dropped again."""

from __future__ import annotations

import os
import secrets
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from .contender import Edges

URLS = {
    "sqlite": "sqlite://",
    "postgresql": os.environ.get("POSTGRESQL_URL", "postgresql+psycopg://root@127.0.0.1:5432/test"),
    "mariadb": os.environ.get(
        "MARIADB_URL", "mariadb+pymysql://root@127.0.0.1:3306/test?charset=utf8mb4"
    ),
}
# A statement that takes longer than this, in seconds, is given up where the server can do so.
PATIENCE = 60


class Database:
    """A new database, and a connection to it past all contenders, each statement on its own."""

    def __init__(self, name: str, url: sa.URL, folder: Path) -> None:
        self.name, self.url, self.folder = name, url, folder
        self.connection = connect(url, autocommit=True)
        if name == "sqlite":
            self.run("PRAGMA journal_mode = WAL")

    def run(self, statement: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run a statement with `%s` for parameters; return its rows, if it has any."""
        cursor = self.connection.cursor()
        cursor.execute(self.styled(statement), parameters)
        rows = [tuple(row) for row in cursor.fetchall()] if cursor.description else []
        cursor.close()
        return rows

    def styled(self, statement: str) -> str:
        """Return the statement with the driver's own mark for a parameter."""
        return statement.replace("%s", "?") if self.name == "sqlite" else statement

    def count(self, edges: Edges) -> int:
        """Return the number of edges."""
        return int(self.run(f"SELECT count(*) FROM {edges.table}")[0][0])

    def put(self, edges: Edges, rows: Iterable[tuple[Any, ...]]) -> None:
        """Insert a few edges, of which none is there."""
        columns = edges.columns
        marks = ", ".join(["%s"] * len(columns))
        into = f"INSERT INTO {edges.table} ({', '.join(columns)}) VALUES ({marks})"
        cursor = self.connection.cursor()
        self._begin(cursor)
        cursor.executemany(self.styled(into), [row[: len(columns)] for row in rows])
        cursor.execute("COMMIT")
        cursor.close()

    def remove_all_of(self, edges: Edges, follower: int) -> None:
        """Remove the edges that begin at one user."""
        self.run(f"DELETE FROM {edges.table} WHERE {edges.follower} = %s", (follower,))

    def empty(self, edges: Edges) -> None:
        """Remove all edges."""
        words = "DELETE FROM" if self.name == "sqlite" else "TRUNCATE"
        self.run(f"{words} {edges.table}")

    def settle(self, tables: Iterable[str]) -> None:
        """Have the database count and tidy its rows, so that it plans as in daily work."""
        words = {"postgresql": "VACUUM (ANALYZE)", "sqlite": "ANALYZE"}
        for table in tables:
            self.run(f"{words.get(self.name, 'ANALYZE TABLE')} {table}")

    def fill(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Load many rows into an empty table; foreign keys are not looked at, they hold."""
        indexes = self._take_indexes(table)
        {"sqlite": self._executemany, "postgresql": self._copy}.get(self.name, self._load_data)(
            table, columns, rows
        )
        for statement in indexes:
            self.run(statement)

    def _take_indexes(self, table: str) -> list[str]:
        """Drop the indexes that are no constraints; return how to make them again."""
        if self.name == "sqlite":
            found = self.run(
                "SELECT name, sql FROM sqlite_master "
                "WHERE type = 'index' AND tbl_name = %s AND sql IS NOT NULL",
                (table,),
            )
        elif self.name == "postgresql":
            found = self.run(
                "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = %s AND NOT EXISTS "
                "(SELECT 1 FROM pg_constraint WHERE conname = indexname)",
                (table,),
            )
        else:
            return []  # its foreign keys need them
        for name, _ in found:
            self.run(f'DROP INDEX "{name}"')
        return [statement for _, statement in found]

    def _begin(self, cursor: Any) -> None:
        cursor.execute("START TRANSACTION" if self.name == "mariadb" else "BEGIN")

    def _executemany(self, table: str, columns: Sequence[str], rows: Iterable[Any]) -> None:
        marks = ", ".join("?" * len(columns))
        into = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"
        self.connection.execute("BEGIN")
        self.connection.executemany(into, rows)
        self.connection.execute("COMMIT")

    def _copy(self, table: str, columns: Sequence[str], rows: Iterable[Any]) -> None:
        self.run("SET session_replication_role = replica")
        into = f"COPY {table} ({', '.join(columns)}) FROM STDIN"
        with self.connection.cursor() as cursor, cursor.copy(into) as copy:
            rows = iter(rows)
            while lines := _lines(islice(rows, 10_000)):
                copy.write(lines)
        self.run("SET session_replication_role = DEFAULT")
        if self.run(
            "SELECT pg_get_serial_sequence(%s, 'id') FROM information_schema.columns "
            "WHERE table_name = %s AND column_name = 'id'",
            (table, table),
        ):
            highest = f"(SELECT max(id) FROM {table})"
            self.run(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), {highest})")

    def _load_data(self, table: str, columns: Sequence[str], rows: Iterable[Any]) -> None:
        file = self.folder / f"{table}.tsv"
        with file.open("w") as written:
            rows = iter(rows)
            while lines := _lines(islice(rows, 10_000)):
                written.write(lines)
        self.run("SET foreign_key_checks = 0, unique_checks = 0")
        self.run(f"LOAD DATA LOCAL INFILE '{file}' INTO TABLE {table} ({', '.join(columns)})")
        self.run("SET foreign_key_checks = 1, unique_checks = 1")
        file.unlink()


def _lines(rows: Iterable[Sequence[Any]]) -> str:
    return "".join("\t".join(map(str, row)) + "\n" for row in rows)


def connect(url: sa.URL, *, autocommit: bool = False) -> Any:
    """Return a new connection of the driver's own."""
    name = url.get_backend_name()
    if name == "sqlite":
        assert url.database is not None
        # None: the driver begins no transaction by itself.
        connection = sqlite3.connect(url.database, isolation_level=None if autocommit else "")
        connection.execute("PRAGMA foreign_keys = ON")
        return connection
    given = {"host": url.host, "port": url.port, "user": url.username, "password": url.password}
    given = {key: value for key, value in given.items() if value is not None}
    if name == "postgresql":
        import psycopg

        # UTC, for times that are loaded as text.
        options = "-c timezone=UTC" + ("" if autocommit else f" -c statement_timeout={PATIENCE}s")
        return psycopg.connect(dbname=url.database, autocommit=autocommit, options=options, **given)
    import pymysql

    return pymysql.connect(
        database=url.database,
        charset="utf8mb4",
        autocommit=autocommit,
        local_infile=True,
        init_command=None if autocommit else f"SET max_statement_time = {PATIENCE}",
        **given,
    )


@contextmanager
def fresh(name: str, folder: Path, url: str | None = None) -> Iterator[Database]:
    """Give a new database; drop it at the end.

    :param folder: for files, of which none is left.
    :param url: where new ones are made, if not in the usual place.
    """
    server = sa.make_url(url or URLS[name])
    called = f"bench_{secrets.token_hex(4)}"
    if name == "sqlite":
        database = Database(name, server.set(database=str(folder / f"{called}.db")), folder)
        try:
            yield database
        finally:
            database.connection.close()
            for file in folder.glob(f"{called}.db*"):
                file.unlink()
        return
    _run_once(server, f"CREATE DATABASE {called}")
    database = None
    try:
        database = Database(name, server.set(database=called), folder)
        yield database
    finally:
        if database is not None:
            database.connection.close()
        force = " WITH (FORCE)" if name == "postgresql" else ""
        _run_once(server, f"DROP DATABASE {called}{force}")


def _run_once(server: sa.URL, statement: str) -> None:
    connection = connect(server, autocommit=True)
    connection.cursor().execute(statement)
    connection.close()


def patient(name: str) -> dict[str, Any]:
    """Return SQLAlchemy's `connect_args` for a limit on the time of each statement."""
    if name == "postgresql":
        return {"options": f"-c timezone=UTC -c statement_timeout={PATIENCE}s"}
    if name == "mariadb":
        return {"init_command": f"SET max_statement_time = {PATIENCE}"}
    return {}
