"""Keys: what may be given as a user, what is refused, and that a refusal costs nothing."""

from __future__ import annotations

import enum
import itertools
import uuid
from datetime import datetime, timezone

import pytest
import sqlalchemy as sa
from flask_login import AnonymousUserMixin, LoginManager, current_user, login_user
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.orm import aliased, class_mapper, column_property, make_transient, mapped_column

from flask_follows import (
    ConfigurationError,
    Follows,
    FollowsError,
    SelfFollowError,
    UnknownUserError,
    UnsavedInstanceError,
    WrongTypeError,
)
from flask_follows.keys import Endpoint, python_type, session_of

from .hosts import add_users, stored
from .models import make_user_model

# How the verbs name another user.
VERBS = {
    "follow": lambda user, other: user.follow(other),
    "unfollow": lambda user, other: user.unfollow(other),
    "remove_follower": lambda user, other: user.remove_follower(other),
    "toggle_follow": lambda user, other: user.toggle_follow(other),
    "is_following": lambda user, other: user.is_following(other),
    "is_followed_by": lambda user, other: user.is_followed_by(other),
    "is_mutual_with": lambda user, other: user.is_mutual_with(other),
    "followed.add": lambda user, other: user.followed.add(other),
    "followers.remove": lambda user, other: user.followers.remove(other),
    "followers.set": lambda user, other: user.followers.set([other]),
    "other in followed": lambda user, other: other in user.followed,
}
# Those that make an edge, and so need the other user to exist.
ADDING = {
    name: VERBS[name] for name in ("follow", "toggle_follow", "followed.add", "followers.set")
}
numbers = itertools.count()


class Colour(enum.IntEnum):
    RED = 2


class Sent(enum.IntEnum):
    """One that PyMySQL sends as its number whatever the Python: before 3.11, str() is a name."""

    RED = 2
    __str__ = int.__repr__


class Text(str):
    """A key may be of a subclass, as Markup is of str."""


class Shout(str):
    """A text that shows itself otherwise, as enumerations of texts do before Python 3.11."""

    def __str__(self):
        return f"{self[:]}!"


class Numbered(sa.TypeDecorator):
    """A host's own type above integers: it gives them out as they are."""

    impl = sa.Integer
    cache_ok = True

    def process_bind_param(self, value, dialect):
        return value


class Sealed(sa.TypeDecorator):
    """A host's own type above another of its own: texts outside, numbers inside."""

    impl = Numbered
    cache_ok = True

    def process_bind_param(self, value, dialect):
        return None if value is None else int(value.removeprefix("user-"))

    def process_result_value(self, value, dialect):
        return None if value is None else f"user-{value}"


class Unchanged(sa.TypeDecorator):
    """A host's own type that changes nothing on the way in."""

    impl = sa.SmallInteger
    cache_ok = True


class Guid(sa.TypeDecorator):
    """The well-known recipe: UUID objects outside, text inside."""

    impl = sa.String(36)
    cache_ok = True

    def process_bind_param(self, value, dialect):
        return None if value is None else str(uuid.UUID(str(value)))

    def process_result_value(self, value, dialect):
        return None if value is None else uuid.UUID(value)


class Point(sa.types.UserDefinedType):
    """A type that does not say what its values are, as many of SQLAlchemy 2.0's own."""

    cache_ok = True

    @property
    def python_type(self):
        raise NotImplementedError


class TypedGuid(Guid):
    """The same, telling what its values are."""

    cache_ok = True

    @property
    def python_type(self):
        return uuid.UUID


class Positive(sa.TypeDecorator):
    """Numbers of the host's own kind, which say that they are numbers."""

    impl = sa.Integer
    cache_ok = True

    @property
    def python_type(self):
        return int

    def process_bind_param(self, value, dialect):
        if value is not None and value < 1:
            raise ValueError("not positive")
        return value


