"""The pages a wallet sends its holder to: who are you, enter the code, may this wallet have your card. Plain forms.

Promises: every page works without script and by keyboard; its fields and buttons have ids that do not change (`name`,
`number`, `phone`, `send`, `code`, `go`, `approve`, `refuse`); nothing personal enters an address; the browser is sent
back to the wallet's own address only. Trusts: `Authorize`. Keeps: one cookie that names the browser. Refuses: a request
that is over, used or open elsewhere, on a page of ours: such an address is not to be trusted to lead anywhere.
"""

from __future__ import annotations

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from mapae.clock import Dice
from mapae.errors import Code, Refused
from mapae.ui import csrf, words
from mapae.ui.http import Answer, Caller, Csrf, Door, Rate, door, form
from mapae.ui.pages import page
from mapae.ui.site import content_policy

from .authorize import SIGN_IN_LIFE, Authorize, Consent
from .identity import Typed

BROWSER: Final = "mapae_authorize"
_RATE: Final = Rate(60, 60)
_WRONG_PERSON: Final = (Code.NO_SUCH_PERSON, Code.MALFORMED)
_ENDED: Final = (Code.CODE_SPENT, Code.CODE_EXPIRED, Code.NOT_FOUND)


def routes(authorize: Authorize, dice: Dice) -> list[Door]:
    pages = _Pages(authorize, dice)
    asked: dict[str, Any] = {"caller": Caller.ANYONE, "answer": Answer.PAGE, "rate": _RATE}
    sent: dict[str, Any] = {**asked, "csrf": Csrf.TOKEN, "limit": 8192}
    return [
        door("GET", "/issuer/authorize", pages.open, **asked),
        door("POST", "/issuer/authorize/check", pages.check, **sent),
        door("POST", "/issuer/authorize/code", pages.code, **sent),
        door("POST", "/issuer/authorize/approve", pages.approve, **sent),
        door("POST", "/issuer/authorize/refuse", pages.refuse, **sent),
    ]


class _Pages:
    def __init__(self, authorize: Authorize, dice: Dice) -> None:
        self._authorize = authorize
        self._dice = dice
        self._digits = sum(letter.isalpha() for letter in authorize.country.number.layout)

    async def open(self, request: Request) -> Response:
        browser = csrf.read_cookie(request, BROWSER) or self._dice.token()
        asked = request.query_params
        found = await self._authorize.open(asked.get("client_id", ""), asked.get("request_uri", ""), browser)
        answer = self._ask(request, found.id)
        csrf.set_cookie(request, answer, BROWSER, browser, int(SIGN_IN_LIFE.total_seconds()))
        return answer

    async def check(self, request: Request) -> Response:
        sent = await form(request)
        flow = sent.get("flow", "")
        name, number, phone = (sent.get(key, "").strip() for key in ("name", "number", "phone"))
        wrong = [
            key for key, said in (("name", name), ("number", number), ("phone", phone)) if not 1 <= len(said) <= 80
        ]
        shown = {"name": name, "phone": phone}  # the resident number is never sent back
        if wrong:
            return self._ask(request, flow, 400, sent=shown, wrong=wrong)
        typed = Typed(name, number, phone, words.language(request), request.client.host if request.client else "")
        try:
            started = await self._authorize.check(flow, _browser(request), typed)
        except Refused as refused:
            if refused.code not in _WRONG_PERSON:
                raise
            return self._ask(request, flow, 403, sent=shown, trouble=refused.code.value)
        return page(request, "authorize/code.html", flow=flow, started=started, wrong=False, left=started.tries)

    async def code(self, request: Request) -> Response:
        sent = await form(request)
        flow, browser = sent.get("flow", ""), _browser(request)
        try:
            consent = await self._authorize.enter(flow, browser, sent.get("code", "").strip())
        except Refused as refused:
            match refused.code:
                case Code.WRONG_CODE | Code.MALFORMED:
                    left = "".join(letter for letter in refused.detail if letter.isdigit())
                    return page(
                        request, "authorize/code.html", status=403, flow=flow, started=None, wrong=True, left=left
                    )
                case Code.ACCESS_DENIED:
                    return await self._denied(request, flow, browser)
                case code if code in _ENDED:
                    await self._authorize.still_open(flow, browser)  # else this is about the request, not the check
                    return self._ask(request, flow, 410, trouble=code.value)
                case _:
                    raise
        return self._consent(request, consent)

    async def approve(self, request: Request) -> Response:
        flow, browser = (await form(request)).get("flow", ""), _browser(request)
        try:
            return _back(await self._authorize.approve(flow, browser))
        except Refused as refused:
            if refused.code is not Code.ACCESS_DENIED:
                raise
            return await self._denied(request, flow, browser)

    async def refuse(self, request: Request) -> Response:
        return _back(await self._authorize.refuse((await form(request)).get("flow", ""), _browser(request)))

    def _ask(self, request: Request, flow: str, status: int = 200, **more: Any) -> Response:
        values: dict[str, Any] = {"sent": {}, "wrong": [], "trouble": "", **more}
        return page(request, "authorize/check.html", status=status, flow=flow, digits=self._digits, **values)

    def _consent(self, request: Request, consent: Consent) -> Response:
        documents = {one.document.id: one.document for one in consent.configurations}
        return page(
            request, "authorize/consent.html", headers=_leads_to(consent.target), consent=consent,
            documents=list(documents.values()),
        )  # fmt: skip

    async def _denied(self, request: Request, flow: str, browser: str) -> Response:
        """Why there is nothing to approve, and the way back; the wallet will hear access_denied."""
        target = await self._authorize.still_open(flow, browser)
        return page(request, "authorize/denied.html", status=403, headers=_leads_to(target), flow=flow)


def _browser(request: Request) -> str:
    browser = csrf.read_cookie(request, BROWSER)
    if browser is None:
        raise Refused(Code.NOT_SIGNED_IN, "this browser has no request open; begin again in the wallet")
    return browser


def _leads_to(target: str) -> dict[str, str]:
    """Browsers hold a form's redirects against its page's policy, and this form leads back to the wallet."""
    return {"Content-Security-Policy": content_policy(form_target=target)}


def _back(address: str) -> Response:
    """FAPI 2.0 5.3.2.2: 303, so that nothing of the form travels on."""
    return Response(status_code=303, headers={"Location": address, "Cache-Control": "no-store"})
