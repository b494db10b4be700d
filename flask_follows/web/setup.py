"""The web face is set up: one call for each application."""

from __future__ import annotations

from flask import Blueprint, Flask

from flask_follows.errors import ConfigurationError

from .addresses import UserConverter
from .negotiation import NAME
from .routes import make_blueprint
from .settings import has_blueprint, url_prefix
from .templating import add_names

__all__ = ["init_app"]

# The templates are there without the pages, too.
_TEMPLATES = "flask_follows"


def init_app(app: Flask) -> None:
    """Register templates and their names, and the blueprint unless the host does without.

    :raises ConfigurationError: the host has a blueprint of this name, or a setting is not usable.
    """
    if _TEMPLATES in app.blueprints:
        return  # a second `init_app` of one application
    if has_blueprint(app):
        if NAME in app.blueprints:
            raise ConfigurationError(
                f"application {app.name!r} has a blueprint {NAME!r} of its own; give that another "
                "name, or set FOLLOWS_BLUEPRINT = False"
            )
        app.url_map.converters["follows_user"] = UserConverter
        app.register_blueprint(make_blueprint(url_prefix(app)))
    app.register_blueprint(Blueprint(_TEMPLATES, __name__, template_folder="templates"))
    add_names(app)
