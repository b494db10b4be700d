"""Inside a loop over a streamed result a question is answered or refused, and no row is lost."""

from __future__ import annotations

import gc

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from flask_follows import Follows, StreamedResultError

from .hosts import add_users
from .models import make_user_model

NUMBER = 50


@pytest.fixture
def crowd(users, session, follows):
    """The keys of fifty users; the first follows each second of the others. Nobody is loaded."""
    keys = [user.id for user in users(NUMBER)]
    follows.add_many([(keys[0], key) for key in keys[2::2]])
    session.commit()
    session.expunge_all()
    return keys


@pytest.fixture
def loses_rows(database):
    """Whether the driver drops a streamed result for another statement."""
    return database.name == "mariadb"


def followed_in(keys, key):
    """Tell whether the first of the crowd follows another."""
    return keys.index(key) % 2 == 0 and key != keys[0]


# --- Ways to stream -------------------------------------------------------------------------------


def by_scalars(session, User):
    """As the documentation of SQLAlchemy has it."""
    found = session.scalars(sa.select(User).execution_options(yield_per=10))
    return (user.id for user in found)


def by_execute(session, User):
    """With the option beside the statement, and some columns only."""
    found = session.execute(sa.select(User.id, User.username), execution_options={"yield_per": 10})
    return (row.id for row in found)


def by_query(session, User):
    """The old way."""
    return (user.id for user in session.query(User).yield_per(10))


def by_partitions(session, User):
    """Ten at a time."""
    found = session.scalars(sa.select(User), execution_options={"yield_per": 10})
    return (user.id for part in found.partitions() for user in part)


def by_core(session, User):
    """Rows of the table."""
    rows = session.execute(
        sa.select(User.__table__.c.id), execution_options={"stream_results": True}
    )
    return iter(rows.scalars())


def by_text(session, User):
    """A text."""
    words = str(sa.select(User.__table__.c.id).compile(dialect=session.get_bind().dialect))
    return iter(session.scalars(sa.text(words), execution_options={"yield_per": 10}))


def by_connection(session, User):
    """Past the session, on its connection."""
    ids = sa.select(User.__table__.c.id)
    return iter(session.connection().scalars(ids, execution_options={"stream_results": True}))


WAYS = [by_scalars, by_execute, by_query, by_partitions, by_core, by_text, by_connection]
each_way = pytest.mark.parametrize("stream", WAYS, ids=lambda way: way.__name__)


@each_way
def test_a_question_in_the_loop(
    crowd, session, follows, User, loses_rows, stream, assert_statements
):
    """It is answered; where that would cut the loop short it is refused, before it is sent."""
    seen = []
    for key in stream(session, User):
        seen.append(key)
        if loses_rows:
            with assert_statements(0), pytest.raises(StreamedResultError, match=r"follows\.status"):
                follows.is_following(crowd[0], key)
        else:
            assert follows.is_following(crowd[0], key) == followed_in(crowd, key)
    assert sorted(seen) == crowd


@pytest.mark.parametrize(
    "stream", [way for way in WAYS if way is not by_text], ids=lambda way: way.__name__
)
def test_asked_before_the_loop(crowd, session, follows, User, stream, assert_statements):
    """What is known already is answered inside the loop on every database.

    Not for a text, of which nobody knows what it writes: all answers are forgotten before it.
    """
    follows.status(crowd[0], crowd)
    seen = {}
    with assert_statements(1):
        for key in stream(session, User):
            seen[key] = follows.is_following(crowd[0], key), follows.is_following(key, crowd[0])
    assert seen == {key: (followed_in(crowd, key), False) for key in crowd}


def test_read_into_a_list(crowd, session, follows, User):
    """The other way out: nothing is open when the loop begins."""
    users = session.scalars(sa.select(User).execution_options(yield_per=10)).all()
    viewer = session.get(User, crowd[0])
    assert sum(viewer.is_following(user) for user in users) == NUMBER // 2 - 1


def test_all_that_is_ours_is_refused(crowd, session, follows, User, loses_rows, assert_statements):
    """Reads and writes, by whatever name; and the loop goes on."""
    ann, bob = session.get(User, crowd[0]), session.get(User, crowd[2])
    asked = [
        lambda: ann.is_following(bob),
        lambda: ann.followers_count,
        ann.followers.count,
        lambda: ann.followers.capped_count(3),
        lambda: ann.followed.contains(bob),
        ann.followed.exists,
        ann.followed.ids,
        ann.followed.page,
        lambda: ann.followed.filter(User.id > 0).exists(),
        lambda: ann.followed.filter(User.id > 0).page(),
        lambda: ann.followed.get_or_create(username="u2"),
        lambda: ann.followed.create(username="new"),
        lambda: follows.status(ann, [bob]),
        ann.mutuals.all,
        follows.known_followers(ann, bob).all,
        follows.known_followers(ann, bob).count,
        lambda: list(follows.followed_in_common(ann, bob)),
        lambda: follows.known_followers_of(ann, [bob]),
        lambda: follows.suggestions(ann),
        lambda: follows.feed(ann, User.id, order_by=(User.username, User.id)).page(),
        lambda: bob.follow(ann),
        lambda: ann.unfollow(bob),
        ann.followed.clear,
        lambda: follows.add_many([(crowd[2], crowd[3])]),
    ]
    result = session.scalars(sa.select(User.id), execution_options={"yield_per": 10})
    seen = [next(result)]
    if loses_rows:
        with assert_statements(0):
            for ask in asked:
                with pytest.raises(StreamedResultError):
                    ask()
                for new in session.new:  # by create()
                    session.expunge(new)
    assert len([*seen, *result]) == NUMBER
    for ask in asked:
        ask()


