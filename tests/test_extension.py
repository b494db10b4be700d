"""`Follows`: every way to set it up, and what is refused."""

from __future__ import annotations

import gc
import itertools
import weakref

import pytest
import sqlalchemy as sa
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import event
from sqlalchemy.orm import Mapper, relationship

from flask_follows import ConfigurationError, Follows, RelatedQuery

from .hosts import add_users, stored
from .models import BASES, make_user_model


def works(db, User, extension):
    """Assert that following works, through the user and through the extension."""
    db.create_all()
    ann, bob, _ = add_users(db, User)
    assert ann.follow(bob)
    assert extension.follow(bob, ann)
    assert extension.is_following(bob.id, ann.id)
    assert isinstance(bob.followers, RelatedQuery)
    db.session.commit()
    assert stored(db, extension.follow_relation) == {(ann.id, bob.id), (bob.id, ann.id)}


def another_user(db):
    """Map another class that is called `User`, in another module."""

    class User(db.Model):
        __tablename__ = "other_user"
        id = sa.Column(sa.Integer, primary_key=True)

    return User


# --- The forms of the set-up ----------------------------------------------------------------------


def test_all_in_the_constructor(make_app, db, User):
    """`Follows(app, db, User)`."""
    app = make_app(db)
    extension = Follows(app, db, User)
    with app.app_context():
        works(db, User, extension)


def test_all_in_init_app(make_app, db, User):
    """`Follows()`, and `init_app(app, db, User)` in the factory."""
    app, extension = make_app(db), Follows()
    extension.init_app(app, db, User)
    with app.app_context():
        works(db, User, extension)


def test_the_models_first_and_the_app_later(make_app, db, User):
    """`Follows(db=db, user_model=User)` gives the names at once, `init_app(app)` the app."""
    extension = Follows(db=db, user_model=User)
    assert callable(User.follow)
    assert "follows" in db.metadata.tables
    app = make_app(db)
    extension.init_app(app)
    with app.app_context():
        works(db, User, extension)


@pytest.mark.parametrize("given", ["db", "user_model"])
def test_one_in_the_constructor_and_the_other_later(given, make_app, db, User):
    """What the constructor was given need not be given again."""
    app, both = make_app(db), {"db": db, "user_model": User}
    extension = Follows(**{given: both.pop(given)})
    assert not hasattr(User, "follow")
    extension.init_app(app, **both)
    with app.app_context():
        works(db, User, extension)


def test_the_app_is_not_needed_for_the_models(make_app, db, User):
    """Without `init_app` at all, as in a script, following works in an application context."""
    extension = Follows(db=db, user_model=User)
    app = make_app(db)
    with app.app_context():
        works(db, User, extension)


def test_init_app_before_the_database_has_the_app(make_app, db, User):
    """The order of the extensions in a factory does not matter."""
    app = Flask("tests")
    extension = Follows(app, db, User)
    app = make_app(db)
    extension.init_app(app)
    with app.app_context():
        works(db, User, extension)


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("mapped", ["before", "after"])
def test_the_model_by_its_name(mapped, base, make_app):
    """A string names the class; one that is not mapped yet is registered when it is."""
    db, extension = BASES[base](), Follows()
    app = make_app(db)
    if mapped == "before":
        User = make_user_model(db)
    extension.init_app(app, db, "User")
    if mapped == "after":
        assert "follows" not in db.metadata.tables
        make_user_model(db, name="Post")
        assert "follows" not in db.metadata.tables
        User = make_user_model(db)
    assert "follows" in db.metadata.tables
    with app.app_context():
        works(db, User, extension)


@pytest.mark.parametrize("mapped", ["before", "after"])
def test_the_model_by_its_name_in_the_constructor(mapped, make_app, db):
    """The name may come with the constructor, for a models' module."""
    if mapped == "before":
        User = make_user_model(db)
    extension = Follows(db=db, user_model="User")
    if mapped == "after":
        User = make_user_model(db)
    app = make_app(db)
    extension.init_app(app)
    extension.init_app(app, db, User)
    extension.init_app(app, db, "User")
    with app.app_context():
        works(db, User, extension)


