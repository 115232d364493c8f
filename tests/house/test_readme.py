"""What the README and the documents promise exists: commands, paths, make targets, links, pictures."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import msgspec
import pytest
import typer

from mapae.cli import app
from mapae.config import ROLES, Settings, load_settings

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
MADE = ("var", ".venv", "node_modules", "dist")  # made by running something; not in a checkout
LINK = re.compile(r"\]\(([^)\s]+)\)|<img[^>]+src=\"([^\"]+)\"")
CODE = re.compile(r"`([^`\n]+)`")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
TREE = ("src/", "tests/", "docs/", "tools/", "bench/", "vectors/", "wallet/", "requirements/", ".ci/")


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def prose(text: str) -> str:
    return FENCE.sub("", text)


def shell_lines(text: str) -> list[str]:
    """Every command line of the fenced shell examples, comments and continuation taken off."""
    found = []
    for kind, body in FENCE.findall(text):
        if kind in ("sh", "bash", "shell", "console"):
            for line in body.replace("\\\n", " ").splitlines():
                bare = re.sub(r"(^|\s)#.*$", "", line).strip()
                if bare:
                    found.append(bare.removeprefix("$ "))
    return found


def commands(text: str) -> list[str]:
    """What a reader may type: lines of shell examples, and `mapae ...` or `make ...` between backquotes."""
    quoted = [code for code in CODE.findall(prose(text)) if code.startswith(("mapae ", "make ", ".venv/bin/"))]
    return [part.strip() for line in [*shell_lines(text), *quoted] for part in re.split(r"&&|;|\|", line)]


def targets() -> set[str]:
    return set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def heading_anchors(text: str) -> set[str]:
    """GitHub's anchors."""
    heads = re.findall(r"^#+ (.+)$", prose(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.strip().lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_every_relative_link_leads_somewhere(path: Path) -> None:
    for link, picture in LINK.findall(path.read_text(encoding="utf-8")):
        target = link or picture
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        place = (path.parent / file).resolve() if file else path
        if place.suffix == ".png" and place.parent == ROOT / "docs" / "screens" and not place.exists():
            assert _pictured(place.name), f"{name(path)}: `make screenshots` makes no {place.name}"
            continue
        assert place.exists(), f"{name(path)}: {target} is not there"
        if anchor and place.suffix == ".md":
            assert anchor in heading_anchors(place.read_text(encoding="utf-8")), f"{name(path)}: no heading {target}"


def _pictured(picture: str) -> bool:
    """Does a story take this picture? `wallet-card-en-phone.png` is step `wallet-card`."""
    step = re.sub(r"-(?:en|ko)-(?:phone|desktop|tablet)\.png$", "", picture)
    stories = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests" / "stories").glob("*.py"))
    return f'"{step}"' in stories


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_every_path_between_backquotes_exists(path: Path) -> None:
    for code in CODE.findall(prose(path.read_text(encoding="utf-8"))):
        wanted = code.split("::")[0].rstrip("/")
        if not re.fullmatch(r"[\w./*-]+", wanted) or not (wanted + "/").startswith(TREE):
            continue
        if any(part in MADE for part in wanted.split("/")):
            continue
        assert list(ROOT.glob(wanted)), f"{name(path)}: {code} is not there"


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_every_make_target_that_is_named_exists(path: Path) -> None:
    for line in commands(path.read_text(encoding="utf-8")):
        words = line.split()
        if words and words[0] == "make":
            named = [word for word in words[1:] if "=" not in word and not word.startswith("-")]
            assert set(named) <= targets(), f"{name(path)}: {line}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_every_mapae_command_that_is_named_parses(path: Path) -> None:
    """The command and each of its options exist; values are not looked at."""
    for line in commands(path.read_text(encoding="utf-8")):
        words = [word for word in shlex.split(line) if not re.fullmatch(r"[A-Z_]+=.*", word)]
        if not words or Path(words[0]).name != "mapae":
            continue
        group: Any = typer.main.get_command(app)
        rest = words[1:]
        while rest and hasattr(group, "commands"):
            assert rest[0] in group.commands, f"{name(path)}: {line}"
            group, rest = group.commands[rest[0]], rest[1:]
        options = {option for parameter in group.params for option in [*parameter.opts, *parameter.secondary_opts]}
        used = {word.split("=")[0] for word in rest if word.startswith("--")}
        assert used <= options | {"--help"}, f"{name(path)}: {line}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_every_other_program_in_an_example_is_in_the_tree(path: Path) -> None:
    for line in commands(path.read_text(encoding="utf-8")):
        word = line.split()[0] if line.split() else ""
        if word.startswith(("tools/", "../tools/", "bench/", "tests/")):
            assert (ROOT / word.removeprefix("../")).exists(), f"{name(path)}: {line}"


def test_the_map_of_the_tree_is_true() -> None:
    """Each file and folder of the README's map exists."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    drawn = next(body for kind, body in FENCE.findall(readme) if kind == "text")
    folder = ""
    for line in drawn.splitlines():
        indent, left = len(line) - len(line.lstrip()), re.split(r"\s{2,}", line.strip())[0]
        for word in left.split():
            if not indent:
                folder = word
                assert (ROOT / word).exists(), word
            else:
                assert (ROOT / folder / word).exists(), f"{folder}{word}"


def test_the_example_settings_of_the_operations_page_are_read(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "operate.md").read_text(encoding="utf-8")
    example = next(body for kind, body in FENCE.findall(text) if kind == "toml")
    (tmp_path / "mapae.toml").write_text(example, encoding="utf-8")
    settings = load_settings(tmp_path / "mapae.toml")
    assert settings.demo and set(settings.role_urls) < set(ROLES)


def test_the_operations_page_lists_every_setting() -> None:
    text = (ROOT / "docs" / "operate.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))
    assert listed == {field.name for field in msgspec.structs.fields(Settings)}