def test_a_type_of_the_host_that_refuses_numbers(db, start, follows):
    """What it refuses is the key of nobody, however small."""
    User = make_user_model(db, key=mapped_column(Positive, primary_key=True, autoincrement=True))
    start(db, User)
    db.session.add_all([User(id=1, username="ann"), User(id=2, username="bob")])
    db.session.commit()
    assert follows.follow(1, 2)
    assert follows.is_following(1, 2)
    for key in 0, -5, -32769:
        assert follows.is_following(1, key) is False


class Shifted(sa.TypeDecorator):
    """Numbers that the database itself makes of others, on their way in and out."""

    impl = sa.Integer
    cache_ok = True

    @property
    def python_type(self):
        return int

    def bind_expression(self, bindvalue):
        return sa.type_coerce(bindvalue, sa.Integer) + 1000

    def column_expression(self, column):
        return sa.type_coerce(column, sa.Integer) - 1000


def test_a_key_that_is_read_by_way_of_sql(db, start, follows):
    """Pages, cursors and edges have it as the database gives it out."""
    User = make_user_model(db, key=mapped_column(Shifted, primary_key=True, autoincrement=False))
    start(db, User)
    users = [User(id=number, username=f"u{number}") for number in range(1, 5)]
    db.session.add_all(users)
    db.session.commit()
    me, *others = users
    for number, other in enumerate(others):
        me.follow(other, created_at=datetime(2024, 1, 1 + number, tzinfo=timezone.utc))
    for collection in me.followed, me.followed.filter(User.username != "x"):
        first = collection.page(per_page=2)
        assert [edge.followed_id for edge in first.edges] == [4, 3]
        assert [user.id for user in (*first, *collection.page(after=first.next))] == [4, 3, 2]


def endpoint(User):
    """Return the endpoint of a user class that no extension knows."""
    return Endpoint.of(class_mapper(User, configure=False))


def refused(db, User, error, match, verb, *ends):
    """Assert that a verb is refused, and that the transaction it was refused in goes on."""
    number = next(numbers)
    written = {f"before refusal {number}", f"after refusal {number}"}
    before, after = (User(username=name) for name in sorted(written, reverse=True))
    db.session.add(before)
    db.session.flush()
    with pytest.raises(error, match=match):
        verb(*ends)
    db.session.add(after)
    db.session.commit()
    there = sa.select(User.username).where(User.username.in_(written))
    assert set(db.session.scalars(there)) == written


# --- What may be given ----------------------------------------------------------------------------


def test_a_subclass_of_the_key_type_is_a_key(db, start):
    """An IntEnum is an int, Markup is a str."""
    User = make_user_model(db, key=sa.String(20))
    start(db, User)
    ann, _ = add_users(db, User, 2, ["ann", "bob"])
    assert ann.follow(Text("bob"))
    assert ann.is_following(Text("bob"))


def test_an_enumerated_integer_is_a_key(app, db, users):
    """An IntEnum serves where its number does."""
    ann, bob = users(2)
    assert bob.id == Colour.RED
    assert ann.follow(Colour.RED)
    assert ann.is_following(Colour.RED)


def test_a_key_is_a_plain_value(db):
    """What SQL is given has no ways of its own: not every driver asks for the number or text."""
    number, text = endpoint(make_user_model(db)), sa.String(20)
    word = endpoint(make_user_model(db, name="Word", key=text))
    for key in (number.key, number.saved_key):
        assert (key(Colour.RED), type(key(Colour.RED))) == (2, int)
    for key in (word.key, word.saved_key):
        assert [(key(kind("bob")), type(key(kind("bob")))) for kind in (Text, Shout)] == [
            ("bob", str),
            ("bob", str),
        ]


def test_an_object_with_an_enumerated_key(app, db, User, follows):
    """An object that the host has given such a key is known by its number."""
    ann, bob = User(id=1, username="ann"), User(id=Sent.RED, username="bob")
    db.session.add_all([ann, bob])
    assert ann.follow(bob)
    assert type(follows.follow_relation.source.key(bob)) is int
    assert bob.is_followed_by(1)


