"""Questions about many objects one by one, answered from few statements.

Whoever asks about one object in a loop or a template is about to ask about the others that the
session holds. So the first question reads the answers for all of them, and the session remembers
these as :mod:`.answers` says. Nothing is loaded, flushed or held for it: where objects come and go,
or only keys are given, the third question about one object reads all of its edges, if these are
not too many.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from .answers import Answers, Known
from .chunks import chunks
from .clauses import is_parameter, is_whole
from .keys import folded
from .reads import End
from .statements import Pair
from .streams import flush

__all__ = ["BATCH", "COUNTED", "PATIENCE", "WHOLE", "Questions"]

# Objects asked about in one statement, in both directions: below any database's limit on bound
# parameters, and below the lengths where MariaDB makes a table of a list.
BATCH = 450
# For counts fewer, since each costs as many index entries as it is high.
COUNTED = 100
# From this unanswered question on, all edges of an object are read, if they are no more than this.
PATIENCE, WHOLE = 3, 2000


class Questions:
    """Asks about the edges of one relation.

    :ivar reads_ahead: whether answers are remembered, and read ahead: only where an edge is one
        row, and asked for in loops.
    """

    reads_ahead = False

    def __init__(self, forward: End, backward: End) -> None:
        self._asked = _Asked(forward), _Asked(backward)
        self._is_exact = forward.near.is_exact and forward.far.is_exact

    def contains(self, session: Session, pair: Pair, *, reverse: bool) -> bool:
        """Tell whether there is an edge between the keys of a source and a target.

        :param reverse: the next questions are rather about other sources than other targets.
        """
        answers = self._answers(session)
        if answers is None:
            return self._asked[0].end.contains(session, *pair)
        if session.autoflush:
            flush(session)  # forgets all answers, if there is anything to flush
        known = answers.about(self)
        answer = known.edges.get(pair)
        if answer is None:
            return self._find_out(session, answers, known, pair, reverse)
        if answers.unused:
            answers.hit()
        return answer

    def count(self, session: Session, key: Any, *, reverse: bool) -> int:
        """Return the number of edges of a source (or, reversed, target)."""
        answers = self._answers(session)
        if answers is None:
            return self._asked[reverse].end.count(session, key)
        if session.autoflush:
            flush(session)
        known = answers.about(self)
        count = known.counts.get((reverse, key))
        if count is None:
            return self._count(session, answers, known, key, reverse)
        if answers.unused:
            answers.hit()
        return count

    def both_ways(
        self, session: Session, near: Any, keys: Sequence[Any]
    ) -> tuple[set[Any], set[Any]]:
        """Return which of some objects one has edges to, and which have one to it.

        One statement for each :data:`BATCH` of them. The database is always asked; the session
        remembers what it said.
        """
        forward, backward = (asked.end for asked in self._asked)
        connection = forward.edges.connection(session)
        answers = self._answers(session)
        asked = [key for key in keys if forward.far.can_hold(key, connection.dialect)]
        if not forward.near.can_hold(near, connection.dialect):
            asked = []
        there: set[Any] = set()
        back: set[Any] = set()
        for chunk in chunks(asked, BATCH):
            rows: Any = connection.execute(self._both_ways, {"near": near, "far": chunk})
            for key, is_back in rows:
                (back if is_back else there).add(key)
        if not self._is_exact and not _tells_apart(asked, there | back):
            # The database takes other spellings for the same keys: each is a question of its own.
            there = {key for key in asked if forward.contains(session, near, key)}
            back = {key for key in asked if backward.contains(session, near, key)}
        if answers is not None:
            known = answers.about(self)
            known.edges.update(((near, key), key in there) for key in keys)
            known.edges.update(((key, near), key in back) for key in keys)
        return there, back

    def correct(self, session: Session, pairs: Iterable[Pair], there: bool) -> None:
        """Have a session know what a write of ours has done: the edges are there now, or not."""
        answers = self._answers(session)
        if answers is None:
            return
        if self._is_exact:
            answers.correct(self, pairs, there)
        else:
            answers.forget_about(self)  # there may be answers under another spelling

    def forget(self, session: Session) -> None:
        """Have a session forget all answers, after a write of ours that changed many edges."""
        answers = self._answers(session)
        if answers is not None:
            answers.forget_about(self)

    def _answers(self, session: Session) -> Answers | None:
        return Answers.of(session) if self.reads_ahead else None

    def _find_out(
        self, session: Session, answers: Answers, known: Known, pair: Pair, reverse: bool
    ) -> bool:
        """Ask the database: for this edge, and for others of the object that stays the same."""
        reverse = _is_reverse(known, pair, reverse)
        asked, near, far = self._asked[reverse], pair[reverse], pair[not reverse]
        end, side = asked.end, known.side((reverse, near))
        side.misses += 1
        if side.misses == PATIENCE and self._is_exact:
            side.whole = asked.whole(session, near)
        if side.whole is not None:
            answers.hit()
            return known.edges.setdefault(pair, far in side.whole)

        def is_known(key: Any) -> bool:
            pair = (key, near) if reverse else (near, key)
            return pair in known.edges or key in (far, near)

        keys = side.ahead(session, end.far, answers.most(side, BATCH), is_known)
        answers.unused |= bool(keys)
        found = asked.among(session, near, [far, *keys]) if keys else None
        if found is None:
            there = known.edges[pair] = end.contains(session, near, far)
            return there
        known.edges.update(
            ((key, near) if reverse else (near, key), key in found) for key in (far, *keys)
        )
        return far in found

    def _count(
        self, session: Session, answers: Answers, known: Known, key: Any, reverse: bool
    ) -> int:
        """Ask the database: for this count, and for those of other objects."""
        asked, side = self._asked[reverse], known.side(("counts", reverse))
        side.misses += 1

        def is_known(other: Any) -> bool:
            return other == key or (reverse, other) in known.counts

        keys = side.ahead(session, asked.end.near, answers.most(side, COUNTED), is_known)
        answers.unused |= bool(keys)
        found = asked.counts(session, [key, *keys]) if keys else None
        if found is None:
            count = known.counts[reverse, key] = asked.end.count(session, key)
            return count
        known.counts.update(((reverse, other), found.get(other, 0)) for other in (key, *keys))
        return found.get(key, 0)

    @cached_property
    def _both_ways(self) -> sa.CompoundSelect[Any]:
        return sa.union_all(
            *(
                asked.select_among.add_columns(sa.literal_column(str(number)))
                for number, asked in enumerate(self._asked)
            )
        )


class _Asked:
    """The statements about many objects, as seen from one end; built once."""

    def __init__(self, end: End) -> None:
        self.end = end
        self._is_exact = end.near.is_exact and end.far.is_exact

    def among(self, session: Session, near: Any, keys: Sequence[Any]) -> set[Any] | None:
        """Return which of some keys an object has edges to, the first of which was asked for.

        :return: None where the answer would not be sure.
        """
        end, connection = self.end, self.end.edges.connection(session)
        dialect = connection.dialect
        if not (end.near.can_hold(near, dialect) and end.far.can_hold(keys[0], dialect)):
            return None
        found = set(connection.scalars(self.select_among, {"near": near, "far": keys}))
        # The database may take other spellings for the same keys, which we could not tell.
        return found if self._is_exact or found <= set(keys) else None

    def counts(self, session: Session, keys: Sequence[Any]) -> dict[Any, int] | None:
        """Return the numbers of edges of some objects, except for zero; None as :meth:`among`."""
        connection = self.end.edges.connection(session)
        if not self.end.near.can_hold(keys[0], connection.dialect):
            return None
        found = dict(tuple(row) for row in connection.execute(self._counts, {"near": keys}))
        return found if self._is_exact or found.keys() <= set(keys) else None

    def whole(self, session: Session, near: Any) -> set[Any] | None:
        """Return the keys of all objects that one has edges to, None for too many."""
        connection = self.end.edges.connection(session)
        if not self.end.near.can_hold(near, connection.dialect):
            return None
        found = connection.scalars(self._whole, {"near": near, "limit": WHOLE + 1}).all()
        return set(found) if len(found) <= WHOLE else None

    @cached_property
    def select_among(self) -> sa.Select[Any]:
        """Select the far keys of an object's edges to some of several."""
        end, far = self.end, self.end.far_column
        one_of = sa.bindparam("far", type_=far.type, expanding=True)
        return sa.select(far).where(is_parameter("near", end.near_column), far.in_(one_of))

    @cached_property
    def _counts(self) -> sa.Select[Any]:
        near, far = self.end.near_column, self.end.far_column
        one_of = sa.bindparam("near", type_=near.type, expanding=True)
        count: Any = sa.select(near, sa.func.count()).where(near.in_(one_of), *is_whole(far))
        counts: sa.Select[Any] = count.group_by(near)
        return counts

    @cached_property
    def _whole(self) -> sa.Select[Any]:
        end, limit = self.end, sa.bindparam("limit", type_=sa.Integer)
        return sa.select(end.far_column).where(is_parameter("near", end.near_column)).limit(limit)


def _tells_apart(asked: Sequence[Any], found: set[Any]) -> bool:
    """Tell whether a database has taken each of some keys for a key of its own."""
    return found <= set(asked) and len(set(map(folded, asked))) == len(asked)


def _is_reverse(known: Known, pair: Pair, expected: bool) -> bool:
    """Tell whether it is the target that stays the same, while sources change.

    By the last question, or by who has been asked about before; else as expected.
    """
    last, known.last = known.last, pair
    one, other = pair[expected], pair[not expected]
    if last is not None and last[expected] != one and last[not expected] == other:
        return not expected
    sides = known.sides
    is_new = (True, one) not in sides and (False, one) not in sides
    if is_new and ((True, other) in sides or (False, other) in sides):
        return not expected
    return expected
