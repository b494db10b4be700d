"""Options and fixtures of the whole suite. `databases.py` says which databases it runs on."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from flask import Flask
from flask_sqlalchemy import SQLAlchemy

from flask_follows import Follows

from . import databases, models, sites
from .counting import Counted, count

hypothesis.settings.register_profile("dev", deadline=None)
ci = hypothesis.settings(deadline=None, derandomize=True, database=None)
hypothesis.settings.register_profile("ci", ci, max_examples=40)
hypothesis.settings.register_profile("quick", ci, max_examples=15)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))

ASKED_FOR = pytest.StashKey[list[databases.Database]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--database`."""
    parser.addoption(
        "--database",
        action="append",
        metavar="NAME|URL",
        help=f"run on this database: {', '.join(databases.NAMES)}, all, or a URL; may be given "
        f"many times. Default: ${databases.ENVIRONMENT} (separated by spaces), or sqlite.",
    )


def pytest_configure(config: pytest.Config) -> None:
    """End the run at once when a database that is asked for cannot be had."""
    words = config.getoption("--database") or os.environ.get(databases.ENVIRONMENT, "").split()
    try:
        config.stash[ASKED_FOR] = databases.asked_for(words or ["sqlite"])
        for database in config.stash[ASKED_FOR]:
            database.check()
    except databases.DatabaseError as error:
        raise pytest.UsageError(str(error)) from error


def pytest_unconfigure() -> None:
    """Leave nothing behind on the servers."""
    databases.drop_spare()


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Say which databases are tested and which are not."""
    asked_for = [database.name for database in config.stash[ASKED_FOR]]
    lines = [f"databases: {', '.join(asked_for)}"]
    missing = [name for name in databases.NAMES if name not in asked_for]
    if missing:
        lines.append(f"databases NOT TESTED: {', '.join(missing)} (run them with --database all)")
    return lines


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that uses a database once on each that is asked for."""
    if "database" in metafunc.fixturenames:
        asked_for = metafunc.config.stash[ASKED_FOR]
        names = [database.name for database in asked_for]
        metafunc.parametrize("database", asked_for, ids=names, indirect=True)


@pytest.fixture
def database(request: pytest.FixtureRequest) -> databases.Database:
    """One of the databases asked for; a test that uses it runs once on each."""
    return request.param


