"""The README and the pages of `docs/` are true: their examples run, their links lead somewhere."""

from __future__ import annotations

import doctest
import re
from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import produce_migrations, render_python_code
from alembic.migration import MigrationContext
from alembic.operations import Operations
from flask import has_app_context
from flask.globals import app_ctx
from flask_login import UserMixin
from flask_sqlalchemy import SQLAlchemy
from jinja2 import DictLoader
from sqlalchemy import orm
from sqlalchemy.dialects import mysql

import flask_follows

from .models import make_user_model

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CHANGES.md", *sorted((ROOT / "docs").glob("*.md"))]
STANDALONE = ["README.md", "docs/setup.md", "docs/web.md", "docs/relations.md"]
CONTINUED = [
    "docs/following.md",
    "docs/collections.md",
    "docs/feed.md",
    "docs/people.md",
    "docs/signals.md",
    "docs/status.md",
    "docs/coming-from-django.md",
]
TUTORIAL = "docs/coming-from-the-tutorial.md"  # runs piece by piece
ADOPTION = "docs/bring-your-table.md"  # so does this, in test_adoption.py

_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def run(page: str, names: dict[str, object]) -> int:
    """Run the examples of a page in one namespace; return how many there were.

    A template begins with a comment that has its path.
    """
    text = (ROOT / page).read_text()
    parser, runner = doctest.DocTestParser(), doctest.DebugRunner(optionflags=doctest.ELLIPSIS)
    examples, templates = 0, {}
    for block in _FENCE.finditer(text):
        language, code = block.groups()
        line = text.count("\n", 0, block.start()) + 1
        if language == "jinja":
            templates[re.match(r"\{# templates/(\S+) #\}\n", code)[1]] = code
            names["app"].jinja_loader = DictLoader(templates)
        elif language == "python":
            exec(compile("\n" * line + code, page, "exec", dont_inherit=True), names)
            examples += 1
        elif language == "pycon":
            test = parser.get_doctest(code, names, page, page, line)
            test.globs = names
            runner.run(test, clear_globs=False)
            examples += len(test.examples)
    return examples


def close(names: dict[str, object]) -> None:
    """Close the engines of an application that a page made."""
    app, db = names["app"], names["db"]
    while has_app_context():  # a page may have entered one for all of its examples
        app_ctx._get_current_object().pop()
    with app.app_context():
        db.session.remove()
        for engine in db.engines.values():
            engine.dispose()


@pytest.mark.parametrize("page", STANDALONE)
def test_examples_of_a_page_that_stands_alone(page):
    """A page that begins with an empty file runs from its first line to its last."""
    names = {"__name__": "__main__"}
    assert run(page, names) > 0
    close(names)


@pytest.mark.parametrize("page", CONTINUED)
def test_examples_of_a_page_that_goes_on_from_the_set_up(
    page, app, db, session, follows, User, disconnect_receivers
):
    """A page of the guide runs on every database, with three users to play with."""
    people = [User(username=name) for name in ("ann", "bob", "cleo")]
    session.add_all(people)
    session.commit()
    names = dict(zip(("ann", "bob", "cleo"), people, strict=True))
    assert run(page, {**names, "app": app, "db": db, "follows": follows, "User": User}) > 0


@pytest.fixture
def disconnect_receivers():
    """Forget the receivers that a page connects."""
    yield
    for signal in (getattr(flask_follows.signals, name) for name in flask_follows.signals.__all__):
        for receiver in list(signal.receivers_for(None)):
            signal.disconnect(receiver)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    """Each relative link and picture of a page exists."""
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
    missing = [target for target in targets if not (page.parent / target).exists()]
    assert not missing


def test_every_page_with_examples_is_run():
    """No page has examples that nobody runs."""
    with_examples = {
        str(page.relative_to(ROOT))
        for page in PAGES
        if any(match[1] in ("python", "pycon") for match in _FENCE.finditer(page.read_text()))
    }
    assert with_examples == {*STANDALONE, *CONTINUED, TUTORIAL, ADOPTION}


# --- Coming from the tutorial ---------------------------------------------------------------------

