"""Count the SQL statements that a piece of code sends."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

SAVEPOINT_WORDS = ("SAVEPOINT ", "RELEASE SAVEPOINT ", "ROLLBACK TO SAVEPOINT ")


@dataclass
class Counted:
    """What was sent: the statements, and apart from them those about savepoints.

    BEGIN, COMMIT and ROLLBACK are not among them. An executemany is one statement.
    """

    statements: list[str] = field(default_factory=list)
    savepoints: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.statements)

    def __str__(self) -> str:
        lines = [*self.statements, *self.savepoints]
        return "\n".join(f"{number}. {line}" for number, line in enumerate(lines, 1)) or "none"

    def add(self, connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        """Note a statement: a listener for `before_cursor_execute`."""
        is_savepoint = statement.upper().startswith(SAVEPOINT_WORDS)
        line = f"{' '.join(statement.split())}  -- {parameters}"
        (self.savepoints if is_savepoint else self.statements).append(line)


@contextmanager
def count(engines: Iterable[sa.Engine]) -> Iterator[Counted]:
    """Count what is sent through `engines`, from every thread, inside the `with` block."""
    counted = Counted()
    engines = list(engines)
    for engine in engines:
        sa.event.listen(engine, "before_cursor_execute", counted.add)
    try:
        yield counted
    finally:
        for engine in engines:
            sa.event.remove(engine, "before_cursor_execute", counted.add)
