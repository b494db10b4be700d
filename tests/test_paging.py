"""Keyset pages: cursors, good and bad, and the pages of a collection in both directions."""

from __future__ import annotations

import dataclasses
import json
import pickle
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from flask_sqlalchemy import SQLAlchemy
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.dialects import mysql, oracle, postgresql, sqlite
from sqlalchemy.orm import mapped_column

from flask_follows import ConfigurationError, InvalidCursorError, Page, beyond
from flask_follows.beyond import form_for
from flask_follows.paging import PER_PAGE, Order, page_size
from flask_follows.types import utc_datetime

from .models import make_user_model

NOON = datetime(2024, 3, 1, 12, tzinfo=timezone.utc)
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)

KEYS: dict[str, Callable[[int], Any]] = {
    "int": lambda number: number * 7919 % 2000 - 1000,
    "uuid": lambda number: UUID(int=(number * 7919 % 2000) << 96),
    # Of one length: the databases have each their own order of other texts.
    "string": lambda number: f"u{number * 7919 % 2000:04}",
}
each_key = pytest.mark.parametrize("User", KEYS, indirect=True)


@pytest.fixture
def User(request: pytest.FixtureRequest, db: SQLAlchemy) -> Any:
    """A host whose keys are of a kind, and do not grow with the time."""
    kind = getattr(request, "param", "int")
    number = iter(range(1, 2000))
    key = {"int": sa.Integer, "uuid": sa.Uuid, "string": sa.String(20)}[kind]
    default = mapped_column(key, primary_key=True, default=lambda: KEYS[kind](next(number)))
    return make_user_model(db, key=default)


@pytest.fixture(params=["followed", "followers"])
def end(request: pytest.FixtureRequest) -> str:
    """Either end of the relation."""
    return request.param


@pytest.fixture
def make(users: Any, session: Any, end: str) -> Any:
    """`make([5, 3, 3])`: a collection with users whose edges have these minutes."""

    def make(minutes: list[int]) -> Any:
        user, *others = users(len(minutes) + 1)
        collection = getattr(user, end)
        for other, minute in zip(others, minutes, strict=True):
            collection.add(other, through_defaults={"created_at": NOON + timedelta(minutes=minute)})
        session.commit()
        return collection

    return make


def forwards(collection: Any, per_page: int) -> list[Page[Any]]:
    """Return all pages, from the first one on."""
    pages = [collection.page(per_page=per_page)]
    while pages[-1].next:
        pages.append(collection.page(after=pages[-1].next, per_page=per_page))
    return pages


def backwards(collection: Any, last: Page[Any], per_page: int) -> list[Page[Any]]:
    """Return all pages before one, nearest first."""
    pages = [last]
    while pages[-1].previous:
        pages.append(collection.page(before=pages[-1].previous, per_page=per_page))
    return pages[1:]


def items(pages: list[Page[Any]]) -> list[Any]:
    """Return the objects of many pages."""
    return [item for page in pages for item in page]


# Cursors

KINDS: dict[str, tuple[Any, list[Any]]] = {
    "int": (sa.Integer, [0, 7, -1, 2**31 - 1]),
    "big": (sa.BigInteger, [2**63 - 1, -(2**63)]),
    "string": (sa.String(80), ["", "ann", "Zoë", "日本", "a/b+c?d=&e", "\U0001f600", "u", "'\"\\"]),
    "uuid": (sa.Uuid, [UUID(int=0), UUID(int=2**128 - 1), uuid4()]),
    "time": (utc_datetime(), [NOON, EPOCH, NOON.replace(microsecond=9), NOON.replace(year=1)]),
}


def order_of(*kinds: Any) -> Order:
    """Return an order of columns of some types."""
    return Order([sa.Column(f"c{place}", kind) for place, kind in enumerate(kinds)])


@pytest.mark.parametrize("name", KINDS)
def test_cursors_keep_their_values(name):
    """A cursor gives back the values it was made of, and is fit for a URL."""
    kind, values = KINDS[name]
    order = order_of(utc_datetime(), kind)
    for value in values:
        cursor = order.place([NOON, value])
        assert order.values(cursor) == [NOON, value]
        assert cursor.replace("-", "").replace("_", "").isalnum()
        assert cursor.isascii()
    assert order_of(kind).values(order_of(kind).place(values[:1])) == values[:1]


