"""What Flask-Follows has to reach, in ratios of medians of one run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .contenders import DJANGO, LEAN, NAMES, OURS, RAW
from .imports import EMPTY, HALF

PEERS = tuple(name for name in NAMES if name not in (RAW, LEAN, OURS))
# No peer may be faster by more than a tenth.
LEVEL = 1 / 1.1
MISSED = " **missed**"
GROWTH = 1.5
GROWS_BY_NATURE = ("count followers", "suggestions", EMPTY, HALF)
MEMORY = 100

Operations = Mapping[str, Mapping[str, Mapping[str, Any]]]


@dataclass(frozen=True)
class Goal:
    """The most that a layer may cost, and the least by which peers are to be beaten.

    :param base: to whom, and to which operation of theirs, it is compared.
    """

    most: float = 1.25
    least: float | None = 1.0
    base: str = LEAN
    base_operation: str | None = None
    peers: tuple[str, ...] = PEERS
    least_on_sqlite: float | None = None
    peers_on_sqlite: tuple[str, ...] | None = None


GOALS = {
    "follow": Goal(),
    "follow again": Goal(),
    "unfollow": Goal(),
    "follow 1,000": Goal(least_on_sqlite=2, peers_on_sqlite=DJANGO),
    "unfollow 1,000": Goal(least_on_sqlite=2, peers_on_sqlite=DJANGO),
    "is_following": Goal(),
    "status of 50, loop": Goal(1.5, 10, base_operation="status of 50, batch"),
    "followers, first page": Goal(least=1.5),
    "followers, depth 1,000": Goal(least=None),
    "followers, depth 40,000": Goal(least=50),
    "count followers": Goal(least=LEVEL),
    "feed, follows 300": Goal(least=LEVEL),
    # Twenty times was seen beside peers with these indexes, before anything was built.
    "feed, usual indexes": Goal(least=LEVEL, least_on_sqlite=20),
    "feed, quiet": Goal(least=LEVEL),
    "feed, fell silent": Goal(least=LEVEL),
    "mutuals": Goal(least=LEVEL),
    "suggestions": Goal(least=LEVEL),
    EMPTY: Goal(1.3, 2, base=RAW, peers=DJANGO),
    HALF: Goal(1.3, 2, base=RAW, peers=DJANGO),
}


@dataclass(frozen=True)
class Outcome:
    """How an operation compares.

    :param cost: our median, divided by that of the base.
    :param lead: the best peer's median, divided by ours.
    """

    operation: str
    cost: float | None
    most: float
    lead: float | None
    least: float | None
    best: str | None

    @property
    def too_dear(self) -> bool:
        return self.cost is not None and self.cost > self.most

    @property
    def too_close(self) -> bool:
        return self.lead is not None and self.least is not None and self.lead < self.least


def outcomes(operations: Operations, database: str, only: str | None = None) -> Iterator[Outcome]:
    """Compare each operation that was measured with its goal, or one alone."""
    for name, goal in GOALS.items():
        if only not in (None, name):
            continue
        ours = median(operations, name, OURS)
        if ours is None:
            continue
        base = median(operations, goal.base_operation or name, goal.base)
        is_sqlite = database == "sqlite"
        peers = (is_sqlite and goal.peers_on_sqlite) or goal.peers
        times = {peer: median(operations, name, peer) for peer in peers}
        known = {peer: time for peer, time in times.items() if time is not None}
        best = min(known, key=lambda peer: known[peer], default=None)
        yield Outcome(
            name,
            cost=None if base is None else ours / base,
            most=goal.most,
            lead=None if best is None else known[best] / ours,
            least=(is_sqlite and goal.least_on_sqlite) or goal.least,
            best=best,
        )


def median(operations: Operations, name: str, contender: str) -> float | None:
    """Return a median in milliseconds, None where there is none."""
    found: float | None = operations.get(name, {}).get(contender, {}).get("median")
    return found


def table(operations: Operations, database: str) -> str:
    """Return all goals as a table in Markdown."""
    lines = [
        "| operation | to lean | at most | best of the peers | times as fast | at least |",
        "|---|---|---|---|---|---|",
    ]
    for found in outcomes(operations, database):
        base = GOALS[found.operation].base
        cost = "-" if found.cost is None else f"{found.cost:.2f}"
        lead = "-" if found.lead is None else f"{found.lead:.2g}"
        if found.lead is not None and found.lead >= 10:
            lead = f"{found.lead:,.0f}"
        cells = [
            found.operation,
            cost + (" (raw)" if base == RAW else "") + MISSED * found.too_dear,
            f"{found.most:g}",
            found.best or "-",
            lead + MISSED * found.too_close,
            "-" if found.least is None else f"{found.least:.2g}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    for name in (EMPTY, HALF):
        taken = operations.get(name, {}).get(OURS, {}).get("memory")
        if taken is not None:
            missed = MISSED * (taken >= MEMORY)
            lines.append(f"| {name}: memory | {taken:.0f} MB{missed} | {MEMORY} MB | - | - | - |")
    return "\n".join(lines) + "\n"


def growth_table(graphs: Mapping[str, Mapping[str, Any]]) -> str:
    """Return how our times grew from the smallest graph to the largest, by operation."""
    sizes = sorted(graphs, key=lambda size: int(graphs[size]["edges"]))
    names = [name for name in GOALS if name not in GROWS_BY_NATURE]
    first, last = graphs[sizes[0]]["operations"], graphs[sizes[-1]]["operations"]
    lines = [f"| | {' | '.join(sizes)} | growth |", "|---" * (len(sizes) + 2) + "|"]
    for name in names:
        times = [median(graphs[size]["operations"], name, OURS) for size in sizes]
        one, other = median(first, name, OURS), median(last, name, OURS)
        if one is None or other is None or len(sizes) < 2:
            continue
        cells = ["-" if time is None else f"{time:.3g}" for time in times]
        grown = f"{other / one:.2f}" + MISSED * (other / one > GROWTH)
        lines.append(f"| {name} | {' | '.join(cells)} | {grown} |")
    return "\n".join(lines) + "\n"
