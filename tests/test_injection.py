"""The injection: every kind of host, every clash, and all or nothing."""

from __future__ import annotations

import inspect
from contextlib import contextmanager

import pytest
import sqlalchemy as sa
from flask_login import UserMixin
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.ext.associationproxy import association_proxy
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    aliased,
    declared_attr,
    mapped_column,
    relationship,
    synonym,
)

from flask_follows import (
    ConfigurationError,
    FollowMixin,
    Follows,
    UnknownUserError,
    WrongTypeError,
)

from .hosts import KEYS, add_users, exercise, stored
from .models import BASES, make_user_model

# All that a user gains.
NAMES = [
    *("followed", "followers", "followed_set", "followers_set"),
    *("follow", "unfollow", "remove_follower", "toggle_follow"),
    *("is_following", "is_followed_by", "is_mutual_with"),
    *("followed_count", "followers_count", "mutuals"),
]
RELATIONSHIPS = NAMES[:4]
ODD_NAMES = ["order", "The Users", 'o"d`d', "per%cent%s", "co:lon (x) [y]", "ünïcode"]

each_base = pytest.mark.parametrize("base", BASES)


@contextmanager
def untouched(User, db):
    """Assert that neither the class nor the metadata has anything new after the block."""
    members, tables = dict(vars(User)), list(db.metadata.tables)
    yield
    assert dict(vars(User)) == members
    assert list(db.metadata.tables) == tables
    assert sa.inspect(User).registry.mappers == {sa.inspect(User)}


# --- Model bases ----------------------------------------------------------------------------------


@each_base
@pytest.mark.parametrize("mixins", [(UserMixin,), (FollowMixin, UserMixin), (FollowMixin,), ()])
def test_every_model_base(base, mixins, start):
    """On every base of Flask-SQLAlchemy, with and without the mixins, all of it works."""
    db, extension = BASES[base](), Follows()
    User = make_user_model(db, mixins=mixins)
    start(db, User, extension)
    assert [name for name in NAMES if not hasattr(User, name)] == []
    exercise(db, extension, add_users(db, User))


def test_a_plain_declarative_base_of_the_host(start):
    """The class may be mapped on a base that Flask-SQLAlchemy does not know as its `Model`."""
    db, extension = SQLAlchemy(), Follows()

    class Base(DeclarativeBase):
        metadata = db.metadata

    class User(Base):
        __tablename__ = "users"
        id: Mapped[int] = mapped_column(primary_key=True)
        username: Mapped[str] = mapped_column(sa.String(20))

    start(db, User, extension)
    exercise(db, extension, add_users(db, User))


def test_a_table_given_as_a_table(db, start, follows):
    """`__table__` instead of columns: a reflected class, say."""
    table = sa.Table(
        "users",
        db.metadata,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("username", sa.String(20)),
    )

    class User(db.Model):
        __table__ = table

    start(db, User)
    exercise(db, follows, add_users(db, User))


def test_an_imperatively_mapped_class(db, start, follows):
    """A class without any base of SQLAlchemy's."""
    table = sa.Table(
        "users",
        db.metadata,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("username", sa.String(20)),
    )

    class User:
        def __init__(self, username):
            self.username = username

    db.Model.registry.map_imperatively(User, table)
    start(db, User)
    exercise(db, follows, add_users(db, User))


@pytest.mark.parametrize("mixins", [(), (FollowMixin,)])
def test_an_abstract_base(mixins, db, start, follows):
    """Key and mixin may come from an abstract class; another class below it gains nothing."""

    class Account(*mixins, db.Model):
        __abstract__ = True
        id = mapped_column(sa.Integer, primary_key=True)
        username = mapped_column(sa.String(20))

        @declared_attr
        def note(cls):
            return mapped_column(sa.String(20))

    class User(Account):
        pass

    class Shop(Account):
        pass

    start(db, User)
    assert not hasattr(Shop, "followers")
    exercise(db, follows, add_users(db, User))
    if mixins:
        with pytest.raises(ConfigurationError, match="Shop has no follow relation yet"):
            add_users(db, Shop)[0].follow(1)
    else:
        assert not hasattr(Shop, "follow")


# --- Inheritance ----------------------------------------------------------------------------------


def polymorphic(db, mixins=()):
    """Map the base of a hierarchy."""

    class User(*mixins, db.Model):
        id = mapped_column(sa.Integer, primary_key=True)
        username = mapped_column(sa.String(20))
        kind = mapped_column(sa.String(20))
        __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "user"}  # noqa: RUF012

    return User


