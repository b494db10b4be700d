"""The example application, used as a browser uses it: pages, forms, CSRF tokens, cookies."""

from __future__ import annotations

import math
import re
import socket
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from datetime import datetime, timedelta, timezone
from html.parser import HTMLParser
from itertools import combinations
from pathlib import Path
from typing import Any
from urllib.parse import quote, urljoin

import pytest
from flask import Flask
from sqlalchemy import func, insert, select
from werkzeug.test import TestResponse

from examples.microblog import cli, create_app, pictures, seed
from examples.microblog.formatting import ago
from examples.microblog.models import Post, User, db, follows, utcnow

from .counting import Counted, count

NOON = datetime(2024, 5, 1, 12, tzinfo=timezone.utc)
PASSWORD = "correct horse"

Address = str
Counting = Callable[[], AbstractContextManager[Counted]]


@pytest.fixture
def app(database_url: str) -> Iterator[Flask]:
    """The example with its tables, three rows a page; no context is pushed."""
    app = create_app(
        {"SQLALCHEMY_DATABASE_URI": database_url, "SECRET_KEY": "tests", "FOLLOWS_PER_PAGE": 3}
    )
    with app.app_context():
        db.create_all()
    yield app
    dispose(app)


@pytest.fixture
def browser(app: Flask) -> Browser:
    """A browser in which nobody is logged in."""
    return Browser(app)


@pytest.fixture
def ada(app: Flask) -> Browser:
    """A browser in which Ada has just signed up."""
    ada = Browser(app)
    ada.sign_up("ada", name="Ada")
    return ada


@pytest.fixture
def counting(app: Flask) -> Counting:
    """`with counting() as counted`: note the statements of the requests inside."""
    with app.app_context():
        engines = list(db.engines.values())
    return lambda: count(engines)


def dispose(app: Flask) -> None:
    """Close the connections: pytest takes an open one for an error."""
    with app.app_context():
        for engine in db.engines.values():
            engine.dispose()


def add_users(app: Flask, *names: str) -> None:
    """Store users who cannot log in, each a second after the one before."""
    rows = [
        {"username": name, "created_at": NOON + timedelta(seconds=place)}
        for place, name in enumerate(names)
    ]
    with app.app_context():
        db.session.execute(insert(User), rows)
        db.session.commit()


def add_posts(app: Flask, *posts: tuple[str, str, datetime]) -> None:
    """Store posts: author, text, time."""
    with app.app_context():
        keys = keys_by_name()
        rows = [
            {"author_id": keys[author], "body": body, "created_at": time}
            for author, body, time in posts
        ]
        db.session.execute(insert(Post), rows)
        db.session.commit()


def add_follows(app: Flask, *pairs: tuple[str, str]) -> None:
    """Store edges, each a second after the one before."""
    with app.app_context():
        keys = keys_by_name()
        rows = [
            {
                "follower_id": keys[follower],
                "followed_id": keys[followed],
                "created_at": NOON + timedelta(seconds=place),
            }
            for place, (follower, followed) in enumerate(pairs)
        ]
        db.session.execute(insert(follows.Follow), rows)
        db.session.commit()


def keys_by_name() -> dict[str, int]:
    """Read every user's key."""
    return {name: key for key, name in db.session.execute(select(User.id, User.username))}


def edges(app: Flask) -> set[tuple[str, str]]:
    """Read who follows whom, by name."""
    with app.app_context():
        names = {key: name for name, key in keys_by_name().items()}
        edge = follows.Follow
        rows = db.session.execute(select(edge.follower_id, edge.followed_id))
        return {(names[follower], names[followed]) for follower, followed in rows}


def on_mariadb(app: Flask) -> bool:
    """Tell whether a feed is two statements."""
    with app.app_context():
        return db.engine.dialect.name in {"mariadb", "mysql"}


def number_of(app: Flask, model: type[Any]) -> int:
    """Count the rows of a table."""
    with app.app_context():
        number = db.session.scalar(select(func.count()).select_from(model))
    assert number is not None
    return number


