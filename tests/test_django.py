"""What Django's own suites ask of many-to-many relations, asked of ours.

Each part is named after the suite whose behaviours it holds. `docs/coming-from-django.md` says
which behaviours have no counterpart here, and why. As in Django, a test is a transaction that is
rolled back, on tables that were made once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, aliased, mapped_column, relationship

from flask_follows import (
    ConfigurationError,
    Follows,
    SelfFollowError,
    UnknownUserError,
    UnsavedInstanceError,
    WrongTypeError,
    signals,
)

from .counting import count
from .databases import Database
from .recording import recorded_changes

# The models


class Numbered:
    """A key."""

    id: Mapped[int] = mapped_column(primary_key=True)


class Named(Numbered):
    """A key and a name."""

    name: Mapped[str] = mapped_column(sa.String(100))


def refer(column: str, **options: Any) -> Any:
    """Return a column that refers to another, as a through model has two or more."""
    return mapped_column(sa.ForeignKey(column, ondelete="CASCADE"), **options)


def make_press(db: SQLAlchemy, follows: Follows) -> dict[str, Any]:
    """many_to_many, m2m_multiple, m2m_intermediary: articles and what they belong to."""

    class Publication(Numbered, db.Model):
        title = mapped_column(sa.String(30))

    class Article(Numbered, db.Model):
        headline = mapped_column(sa.String(100))

    class LongArticle(Article):
        id = refer("article.id", primary_key=True)
        pages = mapped_column(sa.Integer)

    class Category(Named, db.Model):
        pass

    class Reporter(Named, db.Model):
        pass

    class Writer(Numbered, db.Model):
        reporter_id, article_id = refer("reporter.id"), refer("article.id")
        position = mapped_column(sa.String(100))
        reporter, article = relationship("Reporter"), relationship("Article")

    class Tag(db.Model):
        text = mapped_column(sa.String(30), primary_key=True)

    publications = follows.relation(
        Article, "publications", Publication, reverse="articles", order_by=Publication.title
    )
    for kind in ("primary", "secondary"):
        reverse = f"{kind}_articles"
        follows.relation(Article, f"{kind}_categories", Category, reverse=reverse)
    follows.relation(
        Reporter,
        "articles",
        Article,
        reverse="reporters",
        through=Writer,
        source_edges="writer_set",
        target_edges="writer_set",
    )
    follows.relation(Article, "tags", Tag, reverse="tagged")
    for storage in ("mirrored", "canonical"):
        named = {"symmetrical": True, "storage": storage}
        follows.relation(Article, f"{storage}_related", Article, **named)
    follows.relation(
        Article,
        "catégories",
        Category,
        table_name="article_and_category",
        foreign_keys="none",
    )
    return locals()


def make_people(db: SQLAlchemy, follows: Follows) -> dict[str, Any]:
    """m2m_recursive, m2m_through_referential: people and people."""

    class Person(Named, db.Model):
        pass

    class Friendship(Numbered, db.Model):
        first_id, second_id = refer("person.id"), refer("person.id")
        date_friended = mapped_column(sa.DateTime, default=datetime.now)
        first = relationship("Person", foreign_keys=first_id)
        second = relationship("Person", foreign_keys=second_id)

    class Relationship(Numbered, db.Model):
        another_id = refer("person.id", nullable=True)
        target_id, source_id = refer("person.id"), refer("person.id")
        another = relationship("Person", foreign_keys=another_id)
        target = relationship("Person", foreign_keys=target_id)
        source = relationship("Person", foreign_keys=source_id)

    idols = follows.relation(Person, "idols", Person, reverse="stalkers")
    relations = {"idols": idols}
    for storage in ("mirrored", "canonical"):
        named = {"symmetrical": True, "storage": storage}
        relations[storage] = follows.relation(Person, f"{storage}_friends", Person, **named)
        # As a pair that is the key, and as Django's: with a number, and nothing that is unique.
        for name, bases, is_key in (("colleagues", (), True), ("contacts", (Numbered,), False)):
            columns = {
                "__tablename__": f"{storage}_{name}",
                "first_id": refer("person.id", primary_key=is_key),
                "second_id": refer("person.id", primary_key=is_key),
                "first_meet": mapped_column(sa.Date, nullable=False),
            }
            model = type(f"{storage}_{name}", (*bases, db.Model), columns)
            relations[f"{storage}_{name}"] = follows.relation(
                Person, f"{storage}_{name}", Person, through=model, **named
            )
    fields = ("first", "second")
    follows.relation(
        Person, "admired", Person, reverse="admirers", through=Friendship, through_fields=fields
    )
    fields = ("source", "target")
    follows.relation(
        Person,
        "subordinates",
        Person,
        reverse="superiors",
        through=Relationship,
        through_fields=fields,
    )
    return locals()


def make_groups(db: SQLAlchemy, follows: Follows) -> dict[str, Any]:
    """m2m_through, m2m_and_m2o: groups, events and issues of people."""

    class Group(Named, db.Model):
        pass

    class Membership(Numbered, db.Model):
        # Without ON DELETE CASCADE, which Django's tables do not have either.
        person_id = mapped_column(sa.ForeignKey("person.id"))
        group_id = mapped_column(sa.ForeignKey("group.id"))
        date_joined = mapped_column(sa.DateTime, default=datetime.now)
        invite_reason = mapped_column(sa.String(64), nullable=True)
        person, group = relationship("Person"), relationship("Group")

    class CustomMembership(Numbered, db.Model):
        custom_person_column, custom_group_column = refer("person.id"), refer("group.id")
        weird = mapped_column(sa.Integer, nullable=True)

    class Demanding(Numbered, db.Model):
        person_id, group_id = refer("person.id"), refer("group.id")
        needed = mapped_column(sa.Integer, nullable=False)
        __table_args__ = (sa.UniqueConstraint(person_id, group_id),)

    class Event(Numbered, db.Model):
        title = mapped_column(sa.String(50))

    class Invitation(Numbered, db.Model):
        event_id = refer("event.id")
        inviter_id, invitee_id = refer("person.id"), refer("person.id")
        event = relationship("Event")
        inviter = relationship("Person", foreign_keys=inviter_id)
        invitee = relationship("Person", foreign_keys=invitee_id)

    class Issue(Numbered, db.Model):
        num = mapped_column(sa.Integer)
        client_id = refer("person.id")
        client = relationship("Person")

    members = follows.relation(
        Group,
        "members",
        "Person",
        reverse="group_set",
        through=Membership,
        source_edges="membership_set",
        target_edges="membership_set",
    )
    follows.relation(Group, "custom_members", "Person", reverse="custom", through=CustomMembership)
    follows.relation(Group, "demanding_members", "Person", reverse="demanding", through=Demanding)
    fields = ("event", "invitee")
    invitees = follows.relation(
        Event, "invitees", "Person", reverse="events", through=Invitation, through_fields=fields
    )
    follows.relation(Issue, "cc", "Person", reverse="test_issue_cc")
    return locals()


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: Any) -> Iterator[Callable[[Database], SimpleNamespace]]:
    """A function that returns the one application on a database, with all models of this module."""
    with ExitStack() as stack:
        made: dict[Database, SimpleNamespace] = {}

        def world(database: Database) -> SimpleNamespace:
            if database not in made:
                url = stack.enter_context(database.fresh(tmp_path_factory.mktemp("django")))
                made[database] = make_world(url, stack)
            return made[database]

        yield world


def make_world(url: str, stack: ExitStack) -> SimpleNamespace:
    """Make the application, its models and its tables."""
    db, follows, app = SQLAlchemy(), Follows(), Flask("tests")
    models: dict[str, Any] = {}
    for make in (make_press, make_people, make_groups):
        models |= make(db, follows)
    app.config.update(TESTING=True, SQLALCHEMY_DATABASE_URI=url)
    db.init_app(app)
    follows.init_app(app, db)
    with app.app_context():
        db.create_all()
        stack.callback(db.engine.dispose)
        engine = db.engine
    return SimpleNamespace(**{**models, "app": app, "engine": engine, "session": db.session})


@pytest.fixture
def world(database: Database, worlds: Any) -> Iterator[SimpleNamespace]:
    """The models, in a transaction that is rolled back."""
    world = worlds(database)
    with world.app.app_context():
        yield world


@pytest.fixture
def press(world: SimpleNamespace) -> SimpleNamespace:
    """Django's four publications and four articles."""
    titles = ("The Python Journal", "Science News", "Science Weekly", "Highlights for Children")
    headlines = (
        "Django lets you build web apps easily",
        "NASA uses Python",
        "NASA finds intelligent life on Earth",
        "Oxygen-free diet works wonders",
    )
    p1, p2, p3, p4 = publications = [world.Publication(title=title) for title in titles]
    a1, a2, a3, a4 = articles = [world.Article(headline=headline) for headline in headlines]
    world.session.add_all(publications + articles)
    a1.publications.add(p1)
    a2.publications.add(p1, p2, p3, p4)
    a3.publications.add(p2)
    a4.publications.add(p2)
    names = {"p1": p1, "p2": p2, "p3": p3, "p4": p4, "a1": a1, "a2": a2, "a3": a3, "a4": a4}
    return SimpleNamespace(**{**vars(world), **names})


