"""The PIN pad at an office's desk, as a page: the citizen replaces the letter's PIN by an own one, unseen.

Promises: the digits go from this page to the simulated chip and nowhere else: no log, no row, no door of the issuer;
the chip's own protocol (PACE, then a change of PIN in its channel) does the work. It is a simulator and says so.
Trusts: whoever holds card and letter, as a pad does. Keeps: nothing. Refuses: a card that has not left the factory.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from mapae.clock import Dice
from mapae.errors import Code, Refused
from mapae.issuer.ic_card.card import Card
from mapae.issuer.ic_card.memory import FileMemory
from mapae.issuer.ic_card.pace import Password
from mapae.issuer.ic_card.reader import SimulatedReader, drive
from mapae.issuer.ic_card.terminal import change_pin, pace, read_card_access, resume
from mapae.simulators.factory import SimulatedFactory
from mapae.ui.http import Answer, Caller, Csrf, Door, Rate, door, form
from mapae.ui.pages import page

_RATE: Final = Rate(30, 60)
_SAID: Final = (Code.CHIP_PIN_WRONG, Code.CHIP_SUSPENDED, Code.CHIP_BLOCKED, Code.MALFORMED, Code.CONFLICT)


class PinPad:
    def __init__(self, factory: SimulatedFactory, dice: Dice, digits: int) -> None:
        self._factory, self._dice, self._digits = factory, dice, digits

    def doors(self) -> list[Door]:
        path, page_ = "/simulators/pin-pad/{card}", Answer.PAGE
        return [
            door("GET", path, self.show, caller=Caller.ANYONE, answer=page_),
            door(
                "POST", path, self.change, caller=Caller.ANYONE, answer=page_, csrf=Csrf.TOKEN, limit=2048, rate=_RATE
            ),
        ]

    async def show(self, request: Request) -> Response:
        await self._factory.letter(request.path_params["card"])
        return self._page(request)

    async def change(self, request: Request) -> Response:
        card = request.path_params["card"]
        await self._factory.letter(card)
        sent = await form(request)
        if sent.get("new") != sent.get("again"):
            return self._page(request, wrong="differ", status=422)
        try:
            self.set_pin(card, sent.get("pin", ""), sent.get("new", ""), sent.get("can", ""))
        except Refused as refused:
            if refused.code not in _SAID:
                raise
            return self._page(request, wrong=refused.code.value, detail=refused.detail, status=422)
        return self._page(request, done=True)

    def set_pin(self, card: str, before: str, new: str, can: str = "") -> None:
        """With the chip itself. Raises Refused as the terminal does."""
        if not (new.isascii() and new.isdigit() and len(new) == self._digits):
            raise Refused(Code.MALFORMED, f"a PIN has {self._digits} digits")
        memory = FileMemory(self._factory.memory_of(card))
        reader = SimulatedReader(Card(memory, self._dice), memory.close)
        try:
            drive(self._talk(before, new, can), reader)
        finally:
            reader.close()

    def _talk(self, before: str, new: str, can: str) -> Generator[bytes, bytes, None]:
        access = yield from read_card_access()
        resumed = (yield from resume(can, access, self._dice)) if can else None
        opened = yield from pace(Password.PIN, before, access, self._dice, resumed)
        yield from change_pin(opened.channel, new)

    def _page(self, request: Request, *, status: int = 200, **said: Any) -> Response:
        card = request.path_params["card"]
        given: dict[str, Any] = {"done": False, "wrong": "", "detail": "", **said}
        return page(request, "simulators/pin_pad.html", status=status, card=card, digits=self._digits, **given)
