"""What the set-up was given, checked: each refusal says what was given and what is needed."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import class_mapper
from sqlalchemy.orm.exc import UnmappedClassError

from .edge_models import Edge
from .errors import ConfigurationError
from .lines import shown
from .relations import registry_of

__all__ = ["check", "given", "name_of", "not_mapped"]


def name_of(model: type[Any] | str) -> str:
    """Return the name of a model, given as its class or as that name."""
    return model if isinstance(model, str) else model.__name__


def given(value: object) -> str:
    """Describe an argument that is not what was expected."""
    if isinstance(value, type):
        return f"the class {value.__name__}"
    text = f"{shown(value)}"
    return text if value is None or isinstance(value, str) else f"{text} ({type(value).__name__})"


def check(db: object, user_model: object) -> None:
    """Refuse arguments of the wrong kind; None is one that is still to come."""
    if db is not None and not isinstance(db, SQLAlchemy):
        raise ConfigurationError(
            f"db must be the SQLAlchemy object of Flask-SQLAlchemy, not {given(db)}: "
            "follows.init_app(app, db, User)"
        )
    if user_model is None or (isinstance(user_model, str) and user_model):
        return
    if not isinstance(user_model, type):
        raise ConfigurationError(
            f"user_model must be the class of your users, or its name, not {given(user_model)}: "
            "follows.init_app(app, db, User)"
        )
    try:
        class_mapper(user_model, configure=False)
    except UnmappedClassError as error:
        raise ConfigurationError(
            f"the user model {user_model.__name__} is not mapped to a table; give a model, "
            "such as class User(db.Model)"
        ) from error


def not_mapped(db: SQLAlchemy, name: str) -> str:
    """Say that there is no model of this name, and which ones come near."""
    models = {mapper.class_ for mapper in registry_of(db).mappers}
    near = _near(name, (model.__name__ for model in models if not issubclass(model, Edge)))
    hint = f" (did you mean {' or '.join(map(repr, near))}?)" if near else ""
    return f"no model named {name!r} has been mapped yet{hint}; import its module"


def _near(name: str, names: Iterable[str]) -> list[str]:
    """Return the names that come near to one, however it writes capitals or its module."""
    by_plain = {name.casefold(): name for name in sorted(names)}
    plain = name.rpartition(".")[2].casefold()
    return [by_plain[found] for found in get_close_matches(plain, by_plain)]
