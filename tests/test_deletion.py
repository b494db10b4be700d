"""Deleting users: their edges go with them, however it is done, in a constant number of statements.

Every test runs with foreign keys and without. Where the database cascades, the deletion of users is
one statement; where it does not, a few more lock the users and see to the edges.
"""

from __future__ import annotations

import gc
import threading
import weakref
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import event
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import class_mapper, mapped_column, relationship, with_loader_criteria

from flask_follows import Follows, FollowsError
from flask_follows.deletion import delete_edges_with_objects
from flask_follows.edges import EdgeTable
from flask_follows.keys import Endpoint
from flask_follows.relation import Relation
from flask_follows.storage import Directed

from .hosts import add_users, exercise, stored
from .models import make_user_model


@pytest.fixture(params=["both", "none"])
def follows(request):
    """The extension, with foreign keys and without."""
    return Follows(foreign_keys=request.param)


@pytest.fixture
def edges(db, follows):
    """A function that reads the pairs of keys that are stored."""
    return lambda: stored(db, follows.follow_relation)


@pytest.fixture
def cascades(database, follows):
    """Whether the database itself takes the edges along."""
    has_keys = bool(follows.follow_relation.edge_table.table.foreign_key_constraints)
    return has_keys and database.name != "sqlite"


@pytest.fixture
def price(database, cascades):
    """How many statements the deletion of objects takes: SQLite needs no lock."""
    return 1 if cascades else 3 if database.name == "sqlite" else 4


@pytest.fixture
def everyone_follows_everyone(users, db):
    """A function that makes so many users, each following all the others."""

    def everyone_follows_everyone(number):
        new = users(number)
        for user in new:
            user.followed.add(*(other for other in new if other is not user))
        db.session.commit()
        for user in new:
            db.session.refresh(user)
        return new

    return everyone_follows_everyone


def among(*users):
    """Return all pairs of keys of these users."""
    keys = [user.id for user in users]
    return {(one, two) for one in keys for two in keys if one != two}


# --- By object ------------------------------------------------------------------------------------


@pytest.mark.parametrize("friends", [1, 30])
def test_one_user(friends, app, db, price, everyone_follows_everyone, edges, assert_statements):
    """As many statements for thirty followers as for one; the others keep their edges."""
    ann, *others = everyone_follows_everyone(friends + 1)
    with assert_statements(price):
        db.session.delete(ann)
        db.session.flush()
    db.session.commit()
    assert edges() == among(*others)


@pytest.mark.parametrize("number", [2, 40])
def test_many_users(number, app, db, price, everyone_follows_everyone, edges, assert_statements):
    """As many statements for forty users as for two."""
    *going, ann, bob = everyone_follows_everyone(number + 2)
    with assert_statements(price):
        for user in going:
            db.session.delete(user)
        db.session.flush()
    db.session.commit()
    assert edges() == among(ann, bob)


def test_more_users_than_one_statement_can_name(app, db, User, users, edges):
    """Hundreds of users in one flush."""
    ann, *others = users(650)
    ann.followed.add(*others)
    others[0].followed.add(*others[1:])
    db.session.commit()
    for user in others:
        db.session.delete(user)
    db.session.commit()
    assert edges() == set()
    assert User.query.count() == 1


def test_edges_that_are_loaded(app, db, follows, everyone_follows_everyone, edges):
    """Edge objects that the session holds do not get into the way."""
    ann, bob, cat = everyone_follows_everyone(3)
    loaded = follows.Follow.query.all()
    assert ann.followers_set.count() == 2
    db.session.delete(ann)
    db.session.commit()
    assert edges() == among(bob, cat)
    assert len(loaded) == 6


def test_edges_that_are_pending(app, db, User, users, follows, edges):
    """An edge added in the same flush goes as well, whichever way it was given."""
    ann, bob, cat = users(3)
    db.session.add(follows.Follow(follower_id=ann.id, followed_id=bob.id))
    ann.followers_set.append(follows.Follow(follower=cat))
    db.session.delete(ann)
    db.session.commit()
    assert edges() == set()
    assert set(User.query) == {bob, cat}


