"""Attacks, each refused: forged requests, forged targets, forged bodies, forged places in lists."""

from __future__ import annotations

import io
import json
from urllib.parse import quote

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.test import EnvironBuilder
from werkzeug.urls import iri_to_uri

from flask_follows.web.security import is_cross_site, local_target

from .sites import JSON

HERE, ELSEWHERE = "http://localhost", "http://evil.example"

# What another site can have a browser send: the headers that tell of it.
CROSS_SITE = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "CROSS-SITE"},
    {"Sec-Fetch-Site": "what else"},
    {"Sec-Fetch-Site": ""},
    {"Sec-Fetch-Site": "cross-site", "Origin": HERE},
    {"Origin": ELSEWHERE},
    {"Origin": "null"},
    {"Origin": "http://localhost.evil.example"},
    {"Origin": "http://localhost@evil.example"},
    {"Origin": "http://localhost:8000"},
    {"Origin": "https://localhost:80"},
    {"Origin": "ftp://localhost"},
    {"Origin": "localhost"},
    {"Origin": "http://[localhost"},
    {"Origin": "http://localhost:port"},
    {"Origin": ELSEWHERE, "Referer": HERE},
    {"Referer": f"{ELSEWHERE}/{HERE}"},
    {"Referer": "data:text/html,localhost"},
]
OWN = [
    {},
    {"Sec-Fetch-Site": "same-origin"},
    {"Sec-Fetch-Site": "none"},
    {"Sec-Fetch-Site": "same-origin", "Origin": "http://behind-a-proxy.example"},
    {"Origin": HERE},
    {"Origin": "HTTP://LOCALHOST:80"},
    {"Origin": "https://localhost"},  # a proxy may have taken the TLS away
    {"Referer": f"{HERE}/page?x"},
]


def test_cross_site_requests(site):
    """With Fetch Metadata and without, in either form, nothing of another site's is done."""
    ann = site.client("ann")
    done = []
    for headers in CROSS_SITE:
        for action in ("follow", "unfollow", "remove-follower"):
            for accept in ({}, JSON):
                answer = ann.post(f"/follows/bob/{action}", headers={**headers, **accept})
                if answer.status_code != 403:
                    done.append((headers, action, answer.status))
    assert done == []
    assert site.edges() == set()


def test_requests_of_the_site_itself(site):
    """What the site's own pages send is done, and what comes from no browser."""
    ann = site.client("ann")
    answers = [
        ann.post("/follows/bob/follow", headers={**headers, **JSON}).status_code for headers in OWN
    ]
    assert answers == [200] * len(OWN)


def test_pages_may_be_linked_from_elsewhere(site):
    """Reading is no forgery."""
    answer = site.client().get("/follows/bob/followers", headers=CROSS_SITE[0])
    assert answer.status_code == 200


def test_a_site_at_another_port():
    """The host is the host with its port, as the browser's address has it."""
    app = Flask("tests")
    for host, origin, crosses in [
        ("example.org:8000", "http://example.org:8000", False),
        ("example.org:8000", "http://example.org", True),
        ("example.org", "https://example.org:443", False),
        ("[::1]:5000", "http://[::1]:5000", False),
    ]:
        headers = {"Host": host, "Origin": origin}
        with app.test_request_context("/", method="POST", headers=headers):
            assert is_cross_site() is crosses, (host, origin)


def test_get_changes_nothing(site):
    """No GET, nor HEAD, nor one that calls itself a POST, follows."""
    ann = site.client("ann")
    for method in ("GET", "HEAD", "OPTIONS", "TRACE", "PROPFIND"):
        for headers in ({}, {"X-HTTP-Method-Override": "POST"}, {"X-Method-Override": "POST"}):
            path = "/follows/bob/follow?_method=POST&next=/"
            answer = ann.open(path, method=method, headers=headers)
            assert answer.status_code == (200 if method == "OPTIONS" else 405)
    assert site.edges() == set()


