"""`follows.relation(...)`: what a host declares, and how it becomes a relation.

The classes may be given by name, and be mapped later: then the relation waits for them. Nothing is
configured, created or queried.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import sqlalchemy as sa
from sqlalchemy.orm import Mapper, class_mapper
from sqlalchemy.orm.exc import UnmappedClassError

from .adoption import adopt
from .edge_models import Edge, map_edges
from .edges import EdgeTable
from .errors import ConfigurationError
from .injection import add_collection, add_edge_set
from .keys import Endpoint
from .reads import OrderBy
from .relation import Relation
from .symmetrical import STORAGES
from .tables import Check, ForeignKeys, KeyColumn, build_edge_table
from .types import utcnow

__all__ = ["Declaration", "Layout", "Model"]

Model: TypeAlias = "type[Any] | str"
Layout: TypeAlias = Literal["directed", "mirrored", "canonical"]
_NOTHING = object()


@dataclass(frozen=True)
class Declaration:
    """What a host says of a relation; see :meth:`~flask_follows.Follows.relation`."""

    source: Model
    name: str
    target: Model
    reverse: str | None = None
    through: type[Any] | sa.Table | str | None = None
    through_fields: Sequence[str] | None = None
    symmetrical: bool = False
    storage: Layout | None = None
    order_by: OrderBy | None = None
    source_edges: str | None = None
    target_edges: str | None = None
    table_name: str | None = None
    allow_self: bool | None = None
    foreign_keys: ForeignKeys = "both"
    forward_index: bool = False

    def __post_init__(self) -> None:
        for option, name in self.names.items():
            if not str(name).isidentifier() or name is None:
                raise ConfigurationError(f"{option} must be the name of an attribute, not {name!r}")
        for option in ("source", "target"):
            _check_model(option, getattr(self, option))
        self._check_storage()
        self._check_through()

    def __str__(self) -> str:
        source, target = (_name(model) for model in (self.source, self.target))
        return f"relation({source}, {self.name!r}, {target})"

    @property
    def names(self) -> dict[str, str]:
        """The attributes that the classes are to gain, by option."""
        options = ("name", "reverse", "source_edges", "target_edges")
        return {
            option: getattr(self, option)
            for option in options
            if option == "name" or getattr(self, option) is not None
        }

    @property
    def key(self) -> tuple[Any, ...]:
        """What makes two declarations the same."""
        models = (_name(self.source), _name(self.target), self.through)
        return (*models, self.layout, self.table_name, *self.names.items())

    def is_same_as(self, other: Declaration) -> bool:
        """Tell whether a declaration of the same names has the same options."""
        options = ("through_fields", "symmetrical", "allow_self", "foreign_keys", "forward_index")
        return all(getattr(self, option) == getattr(other, option) for option in options)

    @property
    def wanted(self) -> list[str]:
        """Names of the models that are given by name."""
        return [m for m in (self.source, self.target, self.through) if isinstance(m, str)]

    @property
    def layout(self) -> str:
        """How the edges are laid down, a key of :data:`~.symmetrical.STORAGES`."""
        return self.storage or ("mirrored" if self.symmetrical else "directed")

    def _check_storage(self) -> None:
        if self.layout not in STORAGES:
            choices = ", ".join(map(repr, STORAGES))
            raise ConfigurationError(f"storage must be one of {choices}, not {self.storage!r}")
        if self.symmetrical != (self.layout != "directed"):
            raise ConfigurationError(
                f"{self} has symmetrical={self.symmetrical} and storage={self.layout!r}; "
                "mirrored and canonical are the two storages of a symmetrical relation"
            )
        if not self.symmetrical:
            return
        if _name(self.source) != _name(self.target):
            raise ConfigurationError(f"{self} is symmetrical, so both its classes must be one")
        for option in ("reverse", "target_edges"):
            if getattr(self, option) is not None:
                raise ConfigurationError(
                    f"{self} is symmetrical: it looks the same from both ends, and has no {option}"
                )
        if self.allow_self:
            raise ConfigurationError(
                f"{self} is symmetrical, where an edge to oneself has no meaning; "
                "leave allow_self out"
            )

    def _check_through(self) -> None:
        if self.through is None and self.through_fields is not None:
            raise ConfigurationError(f"{self} has through_fields, but no through model")
        if self.foreign_keys not in ("both", "none"):
            raise ConfigurationError(
                f'foreign_keys must be "both" or "none", not {self.foreign_keys!r}'
            )
        made = {"table_name": None, "foreign_keys": "both", "forward_index": False}
        for option, default in made.items():
            if self.through is not None and getattr(self, option) != default:
                raise ConfigurationError(f"{self} has a through model, which has its own {option}")

    def complete(self, find: Callable[[str], type[Any] | None]) -> Declared | None:
        """Return the declaration with classes for names, None while one is not mapped.

        :param find: returns the model of a name.
        """
        found = {name: find(name) for name in self.wanted}
        if None in found.values():
            return None
        given = (self.source, self.target, self.through)
        source, target, through = (found[m] if isinstance(m, str) else m for m in given)
        near = Endpoint.of(_mapper(source))
        far = near if target is source else Endpoint.of(_mapper(target))
        return Declared(self, near, far, through)


@dataclass(frozen=True)
class Declared:
    """A declaration all of whose classes are mapped."""

    given: Declaration
    source: Endpoint
    target: Endpoint
    through: type[Any] | sa.Table | None

    def build(self, relation: Relation) -> None:
        """Make the edge table, or adopt the host's, and give both classes what they gain.

        :raises ConfigurationError: a clash of names or tables, classes in two databases, a choice
            among foreign keys that only the host can make. Nothing was changed then.
        """
        given = self.given
        if self.source.table.metadata is not self.target.table.metadata:
            raise ConfigurationError(
                f"{given} connects two databases (bind keys), which no database can join"
            )
        taken: list[tuple[Mapper[Any], str]] = []
        for option, name in given.names.items():
            mapper = (self.source if option in ("name", "source_edges") else self.target).mapper
            _refuse_clash(mapper, name, given)
            if any(name == other and _are_kin(mapper, its) for its, other in taken):
                raise ConfigurationError(f"{given} gives one name to two things: {name!r}")
            taken.append((mapper, name))
        for mapper in {self.source.mapper, self.target.mapper}:
            if mapper.configured:
                mapper.registry.configure(cascade=True)  # an error in it comes before all else
        edges = self._adopted() if self.through is not None else self._made()
        relation.resolve(STORAGES[given.layout](edges, self.source, self.target, given.order_by))
        self._inject(relation)

    def _adopted(self) -> EdgeTable:
        assert self.through is not None
        return adopt(
            self.through,
            self.source,
            self.target,
            fields=self.given.through_fields,
            allow_self=self._allows_self,
            option="through",
        )

    @property
    def _allows_self(self) -> bool:
        return not self.given.symmetrical and self.given.allow_self is not False

    @property
    def _check(self) -> Check | None:
        if self.given.layout == "canonical":
            return "ordered" if self._has_ordered_keys() else "not_self"
        return None if self._allows_self or self.source is not self.target else "not_self"

    def _has_ordered_keys(self) -> bool:
        """Tell whether Python and every database put two keys into the same order.

        :raises ConfigurationError: not even whether two keys are the same is sure.
        """
        kind = self.source.python_type
        if kind is int:
            return True
        if getattr(kind, "__name__", "") == "UUID":
            return False  # MariaDB orders them in its own way
        raise ConfigurationError(
            f"{self.given} has keys of text, which databases order and compare each in its own "
            'way; take storage="mirrored"'
        )

    def _made(self) -> EdgeTable:
        given, (source, target) = self.given, self._key_columns()
        table = build_edge_table(
            given.table_name or f"{self.source.table.name}_{given.name}",
            source,
            target,
            check=self._check,
            foreign_keys=given.foreign_keys,
            forward_index=given.forward_index or given.layout == "canonical",
        )
        columns = table.c[source.name], table.c[target.name]
        ends = {
            source.end: (self.source, columns[0]),
            target.end: (self.target, columns[1]),
        }
        mapper = map_edges(Edge, "Edge", table, ends, self._back_populates(source.end, target.end))
        return EdgeTable(
            model=mapper.class_,
            mapper=mapper,
            table=table,
            source=columns[0],
            target=columns[1],
            time=table.c.created_at,
            clock=utcnow,
            allow_self=self._allows_self or self.source is not self.target,
        )

    def _key_columns(self) -> tuple[KeyColumn, KeyColumn]:
        names = [_snake(end.model.__name__) for end in (self.source, self.target)]
        if names[0] == names[1]:
            names = ["source", "target"]
        return KeyColumn(f"{names[0]}_id", self.source), KeyColumn(f"{names[1]}_id", self.target)

    def _back_populates(self, source: str, target: str) -> dict[str, str | None]:
        """Return the edge sets by the end they belong to, as :func:`map_edges` takes them."""
        if self.given.symmetrical:
            return {source: None, target: None}
        sets = {source: self.given.source_edges, target: self.given.target_edges}
        configured = {source: self.source.mapper.configured, target: self.target.mapper.configured}
        # On a class that is configured, the edge set brings its opposite itself.
        return {end: name for end, name in sets.items() if name is None or not configured[end]}

    def _inject(self, relation: Relation) -> None:
        given = self.given
        source, target = (key.end for key in self._key_columns())
        is_written = self.through is None and not given.symmetrical
        sets = ((False, given.source_edges, source), (True, given.target_edges, target))
        for reverse, name, back in sets:
            if name is not None:
                add_edge_set(relation, relation.end(reverse), name, back if is_written else None)
        for reverse, name in ((False, given.name), (True, given.reverse)):
            if name is not None:
                add_collection(relation, relation.end(reverse), name)


def _refuse_clash(mapper: Mapper[Any], name: str, given: Declaration) -> None:
    for mapped in mapper.self_and_descendants:
        # Statically: `Model.query` asks for an application.
        found = inspect.getattr_static(mapped.class_, name, _NOTHING)
        if mapped.has_property(name) or found is not _NOTHING:
            raise ConfigurationError(
                f"{mapped.class_.__name__}.{name} exists already, and {given} would put its own "
                "there; give one of them another name"
            )


def _are_kin(first: Mapper[Any], second: Mapper[Any]) -> bool:
    """Tell whether an attribute of one class would be seen on the other."""
    return first.isa(second) or second.isa(first)


def _check_model(option: str, model: object) -> None:
    if isinstance(model, str) and model:
        return
    if not isinstance(model, type):
        raise ConfigurationError(f"{option} must be a mapped class or its name, not {model!r}")
    _mapper(model)


def _mapper(model: Any) -> Mapper[Any]:
    try:
        return class_mapper(model, configure=False)
    except UnmappedClassError as error:
        raise ConfigurationError(f"{_name(model)} is not mapped to a table") from error


def _name(model: Any) -> str:
    return model if isinstance(model, str) else model.__name__


def _snake(name: str) -> str:
    """Return `blog_post` for `BlogPost`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