def test_edges_deleted_beside_their_users(app, db, follows, everyone_follows_everyone, edges):
    """The host may delete some edges itself in the same flush."""
    ann, bob, cat = everyone_follows_everyone(3)
    db.session.delete(db.session.get(follows.Follow, (ann.id, bob.id)))
    cat.followed_set.remove(db.session.get(follows.Follow, (cat.id, bob.id)))
    db.session.delete(ann)
    db.session.commit()
    assert edges() == {(bob.id, cat.id)}


def test_a_user_without_edges(app, db, users, price, assert_statements):
    """Nothing is asked first: the number of statements is the same."""
    (ann,) = users(1)
    with assert_statements(price):
        db.session.delete(ann)
        db.session.flush()


def test_a_key_that_comes_back(app, db, User, users, edges):
    """A user made again under the same key, in the same transaction, can be deleted again."""
    ann, bob = users(2)
    for _ in range(3):
        ann.follow(bob)
        bob.follow(ann)
        db.session.delete(bob)
        db.session.flush()
        assert edges() == set()
        bob = User(id=2, username="bob again")
        db.session.add(bob)
        db.session.flush()
    db.session.commit()
    assert User.query.count() == 2


def test_flush_after_flush(app, db, everyone_follows_everyone, edges):
    """Deletions in several flushes of one transaction."""
    ann, bob, cat, dan = everyone_follows_everyone(4)
    db.session.delete(ann)
    db.session.delete(bob)
    db.session.flush()
    assert edges() == among(cat, dan)
    db.session.delete(cat)
    db.session.flush()
    assert edges() == set()
    db.session.commit()


def test_users_that_go_with_another_object(db, start, follows):
    """Users deleted by a cascade of the host's own, marked or orphaned, take their edges along."""
    User = make_user_model(db, team_id=mapped_column(sa.ForeignKey("team.id"), nullable=True))

    class Team(db.Model):
        id = mapped_column(sa.Integer, primary_key=True)
        members = relationship(User, cascade="all, delete-orphan")

    start(db, User)
    ann, bob, cat, dan = add_users(db, User, 4)
    team, other = Team(members=[ann, bob]), Team(members=[cat, dan])
    db.session.add_all([team, other])
    for user in (ann, bob, cat, dan):
        user.followed = [person for person in (ann, bob, cat, dan) if person is not user]
    db.session.commit()
    db.session.delete(team)
    other.members.remove(cat)
    db.session.commit()
    assert User.query.all() == [dan]
    assert stored(db, follows.follow_relation) == set()


def test_users_that_depend_on_each_other(db, start, follows):
    """A self-reference makes the flush delete them one after the other."""
    boss = mapped_column(sa.ForeignKey("user.id"), nullable=True)
    User = make_user_model(
        db, boss_id=boss, boss=relationship("User", remote_side="User.id", backref="staff")
    )
    start(db, User)
    ann, bob, cat = add_users(db, User)
    bob.boss, cat.boss = ann, bob
    for user in (ann, bob, cat):
        user.followed = [person for person in (ann, bob, cat) if person is not user]
    db.session.commit()
    for user in (ann, bob, cat):
        db.session.delete(user)
    db.session.commit()
    assert stored(db, follows.follow_relation) == set()


def test_in_a_session_of_another_kind(app, db, User, everyone_follows_everyone, edges):
    """An object deleted in a plain session of SQLAlchemy's takes its edges along, too."""
    ann, bob, cat = everyone_follows_everyone(3)
    left, key = among(bob, cat), ann.id
    db.session.commit()
    with sa.orm.Session(db.engine) as session:
        session.delete(session.get(User, key))
        session.commit()
    assert edges() == left


# --- In bulk --------------------------------------------------------------------------------------

