"""What templates gain: tests, a filter, and the globals that draw buttons and counts."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from flask import Flask, current_app, has_request_context, request
from markupsafe import Markup
from werkzeug.datastructures import MultiDict

from . import forms
from .addresses import address
from .graph import extension, is_saved, relation, viewer
from .negotiation import NAME
from .numbers import compact_number
from .people import Person, people, person_of

__all__ = ["add_names"]

_LOGGER = logging.getLogger("flask_follows")


def is_following(user: Any, other: Any) -> bool:
    """Tell whether a user follows another, in `{% if current_user is following user %}`.

    False where one of the two is anonymous or not saved.
    """
    return _can_stand(user) and _can_stand(other) and relation().contains(user, other)


def is_followed_by(user: Any, other: Any) -> bool:
    """Tell whether the other follows this user. See :func:`is_following`."""
    return is_following(other, user)


def is_mutual_with(user: Any, other: Any) -> bool:
    """Tell whether both follow each other. See :func:`is_following`."""
    return is_following(user, other) and is_following(other, user)


def follow_button(user: Any) -> Markup:
    """Draw the button that follows a user, or unfollows: `flask_follows/button.html`.

    A visitor gets a link to the login page, if the host has one. There is no button for oneself,
    for a user who is not saved, and where a hook of the host's forbids it.
    """
    return _draw_follow_button(*people([user]))


def remove_follower_button(user: Any) -> Markup:
    """Draw the button that makes a user follow the viewer no longer: `remove_button.html`."""
    return _draw_remove_button(*people([user]))


def follow_counts(user: Any) -> Markup:
    """Draw the numbers of followers and followed, linked to the lists: `flask_follows/counts.html`.

    The links are left out where a hook hides the list, or there is no blueprint.
    """
    return _draw_counts(person_of(user)) if is_saved(user) else Markup()


def follow_entries(users: Any, removable: bool, counts: bool) -> list[dict[str, Any]]:
    """Return what the macro `user_list` shows of each user. One statement for all of them.

    Two more where the counts are asked for.
    """
    return [
        {
            "person": person,
            "button": _draw_follow_button(person),
            "remove_button": _draw_remove_button(person) if removable else "",
            "counts": _draw_counts(person) if counts else "",
        }
        for person in people(users)
    ]


def follow_page_url(**place: str) -> str:
    """Return the address of another page of the list that this page shows."""
    # Of the query alone: a path that begins with two slashes would lead to another site.
    parts = MultiDict(
        (name, value)
        for name, value in request.args.items(multi=True)
        if name not in ("after", "before")
    )
    parts.update(place)
    return "?" + urlencode(list(parts.items(multi=True)))


def _draw_follow_button(person: Person | None = None) -> Markup:
    if person is None or person.is_viewer or not has_request_context():
        return Markup()
    if person.following is None:
        return _draw("login_button.html", person, login_url=forms.url_of_login(forms.here()))
    looking, action = viewer(), "unfollow" if person.following else "follow"
    if not extension().web.is_allowed(looking, action, person.user):
        return Markup()
    follow, unfollow = (forms.action_url(name, person) for name in ("follow", "unfollow"))
    return _draw_form("button.html", person, follow_url=follow, unfollow_url=unfollow)


def _draw_remove_button(person: Person | None = None) -> Markup:
    if person is None or not person.followed_by or not has_request_context():
        return Markup()
    if not extension().web.is_allowed(viewer(), "remove_follower", person.user):
        return Markup()
    url = forms.action_url("remove_follower", person)
    return _draw_form("remove_button.html", person, remove_url=url)


def _draw_counts(person: Person) -> Markup:
    lists = [
        (page, relation().count(person.user, reverse=page == "followers"), _link(page, person))
        for page in ("followers", "followed")
    ]
    return _draw("counts.html", person, lists=lists)


def _link(page: str, person: Person) -> str | None:
    if NAME not in current_app.blueprints or not has_request_context():
        return None
    shown = extension().web.is_shown(viewer(), page, person.user)
    return forms.action_url(page, person) if shown else None


def _draw_form(template: str, person: Person, **values: Any) -> Markup:
    shared = {"viewer_id": address(viewer()), "token": forms.token(), "next": forms.here()}
    return _draw(template, person, **shared, **values)


def _draw(template: str, person: Person, **values: Any) -> Markup:
    # Not `flask.render_template`, whose context processors would run for every button.
    found = current_app.jinja_env.get_template(f"flask_follows/{template}")
    return Markup(found.render(person=person, **values).strip())


def _can_stand(user: Any) -> bool:
    return not getattr(user, "is_anonymous", False) and is_saved(user)


_TESTS = {"following": is_following, "followed_by": is_followed_by, "mutual_with": is_mutual_with}
_FILTERS = {"compact_number": compact_number}
_GLOBALS = {
    function.__name__: function
    for function in (
        follow_button,
        follow_counts,
        follow_entries,
        follow_page_url,
        remove_follower_button,
    )
}


def add_names(app: Flask) -> None:
    """Register all of them, but for those of the host's that are there already."""
    env = app.jinja_env
    _add("test", env.tests, _TESTS)
    _add("filter", env.filters, _FILTERS)
    _add("global", env.globals, _GLOBALS)


def _add(kind: str, known: Any, ours: Mapping[str, Any]) -> None:
    for name, function in ours.items():
        if known.setdefault(name, function) is not function:
            _LOGGER.warning(
                "the application has a template %s %r of its own, so that of Flask-Follows is left "
                "out",
                kind,
                name,
            )