def test_a_name_given_again_and_again(make_app, db):
    """A factory that runs before the models are there may run many times."""
    extension, apps = Follows(), [make_app(db) for _ in range(3)]
    for app in apps:
        extension.init_app(app, db, "User")
    User = make_user_model(db)
    for app in apps:
        extension.init_app(app, db, "User")
    with apps[1].app_context():
        works(db, User, extension)


def test_a_class_given_while_its_name_is_waited_for(make_app, db):
    """The class itself may come later, before or after the name has found it."""
    extension = Follows(db=db, user_model="User")
    User = make_user_model(db)
    app = make_app(db)
    extension.init_app(app, user_model=User)
    with app.app_context():
        works(db, User, extension)


def test_a_name_and_a_class_of_another_module(db):
    """The first class of the name is taken; a later one is a class like others."""
    extension = Follows(db=db, user_model="User")
    User = make_user_model(db)
    later = another_user(db)
    assert extension.follow_relation.source.model is User
    assert not hasattr(later, "follow")


def test_a_name_that_two_classes_have(db):
    """An ambiguous name is refused, with the cure."""
    both = make_user_model(db), another_user(db)  # kept: a registry holds its classes weakly
    assert both[0] is not both[1]
    with pytest.raises(ConfigurationError, match="2 models named 'User'; give the class itself"):
        Follows(db=db, user_model="User")


# --- Many apps, many databases --------------------------------------------------------------------


def test_many_apps(make_app, make_database, db, User):
    """A factory in tests: one `db`, one `User`, one app after the other, each its own database."""
    extension = Follows()
    members = set()
    for _ in range(3):
        app = make_app(db, SQLALCHEMY_DATABASE_URI=make_database())
        extension.init_app(app, db, User)
        members.add(frozenset(dir(User)))
        with app.app_context():
            works(db, User, extension)
    assert len(members) == 1
    assert list(db.metadata.tables) == ["user", "follows"]


def test_apps_on_databases_of_two_kinds(make_app, db, User, tmp_path):
    """One `User` serves an app on a server and one on SQLite, turn by turn."""
    extension, apps = Follows(), [make_app(db)]
    sqlite = {"SQLALCHEMY_DATABASE_URI": f"sqlite:///{tmp_path / 'another.db'}"}
    apps.append(make_app(db, SQLALCHEMY_ENGINE_OPTIONS={}, **sqlite))
    for app in apps:
        extension.init_app(app, db, User)
        with app.app_context():
            works(db, User, extension)
    for app in apps:
        with app.app_context():
            ann, bob, cat = User.query.order_by(User.id)
            assert not ann.follow(bob)
            assert ann.followers.set([cat]) is None
            assert ann.followers.page().items == [cat]


def test_init_app_twice_on_one_app(make_app, db, User):
    """The second call changes nothing."""
    app, extension = make_app(db), Follows()
    extension.init_app(app, db, User)
    relation = extension.follow_relation
    extension.init_app(app, db, User)
    assert extension.follow_relation is relation
    with app.app_context():
        works(db, User, extension)


def test_two_databases_in_one_process(make_app, make_database):
    """Each `SQLAlchemy` with its `User` and its `Follows`; none knows the other's users."""
    hosts = []
    for _ in range(2):
        db, extension = SQLAlchemy(), Follows()
        User = make_user_model(db)
        app = make_app(db, SQLALCHEMY_DATABASE_URI=make_database())
        extension.init_app(app, db, User)
        hosts.append((app, db, User, extension))
    for app, db, User, extension in hosts:
        with app.app_context():
            works(db, User, extension)
    (app, db, User, first), (_, _, Other, second) = hosts
    assert first.Follow is not second.Follow
    with app.app_context():
        ann = db.session.scalars(sa.select(User)).first()
        with pytest.raises(TypeError, match="expected an instance of User"):
            ann.follow(Other(username="x"))


