"""Histories: whatever is done in whatever order, the database agrees with a set of pairs.

Hypothesis makes up histories of follows, unfollows, deletions, commits, rollbacks and savepoints;
a model in plain Python lives through the same, and after each step the two are compared, as are
the signals told with those due.
"""

from __future__ import annotations

from contextlib import ExitStack
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy.orm import mapped_column

from flask_follows import SelfFollowError, UnknownUserError
from flask_follows.types import utc_datetime, utcnow

from .recording import recorded_changes, recorded_follows
from .transactions import begin_in_time

KEYS = range(1, 6)
NOBODY = 99
AT_MOST_OPEN = 3

# One of the users alive, whatever their number: taken modulo it.
someone = st.integers(0, len(KEYS) - 1)
some = st.lists(someone, max_size=4)
# Two users, or a number of one of the edges that are there.
couple = st.tuples(someone, someone) | st.integers(0, 99)
# Few and equal often, so that edges of one time meet: then their order is by key.
times = st.none() | st.integers(0, 2)
ends = st.sampled_from(["followed", "followers"])

LONG_AGO = datetime(2020, 1, 1, tzinfo=timezone.utc)


@dataclass
class State:
    """What the database should hold, and what is to be told if it is committed."""

    users: set[int] = field(default_factory=set)
    edges: dict[tuple[int, int], datetime] = field(default_factory=dict)
    due: list[tuple[str, int, int]] = field(default_factory=list)

    def copy(self) -> State:
        """Return the state as it is now."""
        return deepcopy(self)

    def add(self, pairs: Any, at: datetime) -> list[tuple[int, int]]:
        """Make edges; return those that were not there."""
        new = sorted(set(pairs) - set(self.edges))
        self.edges |= dict.fromkeys(new, at)
        self.due += [("followed", *pair) for pair in new]
        return new

    def remove(self, pairs: Any) -> list[tuple[int, int]]:
        """Remove edges; return those that were there."""
        gone = sorted(set(pairs) & set(self.edges))
        for pair in gone:
            del self.edges[pair]
        self.due += [("unfollowed", *pair) for pair in gone]
        return gone

    def delete_users(self, keys: Any) -> None:
        """Delete users with their edges, of which nobody is told."""
        self.users -= set(keys)
        self.edges = {
            pair: at for pair, at in self.edges.items() if not set(keys).intersection(pair)
        }

    def neighbours(self, key: int, end: str) -> list[int]:
        """Return the keys in a collection, newest edge first."""
        near, far = (0, 1) if end == "followed" else (1, 0)
        found = [(at, pair[far]) for pair, at in self.edges.items() if pair[near] == key]
        return [other for _, other in sorted(found, reverse=True)]


