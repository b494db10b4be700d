"""What `filter()`, `order_by()` and the like make of a collection: it reads, and does not write."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
import sqlalchemy as sa
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import aliased, mapped_column

from flask_follows import UnsavedInstanceError, WrongTypeError
from flask_follows.results import RelatedResult

from .models import make_user_model

MIDNIGHT = datetime(2024, 3, 1, tzinfo=timezone.utc)


@pytest.fixture
def User(db: SQLAlchemy) -> Any:
    """A host with further columns that may be NULL."""
    return make_user_model(
        db,
        city=mapped_column(sa.String(20), nullable=True),
        age=mapped_column(sa.Integer, nullable=True),
    )


@pytest.fixture(params=["followed", "followers"])
def collection(request: pytest.FixtureRequest, users: Any, session: Any, others: Any) -> Any:
    """A user's collection with the six others in it, `u0` by the newest edge."""
    (user,) = users(1)
    collection = getattr(user, request.param)
    for minute, other in enumerate(reversed(others)):
        time = MIDNIGHT + timedelta(minutes=minute)
        collection.add(other, through_defaults={"created_at": time})
    session().expire_on_commit = False
    session.commit()
    session().expire_on_commit = True
    return collection


@pytest.fixture
def others(users: Any, session: Any) -> list[Any]:
    """Six users, with cities and ages that repeat and are missing."""
    others = users(6)
    for place, other in enumerate(others):
        other.city = ["Oslo", None, "Rome"][place % 3]
        other.age = [10, 20, None, None][place % 4]
    session().expire_on_commit = False
    session.commit()
    return others


def names(objects: Any) -> str:
    """Return the numbers in the names of users, in order."""
    return "".join(obj.username[1:] for obj in objects)


def test_filters(collection, User, assert_statements):
    """Criteria and fields narrow a collection, which stays newest first. One statement."""
    asked = [
        (collection.filter(User.city == "Oslo"), "03"),
        (collection.filter_by(city="Rome"), "25"),
        (collection.filter_by(city=None).filter(User.age > 10), "1"),
        (collection.filter_by(city="nowhere"), ""),
        (collection.filter(), "012345"),
        (collection.where(User.age.is_(None)), "23"),
        (collection.order_by(User.id).distinct(), "012345"),
        (collection.limit(2), "01"),
    ]
    for result, expected in asked:
        assert isinstance(result, RelatedResult)
        with assert_statements(1):
            assert names(result) == expected
        with assert_statements(1):
            assert names(result.all()) == expected


def test_the_verbs_of_reading(collection, others, assert_statements):
    """`exists`, truth, `count`, `ids`, `first` and membership: one statement each."""
    outside, first, inside = others[1], others[0], others[3]
    questions: list[tuple[Callable[[Any], Any], Any, Any]] = [
        (RelatedResult.exists, True, False),
        (bool, True, False),
        (RelatedResult.count, 2, 0),
        (RelatedResult.ids, [first.id, inside.id], []),
        (RelatedResult.first, first, None),
        (lambda result: result.contains(inside), True, False),
        (lambda result: inside in result, True, False),
        (lambda result: inside.id in result, True, False),
        (lambda result: outside in result, False, False),
        (lambda result: outside.id in result, False, False),
    ]
    for ask, *answers in questions:
        for city, answer in zip(["Oslo", "nowhere"], answers, strict=True):
            with assert_statements(1):
                assert ask(collection.filter_by(city=city)) == answer


def test_membership_of_what_cannot_be(collection, User, others):
    """What cannot be a key of a user is in no result; what is no user or key is an error."""
    result = collection.filter(User.id > 0)
    for key in 999, 2**31, 2**63, -(10**40):
        assert key not in result
    assert collection.instance not in result
    for error, asked in [
        (UnsavedInstanceError, User(username="transient")),
        (WrongTypeError, "1"),
        (WrongTypeError, None),
    ]:
        with pytest.raises(error):
            result.contains(asked)
    assert others[0] in result