def test_two_user_models_on_one_database(make_app, db):
    """Two classes of one `db` may have a relation each, in tables of two names."""
    people, shops = make_user_model(db, name="Person"), make_user_model(db, name="Shop")
    of_people = Follows(db=db, user_model=people)
    of_shops = Follows(db=db, user_model=shops, table_name="shop_follows")
    app = make_app(db)
    with app.app_context():
        works(db, people, of_people)
        works(db, shops, of_shops)
        for obj in [*people.query, *shops.query]:
            db.session.delete(obj)
        db.session.commit()
        assert stored(db, of_people.follow_relation) == set()
        assert stored(db, of_shops.follow_relation) == set()


def test_the_app_knows_the_extension(make_app, db, User):
    """`app.extensions["follows"]` is it."""
    app = make_app(db)
    extension = Follows(app, db, User)
    assert app.extensions["follows"] is extension


def test_the_extension_does_not_keep_the_app(db, User):
    """An app that nobody needs any more can go, though the extension stays."""
    extension = Follows()
    app = Flask("tests")
    extension.init_app(app, db, User)
    gone = weakref.ref(app)
    del app
    gc.collect()
    assert gone() is None
    assert extension.Follow


# --- Nothing is done at set-up --------------------------------------------------------------------


@pytest.fixture
def configured():
    """The mappers that were configured during the test."""
    seen = []

    def listener(mapper, class_):
        seen.append(class_)

    event.listen(Mapper, "mapper_configured", listener)
    yield seen
    event.remove(Mapper, "mapper_configured", listener)


@pytest.mark.parametrize("base", BASES)
def test_set_up_configures_and_queries_nothing(base, make_app, configured):
    """No mapper is configured, no engine made, no table created."""
    db = BASES[base]()
    User = make_user_model(db)
    app = make_app(db)
    statements = []
    with app.app_context():
        event.listen(db.engine, "before_cursor_execute", lambda *args: statements.append(args))
        extension = Follows(app, db, User)
        assert extension.Follow
        assert extension.follow_relation.source.model is User
        assert configured == []
        assert statements == []
        assert sa.inspect(db.engine).get_table_names() == []
        assert statements != []


def test_a_relationship_may_be_pending(make_app, db, configured):
    """A class that is not imported yet does no harm, as long as nobody uses the mappers."""
    User = make_user_model(db, posts=relationship("Post"))
    extension = Follows(make_app(db), db, User)
    Follows(db=db, user_model="User")
    assert configured == []

    class Post(db.Model):
        id = sa.Column(sa.Integer, primary_key=True)
        author_id = sa.Column(sa.ForeignKey("user.id"))

    db.Model.registry.configure()
    with make_app(db).app_context():
        works(db, User, extension)
        assert User.query.first().posts == []


@pytest.mark.parametrize("base", BASES)
def test_the_mappers_may_be_configured_already(base, make_app):
    """Set-up comes late: users are loaded and used before, and gain all names."""
    db, extension = BASES[base](), Follows()
    User = make_user_model(db)
    app = make_app(db)
    with app.app_context():
        db.create_all()
        ann, bob, _ = add_users(db, User)
        extension.init_app(app, db, User)
        db.create_all()
        assert ann.follow(bob)
        assert bob.followers.all() == [ann]
        assert [edge.followed for edge in ann.followed_set] == [bob]
        ann.followed = []
        assert bob.followers_count == 0
        db.session.commit()


