"""The attributes through which a class and its objects reach a relation.

SQLAlchemy would ignore an assignment to a view-only dynamic relationship in silence; here it means
:meth:`RelatedQuery.set`. Two more descriptors tell type checkers what is on the class and what on
an object.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Generic, TypeVar, overload

from sqlalchemy.orm import AppenderQuery, InstrumentedAttribute

from .collection import RelatedQuery
from .edge_models import Follow

__all__ = ["CollectionAttribute", "EdgesAttribute", "Related", "make_assignable"]

T = TypeVar("T")
U = TypeVar("U")


# A kind of SQLAlchemy's own, not a descriptor around it: that would pass for something of the
# host's, and classes mapped below the user later would not get the relationship.
# For pyright, SQLAlchemy's `__doc__` is no `__doc__`.
class _AssignableAttribute(InstrumentedAttribute[Any]):  # pyright: ignore[reportIncompatibleVariableOverride]
    __slots__ = ()  # so that an attribute can become one
    inherit_cache = True

    def __set__(self, instance: Any, value: Any) -> None:
        self.__get__(instance, type(instance)).set(value)


def make_assignable(attribute: InstrumentedAttribute[Any]) -> None:
    """Let an assignment to the attribute of a collection mean :meth:`RelatedQuery.set`."""
    attribute.__class__ = _AssignableAttribute


class CollectionAttribute:
    """What type checkers see of `user.followers`; at run time it is SQLAlchemy's own."""

    @overload
    def __get__(self, instance: None, owner: type[U]) -> InstrumentedAttribute[U]: ...
    @overload
    def __get__(self, instance: U, owner: type[U]) -> RelatedQuery[U]: ...
    def __get__(self, instance: Any, owner: type[Any]) -> Any:
        raise NotImplementedError("replaced by SQLAlchemy's attribute when the class is mapped")

    def __set__(self, instance: Any, objs: Iterable[Any]) -> None:
        raise NotImplementedError("replaced by SQLAlchemy's attribute when the class is mapped")


class Related(Generic[T]):
    """What type checkers are to see of a relation's collection: `tags: ClassVar[Related[Tag]]`.

    An annotation only; at run time the attribute is SQLAlchemy's own.
    """

    @overload
    def __get__(self, instance: None, owner: type[Any]) -> InstrumentedAttribute[T]: ...
    @overload
    def __get__(self, instance: object, owner: type[Any]) -> RelatedQuery[T]: ...
    def __get__(self, instance: object, owner: type[Any]) -> Any:
        raise NotImplementedError("replaced by SQLAlchemy's attribute when the relation is made")

    def __set__(self, instance: object, objs: Iterable[Any]) -> None:
        raise NotImplementedError("replaced by SQLAlchemy's attribute when the relation is made")


class EdgesAttribute:
    """What type checkers see of `user.followed_set`; at run time it is SQLAlchemy's own."""

    @overload
    def __get__(self, instance: None, owner: type[U]) -> InstrumentedAttribute[Follow]: ...
    @overload
    def __get__(self, instance: U, owner: type[U]) -> AppenderQuery[Follow]: ...
    def __get__(self, instance: Any, owner: type[Any]) -> Any:
        raise NotImplementedError("replaced by SQLAlchemy's attribute when the class is mapped")

    def __set__(self, instance: Any, edges: Iterable[Follow]) -> None:
        raise NotImplementedError("replaced by SQLAlchemy's attribute when the class is mapped")
