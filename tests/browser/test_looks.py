"""What the pages look like, and whether everybody can use them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from .conftest import DESKTOP, PHONE
from .site import Site, log_in

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
VISITORS = ["/login", "/register", "/explore", "/people", "/u/{star}", "/nothing-here"]
MEMBERS = [
    "/",
    "/explore",
    "/people",
    "/people?q=an",
    "/people?q=nobody+at+all",
    "/u/{star}",
    "/u/{star}/network",
    "/follows/{star}/followers",
    "/follows/{star}/followed",
    "/follows/{star}/mutuals",
    "/follows/{star}/known-followers",
    "/follows/demo/followers",
    "/u/demo",
]
PICTURES = {
    "timeline": "/",
    "profile": "/u/{star}",
    "followers": "/follows/{star}/followers",
    "network": "/u/{star}/network",
    "people": "/people",
}


@pytest.mark.parametrize(
    ("scheme", "size"), [("light", DESKTOP), ("dark", PHONE)], ids=["light-desktop", "dark-phone"]
)
def test_axe_finds_nothing(
    site: Site, open_page: Callable[..., Page], scheme: str, size: Any
) -> None:
    """On no page, for visitors and members."""
    star, _ = site.star()
    page = open_page(color_scheme=scheme, viewport=size)
    found = []
    for address in VISITORS:
        found += violations(page, address.format(star=star))
    log_in(page, "demo")
    for address in MEMBERS:
        found += violations(page, address.format(star=star))
    found += refused_forms(page)
    assert not found, "\n".join(found)


def violations(page: Page, address: str) -> list[str]:
    """Open a page and name what axe has against it."""
    page.goto(address)
    return check(page)


def check(page: Page) -> list[str]:
    """Name what axe has against the page that is open."""
    results = Axe().run(page, options={"runOnly": RULES, "resultTypes": ["violations"]})
    return [
        f"{page.url}: {rule['id']}: {node['html']}: {node['failureSummary']}"
        for rule in results.response["violations"]
        for node in rule["nodes"]
    ]


def refused_forms(page: Page) -> list[str]:
    """Send forms that are refused, and look at the messages."""
    page.goto("/")
    page.get_by_role("button", name="Log out").click()
    found = check(page)
    for address, button in (("/login", "Log in"), ("/register", "Sign up")):
        page.goto(address)
        page.get_by_role("main").get_by_role("button", name=button).click()
        page.wait_for_selector(".wrong")
        found += check(page)
    return found


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pictures_of_the_main_pages(
    site: Site,
    open_page: Callable[..., Page],
    screenshots: Path,
    size: Any,
    scheme: str,
) -> None:
    """Kept for people to look at; no page is wider than the screen, and none complains."""
    star, _ = site.star()
    page = open_page(viewport=size, color_scheme=scheme)
    log_in(page, "demo")
    for name, address in PICTURES.items():
        page.goto(address.format(star=star))
        assert page.evaluate("document.documentElement.scrollWidth") == size["width"], address
        path = screenshots / f"{name}-{size['width']}-{scheme}.png"
        page.screenshot(path=path)
        assert path.stat().st_size > 10_000
    assert not site.complaints
