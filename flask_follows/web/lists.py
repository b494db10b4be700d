"""The pages: followers, followed, mutuals, and the followers whom the viewer knows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import current_app, jsonify, render_template, request
from flask.typing import ResponseReturnValue

from flask_follows.errors import InvalidCursorError

from .addresses import find
from .graph import extension, is_same, relation, users, viewer
from .login import ask_to_log_in
from .negotiation import refuse, wants_json
from .people import people
from .settings import per_page

__all__ = ["show"]


def _mutuals(user: Any, _viewer: Any) -> Any:
    follow_back = relation().end(False).exists_for(users().model, user)
    return _collection(user, "followed").filter(follow_back)


def _known_followers(user: Any, viewer: Any) -> Any:
    # From the viewer's side: the cost grows with whom the viewer follows, not with a celebrity.
    follow_user = relation().end(False).exists_for(users().model, user)
    return _collection(viewer, "followed").filter(follow_user)


_LISTS: dict[str, Callable[[Any, Any], Any]] = {
    "followers": lambda user, _viewer: _collection(user, "followers"),
    "followed": lambda user, _viewer: _collection(user, "followed"),
    "mutuals": _mutuals,
    "known_followers": _known_followers,
}


def show(name: str, address: str) -> ResponseReturnValue:
    """Answer with one page of a list of a user's, in HTML or JSON."""
    looking = viewer()
    user = find(relation().session_for(), address)
    if user is None:
        refuse(404, "There is no such user.")
    if not extension().web.is_shown(looking, name, user):
        if looking is None:
            return ask_to_log_in()
        refuse(403, "This list is not shown to you.")
    if looking is None and name == "known_followers":
        return ask_to_log_in()
    after, before = request.args.get("after"), request.args.get("before")
    try:
        page = _LISTS[name](user, looking).page(after, before, per_page(current_app))
    except InvalidCursorError as error:
        refuse(400, str(error))
    [person] = people([user])
    if wants_json():
        items = [found.json for found in people(page.items)]
        return jsonify(
            user=person.json, list=name, items=items, next=page.next, previous=page.previous
        )
    is_own = looking is not None and is_same(looking, user)
    return render_template(
        f"flask_follows/{name}.html", user=user, person=person, page=page, is_own=is_own
    )


def _collection(user: Any, name: str) -> Any:
    """Return a collection of a user's, whatever the host calls it."""
    return getattr(user, user.__follows_options__.name(name))