BULK = {
    "orm": lambda db, User, key: db.session.execute(sa.delete(User).where(User.id == key)),
    "core": lambda db, User, key: db.session.execute(
        sa.delete(User.__table__).where(User.__table__.c.id == key)
    ),
    "query": lambda db, User, key: User.query.filter_by(id=key).delete(),
    "query, fetch": lambda db, User, key: User.query.filter(User.id == key).delete(
        synchronize_session="fetch"
    ),
    "no synchronizing": lambda db, User, key: db.session.execute(
        sa.delete(User).where(User.id == key), execution_options={"synchronize_session": False}
    ),
    "a parameter": lambda db, User, key: db.session.execute(
        sa.delete(User).where(User.id == sa.bindparam("key")), {"key": key}
    ),
    "sets of parameters": lambda db, User, key: db.session.execute(
        sa.delete(User.__table__).where(User.__table__.c.id == sa.bindparam("key")),
        [{"key": key}, {"key": 12345}],
    ),
    "a query's parameter": lambda db, User, key: (
        User.query.filter(User.id == sa.bindparam("key")).params(key=key).delete("fetch")
    ),
    "in": lambda db, User, key: db.session.execute(sa.delete(User).where(User.id.in_([key]))),
    "a sub-query": lambda db, User, key: db.session.execute(
        sa.delete(User).where(User.id.in_(sa.select(sa.literal(key)))),
        execution_options={"synchronize_session": "fetch"},
    ),
}


def test_a_bulk_delete(app, db, User, everyone_follows_everyone, edges):
    """In every way that SQLAlchemy has for it."""
    going = everyone_follows_everyone(len(BULK) + 1)
    for way, delete in BULK.items():
        key = going.pop().id
        delete(db, User, key)
        db.session.commit()
        assert edges() == among(*going), way
        assert set(db.session.scalars(sa.select(User.id))) == {user.id for user in going}, way


@pytest.mark.parametrize("friends", [1, 30])
def test_the_statements_of_a_bulk_delete(
    friends, app, db, User, cascades, everyone_follows_everyone, edges, assert_statements
):
    """As many for thirty users as for one; and its result is the host's."""
    ann = everyone_follows_everyone(friends + 1)[0]
    with assert_statements(1 if cascades else 4) as counted:
        result = db.session.execute(sa.delete(User).where(User.id != ann.id))
    assert result.rowcount == friends
    assert edges() == set()
    on_edges = [line for line in counted.statements if line.startswith("DELETE FROM follows")]
    assert len(on_edges) == (0 if cascades else 2)
    assert all("_id IN (" in line for line in on_edges), "it would read the whole table"


def test_a_bulk_delete_of_all(
    app, db, User, cascades, everyone_follows_everyone, assert_statements
):
    """Without criteria nothing is asked first."""
    everyone_follows_everyone(3)
    with assert_statements(1 if cascades else 3):
        assert db.session.execute(sa.delete(User)).rowcount == 3
    db.session.commit()


def test_a_bulk_delete_of_more_than_can_be_named(
    app, db, User, users, cascades, edges, assert_statements
):
    """Hundreds of users are no more statements than one."""
    ann, bob, *others = users(350)
    ann.followed.add(bob, *others)
    others[0].followed.add(*others[1:], ann)
    db.session.commit()
    key = bob.id
    with assert_statements(1 if cascades else 4):
        db.session.execute(sa.delete(User).where(User.id > key))
    assert edges() == {(ann.id, key)}


def test_criteria_about_edges(app, db, User, users, edges):
    """Whom the statement means is decided before any edge is gone, and all of them go."""
    ann, bob, cat, dan = users(4)
    ann.followed.add(bob, cat)
    bob.followed.add(cat, dan)
    cat.followed.add(ann)
    db.session.commit()
    result = db.session.execute(sa.delete(User).where(User.followed_count > 1))
    assert result.rowcount == 2
    assert edges() == set()
    cat.follow(dan)
    assert User.query.filter(User.followers.any(User.id == cat.id)).delete("fetch") == 1
    assert edges() == set()
    assert User.query.all() == [cat]


