"""Tables of the host's own as edge tables: every shape that applications have, and every verb."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from threading import Barrier
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from flask_login import UserMixin
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import orm

from flask_follows import (
    ConfigurationError,
    Follows,
    FollowsError,
    SelfFollowError,
    UnknownUserError,
)

from .counting import count
from .models import make_user_model
from .work import plan, sent_by

# Both are of the tutorials, whose models call it.
pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")

THEN = datetime(2020, 1, 2, 3, 4, 5)


def utcnow() -> datetime:
    """Return what the tutorials' `datetime.utcnow` returns."""
    return datetime.now(timezone.utc).replace(tzinfo=None)


@dataclass
class Shape:
    """A host with a table of its own.

    :param model: what is adopted, a class or a Table.
    :param source, target: names of the two key columns.
    :param time: name of the time's column, None where none is to be taken.
    :param names: our names, where the host has kept its own relationships.
    :param statements: the most that a follow may take, if not one.
    """

    User: Any
    model: Any
    source: str = "follower_id"
    target: str = "followed_id"
    time: str | None = None
    names: dict[str, str] = field(default_factory=dict)
    fields: tuple[str, str] | None = None
    unique: bool = True
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def table(self) -> sa.Table:
        return self.model if isinstance(self.model, sa.Table) else self.model.__table__

    def follows(self) -> Follows:
        """Return an extension that adopts it."""
        return Follows(
            follow_model=self.model, through_fields=self.fields, names=self.names, **self.options
        )


# The shapes

KEPT = {"followed": "followed_users", "followers": "follower_users"}


def tutorial(db: SQLAlchemy, **relationships: Any) -> Shape:
    """The association class of the well-known tutorial."""

    class Follow(db.Model):
        __tablename__ = "follows"
        follower_id = db.Column(db.Integer, db.ForeignKey("users.id"), primary_key=True)
        followed_id = db.Column(db.Integer, db.ForeignKey("users.id"), primary_key=True)
        timestamp = db.Column(db.DateTime, default=datetime.utcnow)

    attributes = {name: make(db, Follow) for name, make in relationships.items()}
    User = make_user_model(db, __tablename__="users", **attributes)
    return Shape(User, Follow, time="timestamp")


def _rows(key: str, back: str) -> Any:
    return lambda db, Follow: db.relationship(
        "Follow",
        foreign_keys=[getattr(Follow, key)],
        backref=db.backref(back, lazy="joined"),
        lazy="dynamic",
        cascade="all, delete-orphan",
    )


def tutorial_with_its_relationships(db: SQLAlchemy) -> Shape:
    """The same, whose rows stay under their names."""
    shape = tutorial(
        db, followed=_rows("follower_id", "follower"), followers=_rows("followed_id", "followed")
    )
    shape.names = KEPT
    return shape


def secondary(db: SQLAlchemy, primary_key: bool = True, **relationships: Any) -> Shape:
    """The plain table of the successor."""
    followers = sa.Table(
        "followers",
        db.metadata,
        sa.Column("follower_id", sa.ForeignKey("user.id"), primary_key=primary_key),
        sa.Column("followed_id", sa.ForeignKey("user.id"), primary_key=primary_key),
    )
    attributes = {name: make(followers) for name, make in relationships.items()}
    User = make_user_model(db, **attributes)
    names = {"followed": "following"}
    return Shape(User, followers, names=names, unique=primary_key)


def secondary_without_a_key(db: SQLAlchemy) -> Shape:
    """The same, as it was once: nothing is unique in it."""
    return secondary(db, primary_key=False)


def secondary_with_its_relationships(db: SQLAlchemy) -> Shape:
    """The same, whose relationships stay under their names."""

    def users(near: str, far: str, back: str) -> Any:
        return lambda table: orm.relationship(
            "User",
            secondary=table,
            primaryjoin=lambda: table.c[near] == sa.inspect(found[0]).local_table.c.id,
            secondaryjoin=lambda: table.c[far] == sa.inspect(found[0]).local_table.c.id,
            back_populates=back,
            lazy="write_only",
            passive_deletes=True,
        )

    found: list[Any] = []
    shape = secondary(
        db,
        following=users("follower_id", "followed_id", "followers"),
        followers=users("followed_id", "follower_id", "following"),
    )
    found.append(shape.User)
    shape.names = KEPT
    return shape


def surrogate(
    db: SQLAlchemy, *arguments: Any, time: Any = None, unique: bool = True, **attributes: Any
) -> Shape:
    """A table with a number of its own for each row."""
    time = db.Column(sa.DateTime, nullable=False, default=utcnow) if time is None else time

    class Subscription(db.Model):
        __tablename__ = "subscription"
        id = db.Column(sa.Integer, primary_key=True)
        source_id = db.Column(sa.ForeignKey("user.id", ondelete="CASCADE"), nullable=False)
        destination_id = db.Column(sa.ForeignKey("user.id", ondelete="CASCADE"), nullable=False)
        __table_args__ = arguments

    Subscription.time = time
    User = make_user_model(db, **attributes)
    return Shape(User, Subscription, "source_id", "destination_id", "time", unique=unique)


def surrogate_with_a_unique_constraint(db: SQLAlchemy) -> Shape:
    """The same, its pair unique."""
    return surrogate(db, sa.UniqueConstraint("source_id", "destination_id", name="uq_pair"))


def surrogate_with_a_unique_index(db: SQLAlchemy) -> Shape:
    """The same by an index, the other way round; the time is aware."""
    return surrogate(
        db,
        sa.Index("uq_pair", "destination_id", "source_id", unique=True),
        time=sa.Column(sa.DateTime(timezone=True), nullable=False),
    )


def surrogate_without_a_unique_key(db: SQLAlchemy) -> Shape:
    """The same, in which nothing keeps a pair from being there twice."""
    return surrogate(db, unique=False)


def nullable(db: SQLAlchemy) -> Shape:
    """Everything may be NULL, and there is no default."""

    class Contact(db.Model):
        id = db.Column(sa.Integer, primary_key=True)
        to_id = db.Column(sa.ForeignKey("user.id", ondelete="SET NULL"))
        from_id = db.Column(sa.ForeignKey("user.id", ondelete="SET NULL"))
        created = db.Column(sa.DateTime)
        to = orm.relationship("User", foreign_keys=[to_id])
        __table_args__ = (sa.UniqueConstraint("to_id", "from_id"),)

    User = make_user_model(db)
    fields = ("from_id", "to")
    return Shape(User, Contact, "from_id", "to_id", "created", fields=fields)


