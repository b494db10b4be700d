"""The signals: what each verb tells, when, to whom, and what it costs where nobody listens."""

from __future__ import annotations

from contextvars import Context
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import Session

from flask_follows import Follows, UnknownUserError, signals
from flask_follows.chunks import CHUNK

from .models import make_user_model
from .recording import recorded_changes, recorded_follows


def refused(error, do):
    """Do what must raise this error."""
    with pytest.raises(error):
        do()


# What is done, by name: the edges before, what is done, and the changes told. An edge is written
# with two letters, follower first; a change as "action instance> edges", with "<" when the
# instance is at the followed end and "-" for none.
CASES = {
    "follow": ("", lambda w: w.a.follow(w.b), ["add a> ab"]),
    "follow by key": ("", lambda w: w.a.follow(w.b.id), ["add a> ab"]),
    "follow again": ("ab", lambda w: w.a.follow(w.b), []),
    "unfollow": ("ab", lambda w: w.a.unfollow(w.b), ["remove a> ab"]),
    "unfollow nobody": ("", lambda w: w.a.unfollow(w.b), []),
    "unfollow an unknown key": ("ab", lambda w: w.a.unfollow(10**6), []),
    "remove_follower": ("ab", lambda w: w.b.remove_follower(w.a), ["remove b< ab"]),
    "remove_follower, none": ("ab", lambda w: w.a.remove_follower(w.b), []),
    "toggle on": ("", lambda w: w.a.toggle_follow(w.b), ["add a> ab"]),
    "toggle off": ("ab", lambda w: w.a.toggle_follow(w.b), ["remove a> ab"]),
    "both ends by key": ("", lambda w: w.follows.follow(w.a.id, w.b.id), ["add a> ab"]),
    "both ends by key again": ("ab", lambda w: w.follows.follow(w.a.id, w.b.id), []),
    "unfollow by keys": ("ab", lambda w: w.follows.unfollow(w.a.id, w.b.id), ["remove a> ab"]),
    "unfollow by keys, none": ("", lambda w: w.follows.unfollow(w.a.id, w.b.id), []),
    "add": ("ab", lambda w: w.a.followed.add(w.b, w.c, w.d), ["add a> ac ad"]),
    "add one twice": ("", lambda w: w.a.followed.add(w.b, w.b.id), ["add a> ab"]),
    "add what is there": ("ab ac", lambda w: w.a.followed.add(w.b, w.c), []),
    "add nothing": ("", lambda w: w.a.followed.add(), []),
    "add followers": ("", lambda w: w.b.followers.add(w.c, w.a), ["add b< ab cb"]),
    "append": ("", lambda w: w.a.followed.append(w.b), ["add a> ab"]),
    "extend": ("", lambda w: w.a.followed.extend([w.b, w.c]), ["add a> ab ac"]),
    "add_all": ("", lambda w: w.b.followers.add_all([w.a]), ["add b< ab"]),
    "remove one": ("ab ac", lambda w: w.a.followed.remove(w.b), ["remove a> ab"]),
    "remove many": ("ab ac", lambda w: w.a.followed.remove(w.c, w.b, w.d), ["remove a> ab ac"]),
    "remove strangers": ("ab", lambda w: w.a.followed.remove(w.c, w.d), []),
    "remove nothing": ("ab", lambda w: w.a.followed.remove(), []),
    "remove one follower": ("ab", lambda w: w.b.followers.remove(w.a.id), ["remove b< ab"]),
    "remove followers": ("ab cb", lambda w: w.b.followers.remove(w.a, w.c), ["remove b< ab cb"]),
    "clear": ("ab ac bc", lambda w: w.a.followed.clear(), ["clear a> ab ac"]),
    "clear followers": ("ac ab bc", lambda w: w.c.followers.clear(), ["clear c< ac bc"]),
    "clear nothing": ("bc", lambda w: w.a.followed.clear(), []),
    "set": (
        "ab ac",
        lambda w: w.a.followed.set([w.c, w.d]),
        ["add a> ad", "remove a> ab"],
    ),
    "set followers": (
        "ad bd",
        lambda w: w.d.followers.set([w.c]),
        ["add d< cd", "remove d< ad bd"],
    ),
    "set the same": ("ab ac", lambda w: w.a.followed.set([w.c, w.b]), []),
    "set from nothing": (
        "ab",
        lambda w: w.a.followed.set([w.b, w.c], clear=True),
        ["clear a> ab", "add a> ab ac"],
    ),
    "assign": ("", lambda w: setattr(w.a, "followed", [w.b]), ["add a> ab"]),
    "assign followers": ("ab", lambda w: setattr(w.b, "followers", []), ["remove b< ab"]),
    "create": ("", lambda w: w.a.followed.create(username="n"), ["add a> an"]),
    "create a follower": ("", lambda w: w.a.followers.create(username="n"), ["add a< na"]),
    "get_or_create, made": ("", lambda w: w.a.followed.get_or_create(username="n"), ["add a> an"]),
    "get_or_create, there": ("ab", lambda w: w.a.followed.get_or_create(username="u1"), []),
    "get_or_create, a stranger": (
        "",
        lambda w: refused(sa.exc.IntegrityError, lambda: w.a.followed.get_or_create(username="u1")),
        [],
    ),
    "update_or_create, made": (
        "",
        lambda w: w.a.followers.update_or_create(username="n"),
        ["add a< na"],
    ),
    "update_or_create, there": (
        "ab",
        lambda w: w.a.followed.update_or_create({"username": "n"}, username="u1"),
        [],
    ),
    "add_many": (
        "ac",
        lambda w: w.follows.add_many([(w.b.id, w.a.id), (w.a.id, w.b.id), (w.a.id, w.c.id)]),
        ["add -> ab ba"],
    ),
    "add_many of nothing": ("", lambda w: w.follows.add_many([]), []),
    "add_many of old": ("ab", lambda w: w.follows.add_many([(w.a.id, w.b.id)] * 2), []),
    "an unknown user": (
        "",
        lambda w: refused(UnknownUserError, lambda: w.a.followed.add(w.b, 10**6)),
        [],
    ),
}


