"""The blueprint: its addresses, and what goes before and after each request."""

from __future__ import annotations

from typing import Any

from flask import Blueprint
from flask.typing import ResponseReturnValue

from . import negotiation
from .actions import act, refuse_forgeries
from .lists import show
from .openapi import ADDRESS, openapi

__all__ = ["make_blueprint"]


def make_blueprint(url_prefix: str) -> Blueprint:
    """Make the blueprint for one application."""
    blueprint = Blueprint(
        negotiation.NAME,
        __name__,
        static_folder="static",
        # A user may be called "static".
        static_url_path="/-/static",
        url_prefix=url_prefix,
    )
    for action in (follow, unfollow, remove_follower):
        blueprint.add_url_rule(_rule(action), view_func=action, methods=["POST"])
    for page in (followers, followed, mutuals, known_followers):
        blueprint.add_url_rule(_rule(page), view_func=page, methods=["GET"])
    blueprint.add_url_rule(ADDRESS, view_func=openapi, methods=["GET"])
    blueprint.before_request(refuse_forgeries)
    blueprint.after_request(negotiation.keep_private)
    blueprint.after_app_request(negotiation.errors_as_json)
    return blueprint


# Functions, one for each address: other extensions know a view by its name.


def follow(user: str) -> ResponseReturnValue:
    """Follow a user."""
    return act("follow", user)


def unfollow(user: str) -> ResponseReturnValue:
    """Stop following a user."""
    return act("unfollow", user)


def remove_follower(user: str) -> ResponseReturnValue:
    """Make a user stop following who is logged in."""
    return act("remove_follower", user)


def followers(user: str) -> ResponseReturnValue:
    """Show those who follow a user."""
    return show("followers", user)


def followed(user: str) -> ResponseReturnValue:
    """Show those whom a user follows."""
    return show("followed", user)


def mutuals(user: str) -> ResponseReturnValue:
    """Show those whom a user follows, and who follow back."""
    return show("mutuals", user)


def known_followers(user: str) -> ResponseReturnValue:
    """Show those who follow a user, and whom the viewer follows."""
    return show("known_followers", user)


def _rule(view: Any) -> str:
    return f"/<follows_user:user>/{view.__name__.replace('_', '-')}"