def odd_names(db: SQLAlchemy) -> Shape:
    """Names that need quotes, attributes with other names, several times, an id that is a key."""

    class Watching(db.Model):
        __tablename__ = "Who watches whom"
        whom = db.Column("Whom id", sa.ForeignKey("Odd users.Key"), primary_key=True)
        who = db.Column("who's", sa.ForeignKey("Odd users.Key"), primary_key=True)
        seen_at = db.Column("select", sa.DateTime, default=utcnow)
        began = db.Column("created_on", sa.DateTime, nullable=False, default=utcnow)

    User = make_user_model(
        db, __tablename__="Odd users", id=orm.mapped_column("Key", sa.Integer, primary_key=True)
    )
    return Shape(User, Watching, "who's", "Whom id", "created_on", fields=("who", "whom"))


def odd_table(db: SQLAlchemy) -> Shape:
    """A table without a class whose columns are not called something_id, and have other keys."""
    table = sa.Table(
        "edges",
        db.metadata,
        sa.Column("from", sa.ForeignKey("user.id"), primary_key=True, key="src"),
        sa.Column("to", sa.ForeignKey("user.id"), primary_key=True, key="dst"),
        sa.Column("time", sa.DateTime(timezone=True), key="at"),
    )
    return Shape(make_user_model(db), table, "src", "dst", "at")


def server_default(db: SQLAlchemy) -> Shape:
    """The time is given by the database."""
    time = sa.Column(sa.DateTime, nullable=False, server_default=sa.func.current_timestamp())
    return surrogate(db, sa.UniqueConstraint("source_id", "destination_id"), time=time)


def inherited(db: SQLAlchemy) -> Shape:
    """Users have two tables, and the foreign keys lead to the one below."""

    class Person(db.Model):
        id = db.Column(sa.Integer, primary_key=True)
        kind = db.Column(sa.String(10))
        __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "person"}  # noqa: RUF012

    class User(Person):
        id = db.Column(sa.ForeignKey("person.id"), primary_key=True)
        username = db.Column(sa.String(80))
        __mapper_args__ = {"polymorphic_identity": "user"}  # noqa: RUF012

    class Follow(db.Model):
        follower_id = db.Column(sa.ForeignKey("person.id"), primary_key=True)
        followed_id = db.Column(sa.ForeignKey("person.id"), primary_key=True)
        timestamp = db.Column(sa.DateTime, default=utcnow)

    return Shape(User, Follow, time="timestamp")


SHAPES: list[Callable[[SQLAlchemy], Shape]] = [
    tutorial,
    tutorial_with_its_relationships,
    secondary,
    secondary_without_a_key,
    secondary_with_its_relationships,
    surrogate_with_a_unique_constraint,
    surrogate_with_a_unique_index,
    surrogate_without_a_unique_key,
    nullable,
    odd_names,
    odd_table,
    server_default,
    inherited,
]


@pytest.fixture(params=SHAPES, ids=lambda make: make.__name__)
def shape(request: pytest.FixtureRequest, db: SQLAlchemy) -> Shape:
    """A host of each shape."""
    return request.param(db)


class Host:
    """An application that has adopted a table."""

    def __init__(self, app: Any, db: SQLAlchemy, shape: Shape, follows: Follows) -> None:
        self.app, self.db, self.shape, self.follows = app, db, shape, follows
        self.session = db.session

    def users(self, number: int) -> list[Any]:
        """Commit new users; return them, loaded, with no transaction open."""
        users = [self.shape.User(username=f"u{place}") for place in range(number)]
        self.session.add_all(users)
        self.session.commit()
        return sorted(users, key=lambda user: user.id)

    def followed(self, user: Any) -> Any:
        """Return whom a user follows, whatever it is called."""
        return getattr(user, self.shape.names.get("followed", "followed"))

    def followers(self, user: Any) -> Any:
        """Return who follows a user."""
        return getattr(user, self.shape.names.get("followers", "followers"))

    @property
    def columns(self) -> tuple[sa.Column[Any], sa.Column[Any]]:
        return self.shape.table.c[self.shape.source], self.shape.table.c[self.shape.target]

    def pairs(self) -> list[tuple[Any, Any]]:
        """Return all rows of the table, by key."""
        rows = self.session.execute(sa.select(*self.columns).order_by(*self.columns))
        return [tuple(row) for row in rows]

    def insert(self, *pairs: tuple[Any, Any], **values: Any) -> None:
        """Write rows as the host's own code may have done, before there was an extension."""
        source, target = self.shape.source, self.shape.target
        rows = [{source: a, target: b, **values} for a, b in pairs]
        self.session.execute(self.shape.table.insert(), rows)
        self.session.commit()

    def run(self, *arguments: str) -> Any:
        """Run `flask follows ...`."""
        self.session.remove()
        return self.app.test_cli_runner().invoke(args=["follows", *map(str, arguments)])


@pytest.fixture
def adopt(start: Callable[..., Any]) -> Callable[[SQLAlchemy, Shape], Host]:
    """A function that makes the application of a shape, and its tables."""

    def adopt(db: SQLAlchemy, shape: Shape) -> Host:
        follows = shape.follows()
        return Host(start(db, shape.User, follows), db, shape, follows)

    return adopt


@pytest.fixture
def host(adopt: Any, db: SQLAlchemy, shape: Shape) -> Host:
    """An application of each shape."""
    return adopt(db, shape)


@pytest.mark.parametrize("at", ["source", "target"])
def test_a_key_of_the_class_above_alone(adopt, db, at):
    """The foreign key takes it, and there may even be an edge; but no user has it."""
    host = adopt(db, inherited(db))
    (user,) = host.users(1)
    person = user.__mapper__.inherits.class_()
    host.session.add(person)
    host.session.flush()
    pair = (person.id, user.id) if at == "source" else (user.id, person.id)
    for _ in range(2):
        with pytest.raises(UnknownUserError, match=f"key {person.id}"):
            host.follows.follow(*pair)
        host.session.merge(host.shape.model(follower_id=pair[0], followed_id=pair[1]))
        host.session.flush()


@contextlib.contextmanager
def at_most(host: Host, number: int) -> Iterator[None]:
    """Assert that no more statements are sent."""
    with count(host.db.engines.values()) as counted:
        yield
    assert len(counted) <= number, counted


# What all of them can do


def test_what_was_adopted(host):
    """The class is the host's, the columns are those that were meant, and nothing else is made."""
    edges, shape = host.follows.follow_relation.edge_table, host.shape
    if isinstance(shape.model, type):
        assert host.follows.Follow is shape.model
    assert (edges.source, edges.target) == host.columns
    assert edges.time is (None if shape.time is None else shape.table.c[shape.time])
    assert edges.time is not None or not edges.has_time_of_database
    assert edges.unique is shape.unique
    tables = {mapper.local_table for mapper in sa.inspect(shape.User).registry.mappers}
    assert {table.name for table in tables} == set(sa.inspect(host.db.engine).get_table_names())


