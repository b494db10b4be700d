"""A site to visit: an application with users, Flask-Login and the blueprint."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from flask import Flask, render_template_string, url_for
from flask.testing import FlaskClient
from flask_login import FlaskLoginClient, LoginManager
from flask_sqlalchemy import SQLAlchemy

from flask_follows import Follows

from .counting import Counted, count

JSON = {"Accept": "application/json"}


@dataclass
class Site:
    """An application on the test's database. No context is open while it is visited."""

    app: Flask
    db: SQLAlchemy
    User: Any
    follows: Follows

    def add(self, *names: str, **fields: Any) -> None:
        """Commit users of these names."""
        with self.app.app_context():
            self.db.session.add_all(self.User(username=name, **fields) for name in names)
            self.db.session.commit()

    def follow(self, *pairs: str) -> None:
        """Commit edges, each written "ann bob", the first the oldest."""
        with self.app.app_context():
            for pair in pairs:
                follower, followed = map(self.user, pair.split())
                self.follows.follow(follower, followed)
            self.db.session.commit()

    def user(self, name: str) -> Any:
        """Return a user, inside a context."""
        named = self.db.select(self.User).filter_by(username=name)
        return self.db.session.scalars(named).one()

    def edges(self) -> set[str]:
        """Return the edges in the database, as :meth:`follow` takes them."""
        with self.app.app_context():
            edges = self.follows.Follow.query.all()
            return {f"{edge.follower.username} {edge.followed.username}" for edge in edges}

    def client(self, name: str | None = None) -> FlaskClient:
        """Return the browser of a user, or of a visitor."""
        if name is None:
            return self.app.test_client()
        with self.app.app_context():
            return self.app.test_client(user=self.user(name))

    def show(self, template: str) -> None:
        """Make "/page" a page of this template, with all users, the oldest first, as `users`."""
        if "page" in self.app.view_functions:
            self.app.view_functions["page"] = lambda: self.draw(template)
        else:
            self.app.add_url_rule("/page", "page", lambda: self.draw(template))

    def draw(self, template: str) -> str:
        """Return a page of this template."""
        key = self.follows.follow_relation.source.attribute()
        users = self.db.session.scalars(self.db.select(self.User).order_by(key)).all()
        return render_template_string(template, users=users)

    @contextmanager
    def counted(self) -> Iterator[Counted]:
        """Count the statements of requests."""
        with self.app.app_context():
            engines = list(self.db.engines.values())
        with count(engines) as counted:
            yield counted


def make_login_manager(site: Site, **options: Any) -> LoginManager:
    """Give the site Flask-Login, and a page to log in at "/login"."""
    manager = LoginManager(site.app)
    manager.login_view = "login"
    for name, value in options.items():
        setattr(manager, name, value)

    @manager.user_loader
    def load(key: str) -> Any:
        user = site.follows.follow_relation.source
        return site.db.session.scalars(
            site.db.select(site.User).where(user.attribute() == _key(user, key))
        ).first()

    site.app.test_client_class = FlaskLoginClient
    site.app.add_url_rule("/login", "login", lambda: f"login, then {url_for('login')}")
    return manager


def _key(user: Any, text: str) -> Any:
    return text if user.python_type is str else user.python_type(text)
