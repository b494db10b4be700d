"""Declaring relations: what is made of it, when, and what is refused."""

from __future__ import annotations

import gc
import weakref
from contextlib import nullcontext
from typing import Any, ClassVar

import pytest
import sqlalchemy as sa
from flask import current_app
from flask_login import UserMixin
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import orm
from sqlalchemy.orm import Mapped, mapped_column, relationship

from flask_follows import (
    ConfigurationError,
    Follows,
    FollowsError,
    Relation,
    SelfFollowError,
    UnknownUserError,
    WrongTypeError,
)

from .models import BASES
from .recording import recorded_changes


@pytest.fixture
def plain() -> Follows:
    """A `Follows` that knows nothing yet."""
    return Follows()


def model(db: Any, name: str, **members: Any) -> Any:
    """Map a model with a key and a title."""
    columns = {
        "__annotations__": {"id": Mapped[int], "title": Mapped[str]},
        "id": mapped_column(primary_key=True),
        "title": mapped_column(sa.String(50), default="untitled"),
    }
    return type(name, (db.Model,), {**columns, **members})


@pytest.fixture
def Article(db: Any) -> Any:
    """One class."""
    return model(db, "Article")


@pytest.fixture
def Publication(db: Any) -> Any:
    """Another class."""
    return model(db, "Publication")


@pytest.fixture
def start(db: Any, make_app: Any, plain: Follows) -> Any:
    """`start()`: an application with all tables, in its context, without users."""
    contexts = []

    def start(**config: Any) -> Any:
        app = make_app(db, **config)
        plain.init_app(app, db)
        context = app.app_context()
        context.push()
        contexts.append(context)
        db.create_all()
        return db.session

    yield start
    for context in contexts:
        db.session.remove()
        context.pop()


# What is made


def test_the_table(start, plain, Article, Publication, db):
    """Columns are named after the classes, and every constraint and index has its name."""
    relation = plain.relation(Article, "publications", Publication, reverse="articles")
    table = relation.edge_table.table
    assert [column.name for column in table.c] == ["article_id", "publication_id", "created_at"]
    start()
    inspector = sa.inspect(db.engine)
    assert sorted(inspector.get_table_names()) == ["article", "article_publications", "publication"]
    assert [index["name"] for index in inspector.get_indexes("article_publications")] == [
        "ix_article_publications_publication"
    ]
    keys = inspector.get_foreign_keys("article_publications")
    assert {(key["name"], key["options"]["ondelete"]) for key in keys} == {
        ("fk_article_publications_article_id", "CASCADE"),
        ("fk_article_publications_publication_id", "CASCADE"),
    }
    assert not inspector.get_check_constraints("article_publications")


def test_one_class_has_a_source_and_a_target(start, plain, Article, db):
    """A relation of a class with itself calls its columns source and target."""
    plain.relation(Article, "cited", Article, reverse="citing", table_name="citations")
    plain.relation(Article, "twins", Article, symmetrical=True, storage="canonical")
    plain.relation(Article, "kin", Article, reverse="kin_of", allow_self=False)
    start()
    inspector = sa.inspect(db.engine)
    columns = [column["name"] for column in inspector.get_columns("citations")]
    assert columns == ["source_id", "target_id", "created_at"]
    checks = [
        check["name"]
        for name in ("citations", "article_twins", "article_kin")
        for check in inspector.get_check_constraints(name)
    ]
    assert checks == ["ck_article_twins_ordered", "ck_article_kin_not_self"]
    indexes = {index["name"] for index in inspector.get_indexes("article_twins")}
    assert indexes == {"ix_article_twins_source", "ix_article_twins_target"}


def test_a_name_of_several_words(plain, db):
    """`BlogPost` becomes `blog_post_id`."""
    post, tag = model(db, "BlogPost"), model(db, "HTMLTag")
    table = plain.relation(post, "tags", tag).edge_table.table
    assert [column.name for column in table.c][:2] == ["blog_post_id", "html_tag_id"]
    assert table.name == "blog_post_tags"


