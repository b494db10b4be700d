"""What `User` gains: methods, predicates and counts, on an object and on the class."""

from __future__ import annotations

import inspect
from datetime import datetime, timedelta, timezone

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import aliased, mapped_column

from flask_follows import (
    ConfigurationError,
    FollowMixin,
    Follows,
    RelatedQuery,
    WrongTypeError,
)

from .hosts import add_users, stored
from .models import make_user_model

MOMENT = datetime(2024, 2, 29, 23, 30, 15, 123456, tzinfo=timezone.utc)
VERBS = ["follow", "unfollow", "remove_follower", "toggle_follow"]


@pytest.fixture
def edges(db, follows):
    """A function that reads the pairs of keys that are stored."""
    return lambda: stored(db, follows.follow_relation)


# --- Writes ---------------------------------------------------------------------------------------


def test_following(users, edges, assert_statements):
    """One statement makes the edge, and one finds it there; the answers tell them apart."""
    ann, bob = users(2)
    with assert_statements(1):
        assert ann.follow(bob) is True
    with assert_statements(1):
        assert ann.follow(bob) is False
    with assert_statements(1):
        assert ann.follow(bob.id) is False
    assert edges() == {(ann.id, bob.id)}


def test_unfollowing(users, edges, assert_statements):
    """One statement removes the edge, and one finds nothing; the other direction stays."""
    ann, bob = users(2)
    ann.follow(bob)
    bob.follow(ann)
    with assert_statements(1):
        assert ann.unfollow(bob) is True
    with assert_statements(1):
        assert ann.unfollow(bob.id) is False
    assert edges() == {(bob.id, ann.id)}


def test_removing_a_follower(users, edges, assert_statements):
    """It is the other's edge that goes."""
    ann, bob = users(2)
    ann.follow(bob)
    bob.follow(ann)
    with assert_statements(1):
        assert ann.remove_follower(bob) is True
    with assert_statements(1):
        assert ann.remove_follower(bob.id) is False
    assert edges() == {(ann.id, bob.id)}


def test_toggling(users, edges, assert_statements):
    """The answer is the new state; the way on takes one statement, the way off two."""
    ann, bob = users(2)
    with assert_statements(1):
        assert ann.toggle_follow(bob) is True
    assert edges() == {(ann.id, bob.id)}
    with assert_statements(2):
        assert ann.toggle_follow(bob.id) is False
    assert edges() == set()


def test_a_loaded_edge_goes_with_it(app, db, users, follows, assert_statements):
    """An edge that the session holds becomes a deleted object, still in one statement."""
    ann, bob = users(2)
    ann.follow(bob, created_at=MOMENT)
    edge = db.session.get(follows.Follow, (ann.id, bob.id))
    assert edge.created_at == MOMENT
    with assert_statements(1):
        assert ann.unfollow(bob)
    assert sa.inspect(edge).deleted
    assert ann.follow(bob)
    again = db.session.get(follows.Follow, (ann.id, bob.id))
    assert again is not edge
    assert again.created_at > MOMENT


def test_nothing_is_committed(app, db, users, edges):
    """All writes are the host's to commit or to roll back."""
    ann, bob, cat = users(3)
    ann.follow(cat)
    db.session.commit()
    ann.follow(bob)
    ann.unfollow(cat)
    bob.toggle_follow(cat)
    db.session.rollback()
    assert edges() == {(ann.id, cat.id)}


def test_what_is_pending_is_flushed_first(app, db, User, users, follows):
    """The edge that the host has just added is there when we ask; so are its users."""
    ann, bob, _ = users(3)
    new = User(username="new")
    db.session.add_all([new, follows.Follow(follower=ann, followed=bob)])
    assert ann.follow(bob) is False
    assert new.id is not None
    db.session.add(follows.Follow(follower=bob, followed=ann))
    assert bob.is_following(ann) is True
    db.session.add(follows.Follow(follower=new, followed=ann))
    assert ann.followers_count == 2
    db.session.add(follows.Follow(follower=new, followed=bob))
    assert new.unfollow(bob) is True


def test_a_further_column(app, db, users, follows):
    """`created_at` may be given; a column that the edge does not have is refused by name."""
    ann, bob = users(2)
    assert ann.follow(bob, created_at=MOMENT)
    assert not ann.follow(bob, created_at=MOMENT + timedelta(days=1))
    assert db.session.scalar(sa.select(follows.Follow.created_at)) == MOMENT
    match = "the edges in 'follows' have no column 'since' to set; there are: created_at"
    with pytest.raises(WrongTypeError, match=match):
        bob.follow(ann, since=MOMENT)
    db.session.commit()
    assert not bob.is_following(ann)


