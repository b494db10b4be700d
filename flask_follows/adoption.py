"""Edge tables of the host's: which of their columns are the two keys and the time.

Nothing is guessed where there is a choice: what is ambiguous is refused when the relation is
declared, with the candidates, and `through_fields` decides.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, NoReferencedColumnError, NoReferencedTableError
from sqlalchemy.orm import Mapper, Relationship, class_mapper
from sqlalchemy.orm.exc import UnmappedClassError

from .edge_models import Edge, map_edges
from .edges import EdgeTable
from .errors import ConfigurationError
from .keys import Endpoint
from .types import has_zone, plain_type, utcnow

__all__ = ["adopt"]

# Names that a time of the edge has, the surest first. What else a table calls by a time of its own
# ("muted_until") may be something that no follow should write to.
_TIME_NAMES = (
    *("created_at", "timestamp", "created", "created_on", "date_created", "creation_date"),
    *("followed_at", "followed_on", "date_followed", "since", "joined_at", "date_joined"),
    *("added_at", "date_added", "time", "date"),
)


def adopt(
    through: type[Any] | sa.Table,
    source: Endpoint,
    target: Endpoint,
    *,
    fields: Sequence[str] | None,
    allow_self: bool,
    option: str,
) -> EdgeTable:
    """Read a host's association model, or secondary table, as an edge table.

    :param fields: names of the two keys, source first, by column, attribute or relationship.
    :param option: how the host gave us the model, for messages.
    :raises ConfigurationError: not a mapped class or a table, another database, or no one choice
        of columns.
    """
    table = _table_of(through, option)
    if table.metadata is not source.table.metadata:
        raise ConfigurationError(
            f"{option}={table.name!r} is not in the same metadata (database) as "
            f"{source.model.__name__}, and no database can join the two"
        )
    mapper = None if isinstance(through, sa.Table) else class_mapper(through, configure=False)
    columns = (
        _found_columns(table, source, target, option)
        if fields is None
        else _given_columns(table, mapper, (source, target), fields, option)
    )
    if mapper is None:
        mapper = _mapped(table, (source, target), columns)
    time = _time_of(table)
    return EdgeTable(
        model=mapper.class_,
        mapper=mapper,
        table=table,
        source=columns[0],
        target=columns[1],
        time=time,
        clock=None if time is None else _clock_for(time),
        unique=_is_unique(table, set(columns)),
        allow_self=allow_self,
    )


def _table_of(through: Any, option: str) -> sa.Table:
    if isinstance(through, sa.Table):
        return through
    try:
        table = class_mapper(through, configure=False).local_table
    except (UnmappedClassError, ArgumentError) as error:
        raise ConfigurationError(
            f"{option}={through!r} is neither a mapped class nor a Table"
        ) from error
    if not isinstance(table, sa.Table):
        raise ConfigurationError(f"{option}={through.__name__} is not mapped to a table")
    if class_mapper(through, configure=False).inherits is not None:
        raise ConfigurationError(
            f"{option}={through.__name__} is a subclass of another model, and its table has that "
            "one's rows, or only a part of its own; give a model that has all of its edges"
        )
    return table


def _found_columns(
    table: sa.Table, source: Endpoint, target: Endpoint, option: str
) -> tuple[sa.Column[Any], sa.Column[Any]]:
    """Find the two keys by the foreign keys, where these leave no choice."""
    to_source = [column for column in table.c if _refers(column, source)]
    to_target = [column for column in table.c if _refers(column, target)]
    if source.mapper is target.mapper:
        if len(to_source) == 2:
            _refuse_turned(table, to_source, option)
            return to_source[0], to_source[1]  # as Django: the first is the source
    elif len(to_source) == len(to_target) == 1 and to_source != to_target:
        return to_source[0], to_target[0]
    found = "; ".join(
        f"to {end.model.__name__}: {', '.join(c.name for c in columns) or 'none'}"
        for end, columns in {source: to_source, target: to_target}.items()
    )
    raise ConfigurationError(
        f"{option}={table.name!r} does not tell which two foreign keys make an edge ({found}); "
        'say so with through_fields=("...", "..."), source first'
    )


def _refuse_turned(table: sa.Table, keys: list[sa.Column[Any]], option: str) -> None:
    """Refuse to take the first key for the follower's where the second one has that name."""
    first, second = (column.name.lower() for column in keys)
    if second.startswith("follower") and not first.startswith("follower"):
        raise ConfigurationError(
            f"{option}={table.name!r} has {keys[0].name!r} before {keys[1].name!r}, so it does not "
            f"tell which one follows; say so with through_fields=({keys[1].name!r}, "
            f"{keys[0].name!r}), follower first"
        )


def _given_columns(
    table: sa.Table,
    mapper: Mapper[Any] | None,
    ends: tuple[Endpoint, Endpoint],
    fields: Sequence[str],
    option: str,
) -> tuple[sa.Column[Any], sa.Column[Any]]:
    if isinstance(fields, str) or len(fields) != 2 or fields[0] == fields[1]:
        raise ConfigurationError(f"through_fields takes two names, source first, not {fields!r}")
    found = []
    for field, end in zip(fields, ends, strict=True):
        column = _column_named(table, mapper, field, end)
        if column is None:
            raise ConfigurationError(
                f"through_fields names {field!r}, which is no one column of {option}="
                f"{table.name!r}; there are: {', '.join(c.name for c in table.c)}"
            )
        if column.foreign_keys and not _refers(column, end):
            raise ConfigurationError(
                f"through_fields names {field!r}, but {table.name}.{column.name} does not refer "
                f"to the primary key of {end.model.__name__}; source comes first"
            )
        found.append(column)
    return found[0], found[1]


