"""The forms of buttons: where they are sent, what they carry, and where they lead back to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flask import current_app, request, url_for
from flask_login import login_url

from flask_follows.errors import ConfigurationError

from .negotiation import NAME
from .people import Person
from .security import local_target

__all__ = ["Token", "action_url", "here", "login_view", "token", "url_of_login"]


@dataclass(frozen=True)
class Token:
    """Flask-WTF's proof that a form is the site's own: the name of its field, and its value."""

    name: str
    value: str


def action_url(action: str, person: Person) -> str:
    """Return the address of an action or a list.

    :raises ConfigurationError: the application has none, by `FOLLOWS_BLUEPRINT`.
    """
    if NAME not in current_app.blueprints:
        raise ConfigurationError(
            "buttons are sent to the blueprint, which FOLLOWS_BLUEPRINT = False leaves out"
        )
    return url_for(f"{NAME}.{action}", user=person.id)


def token() -> Token | None:
    """Return the token of this session, None where the host has no CSRFProtect."""
    name = current_app.config.get("WTF_CSRF_FIELD_NAME")
    make: Any = current_app.jinja_env.globals.get("csrf_token")
    return None if name is None or make is None else Token(name, make())


def here() -> str | None:
    """Return the address of the page that is being made, to come back to."""
    if request.method not in ("GET", "HEAD"):
        return None
    return local_target(request.url[len(request.host_url) - 1 :])


def login_view() -> str | None:
    """Return Flask-Login's page to log in, if the host has named one."""
    manager: Any = getattr(current_app, "login_manager", None)
    if manager is None:
        return None
    view: str | None = manager.blueprint_login_views.get(request.blueprint, manager.login_view)
    return view


def url_of_login(back: str | None) -> str | None:
    """Return where a visitor logs in; None where that is not known.

    :param back: where to go on from there.
    """
    view = login_view()
    make_url: Any = login_url
    return None if view is None else str(make_url(view, next_url=back))