@pytest.fixture
def make_database(database: databases.Database, tmp_path: Path) -> Iterator[Callable[[], str]]:
    """A function that makes a new empty database and returns its URL, for instance for a bind."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(database.fresh(tmp_path))


@pytest.fixture
def database_url(make_database: Callable[[], str]) -> str:
    """The URL of a new empty database."""
    return make_database()


@pytest.fixture
def schema(database_url: str, make_database: Callable[[], str]) -> Iterator[str]:
    """The name of a second schema that an application on `database_url` can put tables into."""
    with databases.second_schema(database_url, make_database()) as name:
        yield name


@pytest.fixture
def make_app(database: databases.Database, database_url: str) -> Iterator[Callable[..., Flask]]:
    """A function that makes an application on the test's database, ready but for `Follows`.

    `make_app(db, **config)`: more configuration, or other, as keywords.
    """
    apps = []

    def make_app(db: SQLAlchemy, **config: Any) -> Flask:
        app = Flask("tests")
        connect_args = {"timeout": databases.TIMEOUT} if database.name == "sqlite" else {}
        app.config.update(
            TESTING=True,
            SECRET_KEY="tests",
            SQLALCHEMY_DATABASE_URI=database_url,
            SQLALCHEMY_ENGINE_OPTIONS={"connect_args": connect_args, "pool_size": 20},
        )
        app.config.update(config)
        db.init_app(app)
        apps.append((app, db))
        return app

    yield make_app
    for app, db in apps:
        with app.app_context():
            db.session.remove()
            for engine in db.engines.values():
                engine.dispose()


@pytest.fixture
def db() -> SQLAlchemy:
    """A new extension object, with a registry of its own."""
    return SQLAlchemy()


@pytest.fixture
def follows() -> Follows:
    """An extension object that no app has been given yet."""
    return Follows()


@pytest.fixture
def User(db: SQLAlchemy) -> Any:
    """The plainest host: `id` and a unique `username` on the classic `db.Model`."""
    return models.make_user_model(db)


@pytest.fixture
def app(
    make_app: Callable[..., Flask], db: SQLAlchemy, follows: Follows, User: Any
) -> Iterator[Flask]:
    """An application with `follows` on `User`; its tables exist and its context is pushed."""
    app = make_app(db)
    follows.init_app(app, db, User)
    with app.app_context():
        db.create_all()
        yield app


@pytest.fixture
def start(make_app: Callable[..., Flask], follows: Follows) -> Iterator[Callable[..., Flask]]:
    """A function that does what `app` does for a host of the test's own.

    `start(db, User, follows, **config)`: the `follows` of the test if none is given.
    """
    with ExitStack() as stack:

        def start(db: SQLAlchemy, User: Any, extension: Follows = follows, **config: Any) -> Flask:
            app = make_app(db, **config)
            extension.init_app(app, db, User)
            stack.enter_context(app.app_context())
            db.create_all()
            return app

        yield start


@pytest.fixture
def session(app: Flask, db: SQLAlchemy) -> Any:
    """The session of the application."""
    return db.session


@pytest.fixture
def users(session: Any, User: Any) -> Callable[[int], list[Any]]:
    """A function that commits so many new users (u0, u1, ...) and returns them.

    They are loaded, and no transaction is open: what a test counts is its own.
    """
    made: list[Any] = []

    def users(number: int) -> list[Any]:
        new = [User(username=f"u{len(made) + index}") for index in range(number)]
        made.extend(new)
        session.add_all(new)
        session().expire_on_commit = False
        session.commit()
        session().expire_on_commit = True
        return new

    return users


@pytest.fixture
def count_statements(app: Flask, db: SQLAlchemy) -> Callable[[], AbstractContextManager[Counted]]:
    """`with count_statements() as counted`: note all that is sent to the databases of `app`."""
    return lambda: count(db.engines.values())


@pytest.fixture
def assert_statements(
    count_statements: Callable[[], AbstractContextManager[Counted]],
) -> Callable[..., AbstractContextManager[Counted]]:
    """`with assert_statements(1)`: so many statements are sent, and no savepoint is used."""

    @contextmanager
    def assert_statements(expected: int, *, savepoints: int = 0) -> Iterator[Counted]:
        with count_statements() as counted:
            yield counted
        seen = (len(counted), len(counted.savepoints))
        assert seen == (expected, savepoints), f"statements and savepoint commands:\n{counted}"

    return assert_statements


@pytest.fixture
def make_site(make_app: Callable[..., Flask]) -> Callable[..., sites.Site]:
    """A function that makes a site to visit.

    `make_site(User=None, login={...}, follows=None, **config)`: `User` is a function of `db`.
    """

    def make_site(
        make_user: Callable[[SQLAlchemy], Any] = models.make_user_model,
        login: dict[str, Any] | None = {},  # noqa: B006 - is only read
        extension: Follows | None = None,
        **config: Any,
    ) -> sites.Site:
        db = SQLAlchemy()
        User, extension = make_user(db), extension or Follows()
        app = make_app(db, **config)
        extension.init_app(app, db, User)
        site = sites.Site(app, db, User, extension)
        if login is not None:
            sites.make_login_manager(site, **login)
        with app.app_context():
            db.create_all()
        return site

    return make_site


@pytest.fixture
def site(make_site: Callable[..., sites.Site]) -> sites.Site:
    """A site with ann, bob and cleo; users have their names in addresses."""
    site = make_site(FOLLOWS_USER_COLUMN="username")
    site.add("ann", "bob", "cleo")
    return site