def test_criteria_about_other_tables(db, start, follows):
    """A correlated sub-query, as for users without posts."""
    User = make_user_model(db)

    class Post(db.Model):
        id = mapped_column(sa.Integer, primary_key=True)
        author_id = mapped_column(sa.ForeignKey("user.id"))

    start(db, User)
    ann, bob, cat = add_users(db, User)
    db.session.add(Post(author_id=ann.id))
    bob.followed = [ann, cat]
    ann.followed = [bob]
    db.session.commit()
    writes = sa.exists().where(Post.author_id == User.id)
    statement = sa.delete(User).where(~writes)
    db.session.execute(statement, execution_options={"synchronize_session": False})
    db.session.commit()
    assert User.query.all() == [ann]
    assert stored(db, follows.follow_relation) == set()


def test_a_bulk_delete_that_finds_nobody(app, db, User, everyone_follows_everyone, edges):
    """Nothing happens."""
    users = everyone_follows_everyone(3)
    assert db.session.execute(sa.delete(User).where(User.id == 12345)).rowcount == 0
    assert edges() == among(*users)


def test_a_bulk_delete_after_pending_edges(app, db, User, users, follows, edges):
    """An edge that was added and not flushed is there before, and gone after."""
    ann, bob, _ = users(3)
    key = ann.id
    db.session.add(follows.Follow(follower=ann, followed=bob))
    db.session.execute(sa.delete(User).where(User.id == key))
    db.session.commit()
    assert edges() == set()


def test_a_bulk_delete_of_a_pending_user(app, db, User, users, follows, edges):
    """A user who was added and not flushed, with an edge, is found as well."""
    (ann,) = users(1)
    db.session.add(follows.Follow(follower=User(username="new"), followed=ann))
    db.session.execute(sa.delete(User).where(User.username == "new"))
    db.session.commit()
    assert edges() == set()


def test_a_bulk_delete_inside_no_autoflush(app, db, User, everyone_follows_everyone, edges):
    """What the host holds back is not flushed for it."""
    ann, bob, cat = everyone_follows_everyone(3)
    key = ann.id
    with db.session.no_autoflush:
        db.session.add(User(username="held back"))
        db.session.execute(sa.delete(User).where(User.id == key))
        assert len(db.session.new) == 1
    db.session.commit()
    assert edges() == among(bob, cat)


def test_a_bulk_delete_that_returns_rows(app, db, User, everyone_follows_everyone, edges):
    """RETURNING gives the host its rows."""
    ann, bob, cat = everyone_follows_everyone(3)
    key = ann.id
    statement = sa.delete(User).where(User.id == key).returning(User.id, User.username)
    assert [tuple(row) for row in db.session.execute(statement)] == [(key, "u0")]
    db.session.commit()
    assert edges() == among(bob, cat)


def test_loader_criteria_of_the_host(app, db, User, everyone_follows_everyone, edges):
    """Who is kept by a criterion that the host adds to every statement keeps the edges."""
    users = everyone_follows_everyone(3)

    def only_the_first(state):
        if state.is_delete:
            state.statement = state.statement.options(
                with_loader_criteria(User, User.username == "u0")
            )

    event.listen(db.session, "do_orm_execute", only_the_first)
    db.session.execute(sa.delete(User).where(User.id > 0))
    db.session.commit()
    assert set(db.session.scalars(sa.select(User.id))) == {2, 3}
    assert edges() == among(*users[1:])


def test_listeners_of_the_host_hear_of_it_once(app, db, User, everyone_follows_everyone):
    """Whether they were there before the extension or came after it."""
    everyone_follows_everyone(2)
    heard = []

    def first(state):
        heard.append(("first", state.is_delete))

    def last(state):
        heard.append(("last", state.is_delete))

    event.listen(db.session, "do_orm_execute", last)
    event.listen(db.session, "do_orm_execute", first, insert=True)
    db.session.execute(sa.delete(User).where(User.id == 1))
    db.session.commit()
    assert heard == [("first", True), ("last", True)]