class Forms(HTMLParser):
    """The forms of a page: the fields that a browser would send, by action."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: dict[str, dict[str, str]] = {}
        self.current: dict[str, str] = {}
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attributes}
        if tag == "form" and given.get("method") == "post":
            self.current = self.found.setdefault(given.get("action", ""), {})
        elif tag == "form":  # a search, which changes nothing
            self.current = {}
        elif tag in {"input", "textarea"}:
            self.current[given["name"]] = given.get("value", "")


class Browser:
    """A test client that sends the forms it finds on a page, tokens and all."""

    def __init__(self, app: Flask) -> None:
        self.client = app.test_client()

    def get(self, address: Address, status: int = 200) -> str:
        response = self.client.get(address)
        assert response.status_code == status, response.text
        return response.text

    def send(
        self, page: Address, action: str = "", status: int = 303, **fields: str
    ) -> TestResponse:
        """Open a page, fill in the form with this action, and send it."""
        form = Forms(self.get(page)).found[action]
        response = self.client.post(action or page, data=form | fields)
        assert response.status_code == status, response.text
        return response

    def sign_up(
        self, username: str, name: str = "", password: str = PASSWORD, status: int = 303
    ) -> TestResponse:
        return self.send(
            "/register", username=username, name=name, password=password, status=status
        )

    def log_in(
        self, username: str, password: str = PASSWORD, page: Address = "/login", status: int = 303
    ) -> TestResponse:
        return self.send(page, username=username, password=password, status=status)

    def is_logged_in(self) -> bool:
        return "Log out" in self.get("/explore")


def counts_on(html: str, username: str) -> tuple[int, int]:
    """The numbers of followers and followed that a page shows of a user."""
    followers, followed = (
        re.search(rf'data-follow-count="{name}" data-user="{username}" data-number="(\d+)"', html)
        for name in ("followers", "followed")
    )
    assert followers
    assert followed
    return int(followers[1]), int(followed[1])


def main_of(html: str) -> str:
    """What a page is about, without what is beside it."""
    return html.partition("<main")[2].partition("</main>")[0]


def people_on(html: str) -> list[str]:
    """The usernames in the list of people that a page is about, in order."""
    return re.findall(r'class="follows-user">.*?href="/u/([^"]+)"', main_of(html), re.DOTALL)


def posts_on(html: str) -> list[str]:
    """The posts of a page, in order."""
    return re.findall(r'<p class="body">(.*?)</p>', html, re.DOTALL)


def link(page: Address, html: str, rel: str) -> Address | None:
    """The address of the pager's link, if there is one."""
    found = re.search(rf'rel="{rel}" href="([^"]+)"', html)
    return urljoin(page, found[1].replace("&amp;", "&")) if found else None


def walk(browser: Browser, start: Address, read: Callable[[str], list[str]]) -> list[list[str]]:
    """Page to the end, then back to the beginning, and check that the same pages are seen."""
    there, last = go(browser, start, "next", read)
    back, _ = go(browser, last, "prev", read)
    assert back[::-1] == there
    return there


def go(
    browser: Browser, page: Address, rel: str, read: Callable[[str], list[str]]
) -> tuple[list[list[str]], Address]:
    """Follow a link of the pager until there is none; return what is read, and the last page."""
    pages = [read(html := browser.get(page))]
    while further := link(page, html, rel):
        page = further
        pages.append(read(html := browser.get(page)))
    return pages, page


# Accounts


def test_signing_up_logs_in_and_keeps_no_password(app: Flask, browser: Browser) -> None:
    """A new account is logged in, its username in lower case, its password hashed."""
    assert browser.sign_up(" Ada_1 ", name="Ada Lovelace").location == "/explore"
    assert "Welcome, Ada Lovelace!" in browser.get("/explore")
    with app.app_context():
        user = db.session.scalars(select(User)).one()
        assert user.username == "ada_1"
        assert PASSWORD not in user.password_hash
        assert user.check_password(PASSWORD)
        assert abs(utcnow() - user.created_at) < timedelta(minutes=1)


REFUSED_SIGN_UPS: list[tuple[dict[str, str], str]] = [
    ({"username": ""}, "Choose a username."),
    ({"username": "ab"}, "Take 3 to 30 letters"),
    ({"username": "a" * 31}, "Take 3 to 30 letters"),
    ({"username": "1st"}, "Take 3 to 30 letters"),
    ({"username": "ada lovelace"}, "Take 3 to 30 letters"),
    ({"username": "../login"}, "Take 3 to 30 letters"),
    ({"username": "ädä"}, "Take 3 to 30 letters"),
    ({"username": "demo"}, "This username is taken."),
    ({"username": "taken"}, "This username is taken."),
    ({"username": "Taken"}, "This username is taken."),
    ({"name": "x" * 81}, "longer than 80"),
    ({"password": ""}, "Choose a password."),
    ({"password": "1234567"}, "Take 8 to 128 characters."),
    ({"password": "x" * 129}, "Take 8 to 128 characters."),
    ({"username": "longenough", "password": "LongEnough"}, "other than your username"),
]


def test_signing_up_says_what_is_wrong(app: Flask, browser: Browser) -> None:
    """Bad input is told beside the field, and nothing is stored."""
    add_users(app, "taken")
    for fields, message in REFUSED_SIGN_UPS:
        response = browser.sign_up(**{"username": "ada", **fields}, status=422)
        assert message in response.text
        assert 'aria-invalid="true"' in response.text
    assert not browser.is_logged_in()
    assert number_of(app, User) == 1


