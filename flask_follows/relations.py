"""The relations that a host has declared on one `Follows`, some of which wait for their classes."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from functools import partial
from typing import Any, cast

from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import event
from sqlalchemy.orm import Mapper, class_mapper, registry

from .declaration import Declaration
from .deletion import delete_edges_with_objects
from .edge_models import Edge
from .errors import ConfigurationError
from .following import REGISTRATION
from .relation import Relation
from .streams import watch

__all__ = ["Relations", "find_model", "registry_of"]


class Relations:
    """Declared relations, resolved as soon as all their classes are mapped."""

    def __init__(self) -> None:
        self._db: SQLAlchemy | None = None
        self._waiting: dict[Relation, Declaration] = {}
        self._resolved: list[Relation] = []
        self._listens = False

    def __bool__(self) -> bool:
        return bool(self._waiting or self._resolved)

    @property
    def resolved(self) -> list[Relation]:
        """Those whose classes are mapped."""
        return list(self._resolved)

    def declare(self, given: Declaration) -> Relation:
        """Return the relation of a declaration: the one that there is, when it comes again.

        :raises ConfigurationError: it comes again with other options.
        """
        with REGISTRATION:
            for relation, other in self._waiting.items():
                if other.key == given.key:
                    return relation
            relation = self._known(given) or Relation(given.name, None)
            if relation.declared_as is not None:
                return self._take(relation, given)
            self._waiting[relation] = given
            relation.waits_for = given.wanted
            try:
                self._resolve_what_can_be()
            except Exception:
                self._waiting.pop(relation, None)
                raise
            if relation in self._waiting:
                self._listen()
            return relation

    def know(self, db: SQLAlchemy) -> None:
        """Learn of the database: where to look names up, and whose session to listen to."""
        if self._db is not None:
            return
        with REGISTRATION:
            self._db = db
            for relation in self._resolved:
                self._attend(relation)
            self._resolve_what_can_be()
            if self._waiting:
                self._listen()

    def _known(self, given: Declaration) -> Relation | None:
        """Return the relation that this or another `Follows` has made of the same declaration."""
        source = given.source
        if isinstance(source, str):
            models = self._registry_for(given)
            source = (models and find_model(models, source)) or object
        known: dict[Any, Relation] = vars(source).get("__follows_relations__", {})
        return known.get(given.key)

    def _take(self, relation: Relation, given: Declaration) -> Relation:
        """Return a relation that there is already, for this `Follows` as well."""
        if not given.is_same_as(relation.declared_as):
            raise ConfigurationError(f"{given} is there already, with other options")
        if relation not in self._resolved:
            self._resolved.append(relation)
            if self._db is not None:
                self._attend(relation)
        return relation

    def _resolve_what_can_be(self) -> None:
        for relation, given in list(self._waiting.items()):
            if relation not in self._waiting:
                continue  # to map the edges of another has called this again
            models = self._registry_for(given)
            declared = None if models is None else given.complete(partial(find_model, models))
            if declared is None:
                continue
            del self._waiting[relation]
            relation.declared_as = given
            model: Any = declared.source.model
            known: Relation | None = vars(model).get("__follows_relations__", {}).get(given.key)
            if known is not None:  # of another `Follows`, found by name only now
                relation.resolve(self._take(known, given).storage)
                relation.session = known.session
                continue
            declared.build(relation)
            if "__follows_relations__" not in vars(model):
                model.__follows_relations__ = {}
            model.__follows_relations__[given.key] = relation
            self._resolved.append(relation)
            if self._db is not None:
                self._attend(relation)

    def _registry_for(self, given: Declaration) -> registry | None:
        """Return where the names of a declaration are looked up."""
        for model in (given.source, given.target):
            if not isinstance(model, str):
                return class_mapper(model, configure=False).registry
        return None if self._db is None else registry_of(self._db)

    def _attend(self, relation: Relation) -> None:
        assert self._db is not None
        if relation.source.table.metadata not in self._db.metadatas.values():
            raise ConfigurationError(
                f"{relation!r} is of models of another SQLAlchemy object than this Follows has; "
                "declare it on a Follows of its own"
            )
        if relation.session is None:
            relation.session = self._db.session
            watch(self._db.session)
            delete_edges_with_objects(relation, self._db.session)

    def _listen(self) -> None:
        """Resolve what waits when another class is mapped."""
        if self._listens:
            return
        self._listens = True
        this = weakref.ref(self)

        def on_mapped(_mapper: Mapper[Any], _model: type[Any]) -> None:
            relations = this()
            if relations is not None and relations._waiting:
                with REGISTRATION:
                    relations._resolve_what_can_be()

        event.listen(Mapper, "after_mapper_constructed", on_mapped)


def registry_of(db: SQLAlchemy) -> registry:
    """Return the registry of the database's models."""
    # The type that Flask-SQLAlchemy declares for `Model` does not know that it is declarative.
    return cast("registry", cast(Any, db.Model).registry)


def find_model(models: registry, name: str) -> type[Any] | None:
    """Return the mapped class of that name, None where there is none yet.

    :raises ConfigurationError: there are several.
    """
    found = [model for model in _models(models) if model.__name__ == name]
    if len(found) > 1:
        raise ConfigurationError(
            f"there are {len(found)} models named {name!r}; give the class itself"
        )
    return found[0] if found else None


def _models(models: registry) -> Iterator[type[Any]]:
    # Not ours: a host may have an `Edge` or a `Follow` of its own.
    classes = (mapper.class_ for mapper in models.mappers)
    return (model for model in classes if not issubclass(model, Edge))