def test_both_ends(start, plain, Article, Publication):
    """Both classes gain their collection, in the order of the edges."""
    relation = plain.relation(Article, "publications", Publication, reverse="articles")
    session = start()
    article, (first, second) = Article(), (Publication(), Publication())
    session.add_all([article, first, second])
    assert article.publications.add(first) == 1
    assert article.publications.add(first, second) == 1
    assert article.publications.all() == [second, first]
    assert first.articles.all() == [article]
    assert relation.contains(article, second)
    assert relation.count(second, reverse=True) == 1
    article.publications = [second]
    assert not first.articles
    assert session.scalars(
        sa.select(Article).where(Article.publications.any(Publication.id == second.id))
    ).all() == [article]


def test_no_reverse(start, plain, Article, Publication):
    """Without `reverse` the other class gains nothing."""
    plain.relation(Article, "publications", Publication)
    start()
    assert not hasattr(Publication, "articles")
    assert not hasattr(Publication(), "publications")


def test_the_edges_of_both_ends(start, plain, Article, Publication):
    """Edge rows are reached from both ends, and may be written through their sets."""
    relation = plain.relation(
        Article, "publications", Publication, source_edges="issues", target_edges="issues_of"
    )
    session = start()
    article, first, second = Article(), Publication(), Publication()
    session.add_all([article, first, second])
    article.publications.add(first, second)
    edges = article.issues.all()
    assert [edge.publication for edge in edges] == [second, first]
    assert first.issues_of.one() is edges[1]
    assert relation.edges(article).all() == edges
    assert relation.edges(second, reverse=True).all() == [edges[0]]
    assert str(edges[1]) == f"{article} -> {first}"
    assert repr(edges[1]) == f"<Edge {article.id} -> {first.id}>"
    article.issues.remove(edges[0])
    session.flush()
    assert article.publications.all() == [first]
    Edge = relation.Edge
    session.add(Edge(article=article, publication=second))
    assert article.publications.count() == 2
    assert Edge.query.count() == 2


def test_another_order(start, plain, Article, Publication):
    """`order_by` orders the collection, and what is filtered from it; a page refuses."""
    plain.relation(
        Article, "publications", Publication, order_by=lambda: Publication.title, reverse="articles"
    )
    session = start()
    article, titles = Article(), ["c", "a", "b"]
    publications = [Publication(title=title) for title in titles]
    session.add_all([article, *publications])
    article.publications.add(*publications)
    expected = sorted(publications, key=lambda publication: publication.title)
    assert article.publications.all() == expected
    assert article.publications.ids() == [publication.id for publication in expected]
    assert session.scalars(article.publications.select()).all() == expected
    assert article.publications.filter(Publication.title > "a").all() == expected[1:]
    for collection in article.publications, article.publications.filter_by(title="a"):
        with pytest.raises(ValueError, match="order of the edges"):
            collection.page()
    assert publications[0].articles.page().items == [article]


@pytest.mark.parametrize("order", ["column", "columns"])
def test_an_order_given_as_columns(start, plain, Article, Publication, order):
    """Columns that are there already need no function."""
    given = Publication.title.desc()
    plain.relation(
        Article, "publications", Publication, order_by=given if order == "column" else [given]
    )
    session = start()
    article, first, second = Article(), Publication(title="a"), Publication(title="b")
    session.add_all([article, first, second])
    article.publications.add(second, first)
    assert article.publications.all() == [second, first]


def test_several_relations_of_one_class(start, plain, db, Article):
    """They do not see each other's edges."""
    User = model(db, "User")
    plain.relation(User, "topics", Article, reverse="followers")
    plain.relation(User, "friends", User, symmetrical=True)
    plain.relation(User, "blocked", User, reverse="blocked_by")
    session = start()
    ann, bob, topic = User(), User(), Article()
    session.add_all([ann, bob, topic])
    ann.topics.add(topic)
    ann.friends.add(bob)
    bob.blocked.add(ann)
    assert (ann.topics.count(), ann.friends.count(), ann.blocked.count()) == (1, 1, 0)
    assert topic.followers.all() == bob.friends.all() == bob.blocked.all() == [ann]
    session.delete(ann)
    session.flush()
    assert not bob.friends
    assert not bob.blocked
    assert not topic.followers


