"""A collection after `filter()`, `order_by()` and the like.

It reads in the same way as the collection it came from, and does not write.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, cast

import sqlalchemy as sa
from flask_sqlalchemy.query import Query
from sqlalchemy.exc import InvalidRequestError

from .beyond import form_for
from .ordering import NewestFirst
from .page_reads import PageReads
from .paging import Page, page_size
from .reads import End
from .relation import Relation
from .streams import refuse_in_stream

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["RelatedResult", "unlike"]


class RelatedResult(NewestFirst, Query):
    """A query of objects at the other end of one object's edges, which knows the edges."""

    relation: ClassVar[Relation]
    end: ClassVar[End]
    page_reads: ClassVar[PageReads]

    def filter(self, *criteria: Any) -> Self:
        """Return the objects that match all of the criteria, on columns of theirs or the edges."""
        return super().filter(*(self.end.as_read(criterion) for criterion in criteria))

    def order_by(self, *clauses: Any) -> Self:
        """Order the objects; the first call replaces "newest edge first", later ones append."""
        return super().order_by(*(self.end.as_read(clause) for clause in clauses))

    def exclude(self, *criteria: Any, **fields: Any) -> Self:
        """Return the objects that do not match all of the criteria; NULL does not match."""
        return self.filter(unlike(self.end, criteria, fields))

    def contains(self, obj: Any) -> bool:
        """Tell whether an object (or key) is among the results. One statement."""
        far, edges = self.end.far, self.end.edges
        key = far.key(obj)
        if not far.can_hold(key, edges.connection(self.session).dialect):
            return False
        try:
            result = self.filter(far.attribute() == key)
        except InvalidRequestError:  # it was cut short, and what lies beyond is not in it
            return key in self.ids()
        return result.exists()

    __contains__ = contains

    # Django's bool, not the SQL expression of SQLAlchemy's Query.
    def exists(  # type: ignore[override] # pyright: ignore[reportIncompatibleMethodOverride]
        self,
    ) -> bool:
        """Tell whether there is any result. One statement."""
        statement = sa.select(super().exists())
        bind = {"mapper": self.end.far.mapper}
        refuse_in_stream(self.session, **bind)
        return bool(self.session.scalar(statement, bind_arguments=bind))

    __bool__ = exists

    def ids(self) -> list[Any]:
        """Return the keys of the results, in order. One statement."""
        return [row[0] for row in self.with_entities(self.end.far.attribute())]

    def select(self) -> sa.Select[Any]:
        """Return the same as a `Select`, for `db.session.scalars` and `db.paginate`."""
        return cast("sa.Select[Any]", self.statement)

    def page(
        self, after: str | None = None, before: str | None = None, per_page: int | None = None
    ) -> Page[Any]:
        """Return one keyset page, newest edge first. See :meth:`RelatedQuery.page`."""
        size = page_size(per_page, after, before)
        end, newer = self.end, before is not None
        self.page_reads.refuse_order(is_ordered=self._ordered)
        dialect = end.edges.connection(self.session).dialect
        place = self.page_reads.place(after if before is None else before, dialect)
        query = Query.order_by(self, None)
        if place is not None:
            query = query.filter(end.order.beyond(place, form_for(dialect), newer=newer))
        order = end.order.clauses(end.view.c, newest_first=not newer)
        read = Query.order_by(query, *order).limit(size + 1)
        rows = read.add_columns(*self.page_reads.sent_with(end.view.c)).all()
        read_edges = partial(self.page_reads.edges_of, self.session)
        return end.order.cut(rows, after, before, size, dialect=dialect, read_edges=read_edges)


def unlike(end: End, criteria: Iterable[Any], fields: Mapping[str, Any]) -> Any:
    """Return the negation of all the criteria together, true where they are NULL."""
    model = end.far.model
    alike = [*criteria, *(getattr(model, name) == value for name, value in fields.items())]
    if not alike:
        return sa.true()
    return sa.not_(sa.func.coalesce(sa.and_(*alike), sa.false()))