def test_a_migration_has_nothing_to_do(request, shape, make_app, db):
    """Alembic finds the database of the host as it should be, with the extension in the models."""
    make = request.node.callspec.params["shape"]
    before = SQLAlchemy()
    make(before)
    app = make_app(before)
    with app.app_context():
        before.create_all()
    app = make_app(db)
    shape.follows().init_app(app, db, shape.User)
    with app.app_context(), db.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, db.metadata) == []


def test_following(host):
    """Each verb says what it did, once, and is as cheap as the table allows."""
    ann, bob, _ = host.users(3)
    is_plain = host.shape.unique and not any(column.nullable for column in host.columns)
    most = 1 if is_plain or (host.shape.unique and host.db.engine.name != "sqlite") else 6
    [ann.id, bob.id]  # noqa: B018 -- load them
    with at_most(host, most):
        assert ann.follow(bob) is True
    with at_most(host, most):
        assert ann.follow(bob) is False
    with at_most(host, 4):
        assert ann.is_following(bob.id) is bob.is_followed_by(ann) is True
        assert ann.is_mutual_with(bob) is False
    with at_most(host, 4):
        assert (ann.followed_count, ann.followers_count) == (1, 0)
        assert (bob.followed_count, bob.followers_count) == (0, 1)
    assert host.pairs() == [(ann.id, bob.id)]
    with at_most(host, 1):
        assert ann.unfollow(bob) is True
    with at_most(host, 1):
        assert ann.unfollow(bob) is False
    assert [ann.toggle_follow(bob) for _ in range(3)] == [True, False, True]
    assert bob.remove_follower(ann) is True
    assert host.pairs() == []
    with pytest.raises(SelfFollowError):
        ann.follow(ann)
    host.session.commit()


def test_on_the_class(host):
    """The same names are SQL, on the host's own columns."""
    ann, bob, cat = host.users(3)
    host.follows.follow(ann.id, bob.id)
    host.follows.follow(bob, ann)
    host.follows.follow(cat, ann)
    User = host.shape.User
    followers, called = sa.select(User).order_by(User.id), host.shape.names.get
    assert host.session.scalars(followers.where(User.is_following(ann))).all() == [bob, cat]
    assert host.session.scalars(followers.where(User.is_mutual_with(ann))).all() == [bob]
    counts = sa.select(User.followers_count, User.followed_count).order_by(User.id)
    assert host.session.execute(counts).all() == [(2, 1), (1, 1), (0, 1)]
    collection = getattr(User, called("followers", "followers"))
    assert host.session.scalars(followers.where(collection.any(User.id == cat.id))).all() == [ann]
    assert host.session.scalars(followers.where(collection.contains(cat))).all() == [ann]
    assert ann.mutuals.all() == [bob]
    assert host.follows.is_following(cat.id, ann.id)


def test_collections(host):
    """The verbs of the manager do what they say."""
    ann, *others = host.users(5)
    bob, cat, dan, eve = others
    assert host.followed(ann).add(bob, cat.id, dan) == 3
    assert host.followed(ann).add(bob, eve) == 1
    assert host.followers(ann).add(bob) == 1
    assert set(host.followed(ann)) == set(others)
    assert host.followed(ann).count() == 4
    assert bob in host.followed(ann)
    assert ann not in host.followed(ann)
    assert host.followed(ann).remove(bob, cat) == 2
    assert host.followed(ann).remove(bob) == 0
    host.followed(ann).set([dan, cat])
    assert set(host.followed(ann).ids()) == {dan.id, cat.id}
    host.followed(ann).set([eve], clear=True)
    assert host.followed(ann).all() == [eve]
    new = host.followers(ann).create(username="new")
    assert host.followed(new).get_or_create(username=ann.username) == (ann, False)
    assert host.followers(ann).clear() == 2
    setattr(ann, host.shape.names.get("followers", "followers"), [cat])
    host.session.commit()
    assert sorted(host.pairs()) == [(ann.id, eve.id), (cat.id, ann.id)]


def test_rows(host):
    """The rows are there to be read from both ends, and the time is set."""
    ann, bob = host.users(2)
    ann.follow(bob)
    [edge] = ann.followed_set
    assert [edge] == bob.followers_set.all() == host.session.query(host.follows.Follow).all()
    assert host.follows.follow_relation.edge_table.pair(edge) == (ann.id, bob.id)
    edges = host.follows.follow_relation.edge_table
    if edges.time is not None:
        time = getattr(edge, edges.attribute_name(edges.time))
        age = utcnow() - time.replace(tzinfo=None)
        assert timedelta(seconds=-2) < age < timedelta(minutes=1)
    assert str(edge)
    assert repr(edge)
    for write in (ann.followed_set.add, ann.followed_set.remove):
        with pytest.raises(FollowsError, match="here only to be read"):
            write(edge)
    names = [edges.attribute_name(column) for column in (edges.source, edges.target)]
    time = {} if edges.time is None else {edges.attribute_name(edges.time): THEN}
    host.session.add(host.follows.Follow(**dict(zip(names, (bob.id, ann.id), strict=True)), **time))
    assert bob.is_following(ann)


def test_a_time_without_a_column(host):
    """In a batch each edge may bring a time; a table that has no place for it does without."""
    ann, bob = host.users(2)
    relation = host.follows.follow_relation
    time = THEN if relation.edge_table.time is None else relation.edge_table.moment(THEN)
    assert relation.add_many([(ann.id, bob.id, relation.edge_table.stored(time))]) == 1
    assert ann.is_following(bob)


def through_pages(collection: Any, per_page: int) -> list[Any]:
    """Return all items page by page; backwards they must be the same."""
    pages, cursor = [], None
    while not pages or cursor:
        assert len(pages) < 50, "the pages do not end"
        pages.append(collection.page(after=cursor, per_page=per_page))
        cursor = pages[-1].next
    items = [item for page in pages for item in page]
    page, back = pages[-1], [pages[-1]]
    while page.previous:
        assert len(back) < 50, "the pages do not end"
        page = collection.page(before=page.previous, per_page=per_page)
        back.append(page)
    assert [item for page in reversed(back) for item in page] == items
    return items


