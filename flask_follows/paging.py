"""Keyset pages: cursors, their order, and :class:`Page` itself.

A cursor is the place of one edge in its order (time and key), so a page costs the same however
deep it lies, and edges made meanwhile shift nothing. It is readable by anyone and grants nothing;
a forged one can only ask for another place in a list that its reader may see anyway.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from functools import cached_property, lru_cache
from operator import itemgetter
from typing import Any, Generic, TypeVar
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from .beyond import Form
from .clauses import AS_SENT, as_sent
from .errors import ConfigurationError, InvalidCursorError, WrongTypeError
from .keys import python_type
from .types import has_zone, is_utc

__all__ = [
    "Order",
    "Page",
    "can_be_a_place",
    "once_each",
    "page_size",
    "whole_number",
]

T = TypeVar("T")

PER_PAGE = 20
# A page reads one row more, and a larger LIMIT would be an error of the database.
_LARGEST_PAGE = 2**31 - 2
_LONGEST_CURSOR = 2000
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_NAIVE_EPOCH = datetime(1970, 1, 1)
_MICROSECOND = timedelta(microseconds=1)
_ALL_BUT_THE_OBJECT = itemgetter(slice(1, None))
_to_json = json.JSONEncoder(separators=(",", ":")).encode

# For each type that may stand in a cursor: its mark there, and the way to text and back.
_CODECS: dict[type[Any], tuple[str, Callable[[Any], str], Callable[[str], Any]]] = {
    datetime: (
        "t",
        lambda moment: str((moment - _EPOCH) // _MICROSECOND),
        lambda text: _EPOCH + int(text) * _MICROSECOND,
    ),
    int: ("i", str, int),
    str: ("s", str, str),
    UUID: ("u", str, UUID),
}
_DECODERS = {mark: decode for mark, _, decode in _CODECS.values()}
# A time without a zone, which only columns of the host's have.
_NAIVE_MARK = "n"
_DECODERS[_NAIVE_MARK] = lambda text: _NAIVE_EPOCH + int(text) * _MICROSECOND


@dataclass(frozen=True)
class Page(Generic[T]):
    """One page of a collection, newest edge first. Iterating it gives the items.

    :param items: the objects.
    :param next: cursor for `page(after=...)`, None where nothing older follows.
    :param previous: cursor for `page(before=...)`, None on a first page.
    :param read_edges: reads what :attr:`edges` is.
    """

    items: list[T]
    next: str | None = None
    previous: str | None = None
    read_edges: Callable[[], list[Any]] = field(default=list, repr=False, compare=False)

    @cached_property
    def edges(self) -> list[Any]:
        """The edge objects beside the items, in the same order; none beside the posts of a feed.

        Read when first asked for: one statement more for up to 300. None in the place of an edge
        that is gone by then.
        """
        return self.read_edges()

    def __reduce__(self) -> Any:
        """Return what a page is made of again, for a cache: not the edges, which have no module."""
        return type(self), (self.items, self.next, self.previous, _edges_of_another_time)

    def __iter__(self) -> Iterator[T]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)


def _edges_of_another_time() -> list[Any]:
    raise ConfigurationError(
        "this page has been pickled, for a cache say, and edges are not kept with it; "
        "keep what you need of page.edges beside it"
    )


class _Padded(FunctionElement[Any]):
    """A time that SQLite has as text, and its own CURRENT_TIMESTAMP without a fraction.

    Compared with a text that has one, it would come before the moment that it is.
    """

    inherit_cache = True

    def __init__(self, column: Any) -> None:
        super().__init__(column)
        self.type = column.type


@compiles(_Padded)
def _plain(element: _Padded, compiler: Any, **options: Any) -> str:
    return str(compiler.process(element.clauses, **options))


@compiles(_Padded, "sqlite")
def _padded(element: _Padded, compiler: Any, **options: Any) -> str:
    return f"substr({compiler.process(element.clauses, **options)} || '.000000', 1, 26)"


class Order:
    """The order in which edges are paged: some columns, all descending, the last one unique.

    Databases differ in where NULL comes; here it is as old as a time can be.

    :param nullable: keys of columns in which there may be NULL.
    :param written_by_sql: keys of columns with times that the database itself may write.
    """

    def __init__(
        self,
        columns: Sequence[Any],
        nullable: Collection[str] = (),
        written_by_sql: Collection[str] = (),
    ) -> None:
        self.columns = tuple(columns)
        self._receivers = lru_cache(maxsize=8)(self._find_receivers)
        self._written_by_sql = written_by_sql
        self._oldest = {
            column.key: _EPOCH if has_zone(column.type) else _NAIVE_EPOCH
            for column in columns
            if column.key in nullable
        }

    def clauses(self, source: Any, *, newest_first: bool = True) -> list[Any]:
        """Return the ORDER BY of the columns as they are found in `source` (a table's `c`)."""
        columns = [self._found_in(source, column) for column in self.columns]
        return [column.desc() if newest_first else column.asc() for column in columns]

    def _found_in(self, source: Any, column: Any) -> Any:
        found, oldest = source[column.key], self._oldest.get(column.key)
        if column.key in self._written_by_sql:
            found = _Padded(found)
        if oldest is None:
            return found
        # Nobody reads it, but a join that a host asks for may have it selected; and then a type of
        # the host's would get what MariaDB makes of it, a text.
        return sa.type_coerce(sa.func.coalesce(found, sa.literal(oldest, column.type)), AS_SENT)

    def beyond(
        self, values: Sequence[Any], form: Form, *, newer: bool, source: Any = None
    ) -> sa.ColumnElement[bool]:
        """Return the condition for edges older (or newer) than the place `values`.

        :param form: how to say it, see :func:`.beyond.form_for`.
        :param source: where to find the columns by key (a table's `c`), if not in their own table.
        """
        bound = [
            value if isinstance(value, sa.ColumnElement) else sa.literal(value, column.type)
            for column, value in zip(self.columns, values, strict=True)
        ]
        own = {column.key: column for column in self.columns}
        columns = [self._found_in(source or own, column) for column in self.columns]
        return form(columns, bound, newer)

    def cut(
        self,
        rows: Sequence[Any],
        after: str | None,
        before: str | None,
        per_page: int,
        *,
        dialect: sa.Dialect,
        read_edges: Callable[[list[Any]], list[Any]] = lambda _rows: [],
    ) -> Page[Any]:
        """Make a page of rows that begin with the object and end with its place, as sent.

        :param rows: in reading direction, and one more than fit, if there are so many.
        :param dialect: that of the database that sent the places.
        :param read_edges: returns the edges of the rows that are on the page; else none.
        """
        more, newer = len(rows) > per_page, before is not None
        rows = rows[:per_page][:: -1 if newer else 1]
        has_older = bool(rows) and (newer or more)
        has_newer = bool(rows) and (more if newer else after is not None)
        # Who is hidden from this session, by a loader criterion say, takes part in the cut alone:
        # the page is shorter then, and the next one begins where it should.
        shown = [row for row in rows if row[0] is not None]
        return Page(
            items=[row[0] for row in shown],
            next=self._place_of(rows[-1], dialect) if has_older else None,
            previous=self._place_of(rows[0], dialect) if has_newer else None,
            read_edges=lambda: read_edges(shown),
        )

    def as_sent(self, source: Any) -> list[Any]:
        """Return the columns as they are found in `source`, with values as the driver sends them.

        Of most rows nobody asks for the place, and to make a time of what was sent takes long.
        """
        return as_sent(self.columns, source, "place")

    def _place_of(self, row: Sequence[Any], dialect: sa.Dialect) -> str:
        sent = zip(self._receivers(dialect), row[-len(self.columns) :], strict=True)
        return self.place([value if receive is None else receive(value) for receive, value in sent])

    def _find_receivers(self, dialect: sa.Dialect) -> list[Any]:
        """Return what makes a column's value of what a driver sends, None where that is it.

        And None for a type that cannot stand in a cursor, as :meth:`place` then says.
        """
        receivers = []
        for column in self.columns:
            kind, known = column.type.dialect_impl(dialect), python_type(column)
            is_sent = kind.column_expression(column) is None
            fits = is_sent and (known is None or can_be_a_place(known))
            receivers.append(kind.result_processor(dialect, None) if fits else None)
        return receivers

    def place(self, edge: Sequence[Any]) -> str:
        """Return the cursor of an edge, given the values of the order's columns."""
        values = zip(self.columns, edge, strict=True)
        items = [self._oldest.get(column.key) if v is None else v for column, v in values]
        text = _to_json([_encoded(item) for item in items])
        return urlsafe_b64encode(text.encode()).rstrip(b"=").decode()

    def values(self, cursor: str) -> list[Any]:
        """Return the values in a cursor.

        :raises InvalidCursorError: the cursor was not made by :meth:`place` for this order.
        """
        try:
            return self._decoded(cursor)
        except (ValueError, TypeError, LookupError, OverflowError, RecursionError) as error:
            raise InvalidCursorError(
                "this page cursor is not valid; start again from the first page"
            ) from error

    def _decoded(self, cursor: Any) -> list[Any]:
        if not isinstance(cursor, str) or len(cursor) > _LONGEST_CURSOR:
            raise ValueError("no text, or too long")
        items = json.loads(urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4)))
        values = []
        for column, item in zip(self.columns, items, strict=True):
            value = _DECODERS[item[0]](item[1:])
            if not isinstance(value, python_type(column) or object):
                raise TypeError("not a place in this order")
            if isinstance(value, datetime) and value.tzinfo is None and is_utc(column.type):
                raise TypeError("no moment in time")
            if isinstance(value, str) and "\0" in value.encode().decode():
                raise ValueError("no database stores this character in a key")
            values.append(value)
        if self.place(values) != cursor:
            raise ValueError("not in the form that we write")
        return values


