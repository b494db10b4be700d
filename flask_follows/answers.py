"""What a session has been told about edges, remembered for as long as it is sure to be true.

That is one transaction at most. Everything is forgotten when the transaction or a SAVEPOINT of it
ends, however it does; at every flush, whatever it writes; before every statement through the
session that is not a SELECT, whatever it says; and when an object at either end is expired. The
package's own writes, which know what they change, correct the answers instead.

So an answer is as old as other attributes of the session's objects are: what others commit is seen
by the next transaction. Writes past the session, on its connection, are not seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from weakref import WeakSet

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.orm import InstanceState, ORMExecuteState, Session, scoped_session

from .keys import Endpoint

__all__ = ["Answers", "Known", "Side", "attend"]

_KEY = "flask_follows.answers"
# Answers kept of one relation: some tens of megabytes. Then it begins anew.
LIMIT = 100_000

# Whether the end is the target's, and the key of the object there.
_Place: TypeAlias = tuple[bool, Any]

# Classes of sessions that forget what is no longer sure.
_ATTENDED: WeakSet[type[Session]] = WeakSet()


@dataclass
class Side:
    """How one object has been asked about; for counts, how one end has.

    :ivar misses: how many questions had no answer yet.
    :ivar whole: the keys at the other end of all the object's edges, once they have been read.
    """

    misses: int = 0
    whole: set[Any] | None = None
    _held: int = 0
    _left: list[Any] = field(default_factory=list)

    def ahead(
        self, session: Session, endpoint: Endpoint, most: int, is_known: Callable[[Any], bool]
    ) -> list[Any]:
        """Return keys of objects that the session holds, and that will be asked about, too.

        The objects are looked through once, and again when there have become more of them.
        """
        if not most:
            return []
        held = len(session.identity_map)
        if not self._left and held > self._held:
            self._held, self._left = held, endpoint.held_keys(session)
        keys: list[Any] = []
        while self._left and len(keys) < most:
            key = self._left.pop()  # the newest first
            if not is_known(key):
                keys.append(key)
        return keys


@dataclass
class Known:
    """What is known of one relation.

    :ivar edges: whether there is an edge, by the keys of source and target.
    :ivar counts: numbers of edges.
    :ivar last: the last question about an edge that had no answer.
    """

    edges: dict[tuple[Any, Any], bool] = field(default_factory=dict)
    counts: dict[_Place, int] = field(default_factory=dict)
    sides: dict[Any, Side] = field(default_factory=dict)
    last: tuple[Any, Any] | None = None

    def side(self, place: Any) -> Side:
        """Return how the object at a place has been asked about; there is to be one more answer."""
        if len(self.edges) + len(self.counts) > LIMIT:
            self.edges.clear()
            self.counts.clear()
            self.sides.clear()
        return self.sides.setdefault(place, Side())


class Answers:
    """What one session knows of each relation.

    :ivar unused: whether something was read ahead that nobody has asked for yet.
    :ivar cautious: whether that was in vain the last time.
    """

    def __init__(self) -> None:
        self._known: dict[Any, Known] = {}
        self.unused = False
        self.cautious = False

    @classmethod
    def of(cls, session: Session) -> Answers | None:
        """Return a session's answers, None for one that would not know when to forget them."""
        answers: Answers | None = session.info.get(_KEY)
        if answers is None and type(session) in _ATTENDED:
            answers = session.info[_KEY] = cls()
        return answers

    def about(self, relation: Any) -> Known:
        """Return what is known of a relation."""
        known = self._known.get(relation)
        if known is None:
            known = self._known[relation] = Known()
        return known

    def hit(self) -> None:
        """Note that something that was read ahead has been asked for."""
        self.unused = self.cautious = False

    def most(self, side: Side, size: int) -> int:
        """Return how many to ask about besides one, in a statement about so many.

        None at first, where those of the last time were in vain.
        """
        return 0 if self.cautious and side.misses == 1 else size - 1

    def forget(self) -> None:
        """Forget all answers."""
        if self._known:
            self._known.clear()
            self.cautious |= self.unused
            self.unused = False

    def correct(self, relation: Any, pairs: Iterable[tuple[Any, Any]], there: bool) -> None:
        """Take in what a write of ours has just done: the edges are there now, or not."""
        known = self._known.get(relation)
        if known is None:
            return
        for source, target in pairs:
            known.edges[source, target] = there
            known.counts.pop((False, source), None)
            known.counts.pop((True, target), None)

    def forget_about(self, relation: Any) -> None:
        """Forget what is known of one relation."""
        self._known.pop(relation, None)


def attend(session: scoped_session[Any], *models: type[Any]) -> None:
    """Have a host's sessions remember answers, and forget them in time.

    It may be called again: each listener is there once.

    :param session: the host's `db.session`; other sessions ask the database each time.
    :param models: the classes at the two ends of a relation.
    """
    kind = session.session_factory.class_
    if kind not in _ATTENDED:
        _ATTENDED.add(kind)
        # The end of any transaction: `close()` ends one without a commit or rollback, and methods
        # such as `bulk_insert_mappings` write in one of their own without a flush. Receivers of
        # the commit may ask before it has ended.
        for name in ("after_transaction_end", "after_commit", "after_soft_rollback", "after_flush"):
            event.listen(kind, name, _forget)
        event.listen(kind, "do_orm_execute", _before_statement)
    for model in models:
        event.listen(model, "expire", _on_expire, raw=True, propagate=True)


def _forget(session: Session, *_: Any) -> None:
    answers: Answers | None = session.info.get(_KEY)
    if answers is not None:
        answers.forget()


def _before_statement(state: ORMExecuteState) -> None:
    # A text may say anything, whatever columns it is said to return.
    statements = state.statement, getattr(state.statement, "element", None)  # `from_statement()`
    is_text = any(isinstance(statement, sa.TextualSelect) for statement in statements)
    if not state.is_select or is_text:
        _forget(state.session)


def _on_expire(state: InstanceState[Any], _names: Any) -> None:
    session = state.session
    if session is not None:
        _forget(session)
