"""What a feed is made of: objects of any mapped class, each with an author and a place in an order.

They are called posts here, whatever they are. :class:`Posts` checks what a host says about them,
and tells in the log when the index is missing that keeps a feed fast.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.orm import ColumnProperty, InstrumentedAttribute, Mapper

from .beyond import Form
from .clauses import PLACE
from .errors import ConfigurationError, InvalidCursorError
from .keys import Endpoint, python_type
from .paging import Order, can_be_a_place
from .types import plain_type

__all__ = ["Posts"]

_LOGGER = logging.getLogger("flask_follows")
# Columns of authors whose missing index has been told of in this process, by their full names.
_TOLD: set[str] = set()


@dataclass(frozen=True, eq=False)
class Posts:
    """Posts of one class: who wrote them, and in what order they are shown, newest first.

    A post without an author, or with NULL where the order needs a value, has no place in a feed.

    :param author: the attribute with the author's key.
    :param order: the attributes of the order, all descending; no two posts agree in all of them.
    """

    author: InstrumentedAttribute[Any]
    order: tuple[InstrumentedAttribute[Any], ...]

    @classmethod
    def of(cls, author: Any, order: tuple[Any, ...]) -> Posts:
        """Make it of what a host has given.

        :raises ConfigurationError: something else than columns of one class, a type that no cursor
            can hold, or an order in which two posts may have the same place.
        """
        for attribute in (author, *order):
            _check_column(attribute)
        for attribute in order:
            _check_place(author, attribute)
        posts = cls(author, order)
        posts.check_order()
        posts.tell_of_missing_index()
        return posts

    @property
    def mapper(self) -> Mapper[Any]:
        """The mapper of the class."""
        return cast("Mapper[Any]", self.author.parent)

    @property
    def model(self) -> type[Any]:
        """The class."""
        return self.mapper.class_

    @property
    def tells_ties(self) -> bool:
        """Whether values that come first in the order are equal for the database as they are here.

        Texts are not, whatever a host's type makes of them: it may take "Ann" and "ann" for one.
        """
        kind = self.order[0].property.columns[0].type
        while isinstance(kind, sa.types.TypeDecorator):
            kind = kind.impl
        return isinstance(kind, (sa.DateTime, sa.Integer))

    @cached_property
    def keys(self) -> list[InstrumentedAttribute[Any]]:
        """The attributes of the primary key."""
        properties = (self.mapper.get_property_by_column(key) for key in self.mapper.primary_key)
        return [getattr(self.model, found.key) for found in properties]

    @cached_property
    def names(self) -> dict[Any, str]:
        """Names for the order and the key in a sub-query, the order first."""
        both = dict.fromkeys([*self.order, *self.keys])
        return {attribute: f"{PLACE}{number}" for number, attribute in enumerate(both)}

    def places(self, dialect_name: str) -> Places:
        """Return the order as a kind of database has it."""
        return Places(self, is_text=dialect_name == "sqlite")

    def check_order(self) -> None:
        """Refuse an order in which two posts may have the same place.

        :raises ConfigurationError: it has neither the whole primary key nor a unique column.
        """
        columns = {column for attribute in self.order for column in attribute.property.columns}
        is_total = columns.issuperset(self.mapper.primary_key)
        if not is_total and not any(column.unique for column in columns):
            raise ConfigurationError(
                f"the order of a feed ends with the primary key, so that no two posts share a "
                f"place: order_by=({', '.join(map(str, [*self.order, *self.keys]))})"
            )

    def tell_of_missing_index(self) -> None:
        """Log, once in a process, that the index on the author and the order is missing."""
        table = self.author.property.columns[0].table
        wanted = [attribute.property.columns[0] for attribute in (self.author, *self.order)]
        full_name = f"{table.key}.{wanted[0].name}"
        if full_name in _TOLD or any(column.table is not table for column in wanted):
            return
        if any(_begins_with(found, wanted) for found in _indexes(table, wanted)):
            return
        _TOLD.add(full_name)
        names = ", ".join(column.name for column in wanted)
        _LOGGER.warning(
            "The feed of %s reads all posts of an author for want of an index; add "
            'Index("ix_%s_feed", %s) to its table',
            self.model.__name__,
            table.name,
            ", ".join(f'"{column.name}"' for column in wanted),
            extra={"columns": names},
        )


@dataclass(frozen=True)
class Places:
    """The order of posts in a kind of database, and cursors in it.

    :param is_text: times are text there, and are compared as they are stored: "12:00:00" and
        "12:00:00.000000" are one moment, but the index has them in two places.
    """

    posts: Posts
    is_text: bool

    @cached_property
    def columns(self) -> dict[str, Any]:
        """What to select and compare, by name."""
        return {
            self.posts.names[attribute]: self._stored(attribute) for attribute in self.posts.order
        }

    @cached_property
    def order(self) -> Order:
        """The order in which the cursors are read and written."""
        return Order([sa.column(name, column.type) for name, column in self.columns.items()])

    def values(self, cursor: str | None, dialect: sa.Dialect) -> list[Any] | None:
        """Return the values in a cursor, None for none.

        :raises InvalidCursorError: it was not made for this feed.
        """
        if cursor is None:
            return None
        values = self.order.values(cursor)
        for attribute, column, value in zip(
            self.posts.order, self.columns.values(), values, strict=True
        ):
            place = Endpoint(self.posts.mapper, attribute.property.columns[0])
            if column.type is place.column.type and not place.can_hold(value, dialect):
                raise InvalidCursorError("this page cursor names a place that cannot exist")
        return values

    def beyond(self, form: Form | None) -> list[sa.ColumnElement[bool]]:
        """Return the condition for posts older than the place that the parameters give."""
        if form is None:
            return []
        bound = [sa.bindparam(name, type_=column.type) for name, column in self.columns.items()]
        return [self.order.beyond(bound, form, newer=False, source=self.columns)]

    def _stored(self, attribute: Any) -> Any:
        column = attribute.expression
        if self.is_text and isinstance(plain_type(column.type), sa.DateTime):
            return sa.type_coerce(column, sa.String())
        return column


def _check_column(attribute: Any) -> None:
    is_column = (
        isinstance(attribute, InstrumentedAttribute)
        and attribute.parent.is_mapper
        and isinstance(attribute.property, ColumnProperty)
        and isinstance(attribute.property.columns[0], sa.Column)
    )
    if not is_column:
        raise ConfigurationError(
            f"a feed is given column attributes of a mapped class, not {attribute!s}: "
            "follows.feed(user, Post.author_id, order_by=(Post.created_at, Post.id))"
        )


def _check_place(author: Any, attribute: Any) -> None:
    if attribute.parent is not author.parent:
        raise ConfigurationError(
            f"the author and the order of a feed are of one class: {author} and {attribute} are not"
        )
    kind = python_type(attribute.property.columns[0])
    if kind is not None and not can_be_a_place(kind):
        raise ConfigurationError(
            f"{attribute} is of type {kind.__name__}, which cannot stand in a page cursor; order a "
            "feed by a time, an integer or a text"
        )


def _indexes(table: sa.Table, wanted: Sequence[Any]) -> Iterable[Sequence[sa.Column[Any]]]:
    """Yield the columns of each index and unique key of a table; in doubt, those wanted."""
    for index in table.indexes:
        columns = list(index.columns)
        # Of one on expressions such as desc("created_at"), SQLAlchemy does not know the columns.
        unknown = len(columns) < len(list(index.expressions))
        yield [*columns[:1], *wanted[1:]] if unknown else columns
    for constraint in table.constraints:
        if isinstance(constraint, (sa.PrimaryKeyConstraint, sa.UniqueConstraint)):
            yield list(constraint.columns)


def _begins_with(columns: Sequence[Any], wanted: Sequence[Any]) -> bool:
    return list(map(id, columns[: len(wanted)])) == list(map(id, wanted))