def joined(User, name="Admin", key="id"):
    """Map a class below in a table of its own, whose key may have another name."""
    body = {
        "__mapper_args__": {"polymorphic_identity": name},
        key: mapped_column(sa.ForeignKey(*User.__table__.primary_key), primary_key=True),
        f"{name.lower()}_level": mapped_column(sa.Integer),
        "__module__": __name__,
    }
    return type(User)(name, (User,), body)


def joined_by_another_name(User):
    """Map one whose key is called otherwise."""
    return joined(User, key="admin_id")


def single(User, name="Bot"):
    """Map a class below in the same table."""
    body = {"__mapper_args__": {"polymorphic_identity": name}, "__module__": __name__}
    return type(User)(name, (User,), body)


@pytest.mark.parametrize("mixins", [(), (FollowMixin,)])
@pytest.mark.parametrize("subclass", [joined, joined_by_another_name, single])
@pytest.mark.parametrize("mapped", ["before", "after"])
def test_inheritance_below_the_user(mapped, subclass, mixins, make_app, db, follows):
    """Objects of a subclass are users like others, whether it was mapped before or after."""
    User, app = polymorphic(db, mixins), make_app(db)
    if mapped == "before":
        Admin = subclass(User)
    follows.init_app(app, db, User)
    if mapped == "after":
        Admin = subclass(User)
    with app.app_context():
        db.create_all()
        ann = Admin(username="ann")
        bob, cat = User(username="bob"), Admin(username="cat")
        db.session.add_all([ann, bob, cat])
        db.session.commit()
        bob.follow(cat)
        cat.followed = [ann, bob]
        assert cat.followed.count() == 2
        assert {type(user) for user in cat.followed} == {Admin, User}
        assert db.session.scalars(sa.select(Admin).where(Admin.is_following(ann))).all() == [cat]
        assert db.session.scalars(sa.select(Admin).where(Admin.followers_count == 1)).all()
        assert db.session.scalars(sa.select(Admin).where(Admin.followers.any())).all()
        cat.followed = []
        cat.followers = []
        db.session.commit()
        exercise(db, follows, [ann, bob, cat], User)


@pytest.mark.parametrize("mapped", ["before", "after"])
def test_assignment_on_a_subclass_is_not_ignored(mapped, make_app, db, follows):
    """The subclass's own attribute is assignable too, also two levels below."""
    User = polymorphic(db)
    classes = [joined(joined(User), "Root")] if mapped == "before" else []
    follows.init_app(make_app(db), db, User)
    classes = classes or [joined(joined(User), "Root")]
    with make_app(db).app_context():
        db.create_all()
        root, ann = classes[0](username="root"), User(username="ann")
        db.session.add_all([root, ann])
        db.session.commit()
        root.followed = [ann]
        assert stored(db, follows.follow_relation) == {(root.id, ann.id)}


@pytest.mark.parametrize("key", ["id", "admin_id"])
def test_inheritance_above_the_user(key, db, start, follows):
    """The registered class may be the lower one: edges then refer to its own table."""
    Party = polymorphic(db)
    User = joined(Party, "Member", key)
    start(db, User)
    targets = {fk.column.table.name for fk in follows.Follow.__table__.foreign_keys}
    assert targets == {"member"}
    party = Party(username="a party")
    users = [User(username=name) for name in "abc"]
    db.session.add_all([party, *users])
    db.session.commit()
    assert not hasattr(Party, "follow")
    with pytest.raises(WrongTypeError, match="expected an instance of Member"):
        users[0].follow(party)
    with pytest.raises(LookupError):
        users[0].follow(party.id)
    exercise(db, follows, users)


def test_users_of_two_classes_in_one_hierarchy(db, start):
    """A class below a registered one cannot have a relation of its own under the same names."""
    User = polymorphic(db)
    Admin = joined(User)
    Follows(db=db, user_model=User)
    with pytest.raises(ConfigurationError, match=r"Admin\.followed exists already"):
        Follows(db=db, user_model=Admin, table_name="other")
    assert set(db.metadata.tables) == {"user", "admin", "follows"}


def test_a_class_above_a_registered_one(db):
    """Nor can a class above it."""
    User = polymorphic(db)
    Follows(db=db, user_model=joined(User))
    with pytest.raises(ConfigurationError, match=r"Admin\.followed exists already"):
        Follows(db=db, user_model=User, table_name="other")
    assert "other" not in db.metadata.tables
    assert not hasattr(User, "follow")


