"""The follow relation: how a user class gains it, all or nothing.

Only public calls that never configure mappers are used (:func:`sqlalchemy.orm.class_mapper` with
``configure=False``, :meth:`Mapper.add_property`): the host's other models may not be there yet.
Where the user's own mapper has been configured before, however, SQLAlchemy cannot add relationships
to it without configuring whatever has been mapped since.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import RLock
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.orm import Mapper, class_mapper, object_session

from .adoption import adopt
from .answers import attend
from .deletion import delete_edges_with_objects
from .edge_models import Follow, map_edges
from .edges import EdgeTable
from .errors import ConfigurationError
from .injection import add_collection, add_edge_set
from .keys import Endpoint
from .mixin import FollowMixin
from .relation import Relation
from .signals import followed, unfollowed
from .storage import Directed
from .streams import watch
from .tables import ForeignKeys, KeyColumn, build_edge_table
from .types import utcnow

if TYPE_CHECKING:
    from flask_sqlalchemy import SQLAlchemy

__all__ = ["REGISTRATION", "Options", "register"]

_COLLECTIONS = {"followed": False, "followers": True}
_EDGE_SETS = {"followed_set": "follower", "followers_set": "followed"}
_METHODS = {name: member for name, member in vars(FollowMixin).items() if not name.startswith("__")}
# A model that is mapped while another is registered is registered inside it.
REGISTRATION = RLock()
_NAMES = (*_COLLECTIONS, *_EDGE_SETS, *_METHODS)
_MISSING = object()
_LOGGER = logging.getLogger("flask_follows")


@dataclass(frozen=True)
class Options:
    """What a host may decide about its follow relation; see :class:`~flask_follows.Follows`."""

    table_name: str = "follows"
    names: Mapping[str, str] = field(default_factory=dict)
    allow_self_follow: bool = False
    foreign_keys: ForeignKeys = "both"
    forward_index: bool = False
    follow_model: type[Any] | sa.Table | None = None
    through_fields: tuple[str, str] | None = None
    read_ahead: bool = True

    def __post_init__(self) -> None:
        self._check_types()
        self._check_follow_model()
        if self.foreign_keys not in ("both", "none"):
            raise ConfigurationError(
                f'foreign_keys must be "both" or "none", not {self.foreign_keys!r}'
            )
        for name, ours in self.names.items():
            if not all(isinstance(word, str) for word in (name, ours)):
                raise ConfigurationError(
                    f"names= maps names to names, not {name!r} to {ours!r}; "
                    'for instance {"followed": "following"}'
                )
            if name not in _NAMES:
                raise ConfigurationError(
                    f"names= renames {name!r}, which is not injected; "
                    f"there are: {', '.join(_NAMES)}"
                )
            if not ours.isidentifier():
                raise ConfigurationError(f"names= gives {name!r} the name {ours!r}, not usable")
        final = [self.name(name) for name in _NAMES]
        if twice := {name for name in final if final.count(name) > 1}:
            raise ConfigurationError(f"names= gives {', '.join(sorted(twice))} to two things")

    def _check_follow_model(self) -> None:
        if self.follow_model is None:
            if self.through_fields is not None:
                raise ConfigurationError("through_fields names keys of a follow_model; give that")
            return
        for option in ("table_name", "foreign_keys", "forward_index"):
            if getattr(self, option) != getattr(Options, option):
                raise ConfigurationError(
                    f"{option} is about a table of ours; with follow_model= the table is yours, "
                    "so say it there"
                )

    def name(self, name: str) -> str:
        """Return the host's name for one of ours."""
        return self.names.get(name, name)

    def _check_types(self) -> None:
        name: object = self.table_name
        if not isinstance(name, str) or not name.strip():
            raise ConfigurationError(f"table_name must be the name of a table, not {name!r}")
        for option in ("allow_self_follow", "forward_index", "read_ahead"):
            if not isinstance(getattr(self, option), bool):
                raise ConfigurationError(
                    f"{option} must be True or False, not {getattr(self, option)!r}"
                )


def register(db: SQLAlchemy, model: type[Any], options: Options) -> Relation:
    """Give a user class its follow relation; return the one it has when called again.

    :raises ConfigurationError: a clash with the host's names or table, a key of several columns,
        or other options than at the first call. Nothing was changed then.
    """
    with REGISTRATION:  # factories may run in several threads at once
        return _register(db, model, options)


