"""Show that the installed wheel works: `python -I smoke.py CHECKOUT`, in an empty folder."""

from __future__ import annotations

import subprocess
import sys
from importlib import resources
from pathlib import Path

from flask import Flask
from flask_login import UserMixin
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import Mapped, mapped_column

import flask_follows
from flask_follows import Follows

db = SQLAlchemy()
follows = Follows()


class User(UserMixin, db.Model):
    id: Mapped[int] = mapped_column(primary_key=True)


def create_app() -> Flask:
    app = Flask(__name__)
    app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite://"
    db.init_app(app)
    follows.init_app(app, db, User)
    return app


def check_files(checkout: Path) -> None:
    """Compare the installed files with those of the checkout: templates and py.typed travel too."""
    source = checkout / "flask_follows"
    installed = Path(str(resources.files(flask_follows)))
    assert source not in (installed, *installed.parents), "this is the checkout, not the wheel"
    expected, found = (
        {
            str(path.relative_to(folder))
            for path in folder.rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }
        for folder in (source, installed)
    )
    assert expected == found, f"differ: {expected ^ found}"
    web = ("templates/flask_follows/button.html", "static/follows.js", "openapi.json")
    assert {"py.typed", *(f"web/{name}" for name in web)} <= found


def check_following() -> None:
    """Follow and unfollow in a small application on SQLite."""
    app = create_app()
    with app.app_context():
        db.create_all()
        ann, bob = User(), User()
        db.session.add_all([ann, bob])
        db.session.commit()
        assert ann.follow(bob) is True
        assert ann.follow(bob) is False
        db.session.commit()
        assert ann.is_following(bob)
        assert list(bob.followers) == [ann]
        assert ann.unfollow(bob) is True
        db.session.commit()
        db.session.remove()
        db.engine.dispose()


def check_pages() -> None:
    """Visit the pages: templates, script and description are found where they were installed."""
    app = create_app()
    with app.app_context():
        db.create_all()
        db.session.add(User())
        db.session.commit()
    visitor = app.test_client()
    for path in ("1/followers", "-/static/follows.js", "-/static/follows.css", "openapi.json"):
        with visitor.get(f"/follows/{path}") as answer:
            assert answer.status_code == 200, (path, answer.status)
            assert answer.data
    with app.app_context():
        db.engine.dispose()


def check_command() -> None:
    """Ask the command line for its help."""
    command = [sys.executable, "-m", "flask", "--app", __file__, "follows", "--help"]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    for verb in ("check", "export", "import", "stats"):
        assert f"\n  {verb}" in output, output


if __name__ == "__main__":
    check_files(Path(sys.argv[1]))
    check_following()
    check_pages()
    check_command()
    print("smoke test passed")
