"""A collection builds SQLAlchemy's query only for those who ask for one, and nobody can tell."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from flask_follows import RelatedQuery

VERBS = {
    "add": lambda c, bob: c.add(bob),
    "remove": lambda c, bob: c.remove(bob),
    "clear": lambda c, bob: c.clear(),
    "set": lambda c, bob: c.set([bob]),
    "count": lambda c, bob: c.count(),
    "capped_count": lambda c, bob: c.capped_count(5),
    "contains": lambda c, bob: bob in c,
    "bool": lambda c, bob: bool(c),
    "ids": lambda c, bob: c.ids(),
    "page": lambda c, bob: c.page().items,
    "select": lambda c, bob: c.select(),
}
QUERIES = {
    "iteration": list,
    "index": lambda c: [c[0]],
    "slice": lambda c: c[:5],
    "all": lambda c: c.all(),
    "filter": lambda c: c.filter(sa.true()).all(),
    "exclude": lambda c: c.exclude(sa.false()).all(),
    "order_by": lambda c: c.order_by(None).all(),
    "paginate": lambda c: c.paginate().items,
    "statement": lambda c: c.session.scalars(c.statement).all(),
}


def is_built(collection):
    """Tell whether SQLAlchemy has made the query."""
    return "attr" in vars(collection)


@pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS)
def test_verbs_need_no_query(users, verb):
    """They know the edges."""
    ann, bob = users(2)
    collection = ann.followed
    verb(collection, bob)
    assert not is_built(collection)
    assert isinstance(collection, RelatedQuery)


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
def test_all_else_has_one(users, query):
    """It is there for whatever else is asked, once, and the verbs go on."""
    ann, bob = users(2)
    collection = ann.followed
    assert collection.add(bob) == 1
    assert list(query(collection)) == [bob]
    assert is_built(collection)
    assert list(query(collection)) == [bob]
    assert collection.remove(bob) == 1
    assert list(collection) == []
    assert isinstance(collection, RelatedQuery)


def test_text_of_a_collection(users):
    """It is that of its statement."""
    (ann,) = users(1)
    assert str(ann.followed).startswith("SELECT")