SPELLINGS = {
    "usual": str,
    "upper case": lambda key: str(key).upper(),
    "without dashes": lambda key: key.hex,
    "a subclass": lambda key: Text(key.hex.upper()),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_uuid_in_another_spelling(spelling, db, start, follows):
    """One key written in two ways is one user, in writes, reads, the session and on pages."""
    User = make_user_model(db, key=mapped_column(sa.Uuid(as_uuid=False), primary_key=True))
    start(db, User)
    keys = [uuid.UUID(int=number << 96 | 0xABCDEF) for number in (1, 2, 3)]
    ann, bob, cat = add_users(db, User, 3, map(str, keys))
    spell = SPELLINGS[spelling]
    a, b, c = map(spell, keys)
    with pytest.raises(SelfFollowError):
        ann.follow(a)
    with pytest.raises(SelfFollowError):
        follows.follow(a, str(keys[0]))
    assert ann.follow(b)
    assert ann.followed.add(b, bob, c) == 1
    assert ann.follow(bob) is False
    assert ann.is_following(b)
    assert stored(db, follows.follow_relation) == {(ann.id, bob.id), (ann.id, cat.id)}
    page = ann.followed.page(per_page=1)
    assert ann.followed.page(after=page.next, per_page=1).items == [bob]
    assert db.session.scalars(sa.select(User.id).where(User.is_following(c))).all() == [ann.id]
    edge = db.session.get(follows.Follow, (ann.id, bob.id))
    assert ann.unfollow(b)
    assert sa.inspect(edge).deleted
    db.session.commit()


def test_an_object_with_a_uuid_in_another_spelling(db, start, follows):
    """A new object still has its key as the host wrote it; without dashes it is stored alike."""
    User = make_user_model(db, key=mapped_column(sa.Uuid(as_uuid=False), primary_key=True))
    start(db, User)
    ann, bob = add_users(db, User, 2, [uuid.UUID(int=1).hex, uuid.UUID(int=2).hex])
    assert ann.follow(bob)
    with pytest.raises(SelfFollowError):
        ann.follow(str(uuid.UUID(int=1)))
    a, b = (str(uuid.UUID(int=number)) for number in (1, 2))
    assert stored(db, follows.follow_relation) == {(a, b)}


@pytest.mark.parametrize("kind", [Guid, TypedGuid])
def test_a_decorated_key_is_accepted(kind, db, start, follows):
    """A host's own column type takes what it takes."""
    User = make_user_model(db, key=mapped_column(kind, primary_key=True, default=uuid.uuid4))
    start(db, User)
    ann, bob, cat = add_users(db, User, 3)
    assert ann.follow(bob)
    assert ann.follow(cat.id)
    assert ann.followed.ids() in ([bob.id, cat.id], [cat.id, bob.id])
    with pytest.raises(UnknownUserError):
        ann.follow(uuid.uuid4())
    db.session.delete(ann)
    db.session.commit()
    assert stored(db, follows.follow_relation) == set()


def test_a_pending_user_is_flushed(app, db, User, users, follows):
    """An added object gets its key by a flush, as self and as the other."""
    (ann,) = users(1)
    bob, cat = User(username="bob"), User(username="cat")
    db.session.add_all([bob, cat])
    assert ann.follow(bob)
    assert cat.follow(ann)
    assert stored(db, follows.follow_relation) == {(ann.id, bob.id), (cat.id, ann.id)}


def test_a_pending_user_is_flushed_inside_no_autoflush(app, db, User, users):
    """A write needs the key even where the host holds flushes back."""
    (ann,) = users(1)
    bob = User(username="bob")
    db.session.add(bob)
    with db.session.no_autoflush:
        assert ann.follow(bob)
    assert bob.id is not None


def test_two_pending_users_are_told_apart(app, db, User):
    """Flask-Login finds two unsaved users equal; their keys are not."""
    ann, bob = User(username="ann"), User(username="bob")
    assert ann == bob
    db.session.add_all([ann, bob])
    assert ann.follow(bob)
    assert not ann.is_followed_by(bob)


def test_a_detached_user_is_known_by_its_key(app, db, users):
    """An object of a session that is closed has an identity: it is read, nothing is loaded."""
    ann, bob = users(2)
    db.session.close()
    assert ann.follow(bob)
    assert bob.is_followed_by(ann)
    assert ann.followed_count == 1
    db.session.rollback()


def test_an_expired_user_is_not_loaded(app, db, users, assert_statements):
    """After a commit the key of an object is known without a SELECT."""
    ann, bob = users(2)
    db.session.expire_all()
    with assert_statements(1):
        ann.follow(bob)


def test_a_user_whose_deletion_was_rolled_back_is_a_user_again(app, db, users):
    """A rollback restores it."""
    ann, bob = users(2)
    db.session.delete(bob)
    db.session.flush()
    db.session.rollback()
    assert ann.follow(bob)


def test_the_current_user_is_accepted(app, db, User, users, follows):
    """Flask-Login's proxy serves as self and as the other, in every place."""
    ann, bob, _ = users(3)
    logins = LoginManager(app)
    logins.user_loader(lambda key: db.session.get(User, int(key)))
    with app.test_request_context():
        login_user(ann)
        assert current_user.follow(bob)
        assert bob.follow(current_user)
        assert bob.is_following(current_user)
        assert current_user.is_mutual_with(bob)
        assert current_user.followers.contains(bob)
        assert current_user in bob.followers
        assert bob.followers.remove(current_user) == 1
        assert bob.followed.set([current_user]) is None
        assert follows.is_following(bob, current_user)
        statement = sa.select(User.id).where(User.is_following(current_user))
        assert db.session.scalars(statement).all() == [bob.id]
        with pytest.raises(SelfFollowError):
            ann.follow(current_user)
        with pytest.raises(SelfFollowError):
            current_user.follow(current_user)


def test_the_session_of_an_object_is_used(app, db, User, users):
    """Where the object is in another session than `db.session`, its edges are written there."""
    ann, bob = users(2)
    with sa.orm.Session(db.engine) as other:
        ann_there = other.get(User, ann.id)
        assert ann_there.follow(bob.id)
        assert session_of([ann.id, None, object(), ann_there]) is other
        other.rollback()
    assert not ann.is_following(bob)


def test_no_session_is_found_among_keys(app, users):
    """Keys and objects without a session have none to give."""
    assert session_of([1, "a", None, object()]) is None


# --- What is refused ------------------------------------------------------------------------------


def test_a_transient_user_is_refused(app, db, User, users):
    """An object that was never added is named, and the message says what to do."""
    (ann,) = users(1)
    match = r"User\(username='new'\) is not saved.*db\.session\.add"
    for verb in VERBS.values():
        refused(db, User, UnsavedInstanceError, match, verb, ann, User(username="new"))


def test_a_transient_self_is_refused(app, db, User, users):
    """The user who acts has to be saved as well."""
    (ann,) = users(1)
    more = [
        lambda new, ann: new.followers.clear(),
        lambda new, ann: new.followers.create(username="x"),
        lambda new, ann: setattr(new, "followed", [ann]),
        lambda new, ann: new.mutuals,
    ]
    for verb in [*VERBS.values(), *more]:
        if verb is not VERBS["other in followed"]:  # nobody is in it: no error
            refused(db, User, UnsavedInstanceError, "is not saved", verb, User(username="new"), ann)


@pytest.mark.parametrize("finish", ["flush", "commit"])
def test_a_deleted_user_is_refused(finish, app, db, User, users):
    """After the flush of its deletion, and after the commit, an object is no user any more."""
    (ann,) = users(1)
    for verb in VERBS.values():
        (bob,) = users(1)
        db.session.delete(bob)
        getattr(db.session, finish)()
        match = rf"User\(.*\) with key {bob.id} was deleted"
        refused(db, User, UnsavedInstanceError, match, verb, ann, bob)


def test_a_user_marked_for_deletion_is_refused(app, db, User, users):
    """Before the flush it still has a row, which the verb's own flush takes away."""
    (ann,) = users(1)
    for verb in ADDING.values():
        (bob,) = users(1)
        db.session.delete(bob)
        refused(db, User, FollowsError, "User", verb, ann, bob)


def test_an_object_made_transient_is_refused(app, db, User, users):
    """An object taken out of the session for good has no key, whatever its columns say."""
    ann, bob = users(2)
    make_transient(bob)
    assert bob.id == 2
    refused(db, User, UnsavedInstanceError, "is not saved", ann.follow, bob)


def test_an_object_of_another_class_is_refused(db, start):
    """A mapped object that is no user is refused by class, though its key would fit."""
    User, Post = make_user_model(db), make_user_model(db, name="Post")
    start(db, User)
    (ann,), (post,) = add_users(db, User, 1), add_users(db, Post, 1)
    match = r"expected an instance of User or its primary key \(int\), got Post\(.*\) with key 1"
    for verb in VERBS.values():
        refused(db, User, WrongTypeError, match, verb, ann, post)


def test_what_is_no_key_is_refused(app, db, User, users):
    """A value of another type than the key's is refused before it reaches the database."""
    (ann,) = users(1)
    match = r"expected an instance of User or its primary key \(int\), got "
    no_keys = ["1", 1.0, b"1", None, True, False, (1,), [1], object(), int]
    for bad in [*no_keys, User, aliased(User), User.id, User.followers]:
        for verb in VERBS.values():
            with pytest.raises(WrongTypeError, match=match):
                verb(ann, bad)
    refused(db, User, WrongTypeError, match, ann.follow, None)


@pytest.mark.parametrize("kind", [sa.Integer, sa.String(36), sa.Uuid, Guid])
def test_nobody_is_refused(kind, db, start, follows):
    """An anonymous visitor and a proxy of nothing are no users, whatever the key's type."""
    User = make_user_model(db, key=mapped_column(kind, primary_key=True, default=None))
    app = start(db, User)
    key = {sa.Integer: 1}.get(kind, uuid.uuid4())
    (ann,) = add_users(db, User, 1, [str(key) if isinstance(kind, sa.String) else key])
    LoginManager(app).user_loader(lambda key: None)
    with pytest.raises(WrongTypeError, match="expected an instance of User"):
        ann.follow(current_user)  # outside of a request it is None
    with app.test_request_context():
        for nobody in (current_user, AnonymousUserMixin(), None):
            for verb in VERBS.values():
                with pytest.raises(WrongTypeError, match="expected an instance of User"):
                    verb(ann, nobody)
            with pytest.raises(WrongTypeError, match="expected an instance of User"):
                follows.follow(nobody, ann)
            with pytest.raises(WrongTypeError, match="expected an instance of User"):
                User.is_following(nobody)
    db.session.commit()


def test_an_anonymous_visitor_is_named(app, db, users):
    """The message says that nobody is logged in, whatever the host has for nobody."""
    (ann,) = users(1)
    match = "nobody is logged in: current_user is anonymous; expected an instance of User"
    logins = LoginManager(app)
    logins.user_loader(lambda key: None)

    class Visitor:
        is_anonymous = True

    for nobody in (AnonymousUserMixin, Visitor):
        logins.anonymous_user = nobody
        with app.test_request_context():
            for verb in VERBS.values():
                with pytest.raises(WrongTypeError, match=match):
                    verb(ann, current_user)


def test_following_oneself_is_refused(app, db, User, users):
    """By object and by key, and the message names the option that lifts it."""
    (ann,) = users(1)
    match = r"User 1 cannot follow itself; .*allow_self_follow=True"
    for verb in ADDING.values():
        refused(db, User, SelfFollowError, match, verb, ann, ann)
        refused(db, User, SelfFollowError, match, verb, ann, 1)


def test_nobody_follows_themselves(app, db, users):
    """Asking whether a user follows themselves, and undoing it, is no error."""
    (ann,) = users(1)
    assert ann.is_following(ann) is False
    assert ann.is_mutual_with(ann) is False
    assert ann.unfollow(ann) is False


def test_an_unknown_user_is_refused(app, db, User, users, follows):
    """A key that nobody has is named, no edge is made, and the transaction goes on."""
    (ann,) = users(1)
    match = "no User with key 12345; none of the edges was made, the transaction goes on"
    for verb in ADDING.values():
        refused(db, User, UnknownUserError, match, verb, ann, 12345)
    assert stored(db, follows.follow_relation) == set()


def test_an_unknown_user_is_refused_without_foreign_keys(db, start):
    """Users are looked up in the same statement, whether or not the database checks them."""
    User, extension = make_user_model(db), Follows(foreign_keys="none")
    start(db, User, extension)
    (ann,) = add_users(db, User, 1)
    for verb in ADDING.values():
        refused(db, User, UnknownUserError, "no User with key 12345", verb, ann, 12345)
    refused(db, User, UnknownUserError, "key 12345", extension.follow, 12345, ann)
    assert stored(db, extension.follow_relation) == set()


def test_an_unknown_follower_is_refused(app, db, User, users, follows):
    """Both ends have to exist when both are keys."""
    (ann,) = users(1)
    refused(db, User, UnknownUserError, "key 12345", follows.follow, 12345, ann.id)
    refused(db, User, UnknownUserError, "key 54321, 54322", follows.follow, 54321, 54322)


@pytest.mark.parametrize("key", [12345, 2**31, -(2**31) - 1, 2**63, -(2**63) - 1, 10**40], ids=str)
def test_a_key_that_nobody_has(key, app, db, User, users, follows):
    """Out of range or not, it is an unknown user; undoing and asking are answered with no."""
    (ann,) = users(1)
    for verb in ADDING.values():
        refused(db, User, UnknownUserError, "no User with key", verb, ann, key)
    refused(db, User, UnknownUserError, "no User with key", follows.follow, key, ann)
    for name in VERBS.keys() - ADDING.keys():
        assert not VERBS[name](ann, key)
    assert follows.is_following(key, ann.id) is False
    assert follows.is_following(key, key) is False
    assert follows.unfollow(key, ann.id) is False
    assert follows.follow_relation.count(key) == 0
    ann.username = "written after the refusals"
    db.session.commit()
    assert ann.username == "written after the refusals"


@pytest.mark.parametrize(
    ("kind", "key"),
    [
        (sa.SmallInteger, 2**15),
        (sa.BigInteger, 2**63),
        (sa.BigInteger().with_variant(sa.Integer, "sqlite"), 2**63),
        (sa.Uuid(as_uuid=False), "not a uuid"),
        (sa.Uuid(as_uuid=False), "a\x00b"),
        (sa.String(10), "a\x00b"),
        (sa.String(10), "x" * 1000),
        (Numbered(), 2**31),
        (Numbered(), 2**70),
        (Sealed(), f"user-{2**70}"),
        (Unchanged(), 2**70),
    ],
    ids=repr,
)
def test_what_the_column_cannot_hold_is_an_unknown_user(kind, key, db, start, follows):
    """Whatever the key's type, a value that it has no room for is nobody's."""
    User = make_user_model(db, key=mapped_column(kind, primary_key=True, autoincrement=False))
    start(db, User)
    known = {int: 1, str: str(uuid.UUID(int=1))[: kind.length if hasattr(kind, "length") else 99]}
    known = "user-1" if isinstance(kind, Sealed) else known[type(key)]
    (ann,) = add_users(db, User, 1, [known])
    with pytest.raises(UnknownUserError, match="transaction goes on"):
        ann.follow(key)
    with pytest.raises(UnknownUserError, match="transaction goes on"):
        follows.follow(key, ann)
    assert ann.unfollow(key) is False
    assert ann.is_following(key) is False
    assert follows.is_following(key, ann) is False
    for criterion in (User.is_following(key), User.is_followed_by(key), User.is_mutual_with(key)):
        assert db.session.scalars(sa.select(User).where(criterion)).all() == []
        assert db.session.scalars(sa.select(User).where(~criterion)).all() == [ann]
    ann.username = "written after the refusal"
    db.session.commit()
    assert db.session.scalar(sa.select(User.username)) == "written after the refusal"


def test_a_key_is_not_shown_in_full(app, db, users):
    """A message names an object by short values and never loads one."""
    ann, bob = users(2)
    bob.username = "x" * 60
    db.session.delete(bob)
    db.session.commit()
    with pytest.raises(UnsavedInstanceError) as caught:
        ann.follow(bob)
    assert "x" * 41 not in str(caught.value)
    assert "with key 2" in str(caught.value)


# --- Endpoints ------------------------------------------------------------------------------------


def test_a_key_of_several_columns_is_refused(db):
    """The message names the class and the columns."""
    pair = {"id": mapped_column(sa.Integer, primary_key=True)}
    User = make_user_model(db, **pair, tenant=mapped_column(sa.Integer, primary_key=True))
    with pytest.raises(ConfigurationError, match=r"User has a primary key of 2 columns"):
        endpoint(User)


def test_a_class_without_a_table_is_refused(db):
    """An edge can refer to the rows of a table only."""
    User = make_user_model(db)
    selected = sa.select(User.__table__).where(User.__table__.c.id > 1).subquery()

    class Some(db.Model):
        __table__ = selected
        __mapper_args__ = {"primary_key": [selected.c.id]}  # noqa: RUF012

    with pytest.raises(ConfigurationError, match="Some is not mapped to a table"):
        endpoint(Some)


def test_an_endpoint_knows_its_class(db):
    """The key's column, attribute, type and table are found whatever they are called."""
    User = make_user_model(
        db, key=mapped_column("the key", sa.BigInteger, primary_key=True, key="the_key")
    )
    user = endpoint(User)
    assert user.model is User
    assert user.table is User.__table__
    assert user.column is User.__table__.c.the_key
    assert user.attribute_name == "id"
    assert user.python_type is int
    assert user.attribute() is User.id
    alias = aliased(User)
    assert user.attribute(alias) is alias.id


def test_the_key_may_be_hidden_behind_an_expression(db):
    """Another attribute over the same column does not confuse the endpoint."""
    User = make_user_model(db)
    class_mapper(User, configure=False).add_property("twice", column_property(User.id * 2))
    assert endpoint(User).attribute_name == "id"


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (sa.Integer, int),
        (sa.String(3), str),
        (sa.Uuid, uuid.UUID),
        (Guid, None),
        (TypedGuid, uuid.UUID),
        (sa.types.NullType, None),
        (Point, None),
    ],
)
def test_the_type_of_a_key(kind, expected):
    """It is known where the column's type tells."""
    users = sa.Table("users", sa.MetaData(), sa.Column("id", kind, primary_key=True))
    assert python_type(users.c.id) is expected


