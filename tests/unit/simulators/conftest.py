"""The four simulated services over their doors, with a press that makes no real chip, and the issuer's clients."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import httpx
import msgspec
import pytest

from browserless import Browser
from mapae.clock import MovableClock, SeededDice
from mapae.db import Db
from mapae.errors import Code, Refused
from mapae.issuer.cards.calls import Outside
from mapae.issuer.cards.factory_client import FactoryClient
from mapae.issuer.cards.fingerprint_client import FingerprintClient
from mapae.issuer.cards.partners import CardData
from mapae.issuer.cards.payment_client import PaymentClient
from mapae.issuer.cards.post_client import PostClient
from mapae.simulators import factory as factories
from mapae.simulators.factory import Letter, Prepared, Press, SimulatedFactory
from mapae.simulators.faults import Service
from mapae.simulators.fingerprint import SimulatedReader
from mapae.simulators.pages import pages
from mapae.simulators.payment import SimulatedPayments
from mapae.simulators.post import SimulatedPost
from mapae.simulators.web import Simulators, routes
from mapae.ui.site import application

BASE = "http://mapae.test"
NOW = datetime(2026, 3, 2, 3, 0, tzinfo=UTC)
KEY = "the-key-of-them-all"


class PaperPress:
    """Writes down what a chip would hold, so that a test can read it."""

    def prepare(self, data: factories.CardData) -> Prepared:
        said = {
            1: data.number.encode(),
            2: data.portrait,
            11: data.name.encode(),
            14: b"key of " + data.number.encode(),
        }
        hashes = {group: hashlib.sha256(content).digest() for group, content in said.items()}
        return Prepared(hashes=hashes, dg14=said[14], blank=msgspec.json.encode(said))

    def must_cover(self, sod: bytes, hashes: dict[int, bytes]) -> None:
        if sod != sod_over(hashes):
            raise Refused(Code.CHIP_REFUSED, "other hashes", step="hashes")

    def finish(self, blank: bytes, sod: bytes, letter: Letter, path: Path, *, delivery: bool = True) -> None:
        path.write_bytes(msgspec.json.encode([blank, sod, letter]))


class Cut(BaseException):
    """The power."""


class CutPress(PaperPress):
    """Loses power once the chip's file is written."""

    def finish(self, blank: bytes, sod: bytes, letter: Letter, path: Path) -> None:
        super().finish(blank, sod, letter, path)
        raise Cut


def sod_over(hashes: dict[int, bytes]) -> bytes:
    return b"SOD" + b"".join(hashes[group] for group in sorted(hashes))


@dataclass
class Outskirts:
    """What a test needs in its hands. `http` reaches the doors; the clients are the issuer's."""

    db: Db
    clock: MovableClock
    simulators: Simulators
    http: httpx.AsyncClient
    factory: FactoryClient
    post: PostClient
    payment: PaymentClient
    fingerprint: FingerprintClient
    folder: Path

    def browser(self, language: str = "en") -> Browser:
        return Browser(self.http, BASE, language)

    async def tell(self, service: str, mode: str, count: int = 1, seconds: int = 0) -> None:
        await self.simulators.services[service].misbehave(mode, seconds, count)

    async def after(self, **parts: float) -> None:
        self.clock.advance(**parts)

    def killed(self, press: Press | None = None) -> Outskirts:
        """The services started again on the same database and folder."""
        return opened(self.db, self.clock, self.folder, press)


def opened(db: Db, clock: MovableClock, folder: Path, press: Press | None = None) -> Outskirts:
    dice = SeededDice("outskirts")

    def service(name: str) -> Service:
        return Service(name, db, KEY)

    these = Simulators(
        SimulatedFactory(
            db=db, clock=clock, dice=dice, service=service("factory"), press=press or PaperPress(), folder=folder,
            production_days=(14, 21), pin_digits=4,
        ),
        SimulatedPost(db, clock, service("post")),
        SimulatedPayments(db, clock, dice, service("payment")),
        SimulatedReader(service("fingerprint")),
        BASE,
    )  # fmt: skip
    site = application([*routes(these), *pages(these)], clock=clock, demo=True)
    http = httpx.AsyncClient(transport=httpx.ASGITransport(app=site), base_url=BASE)

    def outside(name: str) -> Outside:
        return Outside(name, http, f"{BASE}/{name}", KEY)

    return Outskirts(
        db, clock, these, http, FactoryClient(outside("factory")), PostClient(outside("post")),
        PaymentClient(outside("payment")), FingerprintClient(outside("fingerprint")), folder,
    )  # fmt: skip


@pytest.fixture
async def outskirts(migrated: Callable[[str], Awaitable[Db]], tmp_path: Path) -> AsyncIterator[Outskirts]:
    world = opened(await migrated("simulators"), MovableClock(NOW), tmp_path / "chips")
    yield world
    await world.http.aclose()


def card(number: str = "M12345678", name: str = "홍길동") -> CardData:
    return CardData(
        number, name, "HONG GILDONG", date(1990, 5, 6), "male", "KOR", "세종특별자치시 도움6로 11", date(2026, 3, 2),
        date(2036, 3, 1), b"\xff\xd8\xff\xe0" + bytes(200) + b"\xff\xd9",
    )  # fmt: skip
