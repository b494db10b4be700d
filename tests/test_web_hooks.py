"""What the host says about actions, lists, names and addresses of users."""

from __future__ import annotations

import re

import pytest
from flask import abort
from sqlalchemy import String
from sqlalchemy.orm import mapped_column

from .models import make_user_model
from .sites import JSON


def test_a_veto(site):
    """No button, and 403 to whoever tries; the other actions are as before."""
    asked = []

    @site.follows.web.allows
    def allows(actor, action, user):
        asked.append((actor.username, action, user.username))
        return (action, user.username) != ("follow", "bob")

    ann = site.client("ann")
    site.show("{% for user in users %}{{ follow_button(user) }}{% endfor %}")
    assert re.findall(r'action="([^"]+)"', ann.get("/page").text) == ["/follows/cleo/follow"]
    for headers in ({}, JSON):
        assert ann.post("/follows/bob/follow", headers=headers).status_code == 403
    assert ann.post("/follows/cleo/follow").status_code == 303
    assert ann.post("/follows/bob/unfollow").status_code == 303
    assert site.edges() == {"ann cleo"}
    assert set(asked) == {
        ("ann", "follow", "bob"),
        ("ann", "follow", "cleo"),
        ("ann", "unfollow", "bob"),
    }


def test_a_veto_on_removing(site):
    """The button that removes a follower asks, too."""
    site.follow("bob ann")
    site.follows.web.allows(lambda actor, action, user: action != "remove_follower")
    ann = site.client("ann")
    assert "remove-follower" not in ann.get("/follows/ann/followers").text
    assert ann.post("/follows/bob/remove-follower", headers=JSON).status_code == 403


def test_all_must_agree(site):
    """One that says no is enough."""
    site.follows.web.allows(lambda *_: True)
    site.follows.web.allows(lambda *_: False)
    site.follows.web.allows(lambda *_: True)
    assert site.client("ann").post("/follows/bob/follow").status_code == 403


def test_a_hidden_list(site):
    """403, to a visitor the login page; the number stays, without a link."""

    @site.follows.web.shows
    def shows(viewer, page, user):
        return page != "followers" or (viewer is not None and viewer.username == "cleo")

    site.show("{{ follow_counts(users[1]) }}")
    ann, path = site.client("ann"), "/follows/bob/followers"
    assert [ann.get(path).status_code, ann.get(path, headers=JSON).status_code] == [403, 403]
    assert site.client("cleo").get(path).status_code == 200
    assert ann.get("/follows/bob/followed").status_code == 200
    assert site.client().get(path).location == "/login?next=%2Ffollows%2Fbob%2Ffollowers"
    assert site.client().get(path, headers=JSON).status_code == 401
    for client, links in ((ann, 1), (site.client(), 1), (site.client("cleo"), 2)):
        page = client.get("/page").text
        assert (page.count("href"), page.count("<strong")) == (links, 2)


def test_a_user_whose_existence_is_not_told(site):
    """A hook may answer as for a user who does not exist."""

    @site.follows.web.shows
    def shows(viewer, page, user):
        return user.username != "bob" or abort(404)

    ann = site.client("ann")
    for headers in ({}, JSON):
        answers = [ann.get(f"/follows/{n}/followers", headers=headers) for n in ("bob", "dora")]
        assert [answer.status_code for answer in answers] == [404, 404]
        assert len({answer.mimetype for answer in answers}) == 1


@pytest.mark.parametrize("headers", [{}, JSON])
def test_names_and_addresses(site, headers):
    """What users are called, and where their own page is, in both forms."""
    site.follow("bob ann", "cleo ann")
    site.follows.web.display_name(lambda user: user.username.title())
    site.follows.web.profile_url(lambda user: f"/u/{user.username}" if user.id == 2 else None)
    page = site.client().get("/follows/ann/followers", headers=headers)
    if headers:
        shown = [(person["id"], person["name"], person["url"]) for person in page.json["items"]]
        assert shown == [("cleo", "Cleo", None), ("bob", "Bob", "/u/bob")]
    else:
        assert '<a class="follows-name" href="/u/bob">Bob</a>' in page.text
        assert '<span class="follows-name">Cleo</span>' in page.text
        assert "<h1>Followers of Ann</h1>" in page.text


def test_a_decorator_returns_the_function(site):
    """What is registered stays as it is."""
    for decorate in ("allows", "shows", "profile_url", "display_name"):
        assert getattr(site.follows.web, decorate)(test_a_veto) is test_a_veto


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"username": "ann", "nickname": "Anna"}, "ann"),
        ({"username": None, "nickname": "Anna"}, "Anna"),
        ({"username": None, "nickname": None}, "1"),
    ],
)
def test_the_name_where_the_host_does_not_say(make_site, values, name):
    """The username, else the name, else the key."""
    nickname = mapped_column("nickname", String(80), nullable=True)

    def make_user(db):
        User = make_user_model(
            db, nickname=nickname, username=mapped_column(String(80), nullable=True)
        )
        User.name = property(lambda user: user.nickname)
        return User

    site = make_site(make_user)
    with site.app.app_context():
        site.db.session.add(site.User(**values))
        site.db.session.commit()
    page = site.client().get("/follows/1/followers", headers=JSON).json
    assert page["user"]["name"] == name


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("/u/ann", True),
        ("u/ann?a:b", True),
        ("https://ann.example/", True),
        ("HTTP://ann.example/", True),
        ("javascript:alert(1)", False),
        ("JavaScript:alert(1)", False),
        (" javascript:alert(1)", False),
        ("\x01javascript:alert(1)", False),
        ("java\tscript:alert(1)", False),
        ("data:text/html,x", False),
        ("http://[ann", False),
    ],
)
def test_an_address_that_is_a_script(site, url, shown):
    """It is no link and no redirection, wherever the host has it from."""
    site.follows.web.profile_url(lambda user: url)
    ann, headers = site.client("ann"), {"Accept": "application/json"}
    told = ann.get("/follows/bob/followers", headers=headers).json["user"]["url"]
    assert told == (url if shown else None)
    assert (ann.post("/follows/bob/follow").location == "/follows/bob/followers") is not shown
    assert ('<a class="follows-name"' in ann.get("/follows/bob/followers").text) is shown