def test_relations_beside_following(db, make_app, plain, Article):
    """Users follow each other, and topics beside."""

    class User(UserMixin, db.Model):
        id: Mapped[int] = mapped_column(primary_key=True)

    plain.relation(User, "topics", Article, reverse="followers")
    app = make_app(db)
    plain.init_app(app, db, User)
    with app.app_context():
        db.create_all()
        ann, bob, topic = User(), User(), Article()
        db.session.add_all([ann, bob, topic])
        assert ann.follow(bob)
        assert ann.topics.add(topic) == 1
        assert bob.followers.all() == topic.followers.all() == [ann]


@pytest.mark.parametrize("base", BASES)
def test_every_model_base(base, make_app, plain):
    """A relation works on every model base that Flask-SQLAlchemy offers."""
    db = BASES[base]()
    key = {"init": False} if "dataclass" in base else {}

    class Left(db.Model):
        id: Mapped[int] = mapped_column(primary_key=True, **key)

    class Right(db.Model):
        id: Mapped[int] = mapped_column(primary_key=True, **key)

    plain.relation(Left, "rights", Right, reverse="lefts")
    app = make_app(db)
    plain.init_app(app, db)
    with app.app_context():
        db.create_all()
        left, right = Left(), Right()
        db.session.add_all([left, right])
        assert left.rights.add(right) == 1
        assert right.lefts.all() == [left]


# When it is made


def test_classes_by_name(start, plain, db):
    """Names are looked up as soon as their classes are mapped, and the database is known."""
    relation = plain.relation("Article", "publications", "Publication", reverse="articles")
    assert repr(relation) == "<Relation publications: not mapped yet>"
    with pytest.raises(ConfigurationError, match=r"waits for a class.*Article or Publication"):
        relation.count(1)
    with pytest.raises(AttributeError):
        _ = relation.nothing
    Article, Publication = model(db, "Article"), model(db, "Publication")
    session = start()
    assert repr(relation) == "<Relation publications: Article -> Publication>"
    article, publication = Article(), Publication()
    session.add_all([article, publication])
    assert article.publications.add(publication) == 1


def test_a_name_that_is_mapped_after_the_application(plain, db, make_app):
    """A name may be mapped last of all, and the table is there at once."""
    Article = model(db, "Article")
    relation = plain.relation(Article, "publications", "Publication")
    app = make_app(db)
    plain.init_app(app, db)
    assert "article_publications" not in db.metadata.tables
    model(db, "Publication")
    assert relation.target.model.__name__ == "Publication"
    assert "article_publications" in db.metadata.tables


def test_a_name_of_another_database_object(plain, db):
    """Beside a class, a name means a model of the same database object."""
    Article, other = model(db, "Article"), SQLAlchemy()
    relation = plain.relation(Article, "publications", "Publication")
    model(other, "Publication")
    assert "not mapped yet" in repr(relation)
    Publication = model(db, "Publication")
    assert relation.target.model is Publication


def test_nothing_is_configured(plain, db):
    """A relationship that cannot be resolved yet does no harm."""
    Article = model(db, "Article", author=orm.relationship("Author"))
    plain.relation(Article, "publications", model(db, "Publication"), reverse="articles")
    assert not orm.class_mapper(Article, configure=False).configured


def test_classes_that_are_configured_already(start, plain, db, Article, Publication):
    """A relation may come after the mappers have been configured."""
    db.Model.registry.configure()
    plain.relation(
        Article,
        "publications",
        Publication,
        reverse="articles",
        source_edges="issues",
        target_edges="issues_of",
    )
    session = start()
    article, publication = Article(), Publication()
    session.add_all([article, publication])
    article.publications.add(publication)
    assert article.issues.one().publication is publication
    assert publication.issues_of.one().article is article


def test_the_same_declaration_again(plain, Article, Publication):
    """A factory may declare a relation again: it is the same one, on any `Follows`."""
    declare = {"reverse": "articles"}
    relation = plain.relation(Article, "publications", Publication, **declare)
    assert plain.relation(Article, "publications", Publication, **declare) is relation
    assert Follows().relation(Article, "publications", Publication, **declare) is relation
    named = plain.relation("Article", "others", "Publication")
    assert plain.relation("Article", "others", "Publication") is named