# --- What is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize("given", [(), ("db",), ("user_model",)])
def test_the_database_and_the_model_are_needed(given, db, User):
    """Without one of them the app is refused, in the constructor and in `init_app`."""
    both = {"db": db, "user_model": User}
    some = {name: both[name] for name in given}
    app = Flask("tests")
    for set_up in (lambda: Follows(app, **some), lambda: Follows(**some).init_app(app)):
        with pytest.raises(ConfigurationError, match=r"needs the database and the user model"):
            set_up()
    assert "follows" not in app.extensions
    assert not hasattr(User, "follow")


OTHERS = {
    "class": lambda db: make_user_model(db, name="Person"),
    "name": lambda db: "Person",
    "class of the same name": lambda db: make_user_model(SQLAlchemy()),
}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        *itertools.product(["class", "name"], OTHERS),
        ("name not mapped yet", "class"),
        ("name not mapped yet", "name"),
    ],
)
def test_a_second_user_model_is_refused(first, second, db):
    """One `Follows` serves one `User`: the message names both."""
    User = None if first == "name not mapped yet" else make_user_model(db)
    extension = Follows(db=db, user_model=User if first == "class" else "User")
    app, other = Flask("tests"), OTHERS[second](db)
    match = r"serves User already, not (Person|User); make another Follows"
    with pytest.raises(ConfigurationError, match=match):
        extension.init_app(app, db, other)
    assert "follows" not in app.extensions
    assert not hasattr(other, "follow")


def test_a_second_database_is_refused(db, User):
    """The same `User` with another `SQLAlchemy` object is a mistake of the set-up."""
    extension, other = Follows(db=db, user_model=User), SQLAlchemy()
    app = Flask("tests")
    with pytest.raises(ConfigurationError, match="has another SQLAlchemy object already"):
        extension.init_app(app, other, User)
    with pytest.raises(ConfigurationError, match="has another SQLAlchemy object already"):
        Follows(db=db).init_app(app, other, User)
    assert "follows" not in app.extensions


def test_a_second_extension_on_one_app_is_refused(db, User):
    """`app.extensions` has room for one; the first stays, and the second user is untouched."""
    app = Flask("tests")
    first = Follows(app, db, User)
    other = make_user_model(db, name="Shop")
    with pytest.raises(ConfigurationError, match="'tests' has another Follows already"):
        Follows(app, db, other)
    assert app.extensions["follows"] is first
    assert not hasattr(other, "follow")


def test_a_second_extension_for_the_same_user_shares_its_relation(make_app, db, User):
    """With the same options it is the same relation, as in a module that is set up again."""
    first, second = Follows(db=db, user_model=User), Follows()
    app = make_app(db)
    second.init_app(app, db, User)
    assert second.follow_relation is first.follow_relation
    assert second.Follow is first.Follow
    with app.app_context():
        works(db, User, second)


@pytest.mark.parametrize(
    "options",
    [
        {"table_name": "other"},
        {"names": {"followed": "following"}},
        {"allow_self_follow": True},
        {"foreign_keys": "none"},
        {"forward_index": True},
    ],
    ids=lambda options: next(iter(options)),
)
def test_a_second_extension_with_other_options_is_refused(options, make_app, db, User):
    """The relation is there and cannot become another."""
    first = Follows(db=db, user_model=User)
    second = Follows(**options)
    app = make_app(db)
    match = r"User has a follow relation with other options already"
    with pytest.raises(ConfigurationError, match=match):
        second.init_app(app, db, User)
    assert "follows" not in app.extensions
    assert list(db.metadata.tables) == ["user", "follows"]
    first.init_app(app)
    with app.app_context():
        works(db, User, first)


def test_an_extension_that_was_refused_may_be_given_another_model(make_app, db):
    """A refusal leaves the extension as it was: the right model can still be given."""
    extension = Follows()
    wrong = make_user_model(db, name="Wrong", followers=sa.Column(sa.Integer))
    right = make_user_model(db, name="Right")
    app = make_app(db)
    with pytest.raises(ConfigurationError, match="followers"):
        extension.init_app(app, db, wrong)
    extension.init_app(app, db, right)
    with app.app_context():
        works(db, right, extension)


