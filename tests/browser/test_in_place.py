"""The button with JavaScript: in place, at once, and back again where something fails."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from .site import Site, follow, log_in, sign_up, unfollow

FAILED = "That did not work. Please try again."


@pytest.fixture
def page(open_page: Callable[..., Page]) -> Page:
    """A page with JavaScript."""
    return open_page()


def said(page: Page) -> Locator:
    """Find what a screen reader is told."""
    return page.locator("[role=status][data-follow-said]")


def followers_of(page: Page, username: str) -> Locator:
    """Find the number of followers of a user."""
    return page.locator(f'[data-follow-count=followers][data-user="{username}"]')


def stay(page: Page) -> None:
    """Mark the page: the mark is gone when it is loaded anew."""
    page.evaluate("window.stayed = true")


def test_the_page_stays_and_everything_on_it_follows(site: Site, page: Page) -> None:
    """Each button for the user changes, and the number; a screen reader is told."""
    star, name = site.star()
    me = sign_up(page)
    page.goto(f"/u/{star}")
    number = int(followers_of(page, star).inner_text())
    stay(page)
    follow(page, name).click()
    expect(said(page)).to_have_text(f"You follow {name}.")
    expect(unfollow(page, name)).to_be_focused()
    expect(followers_of(page, star)).to_have_text(str(number + 1))
    assert me in site.followers(star)
    unfollow(page, name).click()
    expect(said(page)).to_have_text(f"You no longer follow {name}.")
    expect(followers_of(page, star)).to_have_text(str(number))
    assert me not in site.followers(star)
    assert page.evaluate("window.stayed")
    assert not site.complaints


def test_all_buttons_of_one_user_change_together(site: Site, page: Page) -> None:
    """In the list, and beside it among those to follow."""
    sign_up(page)
    page.goto("/people")
    suggested = page.get_by_role("complementary").get_by_role("button")
    name = suggested.first.inner_text().removeprefix("Follow").strip()
    page.goto(f"/people?q={name}")
    both = page.get_by_role("button", name=f"Follow {name}", exact=True)
    expect(both).to_have_count(2)
    both.first.click()
    expect(page.get_by_role("button", name=f"Unfollow {name}", exact=True)).to_have_count(2)
    expect(both).to_have_count(0)


def test_it_does_not_wait_for_the_answer(site: Site, page: Page) -> None:
    """The button changes before the server has answered; further clicks until then are dropped."""
    star, name = site.star()
    me = sign_up(page)
    page.goto(f"/u/{star}")
    held: list[Route] = []
    page.route("**/follow", lambda route: held.append(route))  # noqa: PLW0108 -- Playwright's need
    follow(page, name).click()
    expect(unfollow(page, name)).to_be_visible()
    expect(unfollow(page, name)).to_have_attribute("aria-disabled", "true")
    unfollow(page, name).click(force=True)
    assert me not in site.followers(star)
    [route] = held
    route.continue_()
    expect(said(page)).to_have_text(f"You follow {name}.")
    expect(unfollow(page, name)).not_to_have_attribute("aria-disabled", "true")
    assert me in site.followers(star)


@pytest.mark.parametrize("failure", ["offline", "broken"])
def test_a_failure_is_taken_back_and_said(site: Site, page: Page, failure: str) -> None:
    """The button and the number are as before, nothing has changed, and the next try works."""
    star, name = site.star()
    me = sign_up(page)
    page.goto(f"/u/{star}")
    number = followers_of(page, star).inner_text()
    stay(page)
    page.route(
        "**/follow",
        lambda route: route.abort() if failure == "offline" else route.fulfill(status=500),
    )
    follow(page, name).click()
    expect(said(page)).to_have_text(FAILED)
    expect(follow(page, name)).to_be_visible()
    expect(followers_of(page, star)).to_have_text(number)
    assert me not in site.followers(star)
    page.unroute("**/follow")
    follow(page, name).click()
    expect(said(page)).to_have_text(f"You follow {name}.")
    assert page.evaluate("window.stayed")


def test_who_was_logged_out_meanwhile_is_led_to_the_login(site: Site, page: Page) -> None:
    """And from there back to the page."""
    star, name = site.star()
    me = sign_up(page)
    page.goto(f"/u/{star}")
    other = page.context.new_page()
    other.goto("/")
    other.get_by_role("button", name="Log out").click()
    expect(other.get_by_text("You are logged out.")).to_be_visible()
    follow(page, name).click()
    page.wait_for_url("**/login?*")
    log_in(page, me, page.url)
    page.wait_for_url(f"**/u/{star}")
    expect(follow(page, name)).to_be_visible()


def test_everything_is_done_by_keyboard(site: Site, page: Page) -> None:
    """Log in, skip to the content, follow, write: each stop is seen, and none is a trap."""
    star, name = site.star()
    me = sign_up(page)
    page.goto("/")
    tab_to(page, page.get_by_role("button", name="Log out"))
    page.keyboard.press("Enter")
    expect(page.get_by_text("You are logged out.")).to_be_visible()
    page.goto("/login")
    tab_to(page, page.get_by_label("Username"))
    page.keyboard.type(me)
    page.keyboard.press("Tab")
    page.keyboard.type("correct horse")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Log out")).to_be_visible()

    page.goto(f"/u/{star}")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    expect(page.get_by_role("link", name="Skip to the content")).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.get_by_role("main")).to_be_focused()
    tab_to(page, follow(page, name))
    page.keyboard.press("Space")
    expect(said(page)).to_have_text(f"You follow {name}.")
    expect(unfollow(page, name)).to_be_focused()
    assert me in site.followers(star)

    page.goto("/")
    tab_to(page, page.get_by_label("What is new?"))
    page.keyboard.type("by keyboard")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator(".post .body").first).to_have_text("by keyboard")


def tab_to(page: Page, wanted: Locator, most: int = 40) -> None:
    """Press Tab until something has the focus, and see to it that each stop is shown."""
    for _ in range(most):
        page.keyboard.press("Tab")
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none", page.evaluate("document.activeElement.outerHTML")
        if wanted.evaluate("element => element === document.activeElement"):
            return
    pytest.fail(f"{most} times Tab did not lead to {wanted}")
