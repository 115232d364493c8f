"""The demo's reader: a page where a simulated card is tapped for a wallet, through the helper's own code and line.

Promises: what a real helper does at a real reader happens here at a simulated one, message for message (`tapping.tap`
over the issuer's WebSocket door), and the page says that card and reader are simulated. Trusts: whoever reaches the
demo country: its people are made up. Keeps: a visit at the reader for ten minutes, in memory. Refuses: to be there
unless the settings say `demo = true`.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from .clock import Dice
from .errors import Code, Refused
from .house import House
from .issuer.ic_card.card import Card
from .issuer.ic_card.lds import Details
from .issuer.ic_card.memory import FileMemory
from .issuer.ic_card.profile import DETAILS, PROFILE_A
from .issuer.ic_card.reader import SimulatedReader
from .tapping import Inside, Ready, tap, unblock_pin
from .ui.http import Answer, Caller, Csrf, Door, Rate, door, form, see_other
from .ui.pages import page

PATH: Final = "/demo/card"
CARDS: Final = Path("simulators") / "chips"
VISITS: Final = 64  # at once; the oldest goes
LONGEST: Final = 600.0  # seconds of a visit
SOON: Final = 15.0  # seconds a page waits for the card before it shows what there is
_CARD: Final = re.compile(r"[A-Za-z0-9]{1,32}")
_SECRET: Final = re.compile(r"[A-Za-z0-9_-]{16,128}")
_PIN: Final = re.compile(r"[0-9]{4,8}")


@dataclass
class Visit:
    """Somebody at the simulated reader. Implements `tapping.Holder`; `news` is set whenever the page would change."""

    card: str
    ready: Ready | None = None
    asks: str = ""
    """What is to be typed now: "pin", "can", or nothing."""
    left: int = 3
    wrong: bool = False
    failed: Refused | None = None
    done: bool = False
    news: asyncio.Event = field(default_factory=asyncio.Event)
    typed: asyncio.Queue[str] = field(default_factory=asyncio.Queue)
    task: asyncio.Task[None] | None = None

    async def shown(self, ready: Ready) -> None:
        self.ready = ready

    async def pin(self, tries_left: int, last: Refused | None) -> str:
        self.left, self.wrong = tries_left, last is not None
        return await self._asked("pin")

    async def can(self) -> str:
        self.left = 1
        return await self._asked("can")

    async def _asked(self, what: str) -> str:
        self.asks = what
        self.news.set()
        typed = await self.typed.get()
        self.asks = ""
        return typed

    async def changed(self) -> None:
        """Wait until there is something to show, but not for ever."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SOON):
                await self.news.wait()
        self.news.clear()


