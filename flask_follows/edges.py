"""The edge table of a relation, whoever made it: where the keys and the time of an edge lie."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cached_property
from typing import Any, cast
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapper, RelationshipDirection, Session

from .chunks import chunks, is_one_of_rows
from .clauses import as_sent
from .errors import WrongTypeError
from .keys import python_type
from .streams import flush, refuse_in_stream
from .types import has_zone, is_utc

__all__ = ["EdgeTable"]

# Up to 2.0.50 at least, SQLAlchemy puts the keys in RETURNING in any order, and takes them for each
# other when it has the statement from its cache: the session would forget another edge.
_COMPILED_ANEW = {"compiled_cache": None}


@dataclass(frozen=True, eq=False)
class EdgeTable:
    """Where the edges of one relation lie, whatever the columns are called.

    The order of edges is by `time` and then by key, newest first; by key alone without a time.

    :param clock: gives the time of a new edge; None where the host's own default does.
    :param unique: whether the database keeps a pair from being there twice.
    :param allow_self: whether an edge may lead from an object to itself.
    """

    model: type[Any]
    mapper: Mapper[Any]
    table: sa.Table
    source: sa.Column[Any]
    target: sa.Column[Any]
    time: sa.Column[Any] | None
    clock: Callable[[], datetime] | None = None
    unique: bool = True
    allow_self: bool = True

    def connection(self, session: Session, *, writes: bool = False) -> sa.Connection:
        """Return the connection on which the session reaches this table, after a flush.

        With `bind_arguments`, since Flask-SQLAlchemy finds the bind by the mapper, and cannot see
        one inside an EXISTS. The flush is explicit: SQLAlchemy 2.0 does none for Core statements.

        :param writes: a session that reads from replicas is told that this is no read.
        :raises StreamedResultError: a result is being streamed on it that would be cut short.
        """
        if session.autoflush:
            flush(session)
        bind: dict[str, Any] = {"mapper": self.mapper}
        if writes:
            bind["clause"] = self._any_write
        refuse_in_stream(session, **bind)
        return session.connection(bind_arguments=bind)

    @cached_property
    def _any_write(self) -> sa.Delete:
        return sa.delete(self.table)

    @cached_property
    def settable(self) -> dict[str, str]:
        """Keys of the columns beside the two keys, by the names that a host may give them.

        These are the names of columns and attributes, and of relationships for their foreign key.
        """
        keys = (self.source, self.target)
        further = {column for column in self.table.c if column not in set(keys)}
        mapped = self.mapper.columns.items()
        names = {name: column.key for name, column in mapped if column in further}
        names |= {column.key: column.key for column in self.table.c if column in further}
        for relationship in self.mapper.relationships:
            if relationship.direction is RelationshipDirection.MANYTOONE:
                (column, *more) = relationship.local_columns
                if column in further and not more:
                    names[relationship.key] = str(column.key)
        return names

    def attribute(self, column: sa.Column[Any]) -> Any:
        """Return the attribute of the edge's class that is mapped to a column."""
        return getattr(self.model, self.attribute_name(column))

    def attribute_name(self, column: sa.Column[Any]) -> str:
        """Return the name of the attribute that is mapped to a column."""
        return self.mapper.get_property_by_column(column).key

    def moment(self, time: datetime) -> datetime:
        """Return a time of the table as an aware one: without a zone it is UTC."""
        return time.replace(tzinfo=timezone.utc) if time.tzinfo is None else time

    def stored(self, time: Any) -> Any:
        """Return a time as the column is to hold it: an aware one in UTC.

        Without a zone, PostgreSQL would take it for one in the session's; with one, the others
        drop it.

        :raises WrongTypeError: no time in UTC. A column of the host's may take other things.
        """
        if self.time is None:
            return time
        is_time = isinstance(time, datetime)
        if is_utc(self.time.type) and not (is_time and time.tzinfo is not None):
            raise WrongTypeError(f"{self.time.key} takes a datetime with a time zone, got {time!r}")
        if not is_time or time.tzinfo is None:
            return time
        try:
            moment = time.astimezone(timezone.utc)
        except OverflowError as error:
            raise WrongTypeError(
                f"{self.time.key} cannot be {time.isoformat()}: in UTC that lies outside of the "
                "years 1 to 9999"
            ) from error
        return moment if has_zone(self.time.type) else moment.replace(tzinfo=None)

    @property
    def has_time_of_database(self) -> bool:
        """Whether an expression of SQL, such as CURRENT_TIMESTAMP, may have given the time."""
        if self.time is None:
            return False
        default: Any = self.time.default
        is_sql = default is not None and default.is_clause_element
        return is_sql or self.time.server_default is not None

    @cached_property
    def identity(self) -> tuple[sa.Column[Any], ...]:
        """The columns that tell one row from all others."""
        known_by = set(self.mapper.primary_key)
        own = tuple(column for column in self.table.c if column in known_by)
        return own or tuple(self.table.primary_key)  # that of a class above has another table

    def objects(self, session: Session, identities: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Return the edge objects of some rows, None for one that is gone.

        One statement for up to 300.

        :param identities: values of :attr:`identity`, as the driver sends them.
        """
        bind: dict[str, Any] = {"mapper": self.mapper}
        dialect = session.get_bind(**bind).dialect
        sent = as_sent(self.identity, self.table.c, "identity")
        columns = [label.element for label in sent]
        found: dict[tuple[Any, ...], Any] = {}
        for part in chunks(identities):
            refuse_in_stream(session, **bind)
            these = sa.select(self.model, *sent).where(is_one_of_rows(columns, part, dialect))
            for edge, *identity in session.execute(these, bind_arguments=bind).unique():
                found[tuple(identity)] = edge
        return [found.get(identity) for identity in identities]

    def pair(self, edge: Any) -> tuple[Any, Any]:
        """Return the keys of an edge object, source first."""
        source, target = self.attribute_name(self.source), self.attribute_name(self.target)
        return getattr(edge, source), getattr(edge, target)

    def loaded(self, session: Session, pairs: Iterable[tuple[Any, Any]]) -> list[Any]:
        """Return the edge objects of some pairs that the session holds, without loading any."""
        if self._is_known_by_pair:
            source_first = self.mapper.primary_key[0] is self.source
            keys = (pair if source_first else pair[::-1] for pair in pairs)
            model, _, token = self._keyless_identity
            held = session.identity_map
            found = (held.get((model, key, token)) for key in keys)
            return [edge for edge in found if edge is not None]
        return [obj for obj in session.identity_map.values() if isinstance(obj, self.model)]

    def delete(self, session: Session, *criteria: Any) -> int:
        """Delete edges; those that the session holds become deleted objects. One statement.

        Two on a database without DELETE ... RETURNING, where the session holds any edge.
        """
        bind: dict[str, Any] = {"mapper": self.mapper, "clause": self._any_write}
        if not any(isinstance(obj, self.model) for obj in session.identity_map.values()):
            statement = sa.delete(self.table).where(*criteria)
            result = session.execute(statement, bind_arguments=bind)
            return cast("int", cast("Any", result).rowcount)
        return len(self.delete_returning(session, *criteria))

    def delete_returning(self, session: Session, *criteria: Any) -> list[tuple[Any, Any]]:
        """Delete edges as :meth:`delete` does, and tell which."""
        columns = self.attribute(self.source), self.attribute(self.target)
        bind: dict[str, Any] = {"mapper": self.mapper, "clause": self._any_write}
        # By key ("fetch"): a database may take "Ann" and "ann" for the same, and the ORM cannot
        # tell whether a criterion has met an expired edge.
        deletion = sa.delete(self.model).where(*criteria)
        deletion = deletion.execution_options(synchronize_session="fetch")
        dialect = session.get_bind(**bind).dialect
        if dialect.delete_returning:
            rows = session.execute(
                deletion.returning(*columns),
                bind_arguments=bind,
                execution_options=_COMPILED_ANEW,
            )
            return sorted((row[0], row[1]) for row in rows)
        locked = sa.select(*columns).where(*criteria).with_for_update()
        rows = session.execute(locked, bind_arguments=bind)
        pairs = sorted((row[0], row[1]) for row in rows)
        session.execute(deletion, bind_arguments=bind)
        return pairs

    @cached_property
    def _keyless_identity(self) -> Any:
        """An edge's identity key without its keys: SQLAlchemy takes long to make each anew."""
        return self.mapper.identity_key_from_primary_key((None, None))

    @cached_property
    def _is_known_by_pair(self) -> bool:
        """Whether the keys of an edge are what the session knows it by, letter for letter."""
        kinds = {python_type(self.source), python_type(self.target)}
        return set(self.mapper.primary_key) == {self.source, self.target} and kinds <= {int, UUID}
