"""Pictures: time against the size of the graph, and how many times as long the peers take."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .contenders import NAMES, OURS
from .goals import GOALS, PEERS, median

Databases = Mapping[str, Mapping[str, Mapping[str, Any]]]
SHOWN = (
    "follow",
    "is_following",
    "status of 50, loop",
    "followers, first page",
    "followers, depth 1,000",
    "count followers",
    "feed, follows 300",
    "mutuals",
    "suggestions",
)


def growth(graphs: Mapping[str, Mapping[str, Any]], database: str, path: Path) -> None:
    """Draw a small picture for each of some operations, a line for each contender."""
    plt = _pyplot()
    figure, places = plt.subplots(3, 3, figsize=(11, 9), layout="constrained", sharex=True)
    runs = sorted(graphs.values(), key=lambda run: int(run["edges"]))
    for axes, operation in zip(places.flat, SHOWN, strict=True):
        for number, name in enumerate(NAMES):
            times = [(run["edges"], median(run["operations"], operation, name)) for run in runs]
            known = [(edges, time) for edges, time in times if time is not None]
            if known:
                axes.plot(
                    *zip(*known, strict=True),
                    "o-",
                    color=f"C{number}",
                    label=name,
                    linewidth=3 if name == OURS else 1,
                    markersize=3,
                )
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_title(operation, fontsize=10)
        axes.grid(alpha=0.3)
    handles, labels = places.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=4, frameon=False)
    figure.supylabel(f"ms on {database}")
    figure.supxlabel("edges")
    _save(figure, path)


def peers(databases: Databases, size: str, path: Path) -> None:
    """Draw the time of each peer as a multiple of ours, for each database a picture."""
    plt = _pyplot()
    figure, places = plt.subplots(
        1,
        len(databases),
        figsize=(4.2 * len(databases), 6.5),
        layout="constrained",
        sharey=True,
        squeeze=False,
    )
    for axes, (database, graphs) in zip(places.flat, databases.items(), strict=True):
        operations = graphs[size]["operations"]
        names = [name for name in GOALS if median(operations, name, OURS)]
        for number, peer in enumerate(NAMES):
            ratios = [
                (place, time / (median(operations, name, OURS) or 1))
                for place, name in enumerate(names)
                if peer in PEERS and (time := median(operations, name, peer)) is not None
            ]
            if ratios:
                places_, values = [place for place, _ in ratios], [ratio for _, ratio in ratios]
                axes.plot(values, places_, "o", color=f"C{number}", label=peer, alpha=0.8)
        axes.axvline(1, color="black", linewidth=1)
        axes.set_xscale("log")
        axes.set_title(database)
        axes.set_yticks(range(len(names)), names)
        axes.grid(alpha=0.3)
    places.flat[0].invert_yaxis()
    handles, labels = places.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=5, frameon=False)
    figure.supxlabel(f"times as long as Flask-Follows, {size} edges")
    _save(figure, path)


def _pyplot() -> Any:
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "social graph"
    import matplotlib.pyplot as plt

    return plt


def _save(figure: Any, path: Path) -> None:
    import matplotlib.pyplot as plt

    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
