"""Single edges as objects, and the columns that they have beside their two keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import InstanceState, Session

from .edges import EdgeTable
from .errors import WrongTypeError
from .keys import Endpoint
from .statements import Pair
from .storage import Storage

__all__ = ["called", "find_edge", "stored_values", "update_edge", "with_time"]


def find_edge(storage: Storage, session: Session, row: Pair, *, for_update: bool = False) -> Any:
    """Return the edge object of a row, the newest of several; None where there is none.

    It is read as it is now, not as a snapshot of the transaction has it. One statement.
    """
    edges = storage.edges
    writer = storage.writer(edges.connection(session, writes=True).dialect)
    found = sa.select(edges.model).where(writer.is_one_of([row]))
    newest = found.order_by(*storage.forward.edges_newest_first).limit(1)
    latest = newest.with_for_update() if for_update else writer.latest(newest)
    return session.scalars(latest, bind_arguments={"mapper": edges.mapper}).one_or_none()


def update_edge(storage: Storage, session: Session, row: Pair, values: Mapping[str, Any]) -> None:
    """Set columns of an edge, in all rows that stand for it. One statement, or two."""
    edges = storage.edges
    writer = storage.writer(edges.connection(session, writes=True).dialect)
    new = {edges.attribute(edges.table.c[name]): value for name, value in values.items()}
    statement = sa.update(edges.model).where(writer.is_one_of(storage.all_rows(row))).values(new)
    session.execute(
        statement.execution_options(synchronize_session="fetch"),
        bind_arguments={"mapper": edges.mapper},
    )


def stored_values(edges: EdgeTable, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return further columns by their own name, callables called and objects as their keys.

    :raises WrongTypeError: a column that the edge does not have, or a time without a zone.
    """
    if not isinstance(given, Mapping):
        raise WrongTypeError(f"further columns are given by name, in a dict, not as {given!r}")
    values: dict[str, Any] = {}
    if not given:
        return values
    for name, value in given.items():
        column = edges.settable.get(name)
        if column is None:
            raise WrongTypeError(
                f"the edges in {edges.table.name!r} have no column {name!r} to set; "
                f"there are: {', '.join(edges.settable) or 'none'}"
            )
        values[column] = _stored(value() if callable(value) else value)
    if edges.time is not None and edges.time.key in values:
        values[edges.time.key] = edges.stored(values[edges.time.key])
    return values


def with_time(edges: EdgeTable, values: dict[str, Any]) -> dict[str, Any]:
    """Return the columns of a new edge, with the time filled in where that is for us to do."""
    if edges.time is None or edges.clock is None:
        return values
    return {edges.time.key: edges.clock(), **values}


def _stored(value: Any) -> Any:
    """Return what a column holds: of an object, given for a relationship, its key."""
    state = sa.inspect(value, raiseerr=False)
    return Endpoint.of(state.mapper).key(value) if isinstance(state, InstanceState) else value


def called(values: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return given fields with the callables among them called."""
    return {name: v() if callable(v) else v for name, v in (values or {}).items()}
