"""Telling of changes: `relation_changed` at once, `followed` and `unfollowed` after the commit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from blinker import Signal
from flask import Flask, has_app_context
from flask.globals import app_ctx
from sqlalchemy.orm import Session

from .journal import Journal
from .signals import relation_changed

__all__ = ["Announcer"]


class Announcer:
    """Sends the signals of one relation, and knows whether anyone listens.

    :param relation: the relation, as receivers are to see it.
    :param after_commit: signals to send for each edge after the outermost commit, by action.
    """

    def __init__(self, relation: Any, after_commit: Mapping[str, Signal]) -> None:
        self.relation = relation
        self.after_commit = after_commit

    def is_heard(self, action: str) -> bool:
        """Tell whether anyone listens to this action, so that exact keys are worth their price.

        Outside of an application context there is no sender, and so nobody listens.
        """
        signal = self.after_commit.get(action)
        # Most often there is no receiver at all, which is the quickest to see.
        if not relation_changed.receivers and (signal is None or not signal.receivers):
            return False
        if not has_app_context():
            return False
        app = app_ctx.app
        if relation_changed.has_receivers_for(app):
            return True
        return signal is not None and signal.has_receivers_for(app)

    def changed(
        self,
        session: Session,
        action: str,
        pairs: Sequence[tuple[Any, Any]],
        *,
        instance: Any,
        reverse: bool,
    ) -> None:
        """Announce a change that a statement has just made, and that :meth:`is_heard`."""
        app = app_ctx.app
        # First, since a receiver below may fail or end the transaction: the edge is made all the
        # same, in this transaction.
        self._after_commit(session, app, action, pairs)
        if relation_changed.has_receivers_for(app):
            relation_changed.send(
                app,
                relation=self.relation,
                instance=instance,
                action=action,
                keys=frozenset(pair[0] if reverse else pair[1] for pair in pairs),
                pairs=tuple(pairs),
                reverse=reverse,
                session=session,
            )

    def row(self, session: Session | None, action: str, pair: tuple[Any, Any]) -> None:
        """Announce an edge that a flush has just added or deleted as an object.

        After the commit only: nobody may write to a session in the middle of its flush.
        """
        if session is not None and has_app_context():
            self._after_commit(session, app_ctx.app, action, [pair])

    def _after_commit(
        self, session: Session, app: Flask, action: str, pairs: Sequence[tuple[Any, Any]]
    ) -> None:
        signal = self.after_commit.get(action)
        if signal is None or not signal.has_receivers_for(app):
            return
        journal = Journal.of(session)
        for source, target in pairs:
            keys = {"follower_id": source, "followed_id": target}
            journal.send_after_commit(session, signal, app, relation=self.relation, **keys)
