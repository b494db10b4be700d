"""The `follows` table as the database has it, and `Follow` as an ordinary mapped class."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
import sqlalchemy as sa
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import aliased, contains_eager, joinedload, mapped_column, relationship

from flask_follows import ConfigurationError, Follow, Follows, WrongTypeError

from .hosts import KEYS, add_users, stored
from .models import BASES, make_user_model

MOMENT = datetime(2024, 2, 29, 23, 30, 15, 123456, tzinfo=timezone.utc)


def reflect(db, name="follows", schema=None, engine=None):
    """Read the table back from the database."""
    table = sa.Table(name, sa.MetaData(), schema=schema, autoload_with=engine or db.engine)
    return {
        "primary key": list(table.primary_key.columns.keys()),
        "columns": {column.name: column.nullable for column in table.columns},
        "foreign keys": {
            key.name: (key.column_keys, key.elements[0].target_fullname, key.ondelete)
            for key in table.foreign_key_constraints
        },
        "indexes": {
            index.name: (index.columns.keys(), bool(index.unique)) for index in table.indexes
        },
        "checks": {
            check["name"]
            for check in sa.inspect(engine or db.engine).get_check_constraints(name, schema)
        },
    }


@pytest.fixture
def Edge(app, follows):
    """The mapped class of the edge."""
    return follows.Follow


# --- The table ------------------------------------------------------------------------------------


def test_the_table_in_the_database(app, db):
    """Composite key, cascading foreign keys, a named CHECK, and the one index, in this order."""
    assert reflect(db) == {
        "primary key": ["follower_id", "followed_id"],
        "columns": {"follower_id": False, "followed_id": False, "created_at": False},
        "foreign keys": {
            "fk_follows_follower_id": (["follower_id"], "user.id", "CASCADE"),
            "fk_follows_followed_id": (["followed_id"], "user.id", "CASCADE"),
        },
        "indexes": {
            "ix_follows_followed": (["followed_id", "created_at", "follower_id"], False),
        },
        "checks": {"ck_follows_not_self"},
    }


def test_the_primary_key_is_named(app, db):
    """So that a migration can drop it; MariaDB calls every primary key PRIMARY."""
    name = sa.inspect(db.engine).get_pk_constraint("follows")["name"]
    assert name == (None if db.engine.dialect.name == "mariadb" else "pk_follows")


def test_sqlite_stores_the_key_once(app, db):
    """On SQLite the table is its own index; the others know nothing of the option."""
    assert db.metadata.tables["follows"].dialect_options["sqlite"]["with_rowid"] is False
    if db.engine.dialect.name == "sqlite":
        text = sa.text("SELECT sql FROM sqlite_master WHERE name = 'follows'")
        assert "WITHOUT ROWID" in db.session.scalar(text)


def test_the_host_may_name_the_table(db, start):
    """Every name follows the table's, so that two relations live side by side."""
    User = make_user_model(db)
    start(db, User, Follows(table_name="user_follow", forward_index=True))
    table = reflect(db, "user_follow")
    assert table["foreign keys"].keys() == {
        "fk_user_follow_follower_id",
        "fk_user_follow_followed_id",
    }
    assert table["indexes"].keys() == {
        "ix_user_follow_followed",
        "ix_user_follow_follower",
    }
    assert table["checks"] == {"ck_user_follow_not_self"}
    ann, bob, _ = add_users(db, User)
    assert ann.follow(bob)
    assert bob.followers_count == 1


def test_a_naming_convention_of_the_host_leaves_our_names(start):
    """Names are the same in every host: a migration written for one fits another."""
    convention = {kind: f"{kind}_%(table_name)s_host" for kind in ("ix", "ck", "fk", "pk")}
    db = SQLAlchemy(metadata=sa.MetaData(naming_convention=convention))
    start(db, make_user_model(db))
    table = reflect(db)
    assert table["checks"] == {"ck_follows_not_self"}
    assert table["indexes"].keys() == {"ix_follows_followed"}
    assert table["foreign keys"].keys() == {"fk_follows_follower_id", "fk_follows_followed_id"}