@pytest.fixture
def world(users, session, User, follows):
    """Four users a, b, c, d, none of whom follows anyone."""
    people = dict(zip("abcd", users(4), strict=True))
    return SimpleNamespace(**people, session=session, User=User, follows=follows)


@pytest.fixture
def changes(world):
    """What `relation_changed` tells."""
    with recorded_changes() as heard:
        yield heard


@pytest.fixture
def told(world):
    """What `followed` and `unfollowed` tell."""
    with recorded_follows() as heard:
        yield heard


def letter(world, key):
    """Return the letter of a user's key, "n" for one who was made since."""
    return next((name for name in "abcd" if getattr(world, name).id == key), "n")


def edges_of(world, pairs):
    """Write pairs of keys with letters."""
    return " ".join(letter(world, pair[0]) + letter(world, pair[1]) for pair in pairs)


def written(world, change):
    """Write a change as the table of cases does."""
    instance = change["instance"]
    who = "-" if instance is None else letter(world, getattr(instance, "id", instance))
    side = "<" if change["reverse"] else ">"
    return f"{change['action']} {who}{side} {edges_of(world, change['pairs'])}"


def make_edges(world, edges):
    """Make edges, given with letters, and commit them."""
    for follower, followed in edges.split():
        getattr(world, follower).follow(getattr(world, followed))
    world.session.commit()


def announced(changes):
    """Return what is to be told after the commit of these changes."""
    names = {"add": "followed", "remove": "unfollowed", "clear": "unfollowed"}
    return [(names[change["action"]], *pair) for change in changes for pair in change["pairs"]]