class DemoCard:
    def __init__(self, house: House) -> None:
        self._house = house
        self._folder = house.foundation.data / CARDS
        self._dice: Dice = house.foundation.dice
        self._visits: OrderedDict[str, Visit] = OrderedDict()

    def routes(self) -> list[Door]:
        anyone: dict[str, Any] = {"caller": Caller.ANYONE, "answer": Answer.PAGE, "rate": Rate(240, 60)}
        post: dict[str, Any] = {**anyone, "csrf": Csrf.TOKEN, "limit": 4096}
        return [
            door("GET", PATH, self._choose, **anyone),
            door("POST", PATH, self._put, **post),
            door("POST", f"{PATH}/unblock", self._unblock, **post),
            door("GET", f"{PATH}/visits/{{id}}", self._look, **anyone),
            door("POST", f"{PATH}/visits/{{id}}", self._type, **post),
            door("POST", f"{PATH}/visits/{{id}}/away", self._away, **post),
        ]

    # --- doors -----------------------------------------------------------------------------------------------------

    async def _choose(self, request: Request) -> Response:
        return page(request, "demo/card.html", cards=self._cards(), said="", unblocked=False)

    async def _put(self, request: Request) -> Response:
        """Put the card on the reader: the helper begins, as far as it can without a PIN."""
        sent = await form(request)
        secret, number = sent.get("secret", ""), sent.get("card", "")
        if not _SECRET.fullmatch(secret) or not _CARD.fullmatch(number):
            return page(request, "demo/card.html", status=400, cards=self._cards(), said="link", unblocked=False)
        for earlier in list(self._visits.values()):  # a card lies on one reader: whoever left it there has lost it
            if earlier.card == number:
                await _end(earlier)
        id, visit = self._dice.token(12), Visit(number)
        self._visits[id] = visit
        while len(self._visits) > VISITS:
            _, oldest = self._visits.popitem(last=False)
            await _end(oldest)
        visit.task = asyncio.create_task(self._helper(visit, secret))
        await visit.changed()
        return see_other(f"{PATH}/visits/{id}")

    async def _look(self, request: Request) -> Response:
        return page(request, "demo/card_visit.html", id=request.path_params["id"], visit=self._visit(request))

    async def _type(self, request: Request) -> Response:
        visit, sent = self._visit(request), await form(request)
        typed = sent.get("typed", "").strip()
        if visit.asks and _PIN.fullmatch(typed):
            visit.news.clear()
            await visit.typed.put(typed)
            await visit.changed()
        return see_other(f"{PATH}/visits/{request.path_params['id']}")

    async def _away(self, request: Request) -> Response:
        """Take the card off the reader, in the middle of whatever happens."""
        await _end(self._visit(request))
        return see_other(f"{PATH}/visits/{request.path_params['id']}")

    async def _unblock(self, request: Request) -> Response:
        sent = await form(request)
        number, puk = sent.get("card", ""), sent.get("puk", "").strip()
        said = ""
        try:
            with self._reader(number) as card:
                await unblock_pin(card, puk, self._dice)
        except Refused as refused:
            said = refused.code.value
        return page(request, "demo/card.html", status=400 if said else 200, cards=self._cards(), said=said,
                    unblocked=not said)  # fmt: skip

    def _visit(self, request: Request) -> Visit:
        visit = self._visits.get(request.path_params["id"])
        if visit is None:
            raise Refused(Code.NOT_FOUND, "this visit at the reader is over")
        return visit

    # --- the helper ------------------------------------------------------------------------------------------------

    async def _helper(self, visit: Visit, secret: str) -> None:
        try:
            async with asyncio.timeout(LONGEST):
                with self._reader(visit.card) as card:
                    wire = await Inside.open(self._house.site)
                    try:
                        await tap(wire, secret, card, visit, self._dice)
                    finally:
                        await wire.close()
            visit.done = True
        except Refused as refused:
            visit.failed = refused
        except (TimeoutError, asyncio.CancelledError):
            visit.failed = Refused(Code.UNAVAILABLE, "the card was taken away", step="reader")
        finally:
            visit.asks = ""
            visit.news.set()

    @contextlib.contextmanager
    def _reader(self, number: str) -> Iterator[SimulatedReader]:
        if not _CARD.fullmatch(number):
            raise Refused(Code.NOT_FOUND, "there is no such simulated card", step="reader")
        memory = FileMemory(self._folder / number)
        reader = SimulatedReader(Card(memory, self._dice), memory.close)
        try:
            yield reader
        finally:
            reader.close()

    def _cards(self) -> list[dict[str, str]]:
        """Every simulated card there is, with the name that is printed on it."""
        if not self._folder.is_dir():
            return []
        numbers = sorted(path.name for path in self._folder.iterdir() if _CARD.fullmatch(path.name))
        return [{"number": number, "name": self._name_on(number)} for number in numbers]

    def _name_on(self, number: str) -> str:
        try:
            memory = FileMemory(self._folder / number)
        except Refused:
            return ""  # in a reader at this moment
        try:
            return Details.parse(memory.image.files[PROFILE_A.fid(DETAILS)]).name
        except (Refused, KeyError):
            return ""
        finally:
            memory.close()


async def _end(visit: Visit) -> None:
    if visit.task is not None and not visit.task.done():
        visit.task.cancel()
        await asyncio.wait([visit.task])
