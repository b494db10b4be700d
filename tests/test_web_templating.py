"""What templates gain: tests, the filter, buttons and counts, and who sees which of them."""

from __future__ import annotations

import logging
import re

import pytest
from flask import render_template_string, url_for
from flask_login import current_user

from flask_follows import Follows, WrongTypeError

BUTTON = "{% for user in users %}[{{ user.username }}:{{ follow_button(user) }}]{% endfor %}"
MACROS = '{% from "flask_follows/macros.html" import user_list, pager %}'


def buttons(page):
    """Return for each user of the template above what the button says and does."""
    found = {}
    for name, html in re.findall(r"\[(\w+):(.*?)\]", page, re.DOTALL):
        action = re.search(r'(?:action|href)="([^"]*)"', html)
        label = re.search(r"(?:data-follow-label>|follow-button\" href=[^>]*>)([^<]*)<", html)
        found[name] = (label[1], action[1]) if label else html
    return found


def test_each_button(site):
    """Follow, Follow back or Unfollow; none for oneself; for a visitor the way to log in."""
    site.follow("ann bob", "cleo ann")
    site.show(BUTTON)
    assert buttons(site.client("ann").get("/page?q=1").text) == {
        "ann": "",
        "bob": ("Unfollow", "/follows/bob/unfollow"),
        "cleo": ("Follow back", "/follows/cleo/follow"),
    }
    assert buttons(site.client("bob").get("/page").text)["cleo"] == (
        "Follow",
        "/follows/cleo/follow",
    )
    visitor = buttons(site.client().get("/page?q=1").text)
    assert visitor["ann"] == ("Follow", "/login?next=%2Fpage%3Fq%3D1")


def test_the_visitor_himself(site):
    """A navigation bar may show buttons of whoever looks, if anybody is logged in."""
    site.show("[{{ follow_button(current_user) }}{{ follow_counts(current_user) }}]")
    assert "[]" in site.client().get("/page").text
    assert "[]" not in site.client("ann").get("/page").text


def test_a_user_without_a_name(site, monkeypatch):
    """A host may call some of its users anonymous, guests say: they are users all the same."""
    site.follow("bob ann")
    monkeypatch.setattr(site.User, "is_anonymous", True)
    site.show(BUTTON)
    assert buttons(site.client("ann").get("/page").text)["bob"][0] == "Follow back"
    assert "bob" in site.client().get("/follows/ann/followers").text


def test_a_button_leads_back_to_its_page(site):
    """The address of the page is in the form, as the browser writes it."""
    site.show(BUTTON)
    page = site.client("ann").get("/page?q=%C3%BC%3F&x=%22").text
    assert 'name="next" value="/page?q=' in page
    [target] = set(re.findall(r'name="next" value="([^"]*)"', page))
    answer = site.client("ann").post(
        "/follows/bob/follow", data={"next": target.replace("&amp;", "&").replace("&#34;", '"')}
    )
    assert answer.location == "/page?q=%C3%BC?&x=%22"


def test_a_page_that_answers_a_form(site):
    """Its address is no page to come back to."""
    template = "{{ follow_button(users[1]) }}"
    site.app.add_url_rule("/form", "form", lambda: site.draw(template), methods=["POST"])
    page = site.client("ann").post("/form").text
    assert 'action="/follows/bob/follow"' in page
    assert "next" not in page


def test_no_way_to_log_in(make_site):
    """Where the host has no page to log in a visitor sees no button."""
    site = make_site(login={"login_view": None})
    site.add("ann")
    site.show(BUTTON)
    assert buttons(site.client().get("/page").text) == {"ann": ""}


def test_another_page_to_log_in_for_a_blueprint(make_site):
    """Flask-Login's pages for single blueprints are known."""
    site = make_site(login={"blueprint_login_views": {"follows": "/elsewhere"}})
    site.add("ann")
    page = site.client().get("/follows/1/followers").text
    assert 'href="/elsewhere?next=%2Ffollows%2F1%2Ffollowers"' in page


def test_without_flask_login(make_site):
    """Everybody is a visitor: lists are shown, there are no buttons, and nobody acts."""
    site = make_site(login=None)
    site.add("ann", "bob")
    site.follow("ann bob")
    site.show(BUTTON)
    visitor = site.client()
    assert buttons(visitor.get("/page").text) == {"ann": "", "bob": ""}
    assert "ann" in visitor.get("/follows/2/followers").text
    assert visitor.post("/follows/2/follow").status_code == 401
    assert visitor.get("/follows/2/known-followers").status_code == 401


