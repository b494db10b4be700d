"""Django's ManyToManyField, a through model, and the django-friendship package.

Import it after `django_site.configure`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Any

from django.db import connection, transaction
from django.db.models import Count
from django.test import Client
from friendship.exceptions import AlreadyExistsError
from friendship.models import Follow as FriendshipFollow

from .contender import PER_PAGE, Contender, Edges, Sent
from .databases import Database
from .django_site import urls
from .django_site.models import Follow, Post, User, UsualPost

BATCH = 10_000


class DjangoContender(Contender):
    """What all of them share: users, posts, sessions that are none, and the edges' model."""

    model: Any

    def __init__(self, database: Database) -> None:
        self.database = database
        urls.FOLLOW[self.name] = self.follow

    def create_tables(self) -> None:
        with connection.schema_editor() as editor:
            editor.create_model(self.model)

    def close(self) -> None:
        connection.close()

    def request(self) -> AbstractContextManager[Any]:
        return nullcontext()

    @contextmanager
    def recording(self) -> Iterator[list[Sent]]:
        sent: list[Sent] = []

        def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
            is_sqlite = self.database.name == "sqlite" and params is not None
            marked = sql % tuple("?" * len(params)) if is_sqlite and not many else sql
            if not marked.startswith(("SAVEPOINT", "RELEASE SAVEPOINT", "ROLLBACK TO")):
                sent.append((marked, params))
            return execute(sql, params, many, context)

        with connection.execute_wrapper(note):
            yield sent

    def transaction(self) -> AbstractContextManager[Any]:
        return transaction.atomic()

    def user(self, key: int) -> Any:
        return User.objects.filter(pk=key).first()

    def load(self, keys: Sequence[int]) -> list[Any]:
        users = User.objects.in_bulk(keys)
        return [users[key] for key in keys]

    @property
    @abstractmethod
    def ends(self) -> tuple[str, str]:
        """Names of the two foreign keys."""

    def _edges(self, **fields: Any) -> Any:
        return self.model.objects.filter(**fields)

    def status(self, user: Any, others: Sequence[Any]) -> list[bool]:
        follower, followed = self.ends
        keys = [other.pk for other in others]
        edges = self._edges(**{follower: user, f"{followed}__in": keys})
        found = set(edges.values_list(f"{followed}_id", flat=True))
        return [key in found for key in keys]

    def followers(self, user: Any, place: Any) -> Sequence[Any]:
        follower, followed = self.ends
        edges = self._edges(**{followed: user}).select_related(follower).order_by(*self.newest)
        return [getattr(edge, follower) for edge in edges[place : place + PER_PAGE]]

    newest: tuple[str, ...] = ("-created_at", "-follower_id")

    def feed(self, user: Any) -> Sequence[Any]:
        return self._feed(user, Post)

    def usual_feed(self, user: Any) -> Sequence[Any]:
        return self._feed(user, UsualPost)

    def _feed(self, user: Any, model: Any) -> Sequence[Any]:
        posts = model.objects.filter(**{f"author__{self.author_followed_by}": user})
        return list(posts.order_by("-created_at", "-id")[:PER_PAGE])

    # From a user to the followers.
    author_followed_by: str

    def suggestions(self, user: Any) -> list[tuple[Any, int]]:
        follower, followed = self.ends
        mine = self._edges(**{follower: user}).values(f"{followed}_id")
        ranked = (
            self._edges(**{f"{follower}__in": mine})
            .exclude(**{f"{followed}__in": mine})
            .exclude(**{followed: user})
            .values(f"{followed}_id")
            .annotate(common=Count("pk"))
            .order_by("-common", f"{followed}_id")[:10]
        )
        found = [(row[f"{followed}_id"], row["common"]) for row in ranked]
        users = User.objects.in_bulk([key for key, _ in found])
        return [(users[key], common) for key, common in found]

    def add_many(self, pairs: Iterable[tuple[int, int]]) -> None:
        follower, followed = (f"{end}_id" for end in self.ends)
        edges = (self.model(**{follower: a, followed: b}) for a, b in pairs)
        self.model.objects.bulk_create(edges, ignore_conflicts=True, batch_size=BATCH)

    def client(self) -> Callable[[int, int], int]:
        client, path = Client(), f"/{self.name}/follow/"
        return lambda user, key: (
            client.post(f"{path}{key}", headers={"X-User": str(user)}).status_code
        )


class DjangoManyToMany(DjangoContender):
    """A plain ManyToManyField: no time, so the newest edge is the one of greatest id."""

    name = "django"
    edges = Edges("django_follow", "from_user_id", "to_user_id", time=None)
    model = User.followed.through
    ends = ("from_user", "to_user")
    newest = ("-id",)
    author_followed_by = "m2m_followers"

    def follow(self, user: Any, other: Any) -> None:
        user.followed.add(other)

    def unfollow(self, user: Any, other: Any) -> None:
        user.followed.remove(other)

    def is_following(self, user: Any, other: Any) -> bool:
        return bool(user.followed.contains(other))

    def count(self, user: Any) -> int:
        return int(user.m2m_followers.count())

    def mutuals(self, user: Any) -> Sequence[Any]:
        return list(user.followed.filter(followed=user))


class DjangoThrough(DjangoContender):
    """A through model with a time and a unique pair."""

    name = "django_through"
    edges = Edges("through_follow")
    model = Follow
    ends = ("follower", "followed")
    author_followed_by = "through_followers"

    def follow(self, user: Any, other: Any) -> bool:
        _, created = Follow.objects.get_or_create(follower=user, followed=other)
        return created

    def unfollow(self, user: Any, other: Any) -> bool:
        deleted, _ = Follow.objects.filter(follower=user, followed=other).delete()
        return bool(deleted)

    def is_following(self, user: Any, other: Any) -> bool:
        return bool(user.followed_through.contains(other))

    def count(self, user: Any) -> int:
        return int(user.through_followers.count())

    def mutuals(self, user: Any) -> Sequence[Any]:
        return list(user.followed_through.filter(followed_through=user))


class DjangoFriendship(DjangoContender):
    """django-friendship's `Follow`: its manager where that has the verb, its model elsewhere.

    Its `followers()` returns all of them as a list; a page is cut from the model instead.
    """

    name = "django_friendship"
    edges = Edges("friendship_follow", "follower_id", "followee_id", "created")
    model = FriendshipFollow
    ends = ("follower", "followee")
    newest = ("-created", "-follower_id")
    author_followed_by = "followers__follower"

    def follow(self, user: Any, other: Any) -> bool:
        with suppress(AlreadyExistsError):
            FriendshipFollow.objects.add_follower(user, other)
            return True
        return False

    def unfollow(self, user: Any, other: Any) -> bool:
        return bool(FriendshipFollow.objects.remove_follower(user, other))

    def is_following(self, user: Any, other: Any) -> bool:
        return bool(FriendshipFollow.objects.follows(user, other))

    def count(self, user: Any) -> int:
        return int(user.followers.count())

    def mutuals(self, user: Any) -> Sequence[Any]:
        return list(User.objects.filter(followers__follower=user, following__followee=user))
