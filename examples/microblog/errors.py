"""The pages for what goes wrong."""

from __future__ import annotations

from flask import Flask, render_template
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import BadRequest, HTTPException

from flask_follows import InvalidCursorError

from .models import db


def init_app(app: Flask) -> None:
    """Show errors in the site's own dress."""
    app.register_error_handler(InvalidCursorError, show_bad_cursor)
    app.register_error_handler(HTTPException, show_error)


def show_bad_cursor(_: InvalidCursorError) -> ResponseReturnValue:
    """Answer a made-up or mangled `after` or `before` in the address."""
    return show_error(BadRequest("There is no such page. Start again at the first one."))


def show_error(error: HTTPException) -> ResponseReturnValue:
    """Answer any error; `abort(404)` and the like arrive here."""
    if error.response is not None:
        return error.response
    db.session.rollback()  # the page still asks who is logged in, even after a failed statement
    headers = [(k, v) for k, v in error.get_headers() if k not in {"Content-Type"}]
    return render_template("error.html", error=error), error.code or 500, headers