def test_a_flush_is_refused(crowd, session, follows, User, loses_rows, assert_statements):
    """A question that is known would flush what is pending first; a new user is flushed for a key.

    Nothing is lost of it: it is flushed after the loop.
    """
    ann, bob = session.get(User, crowd[0]), session.get(User, crowd[2])
    result = session.scalars(sa.select(User.id), execution_options={"yield_per": 10})
    seen = [next(result)]
    if loses_rows:
        result.close()
        seen = []
        assert ann.is_following(bob)
        assert ann.followed_count == NUMBER // 2 - 1
        result = session.scalars(sa.select(User.id), execution_options={"yield_per": 10})
        seen.append(next(result))
        bob.username = "bobby"
        new = User(username="new")
        with assert_statements(0):
            for ask in (lambda: ann.is_following(bob), lambda: ann.followed_count):
                with pytest.raises(StreamedResultError):
                    ask()
            with session.no_autoflush:
                assert ann.is_following(bob)
            session.add(new)
            with pytest.raises(StreamedResultError):
                ann.follow(new)
        assert new in session.new
    assert len([*seen, *result]) == NUMBER
    bob.username = "bobby"
    assert ann.is_following(bob)
    assert bob not in session.dirty


# --- When it is over ------------------------------------------------------------------------------


def broken_off(session, result):
    """Nobody has the result any more."""
    del result[:]
    gc.collect()


def closed(session, result):
    """It was closed."""
    result[0].close()


def read_to_the_end(session, result):
    """No row is left, though the result is still held."""
    assert len(result[0].all()) == NUMBER - 1


def rolled_back(session, result):
    """The transaction is over, though the result is still held."""
    session.rollback()


def committed(session, result):
    """The transaction is over, though the result is still held."""
    session.commit()


def session_closed(session, result):
    """The transaction is over, though the result is still held."""
    session.close()


OVER = [broken_off, closed, read_to_the_end, rolled_back, committed, session_closed]


# PyMySQL and psycopg warn of rows that were not read.
left_over = pytest.mark.filterwarnings(
    "ignore:Previous unbuffered result", "ignore::pytest.PytestUnraisableExceptionWarning"
)


@left_over
@pytest.mark.parametrize("end", OVER, ids=lambda end: end.__name__)
def test_questions_afterwards(crowd, session, follows, User, loses_rows, end):
    """However a stream ends, questions are answered from then on."""
    result = [session.scalars(sa.select(User), execution_options={"yield_per": 10})]
    next(result[0])
    if loses_rows:
        with pytest.raises(StreamedResultError):
            follows.is_following(crowd[0], crowd[2])
    end(session, result)
    assert follows.is_following(crowd[0], crowd[2])
    assert follows.unfollow(crowd[0], crowd[2])
    assert not follows.is_following(crowd[0], crowd[2])


@left_over
def test_a_loop_left_by_an_error(crowd, session, follows, User):
    """The result is gone with the loop, as soon as the error is."""

    def fail():
        for _ in session.scalars(sa.select(User), execution_options={"yield_per": 10}):
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    gc.collect()
    assert follows.is_following(crowd[0], crowd[2])


# --- Whose connection -----------------------------------------------------------------------------


def test_another_session(crowd, db, session, follows, User, loses_rows):
    """A stream is in the way of its own connection only; a session of the host's is covered."""
    result = session.scalars(sa.select(User.id), execution_options={"yield_per": 10})
    next(result)
    with Session(db.engine) as other:
        ann, bob = (other.get(User, key) for key in crowd[0:3:2])
        assert ann.is_following(bob)
        theirs = other.scalars(sa.select(User.id), execution_options={"yield_per": 10})
        next(theirs)
        result.close()
        assert follows.is_following(crowd[0], crowd[2])
        if loses_rows:
            with pytest.raises(StreamedResultError):
                ann.is_following(bob)
        else:
            assert ann.is_following(bob)
        theirs.close()


def test_another_bind(db, start, make_database, follows):
    """A stream from another database is not in the way, nor what is pending there."""
    User = make_user_model(db, __bind_key__="people")
    note = {"__tablename__": "notes", "id": sa.Column(sa.Integer, primary_key=True)}
    Note = type("Note", (db.Model,), {**note, "text": sa.Column(sa.String(20))})
    start(db, User, SQLALCHEMY_BINDS={"people": make_database()})
    ann, bob = add_users(db, User, 2)
    db.session.add_all(Note(text="old") for _ in range(NUMBER))
    ann.follow(bob)
    db.session.commit()
    seen = 0
    for note in db.session.scalars(sa.select(Note), execution_options={"yield_per": 10}):
        seen += 1
        assert ann.is_following(bob)
        ann.username = f"ann{seen}"
        assert ann.is_following(bob)
        db.session.expunge(note)
    assert seen == NUMBER


def test_without_reading_ahead(db, User, make_app, loses_rows):
    """Rows are dear there, too."""
    follows, app = Follows(read_ahead=False), make_app(db)
    follows.init_app(app, db, User)
    with app.app_context():
        db.create_all()
        ann, bob = add_users(db, User, 2)
        ann.follow(bob)
        result = db.session.scalars(sa.select(User.id), execution_options={"yield_per": 1})
        next(result)
        if loses_rows:
            with pytest.raises(StreamedResultError):
                ann.is_following(bob)
        else:
            assert ann.is_following(bob)
        assert len(result.all()) == 1


def test_a_connection_that_was_lost_ends_all_the_same(crowd, session, follows):
    """Its transaction is rolled back without a question to it; the next one asks as ever."""
    follows.is_following(crowd[0], crowd[2])
    session.connection().invalidate()
    session.rollback()
    assert follows.is_following(crowd[0], crowd[2])
