"""What people do on the site, with JavaScript and without."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from .site import Site, follow, posts, settle, sign_up, unfollow, walk


def test_following_fills_the_timeline_and_unfollowing_empties_it(site: Site, page: Page) -> None:
    """Sign up, follow, read to the end and back, unfollow."""
    username, name = site.star()
    me = sign_up(page)
    page.goto("/")
    expect(page.get_by_text("Nothing here yet")).to_be_visible()

    page.goto(f"/u/{username}")
    before = followers_shown(page)
    follow(page, name).click()
    expect(unfollow(page, name)).to_be_visible()
    expect(page.get_by_role("main")).to_contain_text(f"{before + 1} followers")
    settle(page)
    assert me in site.followers(username)

    page.goto("/")
    first = posts(page)
    assert len(first) == 10
    expect(page.locator(".post .by").first).to_contain_text(name)
    seen = walk(page, "next")
    assert len(seen) > 2
    assert len({post for found in seen for post in found}) > 20
    for _ in seen[1:]:
        page.go_back()
    assert posts(page) == first

    page.goto(f"/u/{username}")
    unfollow(page, name).click()
    expect(follow(page, name)).to_be_visible()
    expect(page.get_by_role("main")).to_contain_text(f"{before} followers")
    settle(page)
    assert me not in site.followers(username)
    page.goto("/")
    expect(page.get_by_text("Nothing here yet")).to_be_visible()


def test_lists_of_followers_lead_to_the_end_and_back(site: Site, page: Page) -> None:
    """Each follower is on one page, and the way back shows the same pages."""
    username, _ = site.star()
    page.goto(f"/u/{username}")
    page.get_by_role("link", name=re.compile("followers")).click()
    page.wait_for_url(re.compile("followers"))
    forward = walk(page, "next", people)
    assert sorted(name for names in forward for name in names) == sorted(site.followers(username))
    assert walk(page, "prev", people) == forward[::-1]


def followers_shown(page: Page) -> int:
    """Read the number of followers on a profile."""
    found = re.search(r"([\d,]+) followers", page.get_by_role("main").inner_text())
    assert found
    return int(found[1].replace(",", ""))


def people(page: Page) -> list[str]:
    """Read the usernames in the list of a page."""
    return [
        text.removeprefix("@")
        for text in page.locator("main .follows-who .handle").all_inner_texts()
    ]