def test_pages(host):
    """Nothing is lost, forwards and backwards: with equal times, NULL, and of the host's SQL."""
    ann, *others = host.users(9)
    keys = [user.id for user in others]
    ordered, edges = list(reversed(others)), host.follows.follow_relation.edge_table
    time = edges.time
    pairs = [(key, ann.id) for key in keys]
    if time is None:
        host.insert(*pairs)
    else:
        host.insert(*pairs[:2], **{time.key: THEN})
        host.insert(*pairs[2:4], **{time.key: THEN - timedelta(days=1)})
        if time.nullable:
            host.insert(pairs[4], **{time.key: None})
        else:
            host.insert(pairs[4], **{time.key: THEN - timedelta(days=2)})
        for key in keys[5:]:
            values = {} if edges.clock is None else {time.key: utcnow()}
            host.insert((key, ann.id), **values)
        newest = sorted(others[5:], key=lambda user: (_time(host, user), user.id), reverse=True)
        ordered = [*newest, others[1], others[0], others[3], others[2], others[4]]
    for per_page in (1, 3):
        assert through_pages(host.followers(ann), per_page) == ordered
    assert host.followers(ann).all() == ordered
    assert host.followers(ann).ids() == [user.id for user in ordered]
    filtered = host.followers(ann).filter(host.shape.User.id != keys[1])
    ordered.remove(others[1])
    assert through_pages(filtered, 2) == ordered
    assert [edges.pair(row)[0] for row in ann.followers_set if edges.pair(row)[0] != keys[1]] == [
        user.id for user in ordered
    ]


def _time(host: Host, follower: Any) -> datetime:
    edges = host.follows.follow_relation.edge_table
    return host.session.scalar(sa.select(edges.time).where(edges.source == follower.id))


def test_many(host):
    """Pairs of keys come in by the thousand, each once, with their times where there are any."""
    keys = [user.id for user in host.users(30)]
    pairs = [(a, b) for a in keys for b in keys if a != b][:400]
    assert host.follows.add_many(pairs[:10]) == 10
    assert host.follows.add_many([*pairs, *pairs]) == 390
    host.session.commit()
    assert host.pairs() == pairs
    edges = host.follows.follow_relation.edge_table
    if edges.time is not None:
        moment = THEN.replace(tzinfo=timezone.utc)
        assert host.follows.add_many([(keys[-1], keys[0], moment)]) == 1
        stored = host.session.scalar(sa.select(edges.time).where(edges.source == keys[-1]))
        assert stored.replace(tzinfo=None) == THEN


@pytest.mark.parametrize("loaded", [True, False], ids=["loaded", "not loaded"])
def test_deleting_users(host, loaded):
    """Edges go with the users, deleted one by one or in bulk, whatever the foreign keys say."""
    users = host.users(8)
    keys = [user.id for user in users]
    host.follows.add_many([(a, b) for a in keys for b in keys if a != b])
    host.session.commit()
    if loaded:
        assert len(host.session.query(host.follows.Follow).all()) == 56
    host.session.delete(users[0])
    host.session.delete(users[1])
    host.session.commit()
    assert host.pairs() == [(a, b) for a in keys[2:] for b in keys[2:] if a != b]
    host.session.remove()
    User = host.shape.User
    if host.shape.User.__mapper__.inherits is None:  # else the host has to delete two rows
        host.session.execute(sa.delete(User).where(User.id.in_(keys[2:5])))
        host.session.query(User).filter_by(id=keys[5]).delete()
        host.session.commit()
        assert host.pairs() == [(a, b) for a in keys[6:] for b in keys[6:] if a != b]


def test_command_line(host, tmp_path):
    """Numbers, health, and a graph that goes out and comes in again as it was."""
    keys = [user.id for user in host.users(4)]
    host.follows.add_many([(keys[0], keys[1]), (keys[1], keys[0]), (keys[2], keys[0])])
    host.session.commit()
    edges = host.follows.follow_relation.edge_table
    if edges.time is not None and edges.time.nullable:
        host.insert((keys[3], keys[0]), **{edges.time.key: None})
    number = len(host.pairs())
    assert f"edges{number:>35}" in host.run("stats").output
    check = host.run("check")
    assert (check.output, check.exit_code) == ("all is well\n", 0)
    exported = host.run("export", tmp_path / "graph.csv", "--by", "username")
    assert f"{number} edges exported" in exported.output, exported.output
    text = (tmp_path / "graph.csv").read_text()
    before = host.session.execute(sa.select(*_data(host))).all()
    host.session.execute(edges.table.delete())
    host.session.commit()
    imported = host.run("import", tmp_path / "graph.csv", "--by", "username")
    assert f"{number} new edges" in imported.output, imported.output
    if edges.time is not None and edges.time.nullable:
        return  # who has no time gets that of the import
    after = host.session.execute(sa.select(*_data(host))).all()
    assert sorted(after) == sorted(before)
    assert host.run("export", tmp_path / "again.csv", "--by", "username").exit_code == 0
    assert (tmp_path / "again.csv").read_text() == text


def _data(host: Host) -> list[Any]:
    edges = host.follows.follow_relation.edge_table
    return [edges.source, edges.target, *([] if edges.time is None else [edges.time])]


# Which columns are taken


def test_which_time_is_taken(db):
    """By its name, or the only one where it is always set; and never one with another meaning."""
    default = {"default": utcnow}
    for columns, expected in [
        ({"timestamp": {}}, "timestamp"),
        ({"updated_at": default, "Created_At": {}}, "Created_At"),
        ({"created_at": {}, "timestamp": default}, "created_at"),
        ({"whenever": default}, "whenever"),
        ({"whenever": {"nullable": False}}, "whenever"),
        ({"whenever": {"server_default": sa.func.now()}}, "whenever"),
        ({"muted_until": {}}, None),
        ({"seen": default, "read": default}, None),
        ({}, None),
    ]:
        one = SQLAlchemy()
        times = [sa.Column(name, sa.DateTime, **given) for name, given in columns.items()]
        table = pairs_table(one, *times)
        User = make_user_model(one)
        follows = Follows(db=one, user_model=User, follow_model=table)
        time = follows.follow_relation.edge_table.time
        assert (None if time is None else time.name) == expected


def pairs_table(db: SQLAlchemy, *more: Any, **options: Any) -> sa.Table:
    """Make a plain table with two keys and whatever else."""
    keys = [sa.Column(name, sa.ForeignKey("user.id"), nullable=False) for name in ("a_id", "b_id")]
    return sa.Table("pairs", db.metadata, *keys, *more, **options)


class _UTC(sa.TypeDecorator):
    impl = sa.DateTime(timezone=True)
    cache_ok = True


class _Moment(sa.TypeDecorator):
    """A type of the host's, around another one."""

    impl = _UTC
    cache_ok = True


class _Aware(sa.TypeDecorator):
    """SQLAlchemy's recipe for aware times that are stored without a zone."""

    impl = sa.DateTime
    cache_ok = True

    def process_bind_param(self, value, dialect):
        if value is None:
            return None
        if value.tzinfo is None:
            raise TypeError("tzinfo is required")
        return value.astimezone(timezone.utc).replace(tzinfo=None)

    def process_result_value(self, value, dialect):
        return value and value.replace(tzinfo=timezone.utc)


def needs_context(context: Any) -> datetime:
    """Return a time that depends on the statement, as SQLAlchemy allows."""
    assert context.isinsert
    return THEN