def test_other_statements_are_let_through(db, start, follows):
    """A bulk delete or update of something else is one statement."""
    User = make_user_model(db)
    Post = make_user_model(db, name="Post")
    start(db, User)
    add_users(db, User, 1)
    (post,) = add_users(db, Post, 1)
    sent = []
    event.listen(db.engine, "before_cursor_execute", lambda *args: sent.append(args[2]))
    db.session.execute(sa.delete(Post).where(Post.id == post.id))
    db.session.execute(sa.update(User).values(username="new"))
    db.session.execute(sa.text("DELETE FROM follows"))
    assert len(sent) == 3


# --- Classes below the user -----------------------------------------------------------------------


def hierarchy(db):
    """Map a user with one class below in the same table and one in a table of its own."""

    class User(db.Model):
        id = mapped_column(sa.Integer, primary_key=True)
        username = mapped_column(sa.String(80))
        kind = mapped_column(sa.String(20))
        __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "user"}  # noqa: RUF012

    class Bot(User):
        __mapper_args__ = {"polymorphic_identity": "bot"}  # noqa: RUF012

    class Admin(User):
        id = mapped_column(sa.ForeignKey("user.id", ondelete="CASCADE"), primary_key=True)
        __mapper_args__ = {"polymorphic_identity": "admin"}  # noqa: RUF012

    return User, Bot, Admin


@pytest.fixture
def population(db, start, follows):
    """A user, a bot and an admin who follow each other."""
    User, Bot, Admin = hierarchy(db)
    start(db, User)
    users = [cls(username=cls.__name__) for cls in (User, Bot, Admin)]
    db.session.add_all(users)
    db.session.commit()
    for user in users:
        user.followed = [other for other in users if other is not user]
    db.session.commit()
    return users


@pytest.mark.parametrize("gone", [0, 1, 2])
def test_an_object_of_any_class_below(gone, population, db, edges):
    """The edges of every kind of user go with it."""
    db.session.delete(population.pop(gone))
    db.session.commit()
    assert edges() == among(*population)


def test_all_classes_in_one_flush(population, db, edges):
    """So they do for all of them at once."""
    for user in population:
        db.session.delete(user)
    db.session.commit()
    assert edges() == set()


def test_a_bulk_delete_of_a_class_in_the_same_table(population, db, edges):
    """Users of the other classes, whom the statement does not mean, keep their edges."""
    user, bot, admin = population
    db.session.execute(sa.delete(type(bot)))
    db.session.commit()
    assert edges() == among(user, admin)
    assert db.session.scalars(sa.select(type(user).username)).all() == ["User", "Admin"]


def test_a_bulk_delete_of_a_class_in_another_table(population, db, edges):
    """Rows of the lower table are no users: whose go, stay users with their edges."""
    admin = population[2]
    keys = among(*population)
    db.session.execute(sa.delete(type(admin).__table__))
    db.session.commit()
    assert edges() == keys


# --- Transactions ---------------------------------------------------------------------------------


def test_a_rollback_brings_the_edges_back(app, db, User, everyone_follows_everyone, edges):
    """By object and in bulk."""
    users = everyone_follows_everyone(3)
    pairs = among(*users)
    db.session.delete(users[0])
    db.session.flush()
    db.session.rollback()
    assert edges() == pairs
    db.session.execute(sa.delete(User))
    db.session.rollback()
    assert edges() == pairs
    assert User.query.count() == 3


def test_a_savepoint_brings_the_edges_back(app, db, User, everyone_follows_everyone, edges):
    """What was deleted inside of it is there again, and can be deleted again."""
    ann, bob, cat = everyone_follows_everyone(3)
    pairs, left = among(ann, bob, cat), among(bob, cat)
    ann.username = "a write before the savepoint"
    db.session.flush()
    for delete in (
        lambda: (db.session.delete(ann), db.session.flush()),
        lambda: (db.session.delete(ann), db.session.delete(bob), db.session.flush()),
        lambda: db.session.execute(sa.delete(User).where(User.id == 1)),
    ):
        savepoint = db.session.begin_nested()
        delete()
        assert edges() != pairs
        savepoint.rollback()
        assert edges() == pairs
    with db.session.begin_nested():
        db.session.delete(ann)
    assert edges() == left
    db.session.commit()
    assert edges() == left