def empty(world):
    """Take back what a case did."""
    world.session.rollback()
    world.session.execute(sa.delete(world.follows.Follow))
    world.session.execute(sa.delete(world.User).where(world.User.id > world.d.id))
    for number, name in enumerate("abcd"):
        getattr(world, name).username = f"u{number}"
    world.session.commit()


def test_verbs_tell_exactly_what_they_changed(world):
    """Each verb tells its changes at once and, after the commit, each edge; a no-op nothing."""
    for case, (before, do, expected) in CASES.items():
        make_edges(world, before)
        with recorded_changes() as changes, recorded_follows() as told:
            do(world)
            assert [written(world, change) for change in changes] == expected, case
            assert told == [], case
            world.session.commit()
            assert told == announced(changes), case
            assert [written(world, change) for change in changes] == expected, case
        empty(world)


def test_verbs_do_the_same_when_nobody_listens(world):
    """Edges and result of a verb do not depend on listeners."""
    Follow = world.follows.Follow
    for case, (before, do, expected) in CASES.items():
        make_edges(world, before)
        do(world)
        world.session.commit()
        edges = set(before.split())
        for change in expected:
            action, _, *pairs = change.split()
            edges = edges | set(pairs) if action == "add" else edges - set(pairs)
        rows = world.session.execute(sa.select(Follow.follower_id, Follow.followed_id)).all()
        assert set(edges_of(world, rows).split()) == edges, case
        empty(world)


def test_the_arguments_of_relation_changed(world, changes, app, follows):
    """The sender is the app; relation, instance, keys, pairs and session are the real ones."""
    a, b, c = world.a, world.b, world.c
    c.followers.add(a, b)
    (change,) = changes
    assert change.pop("sender") is app
    assert change.pop("relation") is follows.follow_relation
    assert change.pop("instance") is c
    assert change.pop("session") is world.session()
    assert change == {
        "action": "add",
        "keys": frozenset({a.id, b.id}),
        "pairs": ((a.id, c.id), (b.id, c.id)),
        "reverse": True,
    }
    assert type(change["keys"]) is frozenset
    assert [type(pair) for pair in change["pairs"]] == [tuple, tuple]


@pytest.mark.parametrize("verb", ["remove", "clear"])
def test_keys_lie_at_the_end_away_from_the_instance(world, changes, verb):
    """Of removed edges, too, `keys` are the others' and `pairs` whole."""
    make_edges(world, "ab ac")
    changes.clear()
    a, b, c = world.a, world.b, world.c
    a.followed.remove(b, c) if verb == "remove" else a.followed.clear()
    (change,) = changes
    assert change["keys"] == frozenset({b.id, c.id})
    assert change["pairs"] == ((a.id, b.id), (a.id, c.id))


def test_the_arguments_of_followed_and_unfollowed(world, app, follows):
    """The sender is the app; the relation and the two keys are told, and nothing else."""
    heard = []

    def note(*sender, **arguments):
        heard.append((*sender, arguments))

    with signals.followed.connected_to(note), signals.unfollowed.connected_to(note):
        world.a.follow(world.b)
        world.session.commit()
        world.a.unfollow(world.b)
        world.session.commit()
    keys = {"follower_id": world.a.id, "followed_id": world.b.id}
    assert heard == [(app, {"relation": follows.follow_relation, **keys})] * 2


def test_the_sender_is_the_app_of_the_moment(make_app, database_url):
    """Of two applications with one database object, the one whose context is pushed is it."""
    db, follows = SQLAlchemy(), Follows()
    User = make_user_model(db)
    senders, apps = [], [make_app(db), make_app(db)]
    for app in apps:
        follows.init_app(app, db, User)

    def note(sender, **arguments):
        senders.append(sender)

    with signals.relation_changed.connected_to(note), signals.followed.connected_to(note):
        for app in apps:
            with app.app_context():
                db.create_all()
                users = [User(username=f"{name} of {id(app)}") for name in ("ann", "bob")]
                db.session.add_all(users)
                users[0].follow(users[1])
                db.session.commit()
    assert [id(sender) for sender in senders] == [id(app) for app in apps for _ in range(2)]