@pytest.fixture
def people(world: SimpleNamespace) -> SimpleNamespace:
    """Four people, two groups and an event."""
    a, b, c, d = (world.Person(name=name) for name in ("anne", "bill", "chuck", "david"))
    rock, roll = world.Group(name="rock"), world.Group(name="roll")
    event = world.Event(title="Rockwhale Invitational")
    world.session.add_all([a, b, c, d, rock, roll, event])
    world.session.flush()
    names = {"a": a, "b": b, "c": c, "d": d, "rock": rock, "roll": roll, "event": event}
    return SimpleNamespace(**{**vars(world), **names})


STORAGES = pytest.mark.parametrize("storage", ["mirrored", "canonical"])


def same(collection: Any, *expected: Any) -> bool:
    """Tell whether a collection has exactly these objects, whatever their order."""
    found = list(collection)
    key = sa.inspect(expected[0]).mapper.primary_key[0].key if expected else "id"
    order = [sorted(getattr(obj, key) for obj in objs) for objs in (found, expected)]
    return order[0] == order[1] and collection.count() == len(expected)


def names(collection: Any) -> list[str]:
    """Return the names of people or groups, sorted."""
    return sorted(obj.name for obj in collection)


# many_to_many: writing


def test_adding_to_an_unsaved_object(world):
    """An object that is not in a session cannot be used, and the error says what to do."""
    article = world.Article(headline="unsaved")
    publication = world.Publication(title="saved")
    world.session.add(publication)
    with pytest.raises(UnsavedInstanceError, match=r"db\.session\.add"):
        article.publications.add(publication)
    with pytest.raises(UnsavedInstanceError):
        publication.articles.add(article)


def test_adding(press):
    """What is added is there, once, however often it is added."""
    article = press.Article(headline="Django lets you reduce your workload")
    press.session.add(article)
    assert article.publications.all() == []
    assert article.publications.add(press.p1) == 1
    assert article.publications.all() == [press.p1]
    assert article.publications.add(press.p2, press.p4) == 2
    assert article.publications.add(press.p2, press.p2.id) == 0
    assert article.publications.all() == [press.p4, press.p2, press.p1]


def test_adding_by_key_beside_objects(press):
    """Objects and keys are taken alike, by every verb that changes the collection."""
    assert press.a1.publications.add(press.p2.id, press.p3) == 2
    assert same(press.a1.publications, press.p1, press.p2, press.p3)
    assert press.a1.publications.remove(press.p2.id) == 1
    press.a1.publications.set([press.p4.id, press.p1])
    assert same(press.a1.publications, press.p1, press.p4)


@pytest.mark.parametrize("verb", ["add", "remove", "set"])
@pytest.mark.parametrize("value", ["x", "1", None, 1.5])
def test_what_is_no_key(press, verb, value):
    """A value of another type is refused and nothing is changed, not even a number as text."""
    with pytest.raises(WrongTypeError, match="Publication or its primary key"):
        getattr(press.a1.publications, verb)([value] if verb == "set" else value)
    assert press.a1.publications.all() == [press.p1]


@pytest.mark.parametrize("verb", ["add", "remove", "contains"])
def test_an_object_of_another_class(press, verb):
    """The error names the class that is expected and the object that was given."""
    with pytest.raises(WrongTypeError, match=r"expected an instance of Publication .*got Article"):
        getattr(press.a1.publications, verb)(press.a2)
    with pytest.raises(WrongTypeError, match=r"expected an instance of Article .*got Publication"):
        getattr(press.p1.articles, verb)(press.p2)


def test_a_key_that_nobody_has(press):
    """Such a key is refused, none of the others is added, and the transaction goes on."""
    with pytest.raises(UnknownUserError, match="Publication with key 1000000"):
        press.a1.publications.add(press.p2, 10**6)
    assert press.a1.publications.all() == [press.p1]


def test_something_that_is_no_collection(press):
    """To set what cannot be iterated over is an error, and clears nothing."""
    for assign in (press.a2.publications.set, lambda n: setattr(press.a2, "publications", n)):
        with pytest.raises(TypeError):
            assign(7)
    assert press.a2.publications.count() == 4


def test_adding_from_the_other_side(press):
    """The other end has the same verbs, and both see the same edges."""
    article = press.Article(headline="NASA finds intelligent life on Mars")
    press.session.add(article)
    assert press.p4.articles.add(article) == 1
    assert same(press.p4.articles, press.a2, article)
    assert article.publications.all() == [press.p4]
    made = press.p4.articles.create(headline="Carbon-free diet works wonders")
    assert same(press.p4.articles, press.a2, article, made)
    assert made.publications.all() == [press.p4]


def test_making_an_object(press):
    """`create` makes the object with its edge."""
    made = press.a1.publications.create(title="Highlights for Adults")
    assert press.a1.publications.all() == [made, press.p1]
    assert press.session.get(press.Publication, made.id) is made
    assert made.articles.all() == [press.a1]


def test_what_is_related(press):
    """Both ends are read as collections, in the order that was asked for."""
    assert press.a2.publications.all() == [press.p4, press.p2, press.p3, press.p1]
    assert same(press.p2.articles, press.a2, press.a3, press.a4)
    by_headline = press.p2.articles.order_by(press.Article.headline)
    assert by_headline.all() == [press.a3, press.a2, press.a4]
    assert press.p1.articles.all() == [press.a2, press.a1]  # else the newest edge first


def test_removing(press):
    """An edge is removed from either end, the objects stay, and what is not there is no error."""
    assert press.a4.publications.remove(press.p2) == 1
    assert same(press.p2.articles, press.a2, press.a3)
    assert press.p2.articles.remove(press.a3, press.a4) == 1
    assert press.a3.publications.all() == []
    assert press.a3.publications.remove(press.p2) == 0
    assert press.session.query(press.Article).count() == 4


@pytest.mark.parametrize("clear", [False, True])
def test_setting(press, clear):
    """`set` makes the collection exactly this, from either end, also with nothing."""
    press.p2.articles.set([press.a4, press.a3], clear=clear)
    assert same(press.p2.articles, press.a3, press.a4)
    assert press.a4.publications.all() == [press.p2]
    press.a4.publications.set([press.p3.id], clear=clear)
    assert same(press.p2.articles, press.a3)
    assert press.a4.publications.all() == [press.p3]
    press.p2.articles.set([], clear=clear)
    press.a4.publications.set([], clear=clear)
    assert not press.p2.articles
    assert not press.a4.publications


def test_setting_what_is_there(press):
    """What stays is not written again: its edge is the same row, with the same time."""
    relation = press.publications
    before = {edge.publication_id: edge.created_at for edge in relation.edges(press.a2)}
    with count([press.engine]) as counted:
        press.a2.publications.set([press.p4, press.p3.id, press.p2, press.p1])
    assert not any(line.startswith("INSERT") for line in counted.statements)
    after = {edge.publication_id: edge.created_at for edge in relation.edges(press.a2)}
    assert after == before


