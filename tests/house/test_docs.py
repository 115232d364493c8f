"""What a document says is tested is tested: every test it names exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
NAMED = re.compile(r"`(?:[\w/]+/)?(test_\w+)(?:\.py)?`")


@pytest.fixture(scope="module")
def tests() -> set[str]:
    found: set[str] = set()
    for path in (ROOT / "tests").rglob("*.py"):
        found.add(path.stem)
        found.update(re.findall(r"def (test_\w+)", path.read_text("utf-8")))
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_test_a_document_names_exists(page: Path, tests: set[str]) -> None:
    assert set(NAMED.findall(page.read_text("utf-8"))) - tests == set()
