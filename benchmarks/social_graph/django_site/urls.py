"""The one address of the site; each contender puts its own view behind it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseNotFound, HttpResponseRedirect
from django.urls import path

from .models import User

# By the contender's name: makes an edge.
FOLLOW: dict[str, Callable[[Any, Any], object]] = {}


def follow(request: HttpRequest, name: str, key: int) -> HttpResponse:
    """Have the user follow another."""
    user = User.objects.get(pk=int(request.headers["X-User"]))
    other = User.objects.filter(pk=key).first()
    if other is None:
        return HttpResponseNotFound()
    FOLLOW[name](user, other)
    return HttpResponseRedirect("/")


urlpatterns = [path("<str:name>/follow/<int:key>", follow)]
