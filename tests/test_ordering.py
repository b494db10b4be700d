"""What is newest first is ordered otherwise by `order_by()`, wherever edges and users are read."""

from __future__ import annotations

from typing import Any

import pytest
from flask_sqlalchemy.query import Query

from flask_follows import Follows
from flask_follows.ordering import newest_first


@pytest.fixture
def made(User: Any, follows: Follows, users: Any, session: Any) -> Any:
    """A function that returns a user's rows or users, made in the order of their keys."""
    ann, *others = users(4)
    for other in others:
        ann.follow(other)
        other.follow(ann)
    session.flush()
    relation = follows.follow_relation
    ways: dict[str, Any] = {
        "set": lambda: (ann.followed_set, follows.Follow.followed_id),
        "edges": lambda: (relation.edges(ann), follows.Follow.followed_id),
        "mutuals": lambda: (ann.mutuals, User.id),
        "collection": lambda: (ann.followed, User.id),
    }
    return lambda way: (*ways[way](), [other.id for other in others])


@pytest.mark.parametrize("way", ["set", "edges", "mutuals", "collection"])
def test_another_order(made, way):
    """The first `order_by` replaces newest first, also after a filter; the second appends."""
    query, column, keys = made(way)

    def found(result: Any) -> list[Any]:
        return [getattr(row, column.key) for row in result]

    assert found(query) == keys[::-1]
    assert found(query.order_by(column)) == keys
    assert found(query.order_by(column.desc())) == keys[::-1]
    assert found(query.filter(column != keys[0]).order_by(column)) == keys[1:]
    assert found(query.order_by(column > keys[0]).order_by(column.desc())) == [
        keys[0],
        *keys[:0:-1],
    ]
    assert found(query.order_by(None).order_by(column)) == keys


def test_the_class_of_a_host():
    """A host's query class is kept, and one class is made of it."""

    class Ours(Query):
        pass

    assert issubclass(newest_first(Ours), Ours)
    assert newest_first(Ours) is newest_first(Ours)
