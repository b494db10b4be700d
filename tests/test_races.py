"""Races: real threads on real connections, and an account that must balance in the end.

The numbers of operations are those at which FACTS measured: large enough to meet a deadlock that
happens once in some thousand operations. What was measured here is printed: `pytest -rP` shows it.
"""

from __future__ import annotations

import random
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import combinations
from threading import Barrier

import pytest
import sqlalchemy as sa

from flask_follows import Follows, UnknownUserError

from .models import make_user_model
from .recording import recorded_follows
from .work import settle

THREADS = 16
OPERATIONS = 2000  # by each thread
PAIRS = 10

# InnoDB may end a transaction in a deadlock even if it is a single statement: of two that wait for
# the same deleted row, both get a lock on the gap. The host repeats the request. Measured are
# some hundredths of a percent of single operations, and two to sixteen in a thousand of three.
# "sets": sets of friends that lock each other's users; "many": clears and removals,
# of which 3 % met one, where seven threads have six users.
MOST_DEADLOCKS = {1: 0.002, 3: 0.04, "many": 0.08, "sets": 0.3}

# How a connection is set up: what a test of races needs not wait for is that data outlive a crash.
SET_UP = {
    "sqlite": ["PRAGMA journal_mode = WAL", "PRAGMA synchronous = OFF"],
    "postgresql": ["SET synchronous_commit = off"],
    "mariadb": ["SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ"],
}
# The other way in which a host may have set it up.
OTHER_SET_UP = {
    "sqlite": ["PRAGMA journal_mode = DELETE", "PRAGMA synchronous = OFF"],
    "postgresql": ["SET synchronous_commit = on"],
    "mariadb": ["SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"],
}


@pytest.fixture
def set_up(request, app, db, database):
    """Have each connection begin with statements: those of SET_UP, or of the parameter."""
    statements = getattr(request, "param", SET_UP).get(database.name, [])

    def on_connect(connection, _record):
        cursor = connection.cursor()
        for statement in statements:
            cursor.execute(statement)
        cursor.close()
        connection.commit()

    db.engine.dispose()
    sa.event.listen(db.engine, "connect", on_connect)


@pytest.fixture
def race(app, db, set_up):
    """A function that runs `work(number)` in threads that start at once, and returns the results.

    Each has an application context, and so a session and a connection, of its own. An error in
    one of them is raised.
    """

    def race(work, threads=THREADS):
        barrier = Barrier(threads, timeout=30)

        def run(number):
            with app.app_context():
                db.session.connection()
                db.session.rollback()
                barrier.wait()
                return work(number)

        db.session.remove()
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(run, range(threads)))

    return race


@pytest.fixture
def keys(users):
    """A function that makes users and returns their keys."""
    return lambda number: [user.id for user in users(number)]


def say(what):
    """Tell what was measured."""
    print(what)  # noqa: T201


def ten_pairs(keys):
    """Return ten pairs of five users, some of them pairs of opposite edges."""
    pairs = [(one, other) for one in keys for other in keys if one != other]
    return sorted(random.Random(10).sample(pairs, PAIRS))


def is_deadlock(error):
    """Tell whether a database ended a transaction in a deadlock."""
    return error.orig.args[0] == 1213 or getattr(error.orig, "sqlstate", None) == "40P01"


def committed(session, change, errors):
    """Run and commit a change; return what it returned, None where it met a deadlock."""
    try:
        result = change()
        session.commit()
    except sa.exc.OperationalError as error:
        if not is_deadlock(error):
            raise
        session.rollback()
        errors.append(error)
        return None
    return result