# --- Predicates -----------------------------------------------------------------------------------


def test_predicates_on_an_object(users, assert_statements):
    """They look at one direction, the other, or both; each direction is one statement."""
    ann, bob, cat = users(3)
    ann.follow(bob)
    with assert_statements(1):
        assert ann.is_following(bob) is True
    with assert_statements(0):  # the same question, the other way round
        assert bob.is_followed_by(ann.id) is True
    with assert_statements(1):
        assert bob.is_following(ann) is False
    with assert_statements(0):
        assert ann.is_followed_by(bob) is False
        assert bob.is_mutual_with(ann) is False
        assert ann.is_mutual_with(bob) is False
    bob.follow(ann)
    with assert_statements(0):  # a write of ours tells what it has done
        assert ann.is_mutual_with(bob.id) is True
    assert not any((cat.is_following(ann), cat.is_followed_by(ann), cat.is_mutual_with(ann)))


def test_membership_reads_the_edges_alone(users, assert_statements):
    """`is_following` looks into no other table."""
    ann, bob = users(2)
    with assert_statements(1) as counted:
        ann.is_following(bob)
    assert '"user"' not in counted.statements[0]
    assert "JOIN" not in counted.statements[0].upper()


@pytest.fixture
def network(users):
    """Three users: the first two follow each other, the third follows the first."""
    ann, bob, cat = users(3)
    ann.follow(bob)
    bob.follow(ann)
    cat.follow(ann)
    return ann, bob, cat


def test_predicates_in_where(app, db, User, network, assert_statements):
    """On the class they are criteria: one statement for all users, given as objects or keys."""
    ann, bob, cat = network

    def found(criterion):
        with assert_statements(1):
            return db.session.scalars(sa.select(User.id).where(criterion).order_by(User.id)).all()

    assert found(User.is_following(ann)) == [bob.id, cat.id]
    assert found(User.is_following(bob.id)) == [ann.id]
    assert found(User.is_followed_by(ann)) == [bob.id]
    assert found(User.is_followed_by(cat.id)) == [ann.id]
    assert found(User.is_mutual_with(ann)) == [bob.id]
    assert found(~User.is_following(ann)) == [ann.id]
    assert found(User.is_following(ann) & ~User.is_mutual_with(ann)) == [cat.id]
    assert found(User.is_following(12345)) == []


def test_predicates_in_order_by(app, db, User, network):
    """Those whom one follows come first."""
    ann, bob, cat = network
    ordered = sa.select(User.id).order_by(User.is_followed_by(ann).desc(), User.id)
    assert db.session.scalars(ordered).all() == [bob.id, ann.id, cat.id]


def test_predicates_as_columns(app, db, User, network, assert_statements):
    """A page of users with its buttons is one statement."""
    ann, bob, cat = network
    columns = User.is_followed_by(ann).label("followed"), User.is_following(ann).label("follows")
    with assert_statements(1):
        rows = db.session.execute(sa.select(User, *columns).order_by(User.id)).all()
    assert [(row.User, bool(row.followed), bool(row.follows)) for row in rows] == [
        (ann, False, False),
        (bob, True, True),
        (cat, False, True),
    ]


def test_predicates_take_sql(app, db, User, network):
    """The other user may be a column, a parameter or a sub-query."""
    ann, bob, cat = network
    other = aliased(User)
    pairs = (
        sa.select(User.id, other.id)
        .join(other, User.is_following(other.id))
        .order_by(User.id, other.id)
    )
    expected = [(ann.id, bob.id), (bob.id, ann.id), (cat.id, ann.id)]
    assert [tuple(row) for row in db.session.execute(pairs)] == expected
    first = sa.select(sa.func.min(other.id)).scalar_subquery()
    for key in (
        first,
        sa.literal(ann.id),
        sa.bindparam("key", ann.id),
        sa.func.abs(ann.id),
        sa.case((User.id > 0, ann.id)),
        sa.cast(str(ann.id), sa.Integer),
    ):
        fans = sa.select(User.id).where(User.is_following(key)).order_by(User.id)
        assert db.session.scalars(fans).all() == [bob.id, cat.id]
    with pytest.raises(WrongTypeError, match="expected an instance of User"):
        User.is_following(sa.text("1"))


def test_predicates_for_other_classes(db, start, follows):
    """Posts by those whom a user follows, by their author's column."""
    User = make_user_model(db)

    class Post(db.Model):
        id = mapped_column(sa.Integer, primary_key=True)
        author_id = mapped_column(sa.ForeignKey("user.id"))

    start(db, User)
    ann, bob, cat = add_users(db, User)
    db.session.add_all([Post(author_id=bob.id), Post(author_id=cat.id)])
    ann.follow(bob)
    timeline = sa.select(Post.author_id).join(User, User.id == Post.author_id)
    assert db.session.scalars(timeline.where(User.is_followed_by(ann))).all() == [bob.id]
    viewer = sa.select(User.id).where(User.is_following(Post.author_id)).correlate(Post)
    assert db.session.scalars(sa.select(Post.author_id).where(viewer.exists())).all() == [bob.id]


