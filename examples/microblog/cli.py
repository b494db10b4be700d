"""Commands: `flask --app examples.microblog init-db` and `... demo`."""

from __future__ import annotations

import os
import socket

import click
from flask import Flask
from flask.cli import ScriptInfo, pass_script_info, with_appcontext
from sqlalchemy import func, select
from werkzeug.security import generate_password_hash
from werkzeug.serving import run_simple

from . import seed
from .forms import DEMO_USERNAME
from .models import Post, User, db, follows, utcnow

DEMO_PASSWORD = "follow-the-demo"  # known to everybody: the sample network is for trying only
HOST = "127.0.0.1"
PORTS_TO_TRY = 20


def init_app(app: Flask) -> None:
    """Add the commands."""
    app.cli.add_command(init_db)
    app.cli.add_command(demo)


@click.command("init-db")
@with_appcontext
def init_db() -> None:
    """Create the tables that are missing."""
    db.create_all()
    click.echo("The tables are there.")


@click.command("demo")
@click.option("--port", default=5000, show_default=True, help="The next free one if it is taken.")
@click.option(
    "--users",
    default=3000,
    show_default=True,
    type=click.IntRange(1, 100_000),
    help="Size of the sample network.",
)
@click.option("--run/--no-run", default=True, help="Serve the site, or only fill the database.")
@pass_script_info
@with_appcontext
def demo(info: ScriptInfo, port: int, users: int, run: bool) -> None:
    """Fill an empty database with a sample network, and serve it."""
    db.create_all()
    if db.session.scalar(select(User.id).limit(1)) is None:
        click.echo(
            f"Making up a network of {users} users. Only one of them can log in: hashing a "
            "password takes a moment, as it should."
        )
        fill(users)
    else:
        add_demo_user()
    report()
    if run:
        port = free_port(port)
        click.echo(f"\n  Address:  http://{HOST}:{port}")
    click.echo(f"  Username: {DEMO_USERNAME}\n  Password: {DEMO_PASSWORD}\n")
    if run:
        db.session.remove()  # give the connection back before the server starts
        run_simple(HOST, port, info.load_app(), threaded=True)


def fill(users: int) -> None:
    """Store a generated network, all of it or nothing."""
    hashed = generate_password_hash(DEMO_PASSWORD)
    network = seed.generate(users, utcnow(), demo_password_hash=hashed)
    with click.progressbar(length=len(network), label="Storing it") as bar:
        seed.store(network, bar.update)
    db.session.commit()


def add_demo_user() -> None:
    """Make the login that is printed work in a database with other users, an imported graph say."""
    if db.session.scalar(select(User.id).where(User.username == DEMO_USERNAME)) is None:
        user = User(username=DEMO_USERNAME, name="Demo")
        user.set_password(DEMO_PASSWORD)
        db.session.add(user)
        db.session.commit()


def report() -> None:
    """Say what is in the database."""
    users, edges, posts = (
        db.session.scalar(select(func.count()).select_from(model))
        for model in (User, follows.Follow, Post)
    )
    click.echo(f"The database holds {users:,} users, {edges:,} follows and {posts:,} posts.")


def free_port(first: int) -> int:
    """Find a port that nobody listens on, the first if possible."""
    for port in range(first, min(first + PORTS_TO_TRY, 65536)):
        try:
            socket.create_server((HOST, port)).close()
        except OSError as error:
            click.echo(f"Port {port} cannot be used: {os.strerror(error.errno or 0)}.")
        else:
            return port
    raise click.ClickException("No port is free. Give another one: --port 8000")
