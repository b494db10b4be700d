"""A Django site configured by the program: one for a process, so a process measures one graph."""

from __future__ import annotations

import os
from typing import Any

import sqlalchemy as sa

from social_graph.databases import PATIENCE, Database

ENGINES = {"sqlite": "sqlite3", "postgresql": "postgresql", "mariadb": "mysql"}


def configure(database: Database) -> None:
    """Set Django up on a database, with the settings that it has by itself.

    But: connections stay open, as SQLAlchemy's do, and there is no cache, since django-friendship's
    would otherwise be measured in place of its queries.
    """
    import django
    from django.conf import settings

    if database.name == "mariadb":
        import pymysql

        pymysql.install_as_MySQLdb()
    settings.configure(
        ALLOWED_HOSTS=["testserver"],
        AUTH_USER_MODEL="django_site.User",
        CACHES={"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}},
        DATABASES={"default": _connection(database.name, database.url)},
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        INSTALLED_APPS=[__name__, "friendship"],
        ROOT_URLCONF=f"{__name__}.urls",
        SECRET_KEY="bench",
        TIME_ZONE="UTC",
        USE_TZ=True,
    )
    # Where a program runs it by itself, inside of no event loop.
    os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    django.setup()


def _connection(name: str, url: sa.URL) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if name == "postgresql":
        options = {"options": f"-c statement_timeout={PATIENCE}s"}
    if name == "mariadb":
        options = {"charset": "utf8mb4", "init_command": f"SET max_statement_time = {PATIENCE}"}
    return {
        "ENGINE": f"django.db.backends.{ENGINES[name]}",
        "NAME": url.database,
        "USER": url.username or "",
        "PASSWORD": url.password or "",
        "HOST": url.host or "",
        "PORT": str(url.port or ""),
        "CONN_MAX_AGE": None,
        "OPTIONS": options,
    }