def test_the_same_declaration_by_name_again(start, plain, db):
    """So it is for names, once they have been found."""
    relation = plain.relation("Article", "others", "Publication")
    model(db, "Article"), model(db, "Publication")
    start()
    assert plain.relation("Article", "others", "Publication") is relation
    assert isinstance(relation, Relation)


def test_a_session_before_the_application(plain, Article, Publication):
    """Keys alone need `init_app`, which brings the session."""
    relation = plain.relation(Article, "publications", Publication)
    with pytest.raises(ConfigurationError, match="init_app"):
        relation.add(1, 2)


def test_a_relation_is_not_kept_alive():
    """A database object with its models and relations goes when nobody has it any more."""

    def make() -> Any:
        db, follows = SQLAlchemy(), Follows()
        Article = model(db, "Article")
        follows.relation(Article, "publications", "Publication", reverse="articles")
        model(db, "Publication")
        return weakref.ref(Article)

    article = make()
    gc.collect()
    assert article() is None


# What is refused


def test_a_name_that_is_taken(plain, db):
    """Neither a column nor a method of the host's is overwritten, and nothing is made."""
    Article, Publication = model(db, "Article"), model(db, "Publication")
    for options in (
        {"name": "title"},
        {"name": "metadata"},
        {"name": "publications", "reverse": "title"},
        {"name": "publications", "source_edges": "id"},
        {"name": "publications", "target_edges": "id"},
    ):
        with pytest.raises(ConfigurationError, match="exists already"):
            plain.relation(Article, target=Publication, **options)
    assert set(db.metadata.tables) == {"article", "publication"}
    assert not hasattr(Article, "publications")


def test_a_table_that_is_there(plain, db, Article, Publication):
    """A table of the same name is refused, with both ways out."""
    sa.Table("article_publications", db.metadata, sa.Column("id", sa.Integer, primary_key=True))
    with pytest.raises(ConfigurationError, match=r"table_name=.*through="):
        plain.relation(Article, "publications", Publication)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"symmetrical": True}, "both its classes must be one"),
        ({"storage": "mirrored"}, "symmetrical=False"),
        ({"storage": "somewhere"}, "storage must be one of"),
        ({"through_fields": ("a", "b")}, "no through model"),
        ({"name": "two words"}, "name must be the name of an attribute"),
        ({"reverse": ""}, "reverse must be the name of an attribute"),
        ({"name": None}, "name must be the name of an attribute, not None"),
        ({"target": 7}, "target must be a mapped class or its name"),
        ({"target": int}, "int is not mapped"),
        ({"source": ""}, "source must be"),
        ({"source_edges": "publications"}, "one name to two things"),
        ({"reverse": "x", "target_edges": "x"}, "one name to two things"),
        ({"target": "Article", "reverse": "publications"}, "one name to two things"),
    ],
)
def test_what_makes_no_sense(plain, Article, Publication, options, message):
    """Each wrong use has its own message."""
    declared = {"source": Article, "name": "publications", "target": Publication, **options}
    with pytest.raises(ConfigurationError, match=message):
        plain.relation(**declared)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"storage": "directed"}, "symmetrical=True"),
        ({"reverse": "others"}, "has no reverse"),
        ({"target_edges": "others"}, "has no target_edges"),
        ({"allow_self": True}, "no meaning"),
        ({"source_edges": "friends"}, "one name to two things"),
    ],
)
def test_what_makes_no_sense_of_friends(plain, Article, options, message):
    """A symmetrical relation has no other end."""
    with pytest.raises(ConfigurationError, match=message):
        plain.relation(Article, "friends", Article, symmetrical=True, **options)


def test_a_table_name_beside_a_through_model(plain, db, Article):
    """A through model has its own."""
    with pytest.raises(ConfigurationError, match="its own table_name"):
        plain.relation(Article, "others", Article, through="Edge", table_name="edges")


def test_two_databases(plain, db, Article):
    """Classes of different bind keys cannot be joined."""
    Publication = model(db, "Publication", __bind_key__="other")
    with pytest.raises(ConfigurationError, match="two databases"):
        plain.relation(Article, "publications", Publication)