POSTGRESQL, MYSQL, SQLITE = postgresql.dialect(), mysql.dialect(), sqlite.dialect()


@pytest.mark.parametrize(
    ("kind", "dialect", "lowest", "highest"),
    [
        (sa.Integer(), POSTGRESQL, -(2**31), 2**31 - 1),
        (sa.Integer(), MYSQL, -(2**31), 2**31 - 1),
        (sa.Integer(), SQLITE, -(2**63), 2**63 - 1),
        (sa.BigInteger(), POSTGRESQL, -(2**63), 2**63 - 1),
        (sa.SmallInteger(), POSTGRESQL, -(2**15), 2**15 - 1),
        (sa.BigInteger().with_variant(sa.Integer, "mysql"), MYSQL, -(2**31), 2**31 - 1),
        (mysql.INTEGER(unsigned=True), MYSQL, 0, 2**32 - 1),
        (mysql.BIGINT(unsigned=True), MYSQL, 0, 2**64 - 1),
    ],
    ids=lambda value: value.name if isinstance(value, sa.Dialect) else repr(value),
)
def test_the_range_of_an_integer_key(kind, dialect, lowest, highest, db):
    """A number is held exactly when the column of that database has room for it."""
    User = make_user_model(db, key=mapped_column(kind, primary_key=True))
    user = endpoint(User)
    assert user.can_hold(lowest, dialect)
    assert user.can_hold(highest, dialect)
    assert not user.can_hold(highest + 1, dialect)
    assert not user.can_hold(min(lowest - 1, -(2**15) - 1), dialect)