FORGED = [
    "//evil.example",
    "///evil.example",
    "////evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "\\/evil.example",
    "/\\/evil.example",
    "//\\evil.example",
    "https://evil.example",
    "HTTPS://evil.example",
    "https:evil.example",
    "https:/evil.example",
    "https:///evil.example",
    "http:/\\evil.example",
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "java\tscript:alert(1)",
    "data:text/html,x",
    "vbscript:x",
    "file:///etc/passwd",
    "/\t/evil.example",
    "/\n/evil.example",
    "/\r/evil.example",
    "\t//evil.example",
    " //evil.example",
    "\x00//evil.example",
    "\x1f/evil.example",
    "/\x7f/evil.example",
    "/\x00/evil.example",
    "/ok\r\nSet-Cookie: a=b",
    "/ok\nLocation: //evil.example",
    "/\u2028/evil.example",
    "/\u200b/evil.example",
    "//user@evil.example",
    "//localhost@evil.example",
    "https://localhost@evil.example",
    "https://localhost:80@evil.example/",
    "//localhost.evil.example",
    "//evil.example/localhost",
    "//evil.example:80",
    "//[::1]/",
    "//2130706433",
    "/%2f/evil.example",
    "/%2F%2Fevil.example",
    "/%5cevil.example",
    "/%5C/evil.example",
    "/%252f/evil.example",
    "/%25252f%25252fevil.example",
    "/%09/evil.example",
    "/%0a/evil.example",
    "/%0d%0aSet-Cookie:a=b",
    "/%00",
    "/.//evil.example",
    "/..//evil.example",
    "/ok/..//evil.example",
    "/ok//evil.example",
    "evil.example",
    "www.evil.example",
    "@evil.example",
    ":80",
    "?next=//evil.example",
    "#//evil.example",
    "..//evil.example",
    "./evil",
    "",
    " ",
    "/" + "a" * 5000,
]
LOCAL = [
    "/",
    "/people",
    "/people?after=abc&x=1#bob",
    "/u/ann%20b",
    "/u/Zoë",
    "/search?url=https://elsewhere.example//x",
    "/100%",
    "/a:b@c",
]


def test_forged_targets(site):
    """In no spelling does `next` lead away from the site, after a form or after the login."""
    ann, visitor = site.client("ann"), site.client()
    led = {}
    for target in FORGED:
        answer = ann.post("/follows/bob/follow", data={"next": target})
        if (answer.status_code, answer.location) != (303, "/follows/bob/followers"):
            led[target] = answer.location
        answer = visitor.post("/follows/bob/follow", data={"next": target})
        if (answer.status_code, answer.location) != (303, "/login"):
            led[target] = answer.location
        answer = ann.post(f"/follows/bob/follow?next={iri_to_uri(target)}")
        if answer.location != "/follows/bob/followers":
            led[target] = answer.location
    assert led == {}


def test_targets_on_the_site(site):
    """What is a path on this site is where the form leads."""
    ann = site.client("ann")
    for target in LOCAL:
        answer = ann.post("/follows/bob/follow", data={"next": target})
        assert answer.location == iri_to_uri(target)


@given(st.text(alphabet="/\\:.@%25cfF09aeh?#&= \t\r\n\x00é", max_size=12).map("/".__add__))
def test_whatever_is_let_through_is_a_path(target):
    """What a browser makes of it is on this site, and so it is after another decoding."""
    local = local_target(target)
    if local is not None:
        assert local == target
        path = local.partition("?")[0].partition("#")[0]
        assert path[:1] == "/"
        assert not any(mark in path for mark in ("//", "\\", "\t", "\r", "\n", "\0"))


def test_a_forged_referer(site):
    """The page before is only where it is the site's own, and then as a path."""
    ann, own = site.client("ann"), {"Sec-Fetch-Site": "same-origin"}
    for page in (f"{ELSEWHERE}/x", f"{HERE}//evil.example", f"{HERE}/\\evil.example", "x", HERE):
        answer = ann.post("/follows/bob/follow", headers={**own, "Referer": page})
        assert answer.location == "/follows/bob/followers"


def test_nobody_acts_for_another(site):
    """Whatever a request says, it is who is logged in that follows."""
    cleo = site.client("cleo")
    fields = {"follower": "ann", "follower_id": "1", "user": "ann", "actor": "ann", "id": "1"}
    answer = cleo.post("/follows/bob/follow", data=fields, query_string=fields)
    assert answer.status_code == 303
    headers = {"X-User": "ann", "X-Forwarded-User": "ann", "From": "ann", **JSON}
    assert cleo.post("/follows/bob/follow", headers=headers).status_code == 200
    for name, value in fields.items():
        answer = cleo.post("/follows/bob/follow", json={name: value}, headers=JSON)
        assert (answer.status_code, answer.mimetype) == (422, "application/json")
    assert site.edges() == {"cleo bob"}
    # And nobody removes another's follower.
    assert cleo.post("/follows/cleo/remove-follower", data={"user": "bob"}).status_code == 303
    assert site.edges() == {"cleo bob"}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 200),
        (b"{}", 200),
        (b" {} ", 200),
        (b"{", 400),
        (b"null", 400),
        (b"[]", 400),
        (b"1", 400),
        (b'"ann"', 400),
        (b"true", 400),
        (b"NaN", 400),
        (b"\xff\xfe", 400),
        (b"\x00", 400),
        (b"[" * 15000, 400),
        (b'{"a":' * 3000, 400),
        (b'{"next": "//evil.example"}', 422),
        (b'{"next": 1}', 422),
        (b'{"user": {"id": [1]}}', 422),
        (b'{"": null}', 422),
        (b'{"__proto__": {}}', 422),
        (json.dumps({"x": "a" * 20000}).encode(), 413),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_bodies(site, body, status):
    """Malformed, of the wrong type, deep, oversized: said what is wrong, and nothing is done."""
    ann = site.client("ann")
    for kind in ("application/json", "application/vnd.api+json; charset=x"):
        answer = ann.post("/follows/bob/follow", data=body, content_type=kind, headers=JSON)
        assert (answer.status_code, answer.mimetype) == (status, "application/json")
    assert site.edges() == ({"ann bob"} if status == 200 else set())


