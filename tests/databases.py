"""The databases that the tests run on: every test gets a new, empty one.

On SQLite it is a file in the test's own folder. On a server it is a database with a random name,
made before the test and dropped after it, so that runs and workers side by side never meet.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

ENVIRONMENT = "FLASK_FOLLOWS_TEST_DATABASES"
SERVER_URLS = {
    "postgresql": "postgresql+psycopg://root@127.0.0.1:5432/test",
    "mariadb": "mariadb+pymysql://root@127.0.0.1:3306/test?charset=utf8mb4",
}
NAMES = ("sqlite", *SERVER_URLS)
# In seconds. A test that left a lock behind then fails; it does not hang the run.
TIMEOUT = 30


class DatabaseError(Exception):
    """A database was asked for that is not known or cannot be reached."""


@dataclass(frozen=True)
class Database:
    """A kind of database to test on; `url` is where new ones are made, None for SQLite."""

    name: str
    url: sa.URL | None = None

    @contextmanager
    def fresh(self, folder: Path) -> Iterator[str]:
        """Give the URL of a new database; drop it at the end, with whatever holds it open."""
        if self.url is None:
            yield f"sqlite:///{folder / 'follows_test_'}{secrets.token_hex(4)}.db"
            return
        name = self._take()
        try:
            yield self.url.set(database=name).render_as_string(hide_password=False)
        finally:
            self._give_back(name)

    def _take(self) -> str:
        spare = SPARE.setdefault(self, [])
        if spare:
            return spare.pop()
        name = f"follows_test_{secrets.token_hex(4)}"
        with self.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
            need_not_outlive_a_crash(connection, name)
        return name

    def _give_back(self, name: str) -> None:
        """Drop a database; on PostgreSQL, where making one takes long, empty it for reuse."""
        with self.connect() as connection:
            if connection.dialect.name != "postgresql":
                drop(connection, name)
                return
            connection.exec_driver_sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                f"WHERE datname = '{name}' AND pid <> pg_backend_pid()"
            )
            connection.exec_driver_sql(f"ALTER DATABASE {name} RESET ALL")
            need_not_outlive_a_crash(connection, name)
        with self.connect(name) as connection:
            schemas = (
                "SELECT nspname FROM pg_namespace WHERE nspname !~ '^(pg_|information_schema)'"
            )
            for schema in connection.exec_driver_sql(schemas).scalars().all():
                connection.exec_driver_sql(f'DROP SCHEMA "{schema}" CASCADE')
            connection.exec_driver_sql("CREATE SCHEMA public")
        SPARE.setdefault(self, []).append(name)

    @contextmanager
    def connect(self, name: str | None = None) -> Iterator[sa.Connection]:
        """Connect to the server, to do what no transaction can."""
        assert self.url is not None
        engine = sa.create_engine(
            self.url if name is None else self.url.set(database=name),
            isolation_level="AUTOCOMMIT",
            poolclass=sa.NullPool,
            connect_args={"connect_timeout": TIMEOUT},
        )
        with engine.connect() as connection:
            yield connection

    def check(self) -> None:
        """Raise DatabaseError when the server does not answer or its driver is not installed."""
        if self.url is None:
            return
        try:
            with self.connect():
                pass
        except ImportError as error:
            raise DatabaseError(
                f"{self.name} was asked for and its driver is not installed ({error})"
            ) from error
        except sa.exc.DBAPIError as error:
            raise DatabaseError(
                f"{self.name} was asked for and cannot be reached at {self.url}: {error.orig}"
            ) from error


def need_not_outlive_a_crash(connection: sa.Connection, name: str) -> None:
    """Have PostgreSQL commit to a database without waiting for the disk."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"ALTER DATABASE {name} SET synchronous_commit = off")


# Databases that were used and are empty again, for the rest of the run.
SPARE: dict[Database, list[str]] = {}


def drop_spare() -> None:
    """Drop the databases that were kept for the next test."""
    for database, names in SPARE.items():
        with database.connect() as connection:
            for name in names:
                drop(connection, name)
    SPARE.clear()


@contextmanager
def second_schema(url: str, spare: str) -> Iterator[str]:
    """Give the name of a schema that applications on `url` can use, made of an empty database."""
    where, file = sa.make_url(url), sa.make_url(spare).database
    assert file is not None
    name = Path(file).stem
    if where.get_backend_name() == "postgresql":
        engine = sa.create_engine(where, poolclass=sa.NullPool)
        with engine.begin() as connection:
            connection.exec_driver_sql(f"CREATE SCHEMA {name}")
    if where.get_backend_name() != "sqlite":
        yield name  # MariaDB: each database of a server is a schema to the others
        return

    def attach(connection: Any, _record: Any) -> None:
        connection.execute(f"ATTACH '{file}' AS {name}")

    sa.event.listen(sa.Engine, "connect", attach)
    yield name
    sa.event.remove(sa.Engine, "connect", attach)


def drop(connection: sa.Connection, name: str) -> None:
    """Drop a database, ending first the connections that a test left open in it."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
        return
    connection.exec_driver_sql(f"SET SESSION lock_wait_timeout = {TIMEOUT}")
    left_open = sa.text("SELECT id FROM information_schema.processlist WHERE db = :name")
    for process in connection.scalars(left_open, {"name": name}):
        with suppress(sa.exc.OperationalError):  # it has ended by itself meanwhile
            connection.exec_driver_sql(f"KILL {process}")
    connection.exec_driver_sql(f"DROP DATABASE {name}")


def asked_for(words: list[str]) -> list[Database]:
    """Return the databases that these names and URLs mean, each once."""
    if "all" in words:
        words = [*NAMES, *(word for word in words if word != "all")]
    return [_database(word) for word in dict.fromkeys(words)]


def _database(word: str) -> Database:
    if word == "sqlite":
        return Database("sqlite")
    if word in SERVER_URLS:
        return Database(word, sa.make_url(os.environ.get(f"{word}_URL".upper(), SERVER_URLS[word])))
    try:
        url = sa.make_url(word)
    except sa.exc.ArgumentError:
        url = None
    if url is None or url.get_backend_name() not in (*SERVER_URLS, "mysql"):
        raise DatabaseError(
            f"no database to test on: {word!r}. Known are {', '.join(NAMES)}, all, and the URL of "
            "a PostgreSQL, MariaDB or MySQL server."
        )
    return Database(url.get_backend_name(), url)
