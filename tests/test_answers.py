"""What a session remembers of edges is what the database would say, whatever was done meanwhile."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import Session, make_transient_to_detached

from flask_follows import Follows
from flask_follows.answers import Answers

from .hosts import add_users
from .transactions import begin_in_time


@pytest.fixture
def known(users, session, assert_statements):
    """Two users, the second of whom is known to be followed by the first."""
    ann, bob = users(2)
    ann.follow(bob)
    session.commit()
    assert ann.is_following(bob)
    assert bob.followers_count == 1
    with assert_statements(0):
        assert ann.is_following(bob)
        assert bob.followers_count == 1
    return ann, bob


# --- What ends it ---------------------------------------------------------------------------------


def delete_as_text(w):
    """Delete by a statement that SQLAlchemy cannot look into."""
    w.session.execute(sa.text(f"DELETE FROM {w.table.name}"))


def delete_as_text_with_columns(w):
    """Ask for the columns of a text, which makes it a SELECT to SQLAlchemy, though it may write."""
    if w.session.get_bind().dialect.name == "sqlite":
        columns = w.table.c.follower_id, w.table.c.followed_id
        words = f"DELETE FROM {w.table.name} RETURNING follower_id, followed_id"
        w.session.execute(sa.text(words).columns(*columns)).all()
    else:
        w.session.execute(sa.delete(w.table))


def delete_by_a_text_of_objects(w):
    """Ask for objects by a text that deletes them, where the database can."""
    if w.session.get_bind().dialect.name == "mysql":
        w.session.execute(sa.delete(w.table))
        return
    words = f"DELETE FROM {w.table.name} RETURNING follower_id, followed_id, created_at"
    text = sa.text(words).columns(*w.table.c)
    w.session.scalars(sa.select(w.Follow).from_statement(text)).all()


def delete_by_core(w):
    """Delete from the table."""
    w.session.execute(sa.delete(w.table))


def delete_by_orm(w):
    """Delete by a statement on the class."""
    w.session.execute(sa.delete(w.Follow))


def delete_by_query(w):
    """Delete by the old query."""
    w.session.query(w.Follow).delete()


def delete_object(w):
    """Delete an edge that was loaded; the question flushes it."""
    w.session.delete(w.session.get(w.Follow, (w.ann.id, w.bob.id)))


def delete_from_set(w):
    """Take the edge out of the relationship."""
    w.ann.followed_set.remove(w.ann.followed_set.one())


def delete_by_us(w):
    """Unfollow."""
    assert w.ann.unfollow(w.bob)


def clear(w):
    """Empty the collection."""
    w.bob.followers.clear()


def set_nothing(w):
    """Set the collection to nothing."""
    w.ann.followed = []


EVENTS = [
    delete_as_text,
    delete_as_text_with_columns,
    delete_by_a_text_of_objects,
    delete_by_core,
    delete_by_orm,
    delete_by_query,
    delete_object,
    delete_from_set,
    delete_by_us,
    clear,
    set_nothing,
]


@pytest.mark.parametrize("delete", EVENTS, ids=lambda event: event.__name__)
def test_a_write_is_seen(known, session, follows, delete):
    """However the edge goes, the next question says so."""
    ann, bob = known
    delete(
        SimpleNamespace(
            session=session, ann=ann, bob=bob, Follow=follows.Follow, table=follows.Follow.__table__
        )
    )
    assert not ann.is_following(bob)
    assert bob.followers_count == 0
    session.rollback()
    assert ann.is_following(bob)
    assert bob.followers_count == 1


def test_a_bulk_insert_of_objects_is_seen(known, session, follows):
    """It flushes nothing and executes no statement of the session's, but has a transaction."""
    ann, bob = known
    assert not bob.is_following(ann)
    session().bulk_insert_mappings(
        sa.inspect(follows.Follow), [{"follower_id": bob.id, "followed_id": ann.id}]
    )
    assert bob.is_following(ann)
    assert ann.followers_count == 1


def test_a_rolled_back_savepoint_is_seen(known, session):
    """What was written in it never was; what was known before it is asked anew."""
    ann, bob = known
    nested = session.begin_nested()
    ann.unfollow(bob)
    bob.follow(ann)
    assert (ann.is_following(bob), bob.is_following(ann)) == (False, True)
    nested.rollback()
    assert (ann.is_following(bob), bob.is_following(ann)) == (True, False)


def test_a_closed_session_has_forgotten(known, session):
    """`close()` ends the transaction without a rollback that listeners are told of."""
    ann, bob = known
    bob.follow(ann)
    assert bob.is_following(ann)
    session().close()  # the objects keep their keys, which is enough
    session.add_all([ann, bob])
    assert not bob.is_following(ann)


@pytest.mark.parametrize("how", ["expire", "refresh", "expire_all"])
def test_an_expired_user_is_asked_about_anew(known, session, assert_statements, how):
    """Whoever wants to see a user anew wants to see the edges, too."""
    ann, bob = known
    key = bob.id
    getattr(session, how)(*([] if how == "expire_all" else [bob]))
    with assert_statements(1):
        assert ann.is_following(key)


