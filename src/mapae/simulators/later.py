"""Days that pass for physical cards alone: a visitor of the demo need not wait three weeks for a factory.

Promises: `Ahead` runs along with the country's clock, so many days before it, also after a restart; nothing but the
life of physical cards and the simulators around it looks at it. Phones, sessions and signatures stay in the present: a
browser would refuse what is dated weeks ahead. Trusts: whoever visits the demo. Keeps: the days, in a file. Refuses:
more than a year ahead.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from mapae.clock import Clock
from mapae.errors import Code, Refused
from mapae.ui.http import Answer, Caller, Csrf, Door, Rate, door, form, json_answer, json_body, see_other

MOST: Final = 60  # days at once
FARTHEST: Final = 366
PATH: Final = "/simulators/later"


class Ahead:
    """A clock some days before another one."""

    def __init__(self, clock: Clock, kept: Path) -> None:
        self._clock, self._kept = clock, kept
        self._days = _read(kept)

    @property
    def days(self) -> int:
        return self._days

    def now(self) -> datetime:
        return self._clock.now() + timedelta(days=self._days)

    def surely(self) -> datetime:
        return self._clock.surely() + timedelta(days=self._days)

    def advance(self, days: int) -> None:
        """Raises Refused(MALFORMED)."""
        if not 1 <= days <= MOST or self._days + days > FARTHEST:
            raise Refused(Code.MALFORMED, f"from 1 to {MOST} days at once, and {FARTHEST} in all")
        self._days += days
        self._kept.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = self._kept.with_name(f".{self._kept.name}")  # a kill in the middle must not turn the days back
        draft.write_text(str(self._days), encoding="ascii")
        draft.replace(self._kept)


def _read(kept: Path) -> int:
    try:
        raw = kept.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return 0
    return int(raw) if raw.isdigit() and len(raw) < 5 else 0


class Days(msgspec.Struct):
    days: int


class Later:
    """The doors. `work` is what happens to cards by itself, once a day that passes."""

    def __init__(self, ahead: Ahead, work: Callable[[], Awaitable[object]]) -> None:
        self._ahead, self._work = ahead, work

    def doors(self) -> list[Door]:
        anyone: dict[str, Any] = {"caller": Caller.ANYONE, "limit": 1024, "rate": Rate(30, 60)}
        return [
            door("POST", PATH, self.by_form, answer=Answer.PAGE, csrf=Csrf.TOKEN, **anyone),
            door("POST", PATH + "/days", self.by_script, answer=Answer.JSON, **anyone),
        ]

    async def by_form(self, request: Request) -> Response:
        sent = await form(request)
        raw, back = sent.get("days", ""), sent.get("back", "/simulators/")
        if not raw.isascii() or not raw.isdigit() or len(raw) > 3:
            raise Refused(Code.MALFORMED, "say how many days")
        await self.pass_(int(raw))
        known = back.startswith(("/desk/cards/", "/portal/cards/"))
        return see_other(back if known else "/simulators/")

    async def by_script(self, request: Request) -> Response:
        await self.pass_((await json_body(request, Days)).days)
        return json_answer({"ahead": self._ahead.days, "now": self._ahead.now().isoformat()})

    async def pass_(self, days: int) -> None:
        """Day by day, so that what takes several steps takes them."""
        if not 1 <= days <= MOST:
            raise Refused(Code.MALFORMED, f"from 1 to {MOST} days at once")
        for _ in range(days):
            self._ahead.advance(1)
            await self._work()
