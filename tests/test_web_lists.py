"""The pages of users: what is on them, in HTML and in JSON, and how they are paged."""

from __future__ import annotations

import re

import pytest
from jinja2 import DictLoader
from sqlalchemy import event
from sqlalchemy.orm import with_loader_criteria

from flask_follows import Follows

from .sites import JSON


def names(page):
    """Return the names that a page shows, in order."""
    return re.findall(r'class="follows-name"[^>]*>([^<]*)<', page)


@pytest.fixture
def network(site):
    """Everybody follows ann; she follows bob, and he follows cleo."""
    site.follow("bob ann", "cleo ann", "ann bob", "bob cleo")
    return site


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/follows/ann/followers", ["cleo", "bob"]),
        ("/follows/ann/followed", ["bob"]),
        ("/follows/ann/mutuals", ["bob"]),
        ("/follows/cleo/known-followers", ["bob"]),
        ("/follows/bob/known-followers", []),
    ],
)
def test_what_is_on_a_page(network, path, shown):
    """The newest first; the same in HTML and in JSON."""
    ann = network.client("ann")
    page = ann.get(path)
    assert (page.status_code, names(page.text)) == (200, shown)
    page = ann.get(path, headers=JSON).json
    assert [person["name"] for person in page["items"]] == shown
    assert (page["list"], page["next"], page["previous"]) == (
        path.rpartition("/")[2].replace("-", "_"),
        None,
        None,
    )


def test_an_empty_list_says_so(network):
    """Each in its own words, with the name in it."""
    ann = network.client("ann")
    for path, text in [
        ("/follows/cleo/mutuals", "Nobody whom cleo follows follows back yet."),
        ("/follows/bob/known-followers", "Nobody whom you follow follows bob."),
    ]:
        assert text in ann.get(path).text
    network.add("dora")
    assert "Nobody follows dora yet." in ann.get("/follows/dora/followers").text
    assert "dora follows nobody yet." in ann.get("/follows/dora/followed").text


def test_a_page_in_json(network):
    """How each user stands to the viewer is told to who is logged in, and null to a visitor."""
    page = network.client("ann").get("/follows/ann/followers", headers=JSON).json
    assert page["user"] == {
        **{"id": "ann", "name": "ann", "url": None, "following": None, "followed_by": None}
    }
    assert [(p["id"], p["following"], p["followed_by"]) for p in page["items"]] == [
        ("cleo", False, True),
        ("bob", True, True),
    ]
    page = network.client().get("/follows/ann/followers", headers=JSON).json
    assert [(p["id"], p["following"]) for p in page["items"]] == [("cleo", None), ("bob", None)]


@pytest.mark.parametrize("name", ["followers", "followed", "mutuals", "known-followers"])
def test_pages_to_the_end_and_back(make_site, name):
    """The cursors lead through the whole list and back, each user once, and so do the links."""
    site = make_site(FOLLOWS_USER_COLUMN="username", FOLLOWS_PER_PAGE=2)
    others = [f"u{number}" for number in range(5)]
    site.add("ann", "bob", *others)
    pairs = [f"{one} {user}" for user in ("bob", "ann") for one in others]
    site.follow(*pairs, *(" ".join(pair.split()[::-1]) for pair in pairs))
    ann, path = site.client("ann"), f"/follows/bob/{name}"

    def walk(place, which):
        while True:
            page = ann.get(path, query_string=place, headers=JSON).json
            yield [person["id"] for person in page["items"]]
            if page[which] is None:
                return
            place = {("after" if which == "next" else "before"): page[which]}
            last.append(place)

    last = []
    forth = list(walk({}, "next"))
    assert forth == [["u4", "u3"], ["u2", "u1"], ["u0"]]
    assert list(walk(last[-1], "previous")) == forth[::-1]

    page, seen = ann.get(path + "?q=1").text, []
    while True:
        seen += names(page)
        link = re.search(r'rel="next" href="([^"]+)"', page)
        if link is None:
            break
        assert "q=1" in link[1]
        page = ann.get(path + link[1].replace("&amp;", "&")).text
    assert seen == [name for part in forth for name in part]
    assert 'rel="prev"' in page


