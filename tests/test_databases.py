"""The harness: a database that is asked for is tested, or the run fails."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa

from .databases import ENVIRONMENT, DatabaseError, asked_for
from .models import BASES, make_user_model

ROOT = Path(__file__).parent.parent


def run_pytest(*arguments, **environment):
    """Run this suite's harness in a process of its own, on no test but a quick one."""
    quick = "tests/test_databases.py::test_a_database_is_new_and_empty"
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", quick, *arguments]
    clean = {
        key: value
        for key, value in os.environ.items()
        if key not in (ENVIRONMENT, "PYTEST_ADDOPTS")
    }
    return subprocess.run(
        command, cwd=ROOT, env={**clean, **environment}, capture_output=True, text=True, check=False
    )


def test_sqlite_is_the_default_and_the_header_says_what_is_left_out():
    """Without an option SQLite is tested, and the first lines name what is not."""
    result = run_pytest()
    assert result.returncode == 0, result.stdout + result.stderr
    assert "databases: sqlite\n" in result.stdout
    assert "databases NOT TESTED: postgresql, mariadb" in result.stdout
    assert "1 passed" in result.stdout


@pytest.mark.parametrize("name", ["postgresql", "mariadb"])
def test_an_unreachable_database_fails_the_run(name):
    """A server that does not answer ends the run with an error that names it."""
    driver = {"postgresql": "psycopg", "mariadb": "pymysql"}[name]
    url = f"{name}+{driver}://nobody@127.0.0.1:1/test"
    result = run_pytest(**{ENVIRONMENT: f"sqlite {name}", f"{name.upper()}_URL": url})
    assert result.returncode == pytest.ExitCode.USAGE_ERROR
    assert f"{name} was asked for and cannot be reached at {url}" in result.stderr


@pytest.mark.parametrize("word", ["oracle", "sqlite://", "oracle+oracledb://host/db"])
def test_an_unknown_database_fails_the_run(word):
    """A name or URL that means no database of ours is refused."""
    with pytest.raises(DatabaseError, match="no database to test on"):
        asked_for([word])


def test_all_means_every_database():
    """`all` stands for the three."""
    assert [database.name for database in asked_for(["all"])] == ["sqlite", "postgresql", "mariadb"]


def test_a_database_is_new_and_empty(database, database_url, make_database):
    """Each database made is empty and another one."""
    urls = {database_url, make_database()}
    assert len(urls) == 2
    for url in urls:
        engine = sa.create_engine(url)
        assert sa.inspect(engine).get_table_names() == []
        engine.dispose()


def test_a_transaction_left_open_does_not_hang_the_drop(database, tmp_path):
    """A connection that a thread holds in a transaction is ended when its database is dropped."""
    with database.fresh(tmp_path) as url:
        engine = sa.create_engine(url)
        with engine.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE t (id INTEGER)")
        left_open = engine.connect()
        left_open.exec_driver_sql("INSERT INTO t VALUES (1)")
    left_open.invalidate()
    left_open.close()
    engine.dispose()


@pytest.mark.parametrize("base", BASES)
def test_user_models_map_on_every_base(base, make_app):
    """`make_user_model` gives a working class on every model base."""
    db = BASES[base]()
    User = make_user_model(db)
    app = make_app(db)
    with app.app_context():
        db.create_all()
        db.session.add(User(username="ann"))
        db.session.commit()
        assert db.session.scalars(db.select(User.username)).all() == ["ann"]


def test_a_second_schema_holds_tables(make_app, db, schema):
    """A model with `schema` can be created, written and read."""
    User = make_user_model(db, __table_args__={"schema": schema})
    with make_app(db).app_context():
        db.create_all()
        db.session.add(User(username="ann"))
        db.session.commit()
        assert sa.inspect(db.engine).get_table_names(schema=schema) == ["user"]


def test_statements_are_counted_from_every_thread(app, db, users, count_statements):
    """Statements of all threads are counted, savepoints apart, BEGIN and COMMIT not at all."""
    users(1)

    def ask():
        with app.app_context():
            db.session.execute(sa.text("SELECT 1"))

    with count_statements() as counted:
        thread = threading.Thread(target=ask)
        thread.start()
        thread.join()
        with db.session.begin_nested():
            db.session.execute(sa.text("SELECT 2"))
        db.session.commit()
    assert [line.split("  --")[0] for line in counted.statements] == ["SELECT 1", "SELECT 2"]
    assert len(counted.savepoints) == 2


def test_assert_statements_lists_what_was_sent(db, users, assert_statements):
    """The failure message shows the statements."""
    users(2)
    with assert_statements(1):
        db.session.execute(sa.text("SELECT 3"))
    with pytest.raises(AssertionError, match="SELECT 4"), assert_statements(0):
        db.session.execute(sa.text("SELECT 4"))