def test_setting_to_a_query_of_itself(press):
    """A collection may be set to a part of itself, from either end, cleared first or not."""
    part = press.a2.publications.filter(press.Publication.title.startswith("Science"))
    press.a2.publications.set(part)
    assert same(press.a2.publications, press.p2, press.p3)
    press.a2.publications.set(part, clear=True)
    assert same(press.a2.publications, press.p2, press.p3)
    press.p2.articles.set(press.p2.articles.filter(press.Article.headline.startswith("NASA")))
    assert same(press.p2.articles, press.a2, press.a3)


def test_assigning(press):
    """An assignment, which Django forbids, means `set`: of objects, keys or a query."""
    press.p2.articles = [press.a4, press.a3.id]
    assert same(press.p2.articles, press.a3, press.a4)
    press.a4.publications = press.session.query(press.Publication).filter_by(id=press.p3.id)
    assert press.a4.publications.all() == [press.p3]
    press.a4.publications = []
    assert press.a4.publications.all() == []


def test_clearing(press):
    """`clear` removes the edges of one object, from either end, and no object."""
    assert press.p2.articles.clear() == 3
    assert press.p2.articles.all() == []
    assert press.a4.publications.all() == []
    assert press.a2.publications.clear() == 3
    assert press.p1.articles.all() == [press.a1]
    assert press.a2.publications.clear() == 0
    assert press.session.query(press.Publication).count() == 4


def test_nothing_is_cached(press):
    """A collection kept from before shows what was changed since, by whatever verb."""
    kept, other = press.a1.publications, press.p2.articles
    assert (kept.all(), press.a1 in other) == ([press.p1], False)
    press.a1.publications.add(press.p2)
    assert (same(kept, press.p1, press.p2), press.a1 in other) == (True, True)
    press.p2.articles.remove(press.a1)
    assert (kept.all(), press.a1 in other) == ([press.p1], False)
    made = press.a1.publications.create(title="new")
    assert same(kept, made, press.p1)
    press.a1.publications.set([press.p3])
    assert kept.all() == [press.p3]
    press.a1.publications.clear()
    assert not kept.exists()


def test_a_collection_in_the_constructor(press):
    """A new object is not saved yet, so nothing can be assigned to its collection."""
    with pytest.raises(UnsavedInstanceError):
        press.Article(headline="new", publications=[press.p1])


# many_to_many: reading


def test_reading_by_what_is_related(press):
    """Articles are found by their publications: by key, object and column, or joined to them."""
    Article, Publication = press.Article, press.Publication
    query = press.session.query(Article).order_by(Article.headline)
    for criterion in (
        Article.publications.any(id=press.p1.id),
        Article.publications.any(Publication.id == press.p1.id),
        Article.publications.contains(press.p1),
        Article.publications.any(Publication.title == press.p1.title),
    ):
        assert query.filter(criterion).all() == [press.a1, press.a2]
    science = query.filter(Article.publications.any(Publication.title.startswith("Science")))
    assert science.all() == [press.a3, press.a2, press.a4]
    joined = query.join(Article.publications).filter(Publication.title.startswith("Science"))
    headlines = [row.headline for row in joined.with_entities(Article.headline)]
    assert headlines.count(press.a2.headline) == 2  # one for each edge, as in Django
    assert len(headlines) == 4
    assert joined.with_entities(Article.headline).distinct().count() == 3
    assert joined.distinct().all() == [press.a3, press.a2, press.a4]
    either = query.filter(Article.publications.any(Publication.id.in_([press.p1.id, press.p2.id])))
    assert either.all() == [press.a1, press.a3, press.a2, press.a4]


def test_reading_by_what_is_related_from_the_other_side(press):
    """Publications are found by their articles in the same ways."""
    Article, Publication = press.Article, press.Publication
    query = press.session.query(Publication).order_by(Publication.title)
    for criterion in (
        Publication.articles.any(id=press.a3.id),
        Publication.articles.contains(press.a3),
        Publication.articles.any(Article.headline == press.a3.headline),
    ):
        assert query.filter(criterion).all() == [press.p2]
    everything = [press.p4, press.p2, press.p3, press.p1]
    nasa = query.filter(Publication.articles.any(Article.headline.startswith("NASA")))
    assert nasa.all() == everything
    joined = query.join(Publication.articles).filter(Article.headline.startswith("NASA"))
    assert joined.with_entities(Publication.title).count() == 5
    assert joined.distinct().all() == everything
    keys = [press.a1.id, press.a2.id]
    assert query.filter(Publication.articles.any(Article.id.in_(keys))).all() == everything


def test_a_collection_inside_a_query(press):
    """A collection, or a part of it, may be a sub-query, and collections may be united."""
    Article, Publication = press.Article, press.Publication
    science = press.a2.publications.filter(Publication.title.startswith("Science"))
    keys = science.order_by(None).correlate(None).with_entities(Publication.id)
    query = press.session.query(Article).filter(Article.publications.any(Publication.id.in_(keys)))
    assert same(query, press.a2, press.a3, press.a4)
    both = press.p1.articles.order_by(None).union(press.p2.articles.order_by(None))
    assert same(both, press.a1, press.a2, press.a3, press.a4)
    titles = press.a2.publications.with_entities(Publication.title)
    assert [row.title for row in titles] == [p.title for p in press.a2.publications]


def test_counting_what_is_related_for_many(press):
    """One statement counts the articles of each publication, also of those that have none."""
    Article, Publication = press.Article, press.Publication
    empty = press.Publication(title="Without articles")
    press.session.add(empty)
    counted = press.session.query(Publication.title, sa.func.count(Article.id))
    joined = counted.outerjoin(Publication.articles).group_by(Publication.title)
    assert dict(map(tuple, joined)) == {
        "Highlights for Children": 1,
        "Science News": 3,
        "Science Weekly": 1,
        "The Python Journal": 2,
        "Without articles": 0,
    }


def test_excluding_by_what_is_related(press):
    """A negated condition leaves out each article that has such a publication at all."""
    Article = press.Article
    query = press.session.query(Article).filter(~Article.publications.contains(press.p2))
    assert query.all() == [press.a1]
    kept = press.a2.publications.exclude(press.Publication.title.startswith("Science"))
    assert kept.all() == [press.p4, press.p1]
    assert same(press.a2.publications.exclude(title="Science News"), press.p1, press.p3, press.p4)


def test_membership(press):
    """`contains` and `in` ask the database, on collections and on parts of them."""
    assert press.a1.publications.contains(press.p1)
    assert press.p1 in press.a1.publications
    assert press.p1.id in press.a1.publications
    assert press.p2 not in press.a1.publications
    part = press.a2.publications.filter(press.Publication.title.startswith("Science"))
    assert part.contains(press.p2)
    assert press.p1 not in part


def test_counting_reads_the_edges_alone(press):
    """`count` and `exists` join nothing, from either end, and agree with what is there."""
    with count([press.engine]) as counted:
        assert press.a2.publications.count() == 4
        assert press.p2.articles.exists()
        assert press.p3.articles
    assert len(counted) == 3
    assert not any(" JOIN " in line or "title" in line for line in counted.statements)
    assert press.a2.publications.filter(press.Publication.title == "Science News").count() == 1


def test_slices_and_pages(press):
    """A part of the collection is one query with a limit."""
    ordered = press.a2.publications
    assert ordered[1:3] == [press.p2, press.p3]
    assert ordered.first() is press.p4
    assert ordered.order_by(press.Publication.id.desc()).first() is press.p4
    page = press.p2.articles.page(per_page=2)
    rest = press.p2.articles.page(after=page.next, per_page=2)
    assert [*page.items, *rest.items] == press.p2.articles.all()


# many_to_many: deleting


def test_deleting_one_of_an_edge(press):
    """An object that is deleted, from either end, takes its edges and nothing else."""
    press.session.delete(press.p1)
    press.session.flush()
    assert press.a1.publications.all() == []
    assert press.session.query(press.Publication).count() == 3
    press.session.delete(press.a2)
    press.session.flush()
    assert same(press.p2.articles, press.a3, press.a4)
    assert press.session.query(press.publications.edge_table.model).count() == 2