@pytest.mark.parametrize(
    ("kind", "key", "fits"),
    [
        (sa.String(10), "x" * 100, True),
        (sa.String(10), "a\x00b", False),
        (sa.Uuid(as_uuid=False), "not a uuid", False),
        (sa.Uuid(as_uuid=False), str(uuid.UUID(int=1)), True),
    ],
    ids=repr,
)
def test_the_range_of_a_text_key(kind, key, fits, db):
    """PostgreSQL has no place for some texts; the others compare them with anything."""
    user = endpoint(make_user_model(db, key=mapped_column(kind, primary_key=True)))
    assert user.can_hold(key, POSTGRESQL) is fits
    assert user.can_hold(key, MYSQL)
    assert user.can_hold(key, SQLITE)


def test_half_a_character_is_no_key(db):
    """JSON may bring half of a surrogate pair, which no driver can send."""
    user = endpoint(make_user_model(db, key=sa.String(10)))
    for dialect in POSTGRESQL, MYSQL, SQLITE:
        assert not user.can_hold("\ud800", dialect)
        assert user.can_hold("\U0001f600", dialect)


@pytest.mark.parametrize(
    ("kind", "lowest", "highest"),
    [
        (Numbered(), -(2**31), 2**31 - 1),
        (Unchanged(), -(2**15), 2**15 - 1),
        (Sealed(), f"user-{-(2**31)}", f"user-{2**31 - 1}"),
        (Numbered().with_variant(sa.BigInteger(), "postgresql"), -(2**63), 2**63 - 1),
    ],
    ids=repr,
)
def test_the_range_of_a_decorated_key(kind, lowest, highest, db):
    """It is that of the type below, for the value that is stored."""
    user = endpoint(make_user_model(db, key=mapped_column(kind, primary_key=True)))
    assert user.can_hold(lowest, POSTGRESQL)
    assert user.can_hold(highest, POSTGRESQL)
    beyond = f"user-{2**31}" if isinstance(highest, str) else highest + 1
    assert not user.can_hold(beyond, POSTGRESQL)