def test_the_longest_table_name(db, start):
    """Where a name would be too long for the database, it is cut, not refused."""
    User = make_user_model(db)
    start(db, User, Follows(table_name="f" * 60, forward_index=True))
    assert len(reflect(db, "f" * 60)["indexes"]) == 2
    ann, bob, _ = add_users(db, User)
    assert ann.follow(bob)


def test_the_forward_index_is_an_option(db, start):
    """It is the twin of the other, from the follower's side."""
    start(db, make_user_model(db), Follows(forward_index=True))
    indexes = reflect(db)["indexes"]
    assert indexes["ix_follows_follower"] == (["follower_id", "created_at", "followed_id"], False)
    assert len(indexes) == 2


def test_self_follows_are_kept_out_by_the_table(app, db, users, Edge):
    """The CHECK holds against whoever writes past the methods."""
    (ann,) = users(1)
    db.session.add(Edge(follower=ann, followed=ann))
    with pytest.raises(DBAPIError, match="ck_follows_not_self"):
        db.session.flush()


def test_self_follows_may_be_allowed(db, start, follows):
    """The option lifts the CHECK and the error."""
    User = make_user_model(db)
    extension = Follows(allow_self_follow=True)
    start(db, User, extension)
    assert reflect(db)["checks"] == set()
    (ann,) = add_users(db, User, 1)
    assert ann.follow(ann)
    assert not ann.follow(ann.id)
    assert ann.is_mutual_with(ann)
    assert ann.followers.all() == [ann]
    db.session.delete(ann)
    db.session.commit()
    assert stored(db, extension.follow_relation) == set()


def test_foreign_keys_may_be_left_out(db, start):
    """Then the columns are plain, of the same type, and the rest is as ever."""
    start(db, make_user_model(db), Follows(foreign_keys="none"))
    table = reflect(db)
    assert table["foreign keys"] == {}
    assert table["primary key"] == ["follower_id", "followed_id"]
    assert table["columns"] == {"follower_id": False, "followed_id": False, "created_at": False}
    assert table["indexes"].keys() == {"ix_follows_followed"}
    assert table["checks"] == {"ck_follows_not_self"}


@pytest.mark.parametrize("name", KEYS)
def test_the_columns_have_the_type_of_the_key(name, db, start):
    """In the database itself, with foreign keys and without."""
    User, Other = (make_user_model(db, name=cls, key=KEYS[name][0]) for cls in ("User", "Other"))
    Follows(db=db, user_model=Other, table_name="plain", foreign_keys="none")
    start(db, User)
    inspector = sa.inspect(db.engine)
    (key,) = (column for column in inspector.get_columns("user") if column["name"] == "id")
    columns = inspector.get_columns("follows")[:2] + inspector.get_columns("plain")[:2]
    assert [column["name"] for column in columns] == ["follower_id", "followed_id"] * 2
    for column in columns:
        assert repr(column["type"]) == repr(key["type"])
        assert not column.get("autoincrement") or column["autoincrement"] == "auto"
        assert column["default"] is None


def test_a_table_of_the_same_name_is_refused(db):
    """Before anything is touched, with the option that helps."""
    User = make_user_model(db)
    existing = sa.Table("follows", db.metadata, sa.Column("id", sa.Integer, primary_key=True))
    with pytest.raises(ConfigurationError, match=r"table 'follows' already.*table_name="):
        Follows(db=db, user_model=User)
    assert db.metadata.tables["follows"] is existing
    assert not hasattr(User, "follow")
    assert Follows(db=db, user_model=User, table_name="user_follows").Follow


def test_a_table_of_the_same_name_in_another_schema_is_no_clash(db):
    """`other.follows` and `follows` are two tables."""
    User = make_user_model(db)
    sa.Table("follows", db.metadata, sa.Column("id", sa.Integer), schema="other")
    assert Follows(db=db, user_model=User).Follow.__table__.schema is None