@pytest.mark.parametrize(
    ("column", "clock"),
    [
        (lambda: sa.Column("time", sa.DateTime), "naive"),
        (lambda: sa.Column("time", sa.DateTime(timezone=True)), "aware"),
        (lambda: sa.Column("time", _Moment), "aware"),
        (lambda: sa.Column("time", _Aware), "aware"),
        (lambda: sa.Column("time", sa.DateTime, default=datetime.utcnow), "naive"),
        (lambda: sa.Column("time", sa.DateTime, default=datetime.now), "naive"),
        (lambda: sa.Column("time", sa.DateTime, default=utcnow), "naive"),
        (lambda: sa.Column("time", sa.DateTime, default=THEN), None),
        (lambda: sa.Column("time", sa.DateTime, default=needs_context), None),
        (lambda: sa.Column("time", sa.DateTime, default=sa.func.now()), None),
        (lambda: sa.Column("time", sa.DateTime, server_default=sa.func.now()), None),
    ],
)
def test_who_gives_the_time(column, clock, db, start):
    """The host's own default where there is one, else the present in the column's own form."""
    table, User = pairs_table(db, column()), make_user_model(db)
    follows = Follows(follow_model=table)
    start(db, User, follows)
    found = follows.follow_relation.edge_table.clock
    assert (found is None) == (clock is None)
    if found is not None:
        assert (found().tzinfo is None) == (clock == "naive")
    users = [User(username=name) for name in "abc"]
    db.session.add_all(users)
    assert users[0].followed.add(*users[1:]) == 2
    assert None not in db.session.scalars(sa.select(table.c.time)).all()
    assert set(through_pages(users[0].followed, 1)) == set(users[1:])
    at = datetime(2024, 1, 31, 12, tzinfo=timezone(timedelta(hours=2)))
    assert users[1].follow(users[2], time=at)
    [time] = db.session.scalars(sa.select(table.c.time).where(table.c.a_id == users[1].id))
    if time.tzinfo is not None:
        time = time.astimezone(timezone.utc).replace(tzinfo=None)
    assert time == datetime(2024, 1, 31, 10)


@pytest.mark.parametrize(
    ("make", "unique"),
    [
        (lambda: sa.UniqueConstraint("b_id", "a_id"), True),
        (lambda: sa.UniqueConstraint("a_id", "b_id", "kind"), False),
        (lambda: sa.UniqueConstraint("a_id", "b_id", deferrable=True), False),
        (lambda: sa.Index("ix", "a_id", "b_id"), False),
        (lambda: sa.Index("ix", "a_id", "b_id", unique=True), True),
        (lambda: sa.Index("ix", "a_id", sa.text("b_id"), unique=True), False),
        (lambda: sa.Index("ix", sa.text("a_id + 1"), "b_id", unique=True), False),
        (
            lambda: sa.Index(
                "ix", "a_id", "b_id", unique=True, postgresql_where=sa.text("kind > 1")
            ),
            False,
        ),
    ],
)
def test_what_keeps_a_pair_unique(make, unique):
    """Only what does so for every row, and at once."""
    db = SQLAlchemy()
    table = pairs_table(db, sa.Column("kind", sa.Integer), make())
    follows = Follows(db=db, user_model=make_user_model(db), follow_model=table)
    assert follows.follow_relation.edge_table.unique is unique


def test_an_index_on_an_expression_is_no_unique_pair():
    """lower(a) and b are unique, which is not a and b."""
    db = SQLAlchemy()
    table = pairs_table(db)
    sa.Index("ix", sa.func.abs(table.c.a_id), table.c.b_id, unique=True)
    follows = Follows(db=db, user_model=make_user_model(db), follow_model=table)
    assert follows.follow_relation.edge_table.unique is False


@pytest.mark.parametrize(
    "fields",
    [("who_id", "whom_id"), ("actor_id", "whom"), ("who", "whom_id"), ("actor_id", "whom_id")],
)
@pytest.mark.parametrize("configured", [True, False])
def test_through_fields(fields, configured, db, start):
    """They are names of columns, of attributes, or of relationships, follower first."""

    class Link(db.Model):
        id = db.Column(sa.Integer, primary_key=True)
        made_by_id = db.Column(sa.ForeignKey("user.id"))
        whom_id = db.Column(sa.ForeignKey("user.id"))
        actor_id = db.Column("who_id", sa.ForeignKey("user.id"))
        who = orm.relationship("User", foreign_keys=[actor_id])
        whom = orm.relationship("User", foreign_keys=[whom_id])

    User = make_user_model(db)
    if configured:
        db.Model.registry.configure()
    follows = Follows(follow_model=Link, through_fields=fields)
    start(db, User, follows)
    edges = follows.follow_relation.edge_table
    assert (edges.source.name, edges.target.name) == ("who_id", "whom_id")
    ann, bob = User(username="ann"), User(username="bob")
    db.session.add_all([ann, bob])
    assert ann.follow(bob, made_by_id=bob.id) is True
    assert ann.followed_set.one().whom is bob


# What is refused


class Stranger:
    """Not a model."""


REFUSED: dict[str, tuple[Callable[[SQLAlchemy], Any], str]] = {}


def refused(message: str) -> Callable[[Any], Any]:
    """Note a host that is refused with a message."""

    def note(make: Any) -> Any:
        REFUSED[make.__name__.strip("_")] = (make, message)
        return make

    return note


@refused(r"neither a mapped class nor a Table")
def _no_model(db):
    return Stranger, None


@refused(r"neither a mapped class nor a Table")
def _a_name(db):
    return "Follow", None


@refused(r"neither a mapped class nor a Table")
def _a_number(db):
    return 3, None


@refused(r"'pairs' does not tell .* \(to User: none\).*through_fields")
def _no_foreign_key(db):
    columns = [sa.Column(name, sa.Integer, primary_key=True) for name in ("a_id", "b_id")]
    return sa.Table("pairs", db.metadata, *columns), None


@refused(r"\(to User: a_id\)")
def _one_foreign_key(db):
    return sa.Table("pairs", db.metadata, sa.Column("a_id", sa.ForeignKey("user.id"))), None


@refused(r"\(to User: a_id, b_id, c_id\)")
def _three_foreign_keys(db):
    return pairs_table(db, sa.Column("c_id", sa.ForeignKey("user.id"))), None


@refused(r"\(to User: none\)")
def _foreign_keys_to_somebody_else(db):
    sa.Table("other", db.metadata, sa.Column("id", sa.Integer, primary_key=True))
    keys = [sa.Column(name, sa.ForeignKey("other.id")) for name in ("a_id", "b_id")]
    return sa.Table("pairs", db.metadata, *keys), None


@refused(r"\(to User: b_id\)")
def _a_table_that_is_not_there(db):
    keys = [sa.Column("a_id", sa.ForeignKey("x.id")), sa.Column("b_id", sa.ForeignKey("user.id"))]
    return sa.Table("pairs", db.metadata, *keys), None


