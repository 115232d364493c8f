"""Both languages say the same things, and every page finds its words."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from string import Formatter

import pytest

import mapae
from mapae.errors import Code
from mapae.ui.files import STATIC
from mapae.ui.words import FOLDER, words

PACKAGE = Path(mapae.__file__).parent
TEMPLATES = sorted(PACKAGE.glob("**/templates/**/*.html"))
KOREAN, ENGLISH = words("ko"), words("en")

_CALL = re.compile(r"""\bt\(\s*(?P<quote>["'])(?P<key>[^"']*)(?P=quote)\s*(?P<more>[~,)])""")
_STATIC = re.compile(r"""\bstatic\(\s*["']([^"']+)["']""")


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


def test_every_surface_has_both_languages() -> None:
    files = {path.name.rsplit(".", 2)[0]: set() for path in FOLDER.glob("*.toml")}  # type: dict[str, set[str]]
    for path in FOLDER.glob("*.toml"):
        surface, lang, _ = path.name.rsplit(".", 2)
        files[surface].add(lang)
    assert {surface: langs for surface, langs in files.items() if langs != {"ko", "en"}} == {}


def test_both_languages_have_the_same_keys() -> None:
    assert sorted(set(KOREAN) ^ set(ENGLISH)) == []


def test_both_languages_take_the_same_arguments() -> None:
    both = KOREAN.keys() & ENGLISH.keys()
    assert [key for key in sorted(both) if placeholders(KOREAN[key]) != placeholders(ENGLISH[key])] == []


def test_no_word_is_empty_or_holds_markup() -> None:
    odd = [key for table in (KOREAN, ENGLISH) for key, text in table.items() if not text.strip() or "<" in text]
    assert odd == []


def test_korean_is_korean_and_english_is_not() -> None:
    """A word left untranslated in a copied file shows here."""
    hangul = re.compile("[가-힣]")
    assert [key for key, text in ENGLISH.items() if hangul.search(text)] == []
    copied = [k for k, text in KOREAN.items() if text == ENGLISH.get(k) and re.search(r"[a-z]{4}.* .*[a-z]{4}", text)]
    assert copied == []


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_word_a_page_uses_exists(template: Path) -> None:
    text = template.read_text("utf-8")
    missing = []
    for call in _CALL.finditer(text):
        key, dynamic = call["key"], call["more"] == "~"
        found = any(known.startswith(key) for known in KOREAN) if dynamic else key in KOREAN
        if not found or (dynamic and not key.endswith((".", "_"))):
            missing.append(key)
    assert missing == []


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_page_keeps_the_content_policy(template: Path) -> None:
    """No inline script or style, no unescaped value, no file that is not there."""
    text = template.read_text("utf-8")
    assert re.findall(r"\sstyle=|\son[a-z]+=\"|\|\s*safe\b|<style|<script(?![^>]*\bsrc=)|javascript:", text) == []
    assert [
        name for name in _STATIC.findall(text) if not name.startswith("vendor/") and not (STATIC / name).is_file()
    ] == []


def said_in(path: Path) -> list[str]:
    """The literal keys a module gives to `say`."""
    calls = [node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call)]
    named = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "say" and len(call.args) > 1]
    return [str(key.value) for call in named if isinstance(key := call.args[1], ast.Constant)]


def test_every_word_python_says_exists() -> None:
    said = {key: path.name for path in PACKAGE.glob("**/*.py") for key in said_in(path)}
    assert {key: path for key, path in said.items() if key not in KOREAN} == {}


@pytest.mark.parametrize("code", list(Code))
def test_every_refusal_says_what_happened_and_what_to_do(code: Code) -> None:
    assert {f"refused.{code.value}.what", f"refused.{code.value}.next"} <= KOREAN.keys()
