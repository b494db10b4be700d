"""Users named in a file: by key or another column, found, created, or neither."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import mapped_column, validates

from flask_follows import ConfigurationError
from flask_follows.names import AMBIGUOUS, CreationError, UserNames

from .hosts import KEYS, add_users
from .models import make_user_model


@pytest.fixture
def host(db, follows, start):
    """`host(**attributes)`: start an application on such a `User`; return it."""

    def host(**attributes: Any) -> Any:
        User = make_user_model(db, **attributes)
        start(db, User)
        return User

    return host


@pytest.fixture
def named(follows):
    """`named(by)`: the names of the application's users."""
    return lambda by=None: UserNames(follows.follow_relation.source, by)


@pytest.mark.parametrize("kind", KEYS)
def test_every_kind_of_key(kind, db, host, named):
    """Keys are found in the form that they have in a file; who is not there is left out."""
    column, keys, absent = KEYS[kind]
    add_users(db, host(key=column), keys=keys)
    names = named()
    parsed = {names.parse(str(key)) for key in [*keys, absent]}
    assert names.keys(db.session, parsed) == {key: key for key in keys}


@pytest.mark.parametrize("kind", ["uuid", "uuid as text"])
def test_other_forms_of_uuids(kind, db, host, named):
    """A UUID may be written with capitals, without dashes or in braces."""
    column, keys, _ = KEYS[kind]
    add_users(db, host(key=column), keys=keys)
    names, text = named(), str(keys[0])
    for form in (text, text.upper(), text.replace("-", ""), f"{{{text}}}"):
        assert names.parse(form) == keys[0]
    with pytest.raises(ValueError, match="'x' is not a UUID"):
        names.parse("x")


@pytest.mark.parametrize("text", ["", "1.0", "1e3", "x", "0x1", "٣", "1 2", "9" * 21])
def test_what_is_no_whole_number(text, app, named):
    """A key that is a number is written in digits."""
    with pytest.raises(ValueError, match="is not a whole number"):
        named().parse(text)


def test_by_other_columns(db, host, named):
    """Any column with numbers, texts or UUIDs names users, whatever the column is called."""
    User = host(code=mapped_column("no", sa.Integer), token=mapped_column("the token", sa.Uuid))
    (user,) = add_users(db, User, 1, code=7, token=UUID(int=9))
    for by, text in [("username", "u0"), ("code", "7"), ("token", str(UUID(int=9)))]:
        names = named(by)
        assert names.keys(db.session, {names.parse(text)}) == {names.parse(text): user.id}


def test_values_out_of_range(db, host, named):
    """A number that the column cannot hold names nobody, and no database complains."""
    User = host(code=mapped_column(sa.Integer))
    (user,) = add_users(db, User, 1, code=7)
    assert named("code").keys(db.session, {7, 2**31, 10**19}) == {7: user.id}
    assert named().keys(db.session, {user.id, -(2**40), 10**19}) == {user.id: user.id}


def test_more_names_than_fit_into_a_statement(db, host, named):
    """Any number of names is looked up."""
    users = add_users(db, host(), 700)
    names = {user.username for user in users} | {f"nobody{number}" for number in range(700)}
    found = named("username").keys(db.session, names)
    assert found == {user.username: user.id for user in users}


def test_a_name_that_several_users_have(db, host, named):
    """It is nobody's."""
    User = host(city=mapped_column(sa.String(20)))
    for name, city in [("a", "Rome"), ("b", "Rome"), ("c", "Oslo")]:
        db.session.add(User(username=name, city=city))
    db.session.commit()
    found = named("city").keys(db.session, {"Rome", "Oslo"})
    assert found["Rome"] is AMBIGUOUS
    assert found["Oslo"] is not AMBIGUOUS


def test_names_that_are_the_same_to_the_database(db, host, named):
    """What the database takes for one name is one, and no other database's habit counts."""
    (user,) = add_users(db, host(), 1)
    user.username = "Zoë"
    db.session.commit()
    names = {"Zoë", "zoë", "ZOE", "Zoe"}
    same = db.session.scalars(sa.select(sa.literal("ZOE") == type(user).username)).one()
    found = named("username").keys(db.session, names)
    assert found == dict.fromkeys(names if same else {"Zoë"}, user.id)
    assert same == (db.engine.dialect.name in ("mysql", "mariadb"))


