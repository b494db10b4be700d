"""Many pairs of keys at once: time and memory, on an empty table and on one that has half of them.

Not done in turns like the rest: each contender fills its table, which is then emptied again.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence

from .contender import CannotDoError, Contender
from .measure import CLOCKS, Figures
from .memory import growth
from .operations import NOW, Scene

IMPORTED = 800_000
EMPTY, HALF = "import, empty table", "import, half there"


def measure_imports(
    contenders: Sequence[Contender], scene: Scene, rounds: int, clock: str = "wall"
) -> dict[str, dict[str, Figures]]:
    """Import the graph's pairs, up to 800,000, into the tables, which are empty before and after.

    In each round each contender has its turn.
    """
    pairs = scene.graph.shuffled_pairs(IMPORTED)
    figures = {
        name: {contender.name: Figures() for contender in contenders} for name in (EMPTY, HALF)
    }
    for _ in range(rounds):
        for name, found in figures.items():
            for contender in contenders:
                if found[contender.name].note is None:
                    if name == HALF:
                        _put_half(contender, scene, pairs)
                    _import(contender, scene, pairs, found[contender.name], CLOCKS[clock])
    return figures


def _import(
    contender: Contender,
    scene: Scene,
    pairs: tuple[array[int], array[int]],
    found: Figures,
    clock: Callable[[], float],
) -> None:
    edges, database = contender.edges, scene.database
    database.settle([edges.table])

    def run() -> None:
        begun = clock()
        contender.add_many(_pairs(pairs))
        found.times.append((clock() - begun) * 1000)

    try:
        with contender.request():
            contender.user(scene.graph.cast.writer)  # the connection is open
            grown = growth(run)
            found.memory = max(grown or 0.0, found.memory or 0.0) if grown is not None else None
        imported = database.count(edges)
        assert imported == len(pairs[0]), f"{contender.name} imported {imported}"
    except CannotDoError as error:
        found.note = str(error)
    database.empty(edges)


def _put_half(contender: Contender, scene: Scene, pairs: tuple[array[int], array[int]]) -> None:
    edges = contender.edges
    there = sorted(zip(pairs[0][::2], pairs[1][::2], strict=True))
    rows = ((*pair, NOW)[: len(edges.columns)] for pair in there)
    scene.database.fill(edges.table, edges.columns, rows)


def _pairs(pairs: tuple[array[int], array[int]]) -> Iterator[tuple[int, int]]:
    """Yield the pairs as a file is read, without a list of them."""
    return zip(*pairs, strict=True)