def test_deleting_many_at_once(press):
    """A bulk DELETE on either side takes the edges of those who are gone."""
    Article, Publication = press.Article, press.Publication
    press.session.execute(sa.delete(Publication).where(Publication.title.startswith("Science")))
    assert press.session.query(Publication).order_by(Publication.id).all() == [press.p1, press.p4]
    assert press.a2.publications.all() == [press.p4, press.p1]
    assert press.a3.publications.all() == press.a4.publications.all() == []
    press.session.query(Article).filter(Article.headline.startswith("NASA")).delete()
    assert press.p1.articles.all() == [press.a1]
    assert press.p4.articles.count() == 0


def test_a_subclass_has_the_relation_too(press):
    """A class that inherits from one end has its collection, and is seen from the other end."""
    article = press.LongArticle(headline="long", pages=20)
    press.session.add(article)
    article.publications.add(press.p3)
    assert article.publications.all() == [press.p3]
    assert same(press.p3.articles, press.a2, article)
    query = press.session.query(press.LongArticle)
    assert query.filter(press.LongArticle.publications.contains(press.p3)).all() == [article]
    by_class = press.p3.articles.filter(press.Article.id.in_(sa.select(press.LongArticle.id)))
    assert by_class.ids() == [article.id]


@STORAGES
def test_a_symmetrical_relation_with_a_subclass(press, storage):
    """An object of a subclass and one of the base class are related from both ends."""
    related = f"{storage}_related"
    article = press.LongArticle(headline="long", pages=20)
    press.session.add(article)
    getattr(article, related).add(press.a1)
    assert same(getattr(press.a1, related), article)
    assert getattr(press.a1, related).remove(article) == 1
    assert same(getattr(article, related))


def test_keys_of_text(press):
    """The other class may have a key of text."""
    python, sql = press.Tag(text="python"), press.Tag(text="sql")
    press.session.add_all([python, sql])
    assert press.a1.tags.add(python, "sql") == 2
    assert press.a1.tags.remove("python") == 1
    assert press.a1.tags.ids() == ["sql"]
    assert sql.tagged.all() == [press.a1]


# get_or_create, update_or_create


def test_get_or_create(press):
    """The object of the collection is found, or made with its edge and the defaults."""
    made, created = press.a1.publications.get_or_create(title="New")
    assert created
    assert made in press.a1.publications
    assert press.a1.publications.get_or_create(title="New") == (made, False)
    defaults = {"headline": lambda: "called"}
    article, created = press.p1.articles.get_or_create(id=10**6, defaults=defaults)
    assert (article.headline, created) == ("called", True)
    assert article.publications.all() == [press.p1]
    never = {"headline": lambda: pytest.fail("called for an object that was found")}
    assert press.p1.articles.get_or_create(id=10**6, defaults=never) == (article, False)
    assert article.headline == "called"


def test_get_or_create_of_what_is_elsewhere(press):
    """An object that is not in the collection is not found; a key of its own is then violated."""
    tag = press.Tag(text="python")
    press.session.add(tag)
    press.session.flush()
    press.session.expunge(tag)  # SQLAlchemy would warn of two objects with one key
    with pytest.raises(IntegrityError):
        press.a1.tags.get_or_create(text="python")
    assert press.a1.tags.count() == 0
    assert press.a1.tags.get_or_create(text="sql")[1]


def test_update_or_create(press):
    """The object of the collection is changed, or made with its edge."""
    obj, created = press.a1.publications.update_or_create(
        title="The Python Journal", defaults={"title": lambda: "The Django Journal"}
    )
    assert (obj is press.p1, created, obj.title) == (True, False, "The Django Journal")
    obj, created = press.p2.articles.update_or_create(
        headline="none", defaults={"headline": "a"}, create_defaults={"headline": "b"}
    )
    assert (obj.headline, created) == ("b", True)
    assert obj.publications.all() == [press.p2]


# m2m_multiple, m2m_intermediary, m2m_and_m2o


def test_two_relations_between_two_classes(press):
    """They are told apart by their names, in both directions, and are not mixed."""
    sports, music, op_ed = (press.Category(name=name) for name in ("Sports", "Music", "Op-Ed"))
    press.session.add_all([sports, music, op_ed])
    press.a1.primary_categories.add(sports, music)
    press.a1.secondary_categories.add(op_ed)
    press.a2.secondary_categories.add(sports)
    assert same(press.a1.primary_categories, music, sports)
    assert same(press.a1.secondary_categories, op_ed)
    assert same(sports.primary_articles, press.a1)
    assert same(sports.secondary_articles, press.a2)
    assert same(op_ed.primary_articles)


def test_names_and_tables_of_ones_own(press):
    """A name may have letters beyond ASCII, the table any name, no foreign keys and no reverse."""
    category = press.Category(name="Économie")
    press.session.add(category)
    gained = set(dir(press.Category)) - set(dir(press.Reporter))
    assert {name for name in gained if not name.startswith("_")} == {
        "primary_articles",
        "secondary_articles",
    }
    assert press.a1.catégories.add(category) == 1
    assert press.a1.catégories.all() == [category]
    found = press.session.query(press.Article).filter(press.Article.catégories.any(name="Économie"))
    assert found.all() == [press.a1]
    table = press.Article.metadata.tables["article_and_category"]
    assert not table.foreign_keys
    with pytest.raises(UnknownUserError):
        press.a1.catégories.add(10**6)
    press.session.delete(category)
    press.session.flush()
    assert press.a1.catégories.count() == 0


def test_a_model_between_two(press):
    """Rows of the through model are added by hand, and read from both ends with their columns."""
    john = press.Reporter(name="John")
    press.session.add(john)
    rows = [
        press.Writer(reporter=john, article=press.a1, position="Main writer"),
        press.Writer(reporter=john, article=press.a2, position="Contributor"),
    ]
    press.session.add_all(rows)
    assert [row.position for row in press.a1.writer_set] == ["Main writer"]
    assert john.writer_set.filter_by(position="Contributor").one().article is press.a2
    for order in (press.Writer.position, press.Writer.position.desc()):
        positions = [row.position for row in john.writer_set.order_by(order)]
        assert positions == sorted(positions, reverse=order is not press.Writer.position)
    assert same(john.articles, press.a1, press.a2)
    assert press.a2.reporters.all() == [john]


def test_a_foreign_key_beside_the_relation(people):
    """One class may be reached by a foreign key and by a relation, and both be asked at once."""
    Issue, Person, session = people.Issue, people.Person, people.session
    first, second, third = (
        Issue(num=num, client=client) for num, client in enumerate((people.a, people.b, people.a))
    )
    session.add_all([first, second, third])
    second.cc.add(people.a, people.c)
    third.cc.add(people.c)
    query = session.query(Issue).order_by(Issue.num)
    assert query.filter_by(client=people.a).all() == [first, third]
    assert query.filter(Issue.cc.contains(people.a)).all() == [second]
    assert query.filter(Issue.cc.any(Person.name == "chuck")).all() == [second, third]
    either = sa.or_(Issue.client == people.a, Issue.cc.contains(people.a))
    assert query.filter(either).all() == [first, second, third]
    both = sa.and_(Issue.client == people.b, Issue.cc.contains(people.a))
    assert query.filter(both).all() == [second]
    assert people.c.test_issue_cc.all() == [third, second]


# m2m_recursive: from one end to the other


def test_idols_are_not_mutual(people):
    """An asymmetrical relation leads one way, and back by its own name."""
    a, b, c, d = people.a, people.b, people.c, people.d
    a.idols.add(d)
    assert same(a.idols, d)
    assert same(d.idols)
    assert same(d.stalkers, a)
    b.stalkers.add(a, c)
    assert same(a.idols, b, d)
    assert same(c.idols, b)


