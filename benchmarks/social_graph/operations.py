# ruff: noqa: ARG001 - all that makes ready takes the number of the round
"""What is measured: each operation, how it is made ready, and what its answer has to be."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import repeat
from typing import Any

from .contender import Contender
from .data import Graph, moment
from .databases import Database

Ready = Callable[[], Any]
NOW = moment(40_000_000)


@dataclass(frozen=True)
class Scale:
    """How deep pages lie, and how many edges are written in one transaction."""

    shallow: int = 1_000
    deep: int = 40_000
    many: int = 1_000


FULL = Scale()


@dataclass
class Scene:
    """A graph in a database, in the hands of every contender."""

    graph: Graph
    database: Database
    scale: Scale = FULL
    # Per contender and depth, what leads to a page.
    places: dict[tuple[str, int], Any] = field(default_factory=dict)

    def targets(self, number: int) -> list[int]:
        """Return keys of so many ordinary users, always the same."""
        step = max(self.graph.ordinary // number, 1)
        return list(range(1, self.graph.ordinary + 1, step))[:number]

    @cached_property
    def fifty(self) -> list[int]:
        """Keys of fifty users, some of whom the viewer follows."""
        graph, viewer = self.graph, self.graph.cast.viewer
        followed = [b for a, b in zip(graph.followers, graph.followed, strict=True) if a == viewer]
        others = [key for key in self.targets(60) if key not in followed]
        return [*followed[:: max(len(followed) // 15, 1)][:15], *others][:50]

    def put(self, contender: Contender, targets: Iterable[int]) -> None:
        """Make the writer follow users, past the contender."""
        rows = zip(repeat(self.graph.cast.writer), targets, repeat(NOW))
        self.database.put(contender.edges, rows)

    def clear(self, contender: Contender) -> None:
        """Make the writer follow nobody."""
        self.database.remove_all_of(contender.edges, self.graph.cast.writer)


@dataclass(frozen=True)
class Operation:
    """Something that is timed.

    :param prepare: enters a contender's request, loads what a request would have, and returns what
        is timed.
    :param before: puts the tables into the state that the operation needs, each time.
    :param plain: makes an answer comparable.
    :param rounds: how often, if the time allows it.
    """

    name: str
    prepare: Callable[[Contender, Scene, int], Ready]
    before: Callable[[Contender, Scene, int], None] | None = None
    plain: Callable[[Any], Any] = lambda answer: answer
    rounds: int = 60

    @property
    def is_write(self) -> bool:
        return self.before is not None


def _target(scene: Scene, number: int) -> int:
    targets = scene.targets(97)
    return targets[number % len(targets)]


def _write(verb: str) -> Callable[[Contender, Scene, int], Ready]:
    def prepare(contender: Contender, scene: Scene, number: int) -> Ready:
        user = contender.user(scene.graph.cast.writer)
        other = contender.user(_target(scene, number))
        write = getattr(contender, verb)

        def run() -> Any:
            with contender.transaction():
                return write(user, other)

        return run

    return prepare


def _write_many(verb: str) -> Callable[[Contender, Scene, int], Ready]:
    def prepare(contender: Contender, scene: Scene, number: int) -> Ready:
        user = contender.user(scene.graph.cast.writer)
        others = contender.load(scene.targets(scene.scale.many))
        write = getattr(contender, verb)

        def run() -> Any:
            with contender.transaction():
                return [write(user, other) for other in others]

        return run

    return prepare


def _request(contender: Contender, scene: Scene, number: int) -> Ready:
    post = scene.places.get((contender.name, -1))
    if post is None:
        post = scene.places[contender.name, -1] = contender.client()
    return lambda: post(scene.graph.cast.writer, _target(scene, number))


def _nothing_there(contender: Contender, scene: Scene, number: int) -> None:
    scene.clear(contender)


def _one_there(contender: Contender, scene: Scene, number: int) -> None:
    scene.clear(contender)
    scene.put(contender, [_target(scene, number)])


def _many_there(contender: Contender, scene: Scene, number: int) -> None:
    scene.clear(contender)
    scene.put(contender, scene.targets(scene.scale.many))


def _is_following(contender: Contender, scene: Scene, number: int) -> Ready:
    key = scene.fifty[number % len(scene.fifty)]
    user, other = contender.user(scene.graph.cast.viewer), contender.user(key)
    return lambda: contender.is_following(user, other)


def _status(batch: bool) -> Callable[[Contender, Scene, int], Ready]:
    def prepare(contender: Contender, scene: Scene, number: int) -> Ready:
        user, others = contender.user(scene.graph.cast.viewer), contender.load(scene.fifty)
        if batch:
            return lambda: contender.status(user, others)
        return lambda: [contender.is_following(user, other) for other in others]

    return prepare


def _page(depth_of: Callable[[Scale], int]) -> Callable[[Contender, Scene, int], Ready]:
    def prepare(contender: Contender, scene: Scene, number: int) -> Ready:
        depth = depth_of(scene.scale)
        user = contender.user(scene.graph.cast.celebrity)
        if (contender.name, depth) not in scene.places:
            scene.places[contender.name, depth] = contender.place(user, depth)
            user = contender.user(scene.graph.cast.celebrity)
        place = scene.places[contender.name, depth]
        return lambda: contender.followers(user, place)

    return prepare


def _read(verb: str, member: str) -> Callable[[Contender, Scene, int], Ready]:
    def prepare(contender: Contender, scene: Scene, number: int) -> Ready:
        user = contender.user(getattr(scene.graph.cast, member))
        read = getattr(contender, verb)
        return lambda: read(user)

    return prepare


def _users(users: Sequence[Any]) -> list[Any]:
    return [(user.id, user.username) for user in users]


def _in_any_order(users: Sequence[Any]) -> list[Any]:
    return sorted(_users(users))


def _posts(posts: Sequence[Any]) -> list[Any]:
    return [(post.id, post.author_id, post.body) for post in posts]


def _ranked(found: list[tuple[Any, int]]) -> Any:
    """Leave out who shares the last rank: which of them is shown is for each to choose."""
    last = min((common for _, common in found), default=0)
    counts = [common for _, common in found]
    return counts, sorted((user.id, common) for user, common in found if common > last)


OPERATIONS = [
    Operation("follow", _write("follow"), _nothing_there),
    Operation("follow again", _write("follow"), _one_there),
    Operation("unfollow", _write("unfollow"), _one_there),
    Operation("follow 1,000", _write_many("follow"), _nothing_there, rounds=7),
    Operation("unfollow 1,000", _write_many("unfollow"), _many_there, rounds=7),
    Operation("POST request", _request, _nothing_there),
    Operation("is_following", _is_following, rounds=100),
    Operation("status of 50, loop", _status(batch=False)),
    Operation("status of 50, batch", _status(batch=True)),
    Operation("followers, first page", _page(lambda _: 0), plain=_users),
    Operation("followers, depth 1,000", _page(lambda scale: scale.shallow), plain=_users),
    Operation("followers, depth 40,000", _page(lambda scale: scale.deep), plain=_users),
    Operation("count followers", _read("count", "celebrity")),
    Operation("feed, follows 300", _read("feed", "viewer"), plain=_posts),
    Operation("feed, usual indexes", _read("usual_feed", "viewer"), plain=_posts),
    Operation("feed, quiet", _read("feed", "quiet"), plain=_posts),
    Operation("feed, fell silent", _read("feed", "silent"), plain=_posts),
    Operation("mutuals", _read("mutuals", "viewer"), plain=_in_any_order),
    Operation("suggestions", _read("suggestions", "curious"), plain=_ranked),
]


def possible(operation: Operation, scene: Scene) -> bool:
    """Tell whether anyone in the graph has enough followers."""
    depths = {
        "followers, depth 1,000": scene.scale.shallow,
        "followers, depth 40,000": scene.scale.deep,
    }
    return scene.graph.most_followers > depths.get(operation.name, 0)
