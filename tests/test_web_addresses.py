"""How users are named in addresses: by keys of every type, or by a column, whatever is in it."""

from __future__ import annotations

from urllib.parse import unquote

import pytest
import sqlalchemy as sa
from flask import url_for
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.orm import mapped_column
from werkzeug.routing import Map

from flask_follows import ConfigurationError
from flask_follows.web.addresses import UserConverter

from .hosts import KEYS
from .models import make_user_model
from .sites import JSON

AWKWARD = [
    "",
    ".",
    "..",
    "a/b",
    "/",
    "//evil.example",
    "~",
    "~x",
    "?x=1",
    "#x",
    "%2f",
    "a b",
    "é",
    "\\x",
]


@pytest.mark.parametrize("kind", KEYS)
def test_keys_of_every_type(make_site, kind):
    """Buttons, pages and cursors work for whatever a key may be."""
    key, keys, _ = KEYS[kind]
    site = make_site(lambda db: make_user_model(db, key=key))
    with site.app.test_request_context():
        for number, value in enumerate(keys):
            site.db.session.add(site.User(id=value, username=f"u{number}"))
        site.db.session.commit()
        paths = [url_for("follows.follow", user=site.user(f"u{number}")) for number in range(3)]
    u0 = site.client("u0")
    for path in paths[1:]:
        assert u0.post(path).status_code == 303
    assert site.edges() == {"u0 u1", "u0 u2"}
    site.app.config["FOLLOWS_PER_PAGE"] = 1
    path = f"{paths[0]}ed"
    page = u0.get(path, headers=JSON).json
    assert page["items"][0]["id"] == str(keys[2])
    page = u0.get(path, query_string={"after": page["next"]}, headers=JSON).json
    assert page["items"][0]["id"] == str(keys[1])
    assert u0.post(f"{paths[1].removesuffix('follow')}unfollow").status_code == 303
    assert site.edges() == {"u0 u2"}


@pytest.mark.parametrize("kind", KEYS)
def test_a_key_that_nobody_has(make_site, kind):
    """404 for a key that is not there, and for what no such key can be."""
    key, _, nobody = KEYS[kind]
    site = make_site(lambda db: make_user_model(db, key=key))
    for name in (nobody, "nobody", "-9" * 20, "\0"):
        with site.app.test_request_context():
            path = url_for("follows.followers", user=name)
        assert site.client().get(path).status_code == 404


def test_awkward_names(make_site):
    """Whatever a user is called, the button goes to that user and to no other address."""
    site = make_site(FOLLOWS_USER_COLUMN="username")
    site.add("ann", *AWKWARD)
    ann = site.client("ann")
    for name in AWKWARD:
        with site.app.test_request_context():
            path = url_for("follows.follow", user=site.user(name))
        assert ann.post(path, headers=JSON).json["user"]["name"] == name
        assert path.count("/") == 3
        assert "/./" not in path
        assert "/../" not in path
    with site.app.app_context():
        assert site.user("ann").followed_count == len(AWKWARD)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_every_name_is_one_part_of_a_path(name):
    """It comes back as it was, and no browser reads it as anything but one part."""
    converter = UserConverter(Map())
    part = converter.to_url(name)
    assert part
    assert part not in (".", "..")
    assert not set("/\\?#") & set(part)
    assert converter.to_python(unquote(part)) == name


def test_another_column(site):
    """The key is told nowhere; in JSON, `id` is what stands in addresses."""
    site.follow("ann bob")
    page = site.client().get("/follows/bob/followers")
    assert page.status_code == 200
    assert site.client().get("/follows/bob/followers", headers=JSON).json["items"][0]["id"] == "ann"
    assert site.client().get("/follows/1/followers").status_code == 404


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ("nickname", r"User has no column 'nickname'.*FOLLOWS_USER_COLUMN"),
        ("born", r"User\.born cannot be.*FOLLOWS_USER_COLUMN"),
        (1, "FOLLOWS_USER_COLUMN must be the name of a column"),
        ("email", "a User has no email, and so no address"),
        ("city", "several users have the city 'Rome'"),
    ],
)
def test_a_column_that_does_not_name_users(make_site, column, words):
    """A mistake of the host's, said in the words of the setting."""
    columns = {
        "born": mapped_column(sa.Date, nullable=True),
        "email": mapped_column(sa.String(80), nullable=True, unique=True),
        "city": mapped_column(sa.String(80), nullable=True),
    }
    site = make_site(lambda db: make_user_model(db, **columns), FOLLOWS_USER_COLUMN=column)
    site.add("ann", "bob", city="Rome")
    site.show("{{ follow_counts(users[0]) }}")
    with pytest.raises(ConfigurationError, match=words):
        site.client().get("/follows/Rome/followers" if column == "city" else "/page")


def test_a_key_of_a_type_without_a_text(make_site):
    """The host is told to name a column; with it, all is well."""

    class Odd(sa.TypeDecorator):
        impl = sa.Integer
        cache_ok = True

        def process_bind_param(self, value, dialect):
            return value

    def make_user(db):
        return make_user_model(db, key=mapped_column(Odd, primary_key=True, autoincrement=True))

    site = make_site(make_user)
    with pytest.raises(ConfigurationError, match="FOLLOWS_USER_COLUMN names the column"):
        site.client().get("/follows/1/followers")
    site.app.config["FOLLOWS_USER_COLUMN"] = "username"
    with site.app.app_context():
        site.db.session.add(site.User(id=1, username="ann"))
        site.db.session.commit()
    assert site.client().get("/follows/ann/followers").status_code == 200