def test_models_of_another_database_object(plain, db, make_app):
    """A relation belongs to the database object of its `Follows`."""
    other = SQLAlchemy()
    plain.relation(model(other, "Article"), "publications", model(other, "Publication"))
    with pytest.raises(ConfigurationError, match="another SQLAlchemy object"):
        plain.init_app(make_app(db), db)


def test_an_ambiguous_name(plain, db, Article):
    """Two models of one name are told."""
    # Kept, since a registry does not keep them.
    models = [
        model(db, "Publication", __module__=module, __tablename__=module)
        for module in ("one", "two")
    ]
    with pytest.raises(ConfigurationError, match=f"{len(models)} models named 'Publication'"):
        plain.relation(Article, "publications", "Publication")
    assert not hasattr(Article, "publications")


def test_oneself(start, plain, Article):
    """An object may be connected with itself unless that is refused."""
    plain.relation(Article, "cited", Article, reverse="citing")
    plain.relation(Article, "kin", Article, allow_self=False)
    session = start()
    article = Article()
    session.add(article)
    assert article.cited.add(article) == 1
    assert article.citing.all() == [article]
    with pytest.raises(ValueError, match="cannot be connected with itself"):
        article.kin.add(article)


def test_several_that_wait_for_one_class(plain, db):
    """Each is resolved when the class comes, though to resolve one maps a class of its own."""
    User = model(db, "User")
    waiting = [plain.relation(User, name, "Topic") for name in ("one", "two", "three")]
    Topic = model(db, "Topic")
    assert [relation.target.model for relation in waiting] == [Topic] * 3


def test_factories_with_a_follows_each(db, make_app, Article, Publication):
    """A factory may make a `Follows` for each application, by class and by name."""
    relations = []
    for _ in range(2):
        follows = Follows()
        relations.append(follows.relation(Article, "publications", Publication))
        relations.append(follows.relation("Publication", "articles", "Article"))
        follows.init_app(make_app(db), db)
    assert relations[0] is relations[2]
    assert relations[1].storage is relations[3].storage


def test_a_follows_that_never_had_an_application(db, make_app, start, plain, Article, Publication):
    """The relation serves the `Follows` that has one."""
    Follows().relation(Article, "publications", Publication)
    relation = plain.relation(Article, "publications", Publication)
    session = start()
    article, publication = Article(), Publication()
    session.add_all([article, publication])
    session.flush()
    assert relation.add(article.id, publication.id)
    session.delete(publication)
    session.flush()
    assert article.publications.count() == 0


def test_the_same_declaration_with_other_options(plain, Article):
    """It is not the same."""
    plain.relation(Article, "others", Article)
    with pytest.raises(ConfigurationError, match="other options"):
        plain.relation(Article, "others", Article, allow_self=False)


def test_a_class_of_ours_is_no_class_of_that_name(plain, db, Article):
    """A host's `Edge` that is still to come is not taken for one of ours."""
    plain.relation(Article, "others", Article)
    relation = plain.relation(Article, "more", Article, through="Edge")
    assert "not mapped yet" in repr(relation)


def test_options_of_a_table_beside_a_through_model(plain, Article):
    """A through model brings its own table, keys and indexes."""
    for options in {"foreign_keys": "none"}, {"forward_index": True}:
        with pytest.raises(ConfigurationError, match=f"its own {next(iter(options))}"):
            plain.relation(Article, "others", Article, through="Bond", **options)
    with pytest.raises(ConfigurationError, match='must be "both" or "none"'):
        plain.relation(Article, "others", Article, foreign_keys="None")


