"""The stage of the stories: a running demo country for each worker, and for each test phones, desks and tills.

`--screens FOLDER` writes the pictures of the documentation; with `--every-screen`, those of every page passed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserType, Page, Playwright, expect, sync_playwright

from stories.blackout import Blackout
from stories.counter import Desk, Till, tab
from stories.country import Country
from stories.indoors import Indoors
from stories.look import Album
from stories.phone import QUIET, Phone, chromium
from stories.pictures import KEPT
from stories.sitting import Line

expect.set_options(timeout=30_000)  # a page on a busy machine; nothing waits longer than it must


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--screens", default="", help="folder for the pictures of the screens")
    parser.addoption("--every-screen", action="store_true", help="not only those the documentation shows")


@pytest.fixture(scope="session")
def country(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Country]:
    """`mapae demo up`, seeded once for this worker. Tests keep apart by each having people of their own."""
    running = Country(tmp_path_factory.mktemp("country"))
    yield running
    running.close()


@pytest.fixture
def blackout(tmp_path: Path) -> Iterator[Blackout]:
    """A country of the test's own, which can be cut off, on a clock of its own."""
    running = Blackout(tmp_path)
    yield running
    running.close()


@pytest.fixture
def playwright() -> Iterator[Playwright]:
    # A driver for each test, not for the session: its event loop must not be running when an async test's turn comes.
    with sync_playwright() as running:
        yield running


@dataclass
class Stage:
    """Everybody who appears in one story."""

    engine: BrowserType
    country: Country
    folder: Path
    album: Callable[[str], Album]
    phones: list[Phone] = field(default_factory=list)
    desktop: Browser | None = None

    def phone(self, language: str = "en") -> Phone:
        folder = self.folder / f"phone{len(self.phones)}"
        folder.mkdir()
        self.phones.append(Phone(self.engine, folder, self.country, language))
        return self.phones[-1]

    def tab(self, language: str = "en", *, script: bool = True) -> Page:
        if self.desktop is None:
            self.desktop = self.engine.launch(executable_path=chromium(), args=QUIET)
        return tab(self.desktop, self.country, language, script=script)

    def desk(self, language: str = "en", office: str = "goyang_juyeop", *, script: bool = True) -> Desk:
        desk = Desk(self.tab(language, script=script))
        desk.sign_in(office)
        return desk

    def till(self, language: str = "en", shop: str = "guest_house") -> Till:
        till = Till(self.tab(language), self.country)
        till.enrol(shop)
        return till

    def close(self) -> None:
        for phone in self.phones:
            phone.close()
        if self.desktop is not None:
            self.desktop.close()


@pytest.fixture
def album(request: pytest.FixtureRequest) -> Iterator[Callable[[str], Album]]:
    """Albums by language; at the end of the test, whatever was wrong on any page fails it."""
    folder = request.config.getoption("--screens", default="")
    every = bool(request.config.getoption("--every-screen", default=False))
    albums: dict[str, Album] = {}

    def open(language: str) -> Album:
        return albums.setdefault(language, Album(language, Path(folder) if folder else None, KEPT, every))

    yield open
    for one in albums.values():
        one.close()


@pytest.fixture
def stage(country: Country, playwright: Playwright, tmp_path: Path, album: Callable[[str], Album]) -> Iterator[Stage]:
    stage = Stage(playwright.chromium, country, tmp_path, album)
    yield stage
    stage.close()


@pytest.fixture
def scene(indoors: Indoors, playwright: Playwright, tmp_path: Path, album: Callable[[str], Album]) -> Iterator[Stage]:
    """A stage in the house that the story's own file opens, with its clock."""
    stage = Stage(playwright.chromium, indoors, tmp_path, album)
    yield stage
    stage.close()


@pytest.fixture
def line(indoors: Indoors) -> Iterator[Line]:
    """Nothing a browser asks for leaves this machine."""
    line = Line(indoors.base)
    yield line
    assert line.elsewhere == []
