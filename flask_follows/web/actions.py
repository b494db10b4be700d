"""Follow, unfollow, remove a follower: what a button does, for whoever is logged in alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import jsonify, redirect, request
from flask.typing import ResponseReturnValue

from flask_follows.errors import SelfFollowError, UnknownUserError, UnsavedInstanceError

from .addresses import find
from .forms import action_url
from .graph import extension, relation, viewer
from .login import ask_to_log_in, came_from
from .negotiation import refuse, wants_json
from .people import people
from .security import is_cross_site

__all__ = ["act", "refuse_forgeries"]

_LARGEST_BODY = 16 * 1024

_ACTIONS: dict[str, Callable[[Any, Any], bool]] = {
    "follow": lambda actor, user: relation().add(actor, user),
    "unfollow": lambda actor, user: relation().remove(actor, user),
    "remove_follower": lambda actor, user: relation().remove(user, actor, reverse=True),
}


def act(name: str, address: str) -> ResponseReturnValue:
    """Do something to a user in the name of who is logged in, and commit.

    Nothing in the body says who does it, or to whom.
    """
    actor = viewer()
    if actor is None:  # before anybody is looked for
        return ask_to_log_in()
    session = relation().session_for(actor)
    try:
        user = find(session, address)
        if user is None:
            refuse(404, "There is no such user.")
        if not extension().web.is_allowed(actor, name, user):
            refuse(403, "You may not do this.")
        changed = _do(name, actor, user)
        answer = _told(actor, user, changed) if wants_json() else _sent_back(user)
        session.commit()
    except BaseException:
        session.rollback()
        raise
    return answer


def _do(name: str, actor: Any, user: Any) -> bool:
    try:
        return _ACTIONS[name](actor, user)
    except SelfFollowError:
        refuse(422, "You cannot follow yourself.")
    except (UnknownUserError, UnsavedInstanceError):  # gone since it was found
        refuse(404, "There is no such user.")


def _told(actor: Any, user: Any, changed: bool) -> ResponseReturnValue:
    found = [{**person.json, **_counts(person.user)} for person in people([user, actor])]
    return jsonify(changed=changed, user=found[0], viewer=found[1])


def _counts(user: Any) -> dict[str, int]:
    return {
        "followers_count": relation().count(user, reverse=True),
        "followed_count": relation().count(user),
    }


def _sent_back(user: Any) -> ResponseReturnValue:
    [person] = people([user])
    return redirect(came_from() or person.url or action_url("followers", person), 303)


def refuse_forgeries() -> None:
    """Refuse what another site has sent in the viewer's name, and what no button sends."""
    if request.method in ("GET", "HEAD", "OPTIONS"):
        return
    if is_cross_site():
        refuse(403, "This request comes from another site.")
    if request.content_length is None and "Transfer-Encoding" in request.headers:
        refuse(411, "Say how long the body is; it is empty, as a rule.")
    if (request.content_length or 0) > _LARGEST_BODY:
        refuse(413, "There is nothing that long to say here.")
    if request.is_json and request.get_data():
        _refuse_fields()


def _refuse_fields() -> None:
    """Refuse whatever a JSON body says: who acts is who is logged in, on whom the address says."""
    try:
        body = request.get_json(silent=True)
    except RecursionError:
        body = None
    if not isinstance(body, dict):
        refuse(400, "The body must be a JSON object without fields, or empty.")
    if body:
        refuse(422, "This address takes no fields: who acts is who is logged in.")