def test_classes_whose_keys_say_too_little(plain, db, Article):
    """Another key than the table's, or a part of a table, cannot be told apart by an edge."""

    class Person(db.Model):
        id: Mapped[int] = mapped_column(primary_key=True)
        number: Mapped[int] = mapped_column(unique=True)
        kind: Mapped[str] = mapped_column(sa.String(10))
        __mapper_args__: ClassVar[Any] = {"primary_key": [number]}

    class Animal(db.Model):
        id: Mapped[int] = mapped_column(primary_key=True)
        kind: Mapped[str] = mapped_column(sa.String(10))
        __mapper_args__: ClassVar[Any] = {
            "polymorphic_on": "kind",
            "polymorphic_identity": "animal",
        }

    class Cat(Animal):
        __mapper_args__: ClassVar[Any] = {"polymorphic_identity": "cat"}

    for target, message in (Person, "another primary key"), (Cat, "shares the table of Animal"):
        with pytest.raises(ConfigurationError, match=message):
            plain.relation(Article, "others", target)


def test_a_part_of_a_table_holds_no_edges(plain, db, Article):
    """A subclass as the through model would read and delete its siblings' rows."""

    class Link(db.Model):
        id: Mapped[int] = mapped_column(primary_key=True)
        kind: Mapped[str] = mapped_column(sa.String(10))
        one_id: Mapped[int] = mapped_column(sa.ForeignKey("article.id"))
        other_id: Mapped[int] = mapped_column(sa.ForeignKey("article.id"))
        __mapper_args__: ClassVar[Any] = {"polymorphic_on": "kind", "polymorphic_identity": "link"}

    class Like(Link):
        __mapper_args__: ClassVar[Any] = {"polymorphic_identity": "like"}

    with pytest.raises(ConfigurationError, match="subclass of another model"):
        plain.relation(Article, "likes", Article, through=Like)


def test_a_concrete_subclass_has_keys_of_its_own(start, plain, db, Article):
    """Its objects are none of the base class's table."""

    class Animal(db.Model):
        id: Mapped[int] = mapped_column(primary_key=True)

    class Cat(Animal):
        __tablename__ = "cat"
        id: Mapped[int] = mapped_column(primary_key=True)
        __mapper_args__: ClassVar[Any] = {"concrete": True}

    plain.relation(Article, "animals", Animal)
    session = start()
    article, cat = Article(), Cat()
    session.add_all([article, cat])
    with pytest.raises(TypeError, match="expected an instance of Animal"):
        article.animals.add(cat)


def test_a_further_column_of_any_name(start, plain, db, Article):
    """A column may be called as our own parameters are."""

    class Bond(db.Model):
        one_id: Mapped[int] = mapped_column(sa.ForeignKey("article.id"), primary_key=True)
        other_id: Mapped[int] = mapped_column(sa.ForeignKey("article.id"), primary_key=True)
        source: Mapped[str] = mapped_column(sa.String(10))

    relation = plain.relation(Article, "others", Article, through=Bond)
    session = start()
    articles = [Article(), Article()]
    session.add_all(articles)
    edge, made = relation.get_or_create(*articles, source="mail")
    assert (edge.source, made) == ("mail", True)


def test_what_an_edge_has_many_of_is_no_column(start, plain, db, Article):
    """A relationship of the through model to other rows is not among the columns of an edge."""

    class Bond(db.Model):
        one_id: Mapped[int] = mapped_column(sa.ForeignKey("article.id"), primary_key=True)
        other_id: Mapped[int] = mapped_column(sa.ForeignKey("article.id"), primary_key=True)
        number: Mapped[int] = mapped_column(unique=True)
        notes = relationship("Note")

    class Note(db.Model):
        id: Mapped[int] = mapped_column(primary_key=True)
        bond: Mapped[int] = mapped_column(sa.ForeignKey(Bond.number))

    relation = plain.relation(Article, "others", Article, through=Bond)
    session = start()
    articles = [Article(), Article()]
    session.add_all(articles)
    with pytest.raises(WrongTypeError, match="there are: number"):
        relation.add(*articles, number=1, notes=[Note()])
    assert relation.add(*articles, number=1)


def test_keys_that_no_column_holds(start, plain, Article, Publication):
    """They have no edges, and the transaction goes on."""
    relation = plain.relation(Article, "publications", Publication)
    session = start()
    assert relation.edges(2**70).all() == relation.edges(2**70, reverse=True).all() == []
    assert session.scalar(sa.select(sa.func.count()).select_from(Article)) == 0