def test_a_receiver_for_another_app_hears_nothing(world, make_app):
    """Receivers connected to one app as sender are not called for another."""
    other = make_app(SQLAlchemy())
    heard = []

    def note(sender, **arguments):
        heard.append(sender)

    for signal in (signals.relation_changed, signals.followed):
        with signal.connected_to(note, sender=other):
            world.a.toggle_follow(world.b)
            world.session.commit()
    assert heard == []


# Inside the transaction


def test_relation_changed_comes_after_the_statement_and_before_the_commit(world, follows):
    """A receiver sees the edge in its session, and no other transaction does yet."""
    a, b = world.a.id, world.b.id
    engine = world.session.get_bind()
    count = sa.select(sa.func.count()).select_from(follows.Follow.__table__)
    seen = []

    def look(sender, session, **arguments):
        with engine.connect() as elsewhere:
            seen.append((follows.is_following(a, b), elsewhere.scalar(count)))

    with signals.relation_changed.connected_to(look):
        world.a.follow(world.b)
        world.session.commit()
        world.a.unfollow(world.b)
        world.session.commit()
    assert seen == [(True, 0), (False, 1)]


@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_a_receiver_may_write_to_the_session(world, end):
    """What a receiver of `relation_changed` writes shares the fate of the change."""
    User = world.User

    def write(sender, session, pairs, **arguments):
        session.add(User(username=f"notified of {len(pairs)}"))

    with signals.relation_changed.connected_to(write):
        world.a.followed.add(world.b, world.c)
        getattr(world.session, end)()
    found = world.session.scalars(sa.select(User.username).filter_by(username="notified of 2"))
    assert found.all() == (["notified of 2"] if end == "commit" else [])


def test_a_receiver_may_change_edges(world, changes, told):
    """A receiver that follows back causes one more change, and no endless game."""

    def follow_back(sender, action, pairs, **arguments):
        for follower, followed in pairs:
            world.follows.follow(followed, follower)

    with signals.relation_changed.connected_to(follow_back):
        world.a.follow(world.b)
    world.session.commit()
    assert sorted(written(world, change) for change in changes) == ["add a> ab", "add b> ba"]
    assert sorted(edges_of(world, [pair[1:]]) for pair in told) == ["ab", "ba"]


def test_an_error_of_a_receiver_reaches_the_caller(world):
    """A receiver of `relation_changed` may refuse: its error goes through, the rest is alive."""

    def refuse(sender, **arguments):
        raise PermissionError("blocked")

    with (
        signals.relation_changed.connected_to(refuse),
        pytest.raises(PermissionError, match="blocked"),
    ):
        world.a.follow(world.b)
    world.session.rollback()
    assert not world.a.is_following(world.b)


def test_an_edge_is_told_even_where_a_receiver_failed(world, told):
    """A caller that survives a receiver's error and commits has made the edge, so it is told."""

    def refuse(sender, **arguments):
        raise PermissionError("blocked")

    with signals.relation_changed.connected_to(refuse), pytest.raises(PermissionError):
        world.a.follow(world.b)
    world.session.commit()
    assert world.a.is_following(world.b)
    assert told == [("followed", world.a.id, world.b.id)]


@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_a_receiver_that_ends_the_transaction_is_believed(world, told, end):
    """The edge belongs to the transaction in which it was made, though a receiver ended that."""

    def finish(sender, session, **arguments):
        getattr(session, end)()

    with signals.relation_changed.connected_to(finish):
        world.a.follow(world.b)
    expected = [("followed", world.a.id, world.b.id)] if end == "commit" else []
    assert told == expected
    world.session.commit()
    assert told == expected
    assert world.a.is_following(world.b) is (end == "commit")


