"""The description for programs is valid, in step with the routes, and true under a fuzz run."""

from __future__ import annotations

import hypothesis
import pytest
import schemathesis
from hypothesis import given
from openapi_spec_validator import validate
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from .sites import JSON

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


@pytest.fixture
def description(site):
    """The description that the site gives of itself."""
    answer = site.client().get("/follows/openapi.json")
    assert (answer.status_code, answer.mimetype) == (200, "application/json")
    return answer.json


def test_it_is_valid(description):
    """By the schema of OpenAPI 3.1 itself."""
    validate(description)
    assert description["servers"] == [{"url": "/follows"}]


def test_it_is_in_step_with_the_routes(site, description):
    """Each address with its methods, and nothing else; the operations are named as the views."""
    described = {
        (f"follows.{operation['operationId']}", method.upper(), "/follows" + path)
        for path, methods in description["paths"].items()
        for method, operation in methods.items()
    }
    routes = {
        (rule.endpoint, method, rule.rule.replace("<follows_user:user>", "{user}"))
        for rule in site.app.url_map.iter_rules()
        if rule.endpoint.startswith("follows.") and rule.endpoint != "follows.static"
        for method in rule.methods - {"HEAD", "OPTIONS"}
    }
    assert described == routes


def test_the_cookie_has_the_hosts_name(site):
    """The session's cookie is called what the host calls it."""
    site.app.config["SESSION_COOKIE_NAME"] = "biscuit"
    schemes = site.client().get("/follows/openapi.json").json["components"]["securitySchemes"]
    assert schemes["session"]["name"] == "biscuit"


def test_fuzz(site):
    """No answer to anything is 5xx, and every answer is as described, logged in or not."""
    site.follow("ann bob", "bob cleo")
    names = hypothesis.strategies.sampled_from(["ann", "bob", "cleo"])
    site.app.login_manager.request_loader(lambda request: _bearer(site, request))
    schema = schemathesis.openapi.from_wsgi("/follows/openapi.json", site.app)
    seen = set()
    for result in schema.get_all_operations():
        operation = result.ok()

        @hypothesis.settings(max_examples=10, suppress_health_check=list(hypothesis.HealthCheck))
        @given(case=operation.as_strategy(), name=names, known=hypothesis.strategies.booleans())
        def visit(case, name, known):
            if known and "user" in case.path_parameters:
                case.path_parameters["user"] = name
            headers = {**JSON, "X-User": name} if name != "cleo" else JSON
            response = case.call_and_validate(headers=headers, checks=CHECKS)
            seen.add(response.status_code)

        visit()
    assert {200, 401, 404} <= seen, seen


def _bearer(site, request):
    name = request.headers.get("X-User")
    return None if name is None else site.user(name)
