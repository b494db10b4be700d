"""The forms, and what may be typed into them."""

from __future__ import annotations

import re

from flask_wtf import FlaskForm
from wtforms import Field, PasswordField, StringField, TextAreaField
from wtforms.validators import InputRequired, Length, Regexp, ValidationError

from .models import NAME_LENGTH, POST_LENGTH

DEMO_USERNAME = "demo"  # the login of the sample network; see cli.py
RESERVED_USERNAMES = {DEMO_USERNAME}


def tidy_line(text: str | None) -> str:
    """Take out control characters (PostgreSQL refuses one of them), and spaces at the ends."""
    return re.sub(r"[\x00-\x1f\x7f]", "", text or "").strip()


def tidy_text(text: str | None) -> str:
    """Do the same for several lines; browsers send a line's end as two characters."""
    lines = (text or "").replace("\r\n", "\n").split("\n")
    return re.sub(r"\n{3,}", "\n\n", "\n".join(map(tidy_line, lines))).strip()


def tidy_username(text: str | None) -> str:
    """Write it as it is stored: Ada and ada are one and the same."""
    return tidy_line(text).lower()


class RegisterForm(FlaskForm):
    """A new account."""

    username = StringField(
        "Username",
        description="3 to 30 letters, digits or underscores; a letter first.",
        filters=[tidy_username],
        validators=[
            InputRequired("Choose a username."),
            Regexp(
                r"[a-z][a-z0-9_]{2,29}\Z",
                message="Take 3 to 30 letters (a to z), digits or underscores; a letter first.",
            ),
        ],
    )
    name = StringField(
        "Name",
        description="As others will see it. You may leave it empty.",
        filters=[tidy_line],
        validators=[Length(max=NAME_LENGTH)],
    )
    password = PasswordField(
        "Password",
        description="At least 8 characters.",
        validators=[
            InputRequired("Choose a password."),
            Length(8, 128, "Take 8 to 128 characters."),
        ],
    )

    def validate_username(self, field: Field) -> None:
        if field.data in RESERVED_USERNAMES:
            raise ValidationError("This username is taken.")

    def validate_password(self, field: Field) -> None:
        if field.data.lower() == self.username.data:
            raise ValidationError("Take a password other than your username.")


class LoginForm(FlaskForm):
    """Username and password."""

    username = StringField(
        "Username", filters=[tidy_username], validators=[InputRequired("Enter your username.")]
    )
    password = PasswordField("Password", validators=[InputRequired("Enter your password.")])


class PostForm(FlaskForm):
    """Something to say."""

    body = TextAreaField(
        "What is new?",
        filters=[tidy_text],
        validators=[
            Length(1, POST_LENGTH, f"A post has 1 to {POST_LENGTH} characters."),
        ],
    )
