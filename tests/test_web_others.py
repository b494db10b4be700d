"""Beside other extensions: Flask-WTF's token, Flask-Limiter's limits."""

from __future__ import annotations

import re

import pytest
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from flask_wtf import CSRFProtect

from .sites import JSON


@pytest.fixture
def csrf(site):
    """Flask-WTF's protection of all forms of the site."""
    return CSRFProtect(site.app)


def token_on(page):
    """Return the token in the first form of a page."""
    return re.search('name="csrf_token" value="([^"]+)"', page.text)[1]


def test_the_token_is_in_the_forms(site, csrf):
    """Buttons carry it, and without it nothing is done."""
    site.follow("bob ann")
    ann = site.client("ann")
    page = ann.get("/follows/ann/followers")
    assert page.text.count('name="csrf_token"') == page.text.count("<form") == 2
    assert ann.post("/follows/bob/follow").status_code == 400
    assert ann.post("/follows/bob/follow", data={"csrf_token": "x"}).status_code == 400
    assert site.edges() == {"bob ann"}
    token = token_on(page)
    assert ann.post("/follows/bob/follow", data={"csrf_token": token}).status_code == 303
    assert ann.post("/follows/bob/remove-follower", data={"csrf_token": token}).status_code == 303
    assert site.edges() == {"ann bob"}


def test_another_name_of_the_field(site, csrf):
    """The host's own name for it is used."""
    site.app.config["WTF_CSRF_FIELD_NAME"] = "proof"
    page = site.client("ann").get("/follows/bob/followers").text
    assert page.count('name="proof"') == page.count("<form") == 1


def test_the_token_of_another_session(site, csrf):
    """It is good for nobody else."""
    token = token_on(site.client("ann").get("/follows/bob/followers"))
    cleo = site.client("cleo")
    assert cleo.post("/follows/bob/follow", data={"csrf_token": token}).status_code == 400


def test_json_with_the_token(site, csrf):
    """As a form field, which the script sends, or as a header."""
    ann = site.client("ann")
    token = token_on(ann.get("/follows/bob/followers"))
    path = "/follows/bob/follow"
    assert ann.post(path, headers=JSON, data={"csrf_token": token}).json["changed"] is True
    answer = ann.post(path, headers={**JSON, "X-CSRFToken": token})
    assert answer.json["changed"] is False


def test_json_without_the_token(site, csrf):
    """The reason is the same as in HTML."""
    answer = site.client("ann").post("/follows/bob/follow", headers=JSON)
    assert (answer.status_code, answer.json["error"]["code"]) == (400, 400)
    assert answer.json["error"]["description"] == "The CSRF token is missing."


def test_exempted(site, csrf):
    """The host may exempt the blueprint; requests of other sites are refused all the same."""
    csrf.exempt(site.app.blueprints["follows"])
    ann = site.client("ann")
    assert ann.post("/follows/bob/follow").status_code == 303
    cross_site = {"Sec-Fetch-Site": "cross-site"}
    assert ann.post("/follows/bob/follow", headers=cross_site).status_code == 403


@pytest.mark.parametrize("other", [False, True])
def test_without_flask_wtf(site, other):
    """There is no token, and none is asked for; nor is that of another extension understood."""
    if other:
        site.app.jinja_env.globals["csrf_token"] = lambda: "another's csrf"
    page = site.client("ann").get("/follows/bob/followers").text
    assert "csrf" not in page
    assert page.count("<form") == 1


@pytest.mark.parametrize("together", [False, True])
def test_a_limit(site, together):
    """As the documentation says: presses beyond it are 429, in JSON too; pages are not limited."""
    limiter = Limiter(get_remote_address, app=site.app, storage_uri="memory://")
    limit = limiter.shared_limit("3/minute", "follows", methods=["POST"]) if together else None
    limit = limit or limiter.limit("3/minute", methods=["POST"])
    limit(site.app.blueprints["follows"])
    ann = site.client("ann")
    presses = [ann.post("/follows/bob/follow").status_code for _ in range(4)]
    assert presses == [303, 303, 303, 429]
    answer = ann.post("/follows/bob/follow", headers=JSON)
    assert (answer.status_code, answer.json["error"]["name"]) == (429, "Too Many Requests")
    assert ann.post("/follows/cleo/unfollow").status_code == (429 if together else 303)
    assert [ann.get("/follows/bob/followers").status_code for _ in range(5)] == [200] * 5