def test_logging_in_and_out(app: Flask, ada: Browser) -> None:
    """The session ends by a POST, and starts again with the password."""
    assert ada.client.get("/logout").status_code == 405
    assert ada.is_logged_in()
    ada.send("/explore", "/logout")
    assert not ada.is_logged_in()
    assert ada.log_in("ADA").location == "/"
    assert ada.is_logged_in()


def test_logging_in_needs_the_password(app: Flask, ada: Browser, browser: Browser) -> None:
    """A wrong password, an unknown user and a user without a password are refused alike."""
    add_users(app, "imported")
    for username, password in (("ada", "wrong horse"), ("nobody", PASSWORD), ("imported", "!")):
        response = browser.log_in(username, password, status=422)
        assert "Username and password do not match." in response.text
        assert not browser.is_logged_in()


def test_logging_in_leads_back(app: Flask, ada: Browser, browser: Browser) -> None:
    """Who was sent to the login page comes back to the page they were on."""
    add_users(app, "bob")
    page = browser.get("/follows/bob/followers?x=1&y=2")
    login = re.search(r'href="(/login\?next=[^"]+)"', page)
    assert login
    response = browser.log_in("ada", page=login[1].replace("&amp;", "&"))
    assert response.location == "/follows/bob/followers?x=1&y=2"


ELSEWHERE = [
    "https://example.com/",
    "//example.com/",
    "///example.com/",
    "/\\example.com/",
    "\\\\example.com/",
    "/\t/example.com/",
    "\t//example.com/",
    " //example.com/",
    "/\n/example.com/",
    "https:example.com",
    "javascript:alert(1)",
    "example.com",
    "",
]


def test_redirects_stay_on_the_site(ada: Browser, browser: Browser) -> None:
    """Where to go next, after the login and after a button, is a page of ours."""
    login = Forms(browser.get("/login")).found[""] | {"username": "ada", "password": PASSWORD}
    for target in ELSEWHERE:
        response = ada.client.post("/follows/ada/unfollow", data=form_of(ada) | {"next": target})
        assert (response.status_code, response.location) == (303, "/u/ada"), target
    for target in ELSEWHERE[:3]:  # hashing takes its time
        response = browser.client.post("/login", query_string={"next": target}, data=login)
        assert (response.status_code, response.location) == (303, "/"), target


def form_of(browser: Browser) -> dict[str, str]:
    """What every form of this browser carries: the token."""
    return Forms(browser.get("/explore")).found["/logout"]


# Following


def test_follow_and_unfollow_by_button(app: Flask, ada: Browser) -> None:
    """The button follows, turns into its opposite, and leads back to the page it is on."""
    add_users(app, "bob")
    assert ada.send("/u/bob", "/follows/bob/follow").location == "/u/bob"
    assert edges(app) == {("ada", "bob")}
    page = ada.get("/u/bob")
    assert counts_on(page, "bob") == (1, 0)
    assert "/follows/bob/follow" not in Forms(page).found
    assert ada.send("/people", "/follows/bob/unfollow").location == "/people"
    assert edges(app) == set()
    assert counts_on(ada.get("/u/bob"), "bob") == (0, 0)


def test_double_clicks_do_no_harm(app: Flask, ada: Browser) -> None:
    """A form sent twice is answered twice as if it were once."""
    add_users(app, "bob")
    for action, expected in (("follow", {("ada", "bob")}), ("unfollow", set())):
        form = Forms(ada.get("/u/bob")).found[f"/follows/bob/{action}"]
        for _ in range(2):
            response = ada.client.post(f"/follows/bob/{action}", data=form)
            assert response.status_code == 303
            assert edges(app) == expected


def test_nothing_changes_without_post_token_and_login(
    app: Flask, ada: Browser, browser: Browser
) -> None:
    """GET is 405, a missing or foreign token 400, and a visitor is asked to log in."""
    add_users(app, "bob", "eve")
    add_follows(app, ("ada", "eve"))
    browser.sign_up("mallory")
    foreign = form_of(browser)
    visitor = Browser(app)
    token = Forms(visitor.get("/login")).found[""]["csrf_token"]
    for address in ("/follows/bob/follow", "/follows/eve/unfollow"):
        ada.get(address, status=405)
        assert ada.client.post(address).status_code == 400
        assert ada.client.post(address, data=foreign).status_code == 400
        response = visitor.client.post(address, data={"csrf_token": token, "next": "/people"})
        assert (response.status_code, response.location) == (303, "/login?next=%2Fpeople")
    assert edges(app) == {("ada", "eve")}


