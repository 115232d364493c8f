"""The doors of the HTTP interface, each with what it reads and says: `openapi.py` writes the document from this list.

Promises: a door answers what its `Op` says and nothing else; a page of any origin may watch with its token, for no
door looks at a cookie; whoever waits holds one of `WAITERS` places, and beyond those is answered at once. Trusts: an
API key as a Bearer token, whose hash the store keeps. Keeps: token buckets a key, how many wait. Refuses: more
questions a minute than a key, an address or this whole process may put.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from mapae.clock import Clock
from mapae.errors import Code, Refused
from mapae.ui.codes import drawn
from mapae.ui.files import STATIC, send_file
from mapae.ui.http import Answer, Caller, Door, Rate, answer_header, door, form, json_answer, json_body
from mapae.ui.rate import Buckets
from mapae.verifier.asking.oid4vp import RESPONSE_LIMIT
from mapae.verifier.site.api import Api, ToType
from mapae.verifier.site.api_store import Key
from mapae.verifier.site.api_types import FINAL, Ask, AskAnyone, Looked, Nothing, Redeem, Started, Type, Typed, Watched
from mapae.verifier.site.shop_web import Elsewhere, code_page

MOST_WAIT: Final = 25  # seconds one look may wait
PAUSE: Final = 0.4  # seconds between two looks into the database
WAITERS: Final = 200  # looks that wait at the same time, in this process
KEY_RATE: Final = Rate(1200, 60)  # of questions, a key
ANYONE_RATE: Final = Rate(600, 60)  # of questions for anyone, all together: they live two minutes, so 1,800 are open
LIMIT: Final = 4096
COARSE: Final = 600  # characters of a link above which its code is drawn as coarse as it can be


@dataclass(frozen=True, slots=True)
class Op:
    """One door. `says` has the type of each good answer by its status; `refuses` the codes a caller should expect."""

    method: str
    path: str
    handler: Callable[[Request], Awaitable[Response]]
    summary: str
    says: dict[int, type[Struct] | str]  # a type, or the media type of what is no JSON
    auth: str = ""  # "key", "page" or nobody's
    reads: type[Struct] | None = None
    takes: tuple[str, ...] = ()  # optional parameters: "wait" or "Idempotency-Key"
    refuses: tuple[Code, ...] = ()
    rate: Rate | None = None
    cors: bool = True
    more: dict[str, Any] = field(default_factory=dict)

    def door(self) -> Door:
        options: dict[str, Any] = {"caller": Caller.ANYONE, "answer": Answer.JSON, "limit": LIMIT} | self.more
        return door(self.method, self.path, self.handler, cors=self.cors, rate=self.rate, **options)


def operations(api: Api, clock: Clock, document: Callable[[], dict[str, Any]]) -> list[Op]:
    """All of /v1, and the door of the wallet that answers a question for anyone."""
    doors = _Doors(api, clock, document)
    gone = (Code.NOT_FOUND,)
    mine = (Code.NOT_SIGNED_IN, *gone)
    spent = (Code.WRONG_CODE, Code.WRONG_BROWSER, Code.CODE_SPENT, Code.MALFORMED)
    asking = (Code.MALFORMED, Code.NOT_FOUND, Code.UNSUPPORTED, Code.TOO_OFTEN)
    putting = (Code.NOT_SIGNED_IN, Code.OVER_ASKING, Code.NOT_ALLOWED, Code.CONFLICT, *asking)
    return [
        Op("POST", "/v1/checks", doors.start, "Put a question", {201: Started}, "key", Ask, ("Idempotency-Key",),
           putting, Rate(2400, 60), cors=False),
        Op("GET", "/v1/checks/{id}", doors.look, "How a check stands; values once", {200: Looked}, "key",
           takes=("wait",), refuses=mine, cors=False),
        Op("POST", "/v1/checks/{id}/redeem", doors.redeem, "The answer, in the session that asked, once", {200: Looked},
           "key", Redeem, refuses=(*mine, *spent), cors=False),
        Op("POST", "/v1/checks/{id}/cancel", doors.cancel, "Take a question back", {200: Nothing}, "key",
           refuses=mine, cors=False),
        Op("POST", "/v1/anyone/checks", doors.start_anyone, "Put a question that needs no registration",
           {201: Started}, "", AskAnyone, refuses=(Code.NOT_ALLOWED, *asking), rate=Rate(30, 60)),
        Op("POST", "/v1/anyone/checks/{id}/redeem", doors.redeem_anyone,
           "The answer to a question for anyone, in the session that asked, once", {200: Looked}, "", Redeem,
           refuses=(*gone, *spent), rate=Rate(600, 60), cors=False),
        Op("GET", "/v1/pages/{id}", doors.watch, "How a check stands, for the page that shows it", {200: Watched},
           "page", takes=("wait",), refuses=gone),
        Op("POST", "/v1/pages/{id}/cancel", doors.cancel_watched, "The visitor goes back", {200: Nothing}, "page",
           refuses=gone),
        Op("POST", "/v1/pages/{id}/code", doors.type_back, "The code that the phone shows, typed into the page",
           {200: Typed}, "page", Type, refuses=(*gone, Code.MALFORMED, Code.SESSION_SPENT)),
        Op("GET", "/v1/button.js", doors.button, "The button, a script for a page", {200: "text/javascript"}),
        Op("GET", "/v1/button.css", doors.style, "How the button looks", {200: "text/css"}),
        Op("GET", "/v1/openapi.json", doors.openapi, "This document", {200: "application/json"}),
        Op("POST", "/verifier/anyone/{id}", doors.answer,
           "A wallet's answer to a question for anyone (OpenID4VP 1.0 8.2)", {200: Nothing},
           refuses=(Code.NOT_FOUND, Code.MALFORMED, Code.SESSION_SPENT), more={
               "caller": Caller.WALLET, "answer": Answer.OAUTH, "limit": RESPONSE_LIMIT + 4096}),
    ]  # fmt: skip


class _Doors:
    def __init__(self, api: Api, clock: Clock, document: Callable[[], dict[str, Any]]) -> None:
        self._api, self._clock, self._document = api, clock, document
        self._by_key, self._by_all = Buckets(KEY_RATE), Buckets(ANYONE_RATE)
        self._waiting = 0

    async def start(self, request: Request) -> Response:
        key = await self._key(request)
        self._must_not_flood(request, self._by_key, key.id)
        ask, retry = await json_body(request, Ask), request.headers.get("idempotency-key")
        if retry is not None and not 1 <= len(retry) <= 128:
            raise Refused(Code.MALFORMED, "an Idempotency-Key has 1 to 128 characters")
        return _started(await self._api.start(key, ask, retry), draw=ask.qr)

    async def start_anyone(self, request: Request) -> Response:
        self._must_not_flood(request, self._by_all, "anyone")
        ask = await json_body(request, AskAnyone)
        return _started(await self._api.start_anyone(ask), draw=ask.qr)

    async def look(self, request: Request) -> Response:
        key, id = await self._key(request), request.path_params["id"]
        return await self._waited(request, lambda: self._api.look(key, id))

    async def watch(self, request: Request) -> Response:
        token, id = request.headers.get("authorization"), request.path_params["id"]
        return await self._waited(request, lambda: self._api.watch(token, id))

    async def redeem(self, request: Request) -> Response:
        key = await self._key(request)
        return json_answer(await self._api.redeem(key, request.path_params["id"], await json_body(request, Redeem)))

    async def redeem_anyone(self, request: Request) -> Response:
        return json_answer(await self._api.redeem(None, request.path_params["id"], await json_body(request, Redeem)))

    async def cancel(self, request: Request) -> Response:
        await self._api.cancel(await self._key(request), request.path_params["id"])
        return json_answer({})

    async def cancel_watched(self, request: Request) -> Response:
        await self._api.cancel_watched(request.headers.get("authorization"), request.path_params["id"])
        return json_answer({})

    async def type_back(self, request: Request) -> Response:
        token, typed = request.headers.get("authorization"), await json_body(request, Type)
        return json_answer(Typed(await self._api.type_back(token, request.path_params["id"], typed.code)))

    async def answer(self, request: Request) -> Response:
        await self._api.answer(request.path_params["id"], await form(request))
        return json_answer({})

    async def button(self, request: Request) -> Response:
        return send_file(request, STATIC, "button.js")

    async def style(self, request: Request) -> Response:
        return send_file(request, STATIC, "button.css")

    async def openapi(self, request: Request) -> Response:
        return json_answer(self._document(), headers={"Cache-Control": "public, max-age=300"})

    # --- inside -------------------------------------------------------------------------------------------------------

    async def _key(self, request: Request) -> Key:
        try:
            return await self._api.key(request.headers.get("authorization"))
        except Refused:
            answer_header(request, "WWW-Authenticate", "Bearer")  # RFC 6750 3
            raise

    def _must_not_flood(self, request: Request, buckets: Buckets, who: str) -> None:
        if not getattr(request.app.state, "rates", True):
            return
        wait = buckets.take(who, self._clock.now().timestamp())
        if wait:
            answer_header(request, "Retry-After", str(wait))
            raise Refused(Code.TOO_OFTEN, f"try again in {wait} seconds")

    async def _waited(self, request: Request, look: Callable[[], Awaitable[Looked | Watched]]) -> Response:
        """Look; with `?wait=` again and again until something has changed, or the time is over."""
        asked = request.query_params.get("wait", "0")
        if not (asked.isascii() and asked.isdigit() and len(asked) <= 2):
            raise Refused(Code.MALFORMED, f"wait is a number of seconds, {MOST_WAIT} at the most")
        looked = first = await look()
        if self._waiting < WAITERS:
            self._waiting += 1
            try:
                for _ in range(round(min(int(asked), MOST_WAIT) / PAUSE)):
                    if looked.state is not first.state or first.state in FINAL or await request.is_disconnected():
                        break
                    await asyncio.sleep(PAUSE)
                    looked = await look()
            finally:
                self._waiting -= 1
        return json_answer(looked)


def _started(started: Started, *, draw: bool) -> Response:
    if draw:
        started.qr = drawn(started.link, "M" if len(started.link) < COARSE else "L")
    return json_answer(started, HTTPStatus.CREATED, {"Location": f"/v1/checks/{started.id}"})


def leads_back(api: Api) -> Elsewhere:
    """What /shop/back asks first: whether this check belongs to a page elsewhere, where the browser goes on to."""

    async def back(request: Request, id: str, code: str) -> Response | None:
        url = await api.return_to(id, code)
        if url is None:
            return None
        if isinstance(url, ToType):
            return code_page(request, url.code, url.host)
        # The address came with an API key and was checked then; `see_other` is for pages of our own.
        return Response(status_code=303, headers={"Location": url, "Cache-Control": "no-store"})

    return back
