"""Accounts: registering, logging in, logging out."""

from __future__ import annotations

import re
from typing import cast

from flask import Blueprint, Flask, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import LoginManager, current_user, login_user, logout_user
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from .forms import LoginForm, RegisterForm
from .models import User, db

auth = Blueprint("auth", __name__)
login_manager = LoginManager()
login_manager.login_view = "auth.login"
login_manager.login_message = "Please log in first."


def init_app(app: Flask) -> None:
    """Add the pages of this module."""
    app.register_blueprint(auth)


def viewer() -> User:
    """Return Flask-Login's `current_user` with its type; of a visitor, only `is_authenticated`."""
    return cast(User, current_user)


@login_manager.user_loader
def load_user(user_id: str) -> User | None:
    """Find the user of a session."""
    return db.session.get(User, int(user_id))


def redirect_back(target: str | None, otherwise: str) -> ResponseReturnValue:
    """Redirect to `target` where it is a page of this site, else to `otherwise`.

    One slash and no more: browsers read `//host`, `/\\host` and `https:host` as other sites,
    and drop tabs and line ends before they look.
    """
    on_site = target and re.fullmatch(r"/(?!/)[^\\\x00-\x20]*", target)
    return redirect(target if target and on_site else otherwise, 303)


@auth.route("/register", methods=["GET", "POST"])
def register() -> ResponseReturnValue:
    """Make an account and log in."""
    form = RegisterForm()
    if form.validate_on_submit():
        user = User(username=form.username.data, name=form.name.data)
        user.set_password(form.password.data)
        db.session.add(user)
        try:
            db.session.commit()
        except IntegrityError:  # asking first would not do: two may ask at once
            db.session.rollback()
            form.username.errors = ("This username is taken.",)
        else:
            login_user(user)
            flash(f"Welcome, {user.display_name}! Follow somebody, and your timeline fills.")
            return redirect(url_for("blog.explore"), 303)
    return render_template("register.html", form=form), 422 if form.errors else 200


@auth.route("/login", methods=["GET", "POST"])
def login() -> ResponseReturnValue:
    """Start a session."""
    form = LoginForm()
    if form.validate_on_submit():
        user = db.session.scalar(select(User).where(User.username == form.username.data))
        if user and user.check_password(form.password.data):
            login_user(user)
            return redirect_back(request.args.get("next"), url_for("blog.timeline"))
        form.password.errors = ("Username and password do not match.",)
    return render_template("login.html", form=form), 422 if form.errors else 200


@auth.post("/logout")
def logout() -> ResponseReturnValue:
    """End the session."""
    logout_user()
    flash("You are logged out.")
    return redirect(url_for("blog.explore"), 303)