def test_a_table_of_the_same_name_in_the_same_schema_is_refused(db):
    """The clash is looked for where the user's table is."""
    User = make_user_model(db, __table_args__={"schema": "s"})
    sa.Table("follows", db.metadata, sa.Column("id", sa.Integer), schema="s")
    with pytest.raises(ConfigurationError, match="table 'follows' already"):
        Follows(db=db, user_model=User)


# --- created_at -----------------------------------------------------------------------------------


def test_an_edge_knows_when_it_was_made(app, db, users, Edge):
    """The time is now, aware, in UTC, with microseconds."""
    ann, bob = users(2)
    before = datetime.now(timezone.utc)
    ann.follow(bob)
    db.session.commit()
    after = datetime.now(timezone.utc)
    made = db.session.scalar(sa.select(Edge.created_at))
    assert before <= made <= after
    assert made.utcoffset() == timedelta(0)


def test_the_clock_ticks_in_microseconds(app, db, users, Edge):
    """Follows in one second are told apart."""
    ann, *others = users(12)
    for other in others:
        ann.follow(other)
    db.session.commit()
    made = db.session.scalars(sa.select(Edge.created_at)).all()
    assert len(set(made)) > 1
    assert any(moment.microsecond for moment in made)


def test_the_time_may_be_given(app, db, users, Edge):
    """In any zone, as a value or as a callable; it is the same moment in UTC that is kept."""
    ann, bob, cat, dan = users(4)
    zone = timezone(timedelta(hours=-3, minutes=-30))
    ann.follow(bob, created_at=MOMENT.astimezone(zone))
    ann.follow(cat, created_at=lambda: MOMENT)
    db.session.add(Edge(follower=ann, followed=dan, created_at=MOMENT.astimezone(zone)))
    db.session.commit()
    found = db.session.scalars(sa.select(Edge)).all()
    assert [edge.created_at for edge in found] == [MOMENT] * 3
    assert {edge.created_at.utcoffset() for edge in found} == {timedelta(0)}
    same = sa.select(sa.func.count()).where(Edge.created_at == MOMENT.astimezone(zone))
    assert db.session.scalar(same) == 3


def test_a_time_without_a_zone_is_refused(app, db, users):
    """The message asks for an aware one, and the transaction goes on."""
    ann, bob = users(2)
    with pytest.raises(WrongTypeError, match="takes a datetime with a time zone"):
        ann.follow(bob, created_at=MOMENT.replace(tzinfo=None))
    assert ann.follow(bob)
    db.session.commit()
    assert ann.followed_count == 1


def test_core_inserts_get_a_time(app, db, users, Edge):
    """The default is the column's: a statement of the host's has it too."""
    ann, bob = users(2)
    db.session.execute(sa.insert(Edge.__table__).values(follower_id=ann.id, followed_id=bob.id))
    db.session.commit()
    age = datetime.now(timezone.utc) - db.session.scalar(sa.select(Edge.created_at))
    assert timedelta(0) <= age < timedelta(minutes=1)


# --- Follow, an ordinary model --------------------------------------------------------------------


def test_an_edge_is_added_like_any_object(app, db, users, Edge, follows):
    """By relationships and by keys alike."""
    ann, bob, cat = users(3)
    db.session.add(Edge(follower=ann, followed=bob))
    db.session.add(Edge(follower_id=bob.id, followed_id=cat.id))
    db.session.commit()
    assert stored(db, follows.follow_relation) == {(ann.id, bob.id), (bob.id, cat.id)}
    assert ann.is_following(bob)
    assert cat.followers.all() == [bob]


def test_pending_users_are_saved_with_their_edge(app, db, User, Edge):
    """Adding the edge adds both users."""
    edge = Edge(follower=User(username="ann"), followed=User(username="bob"))
    db.session.add(edge)
    db.session.commit()
    assert edge.follower.is_following(edge.followed)


def test_an_edge_is_appended_to_a_users_edges(app, db, users, Edge):
    """`followed_set` and `followers_set` are writable, from both sides."""
    ann, bob, cat = users(3)
    ann.followed_set.append(Edge(followed=bob))
    ann.followers_set.append(Edge(follower=cat))
    db.session.commit()
    assert ann.is_following(bob)
    assert ann.is_followed_by(cat)
    edge = ann.followed_set.one()
    ann.followed_set.remove(edge)
    db.session.commit()
    assert not ann.is_following(bob)
    assert sa.inspect(edge).was_deleted or sa.inspect(edge).detached