def test_following_oneself_is_refused_kindly(app: Flask, ada: Browser) -> None:
    """There is no button for it, and a forged form gets a message in the site's dress."""
    assert "/follows/ada/follow" not in Forms(ada.get("/u/ada")).found
    response = ada.client.post("/follows/ada/follow", data=form_of(ada))
    assert response.status_code == 422
    assert "You cannot follow yourself." in response.text
    assert "Log out" in response.text
    assert edges(app) == set()


def test_unknown_users_are_not_found(ada: Browser) -> None:
    """Pages and buttons of nobody are 404."""
    for page in ("/u/nobody", "/follows/nobody/followers", "/u/nobody/network", "/u/a%00b"):
        assert "Go on with Explore" in ada.get(page, status=404)
    for action in ("follow", "unfollow"):
        response = ada.client.post(f"/follows/nobody/{action}", data=form_of(ada))
        assert response.status_code == 404


# Lists


def test_followers_and_followed_are_paged(app: Flask, browser: Browser) -> None:
    """The latest come first; pages lead to the end and back."""
    names = [f"fan{number}" for number in range(8)]
    add_users(app, "star", *names)
    add_follows(app, *((name, "star") for name in names), *(("star", name) for name in names))
    newest_first = [["fan7", "fan6", "fan5"], ["fan4", "fan3", "fan2"], ["fan1", "fan0"]]
    assert walk(browser, "/follows/star/followers", people_on) == newest_first
    assert walk(browser, "/follows/star/followed", people_on) == newest_first
    page = browser.get("/u/star")
    assert counts_on(page, "star") == (8, 8)


def test_people_are_paged(app: Flask, browser: Browser) -> None:
    """Everybody can be found, the newest first."""
    add_users(app, *(f"user{number}" for number in range(7)))
    pages = walk(browser, "/people", people_on)
    assert [len(page) for page in pages] == [3, 3, 1]
    assert [name for page in pages for name in page] == [
        f"user{number}" for number in reversed(range(7))
    ]


def test_search_finds_by_part_of_either_name(app: Flask, browser: Browser) -> None:
    """Case does not matter, `%` and `_` are themselves, and pages keep to what was asked for."""
    add_users(app, "under_score", "plain", *(f"ann{number}" for number in range(4)))
    with app.app_context():
        user = db.session.scalars(select(User).where(User.username == "plain")).one()
        user.name = "Zoe 100% Anders"
        db.session.commit()
    found = {
        "ANN": [["ann3", "ann2", "ann1"], ["ann0"]],
        "_": [["under_score"]],
        "100%": [["plain"]],
        "anders": [["plain"]],
        "%": [["plain"]],
        "\\": [[]],
        "nobody": [[]],
    }
    for words, pages in found.items():
        assert walk(browser, f"/people?q={quote(words)}", people_on) == pages, words
    assert "Nobody is called that." in browser.get("/people?q=nobody")
    for words in ("%00", "%20", "", "%FF", "x" * 3000):
        browser.get(f"/people?q={words}")
    assert 'value="&#34;&gt;&lt;b&gt;"' in browser.get("/people?q=%22%3E%3Cb%3E")


# Pictures


def test_network_shows_who_is_around(app: Flask, browser: Browser) -> None:
    """Each of them once, with a link; a line for each pair, thick where both follow."""
    add_users(app, "star", "fan", "friend", "idol", "stranger")
    add_follows(
        app,
        ("fan", "star"),
        ("friend", "star"),
        ("star", "friend"),
        ("star", "idol"),
        ("fan", "idol"),
        ("stranger", "idol"),
    )
    picture = re.search(
        r'<svg class="neighbourhood".*?</svg>', browser.get("/u/star/network"), re.S
    )
    assert picture
    links = re.findall(r'<a href="/u/(\w+)"', picture[0])
    assert sorted(links) == ["fan", "friend", "idol", "star"]
    lines = sorted(
        " ".join(found.split()) for found in re.findall(r'<line .*?class="(.*?)"', picture[0])
    )
    assert lines == ["", "near", "near", "near mutual"]


def test_network_is_laid_out_the_same_way_each_time(app: Flask) -> None:
    """Within the square, nobody on top of another, the user in the middle, at any size."""
    add_users(app, "star", "alone", *(f"fan{number}" for number in range(50)))
    add_follows(app, *((f"fan{number}", "star") for number in range(50)))
    with app.app_context():
        star, alone = db.session.scalars(select(User).where(User.id <= 2).order_by(User.id))
        picture = pictures.neighbourhood(star)
        assert picture == pictures.neighbourhood(star)
        assert len(picture.nodes) == pictures.NEIGHBOURS + 1
        spots = [(node.x, node.y) for node in picture.nodes]
        middle = pictures.SIDE / 2
        assert (picture.nodes[0].user, *spots[0]) == (star, middle, middle)
        assert all(0 < x < pictures.SIDE and 0 < y < pictures.SIDE for x, y in spots)
        assert min(math.dist(a, b) for a, b in combinations(spots, 2)) > 50
        [node] = pictures.neighbourhood(alone).nodes
        assert (node.x, node.y) == (middle, middle)