def test_the_time_of_a_cursor_is_in_utc():
    """A time of any zone is the same place, to the microsecond."""
    order = order_of(utc_datetime())
    there = NOON.astimezone(timezone(timedelta(hours=-11, minutes=-30)))
    assert order.place([there]) == order.place([NOON])
    (value,) = order.values(order.place([there]))
    assert value.utcoffset() == timedelta(0)


def test_a_value_that_no_cursor_can_hold():
    """A key of a type that cursors do not know is an error that names the way out."""
    with pytest.raises(ConfigurationError, match=r"paginate\(\)"):
        order_of(sa.Numeric).place([1.5])


def encoded(value: Any) -> str:
    """Return any JSON as a cursor would carry it."""
    return raw(json.dumps(value, separators=(",", ":")).encode())


def raw(content: bytes) -> str:
    """Return any bytes as a cursor would carry them."""
    return urlsafe_b64encode(content).rstrip(b"=").decode()


GOOD = order_of(utc_datetime(), sa.Integer).place([NOON, 7])
TIME = "t1709294400000000"
assert encoded([TIME, "i7"]) == GOOD

BAD_CURSORS: dict[str, Any] = {
    "empty": "",
    "space": " ",
    "garbage": "garbage",
    "truncated": GOOD[:-1],
    "truncated more": GOOD[:-4],
    "half": GOOD[: len(GOOD) // 2],
    "longer": GOOD + "A",
    "padded": GOOD + "=" * (-len(GOOD) % 4 or 4),
    "with a space": f"{GOOD} ",
    "with a newline": f"{GOOD[:4]}\n{GOOD[4:]}",
    "twice": GOOD + GOOD,
    "not ASCII": "é" + GOOD[1:],
    "full width": GOOD[:-1] + "\uff21",
    "NUL": "\0" + GOOD,
    "lone surrogate": "\ud800" + GOOD,
    "percent": "%00%ff",
    "overlong": "A" * 100_000,
    "overlong JSON": encoded([TIME, "i7" + " " * 3000]),
    "no JSON": raw(b"\xff\xfe\x00"),
    "UTF-16": raw(f'["{TIME}","i7"]'.encode("utf-16")),
    "byte order mark": raw(b"\xef\xbb\xbf" + urlsafe_b64decode(GOOD + "==")),
    "spaces": raw(json.dumps([TIME, "i7"]).encode()),
    "escapes": raw(f'["{TIME}","\\u00697"]'.encode()),
    "two values": raw(f'["{TIME}","i7"]["{TIME}","i7"]'.encode()),
    "null": encoded(None),
    "number": encoded(7),
    "text": encoded("i7"),
    "object": encoded({"t1": 1, "i7": 2}),
    "nothing in it": encoded([]),
    "one too few": encoded([TIME]),
    "one too many": encoded([TIME, "i7", "i7"]),
    "exchanged": encoded(["i7", TIME]),
    "numbers inside": encoded([1709294400000000, 7]),
    "null inside": encoded([TIME, None]),
    "list inside": encoded([TIME, ["i7"]]),
    "object inside": encoded([TIME, {"0": "i", "1": "7"}]),
    "empty inside": encoded([TIME, ""]),
    "only a mark": encoded([TIME, "i"]),
    "unknown mark": encoded([TIME, "x7"]),
    "text for a number": encoded([TIME, "s7"]),
    "uuid for a number": encoded([TIME, f"u{UUID(int=7)}"]),
    "time for a number": encoded([TIME, TIME]),
    "underscore": encoded([TIME, "i1_0"]),
    "plus": encoded([TIME, "i+7"]),
    "zero in front": encoded([TIME, "i07"]),
    "space in front": encoded([TIME, "i 7"]),
    "other digits": encoded([TIME, "i\u0667"]),
    "float": encoded([TIME, "i7.0"]),
    "infinite": encoded([TIME, "iinf"]),
    "NaN": raw(f'["{TIME}",NaN]'.encode()),
    "huge number": encoded([TIME, f"i{10**40}"]),
    "beyond 64 bits": encoded([TIME, f"i{2**63}"]),
    "too many digits": encoded([TIME, "i" + "9" * 1400]),
    "a time too late": encoded([f"t{10**18}", "i7"]),
    "a time too early": encoded([f"t{-(10**18)}", "i7"]),
    "a huge time": encoded([f"t{10**40}", "i7"]),
    "nested deeply": raw(b"[" * 1400),
    "nested and closed": raw(b"[" * 700 + b"]" * 700),
    "nested objects": raw(b'{"a":' * 280),
    "bytes": GOOD.encode(),
    "an integer": 7,
    "a list": [GOOD],
    "a truth": True,
}


@pytest.mark.parametrize("name", BAD_CURSORS)
def test_bad_cursors(name):
    """Whatever was not made as a cursor of this order is refused, with one error."""
    order = order_of(utc_datetime(), sa.Integer)
    assert order.values(GOOD) == [NOON, 7]
    if name in ("huge number", "beyond 64 bits", "too many digits"):
        # A number. That no key can be so large is found later, with the key's column.
        assert order.values(BAD_CURSORS[name])[1] > 2**62
        return
    with pytest.raises(InvalidCursorError, match="start again from the first page"):
        order.values(BAD_CURSORS[name])


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (sa.String, "s\0"),
        (sa.String, "sa\0b"),
        (sa.String, "s\ud800"),
        (sa.String, "s\udfff\ud800"),
        (sa.String, "i7"),
        (sa.Uuid, "u" + "0" * 32),
        (sa.Uuid, f"u{{{UUID(int=0)}}}"),
        (sa.Uuid, f"uurn:uuid:{UUID(int=0)}"),
        (sa.Uuid, "u" + str(UUID(int=2**128 - 1)).upper()),
        (sa.Uuid, "unothing"),
        (sa.Uuid, f"s{UUID(int=0)}"),
    ],
)
def test_bad_keys_in_cursors(kind, value):
    """Texts that no database stores, and keys written in another way, are refused."""
    with pytest.raises(InvalidCursorError):
        order_of(utc_datetime(), kind).values(encoded([TIME, value]))


