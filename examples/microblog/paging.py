"""Keyset pages of anything that has a time and a key, newest first.

Pages of followers need none of this: `user.followers.page()` is the extension's. A page is found by
the row it starts after, not by its number, so the thousandth costs what the first costs, and
nothing is shown twice when something new arrives meanwhile.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from typing import TypeVar

from sqlalchemy import ColumnElement, Select, and_, or_

from flask_follows import InvalidCursorError, Page

from .models import Post, User, db

Row = TypeVar("Row", Post, User)

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
LARGEST_KEY = 2**31 - 1


def newest_first(
    statement: Select[Row],
    model: type[Row],
    *,
    after: str | None,
    before: str | None,
    per_page: int,
) -> Page[Row]:
    """Take one page of a statement, in one statement.

    :param after: a page's `next`: go on to older rows.
    :param before: a page's `previous`: go back to newer rows.
    :raises InvalidCursorError: for a cursor that no page has given.
    """
    if before is not None:
        statement = statement.where(is_beyond(model, before, newer=True))
        order = (model.created_at.asc(), model.id.asc())
    else:
        if after is not None:
            statement = statement.where(is_beyond(model, after, newer=False))
        order = (model.created_at.desc(), model.id.desc())
    rows = list(db.session.scalars(statement.order_by(*order).limit(per_page + 1)))
    more = len(rows) > per_page  # the one row too many tells that there is a further page
    items = rows[:per_page]
    if before is not None:
        items.reverse()
    if not items:
        return Page([])
    return Page(
        items,
        next=cursor(items[-1]) if more or before is not None else None,
        previous=cursor(items[0]) if (more if before is not None else after is not None) else None,
    )


def cursor(row: Post | User) -> str:
    """Name a row's place: its time in microseconds, and its key for those of the same moment."""
    return f"{(row.created_at - EPOCH) // timedelta(microseconds=1)}-{row.id}"


def is_beyond(model: type[Post | User], text: str, *, newer: bool) -> ColumnElement[bool]:
    """Say that a row comes before, or after, a cursor.

    Written so that every database can walk the index on (created_at, id); a plain OR, or a
    comparison of pairs, sends one or the other through the whole table.
    """
    found = re.fullmatch(r"([0-9]{1,17})-([0-9]{1,10})", text)
    if not found or int(found[2]) > LARGEST_KEY:
        raise InvalidCursorError("This is not a cursor of these pages. Start at the first page.")
    time, key = EPOCH + timedelta(microseconds=int(found[1])), int(found[2])
    if newer:
        return and_(model.created_at >= time, or_(model.created_at > time, model.id > key))
    return and_(model.created_at <= time, or_(model.created_at < time, model.id < key))
