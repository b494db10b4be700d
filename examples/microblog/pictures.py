"""What is drawn: the people around a user, and how the number of followers grew.

Here are places and numbers only. The templates make SVG of them: every name is escaped there, and
the style sheet has the colours, light or dark.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import combinations
from math import ceil, log10

import networkx as nx
from sqlalchemy import case, func, select

from .models import User, db, follows

SIDE = 640  # of the square that holds a neighbourhood
MARGIN = 36
APART = 56  # from middle to middle of two users, if there is room
ROUNDS = 40
NEIGHBOURS = 18  # so many of those who follow, and of those who are followed: the latest
MOMENTS = 40  # so many numbers make a curve
WIDTH, HEIGHT = 640, 240
LEFT, RIGHT, TOP, BOTTOM = 60, 24, 12, 36  # room for the labels of a plot


@dataclass(frozen=True)
class Node:
    """A user, and their place."""

    user: User
    x: float
    y: float


@dataclass(frozen=True)
class Line:
    """Two users, one of whom follows the other, or both do."""

    a: Node
    b: Node
    mutual: bool
    of_centre: bool  # one of them is whom the picture is about


@dataclass(frozen=True)
class Neighbourhood:
    """A user (the first node), some of those around, and who of them follows whom."""

    nodes: list[Node]
    lines: list[Line]
    side: int = SIDE


def neighbourhood(user: User) -> Neighbourhood:
    """Place a user among the latest followers and followed; three statements."""
    around = [*user.followers.limit(NEIGHBOURS), *user.followed.limit(NEIGHBOURS)]
    users = {one.id: one for one in [user, *around]}
    edge = follows.Follow
    pairs = {
        (follower, followed)
        for follower, followed in db.session.execute(
            select(edge.follower_id, edge.followed_id).where(
                edge.follower_id.in_(users), edge.followed_id.in_(users)
            )
        )
    }
    graph = nx.Graph()
    graph.add_nodes_from(users)
    graph.add_edges_from(sorted(pairs))
    nodes = {key: Node(users[key], x, y) for key, (x, y) in places(graph, user.id).items()}
    lines = [
        Line(nodes[a], nodes[b], (a, b) in pairs and (b, a) in pairs, user.id in (a, b))
        for a, b in graph.edges
    ]
    lines.sort(key=lambda line: (line.of_centre, line.mutual))  # what is drawn last lies on top
    return Neighbourhood(list(nodes.values()), lines)


def places(graph: nx.Graph, centre: int) -> dict[int, tuple[float, float]]:
    """Lay a graph out: friends of each other come close, and one is in the middle of all."""
    spread = nx.spring_layout(graph, k=2 / len(graph) ** 0.5, iterations=120, seed=7)
    middle = spread[centre]
    reach = max((abs(place - middle).max() for place in spread.values()), default=0) or 1
    scale = (SIDE / 2 - MARGIN) / reach
    spots = {key: complex(*((place - middle) * scale)) for key, place in spread.items()}
    keep_apart(spots, centre)
    half = SIDE / 2
    return {key: (round(half + at.real, 1), round(half + at.imag, 1)) for key, at in spots.items()}


def keep_apart(spots: dict[int, complex], centre: int) -> None:
    """Push those away from each other who would lie on top; the middle is 0, and stays."""
    for _ in range(ROUNDS):
        for a, b in combinations(spots, 2):
            gap = spots[b] - spots[a]
            if (distance := abs(gap)) < APART:
                push = (gap / distance if distance else 1) * (APART - distance) / 2
                spots[a] = inside(spots[a] - push)
                spots[b] = inside(spots[b] + push)
        spots[centre] = 0j


def inside(spot: complex) -> complex:
    """Bring a place back into the picture."""
    reach = SIDE / 2 - MARGIN
    return complex(*(max(-reach, min(reach, at)) for at in (spot.real, spot.imag)))


@dataclass(frozen=True)
class Growth:
    """The number of followers over time, as a curve with its axes."""

    moments: list[datetime]
    numbers: list[int]
    marks: list[tuple[float, int]]  # height and number of each horizontal line
    months: list[tuple[float, datetime]]  # place and first day of some months
    points: list[tuple[float, float]]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    bottom: int = HEIGHT - BOTTOM

    @property
    def rows(self) -> list[tuple[datetime, int]]:
        """Some moments with their numbers, the latest first, to be read."""
        return list(zip(self.moments, self.numbers, strict=True))[::-4]


def growth(user: User, now: datetime) -> Growth:
    """Count a user's followers at some moments since joining; one statement, on an index alone.

    Those who have left again were never there.
    """
    since = min(user.created_at, now - timedelta(days=1))
    moments = [since + (now - since) * step / (MOMENTS - 1) for step in range(MOMENTS)]
    edge = follows.Follow
    row = db.session.execute(
        select(
            *(func.count(case((edge.created_at <= moment, 1))) for moment in moments[:-1]),
            func.count(),
        ).where(edge.followed_id == user.id)
    ).one()
    numbers = [int(number) for number in row]
    step = round_step(max(numbers))
    top = step * max(1, ceil(max(numbers) / step))

    def x(moment: datetime) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * ((moment - since) / (now - since)), 1)

    def y(number: int) -> float:
        return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * number / top, 1)

    return Growth(
        moments,
        numbers,
        marks=[(y(number), number) for number in range(0, top + 1, step)],
        months=[(x(day), day) for day in some_months(since, now)],
        points=[(x(moment), y(number)) for moment, number in zip(moments, numbers, strict=True)],
    )


def round_step(largest: int) -> int:
    """Choose what to count in, so that about four steps reach the largest: 1, 2, 5, 10, 20, ..."""
    wanted = max(1, largest / 4)
    power = 10 ** int(log10(wanted))
    return int(next(power * factor for factor in (1, 2, 5, 10) if power * factor >= wanted))


def some_months(since: datetime, until: datetime) -> Sequence[datetime]:
    """List the first days of months between two moments, five at most."""
    first = since.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    days = []
    while (first := (first + timedelta(days=32)).replace(day=1)) < until:
        days.append(first)
    return days[:: ceil(len(days) / 5) or 1]