def test_a_class_that_is_not_mapped_is_refused(db):
    """The message names it; nothing is registered."""
    app = Flask("tests")

    class Account(db.Model):
        __abstract__ = True

    class Plain:
        pass

    for model in (Plain, Account, db.Model):
        with pytest.raises(ConfigurationError, match=rf"model {model.__name__} is not mapped to a"):
            Follows(app, db, model)
        with pytest.raises(ConfigurationError, match=rf"model {model.__name__} is not mapped to a"):
            Follows(user_model=model)
    assert "follows" not in app.extensions


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (lambda db, User: db, r"<SQLAlchemy.*> \(SQLAlchemy\)"),
        (lambda db, User: Flask, "the class Flask"),
        (lambda db, User: "app", "'app'"),
        (lambda db, User: None, "None"),
    ],
    ids=["db", "class", "name", "None"],
)
def test_an_app_that_is_none(given, told, db, User):
    """Something else in the place of the application is named, with the right call."""
    wrong = given(db, User)
    match = rf"app must be a Flask application, not {told}: follows\.init_app\(app, db, User\)"
    with pytest.raises(ConfigurationError, match=match):
        Follows().init_app(wrong, db, User)
    if wrong is not None:
        with pytest.raises(ConfigurationError, match=match):
            Follows(wrong, db, User)
    assert not hasattr(User, "follow")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (lambda db, User: User, "the class User"),
        (lambda db, User: SQLAlchemy, "the class SQLAlchemy"),
        (lambda db, User: db.session, r"<.*\.\.\. \(scoped_session\)"),
        (lambda db, User: "", "''"),
    ],
    ids=["model", "class", "session", "text"],
)
def test_a_database_that_is_none(given, told, db, User):
    """Something else in the place of the `SQLAlchemy` object is named, wherever it is given."""
    app, wrong = Flask("tests"), given(db, User)
    match = rf"db must be the SQLAlchemy object of Flask-SQLAlchemy, not {told}: follows"
    for attempt in (
        lambda: Follows(app, wrong, User),
        lambda: Follows().init_app(app, wrong, User),
        lambda: Follows(db=wrong, user_model=User),
        lambda: Follows(db=wrong),
    ):
        with pytest.raises(ConfigurationError, match=match):
            attempt()
    assert "follows" not in app.extensions
    assert not hasattr(User, "follow")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (lambda db, User: User(username="ann"), r"<User .*> \(User\)"),
        (lambda db, User: User.__table__, r"Table\('user', .*\.\.\. \(Table\)"),
        (lambda db, User: "", "''"),
        (lambda db, User: 0, r"0 \(int\)"),
        (lambda db, User: [User], r"\[<class .*>\] \(list\)"),
    ],
    ids=["user", "table", "text", "number", "list"],
)
def test_a_model_that_is_none(given, told, db, User):
    """What is neither a class nor a name is named, wherever it is given."""
    app, wrong = Flask("tests"), given(db, User)
    match = rf"user_model must be the class of your users, or its name, not {told}: follows"
    for attempt in (
        lambda: Follows(app, db, wrong),
        lambda: Follows(db=db).init_app(app, user_model=wrong),
        lambda: Follows(db=db, user_model=wrong),
        lambda: Follows(user_model=wrong),
    ):
        with pytest.raises(ConfigurationError, match=match):
            attempt()
    assert "follows" not in app.extensions


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"table_name": ""}, "table_name must be the name of a table, not ''"),
        ({"table_name": " "}, "table_name must be the name of a table, not ' '"),
        ({"table_name": None}, "table_name must be the name of a table, not None"),
        ({"allow_self_follow": "no"}, "allow_self_follow must be True or False, not 'no'"),
        ({"allow_self_follow": 1}, "allow_self_follow must be True or False, not 1"),
        ({"forward_index": None}, "forward_index must be True or False, not None"),
        ({"names": "following"}, r"names= must be a mapping such as .*, not 'following'"),
        ({"names": ["a", "b"]}, r"names= must be a mapping such as .*, not \['a', 'b'\] \(list\)"),
        ({"names": {"followed": None}}, "names= maps names to names, not 'followed' to None"),
        ({"names": {1: "following"}}, "names= maps names to names, not 1 to 'following'"),
    ],
    ids=str,
)
def test_options_of_the_wrong_kind(options, told):
    """The message has the option, what was given, and what is needed."""
    with pytest.raises(ConfigurationError, match=told):
        Follows(**options)


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("Usr", "'User'"),
        ("user", "'User'"),
        ("USERS", "'User'"),
        ("app.models.User", "'User'"),
        ("Person", None),
        ("Folow", None),
    ],
)
def test_a_name_that_no_model_has(name, near, db):
    """Whoever asks for the relation is told of the names that come near."""
    User, Shop = make_user_model(db), make_user_model(db, name="Shop")
    Follows(db=db, user_model=Shop)
    extension = Follows(db=db, user_model=name)
    hint = rf" \(did you mean {near}\?\)" if near else ""
    match = rf"no model named '{name}' has been mapped yet{hint}; import its module$"
    with pytest.raises(ConfigurationError, match=match):
        _ = extension.follow_relation
    assert not hasattr(User, "follow")


