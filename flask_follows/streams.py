"""Results that are still being streamed, on a driver that drops their rows for another statement.

While a result is streamed (`yield_per`, `stream_results`), MySQL's protocol has no room for another
statement on the same connection. PyMySQL sends it all the same: it throws away the rows that are
left, with no more than a Python warning, and the loop ends early. (mysqlclient refuses by itself:
"Commands out of sync". SQLite and PostgreSQL can do both at once.)

So each engine on PyMySQL is listened to for results that are streamed. They are held weakly, and
count as open until SQLAlchemy closes their cursor (when the last row is read, by `close()`, or with
the last reference) or the transaction ends. Nobody pays for looking where none has been opened.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakSet, ref

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.orm import Session, object_mapper, scoped_session

from .errors import StreamedResultError

__all__ = ["flush", "refuse_in_stream", "watch"]

# Drivers that lose rows in silence.
DRIVERS = {"pymysql"}
_KEY = "flask_follows.stream"

# References to the cursors of streamed results, of whatever connection: mostly none. No WeakSet:
# each statement asks whether it is empty.
_STREAMED: set[ref[Any]] = set()
_SESSIONS: WeakSet[type[Session]] = WeakSet()
_WATCHED: WeakSet[sa.Engine] = WeakSet()


def watch(session: scoped_session[Any]) -> None:
    """Notice the results that a host's sessions stream. It may be called again.

    :param session: the host's `db.session`; its engines are watched from their first use on.
    """
    kind = session.session_factory.class_
    # Not `event.contains()`: it knows a class by its id, which may have been another's before.
    if kind not in _SESSIONS:
        _SESSIONS.add(kind)
        event.listen(kind, "after_begin", _watch_engine)


def refuse_in_stream(session: Session, **bind: Any) -> None:
    """Refuse to send a statement that would end a result which the session is streaming.

    :param bind: the bind arguments of the statement.
    :raises StreamedResultError: there is such a result; nothing was sent.
    """
    if _STREAMED and _is_streaming(session.connection(bind_arguments=bind)):
        raise StreamedResultError(
            "a result is still being streamed (yield_per or stream_results), and PyMySQL would "
            "drop the rest of its rows for another statement. Ask before the loop: after "
            "follows.status(viewer, users), is_following and its like send none. Or read the "
            "users into a list first, with .all(), or close() the result"
        )


def flush(session: Session) -> None:
    """Flush what is pending.

    :raises StreamedResultError: that would end a result which the session is streaming.
    """
    if _STREAMED:
        for obj in (*session.new, *session.dirty, *session.deleted):
            refuse_in_stream(session, mapper=object_mapper(obj))
    session.flush()


def _is_streaming(connection: sa.Connection) -> bool:
    streamed = connection.info.get(_KEY)
    cursor = None if streamed is None else streamed()
    # PEP 249's attribute, which PyMySQL empties when the cursor is closed.
    return cursor is not None and cursor.connection is not None


def _watch_engine(_session: Session, _transaction: Any, connection: sa.Connection) -> None:
    engine = connection.engine
    if engine.dialect.driver in DRIVERS and engine not in _WATCHED:
        _WATCHED.add(engine)
        event.listen(engine, "after_cursor_execute", _note)
        for end in ("commit", "rollback"):
            event.listen(engine, end, _forget)


def _note(
    connection: sa.Connection, cursor: Any, _statement: Any, _given: Any, context: Any, _many: bool
) -> None:
    if context.execution_options.get("stream_results"):
        streamed = connection.info[_KEY] = ref(cursor, _STREAMED.discard)
        _STREAMED.add(streamed)


def _forget(connection: sa.Connection) -> None:
    if not connection.invalidated:  # else it has none, and may not be asked
        connection.info.pop(_KEY, None)
