"""The error tree: each error is a `FollowsError` and the built-in that fits."""

from __future__ import annotations

import inspect

import pytest

import flask_follows
from flask_follows import FollowsError, errors

BUILT_IN = {
    "ConfigurationError": Exception,
    "InvalidCursorError": ValueError,
    "SelfFollowError": ValueError,
    "StreamedResultError": RuntimeError,
    "UnknownUserError": LookupError,
    "UnsavedInstanceError": ValueError,
    "WrongTypeError": TypeError,
}


def test_every_error_is_in_the_table():
    """The module defines the errors tested here and no other."""
    defined = {name for name, value in vars(errors).items() if inspect.isclass(value)}
    assert defined == {"FollowsError", *BUILT_IN}


@pytest.mark.parametrize(("name", "built_in"), BUILT_IN.items())
def test_an_error_is_ours_and_the_fitting_built_in(name, built_in):
    """One `except` clause catches all of ours, and the usual one catches each."""
    error = getattr(flask_follows, name)
    assert issubclass(error, FollowsError)
    assert issubclass(error, built_in)


@pytest.mark.parametrize("name", ["FollowsError", *BUILT_IN])
def test_an_error_is_public_and_documented(name):
    """Each is exported by the package and by its module, and says when it is raised."""
    assert name in flask_follows.__all__
    assert name in errors.__all__
    assert inspect.getdoc(getattr(flask_follows, name))


@pytest.mark.parametrize("name", BUILT_IN)
def test_an_error_keeps_its_message(name):
    """`str(error)` is the message as given: not quoted, as KeyError's would be."""
    assert str(getattr(errors, name)("it's 1 'message'")) == "it's 1 'message'"