def test_nothing_can_be_asked_before_the_set_up(db):
    """The message says which step is missing."""
    extension = Follows()
    for attempt in (
        lambda: extension.Follow,
        lambda: extension.follow_relation,
        lambda: extension.follow(1, 2),
        lambda: extension.unfollow(1, 2),
        lambda: extension.is_following(1, 2),
        lambda: extension.add_many([(1, 2)]),
    ):
        with pytest.raises(ConfigurationError, match=r"call follows\.init_app\(app, db, User\)"):
            attempt()
    waiting = Follows(db=db, user_model="User")
    with pytest.raises(ConfigurationError, match="no model named 'User' has been mapped yet"):
        _ = waiting.Follow


@pytest.mark.parametrize("value", ["", "one", None, True])
def test_unknown_foreign_keys_are_refused(value):
    """The option has two values."""
    with pytest.raises(ConfigurationError, match=r'foreign_keys must be "both" or "none"'):
        Follows(foreign_keys=value)


def test_options_are_keywords_only(db, User):
    """No one has to count positions."""
    with pytest.raises(TypeError, match="positional"):
        Follows(None, db, User, "follows")


# --- Both ends by key -----------------------------------------------------------------------------


def test_both_ends_by_key(app, db, users, follows, assert_statements):
    """`follow`, `is_following` and `unfollow` take keys, and load nothing."""
    users(2)
    db.session.expunge_all()
    with assert_statements(1):
        assert follows.follow(1, 2) is True
    with assert_statements(1):
        assert follows.follow(1, 2) is False
    with assert_statements(1):
        assert follows.is_following(1, 2) is True
    assert follows.is_following(2, 1) is False
    with assert_statements(1):
        assert follows.unfollow(1, 2) is True
    assert follows.unfollow(1, 2) is False
    assert list(db.session) == []


def test_further_columns_by_key(app, db, users, follows):
    """`follow` of the extension takes values for the edge as well, and refuses unknown ones."""
    users(2)
    with pytest.raises(TypeError, match="have no column 'since' to set; there are: created_at"):
        follows.follow(1, 2, since=1)
    with pytest.raises(TypeError, match="have no column 'follower_id'"):
        follows.follow_relation.add(1, 2, follower_id=2)
    assert follows.follow(1, 2)


def test_the_relation_shows_what_it_is(app, follows):
    """Its repr names it and its ends."""
    assert repr(follows.follow_relation) == "<Relation follows: User -> User>"