def test_membership_of_a_part(collection, User, others, assert_statements):
    """Of a result cut short, only what is in the part is in it."""
    newest = collection.limit(2)
    oldest = collection.order_by(User.id.desc()).limit(2)
    part = collection.filter(User.id > 0).offset(1).limit(2)
    for result, expected in (newest, "01"), (oldest, "54"), (part, "12"):
        for other in others:
            with assert_statements(1):
                assert (other in result) == (other.username[1:] in expected)
        assert 10**40 not in result
        assert result.exists()
        assert result.count() == 2


def test_pending_changes_are_seen(collection, session, User, others):
    """What waits to be saved is saved before a result is asked for."""
    others[0].city = "Bern"
    assert collection.filter_by(city="Bern").exists()
    others[1].city = "Bern"
    assert others[1] in collection.filter_by(city="Bern")
    others[2].city = "Bern"
    assert collection.filter_by(city="Bern").count() == 3
    others[3].city = "Bern"
    assert len(collection.filter_by(city="Bern").ids()) == 4
    with session.no_autoflush:
        others[4].city = "Bern"
        assert len(collection.filter_by(city="Bern").page()) == 4
        assert others[4] not in collection.filter_by(city="Bern")


def test_order(collection, User):
    """`order_by` takes the place of "newest edge first"; later calls append."""
    asked = [
        (collection.order_by(User.id.desc()), "543210"),
        (collection.order_by(User.city.desc(), User.id).filter(User.city.isnot(None)), "2503"),
        (collection.filter(User.city.isnot(None)).order_by(User.city).order_by(User.id), "0325"),
        (collection.filter_by(city="Oslo").order_by(User.id.desc()).filter_by(age=None), "3"),
        (collection.order_by(None).order_by(User.id), "012345"),
    ]
    for result, expected in asked:
        assert names(result) == expected
        assert result.ids() == [int(number) + 1 for number in expected]
    # ORDER BY of nothing but the default goes; what is asked for is all there is.
    assert "created_at" not in str(collection.order_by(User.id))
    assert str(collection.order_by(User.id)).count("ORDER BY") == 1
    assert "ORDER BY" not in str(collection.order_by(None))


def test_order_leaves_the_original_alone(collection, User):
    """A query is not changed by what is made of it."""
    result = collection.filter(User.id > 0)
    assert names(result.order_by(User.id.desc())) == "543210"
    assert names(result) == "012345"
    assert names(collection) == "012345"


@pytest.mark.parametrize("of", ["collection", "result"])
def test_exclude(collection, User, of):
    """Whoever matches all the criteria is left out; a NULL does not match, as in Django."""
    query = collection if of == "collection" else collection.filter(User.id > 0)
    asked = [
        (query.exclude(User.city == "Oslo"), "1245"),
        (query.exclude(city="Oslo"), "1245"),
        (query.exclude(city=None), "0235"),
        (query.exclude(city="Oslo", age=10), "12345"),
        (query.exclude(User.city == "Oslo", age=None), "01245"),
        (query.exclude(User.age > 10), "02346"[:4]),
        (query.exclude(city="Oslo").exclude(city="Rome"), "14"),
        (query.exclude(~User.city.in_(["Oslo"])), "0134"),
        (query.exclude(sa.or_(User.city == "Oslo", User.age == 20)), "24"),
        (query.exclude(), "012345"),
        (query.filter_by(city="Oslo").exclude(age=None), "0"),
    ]
    for result, expected in asked:
        assert names(result) == expected
        assert isinstance(result, RelatedResult)
    assert query.exclude(city="Oslo").count() == 4
    assert query.exclude(username="u0").ids() == [2, 3, 4, 5, 6]


def test_a_field_that_does_not_exist(collection, User):
    """A field that the class does not have is an error, and not ignored."""
    with pytest.raises(sa.exc.InvalidRequestError):
        collection.filter_by(nonsense=1)
    with pytest.raises(AttributeError, match="nonsense"):
        collection.exclude(nonsense=1)