def test_predicates_of_two_aliases(app, db, User, network):
    """Each alias is a user of its own, with an edge of its own."""
    ann, bob, cat = network
    one, two = aliased(User), aliased(User, name="two")
    both = sa.select(one.id, two.id).where(
        one.is_following(ann), two.is_following(ann), one.id < two.id, ~two.is_mutual_with(ann)
    )
    assert [tuple(row) for row in db.session.execute(both)] == [(bob.id, cat.id)]


def test_predicates_in_the_old_query(app, db, User, network):
    """`User.query` and `filter` take them as well."""
    ann, bob, cat = network
    query = User.query.filter(User.is_following(ann), User.followed_count == 1)
    assert set(query) == {bob, cat}
    assert query.count() == 2
    assert query.order_by(User.followers_count.desc()).first() == bob
    assert query.paginate(per_page=1).total == 2


# --- Counts ---------------------------------------------------------------------------------------


def test_counts_on_an_object(network, assert_statements):
    """One statement, on the edges alone."""
    ann, bob, cat = network
    for user, followed, followers in [(ann, 1, 2), (bob, 1, 1), (cat, 1, 0)]:
        # All that the session holds are counted by the first.
        with assert_statements(2 * (user is ann)) as counted:
            assert user.followed_count == followed
            assert user.followers_count == followers
        assert not any('"user"' in sent or "JOIN" in sent.upper() for sent in counted.statements)
    assert type(ann.followers_count) is int


def test_counts_cannot_be_set(users):
    """They are read from the edges."""
    (ann,) = users(1)
    with pytest.raises(AttributeError):
        ann.followers_count = 1


def test_counts_of_a_user_who_is_not_saved(app, db, User, assert_statements):
    """A form may show a user who is not in the database: nobody follows them."""
    new = User(username="new")
    with assert_statements(0):
        assert (new.followed_count, new.followers_count) == (0, 0)
    with db.session.no_autoflush:
        db.session.add(new)
        with assert_statements(0):
            assert (new.followed_count, new.followers_count) == (0, 0)
    assert new.followed_count == 0
    assert new.id is not None


def test_counts_on_the_class(app, db, User, network, assert_statements):
    """As columns, criteria and order: one statement."""
    ann, bob, cat = network
    with assert_statements(1):
        rows = db.session.execute(
            sa.select(User.id, User.followed_count, User.followers_count)
            .where(User.followed_count == 1)
            .order_by(User.followers_count.desc())
        ).all()
    assert [tuple(row) for row in rows] == [(ann.id, 1, 2), (bob.id, 1, 1), (cat.id, 1, 0)]
    assert (rows[0].followed_count, rows[0].followers_count) == (1, 2)


def test_counts_stand_alone(app, db, User, network):
    """A count selected without the class around it still counts user by user."""
    counts = sa.select(User.followers_count).order_by(User.followers_count)
    assert db.session.scalars(counts).all() == [0, 1, 2]
    assert db.session.scalar(sa.select(sa.func.max(User.followers_count))) == 2


def test_counts_of_an_alias_and_beside_the_edges(app, db, User, network, follows):
    """They are not confused by another alias, or by the edge table in the same statement."""
    ann, *_ = network
    alias = aliased(User)
    by_alias = sa.select(alias.id).where(alias.followers_count == 2)
    assert db.session.scalars(by_alias).all() == [ann.id]
    Follow = follows.Follow
    joined = (
        sa.select(User.id, User.followers_count)
        .join(Follow, Follow.followed_id == User.id)
        .where(Follow.follower_id == network[2].id)
    )
    assert [tuple(row) for row in db.session.execute(joined)] == [(ann.id, 2)]
    followers = (
        sa.select(User.username)
        .join(User.followed.of_type(alias))
        .where(User.followers_count == 0, alias.followers_count == 2)
    )
    assert db.session.scalars(followers).all() == ["u2"]


def test_expressions_are_cached(app, db, User, network, assert_statements):
    """The same question about another user is the same statement to SQLAlchemy's cache."""
    ann, bob, _ = network

    def cache_key(user):
        return sa.select(User.id).where(User.is_following(user), User.followed_count == 1)

    one, two = cache_key(ann), cache_key(bob)
    assert str(one) == str(two)
    assert db.session.scalars(one).all() != db.session.scalars(two).all()


