"""The pages: timeline, explore, people, profiles, and what is drawn of the network.

Buttons, and the pages of followers and followed, are the package's.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypedDict

from flask import Blueprint, Flask, abort, current_app, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import func, or_, select
from sqlalchemy.orm import joinedload

from . import pictures
from .auth import viewer
from .forms import PostForm, tidy_line
from .models import NAME_LENGTH, Post, User, db, follows, utcnow
from .paging import newest_first

SUGGESTED = 5
KNOWN = 4  # of the followers one knows, so many are shown on a profile

blog = Blueprint("blog", __name__)

# Each post with its author: a page of them is one statement.
WITH_AUTHOR = joinedload(Post.author, innerjoin=True)


def init_app(app: Flask) -> None:
    """Add the pages of this module, and tell the package what people are called and where."""
    app.register_blueprint(blog)
    app.add_template_global(known_followers)
    app.add_template_global(suggestions)
    app.add_template_global(viewer)  # for macros, which do not know `current_user`
    follows.web.display_name(lambda user: user.display_name)
    follows.web.profile_url(lambda user: url_for("blog.profile", username=user.username))


@blog.route("/", methods=["GET", "POST"])
def timeline() -> ResponseReturnValue:
    """Show what those one follows have posted, and take a new post."""
    if not viewer().is_authenticated:
        return redirect(url_for("blog.explore"))
    form = PostForm()
    if form.validate_on_submit():
        db.session.add(Post(author_id=viewer().id, body=form.body.data))
        db.session.commit()
        return redirect(url_for("blog.timeline"), 303)
    newest = (Post.created_at, Post.id)
    feed = follows.feed(viewer(), Post.author_id, order_by=newest, options=WITH_AUTHOR)
    page = feed.page(request.args.get("after"), current_app.config["FOLLOWS_PER_PAGE"])
    return render_template("timeline.html", form=form, page=page), 422 if form.errors else 200


@blog.get("/explore")
def explore() -> ResponseReturnValue:
    """Show everybody's posts."""
    page = newest_first(select(Post).options(WITH_AUTHOR), Post, **page_asked_for())
    return render_template("explore.html", page=page)


@blog.get("/people")
def people() -> ResponseReturnValue:
    """Show everybody, the newest first, or those whose name has `q` in it.

    Such a search reads all users; with very many of them, it is a search index that finds them.
    """
    words = tidy_line(request.args.get("q"))[:NAME_LENGTH]
    found = select(User)
    if words:
        found = found.where(
            or_(
                User.username.icontains(words, autoescape=True),
                User.name.icontains(words, autoescape=True),
            )
        )
    page = newest_first(found, User, **page_asked_for())
    return render_template("people.html", page=page, words=words)


@blog.get("/u/<username>")
def profile(username: str) -> ResponseReturnValue:
    """Show a user, what they have posted, and those of their followers whom the viewer knows."""
    user = get_user(username)
    theirs = select(Post).where(Post.author_id == user.id).options(WITH_AUTHOR)
    page = newest_first(theirs, Post, **page_asked_for())
    known = follows.known_followers_of(viewer(), [user], limit=KNOWN)[user.id]
    return render_template("profile.html", user=user, page=page, known=known)


@blog.get("/u/<username>/network")
def network(username: str) -> ResponseReturnValue:
    """Show a picture of the people around a user, and how their followers grew in number."""
    user = get_user(username)
    around = pictures.neighbourhood(user)
    plot = pictures.growth(user, utcnow())
    return render_template("network.html", user=user, around=around, plot=plot)


def get_user(username: str) -> User:
    """Find a user by name, or answer 404."""
    if "\0" in username:  # PostgreSQL takes no such character, not even to look for it
        abort(404)
    user = db.session.scalars(select(User).where(User.username == username)).one_or_none()
    if user is None:
        abort(404, "There is nobody of this name here.")
    return user


class PageAskedFor(TypedDict):
    """What `newest_first()` wants to know."""

    after: str | None
    before: str | None
    per_page: int


def page_asked_for() -> PageAskedFor:
    """Read which page the address asks for: one after a place, or one before it."""
    after, before = request.args.get("after"), request.args.get("before")
    if after is not None and before is not None:
        abort(400, "There is no such page.")
    return {"after": after, "before": before, "per_page": current_app.config["FOLLOWS_PER_PAGE"]}


def suggestions() -> list[tuple[User, str]]:
    """Choose whom the viewer might follow, each with the reason."""
    found = follows.suggestions(viewer(), limit=SUGGESTED)
    if found:
        return [(one.user, followed_by(one.known[:1], one.count)) for one in found]
    return [(user, f"{number:,} followers") for user, number in most_followed()]


def most_followed() -> Iterable[tuple[User, int]]:
    """Find who has most followers, for those who follow nobody yet.

    It reads all edges; a large site would keep the answer for an hour.
    """
    edge = follows.Follow
    number = func.count()
    ranks = (
        select(edge.followed_id, number.label("number"))
        .group_by(edge.followed_id)
        .order_by(number.desc(), edge.followed_id)
        .limit(SUGGESTED)
        .subquery()
    )
    rows = select(User, ranks.c.number).join(ranks, ranks.c.followed_id == User.id)
    return (
        (user, number)
        for user, number in db.session.execute(rows.order_by(ranks.c.number.desc(), User.id))
        if user != viewer()
    )


def known_followers(users: Iterable[User]) -> dict[int, str]:
    """Say for each of some users who follows them of those whom the viewer follows."""
    found = follows.known_followers_of(viewer(), users, limit=2)
    return {key: followed_by(one.users, one.count) for key, one in found.items() if one.count}


def followed_by(known: list[User], count: int) -> str:
    """Say it: `Followed by Ann, Bob and 3 more you follow`."""
    names = [user.display_name for user in known]
    if count > len(names):
        names.append(f"{count - len(names):,} more you follow")
    *first, last = names
    return f"Followed by {', '.join(first)} and {last}" if first else f"Followed by {last}"
