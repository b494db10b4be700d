"""The relationships that a class gains from a relation: its collections and its sets of edges."""

from __future__ import annotations

from typing import Any

from flask_sqlalchemy.query import Query
from sqlalchemy import event
from sqlalchemy.orm import InstrumentedAttribute, Mapper, backref, relationship

from .attributes import make_assignable
from .collection import collection_class
from .edge_rows import edges_class
from .ordering import newest_first
from .reads import End
from .relation import Relation

__all__ = ["add_collection", "add_edge_set"]


def add_edge_set(relation: Relation, end: End, name: str, back: str | None) -> None:
    """Add a dynamic relationship of edge rows, newest first.

    :param back: name of the opposite relationship, which a model of ours has: the edges may then
        be added and deleted through the set. None where the set is only to be read: the host's
        model has relationships of its own, and an edge of a friendship may be two rows.
    """
    mapper = end.near.mapper
    if back is None:
        mapper.add_property(name, _edges_to_read(end))
        _make_assignable(mapper, name)
        return
    join: dict[str, Any] = {
        "primaryjoin": end.near.column == end.near_column,
        "foreign_keys": [end.near_column],
    }
    # On a class that is configured already, SQLAlchemy looks for the opposite at once, and of
    # two pairs the first would not find the second.
    opposite: dict[str, Any] = (
        {"backref": backref(back, **join)} if mapper.configured else {"back_populates": back}
    )
    edge_set = relationship(
        relation.edge_table.model,
        **join,
        **opposite,
        # With both, an edge taken out of the set is deleted, and deleting a user leaves the
        # rest to ON DELETE CASCADE.
        cascade="all, delete-orphan",
        passive_deletes=True,
        lazy="dynamic",
        query_class=newest_first(query_class_of(end)),
        order_by=end.newest_first,
    )
    mapper.add_property(name, edge_set)


def _edges_to_read(end: End) -> Any:
    return relationship(
        end.edges.model,
        primaryjoin=end.is_edge_of(end.near.column),
        foreign_keys=[half.near for half in end.halves],
        uselist=True,
        viewonly=True,
        lazy="dynamic",
        query_class=edges_class(query_class_of(end)),
        order_by=end.edges_newest_first,
    )


def add_collection(relation: Relation, end: End, name: str) -> None:
    """Add the view-only relationship of the objects at the other end, and make it assignable."""
    mapper = end.near.mapper
    collection = relationship(
        end.far.model,
        secondary=end.view,
        primaryjoin=end.near.column == end.near_column,
        secondaryjoin=end.far.column == end.far_column,
        foreign_keys=[end.near_column, end.far_column],
        viewonly=True,
        lazy="dynamic",
        query_class=collection_class(relation, end, query_class_of(end)),
        # Only when the mappers are configured: it may name classes that are still to come.
        order_by=lambda: end.sorted_by,
    )
    mapper.add_property(name, collection)

    _make_assignable(mapper, name)


def _make_assignable(mapper: Mapper[Any], name: str) -> None:
    """Have an assignment to the attribute mean `set`, on classes that are mapped later too."""

    def on_mapped(_mapper: Mapper[Any], model: type[Any]) -> None:
        attribute = vars(model).get(name)
        if isinstance(attribute, InstrumentedAttribute):
            make_assignable(attribute)

    for mapped in mapper.self_and_descendants:
        on_mapped(mapped, mapped.class_)
    # SQLAlchemy instruments each later subclass anew. It has no objects before it is configured.
    event.listen(mapper.class_, "mapper_configured", on_mapped, propagate=True)


def query_class_of(end: End) -> type[Any]:
    """Return the query class of the host's models, which may have methods of its own."""
    found: type[Any] = getattr(end.near.model, "query_class", Query)
    return found
