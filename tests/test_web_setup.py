"""What the host configures: switched off, mounted elsewhere, several applications."""

from __future__ import annotations

import pytest
from flask import Blueprint, render_template_string
from flask_sqlalchemy import SQLAlchemy

from flask_follows import ConfigurationError, Follows

from .models import make_user_model
from .sites import JSON


def test_switched_off(make_site):
    """No address is left; tests, counts, filter and macros work; a button says what is wrong."""
    site = make_site(FOLLOWS_BLUEPRINT=False)
    site.add("ann", "bob")
    site.follow("ann bob")
    assert not [rule for rule in site.app.url_map.iter_rules() if "follow" in rule.rule]
    site.show(
        '{% from "flask_follows/macros.html" import pager %}'
        "{{ follow_counts(users[1]) }}{{ users[0] is following users[1] }}{{ 1200|compact_number }}"
        "{{ pager(users[1].followers.page()) }}"
    )
    page = site.client("ann").get("/page").text
    assert "True1.2K" in page
    assert "href" not in page
    site.show("{{ follow_button(users[1]) }}")
    with pytest.raises(ConfigurationError, match="FOLLOWS_BLUEPRINT = False leaves out"):
        site.client("ann").get("/page")
    assert site.client().get("/follows/1/followers").status_code == 404


def test_a_blueprint_of_the_hosts(make_app, db, User):
    """One of the same name is no trouble where ours is switched off, and named where it is not."""
    app = make_app(db)
    app.register_blueprint(Blueprint("follows", __name__))
    with pytest.raises(ConfigurationError, match="has a blueprint 'follows' of its own"):
        Follows(app, db, User)
    app.config["FOLLOWS_BLUEPRINT"] = False
    Follows(app, db, User)


def test_mounted_elsewhere(make_site):
    """All addresses move, the script and the description too."""
    site = make_site(FOLLOWS_URL_PREFIX="/our/graph", FOLLOWS_USER_COLUMN="username")
    site.add("ann", "bob")
    ann = site.client("ann")
    assert ann.post("/our/graph/bob/follow").location == "/our/graph/bob/followers"
    page = ann.get("/our/graph/bob/followers").text
    assert 'action="/our/graph/bob/unfollow"' in page
    assert 'src="/our/graph/-/static/follows.js"' in page
    assert ann.get("/our/graph/openapi.json").json["servers"] == [{"url": "/our/graph"}]
    assert ann.get("/follows/bob/followers").status_code == 404


def test_below_a_path_of_the_server(site):
    """An application that is mounted at a path leads back below that path."""
    page = site.client("ann").get("/follows/bob/followers", base_url="http://localhost/app")
    assert 'action="/app/follows/bob/follow"' in page.text
    assert 'name="next" value="/app/follows/bob/followers"' in page.text
    assert site.client().get("/follows/openapi.json", base_url="http://localhost/app").json[
        "servers"
    ] == [{"url": "/app/follows"}]


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"FOLLOWS_BLUEPRINT": "False"}, "FOLLOWS_BLUEPRINT must be True or False, not 'False'"),
        ({"FOLLOWS_URL_PREFIX": "graph"}, "FOLLOWS_URL_PREFIX must be a path"),
        ({"FOLLOWS_URL_PREFIX": "/graph/"}, "FOLLOWS_URL_PREFIX must be a path"),
        ({"FOLLOWS_URL_PREFIX": None}, "FOLLOWS_URL_PREFIX must be a path"),
    ],
)
def test_settings_that_are_none(make_app, db, User, config, words):
    """Said at set-up."""
    app = make_app(db, **config)
    with pytest.raises(ConfigurationError, match=words):
        Follows(app, db, User)


@pytest.mark.parametrize("number", [0, 101, "20", True, None])
def test_a_size_of_pages_that_is_none(site, number):
    """Said by the first page."""
    site.app.config["FOLLOWS_PER_PAGE"] = number
    with pytest.raises(ConfigurationError, match="FOLLOWS_PER_PAGE must be a number from 1 to 100"):
        site.client().get("/follows/ann/followers")


def test_init_app_twice(make_app, db, User, follows):
    """A second call for one application adds nothing."""
    app = make_app(db)
    follows.init_app(app, db, User)
    rules = list(app.url_map.iter_rules())
    follows.init_app(app, db, User)
    assert list(app.url_map.iter_rules()) == rules


def test_two_applications(make_app):
    """Each has its own addresses and settings; one `Follows` serves both."""
    db, follows = SQLAlchemy(), Follows()
    User = make_user_model(db)
    one = make_app(db)
    two = make_app(db, FOLLOWS_URL_PREFIX="/two", FOLLOWS_USER_COLUMN="username")
    for app in (one, two):
        follows.init_app(app, db, User)
    with one.app_context():
        db.create_all()
        db.session.add(User(username="ann"))
        db.session.commit()
    assert one.test_client().get("/follows/1/followers").status_code == 200
    assert two.test_client().get("/two/ann/followers", headers=JSON).json["user"]["id"] == "ann"
    assert two.test_client().get("/follows/1/followers").status_code == 404


def test_a_model_that_comes_later(make_app, db, follows):
    """The blueprint is there before a user model given by name; templates of others are drawn."""
    app = make_app(db)
    follows.init_app(app, db, "User")
    with app.test_request_context():
        assert render_template_string("{{ 1|compact_number }}") == "1"
    with pytest.raises(ConfigurationError):
        app.test_client().get("/follows/1/followers")
    make_user_model(db)
    with app.app_context():
        db.create_all()
    assert app.test_client().get("/follows/1/followers").status_code == 404


def test_relations_without_users(make_app, db):
    """A host without a user model has nothing for a browser."""
    follows = Follows()
    User = make_user_model(db)
    follows.relation(User, "friends", User, symmetrical=True)
    app = make_app(db)
    follows.init_app(app, db)
    assert "follows" not in app.blueprints
    assert "follow_button" not in app.jinja_env.globals