def test_a_user_of_no_session_ends_nothing(known, assert_statements, User):
    """It is expired, too, when it is made to look as if loaded."""
    ann, bob = known
    make_transient_to_detached(User(id=bob.id + 1))
    with assert_statements(0):
        assert ann.is_following(bob)


def test_a_failed_transaction_answers_nothing(known, session, User):
    """A question in a transaction that has failed is an error, as any other there."""
    ann, bob = known
    session.add(User(id=bob.id, username="again"))
    with pytest.raises(sa.exc.SQLAlchemyError), pytest.warns(sa.exc.SAWarning, match="identity"):
        session.flush()
    session.rollback()
    assert ann.is_following(bob)


def test_other_sessions_see_nothing_of_it(known, db, app):
    """Each has what its own transaction sees; a session of the host's own asks each time."""
    ann, bob = known
    a, b = ann.id, bob.id
    ann.unfollow(bob)
    assert not ann.is_following(bob)
    if db.engine.dialect.name == "sqlite":
        db.session.rollback()
    with Session(db.engine) as other:
        theirs = [other.get(type(ann), key) for key in (a, b)]
        assert Answers.of(other) is None
        for _ in range(2):
            assert theirs[0].is_following(theirs[1])
    db.session.rollback()
    assert ann.is_following(bob)


def test_a_pending_edge_is_flushed_first(known, session, follows):
    """An answer is not given past what the session has yet to write."""
    ann, bob = known
    assert not bob.is_following(ann)
    session.add(follows.Follow(follower=bob, followed=ann))
    assert bob.is_following(ann)


def test_nothing_is_flushed_where_that_is_switched_off(users, session, follows, User):
    """Reading ahead asks about those who have keys already."""
    ann, bob, *_ = users(4)
    with session.no_autoflush:
        new = User(username="new")
        session.add_all([new, follows.Follow(follower=ann, followed=bob)])
        assert not ann.is_following(bob)
        assert not ann.is_following(bob)
        assert ann.followed_count == 0
        assert new in session.new
    assert ann.is_following(bob)
    assert ann.followed_count == 1


def test_listeners_are_there_once(db, User, make_app, monkeypatch):
    """However many applications there are, each event is answered once."""
    forgotten = []

    def forget(self):
        forgotten.append(self)

    monkeypatch.setattr(Answers, "forget", forget)
    follows = Follows()
    for _ in range(3):
        app = make_app(db)
        follows.init_app(app, db, User)
    Follows(db=db, user_model=User)
    with app.app_context():
        db.create_all()
        ann, bob = add_users(db, User, 2)
        ann.is_following(bob)
        del forgotten[:]
        db.session.execute(sa.text("SELECT 1"))
        assert len(forgotten) == 1
        db.session.expire(bob)
        assert len(forgotten) == 2


# --- Histories ------------------------------------------------------------------------------------

# Few, so that much of what is done meets an edge that is there.
NUMBER = 3
PLACE = st.integers(0, NUMBER - 1)
PAIR = st.tuples(PLACE, PLACE).filter(lambda pair: pair[0] != pair[1])


