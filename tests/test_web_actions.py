"""Buttons pressed: follow, unfollow, remove a follower, for whoever is logged in alone."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from .sites import JSON


def test_a_form_follows_and_leads_back(site):
    """The edge is committed, and the answer is 303 to the page that the form was on."""
    answer = site.client("ann").post("/follows/bob/follow", data={"next": "/people?after=x"})
    assert (answer.status_code, answer.location) == (303, "/people?after=x")
    assert site.edges() == {"ann bob"}


def test_unfollow(site):
    """An edge goes, and only the actor's own."""
    site.follow("ann bob", "cleo bob")
    assert site.client("ann").post("/follows/bob/unfollow").status_code == 303
    assert site.edges() == {"cleo bob"}


def test_remove_a_follower(site):
    """A follower goes, and the edge back stays."""
    site.follow("bob ann", "ann bob")
    assert site.client("ann").post("/follows/bob/remove-follower").status_code == 303
    assert site.edges() == {"ann bob"}


def test_json_tells_what_has_changed(site):
    """Whether this request made the difference, with the new state and counts of both."""
    site.follow("bob ann", "cleo bob")
    ann = site.client("ann")
    answer = ann.post("/follows/bob/follow", headers=JSON)
    assert (answer.status_code, answer.mimetype) == (200, "application/json")
    bob = {"id": "bob", "name": "bob", "url": None, "following": True, "followed_by": True}
    assert answer.json == {
        "changed": True,
        "user": {**bob, "followers_count": 2, "followed_count": 1},
        "viewer": {
            **{"id": "ann", "name": "ann", "url": None, "following": None, "followed_by": None},
            **{"followers_count": 1, "followed_count": 1},
        },
    }
    assert ann.post("/follows/bob/follow", headers=JSON).json["changed"] is False
    assert ann.post("/follows/bob/unfollow", headers=JSON).json["user"]["following"] is False
    assert ann.post("/follows/bob/unfollow", headers=JSON).json["changed"] is False
    assert ann.post("/follows/bob/remove-follower", headers=JSON).json["changed"] is True
    assert site.edges() == {"cleo bob"}


@pytest.mark.parametrize("accept", ["text/html", "application/json"])
def test_what_is_refused(site, accept):
    """Oneself is 422, somebody unknown 404, to a visitor 401 or the login page, in both forms."""
    ann, visitor, headers = site.client("ann"), site.client(), {"Accept": accept}
    refused = {
        ("/follows/ann/follow", 422),
        ("/follows/dora/follow", 404),
        ("/follows/dora/unfollow", 404),
    }
    for path, status in refused:
        answer = ann.post(path, headers=headers)
        assert (answer.status_code, answer.mimetype) == (status, accept)
    for name in ("bob", "dora"):  # whether there is such a user or not
        answer = visitor.post(f"/follows/{name}/follow", headers=headers)
        assert answer.status_code == (401 if accept == "application/json" else 303)
    assert site.edges() == set()


def test_json_says_what_is_wrong(site):
    """An error has its code, its name, and what to do."""
    answer = site.client("ann").post("/follows/ann/follow", headers=JSON)
    assert answer.json == {
        "error": {
            "code": 422,
            "name": "Unprocessable Entity",
            "description": "You cannot follow yourself.",
        }
    }


def test_unfollowing_oneself_changes_nothing(site):
    """There is no such edge; nor is it an error."""
    answer = site.client("ann").post("/follows/ann/unfollow", headers=JSON)
    assert (answer.status_code, answer.json["changed"]) == (200, False)


def test_where_a_form_leads(site):
    """To `next`, else to the page it was on, else to the user's own, else to the followers."""
    ann, path = site.client("ann"), "/follows/bob/follow"
    page = {"Referer": "http://localhost/somewhere?q=1"}
    assert ann.post(path, data={"next": "/a"}, headers=page).location == "/a"
    assert ann.post(path, headers=page).location == "/somewhere?q=1"
    assert ann.post(path, headers={"Referer": "http://localhost/plain"}).location == "/plain"
    assert ann.post(path).location == "/follows/bob/followers"
    site.follows.web.profile_url(lambda user: f"/u/{user.username}")
    assert ann.post(path).location == "/u/bob"


def test_who_is_logged_out_meanwhile_logs_in_and_comes_back(site):
    """To the page that the form was on: not to the form's own address, which takes no GET."""
    visitor = site.client()
    answer = visitor.post("/follows/bob/follow", data={"next": "/people"})
    assert (answer.status_code, answer.location) == (303, "/login?next=%2Fpeople")
    with visitor.session_transaction() as session:
        assert session["_flashes"] == [("message", "Please log in to access this page.")]


def test_the_host_says_what_becomes_of_visitors(make_site):
    """Flask-Login's handler of the host's is asked, where there is one; without a message too."""
    site = make_site(login={"unauthorized_callback": lambda: ("who are you?", 418)})
    assert site.client().post("/follows/1/follow").status_code == 418
    site = make_site(login={"login_message": None})
    visitor = site.client()
    assert visitor.post("/follows/1/follow").location == "/login"
    with visitor.session_transaction() as session:
        assert "_flashes" not in session


@pytest.mark.parametrize("through", ["the class", "the table"])
def test_a_user_who_is_deleted_meanwhile(site, through):
    """Gone between being found and being followed: 404, and nothing of it is committed."""

    @site.follows.web.allows
    def delete(actor, action, user):
        users = site.User if through == "the class" else site.User.__table__
        site.db.session.execute(sa.delete(users).where(site.User.username == "bob"))
        return True

    answer = site.client("ann").post("/follows/bob/follow", headers=JSON)
    assert answer.status_code == 404
    with site.app.app_context():
        assert site.user("bob").followers_count == 0


def test_what_fails_is_rolled_back(site):
    """Where the commit fails nothing is kept, and the next request is as any other."""
    ann, failing = site.client("ann"), [True]

    def fail(session):
        if failing:
            failing.clear()
            raise RuntimeError("no commit today")

    sa.event.listen(site.db.session, "before_commit", fail)
    site.app.config["PROPAGATE_EXCEPTIONS"] = False
    answer = ann.post("/follows/bob/follow", headers=JSON)
    assert (answer.status_code, answer.json["error"]["code"]) == (500, 500)
    assert site.edges() == set()
    assert ann.post("/follows/bob/follow").status_code == 303
    assert site.edges() == {"ann bob"}