# --- Keys, names, schemas, binds ------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"foreign_keys": "none"}], ids=str)
@pytest.mark.parametrize("name", KEYS)
def test_every_kind_of_key(name, options, db, start):
    """Every verb works on every kind of key, with and without foreign keys."""
    kind, keys, unknown = KEYS[name]
    User, extension = make_user_model(db, key=kind), Follows(**options)
    start(db, User, extension)
    users = add_users(db, User, 3, keys)
    with pytest.raises(UnknownUserError, match="transaction goes on"):
        users[0].follow(unknown)
    exercise(db, extension, users)


def test_the_key_under_another_name(db, start, follows):
    """The attribute, the column and its key in the table may have three names, `id` another."""

    class User(db.Model):
        uid = mapped_column("user id", sa.Integer, primary_key=True, key="the_key")
        username = mapped_column(sa.String(20))
        id = synonym("uid")

    start(db, User)
    exercise(db, follows, add_users(db, User))


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names(name, db, start):
    """Reserved words, spaces, quotes, percent signs: in the table's name and in the key's."""
    User = make_user_model(
        db,
        key=mapped_column(f"{name} key", sa.Integer, primary_key=True),
        __tablename__=name,
    )
    extension = Follows(table_name=f"{name} edges", forward_index=True)
    start(db, User, extension)
    exercise(db, extension, add_users(db, User))


@pytest.mark.parametrize("options", [{}, {"foreign_keys": "none"}], ids=str)
def test_a_schema(options, database, make_app, make_database, db, tmp_path):
    """The edges lie in the user's schema: an attached file, a schema, another database."""
    if database.name == "sqlite":
        schema, attach = "other", f"ATTACH '{tmp_path / 'other.db'}' AS other"
    elif database.name == "postgresql":
        schema, attach = "other", None
    else:
        schema, attach = sa.make_url(make_database()).database, None
    User = make_user_model(db, __table_args__={"schema": schema})
    app, extension = make_app(db), Follows(**options)
    extension.init_app(app, db, User)
    assert extension.Follow.__table__.fullname == f"{schema}.follows"
    with app.app_context():
        if attach:
            sa.event.listen(db.engine, "connect", lambda dbapi, _: dbapi.execute(attach))
        if database.name == "postgresql":
            with db.engine.begin() as connection:
                connection.execute(sa.schema.CreateSchema(schema))
        db.create_all()
        exercise(db, extension, add_users(db, User))
        assert sa.inspect(db.engine).get_table_names() == []
        assert set(sa.inspect(db.engine).get_table_names(schema=schema)) == {"user", "follows"}


def test_the_users_table_decides_about_the_schema():
    """A metadata with a schema of its own, which the user's table has left, is no rule for ours."""
    db = SQLAlchemy(metadata=sa.MetaData(schema="elsewhere"))
    User = make_user_model(db, __table_args__={"schema": sa.BLANK_SCHEMA})
    assert Follows(db=db, user_model=User).Follow.__table__.fullname == "follows"
    db = SQLAlchemy(metadata=sa.MetaData(schema="elsewhere"))
    assert Follows(db=db, user_model=make_user_model(db)).Follow.__table__.schema == "elsewhere"


@pytest.mark.parametrize("options", [{}, {"foreign_keys": "none"}], ids=str)
@each_base
def test_a_bind_key(base, options, make_app, make_database):
    """The edges lie in the user's database, and every statement goes there."""
    db, extension = BASES[base](), Follows(**options)
    User = make_user_model(db, __bind_key__="people")
    app = make_app(db, SQLALCHEMY_BINDS={"people": make_database()})
    extension.init_app(app, db, User)
    with app.app_context():
        db.create_all()
        assert sa.inspect(db.engine).get_table_names() == []
        tables = sa.inspect(db.engines["people"]).get_table_names()
        assert set(tables) == {"user", "follows"}
        exercise(db, extension, add_users(db, User))


# --- Names ----------------------------------------------------------------------------------------


