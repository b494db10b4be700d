"""The description of the JSON interface for programs: `openapi.json`, with this host's prefix."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from flask import current_app, jsonify, url_for
from flask.typing import ResponseReturnValue

from .negotiation import NAME

__all__ = ["ADDRESS", "openapi"]

ADDRESS = "/openapi.json"


def openapi() -> ResponseReturnValue:
    """Answer with the description, in OpenAPI 3.1."""
    description = _read()
    cookie = {"name": current_app.config["SESSION_COOKIE_NAME"]}
    schemes = description["components"]["securitySchemes"]
    schemes = {"session": schemes["session"] | cookie}
    return jsonify(
        description
        | {"servers": [{"url": url_for(f"{NAME}.openapi").removesuffix(ADDRESS)}]}
        | {"components": description["components"] | {"securitySchemes": schemes}}
    )


@lru_cache(maxsize=1)
def _read() -> dict[str, Any]:
    text = Path(__file__).with_name("openapi.json").read_text("utf-8")
    description: dict[str, Any] = json.loads(text)
    return description