def test_idols_of_one_another(people):
    """Both directions may be there, and are two edges."""
    people.a.idols.add(people.d)
    people.d.idols.add(people.a)
    assert same(people.a.stalkers, people.d)
    assert same(people.d.stalkers, people.a)
    assert people.a.idols.remove(people.d) == 1
    assert same(people.d.idols, people.a)


def test_an_idol_of_oneself(people):
    """In an asymmetrical relation an object may be connected with itself."""
    people.a.idols.add(people.a)
    assert same(people.a.idols, people.a)
    assert same(people.a.stalkers, people.a)
    assert people.a.idols.clear() == 1


def test_removing_and_clearing_idols(people):
    """What is removed from one end is gone at the other; the opposite direction stays."""
    a, b, d = people.a, people.b, people.d
    a.idols.add(b, d)
    d.idols.add(a)
    assert d.stalkers.remove(a) == 1
    assert same(a.idols, b)
    assert a.stalkers.clear() == 1
    assert same(d.idols)
    assert same(a.idols, b)


def test_idols_of_idols(people):
    """The class may be joined to itself along the relation, with an alias for each step."""
    a, b, c = people.a, people.b, people.c
    a.idols.add(b)
    b.idols.add(c)
    idol = aliased(people.Person)
    two_steps = people.session.query(people.Person).join(people.Person.idols.of_type(idol))
    assert two_steps.filter(idol.idols.contains(c)).all() == [a]
    nested = people.Person.idols.any(people.Person.stalkers.any(name="bill"))
    assert people.session.query(people.Person).filter(nested).all() == [b]


# m2m_recursive: symmetrical, in both storages


@STORAGES
def test_friends_are_mutual(people, storage):
    """A friendship is there from both its ends, whoever made it, and is one edge."""
    a, b, c, d = people.a, people.b, people.c, people.d
    friends = f"{storage}_friends"
    assert getattr(a, friends).add(b, c) == 2
    assert getattr(d, friends).add(a, c) == 2
    expected = {a: (b, c, d), b: (a,), c: (a, d), d: (a, c)}
    for person, others in expected.items():
        assert same(getattr(person, friends), *others)
    assert getattr(b, friends).add(a) == 0
    assert getattr(people.Person, friends).property.viewonly


@STORAGES
def test_removing_friends(people, storage):
    """A friendship is removed from either end."""
    a, b, c, d = people.a, people.b, people.c, people.d
    friends = {person: getattr(person, f"{storage}_friends") for person in (a, b, c, d)}
    friends[a].add(b, c, d)
    friends[d].add(c)
    assert friends[b].remove(a) == 1
    assert same(friends[a], c, d)
    assert same(friends[b])
    assert friends[a].remove(c, d, b) == 2
    assert same(friends[c], d)


@STORAGES
def test_clearing_friends(people, storage):
    """To clear somebody's friends takes the friendships from both ends, and no others."""
    a, b, c, d = people.a, people.b, people.c, people.d
    friends = {person: getattr(person, f"{storage}_friends") for person in (a, b, c, d)}
    friends[a].add(b, c, d)
    friends[d].add(c)
    assert friends[a].clear() == 3
    assert same(friends[b])
    assert same(friends[c], d)
    assert friends[a].clear() == 0


@STORAGES
def test_setting_friends(people, storage):
    """The friendships of one are exchanged, at both ends."""
    a, b, c, d = people.a, people.b, people.c, people.d
    friends = {person: getattr(person, f"{storage}_friends") for person in (a, b, c, d)}
    friends[c].set([a, b])
    friends[c].set([b, d])
    assert same(friends[a])
    assert same(friends[b], c)
    friends[c].set([a], clear=True)
    assert (same(friends[b]), same(friends[a], c)) == (True, True)
    people.c.__setattr__(f"{storage}_friends", [d])
    assert (same(friends[a]), same(friends[d], c)) == (True, True)


@STORAGES
def test_friends_that_are_made(people, storage):
    """`create`, `get_or_create` and `update_or_create` befriend whom they make."""
    friends = getattr(people.b, f"{storage}_friends")
    made = friends.create(name="eve")
    assert same(getattr(made, f"{storage}_friends"), people.b)
    assert friends.get_or_create(name="eve") == (made, False)
    assert friends.update_or_create(name="eve", defaults={"name": "eva"}) == (made, False)
    other, created = friends.get_or_create(name="fred")
    assert (created, same(friends, made, other)) == (True, True)


@STORAGES
def test_a_friend_of_oneself(people, storage):
    """Where Django stores one row, we refuse: a friendship has two ends."""
    friends = getattr(people.a, f"{storage}_friends")
    with pytest.raises(SelfFollowError):
        friends.add(people.a)
    with pytest.raises(SelfFollowError):
        friends.set([people.b, people.a])
    assert same(friends)


@STORAGES
def test_queries_across_friendships(people, storage):
    """The class is filtered and joined along a friendship, in both directions."""
    a, b, c, d = people.a, people.b, people.c, people.d
    friends = f"{storage}_friends"
    getattr(b, friends).add(a, c)
    Person, session = people.Person, people.session
    attribute = getattr(Person, friends)
    query = session.query(Person).order_by(Person.name)
    assert query.filter(attribute.any(name="bill")).all() == [a, c]
    assert query.filter(attribute.contains(b)).all() == [a, c]
    assert query.filter(attribute.contains(c)).all() == [b]
    assert query.filter(~attribute.any(), Person.id.in_([a.id, b.id, c.id, d.id])).all() == [d]
    friend = aliased(Person)
    joined = query.join(attribute.of_type(friend)).filter(friend.name.in_(["anne", "chuck"]))
    assert joined.distinct().all() == [b]


@STORAGES
def test_deleting_a_friend(people, storage):
    """Who is deleted is nobody's friend any more, one by one and in bulk."""
    a, b, c, d = people.a, people.b, people.c, people.d
    friends = f"{storage}_friends"
    getattr(b, friends).add(a, c, d)
    getattr(c, friends).add(d)
    people.session.delete(a)
    people.session.flush()
    assert same(getattr(b, friends), c, d)
    people.session.execute(sa.delete(people.Person).where(people.Person.id == c.id))
    assert same(getattr(b, friends), d)
    assert same(getattr(d, friends), b)


# m2m_recursive: symmetrical through a model

FIRST_MEET = datetime(1999, 12, 31).date()
LATER = datetime(2001, 1, 1).date()
THROUGH = pytest.mark.parametrize(
    "through",
    ["mirrored_colleagues", "mirrored_contacts", "canonical_colleagues", "canonical_contacts"],
)


def meetings(people: Any, through: str) -> dict[frozenset[str], set[Any]]:
    """Return the columns of the rows of each pair of colleagues."""
    relation, found = people.relations[through], {}
    for row in people.session.query(relation.edge_table.model).populate_existing():
        keys = {
            people.session.get(people.Person, key).name for key in (row.first_id, row.second_id)
        }
        found.setdefault(frozenset(keys), set()).add(row.first_meet)
    return found


@THROUGH
def test_adding_colleagues(people, through):
    """Further columns of a friendship are the same from both its ends."""
    a, b, c = people.a, people.b, people.c
    colleagues = {person: getattr(person, through) for person in (a, b, c)}
    assert colleagues[b].add(a, c, through_defaults={"first_meet": FIRST_MEET}) == 2
    assert same(colleagues[a], b)
    assert same(colleagues[b], a, c)
    pairs = {frozenset({"anne", "bill"}): {FIRST_MEET}, frozenset({"bill", "chuck"}): {FIRST_MEET}}
    assert meetings(people, through) == pairs
    assert colleagues[a].add(b, through_defaults={"first_meet": LATER}) == 0
    assert meetings(people, through) == pairs
    assert colleagues[a].remove(b) == 1
    assert same(colleagues[b], c)


