"""Listen to the signals, and write down what they tell in a form that is easy to compare."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from flask_follows import signals

Told = tuple[str, Any, Any]


@contextmanager
def recorded_changes() -> Iterator[list[dict[str, Any]]]:
    """Note the arguments of each `relation_changed`, its sender among them."""
    heard: list[dict[str, Any]] = []

    def note(sender: Any, **arguments: Any) -> None:
        heard.append({"sender": sender, **arguments})

    with signals.relation_changed.connected_to(note):
        yield heard


@contextmanager
def recorded_follows() -> Iterator[list[Told]]:
    """Note each `followed` and `unfollowed` as (signal, follower's key, followed's key)."""
    heard: list[Told] = []

    def note_as(name: str) -> Any:
        def note(sender: Any, *, relation: Any, follower_id: Any, followed_id: Any) -> None:
            heard.append((name, follower_id, followed_id))

        return note

    with ExitStack() as stack:
        for name in ("followed", "unfollowed"):
            stack.enter_context(getattr(signals, name).connected_to(note_as(name)))
        yield heard