@refused(r"names 'c_id', which is no one column of .*'pairs'; there are: a_id, b_id")
def _an_unknown_name(db):
    return pairs_table(db), ("a_id", "c_id")


@refused(r"'number', but pairs.number does not refer to the primary key of User")
def _a_foreign_key_to_something_else(db):
    sa.Table("other", db.metadata, sa.Column("id", sa.Integer, primary_key=True))
    return pairs_table(db, sa.Column("number", sa.ForeignKey("other.id"))), ("a_id", "number")


@refused(r"takes two names, source first, not \('a_id', 'a_id'\)")
def _one_name_twice(db):
    return pairs_table(db), ("a_id", "a_id")


@refused("takes two names, source first, not 'ab'")
def _one_text(db):
    return pairs_table(db), "ab"


@refused("another|not in the same metadata")
def _another_database(db):
    table = pairs_table(SQLAlchemy())
    return table, None


@refused("not in the same metadata")
def _another_bind_key(db):
    class Elsewhere(db.Model):
        __bind_key__ = "elsewhere"
        a_id = db.Column(sa.Integer, primary_key=True)
        b_id = db.Column(sa.Integer, primary_key=True)

    return Elsewhere, ("a_id", "b_id")


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name):
    """At the declaration, with the candidates; and the class is as it was."""
    db = SQLAlchemy()
    make, message = REFUSED[name]
    model, fields = make(db)
    User = make_user_model(db)
    before = set(vars(User))
    with pytest.raises(ConfigurationError, match=message):
        Follows(db=db, user_model=User, follow_model=model, through_fields=fields)
    assert set(vars(User)) == before


@pytest.mark.parametrize(
    "options",
    [
        {"through_fields": ("a_id", "b_id")},
        {"follow_model": Stranger, "table_name": "edges"},
        {"follow_model": Stranger, "foreign_keys": "none"},
        {"follow_model": Stranger, "forward_index": True},
    ],
)
def test_options_that_do_not_go_together(options):
    """What is about our table is refused beside one of the host's."""
    with pytest.raises(ConfigurationError, match="follow_model"):
        Follows(**options)


def test_the_order_of_two_classes(db):
    """Of two classes, the wrong order is told by the foreign keys."""
    User, Topic = make_user_model(db), make_user_model(db, name="Topic")

    class Subscription(db.Model):
        topic_id = db.Column(sa.ForeignKey("topic.id"), primary_key=True)
        user_id = db.Column(sa.ForeignKey("user.id"), primary_key=True)

    options: dict[str, Any] = {"through": Subscription, "reverse": "readers"}
    with pytest.raises(ConfigurationError, match="source comes first"):
        Follows().relation(User, "topics", Topic, through_fields=("topic_id", "user_id"), **options)
    relation = Follows().relation(User, "topics", Topic, **options)
    assert relation.edge_table.source.name == "user_id"


def test_a_through_model_by_its_name(db, start, follows):
    """The relation waits for it, and then adopts it."""
    User, Topic = make_user_model(db), make_user_model(db, name="Topic")
    topics = follows.relation(User, "topics", Topic, through="Subscription", reverse="readers")
    with pytest.raises(ConfigurationError, match="not been mapped yet"):
        topics.edge_table  # noqa: B018

    class Subscription(db.Model):
        id = db.Column(sa.Integer, primary_key=True)
        user_id = db.Column(sa.ForeignKey("user.id"))
        topic_id = db.Column(sa.ForeignKey("topic.id"))
        level = db.Column(sa.Integer, nullable=False)

    start(db, User)
    ann, cats = User(username="ann"), Topic(username="cats")
    db.session.add_all([ann, cats])
    assert ann.topics.add(cats, through_defaults={"level": 2}) == 1
    assert ann.topics.add(cats, through_defaults={"level": 3}) == 0
    assert cats.readers.all() == [ann]
    db.session.add(Subscription(user_id=ann.id, topic_id=cats.id, level=4))
    assert topics.remove(ann, cats) is True
    assert db.session.query(Subscription).count() == 0


# What else a table of the host's may hold


def test_the_host_goes_on_with_its_relationships(adopt, db):
    """The tutorial's own relationships and ours are about the same rows."""
    host = adopt(db, tutorial_with_its_relationships(db))
    ann, bob, cat = host.users(3)
    assert ann.follow(bob)
    assert [edge.followed for edge in ann.followed] == ann.followed_users.all() == [bob]
    ann.followed.append(host.follows.Follow(followed=cat))
    assert ann.is_following(cat)
    ann.followed.remove(ann.followed.filter_by(followed_id=bob.id).one())
    assert ann.followed_users.all() == [cat]
    host.session.commit()
    assert host.pairs() == [(ann.id, cat.id)]


def test_the_host_goes_on_with_its_secondary_table(adopt, db):
    """So it is with the successor's."""
    host = adopt(db, secondary_with_its_relationships(db))
    ann, bob, cat = host.users(3)
    assert ann.follow(bob)
    assert host.session.scalars(bob.followers.select()).all() == [ann]
    ann.following.add(cat)
    host.session.flush()
    assert set(ann.followed_users) == {bob, cat}
    ann.following.remove(bob)
    host.session.commit()
    assert host.pairs() == [(ann.id, cat.id)]


def test_our_class_for_a_table_without_one(adopt, db):
    """Its rows are made with objects as well as with keys; who is not saved is told so."""
    host = adopt(db, secondary(db))
    ann, bob, cat = host.users(3)
    Edge = host.follows.Follow
    edge = Edge(follower=ann, followed=bob)
    host.session.add(edge)
    assert ann.is_following(bob)
    assert (edge.follower, edge.followed) == (ann, bob)
    assert str(edge) == f"{ann} -> {bob}"
    edge.followed = cat
    host.session.commit()
    assert host.pairs() == [(ann.id, cat.id)]
    with pytest.raises(FollowsError, match="not saved"):
        Edge(follower=host.shape.User(username="new"))
    edge.follower = None
    assert edge.follower_id is None
    host.session.rollback()


@pytest.mark.parametrize("make", [secondary_without_a_key, surrogate_without_a_unique_key])
def test_pairs_that_are_there_twice(make, adopt, db):
    """They are one edge, that goes as a whole, and the check tells of them."""
    host = adopt(db, make(db))
    ann, bob = (user.id for user in host.users(2))
    host.insert((ann, bob), (ann, bob), (bob, ann), (bob, ann))
    assert host.follows.follow(ann, bob) is False
    assert "pairs who follow each other            1" in host.run("stats").output
    check = host.run("check")
    assert "2 pairs have several edges: keep one of each" in check.output
    assert host.follows.unfollow(ann, bob) is True
    host.session.commit()
    assert "1 pair has several edges" in host.run("check").output
    assert host.follows.unfollow(ann, bob) is False


