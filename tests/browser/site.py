"""The site as the tests of the browser see it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

from flask import Flask
from playwright.sync_api import Locator, Page, expect
from sqlalchemy import func, select

from examples.microblog.models import Post, User, db, follows

PASSWORD = "correct horse"
NUMBERS = count(1)


@dataclass
class Site:
    """The application behind an address, and what the browsers complained of."""

    app: Flask
    address: str
    complaints: list[str] = field(default_factory=list)

    def star(self) -> tuple[str, str]:
        """Return username and name of one with some pages of followers and of posts."""
        edge = follows.Follow
        with self.app.app_context():
            followers = select(func.count()).where(edge.followed_id == User.id).scalar_subquery()
            posts = select(func.count()).where(Post.author_id == User.id).scalar_subquery()
            found = db.session.execute(
                select(User.username, User.name)
                .where(posts > 20, followers > 20)
                .order_by(followers, User.id)
            ).first()
        assert found
        return found.username, found.name

    def followers(self, username: str) -> set[str]:
        """Read who follows a user."""
        with self.app.app_context():
            user = db.session.scalars(select(User).where(User.username == username)).one()
            return {one.username for one in user.followers}


def sign_up(page: Page) -> str:
    """Make a new account by hand, and return its username."""
    username = f"visitor{next(NUMBERS)}"
    page.goto("/register")
    page.get_by_label("Username").fill(username)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("main").get_by_role("button", name="Sign up").click()
    expect(page.get_by_text(f"Welcome, {username}!")).to_be_visible()
    return username


def log_in(page: Page, username: str, address: str = "/login") -> None:
    """Log in by hand."""
    page.goto(address)
    page.get_by_label("Username").fill(username)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("main").get_by_role("button", name="Log in").click()
    expect(page.get_by_role("button", name="Log out")).to_be_visible()


def follow(page: Page, name: str) -> Locator:
    """Find the button that follows somebody."""
    return page.get_by_role("main").get_by_role(
        "button", name=re.compile(rf"^Follow (back )?{name}$")
    )


def unfollow(page: Page, name: str) -> Locator:
    """Find the button that follows somebody no longer."""
    return page.get_by_role("main").get_by_role("button", name=f"Unfollow {name}", exact=True)


def settle(page: Page) -> None:
    """Wait until the server has answered to every button: a script shows the change before."""
    expect(page.locator("[aria-disabled=true]")).to_have_count(0)


def posts(page: Page) -> list[str]:
    """Read the posts of a page."""
    return page.locator(".post .body").all_inner_texts()


def walk(page: Page, rel: str, read: Callable[[Page], list[str]] = posts) -> list[list[str]]:
    """Press a link of the pager until there is none, and read each page."""
    pages = [read(page)]
    link = page.locator(f'a[rel="{rel}"]')
    while link.count():
        address = page.url
        link.click()
        page.wait_for_url(lambda url, last=address: url != last)
        pages.append(read(page))
    return pages
