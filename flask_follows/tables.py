"""The edge tables that we make: columns, keys, indexes, constraints, all of them named."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.sql.naming import conv

from .errors import ConfigurationError
from .keys import Endpoint
from .types import utc_datetime, utcnow

__all__ = ["Check", "ForeignKeys", "KeyColumn", "build_edge_table"]

ForeignKeys = Literal["both", "none"]
# What a table may be told to keep out: edges from an object to itself, or (of two objects of one
# class) the edge that begins at the greater key.
Check = Literal["not_self", "ordered"]

TIME = "created_at"


@dataclass(frozen=True)
class KeyColumn:
    """A column of an edge table that refers to the objects at one end."""

    name: str
    endpoint: Endpoint

    @property
    def end(self) -> str:
        """Name of the end: that of the column without `_id`."""
        return self.name.removesuffix("_id")


def build_edge_table(
    name: str,
    source: KeyColumn,
    target: KeyColumn,
    *,
    check: Check | None,
    foreign_keys: ForeignKeys,
    forward_index: bool,
) -> sa.Table:
    """Add an edge table to the metadata of the source's own table.

    The primary key (source, target) answers "whom does X follow" and "does X follow Y"; the index
    (target, time, source) answers "who follows X, newest first" without a sort and serves the
    foreign key as well. The forward twin is worth its space only where objects have thousands of
    edges.

    :raises ConfigurationError: a table of this name exists already.
    """
    owner = source.endpoint.table
    metadata, schema = owner.metadata, owner.schema
    if (f"{schema}.{name}" if schema else name) in metadata.tables:
        raise ConfigurationError(
            f"the metadata of {source.endpoint.model.__name__} has a table {name!r} already; "
            "give ours another name with table_name=..., or adopt the one that is there: "
            "Follows(follow_model=...), follows.relation(through=...)"
        )
    arguments: list[sa.schema.SchemaItem] = [
        _key_column(source, foreign_keys, name),
        _key_column(target, foreign_keys, name),
        sa.Column(TIME, utc_datetime(), default=utcnow, nullable=False),
        sa.PrimaryKeyConstraint(source.name, target.name, name=conv(f"pk_{name}")),
        sa.Index(conv(f"ix_{name}_{target.end}"), target.name, TIME, source.name),
    ]
    if forward_index:
        arguments.append(sa.Index(conv(f"ix_{name}_{source.end}"), source.name, TIME, target.name))
    if check is not None:
        keys: Any = sa.column(source.name), sa.column(target.name)
        kept_in = keys[0] < keys[1] if check == "ordered" else keys[0] != keys[1]
        arguments.append(sa.CheckConstraint(kept_in, name=conv(f"ck_{name}_{check}")))
    # None would mean the metadata's own schema, which the source's table may have left.
    return sa.Table(
        name, metadata, *arguments, schema=schema or sa.BLANK_SCHEMA, sqlite_with_rowid=False
    )


def _key_column(key: KeyColumn, foreign_keys: ForeignKeys, table_name: str) -> sa.Column[Any]:
    column = key.endpoint.column
    if foreign_keys == "none":
        return sa.Column(key.name, column.type, autoincrement=False, nullable=False)
    name = conv(f"fk_{table_name}_{key.name}")
    reference = sa.ForeignKey(column, ondelete="CASCADE", name=name)
    return sa.Column(key.name, reference, autoincrement=False, nullable=False)
