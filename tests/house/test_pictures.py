"""The documentation's pictures: there, small, and made by the stories."""

from __future__ import annotations

import html
import re
from pathlib import Path

from mapae.issuer.cards.life import drawing
from stories.pictures import KEPT

ROOT = Path(__file__).resolve().parents[2]
SCREENS = ROOT / "docs" / "screens"


def test_every_picture_the_documentation_shows_is_one_the_stories_take() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    shown = {name for page in pages for name in re.findall(r"screens/([\w-]+)\.png", page.read_text(encoding="utf-8"))}
    assert shown <= KEPT


def test_the_folder_holds_exactly_those_pictures_and_each_is_small() -> None:
    assert {path.stem for path in SCREENS.iterdir()} == KEPT, "run `make screenshots`"
    assert not [path.name for path in SCREENS.iterdir() if path.stat().st_size > 150_000]


def test_the_drawing_of_a_cards_life_has_every_arrow_of_the_code_and_no_other() -> None:
    picture = (ROOT / "docs" / "card-life.svg").read_text(encoding="utf-8")
    titles = [html.unescape(title) for title in re.findall(r"<title>([^<]*)</title></path>", picture)]
    assert sorted(edge for title in titles for edge in title.split("; ")) == sorted(drawing())
