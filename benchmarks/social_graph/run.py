"""One run: a graph of one size in one database, all contenders on it."""

from __future__ import annotations

import gc
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from . import contenders as known
from .contender import POSTS, USUAL_POSTS, Contender
from .data import Graph
from .databases import Database, fresh
from .imports import measure_imports
from .measure import Figures, measure
from .operations import FULL, OPERATIONS, Scale, Scene, possible


@dataclass(frozen=True)
class Size:
    """How large a graph is."""

    edges: int
    users: int
    posts: int


def size_of(edges: int) -> Size:
    """Return how many users and posts a graph of so many edges has."""
    if edges < 10_000:
        return Size(edges, max(edges // 2, 50), edges)
    users = 50_000 if edges < 1_000_000 else 100_000 if edges < 10_000_000 else 500_000
    return Size(edges, users, 500_000)


@dataclass(frozen=True)
class Plan:
    """What a run is to do.

    :param rounds: how often at most; None leaves it to the operation.
    :param only: names of operations, or of all if there is none; "import" for the imports.
    """

    database: str
    size: Size
    names: Sequence[str]
    url: str | None = None
    file: str | None = None
    rounds: int | None = None
    only: Sequence[str] = ()
    scale: Scale = FULL
    clock: str = "wall"
    say: Callable[[str], None] = lambda line: print(line, flush=True)


def run(plan: Plan) -> dict[str, Any]:
    """Measure; return all figures for JSON."""
    begun = perf_counter()
    graph = Graph(plan.size.edges, plan.size.users, plan.size.posts, plan.file)
    plan.say(f"{plan.database}: {len(graph):,} edges of {graph.users:,} users")
    with (
        tempfile.TemporaryDirectory(prefix="bench_") as folder,
        fresh(plan.database, Path(folder), plan.url) as database,
        ExitStack() as stack,
    ):
        made = known.make(list(plan.names), database)
        for contender in made:
            stack.callback(contender.close)
        # What is there stays: the collector need not look at it while something is timed.
        gc.freeze()
        stack.callback(gc.unfreeze)
        figures = _measure_all(plan, made, Scene(graph, database, plan.scale))
        return {
            "edges": len(graph),
            "users": graph.users,
            "posts": plan.size.posts,
            "most followers": graph.most_followers,
            "version": version(database),
            "clock": plan.clock,
            "seconds": round(perf_counter() - begun),
            "operations": {
                operation: {name: found.summary() for name, found in by_name.items()}
                for operation, by_name in figures.items()
            },
        }


def _measure_all(plan: Plan, made: list[Contender], scene: Scene) -> dict[str, dict[str, Figures]]:
    database, graph = scene.database, scene.graph
    database.fill("bench_user", ["id", "username"], graph.usernames())
    posts = [POSTS, USUAL_POSTS] if any(contender.is_peer for contender in made) else [POSTS]
    for table in posts:
        database.fill(table, ["id", "author_id", "body", "created_at"], graph.posts())
    database.settle(["bench_user", *posts])
    figures: dict[str, dict[str, Figures]] = {}
    if not plan.only or "import" in plan.only:
        rounds = plan.rounds or (3 if len(graph) < 50_000 else 2 if len(graph) < 500_000 else 1)
        figures |= measure_imports(made, scene, rounds, plan.clock)
        _tell(plan, figures)
    for contender in made:
        edges = contender.edges
        width = len(edges.columns)
        database.fill(edges.table, edges.columns, (row[:width] for row in graph.edges()))
    database.settle([contender.edges.table for contender in made])
    for operation in OPERATIONS:
        if (not plan.only or operation.name in plan.only) and possible(operation, scene):
            figures[operation.name] = measure(operation, made, scene, plan.rounds, plan.clock)
            _tell(plan, {operation.name: figures[operation.name]})
    return figures


def _tell(plan: Plan, figures: dict[str, dict[str, Figures]]) -> None:
    for operation, by_name in figures.items():
        cells = []
        for name, found in by_name.items():
            summary = found.summary()
            cells.append(f"{name} {summary['median']:.3g}" if "median" in summary else f"{name} -")
        plan.say(f"  {operation}: {', '.join(cells)}")


def version(database: Database) -> str:
    """Return the database's version."""
    function = "sqlite_version" if database.name == "sqlite" else "version"
    return f"{database.name} {database.run(f'SELECT {function}()')[0][0]}".split(" (")[0]
