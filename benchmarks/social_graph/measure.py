"""Timing, contender after contender in each round, after the answers were found to be the same."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from time import perf_counter, process_time
from typing import Any

from .contender import CannotDoError, Contender, Sent
from .databases import PATIENCE
from .operations import Operation, Scene
from .work import rows_read

# Seconds that one contender may take for one operation, if it has been timed three times.
BUDGET = 4.0
LEAST = 3
# Seconds after which one time is enough.
LONG = 3.0
# "cpu" is for a machine that is busy with other things, and for SQLite alone: a server's work and
# the wait for a disk are not in it.
CLOCKS: dict[str, Callable[[], float]] = {"wall": perf_counter, "cpu": process_time}


@dataclass
class Figures:
    """What is known of one operation of one contender; times in milliseconds.

    :param note: why there are no times.
    """

    times: list[float] = field(default_factory=list)
    statements: int | None = None
    rows: int | None = None
    memory: float | None = None
    note: str | None = None

    def summary(self) -> dict[str, Any]:
        """Return it for JSON."""
        known = {"statements": self.statements, "rows": self.rows, "memory": self.memory}
        found: dict[str, Any] = {key: value for key, value in known.items() if value is not None}
        if self.note is not None:
            return {**found, "note": self.note}
        first, middle, third = _quartiles(self.times)
        spread = {"q1": first, "q3": third, "min": min(self.times), "times": len(self.times)}
        return {"median": middle, **spread, **found}


def _quartiles(times: list[float]) -> list[float]:
    if len(times) < 2:
        return [times[0]] * 3
    return statistics.quantiles(times, n=4, method="inclusive")


def measure(
    operation: Operation,
    contenders: Sequence[Contender],
    scene: Scene,
    rounds: int | None = None,
    clock: str = "wall",
) -> dict[str, Figures]:
    """Check one operation on all contenders, then time it in turns."""
    figures = {contender.name: Figures() for contender in contenders}
    _check(operation, contenders, scene, figures)
    able = [contender for contender in contenders if figures[contender.name].note is None]
    for number in range(rounds or operation.rounds):
        for contender in _in_turn(able, number):
            times = figures[contender.name].times
            if len(times) >= LEAST and sum(times) > BUDGET * 1000:
                continue
            if times and times[-1] > LONG * 1000:
                continue
            times.append(_time(operation, contender, scene, number, CLOCKS[clock]))
    return figures


def _in_turn(contenders: list[Contender], number: int) -> Iterator[Contender]:
    start = number % len(contenders) if contenders else 0
    yield from contenders[start:]
    yield from contenders[:start]


def _time(
    operation: Operation,
    contender: Contender,
    scene: Scene,
    number: int,
    clock: Callable[[], float],
) -> float:
    if operation.before is not None:
        operation.before(contender, scene, number)
    with contender.request():
        run = operation.prepare(contender, scene, number)
        begun = clock()
        run()
        return (clock() - begun) * 1000


def _check(
    operation: Operation,
    contenders: Sequence[Contender],
    scene: Scene,
    figures: dict[str, Figures],
) -> None:
    """Have everyone answer, the second time as in daily work; all answers must be the same.

    This warms everyone up as well, and shows what they send.
    """
    answers: dict[str, Any] = {}
    edges: dict[str, int] = {}
    for contender in contenders:
        found = figures[contender.name]
        try:
            for number in range(2):
                begun = perf_counter()
                answers[contender.name], sent = _answer(operation, contender, scene, number)
                if perf_counter() - begun > LONG:
                    break  # it need not be warm for this
        except CannotDoError as error:
            found.note = str(error)
            continue
        except Exception as error:
            if not _gave_up(error):
                raise
            found.note = f"took more than {PATIENCE} seconds"
            answers.pop(contender.name, None)
            continue
        edges[contender.name] = scene.database.count(contender.edges)
        found.statements = len(sent)
        found.rows = None if operation.is_write else rows_read(scene.database, sent)
    assert_same(operation.name, answers)
    assert_same(f"number of edges after {operation.name}", edges)


def _answer(
    operation: Operation, contender: Contender, scene: Scene, number: int
) -> tuple[Any, list[Sent]]:
    if operation.before is not None:
        operation.before(contender, scene, number)
    with contender.request():
        run = operation.prepare(contender, scene, number)
        with contender.recording() as sent:
            answer = run()
        return operation.plain(answer), list(sent)


def assert_same(what: str, answers: dict[str, Any]) -> None:
    """Raise unless all answers are equal; who does not say (None) is not asked."""
    said = {
        name: answer
        for name, answer in answers.items()
        if answer is not None and not (isinstance(answer, list) and None in answer)
    }
    if any(answer != next(iter(said.values())) for answer in said.values()):
        lines = "\n".join(f"  {name}: {str(answer)[:300]}" for name, answer in said.items())
        raise AssertionError(f"{what}: answers differ\n{lines}")


def _gave_up(error: Exception) -> bool:
    text = str(error)
    return "statement timeout" in text or "max_statement_time" in text