def test_growth_counts_followers_at_each_moment(app: Flask) -> None:
    """From joining until now, never falling; the axes reach as far as the curve."""
    add_users(app, "star", *(f"fan{number}" for number in range(9)))
    add_follows(app, *((f"fan{number}", "star") for number in range(9)))
    with app.app_context():
        star = db.session.get(User, 1)
        assert star
        plot = pictures.growth(star, NOON + timedelta(days=300))
        assert (plot.moments[0], plot.numbers[0]) == (NOON, 1)
        assert plot.numbers[1:] == [9] * (pictures.MOMENTS - 1)
        assert [number for _, number in plot.marks] == [0, 5, 10]
        assert [day.month for _, day in plot.months] == [6, 8, 10, 12, 2]
        assert plot.points[0][0] == plot.left
        assert plot.points[-1][0] == plot.right
        assert plot.rows[0] == (NOON + timedelta(days=300), 9)
        fresh = pictures.growth(star, NOON)  # not a moment old
        assert fresh.numbers[0] == 0


@pytest.mark.parametrize(
    ("largest", "step"),
    [(0, 1), (1, 1), (4, 1), (5, 2), (9, 5), (30, 10), (78, 20), (12_345, 5000)],
)
def test_axes_count_in_round_steps(largest: int, step: int) -> None:
    """In 1, 2, 5, 10, ... and about four of them."""
    assert pictures.round_step(largest) == step


def test_buttons_show_whom_one_follows(app: Flask, ada: Browser, browser: Browser) -> None:
    """Each row has the button that fits; a visitor's buttons lead to the login page."""
    add_users(app, "bob", "eve")
    add_follows(app, ("ada", "eve"))
    actions = set(Forms(main_of(ada.get("/people"))).found)
    assert actions == {"/follows/bob/follow", "/follows/eve/unfollow"}
    for page in ("/u/eve", "/follows/eve/followers", "/follows/eve/followed"):
        assert set(Forms(main_of(ada.get(page))).found) == {"/follows/eve/unfollow"}
    page = browser.get("/people")
    assert not Forms(page).found
    assert main_of(page).count("/login?next=%2Fpeople") == 3


BAD_CURSORS = [
    "",
    "x",
    "1",
    "-1",
    "1-",
    "'--",
    "1-2-3",
    "1-99999999999",
    "1-4294967296",
    "9" * 40 + "-1",
    "99999999999999999999-1",
    "\N{ARABIC-INDIC DIGIT ONE}-1",
    "\0",
    "x" * 2000,
    urlsafe_b64encode(b"[1,99999999999]").decode(),
    urlsafe_b64encode(b"[99999999999999999999,1]").decode(),
]


@pytest.mark.parametrize(
    ("page", "sides"),
    [
        ("/explore", ["after", "before"]),
        ("/people", ["after", "before"]),
        ("/u/ada", ["after", "before"]),
        ("/follows/ada/followers", ["after", "before"]),
        ("/follows/ada/followed", ["after", "before"]),
        ("/", ["after"]),
    ],
)
def test_bad_cursors_are_bad_requests(ada: Browser, page: str, sides: list[str]) -> None:
    """A cursor that no page has given is answered 400, in the site's dress; so are two."""
    queries = [{side: cursor} for side in sides for cursor in BAD_CURSORS]
    if "before" in sides:
        queries.append({"after": "1-1", "before": "1-1"})
    for query in queries:
        response = ada.client.get(page, query_string=query)
        assert response.status_code == 400, query
        assert "<h1>Bad Request</h1>" in response.text


def test_a_page_past_the_end_is_empty(app: Flask, ada: Browser) -> None:
    """Where everything has been deleted since, there is nothing, and no error."""
    assert "Nobody has posted anything yet." in ada.get("/explore?after=1-1")
    assert "Nobody has posted anything yet." in ada.get("/explore?before=1-1")


# Posts


def test_timeline_shows_those_one_follows_and_oneself(app: Flask, ada: Browser) -> None:
    """Posts of others stay away, newest first; following and unfollowing changes it at once."""
    add_users(app, "bob", "eve")
    hour = timedelta(hours=1)
    add_posts(
        app,
        ("bob", "by bob", NOON),
        ("eve", "by eve", NOON + hour),
        ("bob", "by bob again", NOON + 2 * hour),
        ("ada", "by myself", NOON + hour),
    )
    assert posts_on(ada.get("/")) == ["by myself"]
    ada.send("/u/bob", "/follows/bob/follow")
    assert posts_on(ada.get("/")) == ["by bob again", "by myself", "by bob"]
    ada.send("/u/eve", "/follows/eve/follow")
    ada.send("/u/bob", "/follows/bob/unfollow")
    assert set(posts_on(ada.get("/"))) == {"by eve", "by myself"}
    assert posts_on(ada.get("/u/bob")) == ["by bob again", "by bob"]
    assert len(posts_on(ada.get("/explore"))) == 3


