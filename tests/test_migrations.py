"""Flask-Migrate finds all that the extension adds, once, and takes it away again."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from types import SimpleNamespace

import flask_migrate
import pytest
import sqlalchemy as sa
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import DeclarativeBase

from flask_follows import Follows

from .models import make_user_model

# The env.py that Flask-Migrate writes tries Flask-SQLAlchemy's old call first.
pytestmark = pytest.mark.filterwarnings("ignore:'get_engine' is deprecated:DeprecationWarning")

CONVENTION = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}
# The lines that docs/migrations.md says to delete on MariaDB and MySQL.
DROP_INDEX = re.compile(
    r"^    with op\.batch_alter_table\('follows', schema=None\) as batch_op:\n"
    r"(?:        batch_op\.drop_index\(batch_op\.f\('ix_follows_\w+'\)\)\n)+",
    re.MULTILINE,
)


@pytest.fixture(autouse=True)
def loggers():
    """Leave the loggers as they were: Alembic's configuration switches off all it does not know."""
    before = [logger for logger in logging.root.manager.loggerDict.values() if not is_off(logger)]
    level, handlers = logging.root.level, list(logging.root.handlers)
    yield
    logging.root.setLevel(level)
    logging.root.handlers[:] = handlers
    for logger in before:
        logger.disabled = False


def is_off(logger):
    """Tell whether a logger is switched off; a place holder is none."""
    return getattr(logger, "disabled", True)


@pytest.fixture
def migrations(make_app, tmp_path):
    """A function that makes a host with migrations, given its db, user model and `Follows`."""

    def migrations(db, user_model, follows, before_follows=lambda: None):
        app = make_app(db)
        follows.init_app(app, db, user_model)
        before_follows()
        flask_migrate.Migrate(compare_type=True, compare_server_default=True).init_app(app, db)
        directory = str(tmp_path / "migrations")

        def run(command, **options):
            with app.app_context():
                command(directory=directory, **options)

        def scripts():
            return sorted((tmp_path / "migrations" / "versions").glob("*.py"))

        def inspector():
            with app.app_context():
                return sa.inspect(db.engine)

        run(flask_migrate.init)
        return SimpleNamespace(run=run, scripts=scripts, inspector=inspector)

    return migrations


def apply(migrations) -> str:
    """Write the first migration and apply it; return its text."""
    migrations.run(flask_migrate.migrate, message="first")
    migrations.run(flask_migrate.upgrade)
    [script] = migrations.scripts()
    return script.read_text()


def keep_the_index(script: Path) -> None:
    """Delete the lines that the documentation says to delete."""
    text, number = DROP_INDEX.subn("", script.read_text())
    assert number == 1
    script.write_text(text)


def go_down_and_up(migrations, database) -> None:
    """Downgrade to nothing and upgrade again, with the documented change on MariaDB."""
    if database.name == "mariadb":
        keep_the_index(migrations.scripts()[0])
    migrations.run(flask_migrate.downgrade)
    assert migrations.inspector().get_table_names() == ["alembic_version"]
    migrations.run(flask_migrate.upgrade)
    assert "follows" in migrations.inspector().get_table_names()


def test_there_and_back(migrations, database, db, User):
    """Table, names, index and types are found; nothing is found twice; downgrade takes all away."""
    host = migrations(db, User, Follows())
    text = apply(host)
    for name in (
        "pk_follows",
        "fk_follows_follower_id",
        "fk_follows_followed_id",
        "ck_follows_not_self",
        "ix_follows_followed",
    ):
        assert f"'{name}'" in text
    assert "flask_follows" not in text
    assert "ondelete='CASCADE'" in text
    host.run(flask_migrate.migrate, message="second")
    assert len(host.scripts()) == 1
    go_down_and_up(host, database)


def test_a_difference_is_found(migrations, db, User, database_url):
    """The second look is not blind: an index that is gone is found missing."""
    host = migrations(db, User, Follows(forward_index=True))
    apply(host)
    engine = sa.create_engine(database_url)
    with engine.begin() as connection:
        index = sa.Index("ix_follows_follower", sa.column("x"))
        index.table = sa.table("follows")
        connection.execute(sa.schema.DropIndex(index))
    engine.dispose()
    host.run(flask_migrate.migrate, message="second")
    [second] = [script for script in host.scripts() if "second" in script.name]
    assert "ix_follows_follower" in second.read_text()


@pytest.mark.parametrize(
    "options",
    [
        {"forward_index": True},
        {"allow_self_follow": True},
        {"foreign_keys": "none"},
        {"table_name": "subscriptions"},
    ],
    ids=lambda options: next(iter(options)),
)
def test_options(migrations, db, User, options):
    """Each option gives a migration after which nothing is left to do."""
    host = migrations(db, User, Follows(**options))
    text = apply(host)
    assert "flask_follows" not in text
    assert ("ForeignKeyConstraint" in text) is (options.get("foreign_keys") != "none")
    assert ("CheckConstraint" in text) is ("allow_self_follow" not in options)
    host.run(flask_migrate.migrate, message="second")
    assert len(host.scripts()) == 1


@pytest.mark.parametrize(
    "key", [sa.Uuid, sa.String(40), sa.BigInteger], ids=["uuid", "string", "big integer"]
)
def test_keys(migrations, database, db, key):
    """Keys of other types are migrated as they are, there and back."""
    host = migrations(db, make_user_model(db, key=key), Follows())
    apply(host)
    host.run(flask_migrate.migrate, message="second")
    assert len(host.scripts()) == 1
    go_down_and_up(host, database)


def test_a_naming_convention(migrations):
    """The host's naming convention does not change our names, nor make them differ."""

    class Base(DeclarativeBase):
        metadata = sa.MetaData(naming_convention=CONVENTION)

    db = SQLAlchemy(model_class=Base)
    host = migrations(db, make_user_model(db), Follows())
    assert "'ck_follows_not_self'" in apply(host)
    host.run(flask_migrate.migrate, message="second")
    assert len(host.scripts()) == 1


def test_a_model_that_is_mapped_later(migrations, db):
    """A model given by name is in the migration, though it is mapped after `init_app`."""
    host = migrations(db, "User", Follows(), before_follows=lambda: make_user_model(db))
    assert "'ix_follows_followed'" in apply(host)


def test_relations(migrations, db, User, database):
    """The tables of all kinds of relations are found, once, and taken away again."""
    follows = Follows()
    follows.relation(User, "seen", User, reverse="seen_by", allow_self=False)
    follows.relation(User, "friends", User, symmetrical=True)
    follows.relation(User, "pals", User, symmetrical=True, storage="canonical")
    host = migrations(db, User, follows)
    text = apply(host)
    (table,) = {db.metadata.tables[name].name for name in db.metadata.tables if "pals" in name}
    for name in (f"ck_{table}_ordered", f"ix_{table}_source", f"fk_{table}_target_id"):
        assert f"'{name}'" in text
    assert "flask_follows" not in text
    host.run(flask_migrate.migrate, message="second")
    assert len(host.scripts()) == 1
    if database.name != "mariadb":
        host.run(flask_migrate.downgrade)
        assert host.inspector().get_table_names() == ["alembic_version"]
