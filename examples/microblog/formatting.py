"""Filters for the templates."""

from __future__ import annotations

from datetime import datetime

from flask import Flask

from .models import User, utcnow

STEPS = ((60, "min"), (60, "h"), (24, "d"))


def init_app(app: Flask) -> None:
    """Add the filters."""
    app.add_template_filter(ago)
    app.add_template_filter(initials)


def ago(time: datetime) -> str:
    """Say how long ago something was: `now`, `5 min`, `3 h`, `2 d`, and a date after a week."""
    passed = (utcnow() - time).total_seconds()
    if passed >= 7 * 24 * 3600:
        return f"{time.day} {time:%b %Y}"
    words = "now"
    for size, unit in STEPS:
        passed /= size
        if passed < 1:
            break
        words = f"{int(passed)} {unit}"
    return words


def initials(user: User) -> str:
    """Take one or two letters to stand for a picture."""
    words = user.display_name.split()
    return "".join(word[0] for word in (words[:1] + words[1:][-1:])).upper()
