"""Statistics against Python's own count, and every kind of problem found and named."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

import pytest
import sqlalchemy as sa

from flask_follows import Follows
from flask_follows.health import Statistics, problems, statistics

from .hosts import KEYS, add_users
from .models import make_user_model


@pytest.fixture
def follows(request: pytest.FixtureRequest) -> Follows:
    """An extension object with the options that the test names."""
    return Follows(**getattr(request, "param", {}))


@pytest.fixture
def relation(app, follows):
    """The follow relation."""
    return follows.follow_relation


def test_statistics_of_nothing(app, relation):
    """An empty database has numbers too."""
    assert statistics(relation) == Statistics(0, 0, 0, 0, 0, [])


def test_statistics(users, relation, session, assert_statements):
    """On a random graph, every number is what Python counts, in six statements."""
    keys = [user.id for user in users(40)]
    dice = random.Random(7)
    pairs = {tuple(dice.sample(keys[:30], 2)) for _ in range(250)}
    relation.add_many(pairs)
    session.commit()
    followers = Counter(pair[1] for pair in pairs)
    with assert_statements(6):
        found = statistics(relation)
    assert found == Statistics(
        users=40,
        edges=len(pairs),
        following=len({pair[0] for pair in pairs}),
        followed=len(followers),
        mutual_pairs=sum(pair[::-1] in pairs for pair in pairs) // 2,
        most_followed=sorted(followers.items(), key=lambda item: (-item[1], item[0]))[:10],
    )
    assert found.mutual_pairs > 0


@pytest.mark.parametrize("kind", KEYS)
def test_every_kind_of_key(kind, db, follows, start):
    """Statistics and checks work with any key."""
    column, keys, _ = KEYS[kind]
    User = make_user_model(db, key=column)
    start(db, User)
    add_users(db, User, keys=keys)
    follows.add_many([(keys[0], keys[1]), (keys[1], keys[0]), (keys[2], keys[0])])
    found = statistics(follows.follow_relation)
    assert (found.edges, found.mutual_pairs, found.most_followed[0]) == (3, 1, (keys[0], 2))
    assert problems(follows.follow_relation) == []


@pytest.mark.parametrize(
    "follows",
    [
        {},
        {"forward_index": True, "table_name": "watches"},
        {"foreign_keys": "none"},
        {"allow_self_follow": True},
    ],
    indirect=True,
)
def test_all_is_well(users, relation, session):
    """A table as the options say, with good edges, has no problems."""
    first, second = users(2)
    relation.add(first, second)
    if relation.edge_table.allow_self:
        relation.add(first, first)
    session.commit()
    assert problems(relation) == []


def test_a_schema(db, follows, start, schema):
    """A table in another schema is found there."""
    start(db, make_user_model(db, __table_args__={"schema": schema}))
    assert problems(follows.follow_relation) == []
    db.session.execute(sa.schema.DropTable(follows.Follow.__table__))
    assert problems(follows.follow_relation) == [
        "there is no table 'follows': run your migrations, or db.create_all()"
    ]


def test_no_table(relation, session):
    """A missing table is told of, with what to do."""
    session.execute(sa.schema.DropTable(relation.edge_table.table))
    assert problems(relation) == [
        "there is no table 'follows': run your migrations, or db.create_all()"
    ]


@pytest.fixture
def bare(relation, session, User) -> Iterator[sa.Table]:
    """A `follows` table in place of ours, as somebody might make it by hand."""
    session.execute(sa.schema.DropTable(relation.edge_table.table))
    columns = [
        sa.Column(column.name, column.type, nullable=False)
        for column in relation.edge_table.table.c
    ]
    table = sa.Table("follows", sa.MetaData(), *columns)
    session.execute(sa.schema.CreateTable(table))
    session.commit()
    return table


def test_missing_parts(bare, relation):
    """Index, foreign keys, CHECK and primary key are named, each with what to do."""
    assert problems(relation) == [
        f"table 'follows' has no {part}: add it with a migration"
        for part in (
            "index 'ix_follows_followed'",
            "foreign key 'fk_follows_followed_id'",
            "foreign key 'fk_follows_follower_id'",
            "check 'ck_follows_not_self'",
            "primary key on follower_id, followed_id",
        )
    ]


def test_a_missing_column(relation, session, bare):
    """A missing column is named, and edges are looked at all the same."""
    session.execute(sa.text("ALTER TABLE follows DROP COLUMN created_at"))
    assert "table 'follows' has no column 'created_at': add it with a migration" in problems(
        relation
    )


def test_a_missing_key_column(relation, session):
    """Where a column of the key is missing, no edge can be looked at."""
    session.execute(sa.schema.DropTable(relation.edge_table.table))
    table = sa.Table("follows", sa.MetaData(), sa.Column("followed_id", sa.Integer))
    session.execute(sa.schema.CreateTable(table))
    assert "table 'follows' has no column 'follower_id': add it with a migration" in problems(
        relation
    )


def insert(session: Any, table: sa.Table, pairs: list[tuple[Any, Any]]) -> None:
    """Write edges past all that would refuse them."""
    now = datetime.now(timezone.utc)
    for source, target in pairs:
        row = {"follower_id": source, "followed_id": target, "created_at": now}
        session.execute(sa.insert(table).values(row))
    session.commit()


def test_bad_edges(users, bare, relation, session, User):
    """Edges of users who are gone, and from users to themselves, are counted by their kind."""
    first, second = (user.id for user in users(2))
    gone = second + 1000
    pairs = [(first, second), (first, first), (gone, first), (gone, second), (first, gone + 1)]
    insert(session, bare, pairs)
    edges = [problem for problem in problems(relation) if "migration" not in problem]
    assert edges == [
        "2 edges have a follower_id that no User has: delete them from 'follows'",
        "1 edge has a followed_id that no User has: delete it from 'follows'",
        "1 edge leads from a user to the same user: delete it from 'follows', or, for "
        "follows, allow it with allow_self_follow=True",
    ]


@pytest.mark.parametrize("follows", [{"foreign_keys": "none"}], indirect=True)
def test_orphans_without_foreign_keys(users, relation, session, User):
    """Without foreign keys, a user deleted behind our back leaves edges, and they are found."""
    first, second = users(2)
    relation.add(first, second)
    session.commit()
    session.connection().exec_driver_sql(f"DELETE FROM {User.__tablename__.join(_quotes(session))}")
    assert problems(relation) == [
        "1 edge has a follower_id that no User has: delete it from 'follows'",
        "1 edge has a followed_id that no User has: delete it from 'follows'",
    ]


def _quotes(session: Any) -> tuple[str, str]:
    preparer = session.get_bind().dialect.identifier_preparer
    return preparer.initial_quote, preparer.final_quote


@pytest.mark.parametrize("follows", [{"allow_self_follow": True}], indirect=True)
def test_the_lifted_check_is_not_missed(users, relation):
    """Where users may follow themselves, neither the CHECK nor the edges are a problem."""
    (user,) = users(1)
    relation.add(user, user)
    assert problems(relation) == []


def test_times_of_another_form(users, relation, session, follows):
    """SQLite keeps times as texts: those that SQL made are found, and the message mends them."""
    first, *others = users(4)
    first.followed.add(*others)
    session.commit()
    assert problems(relation) == []
    moment = "2026-01-01 00:00:00"
    told, sqlite = "2 edges have", session.get_bind().dialect.name == "sqlite"
    for number, has in ((2, told), (1, "1 edge has")):
        keys = tuple(user.id for user in others[:number])
        statement = sa.text("UPDATE follows SET created_at = :moment WHERE followed_id IN :keys")
        bound = sa.bindparam("keys", expanding=True)
        values = {"moment": moment, "keys": keys}
        session.connection().execute(statement.bindparams(bound), values)
        found = problems(relation)
        if not sqlite:
            assert found == []
            continue
        (problem,) = found
        assert problem.startswith(f"{has} a created_at in another form than '2026-01-02 03:04:05.")
        session.connection().exec_driver_sql(problem.partition("wrong: ")[2])
        assert problems(relation) == []
        session.expire_all()
        edge = session.get(follows.Follow, (first.id, others[0].id))
        assert edge.created_at == datetime(2026, 1, 1, tzinfo=timezone.utc)
        written = "SELECT created_at FROM follows WHERE followed_id = :key"
        text = session.scalar(sa.text(written), {"key": others[0].id})
        assert text == f"{moment}.000000"


def test_times_of_the_hosts_own_form(users, relation, session, monkeypatch):
    """Where the host keeps times in another way, ours is not asked for."""
    (first, second), time = users(2), relation.edge_table.time
    relation.add(first, second)
    monkeypatch.setattr(time, "type", Seconds())
    assert problems(relation) == []
    monkeypatch.setattr(time, "type", sa.String())
    assert problems(relation) == []


class Seconds(sa.TypeDecorator[datetime]):
    """Moments kept as a number of seconds."""

    impl = sa.Float
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> float | None:
        return None if value is None else value.timestamp()
