"""Every way into the country is a door that says who may knock and how much may be carried in."""

from __future__ import annotations

import ast
from pathlib import Path

import mapae

PACKAGE = Path(mapae.__file__).parent
OTHER_WAYS = {"Route", "Mount", "WebSocketRoute", "WebSocket", "StaticFiles", "Host"}
READS_WITHOUT_LIMIT = {"body", "json", "form", "stream"}  # of a Starlette request; doors have already read it, counted


def _calls() -> list[tuple[str, ast.Call]]:
    return [
        (str(path.relative_to(PACKAGE)), node)
        for path in sorted(PACKAGE.glob("**/*.py"))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call)
    ]


def test_there_is_no_other_way_in_than_a_door() -> None:
    found = [
        f"{path}:{call.lineno}"
        for path, call in _calls()
        if isinstance(call.func, ast.Name) and call.func.id in OTHER_WAYS
    ]
    assert found == []


def test_every_door_says_who_may_call_and_how_it_refuses() -> None:
    lacking = []
    for path, call in _calls():
        if isinstance(call.func, ast.Name) and call.func.id == "door":
            said = {keyword.arg for keyword in call.keywords}
            if None not in said and not {"caller", "answer"} <= said:
                lacking.append(f"{path}:{call.lineno}")
    assert lacking == []


def test_every_line_says_who_may_call_how_often_how_much_and_how_long() -> None:
    """A WebSocket is a door as well: besides, it says which origin's pages may open it."""
    lacking = []
    for path, call in _calls():
        if isinstance(call.func, ast.Name) and call.func.id == "line":
            said = {keyword.arg for keyword in call.keywords}
            if not {"caller", "origin", "limit", "rate", "patience"} <= said:
                lacking.append(f"{path}:{call.lineno}")
    assert lacking == []


def test_no_handler_reads_a_body_around_its_limit() -> None:
    found = [
        f"{path}:{call.lineno}"
        for path, call in _calls()
        if isinstance(call.func, ast.Attribute)
        and call.func.attr in READS_WITHOUT_LIMIT
        and isinstance(call.func.value, ast.Name)
        and call.func.value.id == "request"
        and path != "ui/body.py"
    ]
    assert found == []


def test_a_page_that_changes_something_asks_for_a_token() -> None:
    """A POST in the name of an officer's or citizen's cookie, declared without CSRF, is a hole."""
    holes = []
    for path, call in _calls():
        if not (isinstance(call.func, ast.Name) and call.func.id == "door" and call.args):
            continue
        said = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
        method = call.args[0].value if isinstance(call.args[0], ast.Constant) else ""
        in_a_session = said.get("caller") in ("Caller.OFFICER", "Caller.CITIZEN")
        if method not in ("GET", "") and in_a_session and said.get("csrf") != "Csrf.TOKEN":
            holes.append(f"{path}:{call.lineno}")
    assert holes == []
