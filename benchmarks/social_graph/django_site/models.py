"""Users, posts, and the edges as Django's documentation makes them."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils import timezone

from social_graph.contender import POSTS, USUAL_POSTS


class User(models.Model):
    """A user, who follows in each of the ways."""

    id = models.AutoField(primary_key=True)
    username = models.CharField(max_length=80)
    followed = models.ManyToManyField(
        "self", symmetrical=False, related_name="m2m_followers", db_table="django_follow"
    )
    followed_through = models.ManyToManyField(
        "self", symmetrical=False, related_name="through_followers", through="Follow"
    )

    USERNAME_FIELD = "username"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        managed = False
        db_table = "bench_user"


class Follow(models.Model):
    """A through model with a time."""

    follower = models.ForeignKey(User, models.CASCADE, related_name="edges_out")
    followed = models.ForeignKey(User, models.CASCADE, related_name="edges_in")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "through_follow"
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["follower", "followed"], name="through_pair")
        ]


class BasePost(models.Model):
    """A post."""

    id = models.AutoField(primary_key=True)
    author = models.ForeignKey(User, models.CASCADE, related_name="%(class)s_posts")
    body = models.CharField(max_length=200)
    created_at = models.DateTimeField()

    class Meta:
        abstract = True
        managed = False


class Post(BasePost):
    """A post with the index that a feed needs."""

    class Meta(BasePost.Meta):
        db_table = POSTS


class UsualPost(BasePost):
    """A post with the usual indexes."""

    class Meta(BasePost.Meta):
        db_table = USUAL_POSTS