def test_select(collection, session, db, User, assert_statements):
    """The result as a statement, with its criteria, order and limit."""
    result = collection.filter(User.city.isnot(None)).order_by(User.id.desc())
    with assert_statements(1):
        assert names(session.scalars(result.select())) == "5320"
    with assert_statements(2):
        page = db.paginate(result.select(), page=2, per_page=3)
    assert (names(page.items), page.total) == ("0", 4)
    assert names(session.scalars(result.limit(2).select())) == "53"


def test_paginate(collection, User, assert_statements):
    """Flask-SQLAlchemy's pages of a result: two statements."""
    result = collection.filter(User.city.isnot(None)).order_by(User.id.desc())
    with assert_statements(2):
        page = result.paginate(page=1, per_page=3)
    assert (names(page.items), page.total) == ("532", 4)
    assert names(page.next().items) == "0"


def test_slices(collection, User, assert_statements):
    """Slices and single items of a result: one statement each."""
    result = collection.filter(User.city.isnot(None))
    with assert_statements(1):
        assert names(result[1:3]) == "23"
    with assert_statements(1):
        assert names([result[0]]) == "0"


def test_joins(collection, User, session, follows, others, assert_statements):
    """Other entities may be joined, among them the edges at the other end of the objects."""
    others[3].follow(others[0])
    others[5].follow(others[0])
    second = aliased(User)
    joined = collection.join(second, User.followed).filter(second.id == others[0].id)
    assert names(joined) == "35"
    assert names(joined.order_by(User.id.desc())) == "53"
    assert names(joined.exclude(city="Oslo")) == "5"
    assert (joined.count(), joined.exists(), joined.ids()) == (2, True, [4, 6])
    assert others[3] in joined
    assert others[4] not in joined
    with assert_statements(1):
        with_time = collection.add_columns(follows.Follow.created_at).first()
    assert (with_time[0], with_time[1]) == (others[0], MIDNIGHT + timedelta(minutes=5))


def test_grouped(collection, User):
    """A result may be grouped and counted."""
    cities = collection.order_by(User.city).with_entities(User.city, sa.func.count())
    counted = cities.filter(User.city.isnot(None)).group_by(User.city).all()
    assert [tuple(row) for row in counted] == [("Oslo", 2), ("Rome", 2)]


def test_a_result_does_not_write(collection, User):
    """A result has none of the verbs that write."""
    result = collection.filter(User.id > 0)
    for verb in "add", "remove", "clear", "set", "create", "get_or_create", "append":
        assert not hasattr(result, verb)
    for verb in "update", "delete":
        with pytest.raises(sa.exc.InvalidRequestError, match="order_by"):
            getattr(result, verb)(*([{}] if verb == "update" else []))


def test_pages_of_a_result(collection, User, assert_statements):
    """A filtered collection has keyset pages too, forwards and backwards."""
    result = collection.filter(User.city.isnot(None))
    with assert_statements(1):
        first = result.page(per_page=3)
    assert names(first) == "023"
    assert first.previous is None
    second = result.page(after=first.next, per_page=3)
    assert names(second) == "5"
    assert second.next is None
    back = result.page(before=second.previous, per_page=2)
    assert names(back) == "23"
    assert names(result.page(before=back.previous, per_page=2)) == "0"
    assert first.edges[0].created_at == MIDNIGHT + timedelta(minutes=5)
    joined = collection.join(other := aliased(User), other.id == User.id)
    assert names(joined.filter(other.city == "Rome").page()) == "25"
    assert names(collection.exclude(city="Oslo").page()) == "1245"


def test_pages_with_further_columns(collection, User):
    """Columns that were added do not come between the objects and their edges."""
    page = collection.filter(User.city.isnot(None)).add_columns(User.age).page(per_page=2)
    assert names(page) == "02"
    assert page.next is not None
    assert [edge.created_at.minute for edge in page.edges] == [5, 3]


def test_pages_need_the_order_of_the_edges(collection, User):
    """Pages go by the edges; another order is refused, with what to use."""
    with pytest.raises(ValueError, match="paginate"):
        collection.order_by(User.id).page()
    with pytest.raises(ValueError, match="paginate"):
        collection.filter(User.id > 0).order_by(User.id).filter(User.id > 1).page()
