"""All contenders by name, in the order of the tables."""

from __future__ import annotations

from .contender import Contender
from .databases import Database
from .lean import Lean
from .ours import FlaskFollows
from .raw import Raw
from .tutorial_association import TutorialAssociation
from .tutorial_secondary import TutorialSecondary

OURS, LEAN, RAW = FlaskFollows.name, Lean.name, Raw.name
# Lean comes first: it makes the tables of users and posts, to which the others refer.
FLASK: dict[str, type[Contender]] = {
    kind.name: kind for kind in (Lean, Raw, FlaskFollows, TutorialAssociation, TutorialSecondary)
}
DJANGO = ("django", "django_through", "django_friendship")
NAMES = (RAW, LEAN, OURS, "tutorial_association", "tutorial_secondary", *DJANGO)


def make(names: list[str], database: Database) -> list[Contender]:
    """Make contenders with their tables, and those of users and posts."""
    made = [kind(database) for name, kind in FLASK.items() if name in names or name == LEAN]
    for contender in made:
        contender.create_tables()
    if not set(names).isdisjoint(DJANGO):
        made += _make_django(names, database)
    for contender in made:
        if contender.name not in names:
            contender.close()
    return [contender for contender in made if contender.name in names]


def _make_django(names: list[str], database: Database) -> list[Contender]:
    from . import django_site

    django_site.configure(database)
    from .django_contenders import DjangoFriendship, DjangoManyToMany, DjangoThrough

    kinds = (DjangoManyToMany, DjangoThrough, DjangoFriendship)
    made: list[Contender] = [kind(database) for kind in kinds if kind.name in names]
    for contender in made:
        contender.create_tables()
    return made