_PIECE = re.compile(r"^<!-- run: ([^\n]+) -->\n```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SOME_TIME = datetime(2020, 1, 2, 3, 4, 5, 678901)
EARLIER = datetime(2020, 1, 2, 3, 4, 5)
OLD = {
    "table": SimpleNamespace(table="followers", new="follows", users="user", time=None),
    "class": SimpleNamespace(table="follows", new="follow_edges", users="users", time="timestamp"),
}


def pieces() -> dict[str, str]:
    """Return the programs of the page by name."""
    text = (ROOT / TUTORIAL).read_text()
    found = dict(_PIECE.findall(text))
    assert len(found) == sum(match[1] == "python" for match in _FENCE.finditer(text))
    return found


def run_piece(name: str, **names: Any) -> dict[str, Any]:
    """Run one of them; return what it has defined."""
    exec(compile(pieces()[name], f"{TUTORIAL}: {name}", "exec", dont_inherit=True), names)
    return names


def host(form: str, when: str, make_app: Any, make_post: Any = lambda db: None) -> SimpleNamespace:
    """Make an application with the models of the tutorial, before or after the change."""
    db = SQLAlchemy()
    app = make_app(db)
    given = {"db": db, "app": app, "sa": sa, "so": orm, "datetime": datetime}
    given |= {"UserMixin": UserMixin, "Follows": flask_follows.Follows, "__name__": when}
    return SimpleNamespace(post=make_post(db), **run_piece(f"{form}, {when}", **given))


def upgrade(connection: sa.Connection, metadata: sa.MetaData, old: SimpleNamespace) -> str:
    """Do what the page says: keep the old table, and copy its rows in its place."""
    context = MigrationContext.configure(connection)
    written = render_python_code(produce_migrations(context, metadata).upgrade_ops)
    drop = f"op.drop_table('{old.table}')"
    assert written.index(f"op.create_table('{old.new}'") < written.index(drop)
    time = {} if old.time is None else {"old_time": old.time}
    kept = [line for line in written.splitlines() if "drop" not in line]
    script = "\n".join(["def upgrade():", *kept, "    copy_follows(*tables, **time)", "upgrade()"])
    with Operations.context(context):
        names = run_piece("migration", mysql=mysql)
        names |= {"tables": (old.table, old.new, old.users), "time": time}
        exec(script.replace("\n    # ### end", "\n# ### end"), names)
    return drop


# The tutorial's class takes its time from there, which Python 3.12 and later warn of.
@pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")
@pytest.mark.parametrize("form", OLD)
def test_rows_of_the_tutorial_come_over(form, make_app, database):
    """The migration of the page copies what is good, with its times, and drops nothing."""
    old = OLD[form]
    before = host(form, "before", make_app)
    with before.app.app_context():
        before.db.create_all()
        before.db.session.add_all(before.User(id=key, username=f"u{key}") for key in (1, 2, 3, 4))
        before.db.session.commit()
        with before.db.engine.begin() as connection:
            fill(connection, before.db.metadata.tables[old.table], old, database.name)
        before.db.session.remove()
    after = host(form, "after", make_app)
    began = datetime.now(timezone.utc)
    with after.app.app_context():
        metadata = after.db.metadata
        with after.db.engine.begin() as connection:
            if database.name == "postgresql":
                connection.exec_driver_sql("SET TIME ZONE 'America/New_York'")
            drop = upgrade(connection, metadata, old)
        with after.db.engine.connect() as connection:
            again = produce_migrations(MigrationContext.configure(connection), metadata)
            assert drop in render_python_code(again.upgrade_ops)
            assert f"'{old.new}'" not in render_python_code(again.upgrade_ops)
        check_rows(after, old, began, database.name)
        result = after.app.test_cli_runner().invoke(args=["follows", "check"])
        assert result.output == "all is well\n"


def fill(connection: sa.Connection, table: sa.Table, old: SimpleNamespace, database: str) -> None:
    """Put rows into the old table, good ones and all kinds of bad ones that it can hold."""
    pairs = [(1, 2), (2, 1), (3, 1), (4, 1), (1, 1)]
    if old.time is None:  # as the tutorial had it once: without a key
        table.drop(connection)
        columns = [sa.Column(column.name, sa.Integer) for column in table.columns]
        table = sa.Table(old.table, sa.MetaData(), *columns)
        table.create(connection)
        pairs += [(1, 2), (1, None), (1, 99)]
    insert = table.insert()
    connection.execute(insert, [{"follower_id": a, "followed_id": b} for a, b in pairs])
    if old.time is not None:
        times = {2: SOME_TIME, 3: EARLIER, 4: None}
        for key, time in times.items():
            there = table.c.follower_id == key
            connection.execute(table.update().where(there).values({old.time: time}))
        if database == "sqlite":  # as a server default writes it, and a row whose user is gone
            connection.exec_driver_sql(
                "UPDATE follows SET timestamp = '2020-01-02 03:04:05' WHERE follower_id = 3"
            )
            connection.exec_driver_sql("INSERT INTO follows VALUES (1, 99, NULL)")


def check_rows(host: SimpleNamespace, old: SimpleNamespace, began: datetime, database: str) -> None:
    """Assert that the good rows are there, once, and can be read and paged."""
    edge, User = host.follows.Follow, host.User
    times = {(row.follower_id, row.followed_id): row.created_at for row in edge.query}
    assert set(times) == {(1, 2), (2, 1), (3, 1), (4, 1)}
    if old.time is not None:
        kept = SOME_TIME.replace(microsecond=0) if database == "mariadb" else SOME_TIME
        assert times.pop((2, 1)) == kept.replace(tzinfo=timezone.utc)
        assert times.pop((3, 1)) == EARLIER.replace(tzinfo=timezone.utc)
    del times[1, 2]
    assert all(began <= time <= datetime.now(timezone.utc) for time in times.values())
    user, found, cursor = host.db.session.get(User, 1), [], None
    while not found or cursor:
        page = user.followers.page(after=cursor, per_page=1)
        found, cursor = [*found, *(follower.id for follower in page)], page.next
    assert found == [4, 3, 2] if old.time is None else [4, 2, 3]
    if database == "sqlite":
        texts = sa.text(f"SELECT DISTINCT length(created_at) FROM {old.new}")
        assert host.db.session.scalars(texts).all() == [26]


def make_post(db: SQLAlchemy) -> Any:
    """Map the other class of the tutorial, on any user table."""

    class Post(db.Model):
        id = orm.mapped_column(sa.Integer, primary_key=True)
        user_id = orm.mapped_column(sa.Integer)
        author = orm.relationship(
            "User", primaryjoin="foreign(Post.user_id) == User.id", backref="posts"
        )

    return Post


@pytest.mark.parametrize("when", ["before", "after"])
def test_what_the_table_of_the_tutorial_could_do(when, make_app):
    """What the page calls the same is the same, before and after."""
    of = host("table", when, make_app, make_post)
    db, User, Post = of.db, of.User, of.post
    with of.app.app_context():
        db.create_all()
        ann, bob, cat = (User(username=name) for name in ("ann", "bob", "cat"))
        db.session.add_all([ann, bob, cat])
        db.session.flush()
        posts = [Post(user_id=user.id) for user in (ann, bob, cat)]
        db.session.add_all(posts)
        ann.follow(bob)
        ann.following.add(cat)
        ann.following.remove(cat)
        db.session.commit()
        assert db.session.scalars(bob.followers.select()).all() == [ann]
        assert db.paginate(ann.following.select()).items == [bob]
        Author, Follower = orm.aliased(User), orm.aliased(User)
        following_posts = (
            sa.select(Post)
            .join(Post.author.of_type(Author))
            .join(Author.followers.of_type(Follower), isouter=True)
            .where(sa.or_(Follower.id == ann.id, Author.id == ann.id))
            .group_by(Post)
            .order_by(Post.id)
        )
        assert db.session.scalars(following_posts).all() == posts[:2]
        if when == "after":
            assert (ann.following_count, bob.followers_count) == (1, 1)
        else:
            assert (ann.following_count(), bob.followers_count()) == (1, 1)


def test_what_becomes_of_the_class_of_the_tutorial(make_app):
    """The right column of the page's table, and the timeline with one's own posts."""
    of = host("class", "after", make_app, make_post)
    db, User, Post, follows = of.db, of.User, of.post, of.follows
    with of.app.app_context():
        db.create_all()
        ann, bob, cat = (User(username=name) for name in ("ann", "bob", "cat"))
        db.session.add_all([ann, bob, cat])
        ann.follow(bob)
        assert [edge.follower for edge in bob.followers_set] == bob.followers.all() == [ann]
        assert bob.followers.count() == bob.followers_count == 1
        [edge] = follows.Follow.query.filter_by(followed_id=bob.id)
        assert edge.created_at.utcoffset().total_seconds() == 0
        posts = [Post(user_id=user.id) for user in (ann, bob, cat)]
        db.session.add_all(posts)
        found = Post.query.join(Post.author).filter(
            sa.or_(User.is_followed_by(ann), User.id == ann.id)
        )
        assert found.order_by(Post.id).all() == posts[:2]


def test_the_names_of_the_class_of_the_tutorial(make_app):
    """With the names of the page, the rows are where they were."""
    [text] = re.findall(r"`names=(\{[^`]+\})`", (ROOT / TUTORIAL).read_text())
    db = SQLAlchemy()
    app = make_app(db)
    User = make_user_model(db)
    follows = flask_follows.Follows(app, db, User, names=eval(text))
    with app.app_context():
        db.create_all()
        ann, bob = User(username="ann"), User(username="bob")
        db.session.add_all([ann, bob])
        ann.follow(bob)
        [edge] = ann.followed
        assert isinstance(edge, follows.Follow)
        assert bob.followers.filter_by(follower_id=ann.id).first() is edge
        assert (ann.followed_users.all(), bob.follower_users.all()) == ([bob], [ann])


@pytest.mark.parametrize("name", flask_follows.__all__)
def test_every_public_name_is_on_the_api_page(name):
    """The API page knows each name that the package exports."""
    assert re.search(rf"`{name}\b", (ROOT / "docs" / "api.md").read_text())


def test_the_figures_are_those_of_the_benchmark():
    """The table of a page is what the script wrote, and was not mended by hand."""
    written = (ROOT / "docs/images/one-row-or-two.md").read_text()
    assert written in (ROOT / "docs/one-row-or-two.md").read_text()
    page = (ROOT / "docs/benchmarks.md").read_text()
    assert all(part.read_text() in page for part in (ROOT / "docs/benchmarks").glob("*.md"))
