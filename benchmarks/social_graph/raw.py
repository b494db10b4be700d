"""The driver alone, with the best SQL that we know: what the database itself takes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from itertools import islice
from typing import Any, NamedTuple

from flask import Flask, abort, redirect, request

from .contender import PER_PAGE, Contender, Edges, Sent
from .databases import Database, connect

BATCH = 10_000


class User(NamedTuple):
    """A row of a user."""

    id: int
    username: str


class Post(NamedTuple):
    """A row of a post."""

    id: int
    author_id: int
    body: str
    created_at: Any


class Raw(Contender):
    """Tables and indexes as those of Flask-Follows, statements written by hand."""

    name = "raw"
    is_peer = False
    edges = Edges("raw_follow")

    def __init__(self, database: Database) -> None:
        self.database = database
        self._connection: Any = None
        self._sent: list[Sent] | None = None
        self._statements = {key: database.styled(text) for key, text in SQL.items()}
        self._statements |= {
            key: database.styled(text) for key, text in VARIANTS[database.name].items()
        }

    def create_tables(self) -> None:
        moment = {"postgresql": "TIMESTAMP WITH TIME ZONE", "mariadb": "DATETIME(6)"}
        self.database.run(
            f"""CREATE TABLE raw_follow (
                follower_id INTEGER NOT NULL REFERENCES bench_user (id) ON DELETE CASCADE,
                followed_id INTEGER NOT NULL REFERENCES bench_user (id) ON DELETE CASCADE,
                created_at {moment.get(self.database.name, "DATETIME")} NOT NULL,
                PRIMARY KEY (follower_id, followed_id),
                CHECK (follower_id <> followed_id)
            ) {"WITHOUT ROWID" if self.database.name == "sqlite" else ""}"""
        )
        self.database.run(
            "CREATE INDEX ix_raw_follow ON raw_follow (followed_id, created_at, follower_id)"
        )

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    @contextmanager
    def request(self) -> Iterator[None]:
        if self._connection is None:
            self._connection = connect(self.database.url)
        try:
            yield
        finally:
            self._connection.rollback()

    @contextmanager
    def recording(self) -> Iterator[list[Sent]]:
        self._sent = []
        yield self._sent
        self._sent = None

    @contextmanager
    def transaction(self) -> Iterator[None]:
        yield
        self._connection.commit()

    def _run(self, statement: str, parameters: Sequence[Any]) -> Any:
        if self._sent is not None:
            self._sent.append((statement, parameters))
        cursor = self._connection.cursor()
        cursor.execute(statement, parameters)
        return cursor

    def _rows(self, key: str, *parameters: Any) -> list[Any]:
        rows: list[Any] = self._run(self._statements[key], parameters).fetchall()
        return rows

    def user(self, key: int) -> Any:
        rows = self._rows("user", key)
        return User(*rows[0]) if rows else None

    def load(self, keys: Sequence[int]) -> list[Any]:
        return [self.user(key) for key in keys]

    def follow(self, user: Any, other: Any) -> bool:
        now = datetime.now(timezone.utc).replace(tzinfo=None).isoformat(" ", "microseconds")
        return bool(self._run(self._statements["insert"], (user.id, other.id, now)).rowcount)

    def unfollow(self, user: Any, other: Any) -> bool:
        return bool(self._run(self._statements["delete"], (user.id, other.id)).rowcount)

    def is_following(self, user: Any, other: Any) -> bool:
        return bool(self._rows("is_following", user.id, other.id))

    def status(self, user: Any, others: Sequence[Any]) -> list[bool]:
        marks = ", ".join(["%s"] * len(others))
        statement = self.database.styled(f"{SQL['status']} ({marks})")
        rows = self._run(statement, (user.id, *(other.id for other in others))).fetchall()
        found = {key for (key,) in rows}
        return [other.id in found for other in others]

    def place(self, user: Any, depth: int) -> Any:
        rows = self._rows("place", user.id, depth - 1) if depth else []
        return rows[0] if rows else None

    def followers(self, user: Any, place: Any) -> list[Any]:
        if place is None:
            return [User(*row) for row in self._rows("page", user.id)]
        time, key = place
        times = (time, key) if self.database.name != "mariadb" else (time, time, key)
        return [User(*row) for row in self._rows("next page", user.id, *times)]

    def count(self, user: Any) -> int:
        return int(self._rows("count", user.id)[0][0])

    def feed(self, user: Any) -> list[Any]:
        if self.database.name != "mariadb":
            return [Post(*row) for row in self._rows("feed", user.id)]
        newest = self._rows("newest authors", user.id)
        if not newest:
            return []
        marks = ", ".join(["%s"] * len(newest))
        oldest = newest[-1][1] if len(newest) == PER_PAGE else datetime(1, 1, 1)
        keys = [key for key, _ in newest]
        statement = SQL["posts of"].replace("(marks)", f"({marks})")
        return [Post(*row) for row in self._run(statement, (*keys, oldest)).fetchall()]

    def mutuals(self, user: Any) -> list[Any]:
        return [User(*row) for row in self._rows("mutuals", user.id)]

    def suggestions(self, user: Any) -> list[tuple[Any, int]]:
        rows = self._rows("suggestions", user.id, user.id, user.id)
        return [(User(key, name), count) for key, name, count in rows]

    def add_many(self, pairs: Iterable[tuple[int, int]]) -> None:
        now = datetime.now(timezone.utc).replace(tzinfo=None).isoformat(" ", "microseconds")
        cursor = self._connection.cursor()
        if self.database.name == "postgresql":
            self._copy(cursor, pairs, now)
        elif self.database.name == "sqlite":
            cursor.executemany(self._statements["insert"], ((a, b, now) for a, b in pairs))
        else:
            rows = ((a, b, now) for a, b in pairs)
            while batch := list(islice(rows, BATCH)):
                cursor.executemany(INSERT_IGNORE, batch)
        self._connection.commit()

    def _copy(self, cursor: Any, pairs: Iterable[tuple[int, int]], now: str) -> None:
        cursor.execute("SET LOCAL statement_timeout = 0")  # all pairs at once may take longer
        cursor.execute("CREATE TEMPORARY TABLE pairs (a int, b int) ON COMMIT DROP")
        iterator = iter(pairs)
        with cursor.copy("COPY pairs FROM STDIN") as copy:
            while batch := list(islice(iterator, BATCH)):
                copy.write("".join(f"{a}\t{b}\n" for a, b in batch))
        cursor.execute(
            "INSERT INTO raw_follow SELECT a, b, %s FROM pairs ON CONFLICT DO NOTHING", (now,)
        )

    def client(self) -> Callable[[int, int], int]:
        app = Flask("raw")

        @app.post("/follow/<int:key>")
        def follow(key: int) -> Any:
            with self.request():
                user, other = self.user(int(request.headers["X-User"])), self.user(key)
                if other is None:
                    abort(404)
                with self.transaction():
                    self.follow(user, other)
            return redirect("/")

        client = app.test_client()
        return lambda user, key: (
            client.post(f"/follow/{key}", headers={"X-User": str(user)}).status_code
        )


INSERT = "INSERT INTO raw_follow (follower_id, followed_id, created_at) VALUES (%s, %s, %s)"
INSERT_IGNORE = INSERT.replace("INSERT", "INSERT IGNORE", 1)
_PAGE = f"""
    SELECT u.id, u.username FROM (
        SELECT follower_id, created_at FROM raw_follow WHERE followed_id = %s AND ...
        ORDER BY created_at DESC, follower_id DESC LIMIT {PER_PAGE}
    ) e JOIN bench_user u ON u.id = e.follower_id
    ORDER BY e.created_at DESC, e.follower_id DESC"""
_POST = "p.id, p.author_id, p.body, p.created_at"
_NEWEST = f"ORDER BY p.created_at DESC, p.id DESC LIMIT {PER_PAGE}"

SQL = {
    "user": "SELECT id, username FROM bench_user WHERE id = %s",
    "insert": f"{INSERT} ON CONFLICT DO NOTHING",
    "delete": "DELETE FROM raw_follow WHERE follower_id = %s AND followed_id = %s",
    "is_following": "SELECT 1 FROM raw_follow WHERE follower_id = %s AND followed_id = %s LIMIT 1",
    "status": "SELECT followed_id FROM raw_follow WHERE follower_id = %s AND followed_id IN",
    "place": """SELECT created_at, follower_id FROM raw_follow WHERE followed_id = %s
        ORDER BY created_at DESC, follower_id DESC LIMIT 1 OFFSET %s""",
    "page": _PAGE.replace(" AND ...", ""),
    "next page": _PAGE.replace("...", "(created_at, follower_id) < (%s, %s)"),
    "count": "SELECT count(*) FROM raw_follow WHERE followed_id = %s",
    "mutuals": """SELECT u.id, u.username FROM raw_follow a
        JOIN raw_follow b ON b.follower_id = a.followed_id AND b.followed_id = a.follower_id
        JOIN bench_user u ON u.id = a.followed_id WHERE a.follower_id = %s""",
    "suggestions": """SELECT u.id, u.username, s.common FROM (
            SELECT g.followed_id, count(*) AS common FROM (
                SELECT followed_id FROM raw_follow WHERE follower_id = %s
                ORDER BY created_at DESC LIMIT 100
            ) f JOIN raw_follow g ON g.follower_id = f.followed_id
            WHERE g.followed_id <> %s AND NOT EXISTS (SELECT 1 FROM raw_follow m
                WHERE m.follower_id = %s AND m.followed_id = g.followed_id)
            GROUP BY g.followed_id ORDER BY common DESC, g.followed_id LIMIT 10
        ) s JOIN bench_user u ON u.id = s.followed_id ORDER BY s.common DESC, u.id""",
    # MariaDB, as PostgreSQL below: only the twenty authors whose newest posts are newest can be on
    # the page.
    "newest authors": f"""SELECT f.followed_id, (SELECT created_at FROM bench_post
            WHERE author_id = f.followed_id ORDER BY created_at DESC LIMIT 1) AS newest
        FROM raw_follow f WHERE f.follower_id = %s
        HAVING newest IS NOT NULL ORDER BY newest DESC LIMIT {PER_PAGE}""",
    "posts of": f"""SELECT {_POST} FROM bench_post p
        WHERE p.author_id IN (marks) AND p.created_at >= %s {_NEWEST}""",
}

VARIANTS = {
    "sqlite": {
        "feed": f"""SELECT {_POST} FROM raw_follow f JOIN bench_post p
            ON p.author_id = f.followed_id WHERE f.follower_id = %s {_NEWEST}""",
    },
    "postgresql": {
        "feed": f"""SELECT {_POST} FROM (
                SELECT f.followed_id FROM raw_follow f CROSS JOIN LATERAL (
                    SELECT q.created_at, q.id FROM bench_post q WHERE q.author_id = f.followed_id
                    ORDER BY q.created_at DESC, q.id DESC LIMIT 1
                ) p WHERE f.follower_id = %s {_NEWEST}
            ) a CROSS JOIN LATERAL (
                SELECT * FROM bench_post q WHERE q.author_id = a.followed_id
                ORDER BY q.created_at DESC, q.id DESC LIMIT {PER_PAGE}
            ) p {_NEWEST}""",
    },
    "mariadb": {
        "insert": f"{INSERT} ON DUPLICATE KEY UPDATE follower_id = follower_id",
        "next page": _PAGE.replace(
            "...", "(created_at < %s OR created_at = %s AND follower_id < %s)"
        ),
    },
}
