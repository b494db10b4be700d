"""The figures of a run as tables in Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .contenders import NAMES

Run = Mapping[str, Any]
UNITS = {"sqlite": "machine steps", "postgresql": "rows", "mariadb": "rows"}


def times(run: Run) -> str:
    """Return the medians, with quartiles, in milliseconds; why there are none is said below."""
    notes: dict[str, None] = {}

    def cell(found: Mapping[str, Any] | None) -> str:
        if found is None:
            return ""
        if "note" in found:
            notes.setdefault(found["note"])
            return "-"
        return f"{short(found['median'])} ({short(found['q1'])} to {short(found['q3'])})"

    lines = _lines(run, cell)
    if notes:
        lines += ["", f"-: {'; or '.join(notes)}."]
    return "\n".join(lines) + "\n"


def work(run: Run, database: str) -> str:
    """Return the statements sent and what the reads among them cost the database."""

    def cell(found: Mapping[str, Any] | None) -> str:
        if found is None or "statements" not in found:
            return "-" if found else ""
        rows = found.get("rows")
        return f"{found['statements']}" + (f": {rows:,}" if rows is not None else "")

    head = f"statements: {UNITS[database]} read"
    return "\n".join(_lines(run, cell, head, is_wanted=lambda each: "statements" in each)) + "\n"


def memory(run: Run) -> str:
    """Return by how much the peak of memory grew during imports, in megabytes."""

    def cell(found: Mapping[str, Any] | None) -> str:
        taken = None if found is None else found.get("memory")
        return "-" if taken is None else f"{taken:.0f}"

    return "\n".join(_lines(run, cell, "MB", is_wanted=lambda each: "memory" in each)) + "\n"


def _lines(run: Run, cell: Any, head: str = "ms", is_wanted: Any = bool) -> list[str]:
    operations = run["operations"]
    asked = {name for by_name in operations.values() for name in by_name}
    names = [name for name in NAMES if name in asked]
    lines = [f"| {head} | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for operation, by_name in operations.items():
        if any(map(is_wanted, by_name.values())):
            cells = [cell(by_name.get(name)) for name in names]
            lines.append(f"| {operation} | {' | '.join(cells)} |")
    return lines


def short(number: float) -> str:
    """Return a number with two or three digits that count."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"