def test_a_time_without_a_zone_is_no_place_among_moments():
    """A cursor of a collection with times of the host's own is not one of ours."""
    with pytest.raises(InvalidCursorError):
        order_of(utc_datetime(), sa.Integer).values(encoded(["n1709294400000000", "i7"]))


def test_the_error_is_a_value_error():
    """A host may catch it as what it is: a bad value from outside."""
    with pytest.raises(ValueError, match="cursor"):
        order_of(sa.Integer).values("?")


# Arguments


def test_page_sizes():
    """Twenty if not given; at least one, and no more than a database counts."""
    assert page_size(None, None, None) == PER_PAGE == 20
    assert page_size(1, None, "cursor") == 1
    assert page_size(2**31 - 2, "cursor", None) == 2**31 - 2
    for size in ("20", 20.0):
        with pytest.raises(TypeError, match=f"per_page must be an int, got {size!r}"):
            page_size(size, None, None)
    for size in 0, -1, -(2**70), 2**31 - 1, 2**63, 10**40:
        with pytest.raises(ValueError, match="per_page must be"):
            page_size(size, None, None)


def test_two_cursors_are_refused():
    """A page lies after a place or before it."""
    with pytest.raises(ValueError, match="not both"):
        page_size(None, "a", "b")
    with pytest.raises(ValueError, match="not both"):
        page_size(None, "", "")


def test_a_page_is_iterable():
    """A page has a length, is iterable, and empty when nothing is in it."""
    page = Page(["a", "b"], "n", read_edges=lambda: [1, 2])
    assert (list(page), len(page), bool(page)) == (["a", "b"], 2, True)
    assert page.edges == [1, 2]
    assert (bool(Page([])), Page([]).edges) == (False, [])
    assert "edges" not in repr(page)


