"""What keeps other sites out: requests from elsewhere are refused, and nobody is sent elsewhere."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

from flask import request

__all__ = ["is_cross_site", "link_target", "local_target", "referring_page"]

_LONGEST_TARGET = 2000
_OWN = ("same-origin", "none")  # none: typed or bookmarked, by no site at all
_DEFAULT_PORTS = {"http": 80, "https": 443}


def is_cross_site() -> bool:
    """Tell whether another site has made the browser send this request.

    All browsers of today say so themselves, over HTTPS, in Sec-Fetch-Site
    (https://www.w3.org/TR/fetch-metadata/). Else Origin, which comes with every POST across sites,
    or else Referer must name this host. A request with none of the three comes from no browser, as
    that of a test client or of another program; it carries nobody's cookies but its own.
    """
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site.lower() not in _OWN
    source = request.headers.get("Origin") or request.headers.get("Referer")
    return source is not None and not _is_own(source)


def referring_page() -> str | None:
    """Return the page on this site that the browser says it comes from, as a path."""
    if not request.referrer or not _is_own(request.referrer):
        return None
    parts = urlsplit(request.referrer)
    return local_target(parts.path + (f"?{parts.query}" if parts.query else ""))


def _is_own(address: str) -> bool:
    """Tell whether an address is on this host: its scheme may be a proxy's to know."""
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port or _DEFAULT_PORTS[parts.scheme]
        own = urlsplit(f"{parts.scheme}://{request.host}")
        return (host, port) == (own.hostname, own.port or _DEFAULT_PORTS[parts.scheme])
    except (LookupError, ValueError):  # "null", no port at all, or another scheme
        return False


def local_target(target: str | None) -> str | None:
    """Return where a form asks to be sent afterwards, None unless that is a path on this site.

    Only what begins with one slash is, and has nothing in it that a browser would read as another:
    a backslash, a tab or a line break, two slashes, or any of these in percent code.
    """
    if not target or len(target) > _LONGEST_TARGET or not target.startswith("/"):
        return None
    path = target.partition("?")[0].partition("#")[0]
    while (decoded := unquote(path)) != path:  # a server further on may decode it once more
        path = decoded
    if "//" in path or "\\" in target + path or not (target + path).isprintable():
        return None
    return target


def link_target(url: str | None) -> str | None:
    """Return an address as it may stand in a link, None for one that would run a script.

    A host may take it from what a user has typed: `javascript:`, in all spellings that a browser
    knows.
    """
    if url is None or not url.isprintable():
        return None
    try:
        scheme = urlsplit(url.strip()).scheme
    except ValueError:  # a host that is none
        return None
    return url if scheme in ("", *_DEFAULT_PORTS) else None
