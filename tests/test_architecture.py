"""The architecture, held by tests: what may import what, how long things get, what is public."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = "flask_follows"
ROOT = Path(__file__).parent.parent / PACKAGE

# From the ground up, each row a list of modules. A module imports only from rows below its own.
LAYERS = [
    ["beyond", "capacity", "chunks", "errors", "journal", "signals", "types"],
    ["streams"],
    ["announce", "clauses", "kept", "keys", "lines", "ordering"],
    ["edge_models", "edge_rows", "edges", "paging", "tables"],
    ["adoption", "answers", "posts", "reads", "statements", "viewers"],
    [
        "feed_statements",
        "mutuals",
        "mysql_writer",
        "names",
        "page_reads",
        "questions",
        "unkeyed_writer",
    ],
    ["dialects"],
    ["storage"],
    ["symmetrical"],
    ["bulk", "edge_objects"],
    ["relation"],
    ["deletion", "feed", "health", "known", "results", "status", "transfer", "unread"],
    ["cli", "collection", "suggestions"],
    ["attributes", "graph"],
    ["mixin"],
    ["injection"],
    ["declaration", "following"],
    ["relations"],
    ["arguments"],
    ["web.hooks", "web.numbers", "web.security", "web.settings"],
    ["web.graph", "web.negotiation"],
    ["web.addresses"],
    ["web.people"],
    ["web.forms"],
    ["web.login", "web.templating"],
    ["web.actions", "web.lists", "web.openapi"],
    ["web.routes"],
    ["web.setup"],
    ["web"],
    ["extension"],
    ["__init__"],
]
# Imports under `if TYPE_CHECKING:` that point upwards all the same: (importer, imported).
UPWARD_FOR_TYPES: set[tuple[str, str]] = {("bulk", "relation"), ("web.graph", "extension")}

MODULE_LINES = 350
FUNCTION_LINES = 50

Function = ast.FunctionDef | ast.AsyncFunctionDef
Definition = Function | ast.ClassDef


def module_name(path: Path) -> str:
    """Return the name inside the package: `errors`, `web.routes`, `web`; `__init__` for itself."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    if len(parts) > 1 and parts[-1] == "__init__":
        parts = parts[:-1]
    return ".".join(parts)


SOURCES = {module_name(path): path.read_text() for path in sorted(ROOT.rglob("*.py"))}
TREES = {name: ast.parse(source) for name, source in SOURCES.items()}
PACKAGES = {module_name(path) for path in ROOT.rglob("__init__.py")}
LEVELS = {name: level for level, row in enumerate(LAYERS) for name in row}

each_module = pytest.mark.parametrize("name", SOURCES)


def imported_names(name: str, node: ast.AST) -> Iterator[str]:
    """Yield what an import statement in module `name` imports, as absolute dotted names."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        package = [PACKAGE, *name.split(".")] if name != "__init__" else [PACKAGE]
        if name not in PACKAGES:
            package.pop()
        base = package[: len(package) + 1 - node.level] if node.level else []
        module = ".".join([*base, *filter(None, [node.module])])
        yield from (f"{module}.{alias.name}" for alias in node.names)


def own_imports(name: str, tree: ast.AST) -> set[str]:
    """Return the package's modules that `tree` imports, wherever in it the statement stands."""
    found = set()
    for node in ast.walk(tree):
        for imported in imported_names(name, node):
            if imported.split(".")[0] == PACKAGE:
                inside = imported.removeprefix(PACKAGE).lstrip(".")
                candidates = [inside, inside.rpartition(".")[0], "__init__"]
                found.add(next(module for module in candidates if module in SOURCES))
    return found


def type_imports(name: str, tree: ast.AST) -> set[str]:
    """Return those that only type checkers see."""
    return {
        module
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for module in own_imports(name, node)
    }


def definitions(tree: ast.AST) -> Iterator[Definition]:
    """Yield every function and class, nested ones too."""
    return (node for node in ast.walk(tree) if isinstance(node, Definition))