def test_mutuals_and_order_of_friends(start, plain, db, Article):
    """One row or two, the same answers: mutuals are friends, and edges may order them."""

    class Bond(db.Model):
        one_id: Mapped[int] = mapped_column(sa.ForeignKey("article.id"), primary_key=True)
        other_id: Mapped[int] = mapped_column(sa.ForeignKey("article.id"), primary_key=True)
        rank: Mapped[int]
        article = orm.relationship(Article, foreign_keys=[one_id])

    relation = plain.relation(
        Article,
        "friends",
        Article,
        symmetrical=True,
        storage="canonical",
        through=Bond,
        order_by=lambda: Bond.rank,
    )
    session = start()
    first, second, third = articles = [Article(), Article(), Article()]
    session.add_all(articles)
    second.friends.add(first, through_defaults={"rank": 2})
    second.friends.add(third, through_defaults={"rank": 1})
    assert second.friends.all() == session.scalars(second.friends.select()).all() == [third, first]
    assert second.friends.ids() == [third.id, first.id]
    assert set(relation.mutuals(second)) == {first, third}
    with pytest.raises(ValueError, match=r"relation\.edges"):
        second.friends.filter(Bond.article.has(title="a"))


def test_a_check_of_all_relations(start, plain, db, Article, Publication):
    """`flask follows check` looks at every relation, with or without users."""
    relation = plain.relation(Article, "publications", Publication)
    start()
    app = current_app
    assert plain.relations == [relation]
    runner = app.test_cli_runner()
    assert "all is well" in runner.invoke(args=["follows", "check"]).output
    db.session.remove()
    relation.edge_table.table.drop(db.engine)
    result = runner.invoke(args=["follows", "check"])
    assert result.exit_code == 1
    assert "no table 'article_publications'" in result.output


@pytest.mark.parametrize("heard", [False, True])
@pytest.mark.parametrize("storage", ["directed", "mirrored"])
def test_other_spellings_whoever_listens(make_app, db, plain, database, heard, storage):
    """Where "BOB" is "bob", so it is for one and for many, and whether anyone listens or not."""

    class Person(db.Model):
        id: Mapped[str] = mapped_column(
            sa.String(20).with_variant(sa.String(20, collation="NOCASE"), "sqlite"),
            primary_key=True,
        )

    symmetrical = storage != "directed"
    relation = plain.relation(Person, "others", Person, symmetrical=symmetrical, storage=storage)
    app = make_app(db)
    plain.init_app(app, db)
    with app.app_context(), recorded_changes() if heard else nullcontext():
        db.create_all()
        ann, bob, cleo = people = [Person(id=name) for name in ("ann", "bob", "cleo")]
        db.session.add_all(people)
        db.session.flush()
        if database.name == "postgresql":
            with pytest.raises(UnknownUserError):
                ann.others.add("BOB", "CLEO")
            return
        assert ann.others.add("BOB", "CLEO") == 2
        assert set(ann.others) == {bob, cleo}
        assert relation.add_many([("ANN", "BOB"), ("BOB", "CLEO")]) == 1
        with pytest.raises(SelfFollowError if symmetrical else UnknownUserError):
            relation.add_many([("ann", "ANN" if symmetrical else "dan")])
        db.session.rollback()


def test_an_order_that_names_the_edges(start, plain, Article, Publication):
    """The order may ask for the edge's own columns, which come with the relation."""
    relation = plain.relation(
        Article, "publications", Publication, order_by=lambda: relation.Edge.created_at
    )
    session = start()
    article, first, second = Article(), Publication(), Publication()
    session.add_all([article, first, second])
    article.publications.add(first)
    article.publications.add(second)
    assert article.publications.all() == [first, second]
    assert article.publications.ids() == [first.id, second.id]


# What is seldom met


def test_edges_that_are_only_to_be_read(start, plain, Article):
    """The edges of friends are made by the verbs, and no write to them is ignored."""
    plain.relation(Article, "friends", Article, symmetrical=True, source_edges="friendships")
    session = start()
    first, second = Article(), Article()
    session.add_all([first, second])
    first.friends.add(second)
    edge = first.friendships.one()
    for write in (
        lambda: first.friendships.append(edge),
        lambda: first.friendships.extend([edge]),
        lambda: first.friendships.remove(edge),
        lambda: setattr(first, "friendships", [edge]),
    ):
        with pytest.raises(FollowsError, match="only to be read"):
            write()


