"""A site that is served, and a Chromium that looks at it: `pytest tests/browser`.

Only asked for by name: who runs `pytest` needs no browser. Asked for, a missing one is a failure.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from werkzeug.security import generate_password_hash
from werkzeug.serving import make_server

from examples.microblog import create_app, seed
from examples.microblog.models import db, utcnow

from .site import PASSWORD, Site

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--no-sandbox",  # CI is root, and Chromium has no sandbox for root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1280, "height": 900}
PATIENCE = 30_000  # milliseconds, for a machine that has other things to do


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--screenshots`."""
    parser.addoption(
        "--screenshots",
        metavar="FOLDER",
        default="screenshots",
        help="where the pictures of the main pages go (default: %(default)s)",
    )


@pytest.fixture(scope="session")
def screenshots(request: pytest.FixtureRequest) -> Path:
    """The folder of the pictures."""
    folder = Path(request.config.getoption("--screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, or the one that $CHROMIUM names; Playwright downloads none."""
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.fail("No Chromium found: apt-get install chromium, or say where in $CHROMIUM.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The example with a sample network, served by a thread on a free port."""
    folder = tmp_path_factory.mktemp("site")
    app = create_app(
        {
            "SQLALCHEMY_DATABASE_URI": f"sqlite:///{folder / 'microblog.db'}",
            "SECRET_KEY": "tests",
            "FOLLOWS_PER_PAGE": 10,
        },
        instance_path=str(folder),
    )
    with app.app_context():
        db.create_all()
        network = seed.generate(400, utcnow(), demo_password_hash=generate_password_hash(PASSWORD))
        seed.store(network, lambda _: None)
        db.session.commit()
        db.session.remove()
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield Site(app, f"http://127.0.0.1:{server.server_port}")
    server.shutdown()
    thread.join()
    server.server_close()
    with app.app_context():
        db.engine.dispose()


@pytest.fixture
def open_page(chromium: Browser, site: Site) -> Iterator[Callable[..., Page]]:
    """A function that opens a new browser, with no cookies, and gives its page.

    `open_page(java_script_enabled=False, viewport=PHONE, color_scheme="dark")`.
    """
    contexts: list[BrowserContext] = []
    site.complaints.clear()

    def open_page(**options: Any) -> Page:
        context = chromium.new_context(
            base_url=site.address, **{"viewport": DESKTOP, "reduced_motion": "reduce", **options}
        )
        context.set_default_timeout(PATIENCE)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: site.complaints.append(str(error)))
        page.on("console", lambda line: line.type == "error" and site.complaints.append(line.text))
        return page

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture(params=[True, False], ids=["script", "no-script"])
def page(request: pytest.FixtureRequest, open_page: Callable[..., Page]) -> Page:
    """A page with JavaScript, and then one without."""
    return open_page(java_script_enabled=request.param)
