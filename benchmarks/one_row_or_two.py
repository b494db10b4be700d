"""One row or two for a friendship? Size, writes and reads of both storages, side by side.

    python benchmarks/one_row_or_two.py [--edges FILE] [--database NAME|URL ...] [--output FOLDER]

The same friendships are stored mirrored and canonical in one database, and each operation is timed
on the one and on the other in turn. Results are checked to be the same before anything is timed.
Writes `one-row-or-two.json`, `.md` and (with matplotlib) `.svg`.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import os
import random
import statistics
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

import sqlalchemy as sa
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import Mapped, mapped_column

from flask_follows import Follows

URLS = {
    "sqlite": None,
    "postgresql": os.environ.get("POSTGRESQL_URL", "postgresql+psycopg://root@127.0.0.1:5432/test"),
    "mariadb": os.environ.get("MARIADB_URL", "mariadb+pymysql://root@127.0.0.1:3306/test"),
}
STORAGES = ("mirrored", "canonical")
SEED = 20261121
USERS, FRIENDSHIPS = 50_000, 300_000
WRITES, READS = 300, 60


def friendships(file: str | None) -> list[tuple[int, int]]:
    """Return pairs of numbers from 1 on: those of a CSV file, or of a seeded power law."""
    if file is None:
        return generated()
    opened: Any = gzip.open if file.endswith(".gz") else open
    with opened(file, "rt", newline="") as lines:
        rows = csv.reader(lines)
        next(rows)
        return [(int(a) + 1, int(b) + 1) for a, b, *_ in rows]


def generated() -> list[tuple[int, int]]:
    """Draw both ends with a weight that falls with the square root of the number."""
    draw = random.Random(SEED)
    weights = [1 / (number + 10) ** 0.6 for number in range(USERS)]
    numbers = range(1, USERS + 1)
    pairs: set[tuple[int, int]] = set()
    while len(pairs) < FRIENDSHIPS:
        ends = draw.choices(numbers, weights, k=20_000)
        drawn = zip(ends[::2], ends[1::2], strict=True)
        pairs.update((min(pair), max(pair)) for pair in drawn if pair[0] != pair[1])
    return sorted(pairs)[:FRIENDSHIPS]


class Bench:
    """One database with the same friendships in both storages."""

    def __init__(self, name: str, url: str) -> None:
        self.name = name
        self.app, self.db, follows = Flask("bench"), SQLAlchemy(), Follows()
        self.app.config["SQLALCHEMY_DATABASE_URI"] = url

        class User(self.db.Model):  # type: ignore[name-defined]
            __tablename__ = "bench_user"
            id: Mapped[int] = mapped_column(primary_key=True)

        self.User = User
        self.relations = {
            storage: follows.relation(
                User,
                storage,
                User,
                symmetrical=True,
                storage=storage,
                table_name=f"bench_{storage}",
            )
            for storage in STORAGES
        }
        self.db.init_app(self.app)
        follows.init_app(self.app, self.db)

    def run(self, pairs: list[tuple[int, int]]) -> dict[str, dict[str, float]]:
        """Return figures by operation and storage."""
        with self.app.app_context():
            self.db.drop_all()
            self.db.create_all()
            try:
                self._add_users(pairs)
                figures = self._load(pairs)
                figures |= self._time(dict(self._reads(pairs)), READS)
                figures |= self._time(dict(self._writes(pairs)), WRITES)
                return figures
            finally:
                self.db.session.remove()
                self.db.drop_all()
                self.db.engine.dispose()

    def _add_users(self, pairs: list[tuple[int, int]]) -> None:
        highest = max(max(pair) for pair in pairs) + WRITES + 1
        rows = [{"id": number} for number in range(1, highest + 1)]
        self.db.session.execute(sa.insert(self.User), rows)
        self.db.session.commit()

    def _load(self, pairs: list[tuple[int, int]]) -> dict[str, dict[str, float]]:
        loading: dict[str, float] = {}
        size: dict[str, float] = {}
        for storage, relation in self.relations.items():
            before, begun = self._size(storage), perf_counter()
            made = relation.add_many(pairs)
            self.db.session.commit()
            loading[storage] = perf_counter() - begun
            assert made == len(set(pairs)), "every friendship is new"
            size[storage] = (self._size(storage) - before) / 1e6
        return {"size, MB": size, "load all, s": loading}

    def _size(self, storage: str) -> float:
        """Return the bytes of a table and its indexes."""
        table, session = f"bench_{storage}", self.db.session
        if self.name == "sqlite":
            session.commit()
            pages = session.scalar(sa.text("PRAGMA page_count"))
            return float(pages * session.scalar(sa.text("PRAGMA page_size")))
        if self.name == "postgresql":
            asked = sa.text("SELECT pg_total_relation_size(:table)")
        else:
            session.execute(sa.text(f"ANALYZE TABLE {table}")).all()
            asked = sa.text(
                "SELECT data_length + index_length FROM information_schema.tables "
                "WHERE table_schema = database() AND table_name = :table"
            )
        size = float(session.scalar(asked, {"table": table}) or 0)
        session.commit()
        return size

    def _reads(self, pairs: list[tuple[int, int]]) -> Iterator[tuple[str, Callable[..., Any]]]:
        """Yield reads of one who has many friends, by a name; each takes a storage."""
        (most, _), (second, _) = Counter(key for pair in pairs for key in pair).most_common(2)
        popular = self.db.session.get_one(self.User, most)
        friend = self.relations["mirrored"].end(False).keys(self.db.session, most)[0]

        def common(storage: str) -> Any:
            is_friend = self.relations[storage].end(False).exists_for(self.User, second)
            return sorted(user.id for user in getattr(popular, storage).filter(is_friend))

        yield "all friends' keys, ms", lambda s: sorted(getattr(popular, s).ids())
        yield "count, ms", lambda s: getattr(popular, s).count()
        yield "newest page of 20, ms", lambda s: len(getattr(popular, s).page().items)
        yield "page of 20, half way, ms", lambda s: len(self._half_way(popular, s).items)
        yield "is a friend, ms", lambda s: getattr(popular, s).contains(friend)
        yield "friends in common, ms", common

    def _half_way(self, user: Any, storage: str) -> Any:
        cursor = self.__dict__.setdefault(f"_cursor_{storage}", None)
        if cursor is None:
            half = getattr(user, storage).page(per_page=getattr(user, storage).count() // 2)
            cursor = self.__dict__[f"_cursor_{storage}"] = half.next
        return getattr(user, storage).page(after=cursor)

    def _writes(self, pairs: list[tuple[int, int]]) -> Iterator[tuple[str, Callable[..., Any]]]:
        """Yield writes with a commit each, as they come: made, made again, removed."""
        highest = max(max(pair) for pair in pairs)
        keys = {
            (name, s): iter(range(highest + 1, highest + WRITES + 2))
            for name in "abc"
            for s in STORAGES
        }

        def write(name: str, verb: str) -> Callable[[str], Any]:
            def one(storage: str) -> Any:
                done = getattr(self.relations[storage], verb)(
                    1 + highest // 2, next(keys[name, storage])
                )
                self.db.session.commit()
                return done

            return one

        yield "befriend, ms", write("a", "add")
        yield "befriend again, ms", write("b", "add")
        yield "unfriend, ms", write("c", "remove")

    def _time(
        self, operations: dict[str, Callable[..., Any]], times: int
    ) -> dict[str, dict[str, float]]:
        """Return medians in milliseconds, both storages in turn."""
        figures = {}
        for name, operation in operations.items():
            first = [operation(storage) for storage in STORAGES]
            assert first[0] == first[1], f"{name}: both storages have the same answer"
            taken: dict[str, list[float]] = {storage: [] for storage in STORAGES}
            for _ in range(times):
                for storage in STORAGES:
                    begun = perf_counter()
                    operation(storage)
                    taken[storage].append((perf_counter() - begun) * 1000)
            figures[name] = {storage: statistics.median(taken[storage]) for storage in STORAGES}
        return figures


def table(results: dict[str, dict[str, dict[str, float]]]) -> str:
    """Return the figures as a table in Markdown: mirrored / canonical (ratio)."""
    names = list(results)
    lines = [
        f"| mirrored / canonical (ratio) | {' | '.join(names)} |",
        "|---" * (len(names) + 1) + "|",
    ]
    for operation in next(iter(results.values())):
        cells = []
        for name in names:
            two, one = (results[name][operation][storage] for storage in STORAGES)
            cells.append(f"{two:.3g} / {one:.3g} ({ratio(two, one):.2f})")
        lines.append(f"| {operation} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def ratio(two: float, one: float) -> float:
    """Return how they compare; a table too small to have grown is as large as the other."""
    return two / one if one else 1.0


def plot(results: dict[str, dict[str, dict[str, float]]], path: Path) -> None:
    """Draw the ratio of the two storages, a bar for each database."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "one row or two"
    import matplotlib.pyplot as plt

    operations = list(next(iter(results.values())))
    figure, axes = plt.subplots(figsize=(8, 5.5), layout="constrained")
    height = 0.8 / len(results)
    for offset, (name, figures) in enumerate(results.items()):
        ratios = [figures[op]["mirrored"] / figures[op]["canonical"] for op in operations]
        places = [number + offset * height for number in range(len(operations))]
        axes.barh(places, ratios, height, label=name)
    axes.set_yticks(
        [number + 0.4 - height / 2 for number in range(len(operations))],
        [operation.rsplit(",", 1)[0] for operation in operations],
    )
    axes.axvline(1, color="black", linewidth=0.8)
    axes.invert_yaxis()
    axes.set_xscale("log", base=2)
    axes.set_xticks([0.25, 0.5, 1, 2], ["¼", "½", "1", "2"])
    axes.set_xlabel("two rows compared with one: less is better for two rows")
    axes.legend()
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--edges", metavar="FILE", help="CSV of friendships, with a header line")
    parser.add_argument("--database", action="append", metavar="NAME|URL")
    parser.add_argument("--output", type=Path, default=Path("docs/images"), metavar="FOLDER")
    options = parser.parse_args()
    pairs = friendships(options.edges)
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for asked in options.database or list(URLS):
            url = URLS.get(asked, asked) or f"sqlite:///{folder}/bench.db"
            name = sa.make_url(url).get_backend_name()
            results[name] = Bench(name, url).run(pairs)
            print(table({name: results[name]}), flush=True)
    options.output.mkdir(parents=True, exist_ok=True)
    target = options.output / "one-row-or-two"
    target.with_suffix(".json").write_text(json.dumps(results, indent=1) + "\n")
    target.with_suffix(".md").write_text(table(results))
    try:
        plot(results, target.with_suffix(".svg"))
    except ImportError:
        print("no picture: pip install matplotlib")


if __name__ == "__main__":
    main()
