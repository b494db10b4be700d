"""A relation: a named kind of edge between two mapped classes (or one and itself).

A :class:`Relation` plans a change, carries it out and announces it. The collections and the
methods of `User` are built on it; so is whoever has only keys.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

from blinker import Signal
from sqlalchemy.orm import Query, Session
from werkzeug.local import LocalProxy

from .announce import Announcer
from .bulk import Bulk
from .chunks import CHUNK, chunks
from .edge_objects import find_edge, stored_values, update_edge, with_time
from .edges import EdgeTable
from .errors import ConfigurationError, FollowsError, SelfFollowError, UnknownUserError
from .keys import Endpoint, session_of
from .mutuals import Mutuals
from .questions import Questions
from .reads import End
from .statements import MissingEndpoint, Pair, SelfPair
from .storage import Storage

__all__ = ["Relation"]


class Relation:
    """A named set of edges from source objects to target objects.

    All writes take objects or primary keys, run in the session of the objects given (else in
    `db.session`), flush what is pending first, and never commit.

    :param storage: where and how the edges are stored; None where the classes are still to come,
        see :meth:`resolve`.
    :param session: returns the session to use where no object brings one.
    :param after_commit: signals to send for each edge after the outermost commit, by action.
    :param no_self: what to say to an object that is to be connected with itself.
    """

    storage: Storage
    source: Endpoint
    target: Endpoint
    questions: Questions
    # Names of classes that it was declared with, one of which may be still to come.
    waits_for: Sequence[str] = ()
    # What it was declared as, to know it again.
    declared_as: Any = None

    def __init__(
        self,
        name: str,
        storage: Storage | None,
        *,
        session: Callable[[], Session] | None = None,
        after_commit: Mapping[str, Signal] | None = None,
        no_self: str | None = None,
    ) -> None:
        self.name = name
        self._no_self = no_self or f"cannot be connected with itself in {name!r}"
        self.session = session
        self.announcer = Announcer(self, after_commit or {})
        if storage is not None:
            self.resolve(storage)

    def resolve(self, storage: Storage) -> None:
        """Tell the relation where its edges are stored, as soon as that is known."""
        self.storage = storage
        self.source = storage.source
        self.target = storage.target
        self.questions = Questions(storage.forward, storage.backward)
        self._mutuals = Mutuals(storage.forward)

    def __getattr__(self, name: str) -> Any:
        if name in ("storage", "source", "target"):
            raise ConfigurationError(
                f"the relation {self.name!r} waits for a class that has not been mapped yet "
                f"({' or '.join(self.waits_for) or 'unknown'}); import the module of its models"
            )
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __repr__(self) -> str:
        if "storage" not in vars(self):
            return f"<Relation {self.name}: not mapped yet>"
        source, target = self.source.model.__name__, self.target.model.__name__
        return f"<Relation {self.name}: {source} -> {target}>"

    @property
    def edge_table(self) -> EdgeTable:
        """Where the edges lie."""
        return self.storage.edges

    @property
    def Edge(self) -> type[Any]:
        """The mapped class of the edges: ours, or the host's."""
        return self.edge_table.model

    def add(self, source: Any, target: Any, /, **values: Any) -> bool:
        """Make the edge, unless it is there. One statement; two where an edge is two rows.

        :param values: further columns of the edge; a callable is called.
        :return: True when this call made it, False when it was there already.
        :raises SelfFollowError: both are the same, and the relation does not allow that.
        :raises UnknownUserError: a key that nobody has; nothing was written.
        :raises UnsavedInstanceError: an object that was never added, or deleted.
        :raises WrongTypeError: an object of another class, or a column the edge does not have.
        """
        pair = self._pair(source, target)
        session = self.session_for(source, target)
        return self.insert(session, [pair], values, instance=source) == 1

    def remove(self, source: Any, target: Any, *, reverse: bool = False) -> bool:
        """Remove the edge, if it is there. One statement; two where an edge is two rows.

        :param reverse: it is removed from the target's side, for the signal's `instance`.
        :return: True when this call removed it. A key that nobody has has no edges: False.
        :raises UnsavedInstanceError: an object that was never added, or deleted.
        :raises WrongTypeError: an object of another class.
        """
        pair = self._pair(source, target)
        session, instance = self.session_for(source, target), target if reverse else source
        return self.delete(session, pair, instance=instance, reverse=reverse)

    def toggle(self, source: Any, target: Any) -> bool:
        """Make the edge, or remove it if it was there. One or two statements, or three.

        :return: the new state: True when the edge is there now.
        :raises FollowsError: as :meth:`add`.
        """
        # Insert first: a delete that finds nothing locks the gap on MariaDB, and two of them
        # would then wait for each other's insert.
        if self.add(source, target):
            return True
        self.remove(source, target)
        return False

    def get_or_create(self, source: Any, target: Any, /, **values: Any) -> tuple[Any, bool]:
        """Return the edge, made if there is none. Two statements; three where it is two rows.

        :param values: further columns of a new edge; a callable is called.
        :return: the edge object, and whether this call made it.
        :raises FollowsError: as :meth:`add`.
        """
        while True:
            made = self.add(source, target, **values)
            edge = self._edge(source, target)
            if edge is not None:  # else another transaction has removed it meanwhile
                return edge, made

    def update_or_create(self, source: Any, target: Any, /, **values: Any) -> tuple[Any, bool]:
        """Set columns of the edge, which is made if there is none. Two to four statements.

        :param values: further columns of the edge; a callable is called.
        :return: the edge object, and whether this call made it.
        :raises FollowsError: as :meth:`add`.
        """
        while True:
            made = self.add(source, target, **values)
            edge = self._edge(source, target, for_update=True)
            if edge is not None:
                break
        if not made and values:
            session, row = self._session_and_row(source, target)
            update_edge(self.storage, session, row, stored_values(self.edge_table, values))
        return edge, made

    def contains(self, source: Any, target: Any, *, reverse: bool = False) -> bool:
        """Tell whether the edge is there. At most one statement.

        :param reverse: it is the target that asks, perhaps about other sources as well.
        :raises UnsavedInstanceError: an object that was never added, or deleted.
        :raises WrongTypeError: an object of another class.
        """
        # Not by the methods for both: a template may ask this for each line.
        pair = self.source.key(source), self.target.key(target)
        session = session_of((source, target)) or self.session_for()
        # `user.is_following(current_user)`: it is the other one who stays the same.
        if type(source if reverse else target) is LocalProxy:
            reverse = not reverse
        return self.questions.contains(session, pair, reverse=reverse)

    def count(self, obj: Any, *, reverse: bool = False) -> int:
        """Return the number of edges of an object, 0 of one not saved. At most one statement."""
        key, session = self.end(reverse).near.saved_key(obj), self.session_for(obj)
        return 0 if key is None else self.questions.count(session, key, reverse=reverse)

    def mutuals(self, obj: Any) -> Query[Any]:
        """Return a query of the objects with edges to and from this one, newest first.

        :raises UnsavedInstanceError, WrongTypeError: as :meth:`contains`.
        """
        return self._mutuals.query(self.session_for(obj), self.source.key(obj))

    def edges(self, obj: Any, *, reverse: bool = False) -> Query[Any]:
        """Return a query of the edges of a source (or, reversed, target) object, newest first.

        :raises UnsavedInstanceError, WrongTypeError: as :meth:`contains`.
        """
        end = self.end(reverse)
        return end.rows(self.session_for(obj), end.near.key(obj))

    def end(self, reverse: bool) -> End:
        """Return the relation as seen from the target's end, or the source's."""
        return self.storage.backward if reverse else self.storage.forward

    def add_many(
        self, pairs: Iterable[tuple[Any, ...]], progress: Callable[[int], object] | None = None
    ) -> int:
        """Add edges in bulk from any iterable of (source, target), in bounded memory.

        A pair that is there already, or comes twice, is no error. Nothing is committed: after an
        error the caller decides what becomes of the pairs before it. Fast where nobody listens to
        the signals, which tell of each edge.

        :param pairs: objects or, better, keys; a third item, if any, is the time of the edge.
        :param progress: called after each ten thousand pairs with the number dealt with since.
        :return: how many edges were new.
        :raises SelfFollowError: a pair of one and the same key, unless the relation allows it.
        :raises UnknownUserError: names the keys that nobody has; no pair of the ten thousand was
            written, and the transaction goes on.
        """
        return Bulk(self, self.session_for()).add(pairs, progress)

    def session_for(self, *objects: Any) -> Session:
        """Return the session of the first object that is in one, else the host's."""
        session = session_of(objects)
        if session is None and self.session is None:
            raise ConfigurationError(
                f"the relation {self.name!r} has no database session yet; "
                "call follows.init_app(app, db, User) first"
            )
        return session or cast("Callable[[], Session]", self.session)()

    def insert(
        self,
        session: Session,
        pairs: Iterable[Pair],
        values: Mapping[str, Any],
        *,
        instance: Any,
        reverse: bool = False,
    ) -> int:
        """Insert the pairs of keys that are not there yet; return how many were made.

        All of them or, when one is refused, none.
        """
        # In one order everywhere: two transactions that add the same pairs cannot deadlock.
        given = {self.storage.row(pair): pair for pair in pairs}
        self._refuse_self(given)
        values = self.edge_values(values)
        rows = sorted(given)
        if len(rows) > CHUNK:
            self._check_rows(session, rows)
        made, heard = 0, self.announcer.is_heard("add")
        for chunk in chunks(rows):
            try:
                inserted = self.storage.insert(session, chunk, values, exact=heard)
            except (MissingEndpoint, SelfPair) as error:
                raise self._refusal(error) from error
            self.questions.correct(session, chunk, there=True)
            made += inserted.count
            if heard and inserted.pairs:
                new = [given.get(row, row) for row in inserted.pairs]
                self.announcer.changed(session, "add", new, instance=instance, reverse=reverse)
        return made

    def delete(self, session: Session, pair: Pair, *, instance: Any, reverse: bool = False) -> bool:
        """Delete the edge of a pair of keys; tell whether it was there."""
        removed = self.storage.delete(session, self.storage.row(pair))
        self.questions.correct(session, [pair], there=False)
        if removed and self.announcer.is_heard("remove"):
            self.announcer.changed(session, "remove", [pair], instance=instance, reverse=reverse)
        return removed

    def delete_at(
        self, session: Session, end: End, near: Any, far: Sequence[Any] | None, instance: Any
    ) -> int:
        """Delete the edges of one object, to some objects or (None) to all; return how many."""
        action = "clear" if far is None else "remove"
        heard = self.announcer.is_heard(action)
        removed, rows = self.storage.delete_at(session, end, near, far, exact=heard)
        self.questions.forget(session)
        if heard and rows:
            pairs = [self.storage.seen_from(near, row) for row in rows]
            self.announcer.changed(session, action, pairs, instance=instance, reverse=end.reverse)
        return removed

    def check(self, session: Session, pairs: Iterable[Pair]) -> None:
        """Refuse pairs that :meth:`insert` would refuse, before anything is written.

        From then on the objects cannot be deleted by others.
        """
        rows = sorted({self.storage.row(pair) for pair in pairs})
        self._refuse_self(rows)
        self._check_rows(session, rows)

    def edge_values(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return further columns by name, with the time filled in and callables called.

        :raises WrongTypeError: a column that the edge does not have, or a time without a zone.
        """
        return with_time(self.edge_table, stored_values(self.edge_table, given))

    def _edge(self, source: Any, target: Any, *, for_update: bool = False) -> Any:
        session, row = self._session_and_row(source, target)
        return find_edge(self.storage, session, row, for_update=for_update)

    def _session_and_row(self, source: Any, target: Any) -> tuple[Session, Pair]:
        return self.session_for(source, target), self.storage.row(self._pair(source, target))

    def _pair(self, source: Any, target: Any) -> Pair:
        return self.source.key(source), self.target.key(target)

    def _check_rows(self, session: Session, rows: Sequence[Pair]) -> None:
        try:
            self.storage.check(session, rows)
        except (MissingEndpoint, SelfPair) as error:
            raise self._refusal(error) from error

    def _refusal(self, error: MissingEndpoint | SelfPair) -> FollowsError:
        """Return the error of the contract for what a storage refuses."""
        return (
            self._self_follow(error.pair) if isinstance(error, SelfPair) else self._unknown(error)
        )

    def _refuse_self(self, pairs: Iterable[Pair]) -> None:
        if self.edge_table.allow_self:
            return
        for pair in pairs:
            if pair[0] == pair[1]:
                raise self._self_follow(pair)

    def _self_follow(self, pair: Pair) -> SelfFollowError:
        return SelfFollowError(f"{self.source.model.__name__} {pair[0]!r} {self._no_self}")

    def _unknown(self, error: MissingEndpoint) -> UnknownUserError:
        missing = " and ".join(
            f"{endpoint.model.__name__} with key {', '.join(map(repr, sorted(keys)[:10]))}"
            for endpoint, keys in error.keys.items()
        )
        return UnknownUserError(
            f"no {missing}; none of the edges was made, the transaction goes on"
        )