def _register(db: SQLAlchemy, model: type[Any], options: Options) -> Relation:
    known: Relation | None = vars(model).get("__follows__")
    if known is not None:
        if model.__follows_options__ != options:
            raise ConfigurationError(
                f"{model.__name__} has a follow relation with other options already "
                f"({model.__follows_options__}); use one Follows object for it"
            )
        return known
    user = Endpoint.of(class_mapper(model, configure=False))
    free = {name: _is_free(user.mapper, name, options) for name in _NAMES}
    if user.mapper.configured:
        user.mapper.registry.configure(cascade=True)  # an error in it comes before anything is made
    relation = Relation(
        options.table_name,
        Directed(_edges(user, options, free), user, user),
        session=db.session,
        after_commit={"add": followed, "remove": unfollowed, "clear": unfollowed},
        no_self="cannot follow itself; Follows(allow_self_follow=True) lifts this",
    )
    watch(db.session)
    if options.read_ahead:
        relation.questions.reads_ahead = True
        attend(db.session, model)
    _inject(relation, options, free)
    delete_edges_with_objects(relation, db.session)
    _hear_of_rows(relation)
    return relation


def _inject(relation: Relation, options: Options, free: Mapping[str, bool]) -> None:
    model: Any = relation.source.model
    model.__follows__ = relation
    model.__follows_options__ = options
    for name, back in _EDGE_SETS.items():
        if free[name]:
            end = relation.end(back == "followed")
            is_ours = options.follow_model is None
            add_edge_set(relation, end, options.name(name), back if is_ours else None)
    for name, reverse in _COLLECTIONS.items():
        if free[name]:
            add_collection(relation, relation.end(reverse), options.name(name))
    for name, member in _METHODS.items():
        if free[name]:
            setattr(model, options.name(name), member)
    for name in _NAMES:
        if not free[name]:
            _tell_what_is_left_out(model, name, options)


def _is_free(mapper: Mapper[Any], name: str, options: Options) -> bool:
    """Tell whether a name of ours is to be injected: a method of the host's wins.

    :raises ConfigurationError: the name is a column or relationship of the host's.
    """
    final = options.name(name)
    for mapped in mapper.self_and_descendants:
        model = mapped.class_
        member = inspect.getattr_static(model, final, _MISSING)
        is_code = member is _MISSING or callable(member) or hasattr(member, "__get__")
        # A relationship of the class above would replace what a class below has of its own.
        is_replaced = mapped is not mapper and final in vars(model) and name not in _METHODS
        if mapped.has_property(final) or is_replaced or not is_code:
            raise ConfigurationError(
                f"{model.__name__}.{final} exists already ({type(member).__name__}), and "
                f"Flask-Follows would put its {name!r} there; give ours another name: "
                f'Follows(names={{"{name}": "..."}})'
            )
    member = inspect.getattr_static(mapper.class_, final, _MISSING)
    return member is _MISSING or member is _METHODS.get(name)


def _tell_what_is_left_out(model: type[Any], name: str, options: Options) -> None:
    """Warn of a member of the host's that wins: often one that was forgotten there.

    Not where the host overrides a method of the mixin, which is how that is used.
    """
    final = options.name(name)
    if final == name and name in _METHODS and issubclass(model, FollowMixin):
        return
    owner = next(cls for cls in model.__mro__ if final in vars(cls))
    _LOGGER.warning(
        "%s.%s stays as it is, so Flask-Follows leaves out its own %r. "
        'To have both, give ours another name: Follows(names={"%s": "..."}); '
        "to have ours, delete yours",
        owner.__name__,
        final,
        name,
        name,
    )


def _edges(user: Endpoint, options: Options, free: Mapping[str, bool]) -> EdgeTable:
    """Return the host's edge table, or make ours."""
    if options.follow_model is not None:
        return adopt(
            options.follow_model,
            user,
            user,
            fields=options.through_fields,
            allow_self=options.allow_self_follow,
            option="follow_model",
        )
    table = build_edge_table(
        options.table_name,
        KeyColumn("follower_id", user),
        KeyColumn("followed_id", user),
        check=None if options.allow_self_follow else "not_self",
        foreign_keys=options.foreign_keys,
        forward_index=options.forward_index,
    )
    back_populates = {
        end: options.name(name) if free[name] else None for name, end in _EDGE_SETS.items()
    }
    if user.mapper.configured:
        # The edge sets bring their opposites themselves, see `add_edge_set`.
        back_populates = {end: back for end, back in back_populates.items() if back is None}
    ends = {
        "follower": (user, table.c.follower_id),
        "followed": (user, table.c.followed_id),
    }
    mapper = map_edges(Follow, "Follow", table, ends, back_populates)
    return EdgeTable(
        model=mapper.class_,
        mapper=mapper,
        table=table,
        source=table.c.follower_id,
        target=table.c.followed_id,
        time=table.c.created_at,
        clock=utcnow,
        allow_self=options.allow_self_follow,
    )


def _hear_of_rows(relation: Relation) -> None:
    """Announce edges that the host adds or deletes as objects."""
    edges = relation.edge_table

    def hear(event_name: str, action: str) -> None:
        def on_row(_mapper: Mapper[Any], _connection: sa.Connection, edge: Any) -> None:
            relation.announcer.row(object_session(edge), action, edges.pair(edge))

        event.listen(edges.model, event_name, on_row)

    hear("after_insert", "add")
    hear("after_delete", "remove")