def test_a_flush_that_fails_leaves_the_edges(app, db, User, everyone_follows_everyone, edges):
    """After the rollback all is there, and the next attempt takes all of it along."""
    ann, bob, cat = everyone_follows_everyone(3)
    pairs = among(ann, bob, cat)
    for _ in range(2):
        db.session.delete(ann)
        db.session.delete(bob)
        db.session.add_all([User(username="twice"), User(username="twice")])
        with pytest.raises(IntegrityError):
            db.session.flush()
        db.session.rollback()
        assert edges() == pairs
    db.session.delete(ann)
    db.session.delete(bob)
    db.session.commit()
    assert edges() == set()


def test_a_deletion_that_the_host_refuses(db, start, follows):
    """Where a listener of the host's raises, neither a user nor an edge is gone."""
    User = make_user_model(db)
    start(db, User)
    ann, bob, cat = add_users(db, User)
    ann.followed = [bob, cat]
    cat.followed = [ann]
    db.session.commit()
    pairs = stored(db, follows.follow_relation)

    def refuse(mapper, connection, user):
        raise ZeroDivisionError

    event.listen(User, "before_delete", refuse)
    for user in (ann, bob):
        db.session.delete(user)
    with pytest.raises(ZeroDivisionError):
        db.session.flush()
    db.session.rollback()
    event.remove(User, "before_delete", refuse)
    assert stored(db, follows.follow_relation) == pairs
    db.session.delete(bob)
    db.session.commit()
    assert stored(db, follows.follow_relation) == {(ann.id, cat.id), (cat.id, ann.id)}


# --- Other set-ups --------------------------------------------------------------------------------


def test_sqlite_with_foreign_keys_switched_on(database, make_app, db, User, follows):
    """`PRAGMA foreign_keys` makes no difference to what is left; elsewhere there is none."""
    app = make_app(db)
    follows.init_app(app, db, User)
    with app.app_context():
        if database.name == "sqlite":
            pragma = "PRAGMA foreign_keys = ON"
            event.listen(db.engine, "connect", lambda dbapi, _: dbapi.execute(pragma))
        db.create_all()
        if database.name == "sqlite":
            assert db.session.scalar(sa.text("PRAGMA foreign_keys")) == 1
        exercise(db, follows, add_users(db, User))


def test_two_kinds_of_users_in_one_flush(make_app, db):
    """Each relation sees to its own, though the keys are the same."""
    people, shops = make_user_model(db, name="Person"), make_user_model(db, name="Shop")
    relations = [
        Follows(db=db, user_model=people, table_name="a", foreign_keys="none").follow_relation,
        Follows(db=db, user_model=shops, table_name="b").follow_relation,
    ]
    with make_app(db).app_context():
        db.create_all()
        members = [add_users(db, people, 3), add_users(db, shops, 3)]
        for group in members:
            for user in group:
                user.followed = [other for other in group if other is not user]
        db.session.commit()
        for group in members:
            for user in group[:2]:
                db.session.delete(user)
        db.session.commit()
        assert [stored(db, relation) for relation in relations] == [set(), set()]
        assert people.query.count() == shops.query.count() == 1


def test_the_hooks_do_not_keep_the_relation(db, User):
    """The session's class holds its listeners for good; a relation that is gone is not heard of."""
    relation = link(db, User, User, edge_table(db, User, User))
    gone = weakref.ref(relation)
    del relation
    gc.collect()
    assert gone() is None