def test_the_same_edge_twice_is_an_error_of_the_database(app, db, users, Edge):
    """Whoever adds rows himself meets the primary key."""
    ann, bob = users(2)
    ann.follow(bob)
    db.session.commit()
    db.session.add(Edge(follower_id=ann.id, followed_id=bob.id))
    with pytest.raises(IntegrityError):
        db.session.flush()


def test_an_edge_is_found_by_its_key(app, db, users, Edge, assert_statements):
    """`session.get` takes (follower, followed), and the second time asks nobody."""
    ann, bob = users(2)
    ann.follow(bob)
    with assert_statements(1):
        edge = db.session.get(Edge, (ann.id, bob.id))
        assert db.session.get(Edge, (ann.id, bob.id)) is edge
    assert (edge.follower, edge.followed) == (ann, bob)
    assert db.session.get(Edge, (bob.id, ann.id)) is None


def test_an_edge_is_deleted_like_any_object(app, db, users, Edge):
    """`session.delete` takes it away."""
    ann, bob = users(2)
    ann.follow(bob)
    db.session.delete(db.session.get(Edge, (ann.id, bob.id)))
    db.session.commit()
    assert not ann.is_following(bob)


def test_edges_that_the_session_holds_expired(app, db, users, Edge):
    """After a commit they are known to be deleted, and in nobody's way when they come back."""
    ann, bob, cat = users(3)
    ann.followed.add(bob, cat)
    held = Edge.query.all()
    db.session.commit()
    assert ann.followed.clear() == 2
    assert all(sa.inspect(edge).deleted for edge in held)
    db.session.add(Edge(follower=ann, followed=bob))
    db.session.commit()
    assert ann.followed.all() == [bob]


def test_edges_are_queried_and_joined(app, db, User, users, Edge):
    """Select, filter by a relationship, join both ends, load eagerly."""
    ann, bob, cat = users(3)
    ann.follow(bob)
    cat.follow(bob)
    db.session.commit()
    of_bob = sa.select(Edge).filter_by(followed=bob).order_by(Edge.follower_id)
    assert [edge.follower for edge in db.session.scalars(of_bob)] == [ann, cat]
    follower, followed = aliased(User), aliased(User)
    names = (
        sa.select(follower.username, followed.username)
        .select_from(Edge)
        .join(follower, Edge.follower)
        .join(followed, Edge.followed)
        .order_by(follower.username)
    )
    assert [tuple(row) for row in db.session.execute(names)] == [("u0", "u1"), ("u2", "u1")]
    joined = sa.select(Edge).join(Edge.follower).options(contains_eager(Edge.follower))
    assert {edge.follower.username for edge in db.session.scalars(joined)} == {"u0", "u2"}


def test_users_of_an_edge_load_eagerly(app, db, users, Edge, assert_statements):
    """`joinedload` brings both ends in one statement."""
    ann, bob = users(2)
    ann.follow(bob)
    db.session.commit()
    db.session.expunge_all()
    options = joinedload(Edge.follower), joinedload(Edge.followed)
    with assert_statements(1):
        edge = db.session.scalars(sa.select(Edge).options(*options)).one()
        assert (edge.follower.username, edge.followed.username) == ("u0", "u1")


def test_the_class_has_flask_sqlalchemys_query(app, db, users, Edge):
    """`Follow.query` filters and pages as that of every model."""
    ann, bob, cat = users(3)
    ann.followed.add(bob, cat)
    assert Edge.query.filter_by(followed_id=bob.id).one().follower == ann
    assert isinstance(Edge.query, db.Query)
    assert Edge.query.paginate(per_page=1).total == 2


