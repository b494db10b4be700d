"""Edge writes on each database, by the writer made for it and by the one that runs anywhere.

What must hold of every writer: it ignores a duplicate of the pair and nothing else, says what it
did, and refuses an object that is not there without costing the host its transaction. What is
particular to one database is in `test_dialects.py`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from itertools import product
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import mapped_column

from flask_follows import Follows, UnknownUserError, dialects
from flask_follows.chunks import CHUNK, chunks
from flask_follows.statements import Inserted, MissingEndpoint, Writer

from .databases import Database
from .models import make_user_model

MOMENT = datetime(2024, 2, 29, 12, 30, 15, 123456, tzinfo=timezone.utc)
OUT_OF_RANGE = [2**31, -(2**31) - 1, 2**63, -(2**63) - 1, 10**40]

KEYS: dict[str, Callable[[], Any]] = {
    "int": lambda: sa.Integer,
    "small": lambda: sa.SmallInteger().with_variant(sa.Integer, "sqlite"),
    "big": lambda: sa.BigInteger().with_variant(sa.Integer, "sqlite"),
    "uuid": lambda: mapped_column(sa.Uuid, primary_key=True, default=uuid4),
    "string": lambda: mapped_column(
        sa.String(12), primary_key=True, default=lambda: f"k{uuid4().hex[:8]}"
    ),
}
each_writer = pytest.mark.parametrize("writing", ["own", "generic"], indirect=True)
each_key = pytest.mark.parametrize("User", ["int", "uuid", "string"], indirect=True)


@pytest.fixture
def User(request: pytest.FixtureRequest, db: SQLAlchemy) -> Any:
    """The host's model, with the kind of key that the test names."""
    return make_user_model(db, key=KEYS[getattr(request, "param", "int")]())