@THROUGH
def test_setting_colleagues(people, through):
    """What stays keeps its columns, what is new gets the defaults, called if they are functions."""
    a, b, c, d = people.a, people.b, people.c, people.d
    colleagues = {person: getattr(person, through) for person in (a, b, c, d)}
    colleagues[a].set([b, c], through_defaults={"first_meet": FIRST_MEET})
    colleagues[a].set([c, d], through_defaults={"first_meet": lambda: LATER})
    assert same(colleagues[b])
    assert same(colleagues[c], a)
    assert same(colleagues[d], a)
    assert meetings(people, through) == {
        frozenset({"anne", "chuck"}): {FIRST_MEET},
        frozenset({"anne", "david"}): {LATER},
    }
    assert colleagues[a].clear() == 2
    assert meetings(people, through) == {}


@THROUGH
def test_making_colleagues(people, through):
    """An object that is made gets its edge with the defaults, at both ends."""
    colleagues = getattr(people.b, through)
    made = colleagues.create(name="eve", through_defaults={"first_meet": FIRST_MEET})
    assert same(getattr(made, through), people.b)
    assert meetings(people, through) == {frozenset({"bill", "eve"}): {FIRST_MEET}}


@THROUGH
def test_asking_colleagues_by_their_edges(people, through):
    """Within a symmetrical collection, the columns of its own edges can be asked for too."""
    a, b, c = people.a, people.b, people.c
    colleagues = getattr(b, through)
    colleagues.add(a, through_defaults={"first_meet": FIRST_MEET})
    colleagues.add(c, through_defaults={"first_meet": LATER})
    getattr(c, through).add(a, through_defaults={"first_meet": LATER})
    model = people.relations[through].edge_table.model
    assert colleagues.filter(model.first_meet == LATER).all() == [c]
    assert colleagues.order_by(model.first_meet.desc()).all() == [c, a]


def test_both_halves_made_by_hand(people):
    """Two rows of a mirrored relation, one from each end, are a friendship."""
    model = people.relations["mirrored_colleagues"].edge_table.model
    for first, second in ((people.a, people.b), (people.b, people.a)):
        row = model(first_id=first.id, second_id=second.id, first_meet=FIRST_MEET)
        people.session.add(row)
    assert same(people.a.mirrored_colleagues, people.b)
    assert same(people.b.mirrored_colleagues, people.a)
    defaults = {"first_meet": LATER}
    assert people.a.mirrored_colleagues.add(people.b, through_defaults=defaults) == 0
    assert people.b.mirrored_colleagues.clear() == 1
    assert same(people.a.mirrored_colleagues)


def test_a_half_that_was_made_by_hand(people):
    """One row of a mirrored relation is seen from one end, as in Django, until it is removed."""
    relation = people.relations["mirrored_colleagues"]
    row = relation.edge_table.model(
        first_id=people.b.id, second_id=people.a.id, first_meet=FIRST_MEET
    )
    people.session.add(row)
    seen = [people.a.mirrored_colleagues.count(), people.b.mirrored_colleagues.count()]
    assert sorted(seen) == [0, 1]
    assert people.a.mirrored_colleagues.remove(people.b) == 1
    assert people.session.query(relation.edge_table.model).count() == 0


# m2m_through: what is read


def test_rows_of_a_through_model_by_hand(people):
    """Edges that are added as objects are seen from both ends, and can be got and changed."""
    Membership = people.Membership
    joined = datetime(2006, 1, 1)
    rows = [
        Membership(person=people.a, group=people.rock, date_joined=joined),
        Membership(person=people.b, group=people.rock, invite_reason="needed a bass"),
        Membership(person=people.a, group=people.roll),
    ]
    people.session.add_all(rows)
    assert same(people.rock.members, people.a, people.b)
    assert same(people.a.group_set, people.rock, people.roll)
    row = Membership.query.filter_by(person=people.b, group=people.rock).one()
    assert row.invite_reason == "needed a bass"
    row.invite_reason = "needed a drummer"
    assert people.b.membership_set.one().invite_reason == "needed a drummer"
    assert same(people.rock.membership_set.filter(Membership.date_joined == joined), rows[0])
    assert people.members.edges(people.rock).count() == 2


def test_a_group_without_members(people):
    """A collection through a model is empty where there are no rows, from both ends."""
    assert same(people.rock.custom_members)
    assert same(people.a.custom)
    assert not people.rock.members
    row = people.CustomMembership(
        custom_person_column=people.a.id, custom_group_column=people.rock.id, weird=1
    )
    people.session.add(row)
    assert same(people.rock.custom_members, people.a)
    assert same(people.a.custom, people.rock)
    assert same(people.rock.members)  # another relation of the same two classes


def test_asking_by_the_other_end_and_by_the_edge(people):
    """Objects are found by the objects that they are connected with, and by columns of edges."""
    Group, Person, Membership = people.Group, people.Person, people.Membership
    then, later = datetime(2005, 1, 1), datetime(2007, 1, 1)
    people.rock.members.add(people.a, through_defaults={"date_joined": later})
    reason = {"date_joined": then, "invite_reason": "She was just so awesome."}
    people.roll.members.add(people.b, through_defaults=reason)
    people.roll.members.add(people.a, through_defaults={"date_joined": then})
    groups = people.session.query(Group).order_by(Group.name)
    assert groups.filter(Group.members.any(name="anne")).all() == [people.rock, people.roll]
    awesome = Group.membership_set.any(invite_reason="She was just so awesome.")
    assert groups.filter(awesome).all() == [people.roll]
    recently = Person.membership_set.any(Membership.date_joined > datetime(2006, 1, 1))
    assert people.session.query(Person).filter(recently).all() == [people.a]
    joined = people.session.query(Person.name).join(Person.membership_set)
    by_date = joined.filter(Membership.date_joined <= then).order_by(Person.name)
    assert by_date.all() == [("anne",), ("bill",)]


def test_asking_a_collection_by_its_edges(people):
    """Within a collection, the columns of its own edges can be asked for and ordered by."""
    Membership = people.Membership
    for person, year in ((people.a, 2001), (people.c, 2003), (people.b, 2002)):
        defaults = {"date_joined": datetime(year, 1, 1), "invite_reason": str(year)}
        people.rock.members.add(person, through_defaults=defaults)
    people.roll.members.add(people.a, through_defaults={"date_joined": datetime(2009, 1, 1)})
    members = people.rock.members
    assert members.all() == [people.c, people.b, people.a]  # who joined last comes first
    assert members.filter(Membership.date_joined > datetime(2002, 6, 1)).all() == [people.c]
    assert members.filter(Membership.invite_reason == "2001").count() == 1
    assert members.order_by(Membership.date_joined).all() == [people.a, people.b, people.c]
    groups = people.a.group_set
    assert groups.filter(Membership.date_joined > datetime(2002, 6, 1)).all() == [people.roll]
    page = members.page(per_page=2)
    assert [edge.invite_reason for edge in page.edges] == ["2003", "2002"]


def test_several_edges_of_a_pair(people):
    """A model without a unique pair may hold several; the collection has one entry for each."""
    for year in (2001, 2002):
        row = people.Membership(
            person=people.a, group=people.rock, date_joined=datetime(year, 1, 1)
        )
        people.session.add(row)
    assert people.rock.members.count() == 2
    assert people.rock.members.ids() == [people.a.id, people.a.id]
    assert people.rock.members.distinct().order_by(people.Person.id).all() == [people.a]
    assert people.rock.members.add(people.a) == 0
    assert people.members.edges(people.rock).count() == 2
    assert people.rock.members.contains(people.a)


# m2m_through: what is written


def test_adding_with_defaults(people):
    """Further columns are filled from `through_defaults`, from either end; else by the model."""
    before = datetime.now()
    defaults = {"invite_reason": "He is good."}
    assert people.rock.members.add(people.a, people.b, through_defaults=defaults) == 2
    people.a.group_set.add(people.roll, through_defaults={"invite_reason": lambda: "called"})
    rows = people.rock.membership_set.all()
    assert [row.invite_reason for row in rows] == ["He is good."] * 2
    assert all(row.date_joined.replace(microsecond=999999) >= before for row in rows)
    assert people.roll.membership_set.one().invite_reason == "called"