def once_each(result: Any) -> list[Any]:
    """Return the rows that :meth:`Order.cut` takes, each once.

    An object may load others by a join, which a host may ask for where we do not see it. A row is
    known by what follows the object: that is quicker to see than the object itself.
    """
    rows: list[Any] = result.unique(_ALL_BUT_THE_OBJECT).all()
    return rows


def can_be_a_place(kind: type[Any]) -> bool:
    """Tell whether values of a type may stand in a cursor."""
    return any(issubclass(kind, known) for known in _CODECS)


def _encoded(value: Any) -> str:
    if isinstance(value, datetime) and value.tzinfo is None:
        return _NAIVE_MARK + str((value - _NAIVE_EPOCH) // _MICROSECOND)
    for kind, (mark, encode, _) in _CODECS.items():
        if isinstance(value, kind):
            return mark + encode(value)
    raise ConfigurationError(
        f"{value!r} of type {type(value).__name__} cannot stand in a page cursor; "
        "use paginate() for this collection"
    )


def page_size(per_page: int | None, after: str | None, before: str | None) -> int:
    """Check the arguments of a page together; return its size."""
    if after is not None and before is not None:
        # Both come from an address, as a rule, so whoever sent them made the mistake.
        raise InvalidCursorError("give after= or before=, not both: a page lies on one side")
    size = PER_PAGE if per_page is None else per_page
    return whole_number("per_page", size, least=1)


def whole_number(name: str, value: Any, *, least: int) -> int:
    """Check a number of rows that a caller asks for; return it."""
    if not isinstance(value, int):
        raise WrongTypeError(f"{name} must be an int, got {value!r}; give int(...) of a text")
    if not least <= value <= _LARGEST_PAGE:
        raise ValueError(f"{name} must be from {least} to {_LARGEST_PAGE}, got {value}")
    return value