def test_the_text_of_an_edge(app, db, User, users, Edge, monkeypatch):
    """`str` reads as a sentence, `repr` names the keys."""
    monkeypatch.setattr(User, "__str__", lambda self: self.username, raising=False)
    ann, bob = users(2)
    ann.follow(bob)
    edge = Edge.query.one()
    assert str(edge) == "u0 follows u1"
    assert repr(edge) == "<Follow 1 -> 2>"
    assert str(Edge(follower=ann, followed=bob)) == "u0 follows u1"
    assert repr(Edge()) == "<Follow None -> None>"
    assert str(Edge()) == "None follows None"


def test_the_text_of_a_detached_edge(app, db, users, Edge):
    """Where a user cannot be loaded any more, the key stands for them."""
    ann, bob = users(2)
    ann.follow(bob)
    edge = Edge.query.one()
    db.session.expunge(edge)
    assert str(edge) == "1 follows 2"
    assert repr(edge) == "<Follow 1 -> 2>"


def test_an_unknown_attribute_is_refused(app, Edge):
    """As SQLAlchemy's own constructor does."""
    with pytest.raises(TypeError, match="'since' is not an attribute of Follow"):
        Edge(since=MOMENT)


def test_the_class_is_a_follow(app, Edge):
    """Each extension maps a class of its own below the public one, and gives it the public name."""
    assert issubclass(Edge, Follow)
    assert Edge is not Follow
    assert Edge.__name__ == "Follow"
    assert Edge.__doc__ == Follow.__doc__
    assert Edge.__table__ is sa.inspect(Edge).local_table
    assert "Follow(follows)" in str(sa.inspect(Edge))


@pytest.mark.parametrize("base", BASES)
def test_an_edge_works_on_every_model_base(base, start):
    """Whatever the host's base is, `Follow` is built with keywords."""
    db, extension = BASES[base](), Follows()
    User = make_user_model(db)
    start(db, User, extension)
    ann, bob, _ = add_users(db, User)
    db.session.add(extension.Follow(follower=ann, followed=bob))
    db.session.commit()
    (edge,) = extension.Follow.query.all()
    assert (edge.follower, edge.followed) == (ann, bob)
    assert str(edge) == f"{ann} follows {bob}"


@pytest.mark.parametrize("first", ["theirs", "ours"])
def test_a_class_follow_of_the_host_is_another(first, db, start, follows):
    """The host may have a `Follow` of its own, and refer to it by name."""
    User = make_user_model(db)
    if first == "ours":
        follows._adopt(db, User)

    class Follow(db.Model):
        id = mapped_column(sa.Integer, primary_key=True)
        shop_id = mapped_column(sa.ForeignKey("shop.id"))

    class Shop(db.Model):
        id = mapped_column(sa.Integer, primary_key=True)
        fans = relationship("Follow")

    start(db, User)
    shop = Shop(fans=[Follow()])
    ann, bob, _ = add_users(db, User)
    ann.follow(bob)
    db.session.add(shop)
    db.session.commit()
    assert type(shop.fans[0]) is Follow
    assert follows.Follow.query.count() == Follow.query.count() == 1


def test_the_host_may_refer_to_edges(db, start, follows):
    """A relationship of the host's own to the edges, given the class itself, works both ways."""
    User = make_user_model(db)
    start(db, User)
    Edge = follows.Follow
    sa.inspect(User).add_property(
        "new_fans",
        relationship(
            Edge,
            primaryjoin=sa.and_(
                User.id == Edge.__table__.c.followed_id, Edge.__table__.c.created_at > MOMENT
            ),
            viewonly=True,
        ),
    )
    ann, bob, cat = add_users(db, User)
    ann.follow(bob)
    cat.follow(bob, created_at=MOMENT - timedelta(days=1))
    db.session.commit()
    assert [edge.follower for edge in bob.new_fans] == [ann]


def test_a_time_that_utc_does_not_have(users):
    """It is refused before the database is asked, which would be too late on PostgreSQL."""
    ann, bob = users(2)
    last = datetime.max.replace(tzinfo=timezone(timedelta(hours=-12)))
    with pytest.raises(WrongTypeError, match="outside of the years 1 to 9999"):
        ann.follow(bob, created_at=last)
    assert ann.follow(bob) is True
