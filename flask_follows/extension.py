"""The extension object: finds the user model, and registers the relation and what else there is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import event
from sqlalchemy.orm import Mapper

from .arguments import check, given, name_of, not_mapped
from .cli import follows_group
from .declaration import Declaration, Layout, Model
from .errors import ConfigurationError
from .following import Options, register
from .graph import Graph
from .reads import OrderBy
from .relation import Relation
from .relations import Relations, find_model, registry_of
from .tables import ForeignKeys
from .web import Hooks
from .web import init_app as init_web

__all__ = ["Follows"]


class Follows(Graph):
    """A social graph for the users of a Flask-SQLAlchemy application.

    `Follows(app, db, User)`, or `init_app` later, any number of times with one `db` and `User`.
    Nothing is created or queried at set-up, and no other model needs to be there yet. One object
    serves one user model.

    :param user_model: the class, or its name: it is then registered as soon as it is mapped.
    :param table_name: name of the edge table.
    :param names: other names for what `User` gains, for instance `{"followed": "following"}`.
    :param allow_self_follow: let users follow themselves; also drops the table's CHECK.
    :param foreign_keys: "none" makes a table without foreign keys, for databases that are spread
        over machines; users are then looked up in the same statements all the same.
    :param forward_index: a further index for "whom X follows, newest first", worth its space where
        users follow thousands.
    :param follow_model: a model of the host's, or a Table, to be used instead of ours: with other
        names of columns, a key of its own, another time or none.
    :param through_fields: names of its two keys, follower first, where its foreign keys leave a
        choice: by column, attribute or relationship.
    :param read_ahead: answer `is_following` and the counts for all users that the session holds at
        once, and remember it in the transaction; False asks the database each time.
    :raises ConfigurationError: an argument that is not what is needed; it says what was given.
    """

    def __init__(  # noqa: PLR0913 -- each is a keyword, and means one thing
        self,
        app: Flask | None = None,
        db: SQLAlchemy | None = None,
        user_model: type[Any] | str | None = None,
        *,
        table_name: str = "follows",
        names: Mapping[str, str] | None = None,
        allow_self_follow: bool = False,
        foreign_keys: ForeignKeys = "both",
        forward_index: bool = False,
        follow_model: type[Any] | sa.Table | None = None,
        through_fields: tuple[str, str] | None = None,
        read_ahead: bool = True,
    ) -> None:
        if names is not None and not isinstance(names, Mapping):
            raise ConfigurationError(
                f'names= must be a mapping such as {{"followed": "following"}}, not {given(names)}'
            )
        self._options = Options(
            table_name,
            dict(names or {}),
            allow_self_follow,
            foreign_keys,
            forward_index,
            follow_model,
            through_fields,
            read_ahead,
        )
        self.web = Hooks()
        self._relations = Relations()
        self._db: SQLAlchemy | None = None
        self._user_model: type[Any] | str | None = None
        self._relation: Relation | None = None
        if app is not None:
            self.init_app(app, db, user_model)
        elif db is not None and user_model is not None:
            self._adopt(db, user_model)
        else:
            check(db, user_model)
            self._db, self._user_model = db, user_model

    def init_app(
        self,
        app: Flask,
        db: SQLAlchemy | None = None,
        user_model: type[Any] | str | None = None,
    ) -> None:
        """Register the user model (at the first call) and set the application up.

        :raises ConfigurationError: no `db` or `user_model` was ever given, something else in their
            place, another one than before, a clash with names of the model, or another `Follows`
            on this application.
        """
        if not isinstance(app, Flask):
            raise ConfigurationError(
                f"app must be a Flask application, not {given(app)}: "
                "follows.init_app(app, db, User)"
            )
        db = self._db if db is None else db
        user_model = self._user_model if user_model is None else user_model
        if db is None or (user_model is None and not self._relations):
            raise ConfigurationError(
                "Follows needs the database and the user model: follows.init_app(app, db, User)"
            )
        if app.extensions.get("follows", self) is not self:
            raise ConfigurationError(
                f"application {app.name!r} has another Follows already; one serves one user model"
            )
        if user_model is None:  # the host has relations of its own, and no users
            check(db, user_model)
            self._refuse_another_database(db)
            self._db = db
        else:
            self._adopt(db, user_model)
        self._relations.know(db)
        if user_model is not None:
            init_web(app)
        app.extensions["follows"] = self
        app.cli.add_command(follows_group)

    @property
    def follow_relation(self) -> Relation:
        """The follow relation: its verbs take both ends.

        :raises ConfigurationError: no user model has been registered yet.
        """
        if self._relation is None:
            raise ConfigurationError(
                "there is no user model yet; call follows.init_app(app, db, User)"
                if self._user_model is None or self._db is None
                else not_mapped(self._db, name_of(self._user_model))
            )
        return self._relation

    @property
    def relations(self) -> list[Relation]:
        """All relations whose classes are mapped, the follow relation first."""
        following = [] if self._relation is None else [self._relation]
        return following + self._relations.resolved

    def relation(  # noqa: PLR0913 -- each is a keyword, and means one thing
        self,
        source: Model,
        name: str,
        target: Model,
        *,
        reverse: str | None = None,
        through: type[Any] | sa.Table | str | None = None,
        through_fields: tuple[str, str] | None = None,
        symmetrical: bool = False,
        storage: Layout | None = None,
        order_by: OrderBy | None = None,
        source_edges: str | None = None,
        target_edges: str | None = None,
        table_name: str | None = None,
        allow_self: bool | None = None,
        foreign_keys: ForeignKeys = "both",
        forward_index: bool = False,
    ) -> Relation:
        """Declare a relation between two models, or one and itself: Django's ManyToManyField.

        In the models' module, before any application exists; `init_app` brings the session. The
        classes may be given by name and be mapped later.

        :param name: the collection of targets that each source object gains.
        :param reverse: the collection of sources that each target object gains, if any.
        :param through: a model of the host's, or a Table, that holds the edges, instead of ours.
        :param through_fields: names of its two keys, source first, where its foreign keys leave a
            choice: by column, attribute or relationship.
        :param symmetrical: an edge is the same from both its ends, as a friendship is.
        :param storage: of a symmetrical relation: "mirrored" (two rows, the default) or
            "canonical" (one row, half the space).
        :param order_by: another order of the collection `name` than newest edge first: columns
            of the target or the edge, or a function that returns them.
        :param source_edges: a query of edge rows that each source object gains, if any.
        :param target_edges: the same for each target object.
        :param table_name: of our table; that of the source, "_" and `name` if not given.
        :param allow_self: whether an object may be connected with itself, if both classes are
            one: True if not given, and False always where symmetrical.
        :param foreign_keys: "none" makes a table without foreign keys.
        :param forward_index: a further index for the newest edges of a source object.
        :raises ConfigurationError: a clash with names or tables, two databases, or foreign keys
            that leave a choice; it lists the candidates.
        """
        return self._relations.declare(
            Declaration(
                source,
                name,
                target,
                reverse=reverse,
                through=through,
                through_fields=through_fields,
                symmetrical=symmetrical,
                storage=storage,
                order_by=order_by,
                source_edges=source_edges,
                target_edges=target_edges,
                table_name=table_name,
                allow_self=allow_self,
                foreign_keys=foreign_keys,
                forward_index=forward_index,
            )
        )

    def _adopt(self, db: SQLAlchemy, user_model: type[Any] | str) -> None:
        """Take the database and model, unless they are the ones already taken."""
        check(db, user_model)
        self._refuse_another(db, user_model)
        if self._relation is not None:
            return
        model: type[Any] | None
        if isinstance(user_model, str):
            model = find_model(registry_of(db), user_model)
        else:
            model = user_model
        if model is not None:
            self._relation = register(db, model, self._options)
        elif self._db is None or self._user_model is None:
            self._register_when_mapped(db, user_model)
        self._db, self._user_model = db, user_model

    def _register_when_mapped(self, db: SQLAlchemy, name: type[Any] | str) -> None:

        def on_mapped(_mapper: Mapper[Any], model: type[Any]) -> None:
            if self._relation is None and model.__name__ == name:
                self._relation = register(db, model, self._options)

        event.listen(db.Model, "after_mapper_constructed", on_mapped, propagate=True)

    def _refuse_another_database(self, db: SQLAlchemy) -> None:
        if self._db not in (None, db):
            raise ConfigurationError(
                "this Follows has another SQLAlchemy object already; "
                "make another Follows for another database"
            )

    def _refuse_another(self, db: SQLAlchemy, user_model: type[Any] | str) -> None:
        self._refuse_another_database(db)
        known = self._user_model if self._relation is None else self._relation.source.model
        if known is None or user_model in (known, name_of(known)) or known == name_of(user_model):
            return
        raise ConfigurationError(
            f"this Follows serves {name_of(known)} already, not {name_of(user_model)}; "
            "make another Follows for another user model"
        )
