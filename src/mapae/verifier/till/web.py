"""The checker's pages for a till, and the two doors a wallet knocks at.

Promises: every page works without script and by keyboard; a till's browser sees only its own questions; a wallet gets
the protocol's own errors. Trusts: the till cookie, whose hash the store keeps. Keeps: nothing. Refuses: a till that is
not enrolled (it is sent to enrol), a form from another site, a body over its limit.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from mapae.errors import Code, Refused
from mapae.ui import csrf
from mapae.ui.http import Answer, Caller, Csrf, Rate, door, form, json_answer, raw_body, see_other
from mapae.ui.pages import page
from mapae.verifier.asking.ask import Form
from mapae.verifier.asking.oid4vp import REQUEST_TYPE, RESPONSE_LIMIT
from mapae.verifier.asking.questions import Questions
from mapae.verifier.asking.store import Till
from mapae.verifier.till.kiosk import ENROLMENT, Verifier, Waiting
from mapae.verifier.till.pages import doubts, ended, pack, waiting

COOKIE: Final = "mapae_till"
START: Final = "/checker/"
_TillHandler = Callable[[Request, Till], Awaitable[Response]]


Collect = Callable[[str, str], Awaitable[None]]  # of this till this question's answer, where it lies elsewhere


async def _nothing(till: str, id: str) -> None:
    """Every answer comes to our own door."""


def routes(verifier: Verifier, collect: Collect = _nothing) -> list[BaseRoute]:
    checker = _Checker(verifier, collect)
    wallet = _Wallet(verifier.questions)
    see = partial(door, "GET", caller=Caller.ANYONE, answer=Answer.PAGE)
    do = partial(door, "POST", caller=Caller.ANYONE, answer=Answer.PAGE, csrf=Csrf.TOKEN, limit=4096)
    public = partial(door, caller=Caller.WALLET, answer=Answer.OAUTH, cors=True)
    return [
        see("/checker/", checker.start),
        do("/checker/till", checker.enrol, rate=Rate(60, 60)),
        do("/checker/till/end", checker.enrolled(checker.end)),
        do("/checker/checks", checker.enrolled(checker.open)),
        see("/checker/checks/{id}", checker.enrolled(checker.show)),
        see("/checker/checks/{id}/panel", checker.enrolled(checker.panel)),
        do("/checker/checks/{id}/cancel", checker.enrolled(checker.cancel)),
        do("/checker/checks/{id}/done", checker.enrolled(checker.done)),
        public("GET", "/verifier/requests/{id}", wallet.request),
        public("POST", "/verifier/requests/{id}", wallet.request_with_nonce, limit=16384),
        # An answer is urlencoded base64url and dots, so nothing grows on the way.
        public("POST", "/verifier/responses/{id}", wallet.answer, limit=RESPONSE_LIMIT + 4096),
    ]


class _Checker:
    def __init__(self, verifier: Verifier, collect: Collect) -> None:
        self._verifier, self._collect = verifier, collect

    def enrolled(self, handler: _TillHandler) -> Callable[[Request], Awaitable[Response]]:
        """Only for a till; any other browser goes to the start, where it can enrol."""

        async def guarded(request: Request) -> Response:
            till = await self._till(request)
            if till is not None:
                return await handler(request, till)
            return _go(request, START)

        return guarded

    async def _till(self, request: Request) -> Till | None:
        return await self._verifier.till(csrf.session_token(request, COOKIE))

    async def start(self, request: Request) -> Response:
        till = await self._till(request)
        code = request.query_params.get("code", "")[:40]
        if till is None or code:
            return await self._enrolment(request, till, code)
        purposes = [
            {
                "id": purpose.id,
                "name": msgspec.to_builtins(purpose.name),
                "why": msgspec.to_builtins(purpose.why),
                "legal_basis": msgspec.to_builtins(purpose.legal_basis),
                "yes_or_no": self._verifier.yes_or_no(purpose),
                "learned": self._verifier.learned(purpose),
            }
            for purpose in await self._verifier.purposes(till)
        ]
        basement = self._verifier.basement
        state = basement.state() if basement is not None else None
        found = await basement.doubtful(till.relying_party) if basement is not None else []
        doubtful = doubts(found, lambda id: self._verifier.questions.called(till.relying_party, id))
        return page(
            request, "checker/start.html", shop=await self._shop(till), purposes=purposes, till=till.id[:12],
            pack=pack(state) if state is not None else None, doubts=doubtful,
        )  # fmt: skip

    async def _enrolment(self, request: Request, till: Till | None, code: str, *, wrong: bool = False) -> Response:
        """Also for a browser that is a till already: a tablet moves from one shop to another."""
        now = await self._shop(till) if till is not None else None
        return page(request, "checker/enrol.html", status=422 if wrong else 200, code=code, wrong=wrong, now=now)

    async def _shop(self, till: Till) -> dict[str, str]:
        name: dict[str, str] = msgspec.to_builtins(await self._verifier.shop(till))
        return name

    async def enrol(self, request: Request) -> Response:
        typed = (await form(request)).get("code", "")
        before = await self._till(request)
        try:
            _, token = await self._verifier.enrol(typed)
        except Refused as refused:
            if refused.code is not Code.CODE_SPENT:
                raise
            return await self._enrolment(request, before, typed[:40], wrong=True)
        if before is not None:
            await self._verifier.end_till(before)
        answer = see_other(START)
        csrf.start_session(request, answer, COOKIE, token, int(ENROLMENT.total_seconds()))
        return answer

    async def end(self, request: Request, till: Till) -> Response:
        await self._verifier.end_till(till)
        answer = see_other(START)
        csrf.end_session(request, answer, COOKIE)
        return answer

    async def open(self, request: Request, till: Till) -> Response:
        fields = await form(request)
        try:
            wanted = Form(fields.get("form", Form.EITHER.value))
        except ValueError:
            raise Refused(Code.UNSUPPORTED, "there is no such format") from None
        id = await self._verifier.open(till, fields.get("purpose", ""), wanted)
        return see_other(f"/checker/checks/{id}")

    async def show(self, request: Request, till: Till) -> Response:
        await self._collect(till.id, request.path_params["id"])
        look = await self._verifier.look(till, request.path_params["id"])
        shop = await self._shop(till)
        if isinstance(look, Waiting):
            # Whose code the till has read has the question already: the till's own code is the second way then.
            read = request.query_params.get("read") == "1"
            return page(request, "checker/waiting.html", shop=shop, read=read, **waiting(look))
        # A clerk may keep a verdict on the screen, but not a customer's name.
        keep = request.query_params.get("keep") == "1" and not look.shown
        return page(request, "checker/verdict.html", shop=shop, keep=keep, fragment=False, **ended(look))

    async def panel(self, request: Request, till: Till) -> Response:
        """The moving part of a waiting page: the countdown, and once there is a verdict, that."""
        try:
            await self._collect(till.id, request.path_params["id"])
            look = await self._verifier.look(till, request.path_params["id"])
        except Refused as refused:
            if refused.code is Code.NOT_FOUND:  # forgotten while the tablet slept
                return _go(request, START)
            raise
        seen = request.query_params.get("seen")
        if isinstance(look, Waiting):
            values = waiting(look)
            return page(request, "checker/live.html", news=values["phase"] != seen, **values)
        headers = {"HX-Retarget": "#panel", "HX-Reswap": "outerHTML"}
        return page(request, "checker/panel.html", headers=headers, keep=False, fragment=True, **ended(look))

    async def cancel(self, request: Request, till: Till) -> Response:
        await self._verifier.cancel(till, request.path_params["id"])
        return _go(request, START)

    async def done(self, request: Request, till: Till) -> Response:
        await self._verifier.done(till, request.path_params["id"])
        return _go(request, START)


class _Wallet:
    def __init__(self, questions: Questions) -> None:
        self._questions = questions

    async def request(self, request: Request) -> Response:
        return _signed(await self._questions.request_object(request.path_params["id"]))

    async def request_with_nonce(self, request: Request) -> Response:
        """OpenID4VP 1.0 section 5.10. Allowed whatever the link said: it costs us nothing."""
        fields = await form(request) if await raw_body(request) else {}
        nonce, metadata = fields.get("wallet_nonce"), fields.get("wallet_metadata")
        return _signed(await self._questions.request_object(request.path_params["id"], nonce, metadata))

    async def answer(self, request: Request) -> Response:
        """Section 8.2: with redirect_uri when the browser that asked is on the wallet's own device."""
        back = await self._questions.answer(request.path_params["id"], await form(request))
        return json_answer({} if back is None else {"redirect_uri": back})


def _signed(text: str) -> Response:
    return Response(text, media_type=REQUEST_TYPE, headers={"Cache-Control": "no-store"})


def _go(request: Request, path: str) -> Response:
    """To another page, also from inside an htmx request."""
    if request.headers.get("hx-request") == "true":
        return Response(status_code=200, headers={"HX-Redirect": path, "Cache-Control": "no-store"})
    return see_other(path)
