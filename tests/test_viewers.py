"""Who looks at a page: users by object or key, and visitors."""

from __future__ import annotations

import pytest
from flask_login import AnonymousUserMixin
from werkzeug.local import LocalProxy

from flask_follows import UnsavedInstanceError
from flask_follows.viewers import viewer_key


def test_viewers(users, follows, session, User):
    """A user or key has a key; who is not logged in, or not saved, has none."""
    endpoint = follows.follow_relation.source
    (me,) = users(1)
    for viewer in me, me.id, LocalProxy(lambda: me):
        assert viewer_key(endpoint, viewer) == me.id
    for nobody in None, AnonymousUserMixin(), User(username="transient"):
        assert viewer_key(endpoint, nobody) is None
        assert viewer_key(endpoint, LocalProxy(lambda nobody=nobody: nobody)) is None
    with pytest.raises(TypeError, match="expected an instance of User"):
        viewer_key(endpoint, "me")
    session.delete(me)
    session.flush()
    with pytest.raises(UnsavedInstanceError, match="was deleted"):
        viewer_key(endpoint, me)