# Pages of a collection


@each_key
def test_all_sizes_forwards_and_backwards(make):
    """Pages of every size, in both directions, give each object once and in order."""
    collection = make([0, 1, 2, 3, 4, 5, 6])
    expected = collection.all()
    assert [user.username for user in expected] == ["u7", "u6", "u5", "u4", "u3", "u2", "u1"]
    for per_page in 1, 2, 3, 6, 7, 8, 100:
        pages = forwards(collection, per_page)
        assert items(pages) == expected
        assert [len(page) for page in pages[:-1]] == [per_page] * (len(pages) - 1)
        assert len(pages) == -(-7 // per_page)
        assert (pages[0].previous, pages[-1].next) == (None, None)
        back = backwards(collection, pages[-1], per_page)
        assert [page.items for page in back] == [page.items for page in pages[-2::-1]]
        assert all(page.next for page in back)


@each_key
def test_equal_times(make):
    """Edges of one time, as a batch has them, are paged by key, each once."""
    collection = make([3, 3, 3, 3, 1, 1, 3, 5, 1])
    expected = collection.all()
    for per_page in 1, 2, 3, 4, 8, 9:
        pages = forwards(collection, per_page)
        assert items(pages) == expected
        back = backwards(collection, pages[-1], per_page)
        assert items(back[::-1]) == expected[: -len(pages[-1])]


@pytest.mark.parametrize("form", [beyond._nested, beyond._row, beyond._ranges])
def test_every_form_means_the_same(make, User, monkeypatch, form):
    """The databases get different conditions, and each means the same on all of them."""
    for dialect in [*beyond._FORMS]:
        monkeypatch.setitem(beyond._FORMS, dialect, form)
    collection = make([3, 3, 1, 3, 1, 5])
    expected = collection.all()
    for asked in collection, collection.filter(User.username != "x"):
        pages = forwards(asked, 2)
        assert items(pages) == expected
        assert items(backwards(asked, pages[-1], 1)[::-1]) == expected[:4]


def test_the_form_for_each_database():
    """Each known database has a form, and the others get one that does well on most."""
    assert {kind.name: form_for(kind()) for kind in (sqlite.dialect, postgresql.dialect)} == {
        "sqlite": beyond._row,
        "postgresql": beyond._row,
    }
    assert form_for(mysql.dialect()) is beyond._ranges
    assert form_for(oracle.dialect()) is beyond._nested


def test_the_form_of_a_single_column():
    """An order by key alone, as of edges without a time, has the plain condition."""
    order = order_of(sa.Integer)
    for form in beyond._nested, beyond._ranges:
        assert str(order.beyond([7], form, newer=False)) == "c0 < :param_1"
        assert str(order.beyond([7], form, newer=True)) == "c0 > :param_1"


def test_the_edge_beside_each_object(make, end, assert_statements):
    """Each page has the edges of its objects, in the same order, from one statement more."""
    collection = make([4, 3, 2, 1])
    with assert_statements(1):
        page = collection.page(per_page=3)
    with assert_statements(1):
        edges = page.edges
    with assert_statements(0):
        assert page.edges is edges
        far = "followed" if end == "followed" else "follower"
        assert [getattr(edge, f"{far}_id") for edge in page.edges] == [u.id for u in page.items]
        assert [edge.created_at.minute for edge in page.edges] == [4, 3, 2]
    back = collection.page(before=collection.page(after=page.next).previous, per_page=2)
    assert [edge.created_at.minute for edge in back.edges] == [3, 2]


def test_an_edge_that_is_gone(make, end):
    """In the place of an edge that was removed after the page had been read there is None."""
    collection = make([4, 3, 2, 1])
    page = collection.page(per_page=3)
    collection.remove(page.items[1])
    times = [edge and edge.created_at.minute for edge in page.edges]
    assert times == [4, None, 2]


def test_a_page_for_a_cache(make):
    """It can be pickled, without its edges."""
    page = make([4, 3, 2, 1]).page(per_page=3)
    page = dataclasses.replace(page, items=page.items[0].username)  # the class has no module here
    kept = pickle.loads(pickle.dumps(page))
    assert (kept.items, kept.next, kept.previous) == (page.items, page.next, page.previous)
    with pytest.raises(ConfigurationError, match="edges are not kept"):
        kept.edges  # noqa: B018 - is read


def test_one_statement_a_page(make, assert_statements):
    """Every page is one statement: the first, a later one, one backwards, the empty one."""
    collection = make([4, 3, 2, 1])
    collection.page()
    with assert_statements(1):
        page = collection.page(per_page=2)
    with assert_statements(1):
        page = collection.page(after=page.next, per_page=2)
    with assert_statements(1):
        page = collection.page(before=page.previous, per_page=2)
    assert page.previous is None


def test_pages_of_nothing(users, end, assert_statements):
    """An empty collection has one empty page, with no way on."""
    (user,) = users(1)
    with assert_statements(1):
        page = getattr(user, end).page()
    assert (page.items, page.edges, page.next, page.previous) == ([], [], None, None)


def test_the_default_size(make):
    """Twenty objects are a page."""
    collection = make(list(range(21)))
    page = collection.page()
    assert (len(page), page.next is None) == (20, False)
    assert len(collection.page(after=page.next)) == 1


def test_any_edges(users, session, follows, User):
    """Of any edges, at any times, pages of any size in both directions are plain Python's."""
    star, *fans = users(9)
    plain = [(fan.id, fan.username) for fan in fans]

    @settings(max_examples=settings().max_examples // 4)
    @given(st.lists(st.integers(0, 3), max_size=8), st.integers(1, 4), st.booleans())
    def check(minutes, per_page, narrow):
        times = [NOON + timedelta(minutes=minute) for minute in minutes]
        follows.add_many((fan.id, star.id, time) for fan, time in zip(fans, times, strict=False))
        edges = sorted(zip(times, plain, strict=False), reverse=True)
        expected = [name for _, (_, name) in edges if not narrow or name != "u3"]
        collection = star.followers.filter(User.username != "u3") if narrow else star.followers
        pages = forwards(collection, per_page)
        assert [user.username for user in items(pages)] == expected
        back = items(backwards(collection, pages[-1], per_page)[::-1])
        assert [user.username for user in [*back, *pages[-1]]] == expected
        star.followers.clear()

    check()


def test_edges_made_between_pages(make, users):
    """New edges shift nothing: the next page goes on where the last one ended."""
    collection = make([5, 4, 3, 2, 1])
    expected = collection.all()
    first = collection.page(per_page=2)
    newest, older = users(2)
    collection.add(newest, through_defaults={"created_at": NOON + timedelta(hours=1)})
    collection.add(older, through_defaults={"created_at": NOON + timedelta(seconds=150)})
    second = collection.page(after=first.next, per_page=9)
    assert second.items == [*expected[2:3], older, *expected[3:]]
    back = collection.page(before=second.previous, per_page=9)
    assert back.items == [newest, *expected[:2]]
    assert back.previous is None


def test_edges_removed_between_pages(make):
    """Removed edges shift nothing either, also where the place of the cursor itself is gone."""
    collection = make([6, 5, 4, 3, 2, 1])
    expected = collection.all()
    first = collection.page(per_page=2)
    collection.remove(expected[0], expected[1], expected[2])
    second = collection.page(after=first.next, per_page=2)
    assert second.items == expected[3:5]
    collection.remove(*expected[3:])
    assert collection.page(before=second.previous).items == []
    assert collection.page(after=second.next).items == []


def test_users_deleted_between_pages(make, session):
    """A user who is deleted takes their place with them, and the pages go on."""
    collection = make([4, 3, 2, 1])
    expected = collection.all()
    first = collection.page(per_page=2)
    session.delete(expected[1])
    session.delete(expected[2])
    session.flush()
    assert collection.page(after=first.next).items == expected[3:]


def test_edges_replaced_by_another_connection(make, session, db, follows):
    """Cursors are made from what was read, and not from edges that the session remembers."""
    collection = make([6, 5, 4, 3, 2, 1])
    remembered = collection.page().edges
    table = follows.Follow.__table__
    with db.engine.begin() as connection:
        for minute, edge in enumerate(session.execute(sa.select(table)).all()):
            connection.execute(
                sa.update(table)
                .where(table.c.follower_id == edge.follower_id)
                .where(table.c.followed_id == edge.followed_id)
                .values(created_at=NOON + timedelta(days=minute))
            )
    assert items(forwards(collection, 2)) == collection.all()
    assert len(remembered) == 6


def test_the_same_cursor_for_the_filtered_collection(make, User):
    """A place in the collection is a place in every part of it."""
    collection = make([5, 4, 3, 2, 1])
    expected = collection.all()
    first = collection.page(per_page=2)
    part = collection.filter(User.username != "u3")
    assert part.page(after=first.next).items == expected[3:]
    assert collection.page(before=part.page(after=first.next).previous).items == expected[:3]


def test_filtered_pages_of_all_sizes(make, User):
    """A filtered collection is paged like a whole one."""
    collection = make([5, 5, 4, 4, 3, 3, 2]).filter(User.username.notin_(["u2", "u6"]))
    expected = collection.all()
    assert len(expected) == 5
    for per_page in range(1, 7):
        pages = forwards(collection, per_page)
        assert items(pages) == expected
        assert items(backwards(collection, pages[-1], per_page)[::-1]) + pages[-1].items == expected


@pytest.mark.parametrize("filtered", [False, True])
def test_bad_cursors_of_a_collection(make, User, session, filtered):
    """A bad cursor is refused before the database sees it, so the transaction goes on."""
    collection = make([2, 1])
    session.add(User(username="pending"))
    asked = collection.filter(User.username != "x") if filtered else collection
    for cursor in BAD_CURSORS.values():
        for way in "after", "before":
            with pytest.raises(InvalidCursorError):
                asked.page(**{way: cursor})
    for size in 0, 2**31 - 1, 2**63:
        with pytest.raises(ValueError, match="per_page"):
            asked.page(per_page=size)
    with pytest.raises(ValueError, match="not both"):
        asked.page(after=GOOD, before=GOOD)
    assert len(asked.page(per_page=2**31 - 2)) == 2
    session.commit()
    assert session.query(User).filter_by(username="pending").one()


@each_key
@pytest.mark.parametrize("filtered", [False, True])
def test_cursors_of_another_kind(make, User, filtered):
    """A cursor of a collection with other keys is refused; the transaction goes on."""
    collection = make([2, 1])
    asked = collection.filter(User.username != "x") if filtered else collection
    mine = type(collection.first().id)
    for _, (kind, values) in KINDS.items():
        if kind is KINDS["big"][0] or isinstance(values[0], mine):
            continue
        with pytest.raises(InvalidCursorError):
            asked.page(after=order_of(utc_datetime(), kind).place([NOON, values[0]]))
    assert len(asked.page()) == 2


def test_any_place_may_be_asked_for(make):
    """A forged place of the right kind is only another place; it shows nothing else."""
    collection = make([2, 1])
    order = order_of(utc_datetime(), sa.Integer)
    for moment, key, expected in [
        (NOON.replace(year=1), -(2**31), 0),
        (NOON.replace(year=9999), 2**31 - 1, 2),
        (NOON + timedelta(minutes=2), -(2**31), 1),
    ]:
        assert len(collection.page(after=order.place([moment, key]))) == expected
        assert len(collection.page(before=order.place([moment, key]))) == 2 - expected


@pytest.mark.parametrize("User", ["string"], indirect=True)
def test_texts_in_cursors_of_a_collection(make):
    """Keys with any character are places like others, on every database."""
    collection = make([2, 1])
    order = order_of(utc_datetime(), sa.String(20))
    for text in KINDS["string"][1]:
        cursor = order.place([NOON + timedelta(seconds=90), text])
        assert len(collection.page(after=cursor)) == len(collection.page(before=cursor)) == 1
    for text in "s\0", "sa\0b", "s\ud800":
        with pytest.raises(InvalidCursorError):
            collection.page(after=encoded([TIME, text]))
    assert len(collection.page()) == 2