def test_an_edge_that_is_there_keeps_its_columns(people):
    """To add again, with other values, changes nothing."""
    people.rock.members.add(people.a, through_defaults={"invite_reason": "first"})
    assert people.rock.members.add(people.a, through_defaults={"invite_reason": "second"}) == 0
    assert people.rock.membership_set.one().invite_reason == "first"


def test_a_column_that_there_is_not(people):
    """A misspelt column is refused and named, with those that there are, before any statement."""
    with pytest.raises(WrongTypeError, match=r"no column 'reason'.*invite_reason"):
        people.rock.members.add(people.a, through_defaults={"reason": "x"})
    with pytest.raises(WrongTypeError):
        people.rock.members.create(name="eve", through_defaults={"reason": "x"})
    with pytest.raises(WrongTypeError, match="in a dict, not as 'reason'"):
        people.rock.members.add(people.a, through_defaults="reason")
    assert people.session.query(people.Person).filter_by(name="eve").count() == 0


def test_a_related_object_among_the_defaults(people):
    """A further foreign key takes an object, by the name of its relationship, or a key."""
    people.event.invitees.add(people.a, through_defaults={"inviter": people.b})
    people.event.invitees.add(people.c, through_defaults={"inviter_id": people.b.id})
    rows = people.session.query(people.Invitation)
    assert {row.inviter for row in rows} == {people.b}


def test_a_required_column(people):
    """It is filled by every verb that makes edges, from either end."""
    collection = people.rock.demanding_members
    collection.add(people.a, through_defaults={"needed": 1})
    made = collection.create(name="eve", through_defaults={"needed": lambda: 2})
    collection.set([people.a, made, people.b], through_defaults={"needed": 3})
    fred, created = collection.get_or_create(name="fred", through_defaults={"needed": 4})
    gina, _ = collection.update_or_create(name="gina", through_defaults={"needed": 5})
    people.c.demanding.set([people.rock], through_defaults={"needed": 6})
    rows = people.session.query(people.Demanding).order_by(people.Demanding.needed)
    persons = [people.a, made, people.b, fred, gina, people.c]
    expected = [(person.id, needed) for needed, person in enumerate(persons, 1)]
    assert [(row.person_id, row.needed) for row in rows] == expected
    assert created


@pytest.mark.parametrize("verb", ["add", "create", "set", "get_or_create", "update_or_create"])
def test_a_required_column_that_is_left_out(people, verb):
    """An IntegrityError arrives, and no edge is there after the savepoint."""
    collection = people.rock.demanding_members
    do = {
        "add": lambda: collection.add(people.a),
        "create": lambda: collection.create(name="eve"),
        "set": lambda: collection.set([people.a]),
        "get_or_create": lambda: collection.get_or_create(name="eve"),
        "update_or_create": lambda: collection.update_or_create(name="eve"),
    }[verb]
    # SQLite's own transaction begins with a write, and the savepoint must lie in it.
    people.session.flush()
    with pytest.raises(IntegrityError), people.session.begin_nested():
        do()
    assert collection.count() == 0


def test_making_members(people):
    """`create` fills further columns from its defaults, from either end."""
    eve = people.rock.members.create(name="eve", through_defaults={"invite_reason": "new"})
    band = eve.group_set.create(name="band", through_defaults={"invite_reason": lambda: "own"})
    by_key = eve.membership_set.order_by(None).order_by(people.Membership.id)
    assert [row.invite_reason for row in by_key] == ["new", "own"]
    assert same(band.members, eve)


def test_setting_members(people):
    """`set` makes the members exactly these, from either end; who stays keeps the columns."""
    people.rock.members.set([people.a, people.b], through_defaults={"invite_reason": "old"})
    people.rock.members.set([people.b, people.c], through_defaults={"invite_reason": "new"})
    reasons = {row.person.name: row.invite_reason for row in people.rock.membership_set}
    assert reasons == {"bill": "old", "chuck": "new"}
    people.c.group_set.set([people.roll], through_defaults={"invite_reason": lambda: "called"})
    assert same(people.rock.members, people.b)
    assert people.c.membership_set.one().invite_reason == "called"
    people.rock.members = []
    assert same(people.rock.members)


def test_removing_members(people):
    """`remove` takes all edges of a pair, from either end."""
    for person in (people.a, people.a, people.b):
        people.session.add(people.Membership(person=person, group=people.rock))
    people.session.flush()
    assert people.rock.members.remove(people.a) == 2
    assert same(people.rock.members, people.b)
    assert people.b.group_set.remove(people.rock) == 1
    assert people.session.query(people.Membership).count() == 0


def test_removing_several_members(people):
    """The same holds for several at once, and for `clear` and `set`."""

    def fill():
        for person in (people.a, people.a, people.b):
            people.session.add(people.Membership(person=person, group=people.rock))
        people.session.flush()

    fill()
    assert people.rock.members.remove(people.a, people.b) == 3
    fill()
    assert people.rock.members.clear() == 3
    fill()
    people.rock.members.set([people.b])
    assert people.rock.members.ids() == [people.b.id]
    assert people.b.group_set.clear() == 1


def test_deleting_a_member(people):
    """Who is deleted takes the rows of the through model along."""
    people.rock.members.add(people.a, people.b)
    people.session.delete(people.a)
    people.session.flush()
    assert same(people.rock.members, people.b)
    people.session.execute(sa.delete(people.Group).where(people.Group.id == people.rock.id))
    assert people.session.query(people.Membership).count() == 0


# m2m_through: more foreign keys than two, and one class at both ends


def test_through_fields(people):
    """They decide between two foreign keys to one class, from both ends."""
    a, b, c = people.a, people.b, people.c
    people.session.add_all(
        people.Invitation(event=people.event, inviter=a, invitee=invitee) for invitee in (b, c)
    )
    assert same(people.event.invitees, b, c)
    assert same(b.events, people.event)
    assert same(a.events)
    query = people.session.query(people.Event)
    assert query.filter(people.Event.invitees.contains(b)).all() == [people.event]
    assert query.filter(people.Event.invitees.contains(a)).all() == []
    assert people.event.invitees.remove(b) == 1


def test_through_fields_of_one_class(people):
    """They decide among three foreign keys to the one class, and which end is the source."""
    a, b, c, d = people.a, people.b, people.c, people.d
    rows = [
        people.Relationship(source=a, target=b, another=None),
        people.Relationship(source=a, target=c, another=d),
    ]
    people.session.add_all(rows)
    assert same(a.subordinates, b, c)
    assert same(c.superiors, a)
    assert same(d.superiors)
    assert d.subordinates.add(a, through_defaults={"another": b}) == 1
    row = people.session.query(people.Relationship).filter_by(source=d).one()
    assert (row.target, row.another) == (a, b)


def test_one_class_through_a_model(people):
    """A relation of a class with itself through a model leads one way, by hand and by verb."""
    a, b = people.a, people.b
    assert same(a.admired)
    people.session.add(people.Friendship(first=a, second=b))
    assert same(a.admired, b)
    assert same(b.admirers, a)
    assert same(b.admired)
    assert b.admired.add(a) == 1
    assert a.admired.clear() == 1
    assert same(b.admired, a)


def make_ambiguous(db: SQLAlchemy) -> Any:
    """Map people, clubs and a through model with a foreign key too many and one too few."""

    class Person(Named, db.Model):
        pass

    class Club(Named, db.Model):
        pass

    class Seat(Numbered, db.Model):
        club_id = refer("club.id")
        holder_id, deputy_id = refer("person.id"), refer("person.id")
        club = relationship("Club")
        holder = relationship("Person", foreign_keys=holder_id)

    class Badge(Numbered, db.Model):
        holder_id = refer("person.id")

    return Person, Club, Seat, Badge


def test_ambiguous_foreign_keys(db, follows):
    """A choice among foreign keys is refused when the relation is declared, with the candidates."""
    Person, Club, Seat, Badge = make_ambiguous(db)
    with pytest.raises(ConfigurationError, match="to Person: holder_id, deputy_id"):
        follows.relation(Club, "people", Person, through=Seat)
    with pytest.raises(ConfigurationError, match="to Club: none"):
        follows.relation(Club, "people", Person, through=Badge)
    with pytest.raises(ConfigurationError, match="to Person: holder_id"):
        follows.relation(Person, "people", Person, through=Badge)