def test_forms_that_no_button_sends(site):
    """Oversized, malformed, of another type: 413, or as if nothing had been said."""
    ann, path = site.client("ann"), "/follows/bob/unfollow"
    assert ann.post(path, data={"next": "/" * 20000}).status_code == 413
    environ = {"CONTENT_LENGTH": str(10**12), "wsgi.input": io.BytesIO()}
    assert ann.post(path, environ_overrides=environ).status_code == 413
    broken = "multipart/form-data; boundary=x"
    for body, kind in [
        (b"--x\r\nbroken", broken),
        (b"%%%=%ff&&&=", "application/x-www-form-urlencoded"),
        (b"<xml/>", "text/xml"),
        (b"\0" * 100, "application/octet-stream"),
        (b"x", "no type at all"),
    ]:
        answer = ann.post(path, data=body, content_type=kind)
        assert (answer.status_code, answer.location) == (303, "/follows/bob/followers")


def test_a_body_of_unknown_length(site):
    """There is nothing to stream here."""
    builder = EnvironBuilder("/follows/bob/follow", method="POST", headers=JSON)
    environ = builder.get_environ()
    builder.close()
    environ.pop("CONTENT_LENGTH", None)
    environ["HTTP_TRANSFER_ENCODING"] = "chunked"
    assert site.client("ann").open(environ).status_code == 411


NAMES = [
    "",
    ".",
    "..",
    "%2e%2e",
    "a/b",
    "a" * 5000,
    "\0",
    "'; DROP TABLE user; --",
    "ann\n",
    " ann",
    "%",
    "~",
    "~a",
    "~!",
    "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"),
]


def test_forged_names(site):
    """A name that nobody has is 404, whatever it consists of, on every database."""
    ann = site.client("ann")
    for name in NAMES:
        for action in ("followers", "follow"):
            path = f"/follows/{quote(name, safe='')}/{action}"
            answer = ann.open(path, method="POST" if action == "follow" else "GET", headers=JSON)
            assert answer.status_code in (404, 308), name
    assert site.edges() == set()


@pytest.mark.parametrize(
    "name", ["1", "01", "+1", " 1", "1.0", "1e0", "٣", "-1", "9" * 30, "0x1", "1_0"]
)
def test_a_key_has_one_spelling(make_site, name):
    """What is a number in another spelling is nobody's address, and nor is what no key can be."""
    site = make_site()
    site.add("ann")
    answer = site.client().get(iri_to_uri(f"/follows/{name}/followers"), headers=JSON)
    assert answer.status_code == (200 if name == "1" else 404)


def test_tampered_cursors(make_site):
    """Cut, lengthened, changed anywhere: 400, or another place in the same list, and never more."""
    site = make_site(FOLLOWS_PER_PAGE=1)
    site.add("ann", "bob", "cleo")
    site.follow("bob ann", "cleo ann")
    visitor, path = site.client(), "/follows/1/followers"
    place = visitor.get(path, headers=JSON).json["next"]
    forged = [
        place[:-1],
        place[1:],
        place + "A",
        place + "=",
        place.swapcase(),
        place * 2,
        "W10",
        "bnVsbA",
    ]
    forged += [place[:at] + "A" + place[at + 1 :] for at in range(0, len(place), 3)]
    for cursor in forged:
        for which in ("after", "before"):
            answer = visitor.get(path, query_string={which: cursor}, headers=JSON)
            assert answer.status_code in (200, 400), cursor
            if answer.status_code == 200:
                assert {person["name"] for person in answer.json["items"]} <= {"bob", "cleo"}
    assert visitor.get(f"{path}?after={place}&after=x", headers=JSON).status_code == 200


def test_who_exists_is_not_told_to_visitors(site):
    """A visitor's POST is answered the same for every name."""
    visitor = site.client()
    for headers in ({}, JSON):
        answers = {
            (answer.status, answer.text, answer.location)
            for answer in (
                visitor.post(f"/follows/{name}/follow", headers=headers) for name in ("bob", "dora")
            )
        }
        assert len(answers) == 1