def _column_named(
    table: sa.Table, mapper: Mapper[Any] | None, field: str, end: Endpoint
) -> sa.Column[Any] | None:
    """Return the column of a name, or the one behind an attribute or a relationship of the name."""
    if field in table.c:
        return table.c[field]
    if mapper is None or not mapper.has_property(field):
        return None
    if field in mapper.columns:
        return next((c for c in table.c if c is mapper.columns[field]), None)
    return _column_of_relationship(table, mapper, field, end)


def _column_of_relationship(
    table: sa.Table, mapper: Mapper[Any], field: str, end: Endpoint
) -> sa.Column[Any] | None:
    """Return the foreign key of a relationship, which need not be configured yet."""
    if mapper.configured:
        prop = mapper.attrs[field]
        local = prop.local_columns if isinstance(prop, Relationship) else ()
        columns = [column for column in table.c if column in local]
        return columns[0] if len(columns) == 1 else None
    named = [c for c in table.c if c.foreign_keys and c.name.startswith(f"{field}_")]
    candidates = [column for column in table.c if _refers(column, end)]
    for columns in ([c for c in named if c in set(candidates)], named, candidates):
        if len(columns) == 1:
            return columns[0]
    return None


def _refers(column: sa.Column[Any], end: Endpoint) -> bool:
    """Tell whether a foreign key leads to the objects at an end, or a base class of theirs."""
    for key in column.foreign_keys:
        try:
            referred = key.column
        except (NoReferencedTableError, NoReferencedColumnError):
            continue  # a table that is not there yet is none of ours
        if any(referred in set(table.primary_key) for table in end.mapper.tables):
            return True
    return False


def _mapped(
    table: sa.Table,
    ends: tuple[Endpoint, Endpoint],
    columns: tuple[sa.Column[Any], sa.Column[Any]],
) -> Mapper[Any]:
    """Map a class of ours to a table that has none."""
    names = [column.key.removesuffix("_id") for column in columns]
    # A relationship may not take the name of a column.
    taken = {column.key for column in table.c}
    is_free = len(set(names)) == 2 and not taken & set(names)
    if not is_free:
        names = [column.key for column in columns]
    named = dict(zip(names, zip(ends, columns, strict=True), strict=True))
    back_populates = dict.fromkeys(names if is_free else ())
    # The host's own relationships may write to the same columns, as those do with secondary=.
    return map_edges(Edge, "Edge", table, named, back_populates, viewonly=True)


def _time_of(table: sa.Table) -> sa.Column[Any] | None:
    """Return the column with the time of an edge; None where there is none, or no telling."""
    times = [column for column in table.c if isinstance(plain_type(column.type), sa.DateTime)]
    named = [column for name in _TIME_NAMES for column in times if column.name.lower() == name]
    if named:
        return named[0]
    return times[0] if len(times) == 1 and _is_always_set(times[0]) else None


def _is_always_set(column: sa.Column[Any]) -> bool:
    has_default = column.default is not None or column.server_default is not None
    return has_default or not column.nullable


def _clock_for(time: sa.Column[Any]) -> Callable[[], datetime] | None:
    """Return what gives the time of a new edge, None where the host's own default does.

    A function of the host's is called by us: once for many edges, and before the statement, which
    can then be the fast one.
    """
    if time.default is not None:
        return _called(time.default)
    if time.server_default is not None:
        return None
    return utcnow if has_zone(time.type) else _naive_utcnow


def _called(default: Any) -> Callable[[], datetime] | None:
    """Return the function of a column's default, if it is one that needs no statement to look at.

    SQLAlchemy has wrapped it in a function of one argument.
    """
    if not default.is_callable:
        return None
    try:
        given = inspect.signature(default.arg).parameters.values()
    except ValueError:  # built in, as `datetime.utcnow` is
        given = {}.values()
    if any(parameter.default is parameter.empty for parameter in given):
        return None
    return lambda: default.arg(None)


def _naive_utcnow() -> datetime:
    return datetime.now(timezone.utc).replace(tzinfo=None)


def _is_unique(table: sa.Table, pair: set[sa.Column[Any]]) -> bool:
    """Tell whether the database keeps a pair from being there twice, at once and for all rows."""
    keys: list[set[Any]] = [
        set(constraint.columns)
        for constraint in table.constraints
        if isinstance(constraint, (sa.PrimaryKeyConstraint, sa.UniqueConstraint))
        # PostgreSQL cannot ignore a duplicate that it will not look for before the commit.
        and not constraint.deferrable
    ]
    # By expressions: an index on lower(name) has that column too.
    keys += [
        set(index.expressions) for index in table.indexes if index.unique and not _is_partial(index)
    ]
    return pair in keys


def _is_partial(index: sa.Index) -> bool:
    options = (index.dialect_options[name].get("where") for name in ("postgresql", "sqlite"))
    return any(where is not None for where in options)