WRONG_FIELDS = {
    "unknown": (("club", "guest"), "'guest', which is no one column.*holder_id, deputy_id"),
    "turned": (("holder", "club"), "source comes first"),
    "no foreign key to it": (("club", "club_id"), "does not refer to the primary key of Person"),
    "one name": (("club",), "takes two names"),
    "one twice": (("holder", "holder"), "takes two names"),
    "a string": ("club", "takes two names"),
}


@pytest.mark.parametrize("case", WRONG_FIELDS)
def test_wrong_through_fields(db, follows, case):
    """Names that do not fit are refused when the relation is declared, and it can be mended."""
    Person, Club, Seat, _ = make_ambiguous(db)
    fields, message = WRONG_FIELDS[case]
    with pytest.raises(ConfigurationError, match=message):
        follows.relation(Club, "people", Person, through=Seat, through_fields=fields)
    assert follows.relation(Club, "people", Person, through=Seat, through_fields=("club", "holder"))


def test_names_that_clash(db, follows):
    """A name that a class has already, and a symmetrical relation with two names, are refused."""
    Person, Club, _, _ = make_ambiguous(db)
    with pytest.raises(ConfigurationError, match=r"Club\.name exists already"):
        follows.relation(Club, "name", Person)
    with pytest.raises(ConfigurationError, match=r"Club\.query exists already"):
        follows.relation(Club, "query", Person)  # before there is an application
    follows.relation(Club, "people", Person, reverse="clubs")
    with pytest.raises(ConfigurationError, match=r"Person\.clubs exists already"):
        follows.relation(Club, "guests", Person, reverse="clubs")
    with pytest.raises(ConfigurationError, match="symmetrical"):
        follows.relation(Person, "friends", Person, symmetrical=True, reverse="friends_of")
    with pytest.raises(ConfigurationError, match="both its classes must be one"):
        follows.relation(Club, "twins", Person, symmetrical=True)


# m2m_signals


@pytest.fixture
def told(world: SimpleNamespace) -> Iterator[Callable[[], list[Any]]]:
    """A function that returns what was told since it was last called.

    One change is (instance, action, keys, reverse).
    """
    with recorded_changes() as heard:

        def told() -> list[Any]:
            for change in heard:
                assert change["sender"] is world.app
            changes = [
                (change["instance"], change["action"], set(change["keys"]), change["reverse"])
                for change in heard
            ]
            heard.clear()
            return changes

        yield told


def test_signals_of_adding(people, told):
    """`add` tells the keys that are new, and nothing where none is, from either end."""
    a, b, c = people.a, people.b, people.c
    a.idols.add(b, c)
    assert told() == [(a, "add", {b.id, c.id}, False)]
    a.idols.add(b)
    assert told() == []
    a.idols.add(b, c, people.d.id)
    assert told() == [(a, "add", {people.d.id}, False)]
    b.stalkers.add(a, c)
    assert told() == [(b, "add", {c.id}, True)]


def test_signals_of_removing(people, told):
    """`remove` tells the keys that were there, which Django does not; and nothing for none."""
    a, b, c, d = people.a, people.b, people.c, people.d
    a.idols.add(b, c, d)
    told()
    a.idols.remove(b)
    a.idols.remove(b, c)
    a.idols.remove(b)
    assert told() == [(a, "remove", {b.id}, False), (a, "remove", {c.id}, False)]
    d.stalkers.remove(a, b)
    assert told() == [(d, "remove", {a.id}, True)]


def test_signals_of_clearing(people, told):
    """`clear` tells the keys too, where Django tells none, from either end."""
    a, b, c = people.a, people.b, people.c
    a.idols.add(b, c)
    b.idols.add(c)
    told()
    c.stalkers.clear()
    assert told() == [(c, "clear", {a.id, b.id}, True)]
    a.idols.clear()
    a.idols.clear()
    assert told() == [(a, "clear", {b.id}, False)]


def test_signals_of_setting(people, told):
    """`set` and assignment tell what was added and what was removed, and nothing for the rest."""
    a, b, c, d = people.a, people.b, people.c, people.d
    a.idols.add(b, c)
    told()
    a.idols.set([c, d])
    assert sorted(told(), key=lambda change: change[1]) == [
        (a, "add", {d.id}, False),
        (a, "remove", {b.id}, False),
    ]
    a.idols.set([c, d])
    assert told() == []
    a.idols.set([b], clear=True)
    assert told() == [(a, "clear", {c.id, d.id}, False), (a, "add", {b.id}, False)]
    c.stalkers = [d]
    assert told() == [(c, "add", {d.id}, True)]


def test_signals_of_making(people, told):
    """`create` and `get_or_create` tell the edge that they make, if they make one."""
    a = people.a
    made = a.idols.create(name="eve")
    assert told() == [(a, "add", {made.id}, False)]
    a.idols.get_or_create(name="eve")
    assert told() == []
    fan, _ = a.stalkers.get_or_create(name="fan")
    assert told() == [(a, "add", {fan.id}, True)]


def test_signals_through_a_model(people, told):
    """Relations through a model tell the same; rows that are added by hand tell nothing."""
    people.rock.members.add(people.a, through_defaults={"invite_reason": "x"})
    assert told() == [(people.rock, "add", {people.a.id}, False)]
    people.session.add(people.Membership(person=people.b, group=people.rock))
    people.session.flush()
    assert told() == []
    people.b.group_set.remove(people.rock)
    assert told() == [(people.b, "remove", {people.rock.id}, True)]


def test_signals_of_a_subclass(press, told):
    """An object of a subclass is the instance of the signal."""
    told()
    article = press.LongArticle(headline="long", pages=20)
    press.session.add(article)
    article.publications.add(press.p1)
    assert told() == [(article, "add", {press.p1.id}, False)]


@STORAGES
def test_signals_of_friends(people, told, storage):
    """A friendship is told once, from the side on which it was made or removed."""
    a, b, c = people.a, people.b, people.c
    friends = {person: getattr(person, f"{storage}_friends") for person in (a, b, c)}
    friends[b].add(a, c)
    assert told() == [(b, "add", {a.id, c.id}, False)]
    friends[a].add(b)
    assert told() == []
    friends[c].remove(b)
    assert told() == [(c, "remove", {b.id}, False)]
    friends[c].set([a])
    assert told() == [(c, "add", {a.id}, False)]
    friends[a].clear()
    assert told() == [(a, "clear", {b.id, c.id}, False)]


def test_a_receiver_sees_what_was_done(people):
    """The edge is there when the signal comes, and the receiver may write in the transaction."""
    seen = []

    def receive(sender: Any, instance: Any, action: str, relation: Any, **_: Any) -> None:
        seen.append((action, instance.idols.ids()))
        if action == "add" and instance is people.a:
            people.b.idols.add(people.c)

    with signals.relation_changed.connected_to(receive):
        people.a.idols.add(people.d)
        people.a.idols.remove(people.d)
    c, d = people.c.id, people.d.id
    assert seen == [("add", [d]), ("add", [c]), ("remove", [])]


# many_to_many: while others write


def test_an_edge_that_another_made_meanwhile(make_app, db, follows, database):
    """What was made after we looked is no error, and is not made twice."""

    class Person(Named, db.Model):
        pass

    relation = follows.relation(Person, "idols", Person, reverse="stalkers")
    app = make_app(db)
    follows.init_app(app, db)
    with app.app_context():
        db.create_all()
        a, b, c = (Person(name=name) for name in "abc")
        db.session.add_all([a, b, c])
        db.session.commit()
        values = {"source_id": a.id, "target_id": b.id}
        assert a.idols.count() == 0
        if database.name == "sqlite":
            db.session.rollback()  # it lets nobody write beside a transaction that has read
        with db.engine.begin() as connection:
            connection.execute(relation.edge_table.table.insert(), values)
        assert a.idols.add(b, c) == 1
        db.session.commit()
        assert same(a.idols, b, c)