@pytest.fixture
def writing(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Have all be written by the database's own writer, or by the generic one."""
    if request.param == "generic":
        for dialect in dialects.WRITERS:
            monkeypatch.setitem(dialects.WRITERS, dialect, Writer)
    return request.param


class Edges:
    """The edge table of a test, reached through a writer alone."""

    def __init__(self, relation: Any, session: Any) -> None:
        self.relation = relation
        self.table = relation.edge_table.table
        self.session = session

    def insert(self, pairs: Any, exact: bool = False, **values: Any) -> Inserted:
        connection = self.session.connection()
        writer = self.relation.storage.writer(connection.dialect)
        return writer.insert(connection, sorted(pairs), {"created_at": MOMENT, **values}, exact)

    def stored(self) -> set[tuple[Any, Any]]:
        edges = self.relation.edge_table
        rows = self.session.connection().execute(sa.select(edges.source, edges.target))
        return {(row[0], row[1]) for row in rows}

    def column(self, name: str) -> list[Any]:
        return list(self.session.connection().scalars(sa.select(self.table.c[name])))

    def extend(self, *items: sa.schema.SchemaItem) -> None:
        """Have the host add columns and constraints before the table is created."""
        engine = self.session.get_bind(mapper=self.relation.edge_table.mapper)
        self.table.drop(engine)
        for item in items:
            is_column = isinstance(item, sa.Column)
            (self.table.append_column if is_column else self.table.append_constraint)(item)
        self.table.create(engine)


@pytest.fixture
def edges(follows: Follows, session: Any) -> Edges:
    """The edge table, written by the writer itself."""
    return Edges(follows.follow_relation, session)


def pairs_of(users: list[Any]) -> list[tuple[Any, Any]]:
    """Return pairs from the first user to each of the others, as keys."""
    first, *others = [sa.inspect(user).identity[0] for user in users]
    return [(first, other) for other in others]


def unknown_key(like: Any) -> Any:
    """Return another key of the same type that nobody has."""
    if isinstance(like, int):
        return random.randrange(20_000, 30_000)
    return uuid4().hex[:9] if isinstance(like, str) else uuid4()


@contextmanager
def refused_by_the_database(database: Database, session: Any) -> Iterator[None]:
    """Expect the error of the database itself; only PostgreSQL then ends the transaction."""
    with pytest.raises(sa.exc.DBAPIError):
        yield
    if database.name == "postgresql":
        session.rollback()


def test_chunks():
    """A sequence is cut into pieces of a size, none of them empty."""
    assert list(chunks([1, 2, 3, 4, 5], 2)) == [[1, 2], [3, 4], [5]]
    assert list(chunks(range(CHUNK * 2))) == [range(CHUNK), range(CHUNK, CHUNK * 2)]
    assert list(chunks([])) == []


# What an insert does


@each_key
@each_writer
@pytest.mark.parametrize("number", [1, 3])
def test_an_edge_is_made_once(users, edges, writing, number):
    """Edges that are not there are made, counted and named; the second time they are no error."""
    pairs = pairs_of(users(number + 1))
    made = edges.insert(pairs)
    assert (made.count, sorted(made.pairs)) == (number, sorted(pairs))
    for exact in False, True:
        again = edges.insert(pairs, exact)
        assert again.count == 0
        assert not again.pairs
    assert edges.stored() == set(pairs)


@each_key
@each_writer
def test_exact_names_the_new_ones_among_old(users, edges, writing):
    """Asked exactly, a writer names the rows that were new, and only these."""
    pairs = pairs_of(users(9))
    edges.insert(pairs[::2])
    made = edges.insert(pairs, exact=True)
    assert made.count == 4
    assert sorted(made.pairs) == sorted(pairs[1::2])
    assert edges.insert(pairs[:1], exact=True).count == 0
    assert edges.stored() == set(pairs)


@each_writer
def test_new_and_old_rows_are_told_apart_by_count(users, edges, writing, session):
    """A batch of any number is counted truthfully, wherever in it the old rows stand."""
    pairs = sorted(pairs_of(users(5)))
    for old in product([False, True], repeat=4):
        there = [pair for pair, is_old in zip(pairs, old, strict=True) if is_old]
        if there:
            assert edges.insert(there).count == len(there)
        assert edges.insert(pairs).count == len(pairs) - len(there)
        assert edges.stored() == set(pairs)
        session.rollback()


@each_writer
def test_random_batches_are_counted_truthfully(users, edges, writing):
    """Over many batches of any mixture, the counts add up to the rows that are there."""
    choose = random.Random(4)
    pairs = pairs_of(users(13))
    pairs += [pair[::-1] for pair in pairs]
    stored: set[tuple[Any, Any]] = set()
    for _ in range(30):
        batch = set(choose.sample(pairs, choose.randint(1, 6)))
        made = edges.insert(batch, exact=choose.random() < 0.5)
        assert made.count == len(batch - stored)
        if made.pairs is not None:
            assert set(made.pairs) == batch - stored
        stored |= batch
    assert edges.stored() == stored


@each_writer
def test_the_largest_batch(users, edges, writing):
    """The largest batch that is ever sent is not too large for any database."""
    pairs = pairs_of(users(CHUNK + 1))
    edges.insert(pairs[:100])
    assert edges.insert(pairs, exact=True).count == CHUNK - 100
    assert edges.insert(pairs).count == 0
    assert edges.stored() == set(pairs)


@each_writer
def test_values_are_stored(users, edges, writing):
    """Further columns are the same in all rows, with microseconds."""
    pairs = pairs_of(users(5))
    edges.insert(pairs[:1])
    edges.insert(pairs[1:])
    assert edges.column("created_at") == [MOMENT] * 4


@each_writer
def test_what_is_there_keeps_its_values(users, edges, writing):
    """A duplicate changes nothing of the row that is there."""
    pairs = pairs_of(users(4))
    edges.insert(pairs)
    later = MOMENT.replace(year=2028)
    for batch in pairs[:1], pairs:
        edges.insert(batch, created_at=later)
        edges.insert(batch, exact=True, created_at=later)
    assert edges.column("created_at") == [MOMENT] * 3


# Who is not there


@each_key
@each_writer
@pytest.mark.parametrize("number", [1, 3])
def test_unknown_objects_are_refused(users, edges, session, writing, number):
    """A pair with an unknown end writes nothing of the batch, and the transaction goes on."""
    pairs = pairs_of(users(number + 1))
    known, (unknown, other) = pairs[0][0], (unknown_key(pairs[0][0]) for _ in range(2))
    for bad in (unknown, known), (known, unknown), (unknown, other):
        for exact in False, True:
            with pytest.raises(MissingEndpoint):
                edges.insert([*pairs[1:], bad], exact)
            assert edges.stored() == set()
    assert edges.insert(pairs).count == number
    session.commit()
    assert edges.stored() == set(pairs)


@each_writer
def test_an_unknown_object_beside_old_edges_is_refused(users, edges, writing):
    """It is refused too where all the other edges of the batch are there already."""
    pairs = pairs_of(users(4))
    edges.insert(pairs)
    for exact in False, True:
        with pytest.raises(MissingEndpoint):
            edges.insert([*pairs, (pairs[0][0], unknown_key(0))], exact)
    assert edges.stored() == set(pairs)


@each_key
@each_writer
def test_missing_names_those_who_are_not_there(users, edges, writing, session):
    """The keys that nobody has are found among all the keys of the pairs, at both ends."""
    pairs = pairs_of(users(3))
    unknown = [unknown_key(pairs[0][0]) for _ in range(2)]
    asked = [*pairs, (unknown[0], pairs[0][0]), (pairs[0][0], unknown[1])]
    connection = session.connection()
    writer = edges.relation.storage.writer(connection.dialect)
    assert writer.missing(connection, asked) == {edges.relation.source: set(unknown)}
    assert writer.missing(connection, pairs) == {}


@each_writer
@pytest.mark.parametrize("key", OUT_OF_RANGE)
def test_a_key_out_of_range_is_unknown(users, follows, writing, key):
    """A number that no key can be is nobody's key; the transaction goes on."""
    (user,) = users(1)
    for ends in (user, key), (key, user), (key, key + 1):
        with pytest.raises(UnknownUserError):
            follows.follow(*ends)
    with pytest.raises(UnknownUserError):
        user.followers.add(key, user.id + 1)
    assert user.followers.count() == 0


# Errors that are the host's


@each_writer
def test_a_column_of_the_host_is_filled(users, edges, writing):
    """A column that the host adds can be set, in one row or many."""
    edges.extend(sa.Column("note", sa.String(5)))
    pairs = pairs_of(users(6))
    edges.insert(pairs[:1], note="hello")
    edges.insert(pairs[1:3], note="hello")
    edges.insert(pairs[3:], exact=True, note="hello")
    assert edges.column("note") == ["hello"] * 5


@each_writer
@pytest.mark.parametrize("number", [1, 3])
def test_a_null_in_a_column_of_the_host_is_an_error(
    users, edges, session, database, writing, number
):
    """NOT NULL on a column of the host's is neither ignored nor filled."""
    edges.extend(sa.Column("note", sa.String(5), nullable=False))
    pairs = pairs_of(users(number + 1))
    for exact in False, True:
        with refused_by_the_database(database, session):
            edges.insert(pairs, exact, note=None)
    assert edges.stored() == set()


@each_writer
def test_a_column_left_without_a_value(users, edges, session, writing):
    """It is missed where an edge has to be made, and by the same error everywhere."""
    edges.extend(sa.Column("note", sa.String(5), nullable=False))
    first, second, third = users(3)
    edges.insert(pairs_of([first, second]), note="hello")
    assert not first.follow(second)
    session.commit()
    with pytest.raises(sa.exc.IntegrityError):
        first.follow(third)
    session.rollback()
    assert edges.stored() == {(first.id, second.id)}


@each_writer
@pytest.mark.parametrize("number", [1, 3])
def test_a_value_too_long_is_an_error(users, edges, session, database, writing, number):
    """A value that does not fit is not cut short; SQLite, which has no lengths, keeps it whole."""
    edges.extend(sa.Column("note", sa.String(5)))
    pairs = pairs_of(users(number + 1))
    if database.name == "sqlite":
        edges.insert(pairs, note="too long")
        assert edges.column("note") == ["too long"] * number
        return
    with refused_by_the_database(database, session):
        edges.insert(pairs, note="too long")
    assert edges.stored() == set()


@each_writer
@pytest.mark.parametrize("number", [1, 3])
def test_a_check_of_the_host_is_an_error(users, edges, session, database, writing, number):
    """A violated CHECK of the host's is raised as it is."""
    edges.extend(
        sa.Column("weight", sa.Integer), sa.CheckConstraint("weight > 0", name="ck_weight")
    )
    pairs = pairs_of(users(number + 1))
    for exact in False, True:
        with refused_by_the_database(database, session):
            edges.insert(pairs, exact, weight=0)
    assert edges.stored() == set()
    assert edges.insert(pairs, weight=1).count == number


@each_writer
def test_the_own_check_is_no_duplicate(users, edges, session, database, writing):
    """An edge to oneself, past the check in Python, is refused by the table."""
    first, second = pairs_of(users(2))[0]
    for exact in False, True:
        for batch in [(first, first)], [(first, first), (first, second)]:
            with refused_by_the_database(database, session):
                edges.insert(batch, exact)
    assert edges.stored() == set()


@each_writer
@pytest.mark.parametrize("exact", [False, True])
def test_a_unique_key_of_the_host_is_an_error(users, edges, session, database, writing, exact):
    """A duplicate of another unique key is raised, and never taken for the edge itself."""
    edges.extend(
        sa.Column("slot", sa.Integer), sa.UniqueConstraint("follower_id", "slot", name="uq_slot")
    )
    pairs = sorted(pairs_of(users(4)))
    edges.insert(pairs[:1], slot=1)
    session.commit()
    for batch in pairs[1:2], pairs[:2], pairs:
        with refused_by_the_database(database, session):
            edges.insert(batch, exact, slot=1)
        assert edges.stored() == set(pairs[:1])
    assert edges.insert(pairs[:2], slot=2).count == 1


# Deleting


@each_key
@each_writer
def test_an_edge_is_deleted_once(users, edges, session, writing):
    """A delete by key tells whether the edge was there."""
    pairs = pairs_of(users(3))
    edges.insert(pairs)
    connection = session.connection()
    writer = edges.relation.storage.writer(connection.dialect)
    assert writer.delete_one(connection, pairs[0])
    assert not writer.delete_one(connection, pairs[0])
    assert edges.stored() == set(pairs[1:])


# What it costs


def test_one_statement(users, follows, assert_statements):
    """A new edge, an old one and a batch take one statement each, and no savepoint."""
    first, *others = users(5)
    for expected in 1, 0:
        with assert_statements(1):
            assert follows.follow(first, others[0]) == expected
    with assert_statements(1):
        first.followed.add(*others)


def test_refusing_takes_no_savepoint(users, follows, assert_statements, database):
    """An unknown key is refused without a savepoint, and then named by further statements."""
    first, second = users(2)
    with assert_statements(2), pytest.raises(UnknownUserError):
        follows.follow(first, 999)
    assert follows.follow(first, second)


@pytest.mark.parametrize("writing", ["generic"], indirect=True)
def test_what_the_generic_writer_sends(users, follows, writing, assert_statements, database):
    """It looks first, so only a new edge takes a savepoint."""
    first, second = users(2)
    locks = 1 if database.name == "sqlite" else 0  # no other transaction can write from then on
    with assert_statements(locks + 3, savepoints=2):
        assert follows.follow(first, second)
    with assert_statements(locks + 2):
        assert not follows.follow(first, second)
    with assert_statements(locks + 1), pytest.raises(UnknownUserError):
        follows.follow(first, 999)
