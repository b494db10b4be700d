"""The two ends of a relation, and how an object or a key given for one becomes its primary key."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from flask_login import AnonymousUserMixin
from sqlalchemy.orm import InstanceState, Mapper, Session
from sqlalchemy.orm.attributes import instance_state

from .capacity import Capacity, Holdable
from .errors import ConfigurationError, UnsavedInstanceError, WrongTypeError
from .streams import flush

__all__ = ["Endpoint", "folded", "is_nobody", "python_type", "session_of", "state_of"]

# Attributes by which an error message names an object, if it has them loaded.
_NAMES = ("id", "username", "name", "title", "headline")


def python_type(column: sa.Column[Any]) -> type[Any] | None:
    """Return the type of a column's values in Python, None where its type does not tell.

    A host's own TypeDecorator does not: it may give out something else than it stores.
    """
    try:
        known = column.type.python_type
    except NotImplementedError:
        return None
    return None if known is object else known


def state_of(value: Any) -> InstanceState[Any] | None:
    """Return the state of a mapped object, also behind a proxy; None for anything else.

    In a third of the time that `inspect(value, raiseerr=False)` takes.
    """
    try:
        state: Any = instance_state(value)
    except (AttributeError, KeyError):
        return None
    return state if isinstance(state, InstanceState) else None


def session_of(objects: Iterable[Any]) -> Session | None:
    """Return the session of the first object that is in one."""
    for obj in objects:
        state = state_of(obj)
        session = None if state is None else state.session
        if session is not None:
            return session
    return None


@dataclass(frozen=True, eq=False)
class Endpoint:
    """A mapped class whose objects an edge connects, known by the one column of its key."""

    mapper: Mapper[Any]
    column: sa.Column[Any]

    @classmethod
    def of(cls, mapper: Mapper[Any]) -> Endpoint:
        """Make the endpoint of a mapped class without configuring its mapper.

        :raises ConfigurationError: the class has no table, or a key of several columns.
        """
        # With joined inheritance `mapper.primary_key` is the base table's; ours is the class's own.
        table = mapper.local_table
        if not isinstance(table, sa.Table):
            raise ConfigurationError(
                f"{mapper.class_.__name__} is not mapped to a table, so no edge can refer to it"
            )
        columns = list(table.primary_key)
        if len(columns) != 1:
            names = ", ".join(column.name for column in columns)
            raise ConfigurationError(
                f"{mapper.class_.__name__} has a primary key of {len(columns)} columns ({names}); "
                "a relation needs a key of exactly one"
            )
        if mapper.inherits is None and tuple(mapper.primary_key) != (columns[0],):
            raise ConfigurationError(
                f"{mapper.class_.__name__} is mapped with another primary key than its table has "
                f"({columns[0].name}), and edges could not tell the two apart"
            )
        if mapper.single and mapper.inherits is not None:
            raise ConfigurationError(
                f"{mapper.class_.__name__} shares the table of {mapper.inherits.class_.__name__}, "
                "and no edge can tell their keys apart; give that class instead"
            )
        return cls(mapper, columns[0])

    @property
    def model(self) -> type[Any]:
        """The mapped class."""
        return self.mapper.class_

    @property
    def table(self) -> sa.Table:
        """The table that holds the key."""
        return self.column.table

    @cached_property
    def attribute_name(self) -> str:
        """Name of the mapped attribute that holds the key."""
        return self.mapper.get_property_by_column(self.column).key

    @cached_property
    def python_type(self) -> type[Any] | None:
        """Type of a key in Python, None where the column's type does not tell."""
        return python_type(self.column)

    def attribute(self, entity: Any = None) -> Any:
        """Return the key attribute of the class, or of an alias of it."""
        return getattr(entity or self.model, self.attribute_name)

    def key(self, value: Any) -> Any:
        """Return the key of an object, or check a value that is a key already.

        It is a plain value in the form in which the database gives it out: an enumerated integer
        is its number, and a UUID given as text is written in the one usual way. A pending object
        is flushed to get its key.

        :raises WrongTypeError: an object of another class, or a key of another type.
        :raises UnsavedInstanceError: the object was never added to a session, or was deleted.
        """
        if type(value) is self._unspelled_type:
            return value
        state = state_of(value)
        if state is None:
            return self._checked(value)
        # The most common of all, and the quickest: an object of this very class, in the database.
        if state.mapper is self.mapper and state.key is not None and not state.was_deleted:
            key = state.key[1][0]
            return key if type(key) is self._unspelled_type else self._plain(key)
        # A concrete subclass has a table, and so keys, of its own.
        if not state.mapper.isa(self.mapper) or (
            state.mapper.concrete and state.mapper is not self.mapper
        ):
            raise WrongTypeError(f"expected {self._expected}, got {_describe(state)}")
        if state.pending and state.session is not None:
            flush(state.session)
        if state.was_deleted:
            raise UnsavedInstanceError(
                f"{_describe(state)} was deleted; use an object that is in the database"
            )
        if state.identity is None:
            raise UnsavedInstanceError(
                f"{_describe(state)} is not saved, so it has no key yet; "
                "add it to the session first: db.session.add(...)"
            )
        return self._plain(state.identity[0])

    def saved_key(self, value: Any) -> Any:
        """Return the key for reading: None for an object that can have no edges yet.

        That is a transient object, and a pending one inside `no_autoflush`.
        """
        state = state_of(value)
        if state is not None and state.identity is None and not state.was_deleted:
            flushes = state.session is not None and state.session.autoflush
            return self.key(value) if flushes else None
        return self.key(value)

    def held_keys(self, session: Session) -> list[Any]:
        """Return the keys of the objects that a session holds, oldest first; loads nothing.

        With inheritance, those of the classes beside it are among them.
        """
        known_as = self._known_as
        # A list at once: an object that the garbage collector takes leaves the map meanwhile.
        identities = list(session.identity_map.keys())
        return [self._plain(key[1][0]) for key in identities if key[0] is known_as]

    @cached_property
    def _known_as(self) -> type[Any]:
        """The class under which sessions know the objects: the one that it all inherits from."""
        return self.mapper.identity_key_from_primary_key((None,))[0]

    @cached_property
    def can_hold(self) -> Callable[[Any, sa.Dialect], bool]:
        """Tell whether the key column could hold a value at all; see :meth:`Capacity.holds`."""
        return self._capacity.holds

    def parameter(self, key: Any) -> sa.BindParameter[Any]:
        """Return a key as a parameter for SQL that is built before its database is known.

        It is NULL, which equals nothing, where the key column could not hold the value.
        """
        return sa.bindparam(None, key, type_=self._parameter_type, unique=True)

    def named_parameter(self, name: str) -> sa.BindParameter[Any]:
        """Return the same for SQL that is kept: the key is given by name when it is run."""
        return sa.bindparam(name, type_=self._parameter_type)

    @cached_property
    def is_exact(self) -> bool:
        """Whether keys that are the same are equal: databases may take "Ann" and "ann" for one."""
        return self.python_type in (int, UUID)

    @cached_property
    def has_spellings(self) -> bool:
        """Tell whether one key may be written in several ways: a UUID given out as text may."""
        kind = self.column.type
        return isinstance(kind, sa.Uuid) and not kind.as_uuid

    @cached_property
    def _unspelled_type(self) -> type[Any] | None:
        """The type whose values are keys as they are."""
        return None if self.has_spellings else self.python_type

    @cached_property
    def _capacity(self) -> Capacity:
        return Capacity(self.column, self.python_type)

    @cached_property
    def _parameter_type(self) -> Holdable:
        return Holdable(self._capacity)

    def _plain(self, key: Any) -> Any:
        """Return a key of a subclass, or in another spelling, as the database gives it out."""
        expected = self.python_type
        if expected is int and type(key) is not int and isinstance(key, int):
            # A driver may send what str() makes of an enumeration: before Python 3.11 its name.
            return int(key)
        if expected is str and type(key) is not str and isinstance(key, str):
            key = str.__str__(key)
        return _spelled(key) if self.has_spellings else key

    def _checked(self, value: Any) -> Any:
        expected = self.python_type
        if is_nobody(value):
            raise WrongTypeError(
                f"nobody is logged in: current_user is anonymous; expected {self._expected}, "
                "so ask current_user.is_authenticated first"
            )
        # Flask-Login's proxy may stand for None: isinstance sees through it.
        fits = isinstance(value, expected or object) and not isinstance(value, type(None))
        if not fits or (isinstance(value, bool) and expected is not bool):
            raise WrongTypeError(f"expected {self._expected}, got {value!r}")
        return self._plain(value)

    @property
    def _expected(self) -> str:
        kind = "" if self.python_type is None else f" ({self.python_type.__name__})"
        return f"an instance of {self.model.__name__} or its primary key{kind}"


def folded(key: Any) -> Any:
    """Return a key as databases compare it that take "Ann" and "ann" for one."""
    return key.casefold() if isinstance(key, str) else key


def is_nobody(value: Any) -> bool:
    """Tell whether a value is Flask-Login's anonymous user, or what the host has in its place."""
    return isinstance(value, AnonymousUserMixin) or getattr(value, "is_anonymous", None) is True


def _spelled(key: Any) -> Any:
    """Return a UUID as all databases give it out: in lower case and with dashes.

    A text that is none is left as it is: nobody has it.
    """
    try:
        return str(UUID(key))
    except ValueError:
        return key


def _describe(state: InstanceState[Any]) -> str:
    """Name an object without loading anything: its own repr might.

    By nothing that may be a secret: a message ends up in logs.
    """
    key = "" if state.identity is None else f" with key {state.identity[0]!r}"
    shown = {name: state.dict[name] for name in _NAMES if name in state.dict}
    fields = ", ".join(f"{name}={value!r}" for name, value in shown.items() if len(str(value)) < 40)
    return f"{state.class_.__name__}({fields}){key}"
