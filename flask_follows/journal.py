"""What happened to the edges in a running transaction, told once it has been committed.

SQLAlchemy's ``after_commit`` fires for a released SAVEPOINT as well, and not at all for a session
that is closed without a commit. So each entry belongs to the transaction (or SAVEPOINT) in which
it was written: a commit hands it to the enclosing one, the end without a commit drops it, and the
outermost commit tells it.

Receivers may use `db.session`: the transaction is over. At the end of `with session.begin()` it is
over as well, but SQLAlchemy refuses the session until the block has been left, and there is no
event after that. So each receiver then gets an application context of its own, and with it a new
`db.session`, which is removed after it: it commits what it writes, or leaves nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple, TypeAlias

from blinker import Signal
from flask import Flask
from sqlalchemy import event
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.orm import Session, SessionTransaction

__all__ = ["Journal"]

_KEY = "flask_follows.journal"

# What a receiver is called in, given the session that was committed and the application.
_Around: TypeAlias = Callable[[Session, Flask], AbstractContextManager[None]]


class _Entry(NamedTuple):
    signal: Signal
    app: Flask
    arguments: dict[str, Any]


class Journal:
    """The signals to be sent after the outermost commit of one session."""

    def __init__(self) -> None:
        self._open: dict[SessionTransaction, list[_Entry]] = defaultdict(list)
        self._committed: set[SessionTransaction] = set()

    @classmethod
    def of(cls, session: Session) -> Journal:
        """Return the session's journal, begun at the first call.

        It listens to this session alone: a session in which nothing is to be told pays nothing.
        """
        journal: Journal | None = session.info.get(_KEY)
        if journal is None:
            journal = session.info[_KEY] = cls()
            event.listen(session, "after_commit", journal._after_commit)
            event.listen(session, "after_transaction_end", journal._after_transaction_end)
        return journal

    def send_after_commit(
        self, session: Session, signal: Signal, app: Flask, **arguments: Any
    ) -> None:
        """Have a signal sent when what runs now is committed for good.

        An error of a receiver is logged to the application's log: the commit has happened already.
        """
        self._open[_innermost(session)].append(_Entry(signal, app, arguments))

    def _after_commit(self, session: Session) -> None:
        self._committed.add(_innermost(session))

    def _after_transaction_end(self, session: Session, ended: SessionTransaction) -> None:
        entries = self._open.pop(ended, [])
        if ended not in self._committed:
            return
        self._committed.discard(ended)
        if ended.nested:
            self._open[_innermost(session)].extend(entries)
            return
        if not entries:
            return
        around = _own_context if _is_refused(session) else _in_session
        for entry in entries:
            _send(session, around, *entry)


def _innermost(session: Session) -> SessionTransaction:
    transaction = session.get_nested_transaction() or session.get_transaction()
    assert transaction is not None, "edges are written inside a transaction"
    return transaction


def _is_refused(session: Session) -> bool:
    """Tell whether SQLAlchemy refuses the session because a `with` block of it has not ended."""
    if session.in_transaction():
        return False
    try:
        # Not `rollback()`, which would expire the host's objects.
        session.begin().close()
    except InvalidRequestError:
        return True
    return False


@contextmanager
def _in_session(session: Session, _app: Flask) -> Iterator[None]:
    """Let a receiver use the host's session, which has no transaction any more."""
    try:
        yield
    except Exception:
        # Else what it left half done, or a transaction that its error has ended, would be the
        # next receiver's, and then the host's.
        session.rollback()
        raise


@contextmanager
def _own_context(_session: Session, app: Flask) -> Iterator[None]:
    """Give a receiver a new `db.session`, which Flask-SQLAlchemy removes with the context."""
    with app.app_context():
        yield


def _send(
    session: Session, around: _Around, signal: Signal, app: Flask, arguments: dict[str, Any]
) -> None:
    """Send a signal to one receiver after the other, whatever becomes of each.

    `Signal.send` would stop at the first that fails.
    """
    if signal.is_muted:
        return
    for receiver in signal.receivers_for(app):
        try:
            with around(session, app):
                app.ensure_sync(receiver)(app, **arguments)
        except Exception:
            app.logger.exception("A receiver of %r failed after the commit", signal)
