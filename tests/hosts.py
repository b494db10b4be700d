"""What the tests of odd hosts share: users of any key, and what is left in the tables."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import sqlalchemy as sa

# For each kind of key: the column's type, three keys that users have, and one that nobody has.
KEYS: dict[str, tuple[Any, list[Any], Any]] = {
    "integer": (sa.Integer, [1, 2, 2**31 - 1], 4),
    "big integer": (sa.BigInteger, [-(2**63), 2**40, 2**63 - 1], 4),
    "small integer": (sa.SmallInteger, [-(2**15), 2, 2**15 - 1], 4),
    "uuid": (sa.Uuid, [UUID(int=2**127), UUID(int=1), UUID(int=3)], UUID(int=4)),
    "uuid as text": (
        sa.Uuid(as_uuid=False),
        [str(UUID(int=2**127)), str(UUID(int=1)), str(UUID(int=3))],
        str(UUID(int=4)),
    ),
    "string": (sa.String(40), ["Zoë", "", "o'hara \\ %s :x"], "nobody"),
}


def add_users(db: Any, User: Any, number: int = 3, keys: Any = None, **fields: Any) -> list[Any]:
    """Commit new users, named u0, u1, ...; they are loaded, and no transaction is open."""
    users = [User(username=f"u{place}", **fields) for place in range(number)]
    for user, key in zip(users, keys or [], strict=False):
        user.id = key
    db.session.add_all(users)
    db.session().expire_on_commit = False
    db.session.commit()
    db.session().expire_on_commit = True
    return users


def stored(db: Any, relation: Any) -> set[tuple[Any, Any]]:
    """Return the pairs of keys in the edge table, read past every layer of ours."""
    table, mapper = relation.edge_table.table, relation.edge_table.mapper
    rows = db.session.execute(sa.select(table), bind_arguments={"mapper": mapper}).mappings()
    return {(row["follower_id"], row["followed_id"]) for row in rows}


def key_of(user: Any) -> Any:
    """Return the key of a saved user, whatever the attribute is called."""
    return sa.inspect(user).identity[0]


def exercise(db: Any, extension: Any, users: list[Any], User: Any = None) -> None:
    """Send every kind of statement for three users without edges, and check what comes back.

    :param User: the class that was registered, where it is not that of the first user.
    """
    ann, bob, cat = users
    a, b, c = keys = [key_of(user) for user in users]
    User = User or type(ann)
    key = getattr(User, sa.inspect(User).get_property_by_column(_key_column(extension)).key)
    relation = extension.follow_relation

    assert ann.follow(bob) is True
    assert ann.follow(b) is False
    assert ann.followed.add(bob, c) == 1
    assert extension.follow(c, a) is True
    assert (ann.is_following(bob), bob.is_followed_by(a), ann.is_mutual_with(cat)) == (True,) * 3
    assert extension.is_following(b, a) is False
    assert (ann.followed_count, ann.followers_count) == (2, 1)
    assert ann.mutuals.all() == [cat]
    assert stored(db, relation) == {(a, b), (a, c), (c, a)}

    assert cat in ann.followed
    assert ann.followed.ids() == [c, b]
    assert ann.followed.filter(key == b).all() == [bob]
    assert db.session.scalars(ann.followed.select()).all() == [cat, bob]
    page = ann.followed.page(per_page=1)
    assert page.items == [cat]
    assert ann.followed.page(after=page.next, per_page=1).items == [bob]
    assert [edge.followed for edge in ann.followed_set] == [cat, bob]

    def found(*criteria: Any) -> list[Any]:
        return db.session.scalars(sa.select(key).where(key.in_(keys), *criteria)).all()

    assert found(User.is_following(bob)) == [a]
    assert found(User.is_followed_by(c), User.is_mutual_with(cat)) == [a]
    assert found(User.followed_count == 2, User.followers_count == 1) == [a]
    assert set(found(User.followers.any(key == a))) == {b, c}

    ann.followed = [bob]
    assert cat.followers.set([b]) is None
    assert cat.toggle_follow(ann) is False
    assert cat.toggle_follow(ann) is True
    assert cat.remove_follower(bob) is True
    assert ann.unfollow(bob) is True
    assert bob.followers.remove(ann, cat) == 0
    assert stored(db, relation) == {(c, a)}
    assert extension.add_many([(a, b), (a, c), (b, c), (c, a)]) == 3
    assert cat.followed.clear() == 1
    db.session.commit()

    db.session.delete(cat)
    db.session.commit()
    assert stored(db, relation) == {(a, b)}
    bob.follow(ann)
    db.session.execute(sa.delete(User).where(key == b))
    db.session.commit()
    assert stored(db, relation) == set()


def _key_column(extension: Any) -> Any:
    return extension.follow_relation.source.column