def test_timeline_is_paged_even_through_one_moment(app: Flask, ada: Browser) -> None:
    """Posts of the same microsecond fall on one page each, and what is new shifts nothing."""
    add_users(app, "bob")
    add_follows(app, ("ada", "bob"))
    add_posts(app, *(("bob", f"post {number}", NOON) for number in range(7)))
    pages, _ = go(ada, "/", "next", posts_on)
    assert pages == [
        ["post 6", "post 5", "post 4"],
        ["post 3", "post 2", "post 1"],
        ["post 0"],
    ]
    second = link("/", ada.get("/"), "next")
    assert second
    assert "Back to the newest" in ada.get(second)
    add_posts(app, ("bob", "news", NOON + timedelta(microseconds=1)))
    assert posts_on(ada.get(second)) == ["post 3", "post 2", "post 1"]


def test_posting(app: Flask, ada: Browser) -> None:
    """A post appears on the timeline; blank lines and control characters are tidied."""
    assert ada.send("/", "/", body=" one\r\n\r\n\r\n\r\ntwo\0 ").location == "/"
    assert posts_on(ada.get("/")) == ["one\n\ntwo"]
    ada.send("/", "/", body="x" * 139 + "\r\n" + "👩‍🚀" * 46 + "é" * 2)  # 280 characters
    assert number_of(app, Post) == 2


def test_posts_have_1_to_280_characters(app: Flask, ada: Browser) -> None:
    """What is too short or too long is refused, and kept in the form."""
    for body in ("", "  \n ", "\0", "x" * 281):
        response = ada.send("/", "/", body=body, status=422)
        assert "A post has 1 to 280 characters." in response.text
        assert body.strip(" \n\0") in response.text
    assert number_of(app, Post) == 0


def test_posting_needs_login_and_token(app: Flask, ada: Browser, browser: Browser) -> None:
    """A visitor is led away, and a forged form is a bad request."""
    assert ada.client.post("/", data={"body": "forged"}).status_code == 400
    token = Forms(browser.get("/login")).found[""]
    assert browser.client.post("/", data=token | {"body": "x"}).location == "/explore"
    assert number_of(app, Post) == 0


def test_values_are_escaped(app: Flask, ada: Browser) -> None:
    """Script in a post, a name or an imported username is text on every page."""
    script = "<script>alert(1)</script>"
    imported = '"><img src=x onerror=alert(1)>'
    add_users(app, imported)
    with app.app_context():
        user = db.session.scalars(select(User).where(User.username == imported)).one()
        user.name = script
        db.session.commit()
    add_follows(app, (imported, "ada"), ("ada", imported))
    add_posts(app, (imported, script, NOON))
    for page in (
        "/",
        "/explore",
        "/people",
        "/u/ada/network",
        "/follows/ada/followers",
        "/follows/ada/followed",
    ):
        html = ada.get(page)
        assert "alert(1)" in html
        assert "<script>" not in html
        assert "<img src=x" not in html


# Statements


def test_pages_take_a_fixed_number_of_statements(
    app: Flask, ada: Browser, browser: Browser, counting: Counting
) -> None:
    """However many users and posts are on a page, with all that is said of them.

    On each there are one for the viewer, two for whom to follow, and one or two, each way, for all
    buttons.
    """
    names = [f"user{number}" for number in range(12)]
    add_users(app, *names)
    add_follows(app, ("ada", "user1"), ("user1", "user0"), ("user1", "user2"), ("user0", "user1"))
    add_posts(app, ("user1", "hello", NOON), ("user0", "hello", NOON))
    expected = {
        "/": 7 if on_mariadb(app) else 6,  # posts with their authors
        "/explore": 6,
        "/people": 7,  # people; who follows them, of those one knows
        "/u/user0": 10,  # the user; posts; followers one knows; two counts
        "/follows/user0/followers": 12,  # the user; followers; who follows them; two counts
        "/follows/user0/followed": 12,
        "/u/user0/network": 12,  # two lists, who follows whom, numbers of followers
    }

    def measured() -> dict[str, int]:
        numbers = {}
        for page in expected:
            with counting() as counted:
                ada.get(page)
            numbers[page] = len(counted)
        return numbers

    assert measured() == expected
    add_follows(
        app,
        *(("ada", name) for name in names[2::2]),
        *((name, "user0") for name in names[2:]),
        *(("user0", name) for name in names[2:]),
    )
    add_posts(app, *((name, "hello", NOON) for name in names * 3))
    app.config["FOLLOWS_PER_PAGE"] = 20
    # Fewer, where those suggested are on the page as well.
    assert all(number <= expected[page] for page, number in measured().items())
    with counting() as counted:
        browser.get("/explore")
    assert len(counted) == 2  # posts; who is followed by many


