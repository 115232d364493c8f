"""The till's page for a customer who shows a code: scan it, or let a scanner type it, and ask.

Promises: works without script (a scanner that types, or paste) and by keyboard; says what was wrong with a code in the
clerk's language and lets the clerk try the next one. Trusts: the till cookie. Keeps: nothing. Refuses: a browser that
is no till, a form from another site, a body over its limit.
"""

from __future__ import annotations

from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from mapae.errors import Code, Refused
from mapae.formats.meet import MAX_TEXT
from mapae.ui import csrf
from mapae.ui.http import Answer, Caller, Csrf, Rate, door, form, see_other
from mapae.ui.pages import page
from mapae.ui.site import content_policy
from mapae.ui.words import language
from mapae.verifier.asking.store import Till
from mapae.verifier.relay.meet import Meetings
from mapae.verifier.till.kiosk import Verifier
from mapae.verifier.till.web import COOKIE, START

# The reader of QR codes is WebAssembly, as the wallet's is.
_HEADERS: Final = {"Content-Security-Policy": content_policy(wasm=True)}
# What the clerk can do something about: the next code may be good. Anything else is a page of its own.
_SAID: Final = frozenset(
    {Code.MALFORMED, Code.UNSUPPORTED, Code.TOO_LARGE, Code.PRESENTATION_STALE, Code.PRESENTATION_SPENT, Code.CLOCK_OFF,
     Code.TRANSPORT_LOST}
)  # fmt: skip


def routes(verifier: Verifier, meetings: Meetings) -> list[BaseRoute]:
    pages = _Pages(verifier, meetings)
    return [
        door("GET", "/checker/meet", pages.start, caller=Caller.ANYONE, answer=Answer.PAGE, camera=True),
        door(
            "POST", "/checker/meet", pages.begin, caller=Caller.ANYONE, answer=Answer.PAGE, csrf=Csrf.TOKEN,
            limit=3 * MAX_TEXT + 1024, rate=Rate(120, 60), camera=True,
        ),
    ]  # fmt: skip


class _Pages:
    def __init__(self, verifier: Verifier, meetings: Meetings) -> None:
        self._verifier, self._meetings = verifier, meetings

    async def start(self, request: Request) -> Response:
        till = await self._till(request)
        return (
            see_other(START) if till is None else await self._page(request, till, request.query_params.get("purpose"))
        )

    async def begin(self, request: Request) -> Response:
        till = await self._till(request)
        if till is None:
            return see_other(START)
        fields = await form(request)
        purpose, text = fields.get("purpose", ""), fields.get("code", "")
        try:
            id = await self._meetings.begin(till.id, till.relying_party, purpose, text)
        except Refused as refused:
            if refused.code not in _SAID:
                raise
            return await self._page(request, till, purpose, wrong=refused.code)
        return see_other(f"/checker/checks/{id}?read=1")

    async def _page(self, request: Request, till: Till, chosen: str | None, *, wrong: Code | None = None) -> Response:
        spoken = language(request)
        purposes = [(purpose.id, purpose.name.pick(spoken)) for purpose in await self._verifier.purposes(till)]
        known = [id for id, _ in purposes]
        return page(
            request, "checker/meet.html", status=200 if wrong is None else 422, headers=_HEADERS, purposes=purposes,
            chosen=chosen if chosen in known else next(iter(known), ""),
            wrong="" if wrong is None else wrong.value if wrong not in _UNREADABLE else "unreadable",
            shop=msgspec.to_builtins(await self._verifier.shop(till)),
        )  # fmt: skip

    async def _till(self, request: Request) -> Till | None:
        return await self._verifier.till(csrf.session_token(request, COOKIE))


_UNREADABLE: Final = frozenset({Code.MALFORMED, Code.UNSUPPORTED, Code.TOO_LARGE})
