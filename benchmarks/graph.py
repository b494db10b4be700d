"""How long does a social graph take, here and elsewhere? The same work for eight contenders.

    python benchmarks/graph.py [--database NAME ...] [--edges-count N ...] [--edges FILE]

All get the same graph, the same questions, in turns, and have to give the same answers. Each graph
in each database is a process of its own. Figures go to `docs/benchmarks/`, beside those that are
there, and from there into `docs/benchmarks.md` and the README; with `--output`, all stays in a
folder of yours.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
from itertools import product
from pathlib import Path

from social_graph import contenders, report
from social_graph.databases import URLS
from social_graph.operations import OPERATIONS, Scale
from social_graph.run import Plan, Size, run, size_of

ROOT = Path(__file__).parent.parent
FIGURES = ROOT / "docs" / "benchmarks"
SIZES = (10_000, 100_000, 1_000_000)
# Of larger graphs, only these are asked.
LARGEST_FOR_ALL = 1_000_000
FOR_THE_LARGEST = (contenders.RAW, contenders.OURS)
QUICK = {"size": Size(600, 300, 600), "scale": Scale(20, 60, 10), "rounds": 1}


def options() -> argparse.Namespace:
    """Return what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    say = parser.add_argument
    say("--database", action="append", choices=list(URLS), help="default: all three")
    say("--edges-count", action="append", type=int, metavar="N", help=f"default: {SIZES}")
    say("--edges", metavar="FILE", help="CSV of edges with a header line, in place of drawn ones")
    say("--contender", action="append", choices=contenders.NAMES, help="default: all")
    names = [operation.name for operation in OPERATIONS]
    say("--only", action="append", choices=["import", *names], metavar="OPERATION")
    say("--rounds", type=int, help="how often at most; default: as often as the time allows")
    say("--clock", choices=["wall", "cpu"], default="wall", help="cpu: for SQLite alone, if busy")
    say("--url", help="where to make the database, if not in the usual place")
    say(
        "--output",
        type=Path,
        default=FIGURES,
        metavar="FOLDER",
        help="for figures, tables and pictures of your own; "
        "default: those of the documentation, and its page and the README are written anew",
    )
    say("--quick", action="store_true", help="a tiny graph on SQLite, no Django: does it run?")
    say("--report", action="store_true", help="only write tables and pictures of what is there")
    return parser.parse_args()


def main() -> None:
    """Measure what the command line asks for."""
    asked = options()
    # Whoever ends it leaves no database behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if asked.quick:
        names = asked.contender or list(contenders.FLASK)
        found = run(Plan("sqlite", names=names, only=asked.only or (), **QUICK))
        report.store(asked.output, "sqlite", "quick", found)
        report.write(asked.output)
        return
    counts = [0] if asked.edges else asked.edges_count or SIZES
    runs = list(product(asked.database or URLS, counts))
    if not asked.report and len(runs) > 1:
        for database, count in runs:
            _in_a_process(database, count)
        return
    if not asked.report:
        _measure(asked, *runs[0])
    if asked.output == FIGURES:
        report.write(FIGURES, ROOT / "docs" / "benchmarks.md", ROOT / "README.md")
    else:
        report.write(asked.output)


def _in_a_process(database: str, count: int) -> None:
    """Run this program for one graph: a Django process has one database, and memory is clean."""
    kept = _without(sys.argv[1:], "--database", "--edges-count")
    chosen = ["--database", database, *(["--edges-count", str(count)] if count else [])]
    subprocess.run([sys.executable, __file__, *kept, *chosen], check=True)


def _without(arguments: list[str], *names: str) -> list[str]:
    kept, following = [], iter(arguments)
    for argument in following:
        if argument in names:
            next(following)
        elif not argument.startswith(tuple(f"{name}=" for name in names)):
            kept.append(argument)
    return kept


def _measure(asked: argparse.Namespace, database: str, count: int) -> None:
    default = FOR_THE_LARGEST if count > LARGEST_FOR_ALL else contenders.NAMES
    plan = Plan(
        database,
        Size(0, 0, 500_000) if asked.edges else size_of(count),
        asked.contender or default,
        url=asked.url,
        file=asked.edges,
        rounds=asked.rounds,
        only=asked.only or (),
        clock=asked.clock,
    )
    try:
        found = run(plan)
    except ModuleNotFoundError as error:
        sys.exit(f"{error.name} is not installed: benchmarks/README.md tells what is needed")
    size = report.label(count)
    if asked.edges:
        size = found["file"] = Path(asked.edges).name
    report.store(asked.output, database, size, found)


if __name__ == "__main__":
    main()
