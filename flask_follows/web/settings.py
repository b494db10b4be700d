"""What the host may configure: keys of `app.config`, each explained where it is read."""

from __future__ import annotations

from flask import Flask

from flask_follows.errors import ConfigurationError

__all__ = ["has_blueprint", "per_page", "url_prefix", "user_column"]

_LARGEST_PAGE = 100


def has_blueprint(app: Flask) -> bool:
    """Read `FOLLOWS_BLUEPRINT`: False leaves out all addresses, and with them the buttons.

    True if not given. Read once, by `init_app`.
    """
    value = app.config.get("FOLLOWS_BLUEPRINT", True)
    if not isinstance(value, bool):
        raise ConfigurationError(f"FOLLOWS_BLUEPRINT must be True or False, not {value!r}")
    return value


def url_prefix(app: Flask) -> str:
    """Read `FOLLOWS_URL_PREFIX`: where the addresses begin, "/follows" if not given.

    Read once, by `init_app`.
    """
    value = app.config.get("FOLLOWS_URL_PREFIX", "/follows")
    if not isinstance(value, str) or not value.startswith("/") or value.endswith("/"):
        raise ConfigurationError(
            f'FOLLOWS_URL_PREFIX must be a path such as "/follows", not {value!r}'
        )
    return value


def user_column(app: Flask) -> str | None:
    """Read `FOLLOWS_USER_COLUMN`: the unique column that names users in addresses.

    The primary key if not given; `"username"`, for instance, makes `/follows/ann/followers`.
    """
    value = app.config.get("FOLLOWS_USER_COLUMN")
    if value is not None and not isinstance(value, str):
        raise ConfigurationError(
            f"FOLLOWS_USER_COLUMN must be the name of a column of the user model, not {value!r}"
        )
    return value


def per_page(app: Flask) -> int:
    """Read `FOLLOWS_PER_PAGE`: how many users are on a page of a list, 20 if not given."""
    value = app.config.get("FOLLOWS_PER_PAGE", 20)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= _LARGEST_PAGE:
        raise ConfigurationError(
            f"FOLLOWS_PER_PAGE must be a number from 1 to {_LARGEST_PAGE}, not {value!r}"
        )
    return value
