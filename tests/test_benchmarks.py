"""The benchmarks run, on every database, and check what they time."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parent.parent / "benchmarks"
PAIRS = [(1, 2), (1, 3), (1, 4), (2, 3), (5, 1)]


def load(name: str) -> Any:
    """Import a script of the folder."""
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where SQLAlchemy looks annotations up
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def one_row_or_two(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The script, with few repetitions."""
    module = load("one_row_or_two")
    monkeypatch.setattr(module, "WRITES", 2)
    monkeypatch.setattr(module, "READS", 2)
    return module


def test_one_row_or_two(one_row_or_two, database_url, tmp_path, monkeypatch):
    """Both storages are timed, and the figures written."""
    file = tmp_path / "edges.csv"
    file.write_text("a,b\n" + "".join(f"{a},{b}\n" for a, b in PAIRS))
    arguments = ["--edges", str(file), "--database", database_url, "--output", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["one_row_or_two", *arguments])
    monkeypatch.setattr(one_row_or_two, "plot", lambda results, path: path.write_text("<svg/>"))
    one_row_or_two.main()
    (figures,) = json.loads((tmp_path / "one-row-or-two.json").read_text()).values()
    assert len(figures) == 11
    assert all(set(each) == set(one_row_or_two.STORAGES) for each in figures.values())
    lines = (tmp_path / "one-row-or-two.md").read_text().splitlines()
    assert len(lines) == 13
    assert (tmp_path / "one-row-or-two.svg").exists()


def test_the_generated_friendships(one_row_or_two, monkeypatch):
    """They are the same each time, without doubles and without friends of themselves."""
    monkeypatch.setattr(one_row_or_two, "FRIENDSHIPS", 500)
    pairs = one_row_or_two.friendships(None)
    assert pairs == one_row_or_two.generated()
    assert len(set(pairs)) == 500
    assert all(first < second for first, second in pairs)


@pytest.fixture
def graph(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The script that measures all contenders, and its package."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return load("graph")


def test_the_graph_in_all_hands(graph, tmp_path, monkeypatch):
    """All contenders of Flask give the same answers, which the run itself asserts."""
    monkeypatch.setattr(sys, "argv", ["graph", "--quick", "--output", str(tmp_path)])
    monkeypatch.setattr(graph.report, "_draw", lambda folder, databases: None)
    graph.main()
    operations = json.loads((tmp_path / "sqlite.json").read_text())["graphs"]["quick"]["operations"]
    assert len(operations) == len(graph.OPERATIONS) + 2
    for name, by_name in operations.items():
        without = {each for each, found in by_name.items() if "median" not in found}
        assert not without or (name.startswith("import") and without == TUTORIALS)
    text = (tmp_path / "sqlite.md").read_text()
    assert "| is_following |" in text
    assert "has no way to add many at once" in text


TUTORIALS = {"tutorial_association", "tutorial_secondary"}


def test_answers_that_differ(graph):
    """They stop the run, and the message has both."""
    from social_graph.measure import assert_same

    assert_same("count", {"raw": 1, "lean": 1, "django": None})
    with pytest.raises(AssertionError, match=r"(?s)count: answers differ.*raw: 1.*lean: 2"):
        assert_same("count", {"raw": 1, "lean": 2})


def test_the_drawn_graph(graph):
    """It is the same each time, sorted, without doubles; its cast is as described."""
    from social_graph.data import Graph

    one, other = Graph(3_000, 1_000, 500), Graph(3_000, 1_000, 500)
    pairs = list(zip(one.followers, one.followed, strict=True))
    assert pairs == list(zip(other.followers, other.followed, strict=True))
    assert pairs == sorted(set(pairs))
    assert all(follower != followed for follower, followed in pairs)
    cast, edges = one.cast, set(pairs)
    followed = {b for a, b in edges if a == cast.viewer}
    assert len(followed) == 300
    assert len([b for b in followed if (b, cast.viewer) in edges]) == 60
    authors = [author for _, author, _, _ in one.posts()]
    silent = {b for a, b in edges if a == cast.silent}
    assert len(silent) == 100
    assert set(authors[:2_000]) == silent
    assert silent.isdisjoint(authors[2_000:])
    assert cast.writer not in {a for a, _ in edges}


def test_a_graph_from_a_file(graph, tmp_path):
    """Users are numbered in their order; the cast comes after them."""
    from social_graph.data import Graph

    file = tmp_path / "edges.csv"
    file.write_text("follower,followed\n" + "".join(f"{a * 7},{b * 7}\n" for a, b in PAIRS))
    one = Graph(0, 0, 10, str(file))
    pairs = list(zip(one.followers, one.followed, strict=True))
    assert one.ordinary == 5
    assert [pair for pair in pairs if max(pair) <= 5 >= min(pair)] == PAIRS


def test_goals(graph):
    """What is missed is marked, and by how much."""
    from social_graph import goals

    def medians(**times: float) -> dict[str, dict[str, float]]:
        return {name: {"median": time} for name, time in times.items()}

    operations = {
        "is_following": medians(lean=1.0, flask_follows=1.2, django=0.6),
        "count followers": medians(lean=1.0, flask_follows=1.3, django=1.2),
        "status of 50, loop": medians(lean=50.0, flask_follows=1.5, django=20.0),
        "status of 50, batch": medians(lean=1.0, flask_follows=1.1),
    }
    found = {each.operation: each for each in goals.outcomes(operations, "sqlite")}
    assert [(each.too_dear, each.too_close) for each in found.values()] == [
        (False, True),
        (False, False),
        (True, False),
    ]
    assert found["is_following"].best == "django"
    table = goals.table(operations, "sqlite")
    assert "| is_following | 1.20 | 1.25 | django | 0.5 **missed** | 1 |" in table
    assert table.count("missed") == 2


def test_figures_in_a_page(graph, tmp_path):
    """They stand between two comments, and take the place of what was there."""
    from social_graph.report import include

    page = tmp_path / "page.md"
    page.write_text("before\n<!-- figures: a -->\nold\n<!-- end of figures -->\nafter\n")
    for text in ("first\n", "second\n"):
        include(page, {"a": text, "b": "nowhere"})
    assert page.read_text() == (
        "before\n<!-- figures: a -->\n\nsecond\n\n<!-- end of figures -->\nafter\n"
    )
