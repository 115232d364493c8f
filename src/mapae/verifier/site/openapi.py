"""The OpenAPI 3.1 document of the verifier's public doors, made of the doors themselves and of the types they use.

Promises: a door in `operations` is in the document with its types, statuses and codes, and nothing else is: there is no
second list that could differ. Trusts: that list. Keeps: nothing. Refuses: nothing. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final

import msgspec
from msgspec import Struct

from mapae.errors import Code
from mapae.ui.http import PROTOCOL, Answer
from mapae.verifier.site.api_types import Trouble
from mapae.verifier.site.api_web import MOST_WAIT, Op

REF: Final = "#/components/schemas/{name}"
_AUTH: Final[dict[str, list[dict[str, list[str]]]]] = {"key": [{"key": []}], "page": [{"page": []}], "": []}
_OAUTH_REFUSED: Final = {
    "type": "object",
    "properties": {"error": {"type": "string"}, "error_description": {"type": "string"}},
    "required": ["error"],
}
_PARAMETERS: Final = {
    "wait": {
        "name": "wait", "in": "query", "description": "Seconds to wait for news before answering",
        "schema": {"type": "integer", "minimum": 0, "maximum": MOST_WAIT, "default": 0},
    },
    "Idempotency-Key": {
        "name": "Idempotency-Key", "in": "header", "description": "The same call again with it finds the same check",
        "schema": {"type": "string", "minLength": 1, "maxLength": 128},
    },
}  # fmt: skip


def document(operations: Sequence[Op], base: str, version: str) -> dict[str, Any]:
    """`base` is where the verifier answers."""
    types = list(dict.fromkeys([*_types(operations), Trouble]))
    _, schemas = msgspec.json.schema_components(types, ref_template=REF)
    paths: dict[str, dict[str, Any]] = {}
    for op in operations:
        paths.setdefault(op.path, {})[op.method.lower()] = _operation(op)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "mapae verifier", "version": version,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            "description": "Ask a wallet one question and read the verdict. docs/integrate.md explains the order.",
        },
        "servers": [{"url": base}],
        "paths": paths,
        "components": {
            "schemas": {**schemas, "OAuthTrouble": _OAUTH_REFUSED},
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "description": "API key of a relying party's server"},
                "page": {"type": "http", "scheme": "bearer", "description": "`page` of the check that was started"},
            },
        },
    }  # fmt: skip


def _types(operations: Sequence[Op]) -> list[type[Struct]]:
    said = [one for op in operations for one in op.says.values() if not isinstance(one, str)]
    return [*said, *[op.reads for op in operations if op.reads is not None]]


def _operation(op: Op) -> dict[str, Any]:
    told: dict[str, Any] = {
        "operationId": re.sub(r"\W+", "_", f"{op.method.lower()}{op.path}").strip("_"),
        "summary": op.summary,
        "security": _AUTH[op.auth],
        "responses": {str(status): _good(status, said) for status, said in op.says.items()} | _refusals(op),
    }
    names = re.findall(r"\{(\w+)\}", op.path)
    parameters = [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]
    parameters += [_PARAMETERS[name] for name in op.takes]
    if parameters:
        told["parameters"] = parameters
    if op.reads is not None:
        told["requestBody"] = {"required": True, "content": _content(_ref(op.reads.__name__))}
    elif op.more.get("answer") is Answer.OAUTH:
        fields = {name: {"type": "string"} for name in ("response", "state", "error")}
        form = {"schema": {"type": "object", "properties": fields}}
        told["requestBody"] = {"required": True, "content": {"application/x-www-form-urlencoded": form}}
    return told


def _good(status: int, said: type[Struct] | str) -> dict[str, Any]:
    content = {said: {}} if isinstance(said, str) else _content(_ref(said.__name__))
    return {"description": HTTPStatus(status).phrase, "content": content}


def _refusals(op: Op) -> dict[str, Any]:
    """By status, as the one table has it; a wallet's door narrows them as OAuth does."""
    oauth = op.more.get("answer") is Answer.OAUTH
    by_status: dict[int, list[str]] = {}
    for code in op.refuses:
        status, error = PROTOCOL[code]
        if oauth and status not in (401, 404, 405, 413, 429, 500, 503):
            status = 400
        by_status.setdefault(status, []).append(error if oauth else code.value)
    schema = _ref("OAuthTrouble" if oauth else Trouble.__name__)
    told = {
        str(status): {"description": " or ".join(dict.fromkeys(codes)), "content": _content(schema)}
        for status, codes in sorted(by_status.items())
    }
    limit = Code.TOO_OFTEN
    if op.rate is not None and str(PROTOCOL[limit][0]) not in told:
        told[str(PROTOCOL[limit][0])] = {"description": limit.value, "content": _content(schema)}
    return told


def _ref(name: str) -> dict[str, str]:
    return {"$ref": REF.format(name=name)}


def _content(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}
