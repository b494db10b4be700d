"""`flask follows import | export | stats | check`: the command line, a thin shell over the rest."""

from __future__ import annotations

import csv
import gzip
import io
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from difflib import get_close_matches
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO, cast

import click
import sqlalchemy as sa
from flask import current_app
from flask.cli import with_appcontext
from sqlalchemy.exc import DBAPIError

from .errors import ConfigurationError, FollowsError
from .health import problems, statistics
from .names import UserNames
from .transfer import Imported, Rejected, export, import_

if TYPE_CHECKING:
    from .keys import Endpoint
    from .relation import Relation

__all__ = ["follows_group"]

_GZIP = b"\x1f\x8b"
_STANDARD = "-"
_UNIQUE = (sa.PrimaryKeyConstraint, sa.UniqueConstraint)


class _Group(click.Group):
    """Turns errors that people can do something about into messages."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except FollowsError as error:
            raise click.ClickException(str(error)) from error
        except DBAPIError as error:
            raise click.ClickException(
                f"the database says: {str(error.orig).splitlines()[0]}\n"
                "If the tables are missing, run your migrations or db.create_all() first."
            ) from error


@click.group("follows", cls=_Group)
def follows_group() -> None:
    """Import, export and examine the social graph."""


_by = click.option("--by", metavar="COLUMN", help="Column that names users. Default: their key.")


@follows_group.command("import")
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True))
@_by
@click.option("--create-missing", is_flag=True, help="Create users that do not exist.")
@click.option(
    "--rejects",
    type=click.Path(dir_okay=False),
    help="Where to put lines that are not imported. Default: FILE.rejects.csv.",
)
@with_appcontext
def import_command(file: str, by: str | None, create_missing: bool, rejects: str | None) -> None:
    """Import edges from FILE: CSV, also gzipped; - for standard input.

    Each line is follower,followed[,created_at]. What is there already is skipped, so an import
    that was interrupted can be run again. Lines that cannot be imported are reported, put aside,
    and do not hold up the others; the exit code is then 1.
    """
    relation = _relation()
    names = _names_in_file(relation.source, by)
    aside = _Rejects(Path(rejects or f"{'stdin' if file == _STANDARD else file}.rejects.csv"))
    if file != _STANDARD and aside.path.resolve() == Path(file).resolve():
        raise click.BadParameter("it would overwrite the file to import", param_hint="--rejects")
    began = time.monotonic()
    with _reading(file) as (stream, advance), aside:
        try:
            done = import_(
                relation,
                stream,
                names,
                create_missing=create_missing,
                reject=aside.add,
                progress=lambda _done: advance(),
            )
        except KeyboardInterrupt:
            raise click.ClickException(
                "interrupted; what was imported stays. Run the same command again to go on"
            ) from None
    _report(done, time.monotonic() - began)
    if done.rejected:
        raise click.ClickException(
            f"{_number(done.rejected, 'line')} not imported: see {aside.path}"
        )


@follows_group.command("export")
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True, writable=True))
@_by
@with_appcontext
def export_command(file: str, by: str | None) -> None:
    """Export all edges to FILE as CSV, gzipped when it ends in .gz; - for standard output."""
    relation = _relation()
    lines = export(relation, _names_in_file(relation.source, by))
    if file == _STANDARD:
        _write(sys.stdout.buffer, lines)
        return
    with _writing(Path(file)) as stream:
        number = _write(stream, lines)
    click.echo(f"{_number(number, 'edge')} exported to {file}")


@follows_group.command("stats")
@_by
@with_appcontext
def stats_command(by: str | None) -> None:
    """Show how many users and edges there are, and who is followed most."""
    relation = _relation()
    names = _names(relation.source, by) if by else None
    found = statistics(relation)
    called = _called(relation, names, [key for key, _number in found.most_followed])
    numbers = {
        "users": found.users,
        "edges": found.edges,
        "users who follow anybody": found.following,
        "users whom anybody follows": found.followed,
        "pairs who follow each other": found.mutual_pairs,
    }
    most = [(f"followers of {called[key]}", number) for key, number in found.most_followed]
    for label, number in [*numbers.items(), *most]:
        click.echo(f"{label:<28}{number:>12,}")


@follows_group.command("check")
@with_appcontext
def check_command() -> None:
    """Look for edges and tables that are not as they should be; exit with 1 if there are any.

    Those of all relations, not of following alone.
    """
    relations: list[Relation] = current_app.extensions["follows"].relations
    found = [problem for relation in relations for problem in problems(relation)]
    for problem in found:
        click.echo(problem)
    if found:
        raise click.ClickException(f"{_number(len(found), 'problem')} found")
    click.echo("all is well")


def _relation() -> Relation:
    relation: Relation = current_app.extensions["follows"].follow_relation
    return relation


def _names(user: Endpoint, by: str | None) -> UserNames:
    """Return how users are named, and where that cannot be, which column may have been meant."""
    try:
        return UserNames(user, by)
    except ConfigurationError as error:
        raise ConfigurationError(f"{error}{_meant(user, by)}") from error


def _names_in_file(user: Endpoint, by: str | None) -> UserNames:
    """Return how users are named in a file; say so where a name may be that of several.

    That is not refused: the values may be unique though the model does not say so.
    """
    names = _names(user, by)
    if names.by not in _unique(user):
        click.echo(
            f"{user.model.__name__}.{names.by} is not unique; lines with a name that several users "
            f"have will be rejected{_meant(user, by)}",
            err=True,
        )
    return names


def _meant(user: Endpoint, by: str | None) -> str:
    """Suggest the columns whose names come near, among those that name one user each."""
    unique = _unique(user)
    near = get_close_matches((by or "").casefold(), unique)
    if near:
        return f"; did you mean {' or '.join(f'--by {name}' for name in near)}?"
    return f"; unique are: {', '.join(unique)}" if unique else ""


def _unique(user: Endpoint) -> list[str]:
    """Return the names of attributes of which the model says that each value is of one user."""
    unique = []
    for prop in user.mapper.column_attrs:
        column = prop.columns[0]
        if isinstance(column, sa.Column) and (_is_unique(column) or column is user.column):
            with suppress(ConfigurationError):  # of a type that cannot be read from CSV
                unique.append(UserNames(user, prop.key).by)
    return sorted(unique)


def _is_unique(column: sa.Column[Any]) -> bool:
    table = column.table
    parts: list[Any] = [part for part in table.constraints if isinstance(part, _UNIQUE)]
    parts += [index for index in table.indexes if index.unique]
    return any(list(part.columns.values()) == [column] for part in parts)


def _called(relation: Relation, names: UserNames | None, keys: list[Any]) -> dict[Any, Any]:
    """Return what users are called on the screen, by key: their key where they have no name."""
    called = {key: key for key in keys}
    if names is not None:
        user = names.user
        query = sa.select(user.attribute(), names.attribute()).where(user.attribute().in_(keys))
        for key, name in relation.session_for().execute(query):
            if name is not None:
                called[key] = name if str(name).isprintable() else repr(name)
    return called


def _number(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _report(done: Imported, seconds: float) -> None:
    click.echo(
        f"{_number(done.lines, 'line')} in {seconds:.1f} s: {_number(done.made, 'new edge')}, "
        f"{done.present:,} there already, {done.rejected:,} rejected, "
        f"{_number(done.users_created, 'user')} created"
    )


class _Rejects:
    """The file of rejected lines, made when there is a first one; some are shown as well."""

    SHOWN = 10

    def __init__(self, path: Path) -> None:
        self.path = path
        self._number = 0
        self._stream: IO[str] | None = None

    def add(self, rejected: Rejected) -> None:
        if self._stream is None:
            with _file_errors(self.path):
                self._stream = self.path.open("w", newline="", encoding="utf-8")
            csv.writer(self._stream).writerow(("number", "reason", "text"))
        csv.writer(self._stream).writerow(rejected)
        self._number += 1
        if self._number <= self.SHOWN:
            click.echo(f"line {rejected.number}: {rejected.reason}", err=True)
        if self._number == self.SHOWN + 1:
            click.echo("more in the file of rejected lines", err=True)

    def __enter__(self) -> None:
        # Of an earlier run: its lines may be good by now.
        with _file_errors(self.path):
            self.path.unlink(missing_ok=True)

    def __exit__(self, *_: object) -> None:
        if self._stream is not None:
            self._stream.close()


@contextmanager
def _file_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise click.FileError(str(path), error.strerror or str(error)) from error


@contextmanager
def _reading(file: str) -> Iterator[tuple[BinaryIO, Callable[[], object]]]:
    """Open a file, or standard input, packed or not; also give what moves its progress bar."""
    if file == _STANDARD:
        standard = io.BufferedReader(cast("Any", sys.stdin.buffer))
        try:
            yield _unpacked(standard), _nothing
        finally:
            standard.detach()  # else it would close standard input with itself
        return
    with _file_errors(Path(file)):
        stream = open(file, "rb")  # noqa: SIM115  # closed below
    with stream, _bar(os.path.getsize(file), file) as move_to:
        # By bytes read of the file, whatever they unpack to.
        yield _unpacked(stream), lambda: move_to(stream.tell())


def _unpacked(stream: Any) -> BinaryIO:
    """Return the stream, or what is in it when it is gzipped, whatever its name."""
    if not stream.peek(len(_GZIP)).startswith(_GZIP):
        return cast("BinaryIO", stream)
    return cast("BinaryIO", io.BufferedReader(cast("Any", gzip.GzipFile(fileobj=stream))))


@contextmanager
def _bar(length: int, label: str) -> Iterator[Callable[[int], object]]:
    """Show a progress bar on a terminal, and nothing in a log; give what moves it to a place."""
    if not sys.stderr.isatty():
        yield _nothing
        return
    with click.progressbar(length=length, label=label, file=sys.stderr) as bar:
        yield lambda place: bar.update(place - bar.pos)


def _nothing(*_: object) -> None:
    pass


@contextmanager
def _writing(path: Path) -> Iterator[BinaryIO]:
    """Open a file, gzipped by its name, that takes its place when it is whole, else goes away."""
    part = path.with_name(f"{path.name}.part")
    opened: Any = gzip.open if path.suffix == ".gz" else open
    try:
        with _file_errors(path):
            with opened(part, "wb") as stream:
                yield stream
            part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _write(stream: BinaryIO, lines: Iterable[str]) -> int:
    """Write lines; return how many, without the header."""
    number = -1
    for number, line in enumerate(lines):  # noqa: B007
        stream.write(line.encode())
    return number
