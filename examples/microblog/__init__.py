"""A small social network: a worked example of Flask-Follows.

Read `models.py` first, then `views.py` and `templates/`: everything the example has to say about
following is there, and buttons and lists come from the package. `pictures.py` draws the network.
The rest is what any Flask application needs: `auth.py` and `forms.py` (accounts), `paging.py`
(pages of posts), `errors.py`, and `cli.py` with `seed.py` (the sample network).
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from flask import Flask, Response
from flask_wtf import CSRFProtect

from . import auth, cli, errors, formatting, views
from .models import User, db, follows

csrf = CSRFProtect()

CONTENT_SECURITY_POLICY = (
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)


def create_app(
    config: Mapping[str, Any] | None = None, *, instance_path: str | None = None
) -> Flask:
    """Build the application; it neither creates tables nor opens a connection.

    :param config: settings that go before all others.
    :param instance_path: the folder of the secret key and of the SQLite file, `instance` beside
        the `examples` folder unless given.
    """
    app = Flask(__name__, instance_path=instance_path)
    configure(app, config or {})
    db.init_app(app)
    follows.init_app(app, db, User)
    csrf.init_app(app)
    auth.login_manager.init_app(app)
    for part in (auth, views, errors, formatting, cli):
        part.init_app(app)
    app.after_request(harden)
    return app


def configure(app: Flask, config: Mapping[str, Any]) -> None:
    """Settle the configuration: defaults, then `FLASK_...` in the environment, then `config`."""
    app.config.from_mapping(
        FOLLOWS_USER_COLUMN="username",  # in the addresses of buttons and lists, as in ours
        FOLLOWS_PER_PAGE=20,  # posts too
        MAX_CONTENT_LENGTH=64 * 1024,
        SESSION_COOKIE_SAMESITE="Lax",
        # Behind HTTPS, as every real site should be, set FLASK_SESSION_COOKIE_SECURE=true.
        SESSION_COOKIE_SECURE=False,
        # A form stays good as long as the session: nobody is told off for a page left open.
        WTF_CSRF_TIME_LIMIT=None,
    )
    app.config.from_prefixed_env()
    app.config.from_mapping(config)
    if "SQLALCHEMY_DATABASE_URI" not in app.config:
        app.config["SQLALCHEMY_DATABASE_URI"] = (
            os.environ.get("DATABASE_URL") or f"sqlite:///{instance_folder(app) / 'microblog.db'}"
        )
    if not app.config["SECRET_KEY"]:
        app.config["SECRET_KEY"] = secret_key(instance_folder(app))


def instance_folder(app: Flask) -> Path:
    """Make the folder of what belongs to this installation alone, where it is missing."""
    folder = Path(app.instance_path)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def secret_key(folder: Path) -> str:
    """Read the key that signs the sessions; the first process to start makes it."""
    path = folder / "secret_key"
    with suppress(FileExistsError), open(path, "x", opener=for_us_alone) as file:
        file.write(secrets.token_hex(32))
    key = path.read_text()
    if not key:
        raise RuntimeError(f"{path} is empty. Delete it, and start again.")
    return key


def for_us_alone(path: str, flags: int) -> int:
    """Open a file that no other user of the machine may read."""
    return os.open(path, flags, 0o600)


def harden(response: Response) -> Response:
    """Tell the browser to load nothing from elsewhere, and to show us in nobody's frame."""
    response.headers.setdefault("Content-Security-Policy", CONTENT_SECURITY_POLICY)
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    response.headers.setdefault("Referrer-Policy", "same-origin")
    return response