def test_an_unknown_column(app, named):
    """The message names the columns that there are."""
    with pytest.raises(ConfigurationError, match=r"no column 'nick'.*: id, username"):
        named("nick")


@pytest.mark.parametrize(
    "kind", [sa.Float, sa.Boolean, sa.Enum("a", "b", name="ab"), sa.LargeBinary, sa.PickleType]
)
def test_columns_of_other_types(kind, host, named):
    """A column whose values have no form in CSV is refused."""
    host(other=mapped_column(kind))
    with pytest.raises(ConfigurationError, match=r"User\.other cannot be read from CSV"):
        named("other")


def create(db: Any, names: UserNames, wanted: list[str]) -> tuple[int, dict[str, str]]:
    """Create users inside a transaction that is under way, and commit."""
    db.session.execute(sa.delete(names.user.model).where(sa.false()))
    result = names.create(db.session, wanted)
    db.session.commit()
    return result


def test_creating(db, host, named):
    """Users are made, and those that are there already are not made again."""
    host(
        joined=mapped_column(sa.String(9), default="now"),
        note=mapped_column(sa.Text, nullable=True),
    )
    names = named("username")
    assert create(db, names, ["a", "b"]) == (2, {})
    assert create(db, names, ["a", "b", "c", "d", "e"]) == (3, {})
    assert len(names.keys(db.session, set("abcde"))) == 5


@pytest.mark.parametrize("names", [["a"], list("abcdefgh")])
def test_a_model_that_needs_more(names, db, host, named):
    """The message says what else a user needs, and what to do."""
    host(mail=mapped_column(sa.String(20), nullable=False))
    with pytest.raises(CreationError, match=r"it needs mail too \(.*Give that a default"):
        create(db, named("username"), names)


@pytest.mark.filterwarnings("ignore:Column 'user.id' is marked")
def test_a_key_without_default(db, host, named):
    """A key that only the application can give is something that a user needs."""
    host(key=sa.Uuid)
    with pytest.raises(CreationError, match="it needs id too"):
        create(db, named("username"), ["a"])


def test_a_constructor_that_needs_more(db, host, named):
    """A constructor of the host's own that wants more is told of in the same way."""

    def __init__(self: Any, username: str, mail: str) -> None:
        self.username, self.mail = username, mail

    host(mail=mapped_column(sa.String(20), nullable=False), __init__=__init__)
    with pytest.raises(CreationError, match=r"it needs mail too \(.*'mail'"):
        create(db, named("username"), ["a"])


def test_a_name_that_is_refused(db, host, named):
    """A validator's refusal concerns that name alone."""

    def check(_self: Any, _key: str, name: str) -> str:
        if "!" in name:
            raise ValueError("no exclamation marks")
        return name

    host(check=validates("username")(check))
    made, refused = create(db, named("username"), ["a", "b!", "c", "d", "e!"])
    assert made == 3
    assert refused == {
        name: f"cannot create User {name!r}: no exclamation marks" for name in ("b!", "e!")
    }


def test_a_name_that_the_column_cannot_hold(db, host, named):
    """A name that is too long costs no other user, even where the model needs more."""
    host(mail=mapped_column(sa.String(20), nullable=False, default="-"))
    made, refused = create(db, named("username"), ["a", "x" * 81, "c"])
    if db.engine.dialect.name == "sqlite":  # takes texts of any length
        assert (made, refused) == (3, {})
    else:
        assert (made, list(refused)) == (2, ["x" * 81])
        assert "too long" in refused["x" * 81]


def test_a_check_of_the_hosts(db, host, named):
    """A CHECK that refuses a name concerns that name alone."""
    host(__table_args__=(sa.CheckConstraint("username <> 'root'", name="ck_no_root"),))
    made, refused = create(db, named("username"), ["a", "root"])
    assert (made, list(refused)) == (1, ["root"])
