"""How users are named in a file: by their key, or by another column, such as `username`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.exc import DataError, SQLAlchemyError
from sqlalchemy.orm import Session

from .chunks import chunks
from .errors import ConfigurationError, FollowsError
from .keys import Endpoint, python_type
from .lines import shown

__all__ = ["AMBIGUOUS", "CreationError", "UserNames"]

_WHOLE_NUMBER = re.compile(r"[+-]?[0-9]{1,20}", re.ASCII)

# In place of a key, for a name that several users have.
AMBIGUOUS = object()


class CreationError(FollowsError):
    """Users cannot be created from their names alone."""


class UserNames:
    """The column that names users in a file.

    :param by: name of the attribute, the primary key if None.
    :raises ConfigurationError: the model has no such column, or its type has no form in CSV.
    """

    def __init__(self, user: Endpoint, by: str | None = None) -> None:
        self.user = user
        self.by = by or user.attribute_name
        columns = {
            prop.key: cast("sa.Column[Any]", prop.columns[0]) for prop in user.mapper.column_attrs
        }
        if self.by not in columns:
            raise ConfigurationError(
                f"{user.model.__name__} has no column {self.by!r}; "
                f"there are: {', '.join(sorted(columns))}"
            )
        # Of no edge; but it knows which values a column can be compared with.
        self._column = Endpoint(user.mapper, columns[self.by])
        self._parse = _parser(columns[self.by])
        if self._parse is None:
            raise ConfigurationError(
                f"{user.model.__name__}.{self.by} cannot be read from CSV: only whole numbers, "
                "texts and UUIDs can"
            )

    @property
    def is_key(self) -> bool:
        """Tell whether users are named by their primary key."""
        return self.by == self.user.attribute_name

    def attribute(self, entity: Any = None) -> Any:
        """Return the attribute with the name, of the user's class or of an alias of it."""
        return getattr(entity or self.user.model, self.by)

    def parse(self, text: str) -> Any:
        """Return a name as the column has it.

        :raises ValueError: says why it cannot be one.
        """
        assert self._parse is not None
        return self._parse(text)

    def keys(self, session: Session, names: set[Any], *, latest: bool = False) -> dict[Any, Any]:
        """Return the keys of the users with these names; who does not exist is left out.

        :param latest: see what others have committed since this transaction began, too.
        """
        dialect, found = session.get_bind(self.user.mapper).dialect, dict[Any, Any]()
        holdable = {name for name in names if self._column.can_hold(name, dialect)}
        for chunk in chunks(sorted(holdable)):
            _note(found, session.execute(self._named(self.attribute().in_(chunk), latest)))
        # A database may take "Ann" and "ann" for the same name: let it compare.
        for chunk in chunks(sorted(holdable - found.keys()), 100):
            each = [
                self._named(self.attribute() == name, False, place)
                for place, name in enumerate(chunk)
            ]
            rows: Any = session.execute(sa.union_all(*each))
            _note(found, ((chunk[place], key) for place, key in rows))
        return found

    def create(self, session: Session, names: list[Any]) -> tuple[int, dict[Any, str]]:
        """Create a user for each name, every other column at its default.

        Where somebody else has created one meanwhile, or two names are the same to the database,
        there is nothing to do.

        :return: how many were made, and for each name that is refused the reason.
        :raises CreationError: the model needs more than a name.
        """
        made, refused, parts = 0, dict[Any, str](), [names]
        while parts:
            part = parts.pop()
            error = self._create(session, part)
            if error is None:
                made += len(part)
            elif len(part) > 1:
                middle = len(part) // 2
                parts += [part[middle:], part[:middle]]
            elif not self.keys(session, set(part), latest=True):
                refused[part[0]] = self._refusal(part[0], error)
        return made, refused

    def _create(self, session: Session, names: list[Any]) -> Exception | None:
        """Create all of them, or none and return the error."""
        try:
            with session.begin_nested():
                session.add_all([self.user.model(**{self.by: name}) for name in names])
        except (SQLAlchemyError, TypeError, ValueError) as error:  # a validator's, the last two
            return error
        return None

    def _refusal(self, name: Any, error: Exception) -> str:
        reason = str(error).splitlines()[0]
        needed = ", ".join(self._needed())
        if needed and not isinstance(error, (DataError, ValueError)):
            raise CreationError(
                f"cannot create a {self.user.model.__name__} from its {self.by} alone, it needs "
                f"{needed} too ({reason}). Give that a default, or create the users before the "
                "import"
            ) from error
        return f"cannot create {self.user.model.__name__} {shown(name)}: {reason}"

    def _needed(self) -> Iterator[str]:
        """Yield the names of other attributes without which no user can be stored."""
        mapper = self.user.mapper
        for prop in mapper.column_attrs:
            column: Any = prop.columns[0]
            is_given = (
                prop.key == self.by
                or column is mapper.polymorphic_on
                or column is getattr(column.table, "autoincrement_column", None)
            )
            has_default = column.default is not None or column.server_default is not None
            if not (is_given or has_default or column.nullable):
                yield prop.key

    def _named(self, where: Any, latest: bool, place: int | None = None) -> Any:
        """Select name (or a number in its place) and key."""
        name = self.attribute() if place is None else sa.literal(place)
        found = sa.select(name, self.user.attribute()).where(where)
        return found.with_for_update(read=True, key_share=True) if latest else found


def _note(found: dict[Any, Any], rows: Iterable[Any]) -> None:
    for name, key in rows:
        found[name] = key if found.get(name, key) == key else AMBIGUOUS


def _parser(column: sa.Column[Any]) -> Callable[[str], Any] | None:
    """Return what makes a column's value of a text, None where a text does not tell."""
    kind = python_type(column)
    if isinstance(column.type, sa.Enum):
        return None
    if isinstance(column.type, sa.Uuid) and kind is str:
        return lambda text: str(_uuid(text))
    return _PARSERS.get(kind)


def _whole_number(text: str) -> int:
    if not _WHOLE_NUMBER.fullmatch(text):
        raise ValueError(f"{shown(text)} is not a whole number")
    return int(text)


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise ValueError(f"{shown(text)} is not a UUID") from None


_PARSERS: dict[type[Any] | None, Callable[[str], Any]] = {
    int: _whole_number,
    str: str,
    UUID: _uuid,
}