def contend(race, db, follows, keys, operations, in_one):
    """Follow and unfollow at random in all threads; return edges made less removed, and errors.

    :param in_one: operations in one transaction, in the order of their pairs.
    """
    pairs, errors = ten_pairs(keys), []

    def work(number):
        chance = random.Random(number)

        def change():
            made = 0
            for pair in sorted(chance.sample(pairs, in_one)):
                if chance.random() < 0.5:
                    made += follows.follow(*pair)
                else:
                    made -= follows.unfollow(*pair)
            return made

        transactions = range(operations // in_one)
        return sum(committed(db.session, change, errors) or 0 for _ in transactions)

    started = time.perf_counter()
    balance = sum(race(work))
    seconds = time.perf_counter() - started
    say(
        f"{db.engine.dialect.name}: {THREADS} threads, {operations} operations each, {in_one} in a "
        f"transaction: {len(errors)} deadlocks, {THREADS * operations / seconds:.0f} operations/s"
    )
    return balance, errors


def assert_balance(session, follows, balance):
    """Check the edges that remain against the account: as many, and none twice."""
    Follow = follows.Follow
    rows = [
        tuple(row) for row in session.execute(sa.select(Follow.follower_id, Follow.followed_id))
    ]
    assert len(rows) == balance
    assert len(set(rows)) == balance


def assert_deadlocks(engine, errors, transactions, in_one=1):
    """Check that deadlocks are rare on MariaDB and MySQL, and do not happen elsewhere."""
    most = MOST_DEADLOCKS[in_one] if engine.dialect.name in ("mysql", "mariadb") else 0
    assert len(errors) <= most * transactions


@pytest.mark.parametrize("in_one", [1, 3])
def test_follows_and_unfollows_of_the_same_pairs(race, db, follows, keys, in_one):
    """No duplicate, no lost count, no error but MariaDB's rare deadlock."""
    balance, errors = contend(race, db, follows, keys(5), OPERATIONS, in_one)
    assert_balance(db.session, follows, balance)
    assert_deadlocks(db.engine, errors, THREADS * OPERATIONS / in_one, in_one)


@pytest.mark.parametrize("set_up", [OTHER_SET_UP], indirect=True, ids=[""])
@pytest.mark.parametrize("in_one", [1, 3])
def test_the_same_on_connections_set_up_otherwise(race, db, follows, keys, in_one):
    """It holds with SQLite's default journal and with MariaDB's READ COMMITTED as well."""
    balance, errors = contend(race, db, follows, keys(5), OPERATIONS // 4, in_one)
    assert_balance(db.session, follows, balance)
    assert_deadlocks(db.engine, errors, THREADS * OPERATIONS / 4 / in_one, in_one)


def test_signals_balance_too(race, db, follows, keys):
    """Over any concurrent history, the edges told made less those told removed are there."""
    with recorded_follows() as told:
        balance, _ = contend(race, db, follows, keys(5), OPERATIONS // 10, 1)
    count = Counter(name for name, *_ in told)
    assert count["followed"] - count["unfollowed"] == balance
    assert_balance(db.session, follows, balance)


def test_two_who_toggle_the_same(race, db, follows, keys):
    """The new state that a toggle returns is that of the database, and the account balances."""
    pair, errors = keys(2), []

    def work(_number):
        relation, states = follows.follow_relation, Counter()
        for _ in range(OPERATIONS // 4):
            states[committed(db.session, lambda: relation.toggle(*pair), errors)] += 1
        return states

    with recorded_follows() as told:
        states = sum(race(work, threads=2), Counter())
    count = Counter(name for name, *_ in told)
    assert states[True] == count["followed"]
    assert states[False] >= count["unfollowed"]
    assert_balance(db.session, follows, count["followed"] - count["unfollowed"])
    assert_deadlocks(db.engine, errors, OPERATIONS / 2)


@pytest.mark.parametrize("time_round", range(3))
def test_the_first_pages_are_read_at_once(app, db, set_up, time_round):
    """No thread makes a wrong statement, which would stay, of one that another is not done with.

    Of many columns, so that a thread takes its time over them.
    """

    class Watch(db.Model):
        watcher_id = db.Column(sa.ForeignKey("watcher.id"), primary_key=True)
        watched_id = db.Column(sa.ForeignKey("watcher.id"), primary_key=True)
        locals().update({f"column{n}": db.Column(sa.Integer) for n in range(60)})

    Watcher = make_user_model(db, name="Watcher")
    watches = Follows(db=db, user_model=Watcher, follow_model=Watch)
    db.create_all()
    watchers = [Watcher(username=f"u{n}") for n in range(3)]
    db.session.add_all(watchers)
    db.session.flush()
    ann, *others = [watcher.id for watcher in watchers]
    watches.add_many([(key, ann) for key in others])
    db.session.commit()
    barrier = Barrier(4, timeout=30)

    def first_page(_number):
        with app.app_context():
            watcher = db.session.get(Watcher, ann)
            barrier.wait()
            return sorted(found.id for found in watcher.followers.page())

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(first_page, range(4))) == [others] * 4
    finally:
        sys.setswitchinterval(interval)


@pytest.mark.parametrize("verbs", [["add"], ["add", "remove"], ["add", "clear"]], ids=" ".join)
def test_many_at_once_in_any_order(race, db, follows, keys, User, verbs):
    """Overlapping sets given in different orders: no lost count, and no deadlock of additions.

    Additions lock in the order of their keys. A DELETE of many locks in that of the database's
    plan, so that PostgreSQL and MariaDB may, rarely, end one of two in a deadlock.
    """
    follower_keys, others, errors = keys(2), keys(20), []

    def work(number):
        chance = random.Random(number)

        def change():
            followed = db.session.get(User, chance.choice(follower_keys)).followed
            verb, chosen = chance.choice(verbs), chance.sample(others, 10)
            done = followed.clear() if verb == "clear" else getattr(followed, verb)(*chosen)
            return done if verb == "add" else -done

        return sum(committed(db.session, change, errors) or 0 for _ in range(100))

    assert_balance(db.session, follows, sum(race(work)))
    say(f"{db.engine.dialect.name}, {verbs}: {len(errors)} deadlocks")
    server = db.engine.dialect.name != "sqlite"
    assert len(errors) <= (MOST_DEADLOCKS[3] * THREADS * 100 if server and len(verbs) > 1 else 0)


def outcome(session, pair, follows):
    """Follow once; return how it went, in a word, with a transaction that was alive after it."""
    try:
        made = follows.follow(*pair)
    except UnknownUserError:
        session.execute(sa.delete(follows.Follow).where(sa.false()))
        made = "unknown"
    session.commit()
    return made


def delete_users(session, User, keys):
    """Delete users one by one, by object and in bulk in turn, slowly enough to be followed."""
    for number, key in enumerate(keys):
        time.sleep(0.005)
        if number % 2:
            session.execute(sa.delete(User).where(User.id == key))
        else:
            session.delete(session.get(User, key))
        session.commit()


@pytest.mark.parametrize("look_first", [False, True])
def test_following_users_who_are_being_deleted(race, db, follows, keys, User, look_first):
    """True, False or UnknownUserError, and nothing else; no edge of a deleted user stays behind.

    Whoever looks first has a snapshot on MariaDB, in which the user may live on.
    """
    followers, victims, over = keys(7), keys(100), []

    def follow_at_random(number):
        chance, outcomes = random.Random(number), Counter()
        while not over:
            if look_first:
                db.session.scalar(sa.select(sa.func.count()).select_from(User))
            pair = [followers[number], chance.choice(victims)]
            chance.shuffle(pair)
            outcomes[outcome(db.session, pair, follows)] += 1
        return outcomes

    def work(number):
        if number < len(followers):
            return follow_at_random(number)
        try:
            delete_users(db.session, User, victims)
        finally:
            over.append(True)
        return Counter()

    outcomes = sum(race(work, threads=8), Counter())
    say(f"{db.engine.dialect.name}: {dict(outcomes)}")
    assert set(outcomes) == {True, False, "unknown"}
    assert_balance(db.session, follows, 0)


def create_at_once(race, work, threads):
    """Run a verb that creates in threads; return the keys of the objects, and who made one."""
    results = race(work, threads)
    return {key for key, _ in results}, sorted(created for _, created in results)


@pytest.mark.parametrize("verb", ["get_or_create", "update_or_create"])
@pytest.mark.parametrize("end", ["followed", "followers"])
def test_one_object_is_created(race, db, follows, keys, User, verb, end):
    """All ask for the same new name: one makes the object, and all get it.

    On MariaDB only two can do so to update: of more, those that came too late share a lock on
    the name, which none of them can then have alone.
    """
    (key,), mariadb = keys(1), db.engine.dialect.name in ("mysql", "mariadb")
    threads = 2 if mariadb and verb == "update_or_create" else 8

    for turn in range(10):

        def work(_number, name=f"new {turn}"):
            collection = getattr(db.session.get(User, key), end)
            obj, created = getattr(collection, verb)(username=name)
            db.session.commit()
            return obj.id, created

        found, created = create_at_once(race, work, threads)
        assert len(found) == 1
        assert created == [False] * (threads - 1) + [True]
    assert_balance(db.session, follows, 10)


def test_one_of_many_creates_an_object_that_others_may_not_have(race, db, follows, keys, User):
    """In a collection of another user's the same name is an IntegrityError, and life goes on."""
    owners = keys(8)

    def work(number):
        collection = db.session.get(User, owners[number]).followed
        try:
            obj, created = collection.get_or_create(username="new")
        except sa.exc.IntegrityError:
            obj, created = None, False
            assert collection.count() == 0
        db.session.commit()
        return obj and obj.id, created

    found, created = create_at_once(race, work, threads=8)
    assert len(found - {None}) == 1
    assert created == [False] * 7 + [True]
    assert_balance(db.session, follows, 1)


# Relations: an edge that is the same from both its ends


@pytest.fixture(params=["mirrored", "canonical"])
def friends(request, app, db, follows, User):
    """A symmetrical relation, in either storage."""
    relation = follows.relation(User, "friends", User, symmetrical=True, storage=request.param)
    db.create_all()
    return relation


def turns(db, most):
    """Return how many turns a thread has: fewer on SQLite, which has one lock for all."""
    return most // 10 if db.engine.dialect.name == "sqlite" else most


def halves(session, relation):
    """Return the rows without a twin the other way round, as of one moment."""
    edges, twin = relation.edge_table, relation.edge_table.table.alias()
    is_twin = twin.c[edges.source.key] == edges.target, twin.c[edges.target.key] == edges.source
    found = sa.select(edges.source, edges.target).where(~sa.exists().where(*is_twin))
    return session.execute(found).all()


def friendships(session, relation):
    """Return the pairs that are friends, smaller key first, having checked how they are stored."""
    edges = relation.edge_table
    rows = [tuple(row) for row in session.execute(sa.select(edges.table))]
    pairs = sorted(row[:2] for row in rows if row[0] < row[1])
    assert len(set(pairs)) == len(pairs)
    turned = [(row[1], row[0], *row[2:]) for row in rows if row[0] > row[1]]
    expected = [row for row in rows if row[0] < row[1]] if relation.storage.mirrors else []
    assert sorted(turned) == sorted(expected)
    return pairs


def told_of(db, relation, errors, transactions):
    """Tell how often transactions met a deadlock; return the share."""
    say(
        f"{db.engine.dialect.name}, {type(relation.storage).__name__}: {len(errors)} deadlocks in "
        f"{transactions} transactions ({100 * len(errors) / transactions:.3f} %)"
    )
    return len(errors) / transactions


def test_two_who_befriend_each_other(race, db, friends, keys):
    """No half, no duplicate, no lost count, and no error but MariaDB's rare deadlock."""
    one, other = keys(2)
    number_of_turns, errors = turns(db, 2500), []

    def work(number):
        chance, balance = random.Random(number), 0
        pair = (other, one) if number else (one, other)
        for _ in range(number_of_turns):
            if chance.random() < 0.5:
                balance += committed(db.session, lambda: friends.add(*pair), errors) or 0
            else:
                balance -= committed(db.session, lambda: friends.remove(*pair), errors) or 0
        return balance

    started = time.perf_counter()
    balance = sum(race(work, threads=2))
    say(f"{2 * number_of_turns / (time.perf_counter() - started):.0f} transactions/s")
    assert len(friendships(db.session, friends)) == balance
    told_of(db, friends, errors, 2 * number_of_turns)
    assert_deadlocks(db.engine, errors, 2 * number_of_turns)


def test_clearing_waits_for_an_addition(race, db, friends, keys, User):
    """All lock an edge's users before the edge, so that these two never meet a deadlock."""
    one, other = keys(2)
    meet, errors = Barrier(2, timeout=30), []

    def work(number):
        for _ in range(turns(db, 200)):
            user = db.session.get(User, other)
            change = partial(friends.add, one, other) if number else user.friends.clear
            meet.wait()
            committed(db.session, change, errors)
            meet.wait()
            if number:
                friends.remove(one, other)  # so that there is a gap for both to meet in
                db.session.commit()

    race(work, threads=2)
    assert not errors


@pytest.mark.parametrize("in_one", [1, 3])
def test_friendships_of_the_same_five(race, db, friends, keys, in_one):
    """The same holds for many at once, and for several changes in the order of their pairs."""
    users, errors, operations = keys(5), [], turns(db, 400)

    def work(number):
        chance = random.Random(number)

        def change():
            made = 0
            pairs = (sorted(chance.sample(users, 2)) for _ in range(in_one))
            for pair in sorted({tuple(pair) for pair in pairs}):
                given = chance.sample(pair, 2)
                made += friends.add(*given) if chance.random() < 0.5 else -friends.remove(*given)
            return made

        return sum(committed(db.session, change, errors) or 0 for _ in range(operations // in_one))

    balance = sum(race(work, threads=8))
    assert len(friendships(db.session, friends)) == balance
    told_of(db, friends, errors, 8 * operations // in_one)
    assert_deadlocks(db.engine, errors, 8 * operations / in_one, in_one)


def change_friends(chance, verb, user, others):
    """Carry out a verb on one user's friends at random; return how many edges were made."""
    some = chance.sample(others, 3)
    if verb == "set":
        user.friends.set(some)  # does not say how many
        return 0
    if verb == "clear":
        return -user.friends.clear()
    if verb == "remove":
        return -user.friends.remove(*some)
    one = some[0]
    return user.friends.add(one) if chance.random() < 0.7 else -user.friends.remove(one)


@pytest.mark.parametrize("look_first", [False, True])
@pytest.mark.parametrize("verbs", [["clear", "remove"], ["set"]], ids=" ".join)
def test_no_half_ever(race, db, friends, keys, User, verbs, look_first):
    """Whatever many-at-once verbs meet single ones, no reader sees a half.

    Whoever looks first has a snapshot on MariaDB, which hides what comes after it.
    """
    users, errors, over, operations = keys(6), [], [], turns(db, 100)
    # Others, so that a database has reason to go by its indexes: else it locks the whole table.
    crowd = friends.add_many(combinations(keys(60), 2))
    db.session.commit()
    settle(db.engine, [friends.edge_table.table])

    def change(chance):
        user = db.session.get(User, chance.choice(users))
        if look_first:
            user.friends.count()
        others = [key for key in users if key != user.id]
        return change_friends(chance, chance.choice([*verbs, "one"]), user, others)

    def watch():
        seen = []
        while len(over) < 7:
            seen += halves(db.session, friends) if friends.storage.mirrors else []
            db.session.rollback()
        return seen

    def work(number):
        if number == 0:
            return watch()
        chance = random.Random(number)
        try:
            made = [
                committed(db.session, lambda: change(chance), errors) for _ in range(operations)
            ]
        finally:
            over.append(True)
        return sum(filter(None, made))

    seen, *balances = race(work, threads=8)
    assert seen == []
    pairs = friendships(db.session, friends)
    assert "set" in verbs or len(pairs) == crowd + sum(balances)
    told_of(db, friends, errors, 7 * operations)
    assert_deadlocks(db.engine, errors, 7 * operations, "sets" if "set" in verbs else "many")


@pytest.mark.parametrize("name", ["followed", "friends"])
@pytest.mark.parametrize("look_first", [False, True])
def test_two_who_set_the_same(race, db, friends, keys, User, name, look_first):
    """Of sets at once each stands for a while, and the last one in the end: never the union."""
    (key, *others), errors, number_of_turns = keys(13), [], turns(db, 80)
    chosen = [sorted(others[start::4]) for start in range(4)]

    def work(number):
        def change():
            collection = getattr(db.session.get(User, key), name)
            if look_first:
                collection.count()
            collection.set(chosen[number])

        for _ in range(number_of_turns):
            committed(db.session, change, errors)
            there = getattr(db.session.get(User, key), name).ids()
            assert sorted(there) in chosen
            db.session.rollback()

    race(work, threads=4)
    told_of(db, friends, errors, 4 * number_of_turns)
    assert not errors