def test_every_name_can_be_changed(db, start):
    """`names=` gives each thing the host's name, and none is left under ours."""
    names = {name: f"my_{name}" for name in NAMES}
    User, extension = make_user_model(db), Follows(names=names)
    start(db, User, extension)
    assert [name for name in NAMES if hasattr(User, name)] == []
    ann, bob, cat = add_users(db, User)
    assert ann.my_follow(bob)
    assert ann.my_followed.add(cat) == 1
    ann.my_followers = [cat]
    assert ann.my_is_following(cat)
    assert ann.my_is_mutual_with(cat)
    assert cat.my_is_followed_by(ann)
    assert ann.my_mutuals.all() == [cat]
    assert [edge.followed for edge in ann.my_followed_set] == [cat, bob]
    assert [edge.follower for edge in ann.my_followers_set] == [cat]
    assert (ann.my_followed_count, ann.my_followers_count) == (2, 1)
    found = sa.select(User.id).where(User.my_is_following(ann), User.my_followed_count == 1)
    assert db.session.scalars(found).all() == [cat.id]
    assert ann.my_unfollow(bob)
    assert ann.my_remove_follower(cat)
    assert ann.my_toggle_follow(bob)
    edge = ann.my_followed_set.first()
    assert edge.follower is ann
    db.session.delete(ann)
    db.session.commit()
    assert stored(db, extension.follow_relation) == set()


def test_one_name_can_be_changed(db, start):
    """The others stay."""
    User = make_user_model(db)
    start(db, User, Follows(names={"followed": "following"}))
    ann, bob, _ = add_users(db, User)
    ann.following.add(bob)
    assert bob.followers.all() == [ann]
    assert not hasattr(User, "followed")


def test_two_names_can_be_exchanged(db, start):
    """What counts is the names in the end."""
    User = make_user_model(db)
    start(db, User, Follows(names={"followed": "followers", "followers": "followed"}))
    ann, bob, _ = add_users(db, User)
    ann.follow(bob)
    assert ann.followers.all() == [bob]
    assert bob.followed.all() == [ann]


@pytest.mark.parametrize(
    ("names", "match"),
    [
        ({"folowed": "x"}, r"renames 'folowed', which is not injected; there are: followed,"),
        ({"followed": "two words"}, r"gives 'followed' the name 'two words', not usable"),
        ({"followed": ""}, r"not usable"),
        ({"followed": "followers"}, r"names= gives followers to two things"),
        ({"follow": "x", "unfollow": "x"}, r"names= gives x to two things"),
    ],
)
def test_names_that_cannot_be(names, match):
    """A misspelt, unusable or doubled name is refused when it is given."""
    with pytest.raises(ConfigurationError, match=match):
        Follows(names=names)


def test_the_options_cannot_be_changed_from_outside(db, start):
    """The dictionary given is copied."""
    names = {"followed": "following"}
    extension = Follows(names=names)
    names["followed"] = "something else"
    User = make_user_model(db)
    start(db, User, extension)
    assert hasattr(User, "following")


# --- Clashes --------------------------------------------------------------------------------------


def clashing(db, kind, name):
    """Map a user that has `name` already, as something of a kind."""
    made = {
        "column": lambda: mapped_column(sa.Integer),
        "renamed column": lambda: mapped_column("x", sa.Integer),
        "relationship": lambda: relationship("User", remote_side="User.id", viewonly=True),
        "synonym": lambda: synonym("username"),
        "constant": lambda: 5,
        "None": lambda: None,
    }
    if kind == "relationship":
        reference = mapped_column("boss", sa.ForeignKey("user.id"))
        return make_user_model(db, boss_id=reference, **{name: made[kind]()})
    if kind == "None":
        User = make_user_model(db)
        setattr(User, name, None)
        return User
    return make_user_model(db, **{name: made[kind]()})


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "kind", ["column", "renamed column", "relationship", "synonym", "constant", "None"]
)
def test_a_clash_is_refused(kind, name, db):
    """The message names the attribute and the option; nothing was touched; the option helps."""
    User = clashing(db, kind, name)
    before = inspect.getattr_static(User, name)
    with untouched(User, db), pytest.raises(ConfigurationError) as caught:
        Follows(db=db, user_model=User)
    assert f"User.{name} exists already" in str(caught.value)
    assert f'Follows(names={{"{name}": "..."}})' in str(caught.value)
    extension = Follows(db=db, user_model=User, names={name: "ours"})
    assert hasattr(User, "ours")
    assert extension.Follow
    assert inspect.getattr_static(User, name) is before


