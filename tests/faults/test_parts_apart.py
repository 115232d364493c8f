"""Faults between parts: a message or its answer is lost, or a process is killed over it; then all goes on as if not.

What each part does when its own database fails is in the files beside this one; here it is issuer, trust log, packs and
checkers together, over their own interfaces.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from enum import StrEnum
from pathlib import Path

import httpx
import pytest

from mapae.drill_books import Books
from mapae.drill_country import World
from mapae.drill_lines import Lines, Part, part_of


class Killed(BaseException):
    """SIGKILL: nothing catches it, nothing runs after it."""


class Mishap(StrEnum):
    LOST = "the message is lost"
    UNHEARD = "the answer is lost"
    KILLED_BEFORE = "killed with the message in hand"
    KILLED_AFTER = "killed with the answer on its way"


class Unsafe(Lines):
    """The `at`-th message into this part, from now on, meets with a mishap."""

    def __init__(self) -> None:
        super().__init__()
        self.into: Part | None = None
        self.mishap = Mishap.LOST
        self.at = 0
        self.met = 0

    def arm(self, into: Part, mishap: Mishap, at: int) -> None:
        self.into, self.mishap, self.at, self.met = into, mishap, at, 0

    def disarm(self) -> None:
        self.into = None

    async def carry(self, source: Part, request: httpx.Request) -> httpx.Response:
        if source is self.into or part_of(request.url.path) is not self.into:
            return await super().carry(source, request)
        self.met += 1
        if self.met != self.at:
            return await super().carry(source, request)
        if self.mishap is Mishap.LOST:
            raise httpx.ConnectError("lost", request=request)
        if self.mishap is Mishap.KILLED_BEFORE:
            raise Killed
        await super().carry(source, request)
        if self.mishap is Mishap.KILLED_AFTER:
            raise Killed
        raise httpx.ReadError("the answer is lost", request=request)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = await World.make(str(tmp_path / "var"), "kr", lines=Unsafe())
    yield world
    await world.close()


async def lived(world: World, seconds: float) -> None:
    """Time passes; a part that is killed meanwhile is started again."""
    world.clock.advance(seconds=seconds)
    for _ in range(2):
        for part, house in zip((Part.ISSUER, Part.LOG, Part.REST), world.houses, strict=True):
            try:
                await house.turn()
            except Killed:
                await house.close()
                await world.start(part)


async def caught_up(world: World, books: Books) -> None:
    for _ in range(40):
        if not await books.queues():
            break
        await lived(world, 60)
    assert await books.queues() == {}


async def must_be_whole(world: World, books: Books) -> None:
    assert (await books.gaps(), await books.wrong(), await books.broken()) == ([], [], [])
    assert (await books.follow()).endswith("new")


FAULTS = [
    *((Part.LOG, mishap) for mishap in Mishap),
    (Part.WITNESSES, Mishap.UNHEARD), (Part.WITNESSES, Mishap.KILLED_AFTER),
    (Part.STATUS, Mishap.LOST), (Part.STATUS, Mishap.KILLED_BEFORE),
]  # fmt: skip


async def test_an_epoch_reaches_log_witnesses_and_pack_once_whatever_happens_to_a_message(world: World) -> None:
    lines, books = world.lines, Books(world)
    assert isinstance(lines, Unsafe)
    [who] = await world.people(1)
    citizen = await world.citizen(who)
    await caught_up(world, books)
    await must_be_whole(world, books)
    for into, mishap in FAULTS:
        anchors = (await books.count([citizen])).anchors
        lines.arm(into, mishap, at=1)
        await world.issuer.issuer.lock(citizen.person, "lost", "portal")
        await lived(world, world.settings.epoch)
        assert lines.met, f"nobody wrote to {into}"
        lines.disarm()
        await caught_up(world, books)
        assert (await books.count([citizen])).anchors > anchors
    await lived(world, 60)
    await must_be_whole(world, books)


async def test_an_issuer_that_starts_while_the_log_is_away_enters_its_certificates_once_it_is_back(
    world: World,
) -> None:
    books = Books(world)
    await caught_up(world, books)
    entries = (await books.count([])).registry
    world.lines.cut({Part.LOG})
    await world.issuer.close()
    await world.start(Part.ISSUER)
    waiting = await books.queues()
    assert [name for name in waiting if name.startswith("issuer: ")], waiting
    world.lines.restore()
    await caught_up(world, books)
    assert (await books.count([])).registry == entries  # they were there before, and are there once
    [who] = await world.people(1)
    assert (await world.citizen(who)).wallet.cards
    await lived(world, 60)
    await must_be_whole(world, books)
