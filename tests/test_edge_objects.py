"""Edges as objects: found, made, and their columns set."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from flask_follows import Follows, UnknownUserError, WrongTypeError

THEN = datetime(2020, 2, 28, tzinfo=timezone.utc)


@pytest.fixture(params=["directed", "mirrored", "canonical"])
def relation(request: pytest.FixtureRequest, db: Any, make_app: Any) -> Any:
    """A relation of persons with a further column, in each storage."""

    class Person(db.Model):
        id: Mapped[int] = mapped_column(primary_key=True)

    class Bond(db.Model):
        source_id: Mapped[int] = mapped_column(sa.ForeignKey("person.id"), primary_key=True)
        target_id: Mapped[int] = mapped_column(sa.ForeignKey("person.id"), primary_key=True)
        witness_id: Mapped[int | None] = mapped_column(sa.ForeignKey("person.id"))
        since: Mapped[datetime] = mapped_column(default=lambda: datetime(2024, 1, 1))
        note: Mapped[str | None] = mapped_column(sa.String(20))
        witness = relationship(Person, foreign_keys=[witness_id])

    follows, layout = Follows(), request.param
    relation = follows.relation(
        Person,
        "others",
        Person,
        through=Bond,
        through_fields=("source_id", "target_id"),
        symmetrical=layout != "directed",
        storage=layout,
    )
    app = make_app(db)
    follows.init_app(app, db)
    with app.app_context():
        db.create_all()
        db.session.add_all(Person(id=number) for number in range(1, 5))
        db.session.commit()
        yield relation
        db.session.remove()


def rows(relation: Any, db: Any) -> list[Any]:
    """Return the columns of all rows beside their keys."""
    table = relation.edge_table.table
    return db.session.execute(sa.select(table.c.note, table.c.witness_id)).all()


def test_get_or_create(relation, db):
    """The first call makes the edge, the second returns it and writes nothing."""
    edge, made = relation.get_or_create(2, 1, note=lambda: "new")
    assert made
    assert edge.note == "new"
    again, made = relation.get_or_create(2, 1, note="other")
    assert again is edge
    assert not made
    assert set(rows(relation, db)) == {("new", None)}


def test_update_or_create(relation, db):
    """Columns of an edge that is there are set, in all its rows; objects stand for their keys."""
    witness = db.session.get(relation.source.model, 4)
    edge, made = relation.update_or_create(2, 1, note="new")
    assert made
    same, made = relation.update_or_create(2, 1, note="later", witness=witness)
    assert same is edge
    assert not made
    assert (edge.note, edge.witness) == ("later", witness)
    assert set(rows(relation, db)) == {("later", 4)}
    assert relation.update_or_create(2, 1) == (edge, False)


def test_either_way_round(relation, db):
    """A symmetrical edge is the same from both ends, a directed one is another."""
    edge, _ = relation.get_or_create(2, 1)
    back, made = relation.get_or_create(1, 2)
    assert made == (relation.storage.row((2, 1)) == (2, 1))
    assert (back is edge) != made


def test_what_is_refused(relation):
    """Unknown columns and objects are refused."""
    with pytest.raises(WrongTypeError, match=r"no column 'colour'.*witness"):
        relation.get_or_create(1, 2, colour="red")
    with pytest.raises(UnknownUserError, match="99"):
        relation.update_or_create(1, 99, note="x")
    assert relation.count(1) == 0


def test_an_edge_removed_meanwhile_is_made_again(relation, monkeypatch):
    """Where another transaction removes the edge between our two statements, it is made anew."""
    add, calls = relation.add, []

    def add_and_remove(source: Any, target: Any, **values: Any) -> bool:
        made = bool(add(source, target, **values))
        calls.append(made)
        if len(calls) == 1:
            relation.remove(source, target)
        return made

    monkeypatch.setattr(relation, "add", add_and_remove)
    _edge, made = relation.get_or_create(1, 2)
    assert made
    calls.clear()
    relation.remove(1, 2)
    _edge, made = relation.update_or_create(1, 2, note="x")
    assert made
    assert calls == [True, True]


def test_of_following(app, users, follows):
    """The follow relation has the same verbs, with a time that needs a zone."""
    ann, bob = users(2)
    edge, made = follows.follow_relation.get_or_create(ann, bob, created_at=THEN)
    assert (made, edge.created_at) == (True, THEN)
    later = THEN.replace(year=2021)
    same, made = follows.follow_relation.update_or_create(ann, bob, created_at=later)
    assert (same is edge, made, edge.created_at) == (True, False, later)
    with pytest.raises(WrongTypeError, match="time zone"):
        follows.follow_relation.update_or_create(ann, bob, created_at=datetime(2020, 1, 1))


def test_an_edge_that_is_there_wants_no_column(db, make_app):
    """To add what is there already is no error, whatever a new edge would need."""

    class Person(db.Model):
        id: Mapped[int] = mapped_column(primary_key=True)

    class Bond(db.Model):
        id: Mapped[int] = mapped_column(primary_key=True)
        source_id: Mapped[int] = mapped_column(sa.ForeignKey("person.id"))
        target_id: Mapped[int] = mapped_column(sa.ForeignKey("person.id"))
        note: Mapped[str] = mapped_column(sa.String(20))
        __table_args__ = (sa.UniqueConstraint("source_id", "target_id"),)

    follows = Follows()
    relation = follows.relation(Person, "others", Person, through=Bond)
    app = make_app(db)
    follows.init_app(app, db)
    with app.app_context():
        db.create_all()
        db.session.add_all(Person(id=number) for number in (1, 2, 3))
        assert relation.add(1, 2, note="x")
        assert not relation.add(1, 2)
        with pytest.raises(sa.exc.DBAPIError), db.session.begin_nested():
            relation.add(1, 3)
        assert relation.count(1) == 1