@pytest.mark.parametrize(
    "own", [lambda: mapped_column(sa.Integer), lambda: 5, lambda: property(lambda self: 5)]
)
def test_a_clash_with_a_subclass_is_refused(own, db):
    """What a class below has of its own would be replaced as well."""
    User = polymorphic(db)
    Admin = joined(User)
    Admin.followers = own()
    with pytest.raises(ConfigurationError, match=r"Admin\.followers exists already"):
        Follows(db=db, user_model=User)
    assert "follows" not in db.metadata.tables


def test_a_renamed_name_may_clash_as_well(db, User):
    """The names are looked at as they will be."""
    for name in ("username", "metadata"):
        match = rf"User\.{name} exists already"
        with untouched(User, db), pytest.raises(ConfigurationError, match=match):
            Follows(db=db, user_model=User, names={"followed": name})


def test_a_backref_that_comes_later(db):
    """A clash that only the configuration of the mappers brings to light is SQLAlchemy's error."""
    User = make_user_model(db)

    class Fan(db.Model):
        id = mapped_column(sa.Integer, primary_key=True)
        user_id = mapped_column(sa.ForeignKey("user.id"))
        user = relationship("User", backref="followers")

    Follows(db=db, user_model=User)
    with pytest.raises(sa.exc.ArgumentError, match="followers"):
        db.Model.registry.configure()
    db.Model.registry.dispose()  # whoever configures all mappers would fail on these


@pytest.mark.parametrize("name", NAMES[4:])
def test_the_hosts_method_wins(name, db, start):
    """What the host has defined stays as it is."""

    def own(self, *args):
        return "the host's"

    User = make_user_model(db, **{name: own})
    start(db, User)
    ann, bob, _ = add_users(db, User)
    assert vars(User)[name] is own
    assert getattr(ann, name)(bob) == "the host's"
    ann.followed.add(bob)
    assert bob.followers.all() == [ann]


@pytest.mark.parametrize("name", RELATIONSHIPS)
def test_the_hosts_property_wins(name, db, start, follows):
    """So it is with a property in the place of a relationship; the others work without it."""
    User = make_user_model(db, **{name: property(lambda self: "the host's")})
    start(db, User)
    ann, bob, _ = add_users(db, User)
    assert getattr(ann, name) == "the host's"
    assert ann.follow(bob)
    db.session.add(follows.Follow(follower=bob, followed=ann))
    db.session.commit()
    assert ann.mutuals.all() == [bob]
    for other in RELATIONSHIPS:
        if other != name:
            assert getattr(ann, other).count() == 1
    db.session.delete(ann)
    db.session.commit()
    assert stored(db, follows.follow_relation) == set()


def test_other_attributes_of_the_host_win(db, start):
    """Hybrids, association proxies and what a base class or mixin has, too."""

    class Named:
        def unfollow(self, other):
            return "inherited"

    User = make_user_model(
        db,
        mixins=(Named,),
        followers_count=hybrid_property(lambda self: 7),
        mutuals=association_proxy("followed_set", "created_at"),
    )
    start(db, User)
    ann, bob, _ = add_users(db, User)
    ann.follow(bob)
    assert ann.unfollow(bob) == "inherited"
    assert bob.followers_count == 7
    assert len(list(ann.mutuals)) == 1
    assert ann.followed_count == 1


def test_a_method_of_the_host_may_call_ours(db, start):
    """With the mixin, `super()` reaches what it replaces."""

    class User(FollowMixin, db.Model):
        id = mapped_column(sa.Integer, primary_key=True)
        username = mapped_column(sa.String(20))

        def follow(self, other, **values):
            return "followed" if super().follow(other, **values) else "again"

    start(db, User)
    ann, bob, _ = add_users(db, User)
    assert ann.follow(bob) == "followed"
    assert ann.follow(bob) == "again"
    assert ann.toggle_follow(bob) is False


def test_a_method_of_a_subclass_wins_there(db, start):
    """A subclass overrides as anywhere in Python."""
    User = polymorphic(db)
    Admin = joined(User)
    Admin.follow = lambda self, other: "admins do not follow"
    start(db, User)
    admin, ann = Admin(username="admin"), User(username="ann")
    db.session.add_all([admin, ann])
    assert admin.follow(ann) == "admins do not follow"
    assert ann.follow(admin) is True