def test_an_application_can_be_forgotten():
    """A `db`, its `User` and their `Follows` go together, once nobody holds them."""

    def make():
        db = SQLAlchemy()
        User = make_user_model(db)
        follows = Follows(db=db, user_model=User)
        return [weakref.ref(one) for one in (db, User, follows, follows.follow_relation)]

    held = make()
    gc.collect()
    assert [one() for one in held] == [None] * 4


def test_deletions_after_the_relation_is_gone(make_app, db, User):
    """The listeners that are left do nothing."""
    link(db, User, User, edge_table(db, User, User, ondelete="CASCADE"))
    gc.collect()
    with make_app(db).app_context():
        db.create_all()
        ann, bob = add_users(db, User, 2)
        db.session.delete(ann)
        db.session.execute(sa.delete(User).where(User.id == bob.id))
        db.session.commit()
        assert User.query.count() == 0


# --- Others at the same time ----------------------------------------------------------------------


@pytest.mark.parametrize("way", ["by object", "in bulk"])
@pytest.mark.parametrize("first", ["follow", "delete"])
def test_a_follow_at_the_same_time(first, way, app, db, User, users, database, follows, edges):
    """Whoever comes second waits for the first: no edge is left of a user who is gone."""
    ann, bob = (user.id for user in users(2))
    if database.name == "sqlite":
        return  # it has one lock for all writes
    other, results = threading.Event(), []

    def follow():
        try:
            results.append(follows.follow(ann, bob))
        except FollowsError as error:
            results.append(type(error).__name__)

    def delete():
        if way == "by object":
            db.session.delete(db.session.get(User, bob))
            db.session.flush()
        else:
            db.session.execute(sa.delete(User).where(User.id == bob))

    def second():
        with app.app_context():
            db.session.connection()
            other.set()
            (delete if first == "follow" else follow)()
            db.session.commit()

    (follow if first == "follow" else delete)()
    thread = threading.Thread(target=second)
    thread.start()
    other.wait(10)
    thread.join(0.3)
    assert thread.is_alive(), "it does not wait"
    db.session.commit()
    thread.join(10)
    assert results == [True if first == "follow" else "UnknownUserError"]
    assert edges() == set()
    assert User.query.count() == 1


# --- Tables of the host's own, and two classes ----------------------------------------------------


def edge_table(db, source, target, ondelete=None, foreign_keys=True):
    """Make a table of edges as a host may have one already."""

    def key(name, model):
        column = model.__table__.c.id
        reference = [sa.ForeignKey(column, ondelete=ondelete)] if foreign_keys else []
        return sa.Column(name, column.type, *reference, primary_key=True, autoincrement=False)

    return sa.Table("edge", db.metadata, key("a_id", source), key("b_id", target))


def link(db, source, target, table):
    """Make a relation over a table that is there already."""
    ends = [Endpoint.of(class_mapper(model, configure=False)) for model in (source, target)]
    if source is target:
        ends[1] = ends[0]
    model = type("Edge", (), {})
    mapper = source.registry.map_imperatively(model, table)
    edges = EdgeTable(model, mapper, table, table.c.a_id, table.c.b_id, None)
    relation = Relation("edge", Directed(edges, *ends), session=db.session)
    delete_edges_with_objects(relation, db.session)
    return relation


KINDS = {
    "cascading": {"ondelete": "CASCADE"},
    "plain": {"ondelete": None},
    "no foreign keys": {"foreign_keys": False},
}
BY = {
    "object": lambda db, obj: db.session.delete(obj),
    "bulk": lambda db, obj: db.session.execute(sa.delete(type(obj)).where(type(obj).id == obj.id)),
    "core": lambda db, obj: db.session.execute(
        sa.delete(type(obj).__table__).where(type(obj).__table__.c.id == obj.id)
    ),
    "sets of parameters": lambda db, obj: db.session.execute(
        sa.delete(type(obj).__table__).where(type(obj).__table__.c.id == sa.bindparam("key")),
        [{"key": obj.id}, {"key": 12345}],
    ),
}


