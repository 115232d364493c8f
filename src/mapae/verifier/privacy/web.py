"""Where a citizen's phone sends a request to a relying party, and where the shop answers it.

Promises: a phone proves nothing but that it holds the token; a till sees the requests to its own shop. Trusts: the till
cookie, `privacy.py` for the rules. Keeps: nothing. Refuses: bodies over 8 KiB, more than ten requests a minute from one
address, a token in the address of a page, a form from another site.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from mapae.errors import Code, Refused
from mapae.ui import csrf
from mapae.ui.http import Answer, Caller, Csrf, Door, Rate, door, form, json_answer, json_body, see_other
from mapae.ui.pages import page
from mapae.verifier.asking.store import Till
from mapae.verifier.privacy.requests import Outcome, Privacy, Wish
from mapae.verifier.till.kiosk import Verifier
from mapae.verifier.till.web import COOKIE, START

PAGE: Final = "/checker/requests"


def routes(verifier: Verifier, privacy: Privacy) -> list[Door]:
    doors = _Doors(verifier, privacy)
    anyone, path = Caller.ANYONE, "/privacy/{party}/requests"
    return [
        door("POST", path, doors.take, caller=anyone, answer=Answer.JSON, cors=True, limit=8192, rate=Rate(10, 60)),
        door("GET", path, doors.standing, caller=anyone, answer=Answer.JSON, cors=True, rate=Rate(120, 60)),
        door("GET", PAGE, doors.list, caller=anyone, answer=Answer.PAGE),
        door("POST", PAGE, doors.answer, caller=anyone, answer=Answer.PAGE, csrf=Csrf.TOKEN, limit=8192),
    ]


class _Doors:
    def __init__(self, verifier: Verifier, privacy: Privacy) -> None:
        self._verifier, self._privacy = verifier, privacy

    async def take(self, request: Request) -> Response:
        wish = await json_body(request, Wish)
        return json_answer(asdict(await self._privacy.take(request.path_params["party"], _token(request), wish)), 201)

    async def standing(self, request: Request) -> Response:
        return json_answer(asdict(await self._privacy.standing(request.path_params["party"], _token(request))))

    async def list(self, request: Request) -> Response:
        till = await self._till(request)
        return see_other(START) if till is None else await self._page(request, till)

    async def answer(self, request: Request) -> Response:
        till = await self._till(request)
        if till is None:
            return see_other(START)
        fields = await form(request)
        try:
            outcome = Outcome(fields.get("outcome", ""))
        except ValueError:
            raise Refused(Code.MALFORMED, "there is no such answer") from None
        try:
            await self._privacy.answer(till, fields.get("id", ""), outcome, fields.get("words", ""))
        except Refused as refused:
            if refused.step != "words":
                raise
            return await self._page(request, till, lacking=fields.get("id", ""))
        return see_other(PAGE)

    async def _page(self, request: Request, till: Till, lacking: str = "") -> Response:
        lines = [
            {
                "id": line.id, "kind": line.kind.value, "purpose": line.purpose, "words": line.words,
                "items": line.items,
                "shown_at": line.shown_at, "received_at": line.received_at, "due_at": line.due_at,
                "standing": line.standing, "open": line.standing.state in ("received", "show_again"),
            }
            for line in await self._privacy.of(till)
        ]  # fmt: skip
        outcomes = [one.value for one in Outcome if one is not Outcome.OPEN]
        return page(
            request, "checker/requests.html", status=422 if lacking else 200,
            shop=msgspec.to_builtins(await self._verifier.shop(till)), lines=lines, outcomes=outcomes, lacking=lacking,
        )  # fmt: skip

    async def _till(self, request: Request) -> Till | None:
        return await self._verifier.till(csrf.session_token(request, COOKIE))


def _token(request: Request) -> str:
    """In a header, so that it stands in no server's log of addresses."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme != "Bearer" or not token or len(token) > 128:
        raise Refused(Code.MALFORMED, "a request comes with its token")
    return token
