"""The signals (`blinker <https://blinker.readthedocs.io>`_) that tell what happened to the edges.

The sender is always the Flask application. Nothing is computed for a signal that nobody listens to.
"""

from __future__ import annotations

from blinker import Namespace

__all__ = ["followed", "relation_changed", "unfollowed"]

_signals = Namespace()

# Sent inside the transaction, right after the statement; a receiver may write to the session, and
# its error reaches the caller. Arguments:
#   relation   the Relation whose edges changed
#   instance   the object (or key) from whose side the change was made; None for `add_many`
#   action     "add", "remove" or "clear"
#   keys       frozenset of the exact keys changed, at the end away from `instance`
#   pairs      the same as a tuple of (source key, target key)
#   reverse    True when `instance` is the relation's target (`user.followers`)
#   session    the session in which it happened
relation_changed = _signals.signal("relation-changed")

# Sent once for each edge after the outermost commit; never for a no-op, nor for what a rollback or
# a rolled-back savepoint undid. An error of a receiver is logged: the commit has happened already.
# Arguments:
#   relation     the follow relation
#   follower_id  key of the user who follows
#   followed_id  key of the user who is followed
followed = _signals.signal("followed")
unfollowed = _signals.signal("unfollowed")