def test_a_through_model_that_is_no_table(plain, db, Article):
    """A class mapped to a query holds no edges."""
    table = Article.__table__

    class Seen(db.Model):
        __table__ = sa.select(table).subquery()
        __mapper_args__: ClassVar[Any] = {"primary_key": [__table__.c.id]}

    with pytest.raises(ConfigurationError, match="not mapped to a table"):
        plain.relation(Article, "others", Article, through=Seen)


def test_a_relationship_that_tells_no_column(plain, db, Article):
    """`through_fields` by a relationship needs one foreign key behind it."""

    class Bond(db.Model):
        id: Mapped[int] = mapped_column(primary_key=True)
        one_id: Mapped[int] = mapped_column(sa.ForeignKey("article.id"))
        other_id: Mapped[int] = mapped_column(sa.ForeignKey("article.id"))
        friend = orm.relationship(Article, foreign_keys=[other_id])

    with pytest.raises(ConfigurationError, match="'friend', which is no one column"):
        plain.relation(
            Article, "others", Article, through=Bond, through_fields=("one_id", "friend")
        )


def test_a_host_without_flask_sqlalchemys_query(plain):
    """Its edges have none either, and say so."""

    class Base(orm.DeclarativeBase):
        pass

    class Person(Base):
        __tablename__ = "person"
        id: Mapped[int] = mapped_column(primary_key=True)

    relation = plain.relation(Person, "idols", Person)
    with pytest.raises(ConfigurationError, match=r"db\.session\.query"):
        _ = relation.Edge.query


def test_a_table_without_a_unique_pair_and_unknown_objects(start, plain, db, Article):
    """An unknown key is refused there too, and several keys of text are told apart by it."""

    class Bond(db.Model):
        id: Mapped[int] = mapped_column(primary_key=True)
        one_id: Mapped[int] = mapped_column(sa.ForeignKey("article.id"))
        other_id: Mapped[int] = mapped_column(sa.ForeignKey("article.id"))

    plain.relation(Article, "others", Article, through=Bond)
    session = start()
    article = Article()
    session.add(article)
    with pytest.raises(UnknownUserError, match="99"):
        article.others.add(99)
    assert article.others.count() == 0


def test_keys_of_text_without_a_unique_pair(start, plain, db):
    """They are looked for one by one, since the database alone knows which are the same."""

    class Person(db.Model):
        id: Mapped[str] = mapped_column(sa.String(20), primary_key=True)

    class Bond(db.Model):
        id: Mapped[int] = mapped_column(primary_key=True)
        one_id: Mapped[str] = mapped_column(sa.ForeignKey("person.id"))
        other_id: Mapped[str] = mapped_column(sa.ForeignKey("person.id"))

    plain.relation(Person, "others", Person, through=Bond)
    session = start()
    ann, bob = Person(id="ann"), Person(id="bob")
    session.add_all([ann, bob])
    assert ann.others.add(bob) == 1
    assert ann.others.add(bob, "ann") == 1
    assert set(ann.others) == {ann, bob}


def test_a_type_of_the_hosts_that_refuses_a_value(start, plain, db, Article):
    """What the host's own type cannot store is a key that nobody has."""

    class Number(sa.TypeDecorator[str]):
        impl = sa.Integer
        cache_ok = True

        def process_bind_param(self, value: Any, dialect: Any) -> Any:
            return None if value is None else int(value.removeprefix("no-"))

        def process_result_value(self, value: Any, dialect: Any) -> Any:
            return None if value is None else f"no-{value}"

    class Thing(db.Model):
        id: Mapped[str] = mapped_column(Number(), primary_key=True, autoincrement=False)

    plain.relation(Article, "things", Thing)
    session = start()
    article, thing = Article(), Thing(id="no-7")
    session.add_all([article, thing])
    assert article.things.add("no-7") == 1
    assert "bogus" not in article.things
    with pytest.raises(UnknownUserError):
        article.things.add("bogus")
    assert article.things.all() == [thing]