class History(RuleBasedStateMachine):
    """The rules of what may be done; `world` is where."""

    def __init__(self, world: SimpleNamespace) -> None:
        super().__init__()
        self.world, self.session = world, world.session
        self.stack = ExitStack()
        self.state = State()
        self.committed = State()
        # Each open savepoint with the state at its beginning, outermost first.
        self.savepoints: list[tuple[Any, State]] = []
        self.told: list[Any] = []
        self.changes: list[Any] = []
        self.expected: list[Any] = []
        self.steps = 0
        # Edges held as objects by the host, which the session therefore cannot forget.
        self.holding = False
        self.kept: dict[tuple[int, int], Any] = {}

    @initialize(listening=st.booleans(), holding=st.booleans())
    def begin(self, listening, holding):
        """Make the users; listen or not and hold objects or not, since writes then differ."""
        self.listening, self.holding = listening, holding
        if listening:
            self.told = self.stack.enter_context(recorded_follows())
            self.changes = self.stack.enter_context(recorded_changes())
        for key in KEYS:
            self.session.add(self.new_user(key))
        self.state.users = set(KEYS)
        self.commit()

    def teardown(self):
        """Leave empty tables behind."""
        self.stack.close()
        self.session.rollback()
        self.kept.clear()
        for model in (self.world.follows.Follow, self.world.User):
            self.session.execute(sa.delete(model.__table__))
        self.session.commit()
        self.session.remove()

    # The words in which the rules are written

    def new_user(self, key):
        """Return a new user with this key."""
        return self.world.User(id=key, username=f"user {key}")

    def key(self, number):
        """Return the key of one of the users alive."""
        return sorted(self.state.users)[number % len(self.state.users)]

    def user(self, number):
        """Return the object of one of the users alive."""
        return self.get(self.key(number))

    def get(self, key, as_object=True):
        """Return the user with this key, as object or key."""
        return self.session.get(self.world.User, key) if as_object else key

    def values(self, time):
        """Return the further columns of an edge, by name."""
        return {} if time is None else {"created_at": LONG_AGO + timedelta(microseconds=time)}

    def moment(self, time):
        """Return the time of edges just made, as far as their order goes."""
        return self.values(time).get("created_at", datetime.now(timezone.utc))

    def pair(self, near, far, end):
        """Return a pair of keys in the order of the edge."""
        return (near, far) if end == "followed" else (far, near)

    def added(self, pairs, time=None):
        """Have the model make edges with a verb; return those that were new."""
        new = self.state.add(pairs, self.moment(time))
        self.expected += [("add", new)] if new else []
        return new

    def removed(self, pairs, action="remove"):
        """Have the model remove edges with a verb; return those that were there."""
        gone = self.state.remove(pairs)
        self.expected += [(action, gone)] if gone else []
        return gone

    # Edges, one at a time

    @rule(a=someone, b=someone, as_object=st.booleans(), time=times)
    def follow(self, a, b, as_object, time):
        """`user.follow(other)`, or oneself."""
        pair = self.key(a), self.key(b)
        if pair[0] == pair[1]:
            with pytest.raises(SelfFollowError):
                self.user(a).follow(self.get(self.key(b), as_object))
            return
        made = self.user(a).follow(self.get(self.key(b), as_object), **self.values(time))
        assert made is bool(self.added([pair], time))

    @rule(a=someone, b=someone)
    def follow_by_keys(self, a, b):
        """`follows.follow(1, 2)`."""
        pair = self.key(a), self.key(b)
        if pair[0] != pair[1]:
            assert self.world.follows.follow(*pair) is bool(self.added([pair]))

    @rule(a=someone, end=ends, others=some)
    def follow_nobody(self, a, end, others):
        """A key that nobody has: refused, with all that is given beside it."""
        others = [self.key(other) for other in others if self.key(other) != self.key(a)]
        with pytest.raises(UnknownUserError):
            self.world.follows.follow(*self.pair(self.key(a), NOBODY, end))
        with pytest.raises(UnknownUserError):
            getattr(self.user(a), end).add(*others, NOBODY)

    def pair_of(self, couple):
        """Return a pair of keys, of an edge that is there if a number was drawn."""
        if isinstance(couple, tuple):
            return self.key(couple[0]), self.key(couple[1])
        there = sorted(self.state.edges)
        return there[couple % len(there)] if there else (self.key(0), self.key(1))

    @rule(couple=couple, as_object=st.booleans())
    def unfollow(self, couple, as_object):
        """`user.unfollow(other)`."""
        a, b = pair = self.pair_of(couple)
        assert self.get(a).unfollow(self.get(b, as_object)) is bool(self.removed([pair]))

    @rule(couple=couple)
    def unfollow_by_keys(self, couple):
        """`follows.unfollow(1, 2)`."""
        pair = self.pair_of(couple)
        assert self.world.follows.unfollow(*pair) is bool(self.removed([pair]))

    @rule(couple=couple, as_object=st.booleans())
    def remove_follower(self, couple, as_object):
        """`user.remove_follower(other)`."""
        a, b = pair = self.pair_of(couple)
        assert self.get(b).remove_follower(self.get(a, as_object)) is bool(self.removed([pair]))

    @rule(couple=couple, as_object=st.booleans())
    def toggle(self, couple, as_object):
        """`user.toggle_follow(other)`."""
        a, b = pair = self.pair_of(couple)
        if a != b:
            state = self.get(a).toggle_follow(self.get(b, as_object))
            assert state is bool(self.added([pair]) or not self.removed([pair]))

    # Edges, many at once

    def others(self, near, numbers, as_object):
        """Return other users as objects or keys, and their keys."""
        numbers = [number for number in numbers if self.key(number) != self.key(near)]
        return [self.get(self.key(n), as_object) for n in numbers], [self.key(n) for n in numbers]

    @rule(a=someone, end=ends, numbers=some, as_object=st.booleans(), time=times)
    def add(self, a, end, numbers, as_object, time):
        """`user.followed.add(...)`."""
        others, keys = self.others(a, numbers, as_object)
        made = getattr(self.user(a), end).add(*others, through_defaults=self.values(time))
        pairs = [self.pair(self.key(a), key, end) for key in keys]
        assert made == len(self.added(pairs, time))

    @rule(a=someone, end=ends, numbers=some, as_object=st.booleans())
    def remove(self, a, end, numbers, as_object):
        """`user.followed.remove(...)`."""
        others, keys = self.others(a, numbers, as_object)
        removed = getattr(self.user(a), end).remove(*others)
        pairs = [self.pair(self.key(a), key, end) for key in keys]
        assert removed == len(self.removed(pairs))

    @rule(a=someone, end=ends)
    def clear(self, a, end):
        """`user.followed.clear()`."""
        removed = getattr(self.user(a), end).clear()
        assert removed == len(self.removed(self.pairs_of(a, end), "clear"))

    def pairs_of(self, a, end):
        """Return the pairs of a collection."""
        near = self.key(a)
        return [self.pair(near, far, end) for far in self.state.neighbours(near, end)]

    @rule(a=someone, end=ends, numbers=some, as_object=st.booleans(), clear=st.booleans())
    def set(self, a, end, numbers, as_object, clear):
        """`user.followed.set(...)`."""
        others, keys = self.others(a, numbers, as_object)
        getattr(self.user(a), end).set(others, clear=clear)
        pairs = [self.pair(self.key(a), key, end) for key in keys]
        if clear:
            self.removed(self.pairs_of(a, end), "clear")
        self.added(pairs)
        self.removed(set(self.pairs_of(a, end)) - set(pairs))

    @rule(a=someone, end=ends, numbers=some)
    def assign(self, a, end, numbers):
        """`user.followed = [...]`."""
        others, keys = self.others(a, numbers, as_object=True)
        setattr(self.user(a), end, others)
        pairs = [self.pair(self.key(a), key, end) for key in keys]
        self.added(pairs)
        self.removed(set(self.pairs_of(a, end)) - set(pairs))

    @rule(numbers=st.lists(st.tuples(someone, someone), max_size=8), time=times)
    def add_many(self, numbers, time):
        """`follows.add_many(pairs)`."""
        pairs = [(self.key(a), self.key(b)) for a, b in numbers if self.key(a) != self.key(b)]
        further = tuple(self.values(time).values())
        made = self.world.follows.add_many([(*pair, *further) for pair in pairs])
        assert made == len(self.added(pairs, time))

    # Edges as objects

    @rule(a=someone, b=someone, by=st.sampled_from(["objects", "keys", "append"]), time=times)
    def add_object(self, a, b, by, time):
        """`db.session.add(Follow(...))` and its kin."""
        pair, Follow = (self.key(a), self.key(b)), self.world.follows.Follow
        if pair[0] == pair[1] or pair in self.state.edges:
            return
        # Loaded first: a query would flush an edge that is not in the session yet.
        follower, followed = self.user(a), self.user(b)
        if by == "objects":
            edge = Follow(follower=follower, followed=followed, **self.values(time))
        elif by == "keys":
            edge = Follow(follower_id=pair[0], followed_id=pair[1], **self.values(time))
        else:
            edge = Follow(followed=followed, **self.values(time))
            follower.followed_set.append(edge)
        self.session.add(edge)
        self.session.flush()
        self.state.add([pair], self.moment(time))

    @precondition(lambda self: self.state.edges)
    @rule(number=st.integers(0, 99), by=st.sampled_from(["delete", "followed", "followers"]))
    def delete_object(self, number, by):
        """`db.session.delete(edge)` and its kin."""
        pair = self.pair_of(number)
        edge = self.session.get(self.world.follows.Follow, pair)
        if by == "delete":
            self.session.delete(edge)
        elif by == "followed":
            edge.follower.followed_set.remove(edge)
        else:
            edge.followed.followers_set.remove(edge)
        self.state.remove([pair])

    # Users

    @precondition(lambda self: len(self.state.users) > 3)
    @rule(numbers=st.lists(someone, min_size=1, max_size=2), by=st.sampled_from(["object", "bulk"]))
    def delete_users(self, numbers, by):
        """By object or by one bulk DELETE, one or two of them."""
        keys = {self.key(number) for number in numbers}
        if by == "object":
            for key in keys:
                self.session.delete(self.get(key))
            self.session.flush()
        else:
            users = sa.delete(self.world.User).where(self.world.User.id.in_(keys))
            assert self.session.execute(users).rowcount == len(keys)
        self.state.delete_users(keys)
        # Their edges went in the database, without a word to the session.
        self.kept = {pair: edge for pair, edge in self.kept.items() if pair in self.state.edges}

    @precondition(lambda self: len(self.state.users) < len(KEYS))
    @rule(a=someone, by=st.sampled_from(["session", "followed", "followers"]))
    def make_user(self, a, by):
        """By the session or as a member of a collection, with the key of one who is gone."""
        key = min(set(KEYS) - self.state.users)
        if by == "session":
            self.session.add(self.new_user(key))
        else:
            getattr(self.user(a), by).create(id=key, username=f"user {key}")
            self.added([self.pair(self.key(a), key, by)])
        self.state.users.add(key)

    # Transactions

    @rule()
    def commit(self):
        """Commit, all open savepoints with it: what is due is told, each edge once."""
        before = len(self.told)
        self.session.commit()
        if self.listening:
            assert sorted(self.told[before:]) == sorted(self.state.due)
        self.state.due.clear()
        self.committed = self.state.copy()
        self.savepoints.clear()

    @rule(end=st.sampled_from(["rollback", "close", "remove"]))
    def give_up(self, end):
        """End the transaction without a commit."""
        getattr(self.session, end)()
        self.state = self.committed.copy()
        self.savepoints.clear()

    @precondition(lambda self: len(self.savepoints) < AT_MOST_OPEN)
    @rule()
    def begin_savepoint(self):
        """Begin a savepoint in the innermost."""
        self.savepoints.append((self.session.begin_nested(), self.state.copy()))

    @precondition(lambda self: self.savepoints)
    @rule(number=st.integers(0, AT_MOST_OPEN - 1))
    def release_savepoint(self, number):
        """Release one, and with it those inside it."""
        number %= len(self.savepoints)
        self.savepoints[number][0].commit()
        del self.savepoints[number:]

    @precondition(lambda self: self.savepoints)
    @rule(number=st.integers(0, AT_MOST_OPEN - 1))
    def roll_back_savepoint(self, number):
        """Roll one back, and with it those inside it."""
        number %= len(self.savepoints)
        savepoint, self.state = self.savepoints[number]
        savepoint.rollback()
        del self.savepoints[number:]
        self.kept.clear()

    # What must be true at any time

    @invariant()
    def rows_agree(self):
        """The table holds the edges, and objects of them in the session are up to date."""
        Follow = self.world.follows.Follow
        rows = self.session.execute(sa.select(*Follow.__table__.c)).all()
        assert sorted((row.follower_id, row.followed_id) for row in rows) == sorted(
            self.state.edges
        )
        times = {(row.follower_id, row.followed_id): row.created_at for row in rows}
        edges = self.session.scalars(sa.select(Follow)).all()
        assert {(edge.follower_id, edge.followed_id): edge.created_at for edge in edges} == times
        gone = set(self.kept) - set(self.state.edges)
        assert [pair for pair in gone if self.session.get(Follow, pair)] == []
        if self.holding:
            self.kept = {(edge.follower_id, edge.followed_id): edge for edge in edges}

    @invariant()
    def every_user_agrees_in_sql(self):
        """Counts and predicates on the class agree, for all users in one statement."""
        User, edges = self.world.User, self.state.edges
        self.steps += 1
        other = self.key(self.steps // 2)
        found = self.session.execute(
            sa.select(
                User.id,
                User.followed_count,
                User.followers_count,
                User.is_following(other),
                User.is_followed_by(other),
                User.is_mutual_with(other),
            )
        )
        assert sorted(tuple(row) for row in found) == [
            (
                key,
                len(self.state.neighbours(key, "followed")),
                len(self.state.neighbours(key, "followers")),
                (key, other) in edges,
                (other, key) in edges,
                (key, other) in edges and (other, key) in edges,
            )
            for key in sorted(self.state.users)
        ]

    @invariant()
    def one_user_agrees_in_python(self):
        """Predicates and counts of one user agree; another one at each step."""
        user, other = self.user(self.steps), self.user(self.steps // 2)
        there, back = (
            (user.id, other.id) in self.state.edges,
            (other.id, user.id) in self.state.edges,
        )
        assert user.is_following(other) is there
        assert user.is_followed_by(other.id) is back
        assert user.is_mutual_with(other) is (there and back)
        assert self.world.follows.is_following(other.id, user.id) is back
        assert user.followed_count == len(self.state.neighbours(user.id, "followed"))
        assert user.followers_count == len(self.state.neighbours(user.id, "followers"))

    @invariant()
    def one_collection_agrees(self):
        """Keys, objects, pages, membership and mutuals of one user agree, order and all."""
        user, end = self.user(self.steps), ("followed", "followers")[self.steps % 2]
        collection, expected = getattr(user, end), self.state.neighbours(user.id, end)
        assert collection.ids() == expected
        assert [other.id for other in collection] == expected
        assert collection.exists() is bool(expected)
        assert self.paged(collection) == expected
        back = self.state.neighbours(user.id, "followers")
        mutual = [key for key in self.state.neighbours(user.id, "followed") if key in back]
        assert [other.id for other in user.mutuals] == mutual

    def paged(self, collection):
        """Return the keys of all pages, gone through forwards; backwards they must be the same."""
        pages = [collection.page(per_page=2)]
        while pages[-1].next:
            pages.append(collection.page(after=pages[-1].next, per_page=2))
        keys = [[other.id for other in page] for page in pages]
        assert [[edge.created_at for edge in page.edges] for page in pages] == [
            sorted((edge.created_at for edge in page.edges), reverse=True) for page in pages
        ]
        for number in range(len(pages) - 1, 0, -1):
            before = collection.page(before=pages[number].previous, per_page=2)
            assert [other.id for other in before] == keys[number - 1]
        return [key for page in keys for key in page]

    @invariant()
    def changes_were_told(self):
        """`relation_changed` told what the last step's verbs did, and no more."""
        told = [(change["action"], sorted(change["pairs"])) for change in self.changes]
        assert told == (self.expected if self.listening else [])
        self.changes.clear()
        self.expected.clear()


@pytest.fixture
def world(app, db, User, follows):
    """The application, its engine made to begin transactions on SQLite as on other databases."""
    begin_in_time(db.engine)
    return SimpleNamespace(session=db.session, User=User, follows=follows)


def test_histories(world):
    """No history brings the database and the model apart."""
    # Fewer histories than other tests have examples, each being fifty steps long.
    fewer = settings(
        max_examples=settings().max_examples * 3 // 5, suppress_health_check=list(HealthCheck)
    )
    run_state_machine_as_test(lambda: History(world), settings=fewer)


# Relations of every kind

OPPOSITE = {"source": "target", "target": "source"}


class Model:
    """What one relation should hold: a set of pairs with their times, and who may be in them.

    :param symmetrical: a pair is the same both ways; then it is kept smaller key first.
    """

    def __init__(self, symmetrical):
        self.symmetrical = symmetrical
        self.edges: dict[tuple[int, int], datetime] = {}
        self.objects: dict[str, set[int]] = {"source": set(KEYS), "target": set(KEYS)}

    def ordered(self, pair):
        """Return the pair as it is kept."""
        return tuple(sorted(pair)) if self.symmetrical else pair

    def neighbours(self, key, end):
        """Return the keys in a collection, newest edge first."""
        pairs = list(self.edges.items())
        if self.symmetrical:
            pairs += [(pair[::-1], at) for pair, at in pairs]
        elif end == "target":
            pairs = [(pair[::-1], at) for pair, at in pairs]
        found = [(at, far) for (near, far), at in pairs if near == key]
        return [far for _, far in sorted(found, reverse=True)]

    def delete(self, side, key):
        """Delete an object with its edges."""
        self.objects[side].discard(key)
        place = ("source", "target").index(side)
        self.edges = {
            pair: at
            for pair, at in self.edges.items()
            if key not in (pair if self.symmetrical else (pair[place],))
        }


class RelationHistory(RuleBasedStateMachine):
    """The same rules for relations of two classes, with a through model, and symmetrical ones."""

    side = st.sampled_from(["source", "target"])

    def __init__(self, world: SimpleNamespace) -> None:
        super().__init__()
        self.world, self.session, self.relation = world, world.session, world.relation
        self.stack = ExitStack()
        self.state = Model(world.symmetrical)
        self.committed = deepcopy(self.state)
        self.savepoints: list[tuple[Any, Model]] = []
        self.changes: list[Any] = []
        self.expected: list[Any] = []
        self.kept: list[Any] = []
        self.steps = 0

    @initialize(listening=st.booleans(), holding=st.booleans())
    def begin(self, listening, holding):
        """Make the objects; listen or not and hold edges or not, since writes then differ."""
        self.listening, self.holding = listening, holding
        if listening:
            self.changes = self.stack.enter_context(recorded_changes())
        for model in {self.model("source"), self.model("target")}:
            self.session.add_all([model(id=key, username=f"{key}") for key in KEYS])
        self.session.commit()

    def teardown(self):
        """Leave empty tables behind."""
        self.stack.close()
        self.session.rollback()
        self.kept.clear()
        tables = [self.relation.edge_table.table]
        tables += {self.model(side).__table__ for side in ("source", "target")}
        for table in tables:
            self.session.execute(sa.delete(table))
        self.session.commit()
        self.session.remove()

    # The words in which the rules are written

    def model(self, side):
        """Return the class at an end."""
        return getattr(self.relation, side).model

    def key(self, side, number):
        """Return the key of one of the objects alive."""
        alive = sorted(self.state.objects["source" if self.state.symmetrical else side])
        return alive[number % len(alive)]

    def get(self, side, key, as_object=True):
        """Return an object at an end, or its key."""
        return self.session.get(self.model(side), key) if as_object else key

    def collection(self, side, key):
        """Return the collection of an object at an end."""
        return getattr(self.get(side, key), self.world.names[side])

    def far(self, side, near, numbers):
        """Return the keys of others at the opposite end."""
        other = OPPOSITE[side]
        keys = [self.key(other, number) for number in numbers]
        return [key for key in keys if not (self.state.symmetrical and key == near)]

    def others(self, side, keys, as_object):
        """Return the others as objects or keys."""
        return [self.get(OPPOSITE[side], key, as_object) for key in keys]

    def pairs(self, side, near, far):
        """Return the pairs as they are kept."""
        given = [(near, key) if side == "source" else (key, near) for key in far]
        return {self.state.ordered(pair) for pair in given}

    def values(self, time):
        """Return the time of an edge by its column's name."""
        at = LONG_AGO + timedelta(microseconds=time or 0)
        return {} if time is None else {self.relation.edge_table.time.key: at}

    def added(self, pairs, time=None):
        """Have the model make edges; return how many were new."""
        new = set(pairs) - set(self.state.edges)
        at = LONG_AGO + timedelta(microseconds=time) if time is not None else None
        self.state.edges |= dict.fromkeys(new, at or datetime.now(timezone.utc))
        self.expected += [("add", new)] if new else []
        return len(new)

    def removed(self, pairs, action="remove"):
        """Have the model remove edges; return how many were there."""
        gone = set(pairs) & set(self.state.edges)
        for pair in gone:
            del self.state.edges[pair]
        self.expected += [(action, gone)] if gone else []
        return len(gone)

    # Edges

    @rule(a=someone, b=someone, as_object=st.booleans(), time=times)
    def add_one(self, a, b, as_object, time):
        """`relation.add(a, b)`."""
        a, b = self.key("source", a), self.key("target", b)
        ends = self.get("source", a, as_object), self.get("target", b, as_object)
        if self.state.symmetrical and a == b:
            with pytest.raises(SelfFollowError):
                self.relation.add(*ends)
            return
        made = self.relation.add(*ends, **self.values(time))
        assert made is bool(self.added({self.state.ordered((a, b))}, time))

    @rule(a=someone, b=someone, toggle=st.booleans())
    def remove_one(self, a, b, toggle):
        """`relation.remove(a, b)` and `toggle`."""
        pair = self.key("source", a), self.key("target", b)
        kept = {self.state.ordered(pair)}
        if not toggle:
            assert self.relation.remove(*pair) is bool(self.removed(kept))
        elif not (self.state.symmetrical and pair[0] == pair[1]):
            assert self.relation.toggle(*pair) is bool(self.added(kept) or not self.removed(kept))

    @rule(side=side, a=someone, numbers=some, as_object=st.booleans(), time=times)
    def add(self, side, a, numbers, as_object, time):
        """`obj.collection.add(...)`."""
        near = self.key(side, a)
        far = self.far(side, near, numbers)
        others = self.others(side, far, as_object)
        made = self.collection(side, near).add(*others, through_defaults=self.values(time))
        assert made == self.added(self.pairs(side, near, far), time)

    @rule(side=side, a=someone, numbers=some)
    def add_nobody(self, side, a, numbers):
        """A key that nobody has: refused, with all that is given beside it."""
        near = self.key(side, a)
        with pytest.raises(UnknownUserError):
            self.collection(side, near).add(*self.far(side, near, numbers), NOBODY)

    @rule(side=side, a=someone, numbers=some, as_object=st.booleans())
    def remove(self, side, a, numbers, as_object):
        """`obj.collection.remove(...)`."""
        near = self.key(side, a)
        far = self.far(side, near, numbers)
        removed = self.collection(side, near).remove(*self.others(side, far, as_object))
        assert removed == self.removed(self.pairs(side, near, far))

    @rule(side=side, a=someone)
    def clear(self, side, a):
        """`obj.collection.clear()`."""
        near = self.key(side, a)
        pairs = self.pairs(side, near, self.state.neighbours(near, side))
        assert self.collection(side, near).clear() == self.removed(pairs, "clear")

    @rule(side=side, a=someone, numbers=some, clear=st.booleans(), time=times)
    def set(self, side, a, numbers, clear, time):
        """`obj.collection.set(...)`."""
        near = self.key(side, a)
        far = self.far(side, near, numbers)
        before = self.pairs(side, near, self.state.neighbours(near, side))
        self.collection(side, near).set(far, clear=clear, through_defaults=self.values(time))
        if clear:
            self.removed(before, "clear")
        wanted = self.pairs(side, near, far)
        self.added(wanted, time)
        self.removed(before - wanted)

    @rule(numbers=st.lists(st.tuples(someone, someone), max_size=8), time=times)
    def add_many(self, numbers, time):
        """`relation.add_many(pairs)`."""
        pairs = [(self.key("source", a), self.key("target", b)) for a, b in numbers]
        if self.state.symmetrical:
            pairs = [pair for pair in pairs if pair[0] != pair[1]]
        # The third item must be given with all or with none.
        further = tuple(self.values(time).values())
        made = self.relation.add_many([(*pair, *further) for pair in pairs])
        new = {self.state.ordered(pair) for pair in pairs}
        assert made == self.added(new, time)

    # Objects and transactions

    @rule(side=side, a=someone, in_bulk=st.booleans())
    def delete(self, side, a, in_bulk):
        """An object goes, by object or in bulk, and its edges with it."""
        side = "source" if self.state.symmetrical else side
        if len(self.state.objects[side]) < 3:
            return
        key, model = self.key(side, a), self.model(side)
        if in_bulk:
            self.session.execute(sa.delete(model).where(model.id == key))
        else:
            self.session.delete(self.get(side, key))
            self.session.flush()
        self.state.delete(side, key)
        self.kept.clear()  # edges went in the database, without a word to the session

    @rule(side=side)
    def make(self, side):
        """An object is made with the key of one who is gone."""
        side = "source" if self.state.symmetrical else side
        for key in sorted(set(KEYS) - self.state.objects[side])[:1]:
            self.session.add(self.model(side)(id=key, username=f"{key}"))
            self.session.flush()
            self.state.objects[side].add(key)

    @rule()
    def commit(self):
        """Commit, all open savepoints with it."""
        self.session.commit()
        self.committed = deepcopy(self.state)
        self.savepoints.clear()

    @rule()
    def roll_back(self):
        """Roll back to the last commit."""
        self.session.rollback()
        self.state = deepcopy(self.committed)
        self.savepoints.clear()
        self.kept.clear()

    @precondition(lambda self: len(self.savepoints) < AT_MOST_OPEN)
    @rule()
    def begin_savepoint(self):
        """Begin a savepoint in the innermost."""
        self.savepoints.append((self.session.begin_nested(), deepcopy(self.state)))

    @precondition(lambda self: self.savepoints)
    @rule(release=st.booleans())
    def end_savepoint(self, release):
        """Release or roll back the innermost."""
        savepoint, state = self.savepoints.pop()
        if release:
            savepoint.commit()
            return
        savepoint.rollback()
        self.state = state
        self.kept.clear()

    # What must be true at any time

    @invariant()
    def rows_agree(self):
        """The table holds the edges, as often as the storage lays them down, and alike."""
        edges = self.relation.edge_table
        found = self.session.execute(sa.select(edges.source, edges.target, edges.time)).all()
        rows = {(row[0], row[1]): row[2] for row in found}
        assert len(rows) == len(found)
        mirrors = self.relation.storage.mirrors
        expected = set(self.state.edges)
        assert set(rows) == expected | ({pair[::-1] for pair in expected} if mirrors else set())
        if mirrors:
            assert all(rows[pair] == rows[pair[::-1]] for pair in rows)
        objects = self.session.scalars(sa.select(edges.model)).all()
        assert {edges.pair(edge): getattr(edge, edges.time.key) for edge in objects} == rows
        if self.holding:
            self.kept = objects

    @invariant()
    def collections_agree(self):
        """Keys, objects, counts, membership, pages and edges of one object at each end agree."""
        self.steps += 1
        for side in ("source", "target"):
            near = self.key(side, self.steps)
            collection, expected = self.collection(side, near), self.state.neighbours(near, side)
            assert collection.ids() == [obj.id for obj in collection] == expected
            assert collection.count() == len(expected)
            assert collection.exists() is bool(expected)
            others = self.far(side, near, range(len(KEYS)))
            assert {key for key in others if key in collection} == set(expected)
            first = collection.page(per_page=2)
            assert [obj.id for obj in first] == expected[:2]
            if first.next:
                second = collection.page(after=first.next, per_page=2)
                assert [obj.id for obj in second] == expected[2:4]
                back = collection.page(before=second.previous, per_page=2)
                assert [obj.id for obj in back] == expected[:2]
            edges = self.relation.edges(near, reverse=side == "target").all()
            pairs = {self.state.ordered(self.relation.edge_table.pair(edge)) for edge in edges}
            assert (len(edges), pairs) == (len(expected), self.pairs(side, near, expected))

    @invariant()
    def classes_agree(self):
        """Counts and membership in SQL agree, for all objects of an end in one statement."""
        for side in ("source", "target"):
            end, model = self.relation.end(side == "target"), self.model(side)
            other = self.key(OPPOSITE[side], self.steps)
            found = self.session.execute(
                sa.select(model.id, end.count_for(model), end.exists_for(model, other))
            )
            alive = self.state.objects["source" if self.state.symmetrical else side]
            assert {row[0]: (row[1], bool(row[2])) for row in found} == {
                key: (len(far), other in far)
                for key in alive
                for far in [self.state.neighbours(key, side)]
            }

    @invariant()
    def changes_were_told(self):
        """`relation_changed` told what the last step's verbs did, and no more."""
        told = [
            (change["action"], {self.state.ordered(pair) for pair in change["pairs"]})
            for change in self.changes
        ]
        assert told == (self.expected if self.listening else [])
        self.changes.clear()
        self.expected.clear()


def make_topic(db):
    """Map another class that users may be connected with."""

    class Topic(db.Model):
        id = mapped_column(sa.Integer, primary_key=True)
        username = mapped_column(sa.String(80), unique=True)

    return Topic


def make_membership(db, User, Topic):
    """Map a through model with a number of its own and a further column."""

    class Membership(db.Model):
        id = mapped_column(sa.Integer, primary_key=True)
        user_id = mapped_column(sa.ForeignKey(User.id, ondelete="CASCADE"), nullable=False)
        topic_id = mapped_column(sa.ForeignKey(Topic.id, ondelete="CASCADE"), nullable=False)
        level = mapped_column(sa.Integer, default=1, nullable=False)
        since = mapped_column(utc_datetime(), default=utcnow, nullable=False)
        __table_args__ = (sa.UniqueConstraint("user_id", "topic_id"),)

    return Membership


@pytest.mark.parametrize("kind", ["two classes", "through", "mirrored", "canonical"])
def test_histories_of_relations(world, db, User, follows, kind):
    """No history brings a relation of any kind and the model apart."""
    symmetrical = kind in ("mirrored", "canonical")
    if symmetrical:
        options = {"symmetrical": True, "storage": kind}
        world.relation = follows.relation(User, "friends", User, **options)
        world.names = {"source": "friends", "target": "friends"}
    else:
        Topic = make_topic(db)
        through = make_membership(db, User, Topic) if kind == "through" else None
        options = {"reverse": "fans", "through": through}
        world.relation = follows.relation(User, "topics", Topic, **options)
        world.names = {"source": "topics", "target": "fans"}
    world.symmetrical = symmetrical
    db.create_all()
    fewer = settings(
        max_examples=settings().max_examples // 5, suppress_health_check=list(HealthCheck)
    )
    run_state_machine_as_test(lambda: RelationHistory(world), settings=fewer)
