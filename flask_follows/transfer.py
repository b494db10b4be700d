"""Graphs as CSV: one edge a line, `follower,followed[,created_at]`.

Reading commits batch by batch and ignores what is there already, so it can be interrupted and run
again. A line that cannot be imported is handed back with its number and the reason; the others
are not held up by it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from itertools import islice
from typing import Any, BinaryIO, NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from .edges import EdgeTable
from .errors import ConfigurationError, FollowsError, UnknownUserError
from .lines import HEADER, Line, moment, read_lines, shown, written
from .names import AMBIGUOUS, UserNames
from .relation import Relation
from .statements import open_transaction

__all__ = ["Imported", "Rejected", "export", "import_"]

BATCH = 10_000


class Rejected(NamedTuple):
    """A line that was not imported: its number, from 1, why, and its text."""

    number: int
    reason: str
    text: str


@dataclass
class Imported:
    """What an import has done so far."""

    lines: int = 0
    made: int = 0
    present: int = 0
    rejected: int = 0
    users_created: int = 0


class _Edge(NamedTuple):
    line: Line
    follower: Any
    followed: Any
    created_at: datetime | None


class _Written(NamedTuple):
    """What became of some edges: how many new, of how many; users made; lines refused."""

    made: int
    edges: int
    users: int
    refused: list[Rejected]


def import_(
    relation: Relation,
    file: BinaryIO,
    names: UserNames,
    *,
    create_missing: bool = False,
    reject: Callable[[Rejected], object] = lambda _rejected: None,
    progress: Callable[[Imported], object] = lambda _imported: None,
) -> Imported:
    """Import edges from a CSV file, committing every 10,000 lines.

    :param file: with or without a header line.
    :param create_missing: create the users that do not exist; not with names that are keys.
    :param reject: called, in their order, with each line that was not imported.
    :param progress: called after each commit with what was done so far.
    :raises CreationError: users cannot be created; what was committed before stays.
    :raises FollowsError: the header names the columns in another order.
    """
    if create_missing and names.is_key:
        raise ConfigurationError(
            "users cannot be created by primary key, which is for the database to give; "
            "name them by another column"
        )
    task = _Import(relation, names, create_missing, reject)
    lines = read_lines(file)
    while batch := list(islice(lines, BATCH)):
        task.add(batch)
        progress(task.done)
    return task.done


class _Import:
    def __init__(
        self,
        relation: Relation,
        names: UserNames,
        create_missing: bool,
        reject: Callable[[Rejected], object],
    ) -> None:
        self.relation = relation
        self.names = names
        self.create_missing = create_missing
        self.reject = reject
        self.done = Imported()

    @cached_property
    def session(self) -> Session:
        return self.relation.session_for()

    def add(self, lines: list[Line]) -> None:
        """Import some lines in one transaction."""
        edges, bad = self._read(lines)
        try:
            written = self._write(edges)
        except UnknownUserError:
            # Somebody was deleted between our look and the insert: look again.
            self.session.rollback()
            written = self._write(edges)
        self.session.commit()
        for rejected in sorted(bad + written.refused):
            self.reject(rejected)
        self.done.lines += len(lines)
        self.done.made += written.made
        self.done.present += written.edges - written.made
        self.done.rejected += len(bad) + len(written.refused)
        self.done.users_created += written.users

    def _read(self, lines: list[Line]) -> tuple[list[_Edge], list[Rejected]]:
        edges, bad = [], []
        for line in lines:
            try:
                if line.fault is not None:
                    raise ValueError(line.fault)
                follower, followed, *time = line.fields
                edges.append(
                    _Edge(
                        line,
                        self.names.parse(follower),
                        self.names.parse(followed),
                        moment(time[0]) if time else None,
                    )
                )
            except ValueError as error:
                bad.append(Rejected(line.number, str(error), line.text))
        return edges, bad

    def _write(self, edges: list[_Edge]) -> _Written:
        wanted = {name for edge in edges for name in (edge.follower, edge.followed)}
        keys, faults, users = self._keys(wanted)
        rows, refused = [], []
        for edge in edges:
            reason = self._refusal(edge, keys, faults)
            if reason is None:
                at = edge.created_at
                time = () if at is None else (self.relation.edge_table.stored(at),)
                rows.append((keys[edge.follower], keys[edge.followed], *time))
            else:
                refused.append(Rejected(edge.line.number, reason, edge.line.text))
        return _Written(self.relation.add_many(rows), len(rows), users, refused)

    def _keys(self, names: set[Any]) -> tuple[dict[Any, Any], dict[Any, str], int]:
        """Return keys by name, reasons by name for users that could not be made, how many were."""
        keys = self.names.keys(self.session, names)
        missing = sorted(names - keys.keys() - {""})
        if not (missing and self.create_missing):
            return keys, {}, 0
        edges = self.relation.edge_table
        open_transaction(edges.connection(self.session), edges.table)
        made, faults = self.names.create(self.session, missing)
        keys.update(self.names.keys(self.session, set(missing), latest=True))
        return keys, faults, made

    def _refusal(self, edge: _Edge, keys: dict[Any, Any], faults: dict[Any, str]) -> str | None:
        for name in (edge.follower, edge.followed):
            if name not in keys:
                return faults.get(name, f"no user with {self.names.by} {shown(name)}")
            if keys[name] is AMBIGUOUS:
                return f"several users with {self.names.by} {shown(name)}"
        if keys[edge.follower] == keys[edge.followed] and not self.relation.edge_table.allow_self:
            return f"{shown(edge.follower)} cannot follow itself"
        return None


def export(relation: Relation, names: UserNames) -> Iterator[str]:
    """Yield the lines of a CSV file with all edges, ordered by key, in bounded memory.

    :raises FollowsError: a user has no name, or one that a line of CSV cannot hold.
    """
    edges = relation.edge_table
    yield written(HEADER if edges.time is not None else HEADER[:2])
    keys = [edges.attribute(edges.source), edges.attribute(edges.target)]
    named = _named_edges(relation, names, keys)
    # A row of the host's without one of its ends is no edge.
    if edges.source.nullable or edges.target.nullable:
        named = named.where(*(key.is_not(None) for key in keys))
    query = named.order_by(*keys).limit(BATCH)
    page = query
    while rows := relation.session_for().execute(page).all():
        for source, target, follower, followed, *time in map(tuple, rows):
            moments = [_moment_text(edges, at) for at in time]
            yield written((_text(follower, source), _text(followed, target), *moments))
        source, target = tuple(rows[-1])[:2]
        page = query.where(keys[0] >= source, sa.or_(keys[0] > source, keys[1] > target))


def _moment_text(edges: EdgeTable, at: datetime | None) -> str:
    return "" if at is None else edges.moment(at).isoformat(timespec="microseconds")


def _text(name: Any, key: Any) -> str:
    if name is None:
        raise FollowsError(
            f"the user with key {shown(key)} has no such name, or is not there any more; export "
            "by key, or run: flask follows check"
        )
    return str(name)


def _named_edges(relation: Relation, names: UserNames, keys: Iterable[Any]) -> Any:
    """Select keys, names, and the time, if there is one, of all edges."""
    edges = relation.edge_table
    time = [] if edges.time is None else [edges.attribute(edges.time)]
    if names.is_key:
        return sa.select(*keys, *keys, *time)
    source, target = keys
    follower, followed = aliased(names.user.model), aliased(names.user.model)
    named = sa.select(source, target, names.attribute(follower), names.attribute(followed), *time)
    return (
        named.select_from(edges.model)
        .outerjoin(follower, names.user.attribute(follower) == source)
        .outerjoin(followed, names.user.attribute(followed) == target)
    )
