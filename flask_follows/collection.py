"""The collection: SQLAlchemy's dynamic relationship with the verbs of Django's related manager.

The verbs follow Django's related manager
(https://docs.djangoproject.com/en/5.2/ref/models/relations/), with return values that say what
happened. No verb commits; all flush first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import sqlalchemy as sa
from flask_sqlalchemy.query import Query
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import AppenderQuery, Session

from .edge_objects import called
from .errors import WrongTypeError
from .page_reads import PageReads
from .paging import Page, page_size, whole_number
from .reads import End
from .relation import Relation
from .results import RelatedResult, unlike
from .statements import open_transaction
from .streams import flush, refuse_in_stream
from .unread import unread

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["RelatedQuery", "collection_class"]

T = TypeVar("T")


# Flask-SQLAlchemy's Query is not generic, and SQLAlchemy's two bases differ on private names.
class RelatedQuery(AppenderQuery[T], Query):  # type: ignore[misc] # pyright: ignore
    """The objects at the other end of one object's edges, newest edge first: `user.followers`.

    All of :class:`flask_sqlalchemy.query.Query` works on it; the verbs below know the edges.
    Objects and primary keys are accepted alike; nothing is loaded for a key.
    """

    relation: ClassVar[Relation]
    end: ClassVar[End]
    page_reads: ClassVar[PageReads]

    # Writes

    # SQLAlchemy's own add and remove take one object and return None.
    def add(  # type: ignore[override] # pyright: ignore[reportIncompatibleMethodOverride]
        self, *objs_or_keys: Any, through_defaults: Mapping[str, Any] | None = None
    ) -> int:
        """Make the edges that are not there yet. One statement for up to 300 objects.

        :param through_defaults: further columns of the new edges; callables are called.
        :return: how many edges were made.
        :raises SelfFollowError, UnknownUserError, UnsavedInstanceError, WrongTypeError: as
            :meth:`Relation.add`; then no edge at all was made.
        """
        near, far = self._keys(objs_or_keys)
        return self._insert(near, far, through_defaults)

    def remove(  # type: ignore[override] # pyright: ignore[reportIncompatibleMethodOverride]
        self, *objs_or_keys: Any
    ) -> int:
        """Remove edges; the objects stay. One statement for up to 300 objects.

        At most five where an edge is two rows.

        :return: how many edges were removed.
        :raises UnsavedInstanceError, WrongTypeError: as :meth:`Relation.remove`.
        """
        near, far = self._keys(objs_or_keys)
        session = self._session()
        if len(far) == 1 and self.relation.edge_table.unique:
            pair, reverse = self.end.pair(near, far[0]), self.end.reverse
            return int(self.relation.delete(session, pair, instance=self.instance, reverse=reverse))
        return self.relation.delete_at(session, self.end, near, far, self.instance)

    def clear(self) -> int:
        """Remove all edges of this object; the others stay. One statement.

        At most six, a constant number for 300 edges, where an edge is two rows.

        :return: how many edges were removed.
        :raises UnsavedInstanceError: this object was never added, or deleted.
        """
        near = self.end.near.key(self.instance)
        return self.relation.delete_at(self._session(), self.end, near, None, self.instance)

    def set(
        self,
        objs: Iterable[Any],
        *,
        clear: bool = False,
        through_defaults: Mapping[str, Any] | None = None,
    ) -> None:
        """Make the collection exactly these objects.

        What is in it already is not rewritten and keeps its time. Nothing is changed where an
        object or a column is refused. At most six statements, a constant number for 300 objects;
        a few more where the relation is symmetrical. Whoever sets the same collection waits.

        :param clear: begin from nothing, so that all edges are new.
        :param through_defaults: further columns of the new edges; callables are called.
        :raises SelfFollowError, UnknownUserError, UnsavedInstanceError, WrongTypeError: as
            :meth:`Relation.add`.
        """
        if isinstance(objs, str) or not isinstance(objs, Iterable):
            raise WrongTypeError(
                f"expected several {self.end.far.model.__name__} objects or keys, in a list for "
                f"instance, got {objs!r}"
            )
        near, far = self._keys(objs)
        relation, session = self.relation, self._session()
        # One at a time from here on: two who set the same collection must not end with the union.
        current = set(relation.storage.hold(session, self.end, near, far))
        if clear:
            values = relation.edge_values(through_defaults or {})
            relation.check(session, [self.end.pair(near, key) for key in far])
            self.clear()
            self._insert(near, far, values)
            return
        self._insert(near, [key for key in far if key not in current], through_defaults)
        gone = current - set(far)
        if gone and not self.end.far.is_exact:
            # The database may take "Ann" and "ann" for one key: let it say which ones it means.
            gone -= relation.storage.stored_keys(session, self.end.far, far)
        self.remove(*sorted(gone))

    def create(self, through_defaults: Mapping[str, Any] | None = None, **fields: Any) -> T:
        """Make an object and its edge. Two statements; three where an edge is two rows.

        :raises UnsavedInstanceError, WrongTypeError: as :meth:`add`.
        :raises sqlalchemy.exc.IntegrityError: the object violates a constraint.
        """
        near, session = self.end.near.key(self.instance), self._session()
        values = self.relation.edge_values(through_defaults or {})
        obj: T = self.end.far.model(**fields)
        session.add(obj)
        self._insert(near, [self.end.far.key(obj)], values)  # the key comes with a flush
        return obj

    def get_or_create(
        self,
        defaults: Mapping[str, Any] | None = None,
        through_defaults: Mapping[str, Any] | None = None,
        **fields: Any,
    ) -> tuple[T, bool]:
        """Return the object of this collection with these fields, made if there is none.

        Safe under concurrency where the database keeps `fields` unique: the object that another
        transaction made meanwhile is returned.

        :param defaults: further fields of a new object; callables are called.
        :return: the object, and whether it was made.
        :raises sqlalchemy.orm.exc.MultipleResultsFound: several match.
        :raises sqlalchemy.exc.IntegrityError: such an object exists outside this collection; the
            transaction goes on.
        """
        self.end.near.key(self.instance)  # refuses an object that is not saved
        # A locking read sees what was committed since our snapshot began.
        latest = self.filter_by(**fields).with_for_update(read=True, of=self._objects())
        return self._get_or_create(latest, fields, defaults, through_defaults)

    def update_or_create(
        self,
        defaults: Mapping[str, Any] | None = None,
        create_defaults: Mapping[str, Any] | None = None,
        through_defaults: Mapping[str, Any] | None = None,
        **fields: Any,
    ) -> tuple[T, bool]:
        """Update the object of this collection with these fields, or make it.

        :param defaults: fields to set on the object; callables are called.
        :param create_defaults: used instead of `defaults` for a new object.
        :return: the object, and whether it was made. Otherwise as :meth:`get_or_create`.
        """
        initial = defaults if create_defaults is None else create_defaults
        self.end.near.key(self.instance)  # refuses an object that is not saved
        # Read anew, since a value that only looks as asked for would not be written.
        latest = self.filter_by(**fields).with_for_update(of=self._objects()).populate_existing()
        obj, created = self._get_or_create(latest, fields, initial, through_defaults)
        if created:
            return obj, True
        flush(self._session())  # what is pending would be overwritten
        # Only now: on MariaDB a lock on what is not there yet keeps two from making it.
        latest.one_or_none()
        for name, value in called(defaults).items():
            setattr(obj, name, value)
        flush(self._session())
        return obj, False

    def append(self, item: Any) -> None:
        """Add one object: SQLAlchemy's name for :meth:`add`."""
        self.add(item)

    def extend(self, iterator: Iterable[Any]) -> None:
        """Add many objects: SQLAlchemy's name, as `add_all` is, for :meth:`add`."""
        self.add(*iterator)

    add_all = extend

    # Reads, on the edge table alone where that is enough

    def contains(self, obj: Any) -> bool:
        """Tell whether an object (or key) is in the collection. One statement, by key.

        :raises WrongTypeError, UnsavedInstanceError: as for writes.
        """
        far, near = self.end.far.key(obj), self._near()
        return near is not None and self.end.contains(self._session(), near, far)

    __contains__ = contains

    # Django's bool, not the SQL expression of SQLAlchemy's Query.
    def exists(  # type: ignore[override] # pyright: ignore[reportIncompatibleMethodOverride]
        self,
    ) -> bool:
        """Tell whether the collection has anything in it. One statement."""
        near = self._near()
        return near is not None and self.end.exists(self._session(), near)

    __bool__ = exists

    def count(self) -> int:
        """Return the number of objects. One statement; grows with the number it returns."""
        near = self._near()
        return 0 if near is None else self.end.count(self._session(), near)

    def capped_count(self, limit: int) -> int:
        """Return the number of objects up to a limit, and `limit` + 1 for any that is higher.

        One statement, which reads no more than that many edges. A limit below 0: ValueError.
        """
        near = self._near()
        most = whole_number("limit", limit, least=0)
        return 0 if near is None else self.end.capped_count(self._session(), near, most)

    def ids(self) -> list[Any]:
        """Return the keys of the objects, newest edge first. One statement."""
        near = self._near()
        return [] if near is None else self.end.keys(self._session(), near)

    def select(self) -> sa.Select[Any]:
        """Return the same as a `Select`, for `db.session.scalars` and `db.paginate`."""
        return self.end.select(self.end.near.key(self.instance))

    def exclude(self, *criteria: Any, **fields: Any) -> Self:
        """Return the objects that do not match all of the criteria; NULL does not match."""
        return self.filter(unlike(self.end, criteria, fields))

    def filter(self, *criteria: Any) -> Self:
        """Return the objects that match all of the criteria, on columns of theirs or the edges."""
        return super().filter(*(self.end.as_read(criterion) for criterion in criteria))

    def order_by(self, *clauses: Any) -> Self:
        """Order the objects otherwise than newest edge first."""
        return self.filter().order_by(*clauses)

    def page(
        self, after: str | None = None, before: str | None = None, per_page: int | None = None
    ) -> Page[T]:
        """Return one keyset page, newest first. One statement at any depth, one more for its edges.

        :param after: the `next` cursor of a page: what is older.
        :param before: the `previous` cursor of a page: what is newer.
        :param per_page: how many, 20 if not given.
        :raises InvalidCursorError: the cursor is not one of ours, or both are given.
        :raises ValueError: `per_page` below 1.
        """
        size, near = page_size(per_page, after, before), self._near()
        if near is None:
            return Page([])
        return self.page_reads.read(self._session(), near, after, before, size)

    # How they are done

    def _near(self) -> Any:
        return self.end.near.saved_key(self.instance)

    def _session(self) -> Session:
        return self.relation.session_for(self.instance)

    def _objects(self) -> list[Any]:
        """Return what to lock: the objects, not the edges, which may be read as a UNION."""
        return list(self.end.far.mapper.tables)

    def _keys(self, objs_or_keys: Iterable[Any]) -> tuple[Any, list[Any]]:
        """Return the key of this object and the keys of the others, before anything is written."""
        near = self.end.near.key(self.instance)
        return near, list(dict.fromkeys(self.end.far.key(obj) for obj in objs_or_keys))

    def _insert(self, near: Any, far: Iterable[Any], values: Mapping[str, Any] | None) -> int:
        return self.relation.insert(
            self._session(),
            [self.end.pair(near, key) for key in far],
            values or {},
            instance=self.instance,
            reverse=self.end.reverse,
        )

    def _get_or_create(
        self,
        latest: Any,
        fields: Mapping[str, Any],
        defaults: Mapping[str, Any] | None,
        through_defaults: Mapping[str, Any] | None,
    ) -> tuple[T, bool]:
        """See :meth:`get_or_create`.

        :param latest: a locking query for the object, with the one lock that the caller will need:
            two who hold a weaker one could not both go on to a stronger.
        """
        refuse_in_stream(self._session(), mapper=self.end.far.mapper)
        found = self.filter_by(**fields).one_or_none()
        if found is not None:
            return found, False
        try:
            return self._create_in_savepoint(fields, defaults, through_defaults), True
        except IntegrityError:
            found = latest.one_or_none()
            if found is None:
                raise
            return found, False

    def _create_in_savepoint(
        self,
        fields: Mapping[str, Any],
        defaults: Mapping[str, Any] | None,
        through_defaults: Mapping[str, Any] | None,
    ) -> T:
        session, edges = self._session(), self.relation.edge_table
        open_transaction(edges.connection(session, writes=True), edges.table)
        with session.begin_nested():
            return self.create(through_defaults, **{**fields, **called(defaults)})


def collection_class(relation: Relation, end: End, query_class: type[Any]) -> type[Any]:
    """Return the collection class for one end of a relation.

    :param query_class: the host's own query class, whose methods the collection has as well.
    """
    known = {"relation": relation, "end": end, "page_reads": PageReads(end)}
    result = type("RelatedResult", (RelatedResult, query_class), known)
    own = {**known, "query_class": result}
    return unread(type("RelatedQuery", (RelatedQuery, query_class), own))