def test_buttons_take_a_fixed_number_of_statements(
    app: Flask, ada: Browser, counting: Counting
) -> None:
    """The viewer, the user, one for the edge and two for the way back, the second time too."""
    add_users(app, "bob")
    form = form_of(ada)
    for action in ("follow", "follow", "unfollow", "unfollow"):
        with counting() as counted:
            ada.client.post(f"/follows/bob/{action}", data=form)
        assert len(counted) == 5, str(counted)


# The commands


def run(app: Flask, *arguments: str) -> str:
    """Run a command of the application and return what it prints."""
    result = app.test_cli_runner().invoke(args=arguments)
    assert result.exit_code == 0, result.output
    return result.output


def printed(output: str, label: str) -> str:
    """Find a value in what a command printed."""
    found = re.search(rf"^\s+{label}: +(.+)$", output, re.MULTILINE)
    assert found, output
    return found[1]


def test_demo_fills_an_empty_database_once(app: Flask, browser: Browser) -> None:
    """The login printed works, the timeline is full, and a second start finds it all there."""
    with app.app_context():
        db.drop_all()
    output = run(app, "demo", "--no-run", "--users", "60")
    assert "Making up a network of 60 users." in output
    sizes = [number_of(app, model) for model in (User, follows.Follow, Post)]
    assert sizes[0] == 60
    assert sizes[1] > 200
    assert sizes[2] > 100
    before = edges(app)
    again = run(app, "demo", "--no-run")
    assert "Making up" not in again
    assert edges(app) == before
    assert [number_of(app, model) for model in (User, follows.Follow, Post)] == sizes
    browser.log_in(printed(again, "Username"), printed(again, "Password"))
    assert len(posts_on(browser.get("/"))) == 3
    assert len(people_on(browser.get("/follows/demo/followers"))) == 3
    browser.sign_up("newcomer")  # keys of the sample leave room for those to come


def test_demo_leaves_other_data_alone(app: Flask, ada: Browser, browser: Browser) -> None:
    """In a database with users it adds a login, and nobody else."""
    output = run(app, "demo", "--no-run")
    assert "The database holds 2 users, 0 follows and 0 posts." in output
    browser.log_in(printed(output, "Username"), printed(output, "Password"))
    assert "Nothing here yet" in browser.get("/")


