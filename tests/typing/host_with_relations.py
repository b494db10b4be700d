"""A host module with relations of its own, as type checkers are to see it."""

from __future__ import annotations

from typing import ClassVar

from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import DeclarativeBase, InstrumentedAttribute, Mapped, mapped_column
from typing_extensions import assert_type

from flask_follows import Follows, Page, Related, RelatedQuery, Relation


class Base(DeclarativeBase):
    """The host's declarative base."""


db = SQLAlchemy(model_class=Base)
follows = Follows()


class Publication(Base):
    """One class."""

    __tablename__ = "publication"
    id: Mapped[int] = mapped_column(primary_key=True)
    articles: ClassVar[Related[Article]]


class Article(Base):
    """Another class."""

    __tablename__ = "article"
    id: Mapped[int] = mapped_column(primary_key=True)
    publications: ClassVar[Related[Publication]]
    friends: ClassVar[Related[Article]]


publications = follows.relation(Article, "publications", Publication, reverse="articles")
friends = follows.relation("Article", "friends", "Article", symmetrical=True, storage="canonical")


def use(article: Article, publication: Publication) -> None:
    """Use what the classes have gained."""
    assert_type(publications, Relation)
    assert_type(article.publications, RelatedQuery[Publication])
    assert_type(Article.publications, InstrumentedAttribute[Publication])
    assert_type(publication.articles.page(), Page[Article])
    assert_type(article.publications.add(publication, 7), int)
    assert_type(article.friends.create(id=3), Article)
    assert_type(publications.add(article, publication), bool)
    article.publications.set([publication])
    article.publications.filter(Publication.id > 3).all()