def test_the_parameter_of_a_key_is_cached(db):
    """SQL about two keys is one statement to SQLAlchemy, whether or not they can be held."""
    user = endpoint(make_user_model(db))
    one, other = (sa.select(user.column == user.parameter(key)) for key in (1, 2**70))
    assert str(one.compile(dialect=POSTGRESQL)) == str(other.compile(dialect=POSTGRESQL))
    literal = one.compile(dialect=SQLITE, compile_kwargs={"literal_binds": True})
    assert "user.id = 1 AS" in str(literal)


def test_a_number_without_limits_is_held(db):
    """A NUMERIC key has no range of its own."""
    User = make_user_model(db, key=mapped_column(sa.Numeric(40), primary_key=True))
    assert endpoint(User).can_hold(10**30, POSTGRESQL)


def test_unsigned_keys_have_their_whole_range(db, start, follows):
    """MySQL's unsigned keys go up to twice the usual, and are users like others."""
    kind = sa.BigInteger().with_variant(mysql.INTEGER(unsigned=True), "mysql", "mariadb")
    User = make_user_model(db, key=mapped_column(kind, primary_key=True, autoincrement=False))
    start(db, User)
    ann, bob = add_users(db, User, 2, [2**32 - 1, 1])
    assert ann.follow(bob)
    assert bob.follow(2**32 - 1)
    assert stored(db, follows.follow_relation) == {(2**32 - 1, 1), (1, 2**32 - 1)}


def test_a_message_gives_no_secret_away(db):
    """It names an object by what it is called: it ends up in logs."""
    User = make_user_model(db, password=mapped_column(sa.String(40)))
    with pytest.raises(UnsavedInstanceError) as error:
        endpoint(User).key(User(username="ann", password="hunter2"))
    assert "User(username='ann') is not saved" in str(error.value)