def test_rows_without_an_end(adopt, db, tmp_path):
    """They are no edges: nobody sees them, the export leaves them out, and the check tells."""
    host = adopt(db, nullable(db))
    ann, bob = host.users(2)
    keys = ann.id, bob.id
    host.insert(keys, (ann.id, None), (None, bob.id), (None, ann.id), (None, None))
    assert ann.followed.all() == ann.followed.page().items == [bob]
    assert bob.followers.all() == bob.followers.page().items == [ann]
    assert (ann.followed.ids(), ann.followed.count(), ann.followers.exists()) == (
        [bob.id],
        1,
        False,
    )
    User = host.shape.User
    counts = host.session.execute(sa.select(User.followed_count, User.followers_count))
    assert sorted(counts.all()) == [(0, 1), (1, 0)]
    host.session.remove()
    assert host.run("export", tmp_path / "all.csv").exit_code == 0
    assert (tmp_path / "all.csv").read_text().splitlines()[1:] == [f"{keys[0]},{keys[1]},"]
    assert "2 edges have a to_id that no User has" in host.run("check").output


@pytest.mark.parametrize("first", ["followed_id", "following_id", "followee_id", "user_id"])
def test_keys_the_other_way_round(first, db):
    """The first key is not taken for the follower's where the second one has that name."""
    keys = [db.Column(name, sa.ForeignKey("user.id")) for name in (first, "follower_id")]
    table, User = db.Table("follows", *keys), make_user_model(db)
    words = rf"does not tell which one follows; .*through_fields=\('follower_id', '{first}'\)"
    with pytest.raises(ConfigurationError, match=words):
        Follows(db=db, user_model=User, follow_model=table)
    follows = Follows(
        db=db, user_model=User, follow_model=table, through_fields=("follower_id", first)
    )
    assert follows.follow_relation.edge_table.source is table.c.follower_id


@pytest.mark.parametrize("reverse", [False, True])
def test_pages_leave_out_rows_without_an_end(adopt, db, reverse):
    """A page is full, and another follows, although users have left their rows behind."""
    host = adopt(db, nullable(db))
    ann, *others = host.users(4)
    keys = [others[0].id, None, None, others[1].id, others[2].id]
    for day, key in enumerate(keys):
        pair = (key, ann.id) if reverse else (ann.id, key)
        host.insert(pair, created=THEN - timedelta(days=day))
    collection = host.followers(ann) if reverse else host.followed(ann)
    assert through_pages(collection, 1) == through_pages(collection, 2) == others
    assert collection.page(per_page=2).items == others[:2]


def test_times_of_a_file_are_utc(adopt, db, database, tmp_path):
    """A column without a zone gets UTC, whatever the zone of the session."""
    host = adopt(db, tutorial(db))
    ann, bob = (user.id for user in host.users(2))
    if database.name == "postgresql":
        name = host.db.engine.url.database
        with host.db.engine.begin() as connection:
            connection.exec_driver_sql(f"ALTER DATABASE {name} SET TIME ZONE 'Asia/Tokyo'")
        host.session.remove()
        host.db.engine.dispose()
    file = tmp_path / "graph.csv"
    file.write_text(f"follower,followed,created_at\n{ann},{bob},2024-01-31T12:00:00+02:00\n")
    assert host.run("import", file).exit_code == 0
    edge = host.follows.Follow.query.one()
    assert edge.timestamp == datetime(2024, 1, 31, 10)
    assert host.run("export", file).exit_code == 0
    assert file.read_text().endswith(f"{ann},{bob},2024-01-31T10:00:00.000000+00:00\n")


def test_the_check_names_what_is_missing(adopt, db):
    """A foreign key without a name is told by its columns."""
    host = adopt(db, secondary(db))
    host.shape.table.drop(host.db.engine)
    columns = [sa.Column(name, sa.Integer) for name in ("follower_id", "followed_id")]
    sa.Table("followers", sa.MetaData(), *columns).create(host.db.engine)
    assert host.run("check").output.splitlines() == [
        "table 'followers' has no foreign key on followed_id: add it with a migration",
        "table 'followers' has no foreign key on follower_id: add it with a migration",
        "table 'followers' has no primary key on follower_id, followed_id: add it with a migration",
        "Error: 3 problems found",
    ]


def test_edges_with_a_key_of_the_mapping(make_app, db, database):
    """Beside each user is the edge that the host's mapping knows, of several of one pair."""
    User = make_user_model(db)
    columns = (sa.Column(name, sa.ForeignKey("user.id")) for name in ("src", "dst"))
    note = sa.Column("note", sa.String(9))
    links = sa.Table("link", db.metadata, *columns, note)

    class Link(db.Model):
        __table__ = links
        __mapper_args__: ClassVar[Any] = {"primary_key": [*links.c]}

    app = make_app(db)
    follows = Follows(app, db, User, follow_model=Link, through_fields=("src", "dst"))
    with app.app_context():
        db.create_all()
        me, other = User(username="me"), User(username="other")
        db.session.add_all([me, other])
        db.session.flush()
        db.session.add_all([Link(src=me.id, dst=other.id, note=note) for note in "xy"])
        for page in me.followed.page(), me.followed.filter(User.id == other.id).page():
            assert page.items == [other, other]
            assert sorted(edge.note for edge in page.edges) == ["x", "y"]
        assert follows.is_following(me, other)


def test_edges_with_a_time_of_the_database_in_their_key(make_app, db):
    """An edge is found again by what the database sent, not by what was made of it."""
    User = make_user_model(db)

    class Link(db.Model):
        src = orm.mapped_column(sa.ForeignKey("user.id"), primary_key=True)
        dst = orm.mapped_column(sa.ForeignKey("user.id"), primary_key=True)
        created_at = orm.mapped_column(
            sa.DateTime, primary_key=True, server_default=sa.func.current_timestamp()
        )

    app = make_app(db)
    follows = Follows(app, db, User, follow_model=Link, through_fields=("src", "dst"))
    with app.app_context():
        db.create_all()
        me, other = User(username="me"), User(username="other")
        db.session.add_all([me, other])
        db.session.flush()
        db.session.execute(sa.insert(Link).values(src=me.id, dst=other.id).inline())
        for page in me.followed.page(), me.followed.filter(User.id > 0).page():
            assert [(edge.src, edge.dst) for edge in page.edges] == [(me.id, other.id)]
        assert follows.is_following(me, other)


class NoZone(sa.TypeDecorator):
    """A time that the host stores without a zone, and gives out with one."""

    impl = sa.DateTime
    cache_ok = True

    def process_bind_param(self, value, dialect):
        return value and value.astimezone(timezone.utc).replace(tzinfo=None)

    def process_result_value(self, value, dialect):
        return value and value.replace(tzinfo=timezone.utc)