def public_definitions(tree: ast.Module | ast.ClassDef) -> Iterator[Definition]:
    """Yield the public functions and classes (see `__all__`), and the public methods of these."""
    exported = None
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            exported = ast.literal_eval(node.value)
    for node in tree.body:
        if isinstance(node, Definition) and (
            not node.name.startswith("_") if exported is None else node.name in exported
        ):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from public_definitions(node)


def is_private(name: str) -> bool:
    """Tell whether a name is private by its underscore; `__dunder__` names are not."""
    return name.startswith("_") and not (name.startswith("__") and name.endswith("__"))


def defined_names(tree: ast.AST) -> Iterator[str]:
    """Yield the names that `tree` itself gives: by def, class, or assignment, to self too."""
    for node in ast.walk(tree):
        match node:
            case (
                ast.FunctionDef(name=name)
                | ast.AsyncFunctionDef(name=name)
                | ast.ClassDef(name=name)
            ):
                yield name
            case ast.Name(id=name, ctx=ast.Store()):
                yield name
            case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name, ctx=ast.Store()):
                yield name


def private_names(name: str, tree: ast.AST) -> Iterator[str]:
    """Yield each private name of others that is imported or looked up, with its line.

    `self._name` is our own when the package defines `_name`, `other._name` when the module does.
    """
    own = set(defined_names(tree))
    for node in ast.walk(tree):
        for imported in imported_names(name, node):
            parts = imported.split(".")
            if parts[0] != PACKAGE and any(is_private(part) for part in parts):
                yield f"{node.lineno}: {imported}"
        match node:
            case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=attribute):
                found = is_private(attribute) and attribute not in DEFINED
            case ast.Attribute(attr=attribute):
                found = is_private(attribute) and attribute not in own
            case ast.Call(
                func=ast.Name(id="getattr" | "setattr" | "hasattr"),
                args=[_, ast.Constant(value=str(attribute)), *_],
            ):
                found = is_private(attribute)
            case _:
                continue
        if found:
            yield f"{node.lineno}: {ast.unparse(node)}"


DEFINED = {name for tree in TREES.values() for name in defined_names(tree)}


def test_every_module_has_its_layer():
    """Every module stands in exactly one row of LAYERS, and every name there is a module."""
    assert sorted(name for row in LAYERS for name in row) == sorted(SOURCES)


@each_module
def test_imports_run_one_way(name):
    """A module imports only modules from the rows below its own."""
    imported = own_imports(name, TREES[name])
    upward = {other for other in imported if LEVELS.get(other, 0) >= LEVELS.get(name, 0)}
    for_types = {other for importer, other in UPWARD_FOR_TYPES if importer == name}
    assert upward - (for_types & type_imports(name, TREES[name])) == set()


@each_module
def test_modules_are_short(name):
    """A module stays below 350 lines."""
    assert len(SOURCES[name].splitlines()) < MODULE_LINES


@each_module
def test_functions_are_short(name):
    """A function stays below 50 lines, its docstring not counted."""
    too_long = {}
    for node in definitions(TREES[name]):
        if isinstance(node, Function):
            start = node.body[0].end_lineno if ast.get_docstring(node) else node.lineno - 1
            too_long[node.name] = node.end_lineno - start
    assert {key: lines for key, lines in too_long.items() if lines >= FUNCTION_LINES} == {}


@each_module
def test_no_private_names_of_others(name):
    """No private name of SQLAlchemy, Flask-SQLAlchemy or any other module is used."""
    assert list(private_names(name, TREES[name])) == []


@each_module
def test_public_names_have_docstrings(name):
    """A module and every public class, function and method in it have a docstring."""
    undocumented = [
        f"{node.lineno}: {node.name}"
        for node in public_definitions(TREES[name])
        if ast.get_docstring(node) is None
        and not any("overload" in ast.unparse(item) for item in node.decorator_list)
        and not any(ast.unparse(item).endswith(".setter") for item in node.decorator_list)
    ]
    assert undocumented == []
    assert ast.get_docstring(TREES[name])


@each_module
def test_nothing_is_left_out_of_coverage(name):
    """No comment asks for code to be left out of the coverage measured."""
    assert "pragma:" not in SOURCES[name]
