"""HTML or JSON at the same address, as the client asks for it, errors too."""

from __future__ import annotations

import re
from html import unescape
from typing import Any, NoReturn

from flask import Response, abort, current_app, jsonify, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed, default_exceptions

__all__ = ["NAME", "errors_as_json", "keep_private", "refuse", "wants_json"]

NAME = "follows"  # of the blueprint
_STATIC = f"{NAME}.static"
_SHORT = 10_000  # bytes
# The page of an error that nobody has a handler for, and the reason in it.
_WERKZEUG = re.compile(
    r"<!doctype html>\n<html lang=en>\n<title>[^<]*</title>\n<h1>[^<]*</h1>\n<p>(.*)</p>\n",
    re.DOTALL,
)


def wants_json() -> bool:
    """Tell whether the client would rather have JSON; a browser would not, nor who does not say."""
    accepted = request.accept_mimetypes
    return accepted.best_match(["text/html", "application/json"]) == "application/json"


def refuse(code: int, description: str) -> NoReturn:
    """End the request with an error, in HTML by whatever the host has for it."""
    if wants_json():
        abort(_error(code, description))
    abort(code, description)


def errors_as_json(response: Response) -> Response:
    """Say in JSON what somebody else has refused: the host, Flask-WTF, a limiter, the routing.

    The headers stay: Allow, Retry-After.
    """
    if response.status_code >= 400 and _is_ours() and wants_json() and not response.is_json:
        text = _reason(response)
        response.set_data(_error(response.status_code, text).get_data())
        response.mimetype = "application/json"
        response.vary.update(["Accept", "Cookie"])
    return response


def keep_private(response: Response) -> Response:
    """Let nobody keep a page, which is one viewer's and true for the moment, nor frame it.

    Another site could lay its own page over a button in a frame.
    """
    if request.endpoint != _STATIC:
        response.headers["Cache-Control"] = "private, no-store"
        response.vary.update(["Accept", "Cookie"])
        response.headers.setdefault("X-Frame-Options", "SAMEORIGIN")
        response.headers.setdefault("X-Content-Type-Options", "nosniff")
    return response


def _is_ours() -> bool:
    """Tell whether the request was for one of our addresses, even by a method that none takes."""
    error = request.routing_exception
    if not isinstance(error, MethodNotAllowed):
        return request.blueprint == NAME and request.endpoint != _STATIC
    adapter: Any = current_app.create_url_adapter(request)
    try:
        endpoint, _ = adapter.match(method=next(iter(error.valid_methods or ["GET"])))
    except HTTPException:  # an address of the host's that leads on to another
        return False
    return bool(endpoint.startswith(f"{NAME}."))


def _reason(response: Response) -> str:
    """Return why a request was refused: what Werkzeug's own page says, else what its code means."""
    told = _WERKZEUG.fullmatch(_page(response))
    if told is not None:
        return unescape(told[1].replace("<br>", " "))
    standard = default_exceptions.get(response.status_code)
    return getattr(standard, "description", None) or "The request was refused."


def _page(response: Response) -> str:
    """Return a short page of HTML, nothing for any other response: one may be without end."""
    is_short = (response.content_length or _SHORT) < _SHORT
    if not is_short or response.mimetype != "text/html" or response.content_encoding:
        return ""
    return b"".join(response.iter_encoded()).decode(errors="replace")


def _error(code: int, description: str) -> Response:
    standard = default_exceptions.get(code)
    response = jsonify(error={"code": code, "name": _name(standard), "description": description})
    response.status_code = code
    return response


def _name(standard: Any) -> str:
    return "Error" if standard is None else str(standard().name)
