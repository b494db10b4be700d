"""Figures kept in JSON, one file a database, and all that is made of them for the documentation."""

from __future__ import annotations

import json
import os
import platform
import re
from importlib import metadata
from pathlib import Path
from typing import Any

from . import goals, plots, tables
from .contenders import OURS
from .databases import URLS

# The graph of which most is shown, if it was measured.
MAIN = "1 million"
IN_README = ("status of 50, loop", "followers, depth 40,000", "feed, follows 300")
OF_CPU = {"wall": "", "cpu": " of this process's CPU"}
PACKAGES = ("SQLAlchemy", "Flask-SQLAlchemy", "Django", "django-friendship", "psycopg", "PyMySQL")


def label(edges: int) -> str:
    """Return a number of edges in words, as in the tables."""
    for unit, word in ((1_000_000, "million"), (1_000, "thousand")):
        if edges >= unit:
            return f"{edges / unit:g} {word}"
    return str(edges)


def store(folder: Path, database: str, size: str, run: dict[str, Any]) -> None:
    """Put a run beside those that are there; operations not measured now keep their figures."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{database}.json"
    kept = json.loads(file.read_text()) if file.exists() else {"graphs": {}}
    before = kept["graphs"].get(size, {}).get("operations", {})
    run["operations"] = {**before, **run["operations"]}
    kept["machine"] = machine()
    kept["graphs"][size] = run
    file.write_text(json.dumps(kept, indent=1) + "\n")


def machine() -> dict[str, Any]:
    """Return what the figures were taken on."""
    model = re.search(r"model name\s*: (.*)", _text("/proc/cpuinfo"))
    memory = re.search(r"MemTotal:\s*(\d+)", _text("/proc/meminfo"))
    return {
        "processor": model[1] if model else platform.machine(),
        "cores": os.cpu_count(),
        "memory": f"{int(memory[1]) / 2**20:.0f} GB" if memory else "unknown",
        "system": platform.system(),
        "python": platform.python_version(),
        "load": round(os.getloadavg()[1], 1),
        "packages": {name: version for name in PACKAGES if (version := _version(name))},
    }


def _text(path: str) -> str:
    file = Path(path)
    return file.read_text() if file.exists() else ""


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def write(folder: Path, page: Path | None = None, readme: Path | None = None) -> None:
    """Draw all figures in a folder, and put their tables into the pages.

    :param page: where to, in the documentation; None for files beside the figures.
    """
    kept = {
        name: json.loads(file.read_text())
        for name in URLS
        if (file := folder / f"{name}.json").exists()
    }
    parts = {name: _of_database(name, each["graphs"]) for name, each in kept.items()}
    parts["machine"] = _of_machine(kept)
    parts["missed"] = _missed(kept)
    _draw(folder, {name: each["graphs"] for name, each in kept.items()})
    if page is None:
        for name, text in parts.items():
            (folder / f"{name}.md").write_text(text)
    elif page.exists():
        include(page, parts)
    has_main = kept and all(MAIN in each["graphs"] for each in kept.values())
    if readme is not None and readme.exists() and has_main:
        include(readme, {"benchmarks": _lines_for_readme(kept)})


def _of_database(name: str, graphs: dict[str, Any]) -> str:
    main = graphs[MAIN if MAIN in graphs else _largest(graphs)]
    size = MAIN if MAIN in graphs else _largest(graphs)
    words = [
        f"{main['version']}; {main['edges']:,} edges, {main['users']:,} users, {main['posts']:,} "
        f"posts, and one with {main['most followers']:,} followers.\n",
        f"Flask-Follows compared, {size} edges:\n",
        goals.table(main["operations"], name),
        f"Median (quartiles) in milliseconds{OF_CPU[main['clock']]}, {size} edges:\n",
        tables.times(main),
        "What they asked of the database:\n",
        tables.work(main, name),
        "Growth of memory during an import:\n",
        tables.memory(main),
    ]
    drawn = {key: run for key, run in graphs.items() if "file" not in run}
    if len(drawn) > 1:
        words += ["Medians of Flask-Follows by edges, in milliseconds:\n"]
        words += [goals.growth_table(drawn)]
        words += [f"![Time against edges on {name}](benchmarks/{name}.svg)\n"]
    for key, run in graphs.items():
        if run is not main:
            words += [f"<details><summary>All medians, {key} edges</summary>\n"]
            words += [tables.times(run), "</details>\n"]
    return "\n".join(words)


def _largest(graphs: dict[str, Any]) -> str:
    return max(graphs, key=lambda size: int(graphs[size]["edges"]))


def _of_machine(kept: dict[str, Any]) -> str:
    loads: dict[str, list[str]] = {}
    for name, each in kept.items():
        one = each["machine"]
        packages = ", ".join(f"{key} {version}" for key, version in one["packages"].items())
        machine = f"{one['processor']}, {one['cores']} cores, {one['memory']}, {one['system']}, "
        machine += f"Python {one['python']}, {packages}"
        loads.setdefault(machine, []).append(f"{name} {one['load']}")
    lines = (f"- {machine}; load average: {', '.join(of)}" for machine, of in loads.items())
    return "\n".join(lines) + "\n"


def _missed(kept: dict[str, Any]) -> str:
    """Return what did not reach its goal: of the graph of which most is shown, then of others."""
    sizes = dict.fromkeys(size for each in kept.values() for size in each["graphs"])
    words = []
    for size in sorted(sizes, key=lambda size: size != MAIN):
        lines = ["| operation | database | reached | goal |", "|---|---|---|---|"]
        for operation in goals.GOALS:
            for name, each in kept.items():
                run = each["graphs"].get(size, {"operations": {}})
                found = next(goals.outcomes(run["operations"], name, operation), None)
                lines += [] if found is None else _missed_by(found, name)
        table = "\n".join(lines) + "\n"
        summary = f"<details><summary>{size} edges</summary>\n\n{table}\n</details>\n"
        words.append(f"{size} edges:\n\n{table}" if size == MAIN else summary)
    return "\n".join(words)


def _missed_by(found: goals.Outcome, database: str) -> list[str]:
    place, lines = f"| {found.operation} | {database} |", []
    if found.too_dear:
        base = goals.GOALS[found.operation].base
        lines.append(f"{place} {found.cost:.2f} of {base} | at most {found.most:g} |")
    if found.too_close:
        reached = f"{found.lead:.2g} times as fast as {found.best}"
        lines.append(f"{place} {reached} | at least {found.least:.2g} |")
    return lines


def _draw(folder: Path, databases: dict[str, Any]) -> None:
    try:
        for name, graphs in databases.items():
            plots.growth(graphs, name, folder / f"{name}.svg")
        with_main = {name: graphs for name, graphs in databases.items() if MAIN in graphs}
        if with_main:
            plots.peers(with_main, MAIN, folder / "peers.svg")
    except ImportError:
        print("no pictures: pip install matplotlib")


def _lines_for_readme(kept: dict[str, Any]) -> str:
    """Return three rows of figures: ours, and the fastest and the slowest of the peers."""
    lines = ["| ms, 1 million edges | Flask-Follows | peers |", "|---|---|---|"]
    for operation in IN_README:
        ours, others = [], []
        for each in kept.values():
            operations = each["graphs"].get(MAIN, {}).get("operations", {})
            mine = goals.median(operations, operation, OURS)
            times = [goals.median(operations, operation, peer) for peer in goals.PEERS]
            known = [time for time in times if time is not None]
            if mine is not None and known:
                ours.append(tables.short(mine))
                others.append(f"{tables.short(min(known))} to {tables.short(max(known))}")
        lines.append(f"| {operation} | {' / '.join(ours)} | {' / '.join(others)} |")
    names = " / ".join(kept)
    picture = "![How many times as long the peers take](docs/benchmarks/peers.svg)"
    lines += ["", f"On {names}; peers from the fastest to the slowest.", "", picture]
    return "\n".join(lines) + "\n"


def include(page: Path, parts: dict[str, str]) -> None:
    """Put texts between `<!-- figures: NAME -->` and `<!-- end of figures -->`."""
    text = page.read_text()
    for name, part in parts.items():
        begin, end = f"<!-- figures: {name} -->", "<!-- end of figures -->"
        pattern = re.escape(begin) + ".*?" + re.escape(end)
        inserted = f"{begin}\n\n{part}\n{end}"
        text = re.sub(pattern, lambda _: inserted, text, flags=re.DOTALL)  # noqa: B023
    page.write_text(text)