def world(make_app, db, kind, pragma=False):
    """Make articles 1 to 3, publications 1 to 3, and an edge from each to each."""
    Article, Publication = (make_user_model(db, name=name) for name in ("Article", "Publication"))
    table = edge_table(db, Article, Publication, **KINDS[kind])
    relation = link(db, Article, Publication, table)
    context = make_app(db).app_context()
    context.push()
    if db.engine.dialect.name == "sqlite" and pragma:
        enforce = "PRAGMA foreign_keys = ON"
        event.listen(db.engine, "connect", lambda dbapi, _: dbapi.execute(enforce))
    db.create_all()
    articles, publications = add_users(db, Article), add_users(db, Publication)
    relation.add_many((a.id, b.id) for a in articles for b in publications)
    db.session.commit()
    return SimpleNamespace(
        context=context,
        relation=relation,
        table=table,
        models=(Article, Publication),
        ends=(articles, publications),
        edges=lambda: {tuple(row) for row in db.session.execute(sa.select(table))},
    )


@pytest.fixture
def make_world(make_app, db):
    """A function that makes a world, and leaves it at the end."""
    made = []

    def make_world(kind, pragma=False):
        made.append(world(make_app, db, kind, pragma))
        return made[-1]

    yield make_world
    for one in made:
        db.session.rollback()
        one.context.pop()


@pytest.mark.parametrize("by", BY)
@pytest.mark.parametrize("kind", [*KINDS, "plain, enforced"])
def test_two_classes(kind, by, make_world, db):
    """An object of either class takes its own edges along, not those of its namesake."""
    kind, _, pragma = kind.partition(", ")
    here = make_world(kind, bool(pragma))
    for end, objects in enumerate(here.ends):
        obj = objects[end]
        key, pairs = obj.id, here.edges()
        BY[by](db, obj)
        db.session.commit()
        assert here.edges() == {pair for pair in pairs if pair[end] != key}
        assert here.models[end].query.count() == 2
    assert len(here.edges()) == 4


@pytest.mark.parametrize("kind", KINDS)
def test_both_classes_in_one_flush(kind, make_world, db):
    """Each class has its own columns."""
    here = make_world(kind)
    for objects in here.ends:
        for obj in objects[:2]:
            db.session.delete(obj)
    db.session.commit()
    assert here.edges() == {(3, 3)}


def test_a_bulk_delete_of_all_with_plain_keys(make_world, db):
    """Without criteria as well, and the result is the host's."""
    here = make_world("plain", True)
    assert db.session.execute(sa.delete(here.models[0])).rowcount == 3
    db.session.commit()
    assert here.edges() == set()


def test_a_delete_that_keeps_someone_without_edges(make_world, db):
    """With plain keys the edges go first: criteria about them then find nobody, and it is told."""
    here = make_world("plain", True)
    Article, pairs = here.models[0], here.edges()
    has_edges = sa.exists().where(here.table.c.a_id == Article.id)
    statement = sa.delete(Article).where(has_edges)
    with pytest.raises(FollowsError, match=r"kept a Article whose edges .* delete by primary key"):
        db.session.execute(statement, execution_options={"synchronize_session": False})
    db.session.rollback()
    assert here.edges() == pairs


@pytest.mark.parametrize("kind", KINDS)
def test_one_class_with_keys_of_the_hosts_own(kind, make_app, db, User):
    """Between users themselves, both columns are looked at."""
    relation = link(db, User, User, edge_table(db, User, User, **KINDS[kind]))
    with make_app(db).app_context():
        db.create_all()
        ann, bob, cat, dan = (user.id for user in add_users(db, User, 4))
        relation.add_many([(ann, bob), (bob, ann), (cat, ann), (bob, cat), (cat, bob), (cat, dan)])
        db.session.commit()
        db.session.delete(db.session.get(User, ann))
        db.session.commit()
        db.session.execute(sa.delete(User).where(User.id == bob))
        db.session.commit()
        rows = db.session.execute(sa.select(relation.edge_table.table)).all()
        assert [tuple(row) for row in rows] == [(cat, dan)]
