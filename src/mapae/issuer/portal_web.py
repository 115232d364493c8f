"""The portal's doors: a citizen checks identity, looks at the documents, reports a phone lost. Works without script.

Promises: nothing personal enters an address; the report asks once more before it acts; every change is a post with the
session's token. Trusts: `Portal`. Keeps: one cookie, for ten minutes. Refuses: pages without a session, politely: back
to the identity check.
"""

from __future__ import annotations

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from mapae.errors import Code, Refused
from mapae.ui import csrf, words
from mapae.ui.http import Answer, Caller, Csrf, Door, Rate, door, form, see_other
from mapae.ui.pages import page

from .identity import Typed
from .portal import SESSION_LIFE, Citizen, Portal

SESSION: Final = csrf.COOKIES["citizen"]
_RATE: Final = Rate(60, 60)
_WRONG_PERSON: Final = (Code.NO_SUCH_PERSON, Code.MALFORMED)
_ENDED: Final = (Code.CODE_SPENT, Code.CODE_EXPIRED, Code.NOT_FOUND)


def routes(portal: Portal) -> list[Door]:
    pages = _Pages(portal)
    return [
        door("GET", "/portal/", pages.home, caller=Caller.CITIZEN, answer=Answer.PAGE),
        door("GET", "/portal/check", pages.ask, caller=Caller.ANYONE, answer=Answer.PAGE),
        _post("/portal/check", pages.check, Caller.ANYONE),
        _post("/portal/code", pages.code, Caller.ANYONE),
        door("GET", "/portal/lost", pages.lost, caller=Caller.CITIZEN, answer=Answer.PAGE),
        _post("/portal/lost", pages.report, Caller.CITIZEN),
        _post("/portal/end", pages.end, Caller.CITIZEN),
    ]


def _post(path: str, handler: Any, caller: Caller) -> Door:
    rate = _RATE if caller is Caller.ANYONE else None
    return door("POST", path, handler, caller=caller, answer=Answer.PAGE, csrf=Csrf.TOKEN, limit=8192, rate=rate)


class _Pages:
    def __init__(self, portal: Portal) -> None:
        self._portal = portal
        self._digits = sum(letter.isalpha() for letter in portal.country.number.layout)

    async def home(self, request: Request) -> Response:
        citizen = await self._citizen(request)
        if citizen is None:
            return page(request, "portal/welcome.html")
        view = await self._portal.overview(citizen)
        documents = self._portal.country.documents
        chip = self._portal.country.chip is not None
        return page(request, "portal/home.html", citizen=citizen, view=view, documents=documents, chip=chip)

    async def ask(self, request: Request) -> Response:
        return page(request, "portal/check.html", digits=self._digits, sent={}, wrong={}, trouble="")

    async def check(self, request: Request) -> Response:
        sent = await form(request)
        name, number, phone = (sent.get(key, "").strip() for key in ("name", "resident_number", "phone"))
        wrong = {
            key: "empty"
            for key, said in (("name", name), ("resident_number", number), ("phone", phone))
            if not said or len(said) > 80
        }
        shown = {"name": name, "phone": phone}  # the resident number is never sent back
        if wrong:
            return page(
                request, "portal/check.html", digits=self._digits, status=400, sent=shown, wrong=wrong, trouble=""
            )
        try:
            client = request.client.host if request.client else ""
            typed = Typed(name, number, phone, words.language(request), client)
            started = await self._portal.identity.start(typed)
        except Refused as refused:
            if refused.code not in _WRONG_PERSON:
                raise
            return page(
                request,
                "portal/check.html",
                digits=self._digits,
                status=403,
                sent=shown,
                wrong={},
                trouble=refused.code.value,
            )
        return page(request, "portal/code.html", check=started.check_id, started=started, wrong="", left=started.tries)

    async def code(self, request: Request) -> Response:
        sent = await form(request)
        check = sent.get("check", "")
        try:
            token = await self._portal.enter(check, sent.get("code", "").strip())
        except Refused as refused:
            if refused.code in _ENDED:
                return page(
                    request,
                    "portal/check.html",
                    digits=self._digits,
                    status=410,
                    sent={},
                    wrong={},
                    trouble=refused.code.value,
                )
            if refused.code not in (Code.WRONG_CODE, Code.MALFORMED):
                raise
            left = "".join(letter for letter in refused.detail if letter.isdigit())
            return page(request, "portal/code.html", status=403, check=check, started=None, wrong="wrong", left=left)
        answer = see_other("/portal/")
        csrf.start_session(request, answer, SESSION, token, int(SESSION_LIFE.total_seconds()))
        return answer

    async def lost(self, request: Request) -> Response:
        citizen = await self._citizen(request)
        if citizen is None:
            return see_other("/portal/check")
        view = await self._portal.overview(citizen)
        return page(request, "portal/lost.html", citizen=citizen, view=view, wrong=False)

    async def report(self, request: Request) -> Response:
        citizen = await self._must_be_citizen(request)
        if (await form(request)).get("sure") != "yes":
            view = await self._portal.overview(citizen)
            return page(request, "portal/lost.html", status=400, citizen=citizen, view=view, wrong=True)
        await self._portal.report_lost(citizen)
        return see_other("/portal/")

    async def end(self, request: Request) -> Response:
        await self._portal.leave(csrf.session_token(request, SESSION) or "")
        answer = see_other("/portal/")
        csrf.end_session(request, answer, SESSION)
        return answer

    async def _citizen(self, request: Request) -> Citizen | None:
        try:
            return await self._must_be_citizen(request)
        except Refused as refused:
            if refused.code is Code.NOT_SIGNED_IN:
                return None
            raise

    async def _must_be_citizen(self, request: Request) -> Citizen:
        return await self._portal.citizen(csrf.session_token(request, SESSION) or "")
