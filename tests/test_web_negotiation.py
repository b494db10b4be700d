"""HTML or JSON at the same address, and what the headers say about it."""

from __future__ import annotations

from itertools import repeat

import pytest
from flask import abort, request
from werkzeug.exceptions import Forbidden

from .sites import JSON

PAGE = "/follows/ann/followers"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "mimetype"),
    [
        (None, "text/html"),
        ("", "text/html"),
        ("*/*", "text/html"),
        (BROWSER, "text/html"),
        ("application/json", "application/json"),
        ("application/json, text/plain, */*", "application/json"),
        ("text/html;q=0.5, application/json", "application/json"),
        ("application/json;q=0.5, text/html", "text/html"),
        ("application/*", "application/json"),
        ("image/png", "text/html"),
        ("application/json;q=0", "text/html"),
        (", ;;q=x/, application/json;q=999", "text/html"),
    ],
)
def test_who_gets_json(site, accept, mimetype):
    """Who asks for it, and would not rather have HTML."""
    answer = site.client().get(PAGE, headers={} if accept is None else {"Accept": accept})
    assert (answer.status_code, answer.mimetype) == (200, mimetype)


def test_nobody_keeps_a_page(site):
    """Pages, errors and answers are private, not stored, and vary by form and by viewer."""
    ann = site.client("ann")
    for answer in (
        ann.get(PAGE),
        ann.get(PAGE, headers=JSON),
        ann.get("/follows/dora/followers"),
        ann.post("/follows/bob/follow"),
        ann.post("/follows/ann/follow", headers=JSON),
        site.client().post("/follows/bob/follow"),
    ):
        assert answer.headers["Cache-Control"] == "private, no-store"
        assert {"Accept", "Cookie"} <= set(answer.vary)
        assert answer.headers["X-Frame-Options"] == "SAMEORIGIN"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_the_host_may_say_otherwise_about_frames(site):
    """What a function of the host's has said stays."""

    @site.app.after_request
    def frame(response):
        response.headers["X-Frame-Options"] = "DENY"
        return response

    assert site.client().get(PAGE).headers["X-Frame-Options"] == "DENY"


def test_the_script_is_kept(site):
    """Script and style sheet are files like others, even for who prefers JSON."""
    for name, kind in (("follows.js", "text/javascript"), ("follows.css", "text/css")):
        with site.client().get(f"/follows/-/static/{name}", headers=JSON) as answer:
            assert (answer.status_code, answer.mimetype) == (200, kind)
            assert "no-store" not in answer.headers["Cache-Control"]
            assert answer.headers["ETag"]
    assert site.client().get("/follows/-/static/none.js", headers=JSON).mimetype == "text/html"


@pytest.mark.parametrize("accept", ["text/html", "application/json"])
def test_another_method(site, accept):
    """405 says which methods there are; HEAD and OPTIONS change nothing."""
    ann, headers = site.client("ann"), {"Accept": accept}
    for action in ("follow", "unfollow", "remove-follower"):
        for method in ("GET", "HEAD", "PUT", "PATCH", "DELETE"):
            answer = ann.open(f"/follows/bob/{action}", method=method, headers=headers)
            assert (answer.status_code, answer.mimetype) == (405, accept)
            assert set(answer.allow) == {"OPTIONS", "POST"}
    for method in ("POST", "PUT", "DELETE"):
        answer = ann.open(PAGE, method=method, headers=headers)
        assert (answer.status_code, answer.mimetype) == (405, accept)
        assert set(answer.allow) == {"GET", "HEAD", "OPTIONS"}
    assert set(ann.options("/follows/bob/follow").allow) == {"OPTIONS", "POST"}
    assert ann.head(PAGE, headers=headers).status_code == 200
    assert site.edges() == set()


def test_errors_of_the_hosts(site):
    """Its own error pages are shown for HTML, and said in JSON to whoever wants that."""
    site.app.register_error_handler(404, lambda error: ("my own page", 404))
    site.app.before_request(lambda: abort(503) if "after" in request.args else None)
    visitor = site.client()
    assert visitor.get("/follows/dora/followers").text == "my own page"
    assert visitor.get("/follows/dora/followers", headers=JSON).json["error"]["code"] == 404
    answer = visitor.get(f"{PAGE}?after=x", headers=JSON)
    assert answer.json["error"]["name"] == "Service Unavailable"


def test_the_reason_of_a_refusal(site):
    """What Werkzeug's page would say; of a page of the host's only the status is known."""
    refusals = {
        "plain": lambda: abort(403, "Not <you>,\nnor her."),
        "own": lambda: (b"nicht \xfcber 9", 403),
        "streamed": lambda: (repeat("a page"), 403),
        "packed": lambda: (b"\x1f\x8b", 403, {"Content-Encoding": "gzip"}),
    }

    @site.app.before_request
    def refuse():
        return refusals[request.args["refuse"]]()

    visitor = site.client()
    reasons = {
        name: visitor.get(f"{PAGE}?refuse={name}", headers=JSON).json["error"]["description"]
        for name in refusals
    }
    assert reasons.pop("plain") == "Not <you>, nor her."
    assert set(reasons.values()) == {Forbidden.description}


def test_a_status_without_a_name(site):
    """What the host has made up is told in JSON all the same."""
    site.app.before_request(lambda: ("no", 499))
    answer = site.client().get(PAGE, headers=JSON)
    assert (answer.status_code, answer.json["error"]["name"]) == (499, "Error")


def test_the_hosts_own_addresses_are_left_alone(site):
    """Nothing of the host's becomes JSON, nor private, nor is refused."""
    site.app.add_url_rule("/own", "own", lambda: "fine", methods=["POST"])
    site.app.add_url_rule("/slash/", "slash", lambda: "fine", methods=["POST"])
    site.app.add_url_rule("/old", "old", redirect_to="/own", methods=["POST"])
    visitor = site.client()
    for path in ("/own", "/nowhere", "/slash", "/slash/", "/old"):
        answer = visitor.get(path, headers=JSON)
        assert (answer.mimetype, "Cache-Control" in answer.headers) == ("text/html", False)
    assert visitor.post("/own", headers={"Sec-Fetch-Site": "cross-site"}).text == "fine"
