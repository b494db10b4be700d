"""A collection of which no query has been asked yet.

SQLAlchemy builds the query of a dynamic relationship whenever the attribute is looked at, which
takes as long as a small statement. The verbs that know the edges do without it: so it is built
when something else is asked of the collection, whatever that is. (A query of ours that is no
collection has statements in place of itself, see :mod:`.kept`.)
"""

from __future__ import annotations

from typing import Any

__all__ = ["unread"]

_OPENED_WITH = "opened_with"
# The verbs of a collection that need no query, what they are made of, and what any object has.
_WITHOUT_QUERY = {
    *("add", "append", "capped_count", "clear", "contains", "count", "create", "exists", "ids"),
    *("page", "remove", "select", "set", "end", "instance", "page_reads", "relation"),
    *("_insert", "_keys", "_near", "_session", "__class__", "__dict__"),
}


def unread(collection: type[Any]) -> type[Any]:
    """Return a class whose objects become those of a class of collections if they need a query."""

    def __init__(self: Any, attr: Any, state: Any) -> None:
        vars(self).update({_OPENED_WITH: (attr, state), "instance": state.obj()})

    def __getattribute__(self: Any, name: str) -> Any:
        if name not in _WITHOUT_QUERY:
            opened_with = object.__getattribute__(self, "__dict__").pop(_OPENED_WITH)
            self.__class__ = collection
            collection.__init__(self, *opened_with)
        return object.__getattribute__(self, name)

    methods = {"__init__": __init__, "__getattribute__": __getattribute__}
    return type(collection.__name__, (collection,), {**methods, "__doc__": collection.__doc__})
