"""Tests about the code itself: the rules of the house that a reader relies on."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "mapae"
MODULES = sorted(SOURCE.rglob("*.py"))
FORBIDDEN_NAMES = {"utils", "util", "core", "common", "helpers", "ports", "adapters", "dto", "misc"}
SQL = re.compile(r"\b(?:FROM|INTO|UPDATE|JOIN)\s+([a-z_]+)\b")
SHARED_TABLES = {"audit_event": {"audit"}, "outbox_item": {"outbox"}, "schema_migration": {"db"}}


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_a_file_is_a_sitting_and_a_function_a_screen(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= 500, f"{_name(path)} has {text.count(chr(10))} lines"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            assert lines <= 60, f"{_name(path)}: {node.name} has {lines} lines"


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_a_module_says_what_it_promises(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    doc = ast.get_docstring(ast.parse(text))
    assert doc or not text.strip(), f"{_name(path)} has no docstring"
    if path.name not in ("__init__.py", "__main__.py") and text.count("\n") > 60:
        for word in ("Promises:", "Trusts:", "Keeps:", "Refuses:"):
            assert word in (doc or ""), f"{_name(path)} does not say what it {word[:-1].lower()}"


def test_cookies_are_read_by_one_reader() -> None:
    """`mapae.ui.cookies`: that of the standard library, and Starlette's with it, can be held up for seconds."""
    for path in MODULES:
        text = path.read_text(encoding="utf-8")
        assert "request.cookies" not in text and "http.cookies" not in text, _name(path)


def test_there_is_no_drawer_for_odds_and_ends() -> None:
    named = {part for path in MODULES for part in path.relative_to(SOURCE).with_suffix("").parts}
    assert not named & FORBIDDEN_NAMES


def test_a_table_is_named_in_sql_by_one_module_only() -> None:
    owners: dict[str, set[str]] = {}
    tables = {
        match[1]
        for path in (SOURCE / "migrations").rglob("*.sql")
        for match in re.finditer(r"CREATE TABLE (\w+)", path.read_text(encoding="utf-8"))
    }
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                for table in SQL.findall(node.value):
                    if table in tables:
                        owners.setdefault(table, set()).add(str(path.relative_to(SOURCE).with_suffix("")))
    crowded = {table: who for table, who in owners.items() if len(who) > 1}
    assert not crowded, f"tables named by several modules: {crowded}"
    for table, modules in owners.items():
        assert modules <= SHARED_TABLES.get(table, modules)


def test_time_and_chance_have_one_source() -> None:
    """Only clock.py and keys (key material, nonces of sealed values) ask the machine for time or chance."""
    asked = re.compile(r"\b(datetime\.now|time\.time\(|secrets\.|os\.urandom|random\.|uuid4)")
    allowed = {"clock.py", "config.py"}  # config: the passphrase, made once
    found = [
        _name(path)
        for path in MODULES
        if path.name not in allowed
        and path.parent != SOURCE / "keys"
        and asked.search(path.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_nothing_in_the_tree_points_at_one_machine() -> None:
    kinds = {".py", ".ts", ".toml", ".md", ".txt", ".json", ".html", ".css", ".js", ".yaml", ".sql", ""}
    pattern = re.compile(r"(/home/\w+/|/[r]oot/|/Users/\w+/|files\.pythonhosted|registry\.npmjs)")
    for path in ROOT.rglob("*"):
        parts = set(path.relative_to(ROOT).parts)
        skip = {".git", ".venv", "node_modules", "var", ".stamps", "static", "LICENSE", "test-results"}
        if path.is_file() and path.suffix in kinds and not parts & skip and path != Path(__file__):
            text = path.read_text(encoding="utf-8", errors="ignore")
            assert not pattern.search(text), _name(path)