# --- Mutuals --------------------------------------------------------------------------------------


def test_mutuals(app, db, users, assert_statements):
    """A query of those who follow back, newest first, in one statement."""
    ann, bob, cat, dan = users(4)
    ann.follow(cat, created_at=MOMENT)
    ann.follow(bob, created_at=MOMENT + timedelta(seconds=1))
    ann.follow(dan)
    bob.follow(ann)
    cat.follow(ann)
    with assert_statements(1):
        assert ann.mutuals.all() == [bob, cat]
    assert ann.mutuals.filter_by(username="u2").one() == cat
    assert ann.mutuals.paginate(per_page=1).total == 2
    assert isinstance(ann.mutuals, db.Query)
    assert dan.mutuals.all() == []


# --- The mixin ------------------------------------------------------------------------------------


def test_the_mixin_before_the_set_up(db):
    """The message says what to call."""
    User = make_user_model(db, mixins=(FollowMixin,))
    user = User(username="ann")
    for attempt in (
        *(lambda verb=verb: getattr(user, verb)(1) for verb in VERBS),
        lambda: user.is_following(1),
        lambda: user.is_mutual_with(1),
        lambda: user.followers_count,
        lambda: user.mutuals,
        lambda: User.is_following(1),
        lambda: User.followed_count,
        lambda: sa.select(aliased(User).followed_count),
    ):
        match = r"User has no follow relation yet; call follows\.init_app\(app, db, User\) first"
        with pytest.raises(ConfigurationError, match=match):
            attempt()
    for name in COLLECTIONS:
        with pytest.raises(ConfigurationError, match=match):
            getattr(user, name)
    assert not hasattr(User, "followers")


COLLECTIONS = ("followed", "followers", "followed_set", "followers_set")


def test_a_name_that_is_not_there(db, start):
    """Attributes that the mixin knows nothing of are missed as ever, before and after."""

    def broken(self):
        return self.nothing

    User = make_user_model(db, mixins=(FollowMixin,), broken=property(broken))
    user = User(username="ann")
    for _ in range(2):
        with pytest.raises(AttributeError, match="'User' object has no attribute 'fans'"):
            user.fans  # noqa: B018
        with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
            user.broken  # noqa: B018
        assert not hasattr(user, "fans")
        if "__follows__" not in vars(User):
            start(db, User)


def test_a_collection_of_another_name(db, start):
    """Where the host has renamed a collection, ours is an attribute like any that is missing."""
    User = make_user_model(db, mixins=(FollowMixin,))
    start(db, User, Follows(names={"followers": "fans"}))
    (ann,) = add_users(db, User, 1)
    assert ann.fans.all() == []
    with pytest.raises(AttributeError, match="'User' object has no attribute 'followers'"):
        ann.followers  # noqa: B018


def test_the_hosts_own_way_to_find_attributes(db):
    """A `__getattr__` of a class to the right is asked for what the mixin does not know."""

    class Settings:
        def __getattr__(self, name):
            if name == "colour":
                return "red"
            raise AttributeError(name)

    User = make_user_model(db, mixins=(FollowMixin, Settings))
    user = User(username="ann")
    assert user.colour == "red"
    with pytest.raises(AttributeError, match=r"^size$"):
        user.size  # noqa: B018
    with pytest.raises(ConfigurationError, match="init_app"):
        user.followers  # noqa: B018


def test_the_mixin_on_no_model():
    """It is no model itself and adds nothing but names."""
    with pytest.raises(ConfigurationError, match="FollowMixin has no follow relation yet"):
        FollowMixin().follow(1)


def test_every_name_is_documented(app, User):
    """`help(User.follow)` says what it does, what it answers and what it raises."""
    for verb in VERBS:
        documentation = inspect.getdoc(getattr(User, verb))
        assert ":return:" in documentation
        assert ":raises" in documentation
    for name in ("is_following", "is_followed_by", "is_mutual_with"):
        assert "on the class" in inspect.getdoc(getattr(User(username="x"), name))
    for name in ("followed_count", "followers_count"):
        assert "on the class" in inspect.getdoc(inspect.getattr_static(User, name))
    assert inspect.getdoc(User.mutuals)


def test_the_collections_are_ours(app, db, users):
    """`followed` and `followers` are related queries, the edges plain ones."""
    (ann,) = users(1)
    for name in ("followed", "followers"):
        assert isinstance(getattr(ann, name), RelatedQuery)
        assert isinstance(getattr(ann, name), db.Query)
        edges = getattr(ann, f"{name}_set")
        assert isinstance(edges, db.Query)
        assert not isinstance(edges, RelatedQuery)
