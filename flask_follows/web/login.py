"""Who has to log in first is asked to, in Flask-Login's way."""

from __future__ import annotations

from typing import Any

from flask import current_app, flash, redirect, request
from flask.typing import ResponseReturnValue

from .forms import url_of_login
from .negotiation import refuse, wants_json
from .security import local_target, referring_page

__all__ = ["ask_to_log_in"]


def ask_to_log_in() -> ResponseReturnValue:
    """Answer 401, or with the login page that the host has."""
    manager: Any = getattr(current_app, "login_manager", None)
    if wants_json() or manager is None:
        refuse(401, "Log in first.")
    url = url_of_login(came_from())
    if request.method == "GET" or url is None or manager.unauthorized_callback:
        response: ResponseReturnValue = manager.unauthorized()
        return response
    # Flask-Login would lead back to the address of the form, which takes no GET.
    if manager.login_message:
        flash(manager.login_message, category=manager.login_message_category)
    return redirect(url, 303)


def came_from() -> str | None:
    """Return the page that a form was on: what it says itself, else the browser."""
    return local_target(request.form.get("next")) or referring_page()