def test_a_property_of_a_later_subclass_wins_there(db, start):
    """In the place of a relationship as well."""
    User = polymorphic(db)
    start(db, User)

    class Admin(User):
        followers = property(lambda self: "the host's")
        __mapper_args__ = {"polymorphic_identity": "admin"}  # noqa: RUF012

    admin, ann = Admin(username="admin"), User(username="ann")
    db.session.add_all([admin, ann])
    admin.followed = [ann]
    assert ann.followers.all() == [admin]
    assert admin.followers == "the host's"


def warnings_of(caplog):
    """Return what was logged by the package."""
    return [record.getMessage() for record in caplog.records if record.name == "flask_follows"]


@pytest.mark.parametrize("name", NAMES)
def test_what_is_left_out_is_told(name, db, caplog):
    """A method or property of the host's that wins is named once, with the way to have both."""
    own = property(lambda self: 5) if name in RELATIONSHIPS else lambda self, *args: 5
    User = make_user_model(db, **{name: own})
    Follows(db=db, user_model=User)
    Follows(db=db, user_model=User)
    [message] = warnings_of(caplog)
    assert message.startswith(f"User.{name} stays as it is, so Flask-Follows leaves out its own")
    assert f'Follows(names={{"{name}": "..."}})' in message


def test_what_is_left_out_under_another_name(db, caplog):
    """The message has the host's name, the class that has it, and ours."""

    class Named:
        def stop(self, other):
            pass

    User = make_user_model(db, mixins=(Named,))
    Follows(db=db, user_model=User, names={"unfollow": "stop"})
    [message] = warnings_of(caplog)
    assert message.startswith("Named.stop stays as it is, so Flask-Follows leaves out its own 'unf")


@pytest.mark.parametrize("mixins", [(), (FollowMixin,)])
def test_nothing_is_told_where_nothing_is_left_out(mixins, db, caplog):
    """What the mixin brings is ours, and so is what a refused set-up would have left out."""
    Follows(db=db, user_model=make_user_model(db, mixins=mixins))
    Other = make_user_model(
        db, name="Other", follow=lambda self: 5, followers=mapped_column(sa.Integer)
    )
    with pytest.raises(ConfigurationError):
        Follows(db=db, user_model=Other, table_name="other_follows")
    assert warnings_of(caplog) == []


def test_a_method_of_the_mixin_may_be_overridden(db, caplog):
    """Who inherits the mixin overrides as anywhere in Python: only another thing is told."""

    class User(FollowMixin, db.Model):
        id = mapped_column(sa.Integer, primary_key=True)

        def follow(self, other, **values):
            return super().follow(other, **values)

        @property
        def followers(self):
            return "the host's"

    Follows(db=db, user_model=User)
    [message] = warnings_of(caplog)
    assert message.startswith("User.followers stays")


def test_the_methods_are_the_mixins_own(User, db):
    """One implementation: what is injected is what the mixin has."""
    Follows(db=db, user_model=User)
    for name in NAMES[4:]:
        assert vars(User)[name] is vars(FollowMixin)[name]


def test_a_refused_key_leaves_nothing_behind(db):
    """A class with a key of two columns is refused before anything is made."""
    User = make_user_model(db, tenant=mapped_column(sa.Integer, primary_key=True))
    match = "a primary key of 2 columns"
    with untouched(User, db), pytest.raises(ConfigurationError, match=match):
        Follows(db=db, user_model=User)


def test_a_refused_configuration_leaves_nothing_behind(db, User):
    """Once `User` is configured, what has been mapped since has to be complete as well."""
    db.Model.registry.configure()

    class Post(db.Model):
        id = mapped_column(sa.Integer, primary_key=True)
        nowhere = relationship("Nowhere")

    members = dict(vars(User))
    with pytest.raises(sa.exc.InvalidRequestError, match="Nowhere"):
        Follows(db=db, user_model=User)
    assert dict(vars(User)) == members
    assert list(db.metadata.tables) == ["user", "post"]
    db.Model.registry.dispose()  # whoever configures all mappers would fail on these


def test_aliases_of_the_class(app, db, User, users):
    """Every name is reached through an alias as well."""
    ann, bob, _ = users(3)
    ann.follow(bob)
    alias = aliased(User)
    found = sa.select(alias.id).where(
        alias.is_following(bob), alias.followed_count == 1, alias.followed.any(User.id == bob.id)
    )
    assert db.session.scalars(found).all() == [ann.id]
    joined_twice = sa.select(User.id, alias.id).join(User.followed.of_type(alias)).order_by(User.id)
    assert [tuple(row) for row in db.session.execute(joined_twice)] == [(ann.id, bob.id)]