def test_demo_serves_on_a_free_port(
    app: Flask, ada: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A port that is taken is told, and the next free one is used and printed."""
    served: list[tuple[Any, ...]] = []
    monkeypatch.setattr(cli, "run_simple", lambda *given, **_: served.append(given))
    with closing(socket.create_server((cli.HOST, 0))) as other:
        taken = other.getsockname()[1]
        output = run(app, "demo", "--port", str(taken))
    [(host, port, application)] = served
    assert f"Port {taken} cannot be used" in output
    assert port != taken
    assert application is app
    assert printed(output, "Address") == f"http://{host}:{port}"
    monkeypatch.setattr(cli, "PORTS_TO_TRY", 0)
    result = app.test_cli_runner().invoke(args=["demo"])
    assert result.exit_code == 1
    assert "No port is free. Give another one" in result.output


def test_a_graph_of_numbers_can_be_imported(app: Flask, ada: Browser, tmp_path: Path) -> None:
    """`flask follows import --by username --create-missing` makes users whose pages work."""
    with app.app_context():
        db.drop_all()
    file = tmp_path / "graph.csv"
    file.write_text("follower,followed\n3,8297\n3,28\n28,8297\n")
    run(app, "init-db")
    for _ in range(2):
        run(app, "follows", "import", str(file), "--by", "username", "--create-missing")
        assert edges(app) == {("3", "8297"), ("3", "28"), ("28", "8297")}
    visitor = Browser(app)
    assert set(people_on(visitor.get("/follows/8297/followers"))) == {"3", "28"}
    assert people_on(visitor.get("/follows/28/followed")) == ["8297"]
    assert "3 has not posted anything yet." in visitor.get("/u/3")
    visitor.log_in("3", "!", status=422)


def test_sample_network_is_the_same_each_time() -> None:
    """The same numbers give the same network; it is plausible, and nothing lies in the future."""
    network = seed.generate(200, NOON, demo_password_hash="x")
    assert seed.generate(200, NOON, demo_password_hash="x") == network
    joined = [user["created_at"] for user in network.users]
    assert len({user["username"] for user in network.users}) == 200
    assert [user["username"] for user in network.users if user["password_hash"] != "!"] == ["demo"]
    assert len({edge[:2] for edge in network.edges}) == len(network.edges) > 1000
    for follower, followed, time in network.edges:
        assert follower != followed
        assert max(joined[follower], joined[followed]) <= time <= NOON
    for author, body, time in network.posts:
        assert joined[author] <= time <= NOON
        assert 0 < len(body) <= 280
    followers = [0] * 200
    for _, followed, _ in network.edges:
        followers[followed] += 1
    assert max(followers) > 5 * sorted(followers)[100]  # a few are famous
    pairs = {edge[:2] for edge in network.edges}
    assert 0.2 < sum(pair[::-1] in pairs for pair in pairs) / len(pairs) < 0.8


def test_smallest_networks() -> None:
    """One user has nobody to follow, and that is no error."""
    assert seed.generate(1, NOON, demo_password_hash="x").edges == []
    assert len(seed.generate(2, NOON, demo_password_hash="x").edges) <= 2


# The application


def test_settings_of_a_first_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is needed: key and database lie in the instance folder, the key for us alone."""
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.delenv("FLASK_SECRET_KEY", raising=False)
    folder = tmp_path / "new" / "instance"
    first = create_app(instance_path=str(folder))
    second = create_app(instance_path=str(folder))
    key = folder / "secret_key"
    assert first.config["SECRET_KEY"] == second.config["SECRET_KEY"] == key.read_text()
    assert len(key.read_text()) == 64
    assert key.stat().st_mode & 0o077 == 0
    assert list(folder.iterdir()) == [key]
    assert first.config["SQLALCHEMY_DATABASE_URI"] == f"sqlite:///{folder / 'microblog.db'}"
    monkeypatch.setenv("DATABASE_URL", "sqlite:///elsewhere.db")
    monkeypatch.setenv("FLASK_SECRET_KEY", "from outside")
    third = create_app({"FOLLOWS_PER_PAGE": 7}, instance_path=str(folder))
    assert third.config["SQLALCHEMY_DATABASE_URI"] == "sqlite:///elsewhere.db"
    assert third.config["SECRET_KEY"] == "from outside"
    assert third.config["FOLLOWS_PER_PAGE"] == 7
    for app in (first, second, third):
        dispose(app)


def test_an_empty_secret_key_is_refused(tmp_path: Path) -> None:
    """A key that signs nothing is told at once, not at the first login."""
    (tmp_path / "secret_key").touch()
    with pytest.raises(RuntimeError, match="secret_key is empty"):
        create_app({"SQLALCHEMY_DATABASE_URI": "sqlite://"}, instance_path=str(tmp_path))


def test_responses_are_hardened(ada: Browser) -> None:
    """Nothing is loaded from elsewhere, and cookies stay with us."""
    response = ada.client.get("/explore")
    assert "default-src 'self'" in response.headers["Content-Security-Policy"]
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    cookie = ada.send("/explore", "/logout").headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert " style=" not in response.text
    assert re.findall("<script(.*?)>", response.text) == [
        ' src="/follows/-/static/follows.js" defer'
    ]


def test_errors_have_pages(app: Flask, ada: Browser) -> None:
    """An error raised anywhere comes in the site's dress, and says no more than it should."""
    ada.get("/nothing-here", status=404)
    response = ada.client.put("/people")
    assert response.status_code == 405
    assert "GET" in response.headers["Allow"]
    assert ada.client.post("/", data={"body": "x" * 70_000}).status_code == 413
    app.view_functions["blog.people"] = lambda: 1 / 0
    page = ada.get("/people", status=500)
    assert "Log out" in page
    assert "division" not in page


@pytest.mark.parametrize(
    ("passed", "words"),
    [
        (timedelta(seconds=-5), "now"),
        (timedelta(seconds=59), "now"),
        (timedelta(minutes=1, seconds=1), "1 min"),
        (timedelta(minutes=59, seconds=58), "59 min"),
        (timedelta(hours=1, seconds=1), "1 h"),
        (timedelta(hours=23, minutes=59), "23 h"),
        (timedelta(days=1, seconds=1), "1 d"),
        (timedelta(days=6, hours=23), "6 d"),
    ],
)
def test_ago(passed: timedelta, words: str) -> None:
    """Times are told in words, without a page's worth of digits."""
    assert ago(utcnow() - passed) == words


def test_ago_after_a_week_is_a_date() -> None:
    """What is long ago has a date."""
    assert ago(NOON) == "1 May 2024"