@pytest.mark.parametrize("template", ["follow_button", "follow_counts", "remove_follower_button"])
def test_who_is_not_saved_has_nothing(site, template):
    """Nothing to follow yet, and nothing is flushed to find out; nor for who was deleted."""
    with site.app.test_request_context():
        new, pending, deleted = site.User(), site.User(username="x"), site.user("bob")
        site.db.session.delete(deleted)
        site.db.session.flush()
        site.db.session.add(pending)
        for user in (new, pending, deleted):
            assert render_template_string(f"{{{{ {template}(user) }}}}", user=user) == ""
        assert pending in site.db.session.new


@pytest.mark.parametrize("wrong", [None, 1, "ann", object()])
def test_what_is_no_user(site, wrong):
    """A button for something else is a mistake, which is named."""
    with site.app.test_request_context(), pytest.raises(WrongTypeError, match="instance of User"):
        render_template_string("{{ follow_button(user) }}", user=wrong)


def test_ones_proxy_is_a_user(site):
    """`follow_button(current_user)` is for oneself."""
    site.show("[{{ follow_button(current_user) }}]{{ follow_counts(current_user) }}")
    page = site.client("ann").get("/page").text
    assert page.startswith("[]<")
    assert 'data-user="ann"' in page


def test_outside_a_request(site):
    """In an e-mail, say: the counts are there, without links, and no buttons."""
    site.follow("ann bob")
    with site.app.app_context():
        page = render_template_string(
            "{{ follow_button(u) }}{{ follow_counts(u) }}", u=site.user("bob")
        )
    assert "1</strong>" in page
    assert "href" not in page
    assert "<form" not in page


def test_somebody_else_is_logged_in(site, make_user_of_another_class):
    """Who logs in as something else than a user of ours is a visitor here."""
    site.show(BUTTON)
    assert buttons(site.client("ann").get("/page").text)["bob"][1].startswith("/login")
    assert site.client("ann").post("/follows/bob/follow").status_code == 303
    assert site.edges() == set()


@pytest.fixture
def make_user_of_another_class(site):
    """Have Flask-Login load what is no user of ours."""

    class Admin:
        is_authenticated = True

        def get_id(self):
            return "1"

    site.app.login_manager.user_loader(lambda key: Admin())


def test_counts(site):
    """The numbers, in compact form, with the whole number beside, and links to the lists."""
    site.follow("ann bob", "cleo bob", "bob ann")
    site.show("{{ follow_counts(users[1]) }}")
    page = site.client().get("/page").text
    assert re.findall(r'href="([^"]+)".*?data-number="(\d+)"', page) == [
        ("/follows/bob/followers", "2"),
        ("/follows/bob/followed", "1"),
    ]
    assert re.findall(r">(followers?|following)<", page) == ["followers", "following"]
    site.show("{{ follow_counts(users[0]) }}")
    assert ">follower<" in site.client().get("/page").text


def test_the_tests(site):
    """`is following`, `is followed_by`, `is mutual_with`, for the viewer and for any two users."""
    site.follow("ann bob", "bob ann", "ann cleo")
    site.show(
        "{% set ann, bob, cleo = users %}"
        "{{ [current_user is following bob, current_user is following cleo,"
        " current_user is followed_by bob, current_user is followed_by cleo,"
        " current_user is mutual_with bob, current_user is mutual_with cleo,"
        " bob is following ann, cleo is not following ann] }}"
    )
    assert site.client("ann").get("/page").text == str(
        [True, True, True, False, True, False] + [True] * 2
    )
    assert site.client().get("/page").text == str([False] * 6 + [True] * 2)
    with site.app.test_request_context():
        template = (
            "{{ ann is following new }} {{ new is followed_by ann }} "
            "{{ current_user is mutual_with ann }}"
        )
        page = render_template_string(template, ann=site.user("ann"), new=site.User())
        assert page == "False False False"
        assert current_user.is_anonymous


def test_a_list_of_users(site):
    """Name, mark and button of each; a list, a query or a page; the macro needs no context."""
    site.follow("bob ann", "ann cleo")
    site.follows.web.profile_url(
        lambda user: f"/u/{user.username}" if user.username != "bob" else None
    )
    ann = site.client("ann")
    for users in ("users", "users[0].__class__.query.order_by('id')"):
        site.show(MACROS + f"{{{{ user_list({users}) }}}}")
        page = ann.get("/page").text
        assert re.findall(r'follows-name"(?: href="([^"]+)")?>(\w+)<', page) == [
            ("/u/ann", "ann"),
            ("", "bob"),
            ("/u/cleo", "cleo"),
        ]
        assert page.count("Follows you") == 1
        assert page.count("<form") == 2
        assert "follow-counts" not in page
    site.show(MACROS + "{{ user_list(users, counts=true, removable=true) }}")
    page = ann.get("/page").text
    assert (page.count("follow-counts"), page.count("remove-follower")) == (3, 1)
    site.show(MACROS + "[{{ user_list([], empty='nobody') }}{{ user_list([]) }}]")
    assert "nobody" in ann.get("/page").text


