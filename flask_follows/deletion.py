"""Edges go with the objects they belong to, where the database does not see to it.

ON DELETE CASCADE does the work, except on SQLite, which enforces foreign keys only after
`PRAGMA foreign_keys = ON` on every connection, in tables made with `foreign_keys="none"`, and in
adopted tables whose foreign keys do not cascade. There the edges are deleted for all objects of
one flush, right before them, or of one bulk DELETE: right after it, or before it where a foreign
key would refuse it. The objects are locked first, so that nobody makes a new edge meanwhile.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.orm import Mapper, ORMExecuteState, object_session, scoped_session

from .chunks import CHUNK, chunks
from .edges import EdgeTable
from .errors import FollowsError
from .keys import Endpoint
from .relation import Relation

__all__ = ["delete_edges_with_objects"]


def delete_edges_with_objects(relation: Relation, session: scoped_session[Any]) -> None:
    """Listen to deletions of the relation's objects, of either class, by object and in bulk.

    :param session: the host's `db.session`; a bulk DELETE in another session is not seen.
    """
    hooks = _Hooks(relation)
    event.listen(relation.source.model, "before_delete", hooks.before_delete, propagate=True)
    if relation.target.mapper is not relation.source.mapper:
        event.listen(relation.target.model, "before_delete", hooks.before_delete, propagate=True)
    event.listen(session, "do_orm_execute", hooks.do_orm_execute)


@dataclass(frozen=True)
class _Side:
    """A class of objects, and the columns in which edges refer to it."""

    endpoint: Endpoint
    columns: Sequence[sa.Column[Any]]


class _Hooks:
    """What is called for deletions.

    It holds the relation weakly: the session's class, to which it is attached, is held for as long
    as a listener of it refers to it, and that a relation does.
    """

    def __init__(self, relation: Relation) -> None:
        self._relation = weakref.ref(relation)

    def before_delete(self, mapper: Mapper[Any], connection: sa.Connection, obj: Any) -> None:
        """Delete the edges of all objects that this flush deletes, at the first of them."""
        for side in self._sides(connection.dialect):
            if mapper.isa(side.endpoint.mapper):
                self._before_delete(side, connection, obj)

    def _before_delete(self, side: _Side, connection: sa.Connection, obj: Any) -> None:
        session, key = object_session(obj), side.endpoint.key(obj)
        assert session is not None, "only the flush of a session deletes objects"
        # A flush that fails takes its transaction with it, and so what was noted for it.
        transaction = session.get_nested_transaction() or session.get_transaction()
        note = (self, side.endpoint)
        noted, done = session.info.get(note, (None, set()))
        if noted is not transaction:
            done = set()
        if key in done:
            done.discard(key)
            return
        model = side.endpoint.model
        going = {side.endpoint.key(other) for other in session.deleted if isinstance(other, model)}
        session.info[note] = (transaction, going - {key})
        keys = sorted(going | {key})
        _lock(connection, side.endpoint, keys)
        self._delete(connection, side, keys)

    def do_orm_execute(self, state: ORMExecuteState) -> sa.Result[Any] | None:
        """Carry a bulk DELETE of objects out, and delete the edges of those who are gone.

        Only the statement itself knows whom it deletes: a class in the same table, a loader
        criterion or a LIMIT narrow its criteria, and these may ask about edges.
        """
        statement, session = state.statement, state.session
        if not isinstance(statement, sa.Delete):
            return None
        if not any(statement.table == table for table in self._tables()):
            return None
        connection = session.connection(bind_arguments=state.bind_arguments)
        sides = [
            side
            for side in self._sides(connection.dialect)
            if side.endpoint.table == statement.table
        ]
        if not sides:
            return None
        if session.autoflush:
            session.flush()
        if any(_refuses(column) for side in sides for column in side.columns):
            return self._delete_first(state, statement, sides)
        keys = _candidates(connection, statement, sides[0].endpoint, state.parameters)
        result = state.invoke_statement()
        for side in sides:
            self._delete_orphans(connection, side, keys)
        return result

    def _delete_first(
        self, state: ORMExecuteState, statement: sa.Delete, sides: Sequence[_Side]
    ) -> sa.Result[Any]:
        """Carry a bulk DELETE out that foreign keys would refuse while there are edges.

        :raises FollowsError: the statement kept someone whose edges are gone.
        """
        session, endpoint = state.session, sides[0].endpoint
        connection = session.connection(bind_arguments=state.bind_arguments)
        # As an ORM statement, so that criteria of the class and of the host apply to it as well.
        entity = statement.entity_description.get("entity", endpoint.table)
        column = endpoint.column if entity is endpoint.table else endpoint.attribute(entity)
        found = sa.select(column).where(*_criteria(statement)).with_for_update()
        keys: set[Any] = set()
        for parameters in _sets(state.parameters):
            bind = state.bind_arguments
            keys.update(session.scalars(found, parameters, bind_arguments=bind))
        ordered = sorted(keys)
        for side in sides:
            self._delete(connection, side, ordered)
        result = state.invoke_statement()
        for chunk in chunks(ordered):
            left = sa.select(endpoint.column).where(endpoint.column.in_(chunk)).limit(1)
            if connection.execute(left).first() is not None:
                raise FollowsError(
                    f"the DELETE kept a {endpoint.model.__name__} whose edges are deleted already, "
                    "since their foreign keys do not cascade; roll back, and delete by primary key"
                )
        return result

    def _delete_orphans(
        self, connection: sa.Connection, side: _Side, keys: Sequence[Any] | None
    ) -> None:
        table, objects = self._edge_table.table, side.endpoint.table.alias()
        for column in side.columns:
            exists = sa.exists().where(objects.c[side.endpoint.column.key] == column)
            orphans = sa.delete(table).where(~exists.correlate(table))
            if keys is not None:
                orphans = orphans.where(column.in_(keys))
            connection.execute(orphans)

    def _delete(self, connection: sa.Connection, side: _Side, keys: Sequence[Any]) -> None:
        for chunk in chunks(keys):
            for column in side.columns:
                connection.execute(sa.delete(self._edge_table.table).where(column.in_(chunk)))

    def _tables(self) -> list[sa.Table]:
        relation = self._relation()
        return [] if relation is None else [relation.source.table, relation.target.table]

    def _sides(self, dialect: sa.Dialect) -> Iterator[_Side]:
        """Yield each class with the columns whose edges the database does not delete with it."""
        relation = self._relation()
        if relation is None:
            return
        edges = self._edge_table
        if relation.source.mapper is relation.target.mapper:
            ends = [(relation.source, [edges.source, edges.target])]
        else:
            ends = [(relation.source, [edges.source]), (relation.target, [edges.target])]
        for endpoint, columns in ends:
            ours = [column for column in columns if not _cascades(column, dialect)]
            if ours:
                yield _Side(endpoint, ours)

    @property
    def _edge_table(self) -> EdgeTable:
        relation = self._relation()
        assert relation is not None, "a hook does nothing for a relation that is gone"
        return relation.edge_table


def _cascades(column: sa.Column[Any], dialect: sa.Dialect) -> bool:
    """Tell whether the database deletes the edges whose column refers to a deleted object."""
    return dialect.name != "sqlite" and any(map(_is_cascade, column.foreign_keys))


def _refuses(column: sa.Column[Any]) -> bool:
    """Tell whether a foreign key keeps an object from being deleted while it has edges."""
    return bool(column.foreign_keys) and not any(map(_is_cascade, column.foreign_keys))


def _is_cascade(key: sa.ForeignKey) -> bool:
    return (key.ondelete or "").upper() == "CASCADE"


def _lock(connection: sa.Connection, endpoint: Endpoint, keys: Sequence[Any]) -> None:
    """Wait for those who are making edges of these objects, and let nobody begin to.

    SQLite has one lock for all writes, which the next statement takes.
    """
    if connection.dialect.name == "sqlite":
        return
    for chunk in chunks(keys):
        found = sa.select(endpoint.column).where(endpoint.column.in_(chunk))
        connection.execute(found.order_by(endpoint.column).with_for_update())


def _candidates(
    connection: sa.Connection, statement: sa.Delete, endpoint: Endpoint, parameters: Any
) -> Sequence[Any] | None:
    """Return keys among which are those that will be deleted; None for too many to name."""
    if statement.whereclause is None or isinstance(parameters, Sequence):
        return None
    objects = sa.select(endpoint.column).where(statement.whereclause).limit(CHUNK + 1)
    keys = connection.scalars(objects, parameters).all()
    return keys if len(keys) <= CHUNK else None


def _criteria(statement: sa.Delete) -> list[sa.ColumnElement[bool]]:
    return [] if statement.whereclause is None else [statement.whereclause]


def _sets(parameters: Any) -> Sequence[Mapping[str, Any]]:
    """Return the sets of parameters of a statement: one, unless it is carried out many times."""
    return parameters if isinstance(parameters, Sequence) else [parameters or {}]
