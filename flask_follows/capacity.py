"""What a key column can hold: what is beyond it is the key of nobody, and is not sent."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.types import NullType, TypeEngine

__all__ = ["Capacity", "Holdable"]

_INTEGER_BITS = ((sa.BigInteger, 64), (sa.SmallInteger, 16), (sa.Integer, 32))
# Numbers below the first, up and down, are held by nearly every integer column; below the second,
# by all.
_USUAL, _LEAST = 2**31, 2**15


class Capacity:
    """What one key column can hold, on any database.

    :param column: the column.
    :param python_type: the type of its values in Python, None where its type does not tell.
    """

    def __init__(self, column: sa.Column[Any], python_type: type[Any] | None) -> None:
        self.column = column
        # A type of the host's may refuse what others take.
        is_plain = not isinstance(column.type, sa.TypeDecorator)
        self._python_type = python_type if is_plain else None
        self._bounds: dict[str, int] = {}

    def holds(self, key: Any, dialect: sa.Dialect) -> bool:
        """Tell whether the column could hold a value at all.

        A number out of the column's range, or a text that PostgreSQL has no place for, would
        otherwise be an error, which there costs the host its transaction.
        """
        kind = type(key)
        if kind is self._python_type:
            if kind is int and -(bound := self._bound(dialect)) <= key < bound:
                return True
            if kind is UUID:
                return True
        return self._would_hold(key, dialect)

    def _would_hold(self, key: Any, dialect: sa.Dialect) -> bool:
        try:
            key, kind = self._below_decorators(key, dialect)
        except (AttributeError, LookupError, TypeError, ValueError):
            return False  # the host's own type refuses it
        if isinstance(key, str):
            return _is_sent(key) and (dialect.name != "postgresql" or _is_text(key, kind))
        return not isinstance(key, int) or _is_in_range(key, kind, dialect)

    def _bound(self, dialect: sa.Dialect) -> int:
        """Return a bound below which, up and down, the column holds all numbers."""
        bound = self._bounds.get(dialect.name)
        if bound is None:
            is_usual = all(self._would_hold(key, dialect) for key in (-_USUAL, _USUAL - 1))
            bound = self._bounds[dialect.name] = _USUAL if is_usual else _LEAST
        return bound

    def _below_decorators(self, key: Any, dialect: sa.Dialect) -> tuple[Any, TypeEngine[Any]]:
        """Return a key as the host's own type stores it, and the type that it is stored in."""
        kind: TypeEngine[Any] = self.column.type.dialect_impl(dialect)
        if isinstance(kind, sa.TypeDecorator):
            process = kind.bind_processor(dialect)
            key = key if process is None else process(key)
        while isinstance(kind, sa.TypeDecorator):
            kind = kind.load_dialect_impl(dialect).dialect_impl(dialect)
        return key, kind


class Holdable(sa.TypeDecorator[Any]):
    """The type of a key that may be anything: what its column could not hold becomes NULL."""

    impl = NullType
    cache_ok = True

    def __init__(self, capacity: Capacity) -> None:
        super().__init__()
        self.capacity = capacity

    def load_dialect_impl(self, dialect: sa.Dialect) -> TypeEngine[Any]:
        """Return the column's own type."""
        return self.capacity.column.type

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> Any:
        """Return the value, or None for one that the column could not hold."""
        return value if self.capacity.holds(value, dialect) else None


def _is_in_range(key: int, kind: TypeEngine[Any], dialect: sa.Dialect) -> bool:
    """Tell whether an integer column holds a number."""
    if -_LEAST <= key < _LEAST:
        return True
    if dialect.name == "sqlite":
        return -(2**63) <= key < 2**63
    bits = next((bits for cls, bits in _INTEGER_BITS if isinstance(kind, cls)), None)
    if bits is None:
        return True
    lowest = 0 if getattr(kind, "unsigned", False) else -(2 ** (bits - 1))
    return bool(lowest <= key < lowest + 2**bits)


def _is_sent(key: str) -> bool:
    """Tell whether a driver can send a text: JSON may bring half of a surrogate pair."""
    try:
        key.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_text(key: str, kind: TypeEngine[Any]) -> bool:
    """Tell whether PostgreSQL takes a text for a value of a type."""
    if not isinstance(kind, sa.Uuid):
        return "\x00" not in key
    try:
        UUID(key)
    except ValueError:
        return False
    return True