def test_a_join_beside_a_nullable_time_of_a_type_of_the_host(make_app, db):
    """Where SQLAlchemy selects what we order by, the host's type need not understand it."""
    User = make_user_model(db, badges=orm.relationship("Badge", lazy="joined"))
    user_id = orm.mapped_column(sa.ForeignKey("user.id"))
    Badge = make_user_model(db, name="Badge", mixins=(), username=None, user_id=user_id)

    class Link(db.Model):
        src = orm.mapped_column(sa.ForeignKey("user.id"), primary_key=True)
        dst = orm.mapped_column(sa.ForeignKey("user.id"), primary_key=True)
        created_at = orm.mapped_column(NoZone, nullable=True)

    app = make_app(db)
    Follows(app, db, User, follow_model=Link, through_fields=("src", "dst"))
    with app.app_context():
        db.create_all()
        me, *others = (User(username=f"u{number}") for number in range(4))
        db.session.add_all([me, *others])
        db.session.flush()
        db.session.add_all(Badge(user_id=other.id) for other in others * 2)
        times = [
            None,
            datetime(2024, 1, 2, tzinfo=timezone.utc),
            datetime(2024, 1, 1, tzinfo=timezone.utc),
        ]
        db.session.add_all(
            Link(src=me.id, dst=o.id, created_at=t) for o, t in zip(others, times, strict=True)
        )
        db.session.flush()
        expected = [others[1], others[2], others[0]]
        assert me.followed.limit(3).all() == expected
        assert me.followed.filter(User.id > 0).page(per_page=2).items == expected[:2]
        assert me.followed.paginate(per_page=2).items == expected[:2]


@pytest.mark.parametrize("make", [secondary_without_a_key, surrogate_without_a_unique_key])
def test_two_threads_and_one_pair(make, adopt, db, database):
    """Where nothing is unique, two who follow the same user at once make one edge all the same."""
    host = adopt(db, make(db))
    ann, bob = (user.id for user in host.users(2))
    rounds = 300 if database.name != "sqlite" else 30
    barrier, db = Barrier(2, timeout=30), host.db
    db.session.remove()

    def work(_number: int) -> int:
        made = 0
        with host.app.app_context():
            for _ in range(rounds):
                barrier.wait()
                made += host.follows.follow(ann, bob)
                db.session.commit()
                barrier.wait()
                made -= host.follows.unfollow(ann, bob)
                db.session.commit()
                barrier.wait()
                made += host.follows.follow(ann, bob)
                db.session.commit()
                assert db.session.scalar(sa.select(sa.func.count()).select_from(edges)) == 1
                db.session.commit()
        return made

    edges = host.shape.table
    with ThreadPoolExecutor(2) as pool:
        assert sum(pool.map(work, range(2))) == 1
    assert host.pairs() == [(ann, bob)]


# The page

PAGE = Path(__file__).parent.parent / "docs" / "bring-your-table.md"
PIECES = dict(
    re.findall(
        r"^<!-- run: ([^\n]+) -->\n```python\n(.*?)^```$",
        PAGE.read_text(),
        re.MULTILINE | re.DOTALL,
    )
)


def run_piece(name: str, make_app: Any) -> SimpleNamespace:
    """Make an application with the models of a piece of the page."""
    db = SQLAlchemy()
    app = make_app(db)
    given = {"db": db, "app": app, "sa": sa, "so": orm, "datetime": datetime}
    names = {**given, "UserMixin": UserMixin, "Follows": Follows, "__name__": name}
    exec(compile(PIECES[name], f"{PAGE.name}: {name}", "exec", dont_inherit=True), names)
    return SimpleNamespace(**names)


AFTER = [name for name in PIECES if ", after" in name]


def test_the_page_has_every_form():
    """Each of the three has a before and an after, and no program of the page is left out."""
    assert {name.partition(",")[0] for name in AFTER} == {"class", "table", "surrogate"}
    assert PAGE.read_text().count("```python\n") == len(PIECES)


@pytest.mark.parametrize("name", AFTER)
def test_the_page(name, make_app):
    """What the old program wrote is there in the new one, which writes to the same table."""
    before = run_piece(f"{name.partition(',')[0]}, before", make_app)
    with before.app.app_context():
        before.db.create_all()
        ann, bob, cat = (before.User(username=name) for name in ("ann", "bob", "cat"))
        before.db.session.add_all([ann, bob, cat])
        before.db.session.commit()
        ann.follow(bob)
        cat.follow(bob)
        bob.follow(ann)
        before.db.session.commit()
        cat.unfollow(bob)
        before.db.session.commit()
        before.db.session.remove()
        before.db.engine.dispose()
    after = run_piece(name, make_app)
    with after.app.app_context(), after.db.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, after.db.metadata) == []
    with after.app.app_context():
        ann, bob, cat = after.User.query.order_by(after.User.id)
        assert [ann.is_following(bob), cat.is_following(bob), bob.is_following(ann)] == [1, 0, 1]
        assert [ann.follow(bob), ann.follow(cat), bob.unfollow(ann)] == [False, True, True]
        after.db.session.commit()
        users = {bob, cat}
        if name == "class, after":
            assert set(ann.followed) == users
            assert {edge.followed_id for edge in ann.followed_set} == {bob.id, cat.id}
            assert bob.followers.page().edges[0].timestamp is not None
        elif name == "table, after":
            assert (set(ann.following), ann.following_count) == (users, 2)
            assert ann.following.ids() == sorted([bob.id, cat.id], reverse=True)
        elif name == "surrogate, after":
            assert ann.followed.page().items == [cat, bob]
        else:
            assert {edge.followed for edge in ann.followed} == set(ann.followed_users) == users
        assert after.follows.Follow.query.count() == 2
        assert after.app.test_cli_runner().invoke(args=["follows", "check"]).exit_code == 0


def test_all_that_the_page_recommends(make_app):
    """The whole model with its indexes reads a page of both collections in the index's order."""
    db = SQLAlchemy()
    app = make_app(db)
    names = {"db": db, "datetime": datetime, "__name__": "page"}
    exec(PIECES["all of it"], names)
    User = make_user_model(db, __tablename__="users")
    follows = Follows(app, db, User, follow_model=names["Follow"])
    with app.app_context():
        db.create_all()
        users = [User(username=name) for name in "abc"]
        db.session.add_all(users)
        db.session.commit()
        assert follows.add_many([(1, 2), (1, 3), (2, 3)]) == 3
        assert users[0].followed.count() == users[2].followers.count() == 2
        if db.engine.name == "sqlite":
            for collection in (users[0].followed, users[2].followers):
                [read] = sent_by(db.engine, lambda at=collection: at.page())[-1:]
                assert (
                    "TEMP B-TREE"
                    not in plan(db.session.connection(), read).partition("SCAN edge")[0]
                )