def test_many_edges_are_told_by_the_statement(world, users, changes, told):
    """More edges than one statement takes come in parts, each edge in one of them."""
    others = users(CHUNK + 1)
    assert world.a.followed.add(world.b, *others) == CHUNK + 2
    assert [len(change["pairs"]) for change in changes] == [CHUNK, 2]
    pairs = {(world.a.id, other.id) for other in [world.b, *others]}
    assert {pair for change in changes for pair in change["pairs"]} == pairs
    world.session.commit()
    assert len(told) == len(pairs)
    changes.clear()
    assert world.a.followed.remove(*others) == CHUNK + 1
    assert sum(len(change["pairs"]) for change in changes) == CHUNK + 1
    changes.clear()
    world.session.rollback()
    assert world.a.followed.clear() == CHUNK + 2
    assert {pair for change in changes for pair in change["pairs"]} == pairs


# Edges as objects of the session


def as_objects(world):
    """Return ways to make and to remove the edge ab as an object, with what they are called."""
    Follow = world.follows.Follow

    def edge():
        return world.session.get(Follow, (world.a.id, world.b.id))

    return {
        "add by objects": lambda: world.session.add(Follow(follower=world.a, followed=world.b)),
        "add by keys": lambda: world.session.add(
            Follow(follower_id=world.a.id, followed_id=world.b.id)
        ),
        "append": lambda: world.a.followed_set.append(Follow(followed=world.b)),
        "append to followers": lambda: world.b.followers_set.append(Follow(follower=world.a)),
        "delete": lambda: world.session.delete(edge()),
        "remove from": lambda: world.a.followed_set.remove(edge()),
        "remove from followers": lambda: world.b.followers_set.remove(edge()),
    }


@pytest.mark.parametrize("way", ["add by objects", "add by keys", "append", "append to followers"])
def test_edges_added_as_objects_are_told(world, changes, told, way):
    """An edge that a flush inserts is told after the commit."""
    as_objects(world)[way]()
    world.session.flush()
    assert told == []
    world.session.commit()
    assert told == [("followed", world.a.id, world.b.id)]
    assert changes == []


@pytest.mark.parametrize("way", ["delete", "remove from", "remove from followers"])
def test_edges_deleted_as_objects_are_told(world, changes, told, way):
    """An edge that a flush deletes is told after the commit."""
    make_edges(world, "ab")
    changes.clear()
    told.clear()
    as_objects(world)[way]()
    world.session.flush()
    assert told == []
    world.session.commit()
    assert told == [("unfollowed", world.a.id, world.b.id)]
    assert changes == []


def test_objects_and_verbs_tell_together(world, told):
    """A verb after an object of the same edge is a no-op, and the edge is told once."""
    as_objects(world)["add by objects"]()
    assert world.a.follow(world.b) is False
    world.session.commit()
    assert told == [("followed", world.a.id, world.b.id)]
    told.clear()
    as_objects(world)["delete"]()
    assert world.a.unfollow(world.b) is False
    assert world.a.follow(world.b) is True
    world.session.commit()
    assert told == [
        ("unfollowed", world.a.id, world.b.id),
        ("followed", world.a.id, world.b.id),
    ]


def test_a_new_user_with_edges_is_told_with_its_key(world, told):
    """Keys that the flush has yet to give are told as they came out."""
    new = world.User(username="new")
    new.followed_set.append(world.follows.Follow(followed=world.a))
    world.session.add(new)
    world.session.commit()
    assert told == [("followed", new.id, world.a.id)]


# Where nobody listens


def returns_nothing(counted):
    """Tell whether no statement asked for rows or for their keys."""
    return not any(
        word in statement.upper()
        for statement in counted.statements
        for word in ("RETURNING", "SELECT FOLLOWS")
    )