@pytest.mark.parametrize(
    "query", ["after=x", "before=%00", "after=a&before=b", "after=" + 3000 * "a"]
)
def test_a_bad_cursor(network, query):
    """Forged, cut short, too long, or both at once: 400 in both forms."""
    ann, path = network.client("ann"), f"/follows/ann/followers?{query}"
    assert ann.get(path).status_code == 400
    answer = ann.get(path, headers=JSON)
    assert (answer.status_code, answer.json["error"]["code"]) == (400, 400)


def test_the_cursor_of_another_list(network):
    """A cursor grants nothing: it is a place, and the list is the one asked for."""
    network.app.config["FOLLOWS_PER_PAGE"] = 1
    ann = network.client("ann")
    place = ann.get("/follows/ann/followers", headers=JSON).json["next"]
    page = ann.get(f"/follows/cleo/followers?after={place}", headers=JSON)
    assert page.status_code == 200
    assert {person["id"] for person in page.json["items"]} <= {"bob"}


def test_who_is_not_there(network):
    """404, in both forms."""
    for client in (network.client("ann"), network.client()):
        assert client.get("/follows/dora/followers").status_code == 404
        answer = client.get("/follows/dora/followers", headers=JSON)
        assert (answer.status_code, answer.json["error"]["name"]) == (404, "Not Found")


def test_known_followers_are_for_who_is_logged_in(network):
    """A visitor knows nobody, and is sent to the login page and back."""
    visitor = network.client()
    answer = visitor.get("/follows/ann/known-followers")
    assert (answer.status_code, answer.location) == (
        302,
        "/login?next=%2Ffollows%2Fann%2Fknown-followers",
    )
    assert visitor.get("/follows/ann/known-followers", headers=JSON).status_code == 401


def test_ones_own_followers_can_be_removed(network):
    """On one's own page alone."""
    ann = network.client("ann")
    own = ann.get("/follows/ann/followers").text
    assert own.count('action="/follows/cleo/remove-follower"') == 1
    assert "remove-follower" not in ann.get("/follows/cleo/followers").text
    assert "remove-follower" not in network.client().get("/follows/ann/followers").text


def test_renamed_collections(make_site):
    """The lists are found by whatever name the host has for the collections."""
    extension = Follows(names={"followed": "following", "followers": "fans"})
    site = make_site(extension=extension, FOLLOWS_USER_COLUMN="username")
    site.add("ann", "bob")
    site.follow("ann bob")
    assert names(site.client().get("/follows/bob/followers").text) == ["ann"]
    assert names(site.client().get("/follows/ann/followed").text) == ["bob"]


def test_a_user_hidden_from_queries_is_on_no_page(network):
    """A page is shorter by who is hidden, and the cursors go on."""
    User = network.User
    hide = with_loader_criteria(User, User.username != "cleo")
    event.listen(
        network.db.session,
        "do_orm_execute",
        lambda state: setattr(state, "statement", state.statement.options(hide)),
    )
    visitor = network.client()
    assert names(visitor.get("/follows/ann/followers").text) == ["bob"]
    assert visitor.get("/follows/cleo/followers").status_code == 404


@pytest.mark.parametrize("block", ["templates", "frame"])
def test_templates_of_the_hosts(network, block):
    """A host's own frame is put around the pages by one line, and each template can be replaced."""
    own = {
        "base.html": "my site: {% block title %}{% endblock %} / {% block content %}{% endblock %}",
        "flask_follows/base.html": '{% extends "base.html" %}',
        "flask_follows/counts.html": "{{ person.name }} counts {{ lists[0][1] }}",
    }
    if block == "frame":
        del own["flask_follows/counts.html"]
    network.app.jinja_loader = DictLoader(own)
    page = network.client().get("/follows/ann/followers").text
    assert page.startswith("my site: Followers of ann / ")
    assert ("ann counts 2" in page) == (block == "templates")
    assert names(page) == ["cleo", "bob"]