def test_the_pager(site):
    """Links beside a page, under the words given, with all that the address has already."""
    site.app.config["FOLLOWS_PER_PAGE"] = 1
    site.follow("ann bob", "cleo bob")
    site.show(
        MACROS
        + "{% set page = users[1].followers.page(per_page=1, after=request.args.get('after')) %}"
        "{{ pager(page, older='More') }}"
    )
    visitor = site.client()
    page = visitor.get("/page?q=a%26b&q=c&_external=1&_scheme=javascript").text
    [link] = re.findall(r'href="([^"]+)">More<', page)
    link = link.replace("&amp;", "&")
    assert link.startswith("?q=a%26b&q=c&_external=1&_scheme=javascript&after=")
    page = visitor.get("/page" + link).text
    assert re.findall(r'rel="(\w+)" href="[^"]*?(after|before)=', page) == [("prev", "before")]
    site.show(MACROS + "[{{ pager(users[1].followers.page()) }}]")
    assert "nav" not in visitor.get("/page").text


def test_a_script_in_a_name(make_site):
    """Whatever a user is called, it is text, and leads nowhere else."""
    site = make_site(FOLLOWS_USER_COLUMN="username")
    name = "<script>alert('\"')</script>"
    site.add("ann", name)
    site.show(
        MACROS + "{{ user_list(users, counts=true, removable=true) }}"
        "{{ user_list([], empty=users[1].username) }}"
    )
    with site.app.test_request_context():
        site.follows.follow(site.user(name), site.user("ann"))
        site.db.session.commit()
        address = url_for("follows.followers", user=name)
    ann = site.client("ann")
    for path in ("/page", address, "/follows/ann/followers"):
        page = ann.get(path)
        assert page.status_code == 200
        assert "&lt;script&gt;alert" in page.text
        assert "<script>alert" not in page.text


def test_names_of_the_hosts_stay(make_app, db, User, caplog):
    """A test, filter or global that the host has is left alone, and the log says so."""
    app = make_app(db)
    app.jinja_env.tests["following"] = lambda *_: "mine"
    app.jinja_env.filters["compact_number"] = str
    app.jinja_env.globals["follow_button"] = "mine"
    with caplog.at_level(logging.WARNING, logger="flask_follows"):
        Follows(app, db, User)
    assert app.jinja_env.globals["follow_button"] == "mine"
    assert app.jinja_env.filters["compact_number"] is str
    assert app.jinja_env.tests["following"]() == "mine"
    assert [record.args for record in caplog.records] == [
        ("test", "following"),
        ("filter", "compact_number"),
        ("global", "follow_button"),
    ]


@pytest.mark.parametrize("number", [2, 50])
@pytest.mark.parametrize(
    ("template", "statements"),
    [
        (MACROS + "{{ user_list(users) }}", 3),
        (MACROS + "{{ user_list(users, counts=true, removable=true) }}", 5),
        ("{% for user in users %}{{ follow_button(user) }}{% endfor %}", 4),
        (
            "{% for user in users %}{{ follow_button(user) }}{{ follow_counts(user) }}"
            "{{ user is following current_user }}{% endfor %}",
            6,
        ),
        (
            "{% for user in users %}{{ current_user is following user }}"
            "{{ user is following current_user }}{% endfor %}",
            4,
        ),
    ],
)
def test_statements_of_a_page(make_site, number, template, statements):
    """As many for fifty users as for two: the login, the users, what is asked of all of them."""
    site = make_site()
    site.add("ann", *(f"u{place}" for place in range(number)))
    site.show(template)
    ann = site.client("ann")
    with site.counted() as counted:
        page = ann.get("/page")
    assert page.status_code == 200
    assert page.text.count("follow-button") in (0, number)
    assert len(counted) == statements, counted


@pytest.mark.parametrize("number", [2, 50])
def test_statements_of_a_page_of_ours(make_site, number):
    """Of one's own followers, with all buttons: as many for fifty as for two."""
    site = make_site(FOLLOWS_PER_PAGE=50)
    site.add("ann", *(others := [f"u{place}" for place in range(number)]))
    site.follow(*(f"{name} ann" for name in others))
    ann = site.client("ann")
    with site.counted() as counted:
        page = ann.get("/follows/1/followers").text
    assert page.count("Follow back<") == page.count(">Remove<") == number
    assert len(counted) == 6, counted