@pytest.mark.parametrize("verb", ["clear", "remove"])
def test_removals_ask_for_no_keys_where_nobody_listens(world, assert_statements, verb):
    """Without a receiver, `clear()` and `remove(many)` are one plain DELETE."""
    make_edges(world, "ab ac")
    a, b, c = world.a, world.b, world.c
    assert [user.id for user in (a, b, c)]
    with assert_statements(1) as counted:
        assert (a.followed.clear() if verb == "clear" else a.followed.remove(b, c)) == 2
    assert returns_nothing(counted)


def test_removals_ask_for_keys_where_someone_listens(world, assert_statements, changes):
    """The positive control of the test above: with a receiver, the statement returns the keys."""
    make_edges(world, "ab ac")
    assert world.a.id
    with assert_statements(1) as counted:
        world.a.followed.clear()
    assert not returns_nothing(counted)


def add_two(world, assert_statements):
    """Add two edges in one statement; on PostgreSQL it returns its keys in any case."""
    a, b, c = world.a, world.b, world.c
    assert [user.id for user in (a, b, c)]
    with assert_statements(1) as counted:
        assert a.followed.add(b, c) == 2
    if world.session.get_bind().dialect.name != "postgresql":
        assert returns_nothing(counted)


def test_adding_asks_for_no_keys_where_nobody_listens(world, assert_statements):
    """Without a receiver, `add(many)` is one statement that returns nothing."""
    add_two(world, assert_statements)


def test_a_receiver_of_unfollowed_costs_an_addition_nothing(world, assert_statements):
    """Exact keys are asked for only where someone listens to this action."""

    def note(sender, **arguments):
        """Do nothing."""

    with signals.unfollowed.connected_to(note):
        add_two(world, assert_statements)


def test_a_receiver_of_followed_costs_a_removal_nothing(world, assert_statements):
    """The same the other way round."""
    make_edges(world, "ab ac")

    def note(sender, **arguments):
        """Do nothing."""

    assert world.a.id
    with signals.followed.connected_to(note), assert_statements(1) as counted:
        assert world.a.followed.clear() == 2
    assert returns_nothing(counted)


@pytest.mark.parametrize("name", ["relation_changed", "followed", "unfollowed"])
def test_receivers_of_another_app_cost_nothing(world, make_app, assert_statements, name):
    """A receiver that would not be called is no reason to build a payload."""
    other = make_app(SQLAlchemy())

    def note(sender, **arguments):
        """Do nothing."""

    with getattr(signals, name).connected_to(note, sender=other):
        add_two(world, assert_statements)
        with assert_statements(1) as counted:
            assert world.a.followed.clear() == 2
        assert returns_nothing(counted)


# Elsewhere


def test_other_sessions_tell_as_well(world, app, changes, told):
    """A session that is not `db.session` tells its changes, after its own commit."""
    keys = world.a.id, world.b.id
    world.session.commit()
    with Session(world.session.get_bind()) as other:
        ann, bob = (other.get(world.User, key) for key in keys)
        ann.follow(bob)
        (change,) = changes
        assert change["session"] is other
        assert change["sender"] is app
        world.session.commit()
        assert told == []
        other.commit()
        assert told == [("followed", *keys)]
        bob.followers.clear()
        other.rollback()
        assert told == [("followed", *keys)]


def test_without_an_app_context_nothing_is_told(world, follows, changes, told):
    """Outside of an application there is no sender: the edge is made, and nobody is told."""
    keys, engine = [world.a.id, world.b.id], world.session.get_bind()
    world.session.commit()

    def work():
        with Session(engine) as session:
            ann, bob = (session.get(world.User, key) for key in keys)
            assert ann.follow(bob) is True
            session.add(follows.Follow(follower=bob, followed=ann))
            session.commit()
            assert ann.followed.clear() == 1
            session.commit()
            assert not ann.is_following(bob)
            assert bob.is_following(ann)

    Context().run(work)
    assert changes == []
    assert told == []