class World:
    """Some users, what may be done to their edges, and what the database says of them."""

    def __init__(self, session, follows, users):
        self.session, self.follows, self.User = session, follows, type(users[0])
        self.keys = [user.id for user in users]
        self.table = follows.Follow.__table__
        self.held = []

    def user(self, place):
        """Return a user, made anew if it was deleted, and keep it."""
        user = self.session.get(self.User, self.keys[place])
        if user is None:
            user = self.User(id=self.keys[place], username=f"u{place}")
            self.session.add(user)
            self.session.flush()
        self.held.append(user)
        return user

    def key_pair(self, pair):
        """Return the keys of a pair, whose users exist."""
        return tuple(self.user(place).id for place in pair)

    def row(self, pair):
        source, target = self.key_pair(pair)
        return {"follower_id": source, "followed_id": target}

    def is_pair(self, pair):
        source, target = (self.keys[place] for place in pair)
        return self.table.c.follower_id == source, self.table.c.followed_id == target

    def in_table(self):
        """Return the pairs of keys in the table, read where nobody is told of it."""
        connection = self.session.connection(bind_arguments={"mapper": self.follows.Follow})
        rows = sa.select(self.table.c.follower_id, self.table.c.followed_id)
        return {tuple(row) for row in connection.execute(rows)}

    def is_there(self, pair):
        self.session.flush()
        return self.key_pair(pair) in self.in_table()

    # What may be done: each takes a pair.

    def do_follow(self, pair):
        self.user(pair[0]).follow(self.user(pair[1]))

    def do_follow_by_key(self, pair):
        self.follows.follow(*self.key_pair(pair))

    def do_unfollow(self, pair):
        self.user(pair[0]).unfollow(self.user(pair[1]))

    def do_unfollow_by_key(self, pair):
        self.follows.unfollow(*self.key_pair(pair))

    def do_toggle(self, pair):
        self.user(pair[0]).toggle_follow(self.user(pair[1]))

    def do_add_all(self, pair):
        others = [self.user(place) for place in range(NUMBER) if place != pair[0]]
        self.user(pair[0]).followers.add(*others)

    def do_add_many(self, pair):
        self.follows.add_many([self.key_pair(pair)])

    def do_set(self, pair):
        self.user(pair[0]).followed = [self.user(pair[1])]

    def do_clear(self, pair):
        self.user(pair[0]).followed.clear()

    def do_remove(self, pair):
        self.user(pair[0]).followers.remove(self.user(pair[1]))

    def do_insert_by_core(self, pair):
        if not self.is_there(pair):
            self.session.execute(sa.insert(self.table).values(self.row(pair)))

    def do_insert_in_bulk(self, pair):
        if not self.is_there(pair):
            self.session().bulk_insert_mappings(sa.inspect(self.follows.Follow), [self.row(pair)])

    def do_delete_by_core(self, pair):
        self.session.execute(sa.delete(self.table).where(*self.is_pair(pair)))

    def do_delete_by_text(self, pair):
        source, target = self.key_pair(pair)
        words = "DELETE FROM follows WHERE follower_id = :a AND followed_id = :b"
        self.session.execute(sa.text(words), {"a": source, "b": target})

    def do_add_object(self, pair):
        if not self.is_there(pair):
            self.session.add(self.follows.Follow(**self.row(pair)))

    def do_ask_unflushed(self, pair):
        self.do_add_object(pair)
        with self.session.no_autoflush:
            asked = self.follows.is_following(*(self.keys[place] for place in pair))
            assert asked == (tuple(self.keys[place] for place in pair) in self.in_table())

    def do_delete_object(self, pair):
        edge = self.session.get(self.follows.Follow, self.key_pair(pair))
        if edge is not None:
            self.session.delete(edge)

    def do_delete_user(self, pair):
        self.session.delete(self.user(pair[0]))

    def do_delete_user_by_statement(self, pair):
        self.session.execute(sa.delete(self.User).where(self.User.id == self.keys[pair[0]]))

    def do_expire(self, pair):
        self.session.expire(self.user(pair[0]))

    def do_let_go(self, pair):
        self.session.flush()
        self.session.expunge_all()
        del self.held[:]

    def do_close(self, pair):
        self.session().close()

    def do_begin_nested(self, pair):
        self.session.begin_nested()

    def do_commit_nested(self, pair):
        nested = self.session().get_nested_transaction() or self.session.begin_nested()
        nested.commit()

    def do_rollback_nested(self, pair):
        nested = self.session().get_nested_transaction() or self.session.begin_nested()
        nested.rollback()

    def do_commit(self, pair):
        self.session.commit()

    def do_rollback(self, pair):
        self.session.rollback()

    def check(self):
        """Compare every answer with the rows."""
        pairs = [(a, b) for a in self.keys for b in self.keys if a != b]
        relation, asked, counted = self.follows.follow_relation, [], []
        for reverse in (False, True):
            asked.append({pair for pair in pairs if relation.contains(*pair, reverse=reverse)})
            counted.append([relation.count(key, reverse=reverse) for key in self.keys])
        self.session.flush()
        there = self.in_table()
        assert asked == [there, there]
        for end in (0, 1):
            assert counted[end] == [[pair[end] for pair in there].count(key) for key in self.keys]


STEPS = [name for name in vars(World) if name.startswith("do_")]


def test_histories(app, db, follows, users):
    """After whatever step, each answer is what the table says."""
    begin_in_time(db.engine)
    world = World(db.session, follows, users(NUMBER))

    @settings(max_examples=settings().max_examples // 6, suppress_health_check=list(HealthCheck))
    @given(
        st.sets(PAIR, min_size=NUMBER),
        st.lists(st.tuples(st.sampled_from(STEPS), PAIR), min_size=10, max_size=20),
        st.booleans(),
    )
    def live(pairs, steps, expire_on_commit):
        db.session.rollback()
        db.session().expire_on_commit = expire_on_commit
        db.session.execute(sa.delete(world.table))
        follows.add_many(map(world.key_pair, sorted(pairs)))
        db.session.commit()
        world.check()
        for step, pair in steps:
            getattr(world, step)(pair)
            world.check()

    live()
    db.session.rollback()


@pytest.mark.parametrize("step", STEPS)
def test_each_step(app, db, follows, users, step):
    """Whatever is done between two savepoints is seen, and that it was undone, too."""
    begin_in_time(db.engine)
    world = World(db.session, follows, users(NUMBER))
    follows.add_many([world.key_pair(pair) for pair in [(0, 1), (1, 2), (2, 0)]])
    db.session.commit()
    for pair in [(0, 1), (1, 0)]:
        for end in ("do_rollback_nested", "do_commit_nested", "do_rollback"):
            world.check()
            world.do_begin_nested(pair)
            world.check()
            getattr(world, step)(pair)
            world.check()
            getattr(world, end)(pair)
            world.check()
    db.session.rollback()
