"""A shop's website: it asks on the device where the wallet is, and the answer comes back to the same browser.

Promises: every page works without script and by keyboard; a verdict counts, and is seen, only in the browser that asked
and only once it has come back with the wallet's code (HAIP 1.0 5.1, OpenID4VP 1.0 13.3 and 14.2), or, where much is at
stake, once the code that another device shows has been typed into it. Trusts: the visitor's cookie, of which only a
hash is kept. Keeps: nothing. Refuses: another browser's question, a form from another site, a body over its limit.
Where the settings say so, a browser with the Digital Credentials API may ask its wallet itself.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from mapae.clock import SystemDice
from mapae.errors import Code, Refused
from mapae.ui import csrf
from mapae.ui.http import Answer, Caller, Csrf, Rate, door, form, json_answer, json_body, see_other
from mapae.ui.pages import page
from mapae.verifier.asking.ask import Form, Manner
from mapae.verifier.asking.oid4vp import RESPONSE_LIMIT
from mapae.verifier.asking.questions import asker_of
from mapae.verifier.asking.store import Till
from mapae.verifier.checking.transaction import PAYMENT, Transaction
from mapae.verifier.checking.typed import shown
from mapae.verifier.till.kiosk import Verifier, Waiting
from mapae.verifier.till.pages import ended, waiting

COOKIE: Final = "mapae_shop"
VISIT: Final = timedelta(days=1)
Elsewhere = Callable[[Request, str, str], Awaitable[Response | None]]


class Nothing(msgspec.Struct, forbid_unknown_fields=True):
    pass


class Credential(msgspec.Struct, forbid_unknown_fields=True):
    """W3C Digital Credentials API: a DigitalCredential."""

    protocol: str
    data: dict[str, Any]


def routes(
    verifier: Verifier, elsewhere: Elsewhere | None = None, *, digital_credentials: bool = False
) -> list[BaseRoute]:
    """`elsewhere`: where a browser goes on to whose question was put by a page of another site."""
    site = _Site(verifier, elsewhere, digital_credentials)
    see = partial(door, "GET", caller=Caller.ANYONE, answer=Answer.PAGE)
    do = partial(door, "POST", caller=Caller.ANYONE, answer=Answer.PAGE, csrf=Csrf.TOKEN, limit=4096)
    script = partial(door, "POST", caller=Caller.ANYONE, answer=Answer.JSON, csrf=Csrf.TOKEN)
    browser = [
        script("/shop/checks/{id}/browser-request", site.browser_request, limit=4096),
        script("/shop/checks/{id}/browser-answer", site.browser_answer, limit=RESPONSE_LIMIT + 4096),
    ]
    return [
        see("/shops/", site.shops),
        see("/shops/{shop}/", site.start),
        do("/shops/{shop}/checks", site.open, rate=Rate(120, 60)),
        see("/shop/checks/{id}", site.show),
        see("/shop/back/{id}", site.back),
        do("/shop/checks/{id}/cancel", site.cancel),
        do("/shop/checks/{id}/code", site.code),
        door("GET", "/shop/checks/{id}/phase", site.phase, caller=Caller.ANYONE, answer=Answer.JSON),
        *(browser if digital_credentials else []),
    ]


class _Site:
    def __init__(self, verifier: Verifier, elsewhere: Elsewhere | None, digital_credentials: bool) -> None:
        self._verifier, self._elsewhere = verifier, elsewhere
        self._digital_credentials = digital_credentials
        self._questions = verifier.questions

    async def shops(self, request: Request) -> Response:
        names = {}
        for shop in self._verifier.shops:
            visitor = self._visitor("", shop)
            try:
                if await self._verifier.purposes(visitor):  # some only log people in
                    names[shop] = msgspec.to_builtins(await self._verifier.shop(visitor))
            except Refused as refused:  # one whose registration is over takes nobody else's page along
                if refused.code is not Code.UNKNOWN_RELYING_PARTY:
                    raise
        return page(request, "shop/list.html", shops=names)

    async def start(self, request: Request) -> Response:
        return await self._start(request, request.path_params["shop"])

    async def _start(self, request: Request, shop: str, *, wrong: str = "", typed: Any = None) -> Response:
        visitor = self._visitor("", self._known(shop))
        country = self._questions.country
        fee = next(iter(country.fees.values()), None)
        typed = typed or {"amount": "", "currency": fee.currency if fee is not None else ""}
        purposes = [
            {
                "id": purpose.id,
                "name": msgspec.to_builtins(purpose.name),
                "why": msgspec.to_builtins(purpose.why),
                "items": [
                    msgspec.to_builtins(country.documents[purpose.document].claim(i).label) for i in purpose.items
                ],
            }
            for purpose in await self._verifier.purposes(visitor)
        ]
        name = msgspec.to_builtins(await self._verifier.shop(visitor))
        return page(
            request, "shop/start.html", status=422 if wrong else 200, id=shop, shop=name, purposes=purposes,
            wrong=wrong, typed=typed,
        )  # fmt: skip

    async def open(self, request: Request) -> Response:
        """Ask. The browser gets its cookie now: with it, and only with it, the answer counts."""
        shop, fields = self._known(request.path_params["shop"]), await form(request)
        try:
            wanted = Form(fields.get("form", Form.EITHER.value))
        except ValueError:
            raise Refused(Code.UNSUPPORTED, "there is no such format") from None
        purpose = fields.get("purpose", "")
        token = csrf.session_token(request, COOKIE) or SystemDice().token()
        visitor = self._visitor(token, shop)
        transactions: tuple[str, ...] = ()
        if fields.get("amount"):
            name = await self._verifier.shop(visitor)
            payee = getattr(name, self._questions.country.languages[0])
            paid = {"payee": payee, "amount": fields["amount"], "currency": fields.get("currency", "")}
            try:
                transactions = (Transaction.make(PAYMENT, ["sd_jwt"], paid).text,)
            except Refused as refused:
                if refused.code is not Code.MALFORMED:
                    raise
                return await self._start(request, shop, wrong="amount", typed=paid)
        known = await self._questions.purpose(shop, purpose)
        across = known is not None and known.risk == "high"
        manner = Manner(same_device=True, transactions=transactions, typed_back=across)
        id = await self._verifier.open(visitor, purpose, wanted, manner)
        answer = see_other(f"/shop/checks/{id}")
        csrf.set_cookie(request, answer, COOKIE, token, int(VISIT.total_seconds()))
        return answer

    async def show(self, request: Request) -> Response:
        return await self._show(request)

    async def _show(self, request: Request, *, status: int = 200, wrong: str = "", left: int = 0) -> Response:
        id = request.path_params["id"]
        visitor = await self._asker(request, id)
        look = await self._verifier.look(visitor, id)
        shop = msgspec.to_builtins(await self._verifier.shop(visitor))
        payments = await self._payments(visitor, id)
        more = {"shop": shop, "shop_id": visitor.relying_party, "payments": payments}
        if isinstance(look, Waiting):
            more |= {"wrong": wrong, "left": left, "browser_api": self._digital_credentials}
            return page(request, "shop/wait.html", status=status, **more, **waiting(look))
        return page(request, "shop/result.html", **more, **ended(look))

    async def back(self, request: Request) -> Response:
        """Where the wallet leads the holder's browser. Refuses, and ends, an answer that comes to another one."""
        id, code = request.path_params["id"], request.query_params.get("response_code", "")
        if self._elsewhere is not None and (onward := await self._elsewhere(request, id, code)) is not None:
            return onward
        token = csrf.session_token(request, COOKIE)
        to_type = await self._questions.come_back(asker_of(token) if token else "", id, code)
        if to_type is not None:
            return code_page(request, to_type, urlsplit(self._questions.base).netloc)
        return see_other(f"/shop/checks/{id}")

    async def code(self, request: Request) -> Response:
        """What another device shows, typed into the browser that asked."""
        id, typed = request.path_params["id"], (await form(request)).get("code", "")
        visitor = await self._asker(request, id)
        try:
            left = await self._questions.type_back(visitor.id, id, typed)
        except Refused as refused:
            if refused.code is not Code.MALFORMED:
                raise
            return await self._show(request, status=422, wrong="shape")
        return (
            await self._show(request, status=422, wrong="code", left=left) if left else see_other(f"/shop/checks/{id}")
        )

    async def phase(self, request: Request) -> Response:
        """For the page's script: whether there is something else to show."""
        id = request.path_params["id"]
        look = await self._verifier.look(await self._asker(request, id), id)
        return json_answer({"phase": waiting(look)["phase"] if isinstance(look, Waiting) else "ended"})

    async def cancel(self, request: Request) -> Response:
        id = request.path_params["id"]
        visitor = await self._asker(request, id)
        await self._verifier.cancel(visitor, id)
        return see_other(f"/shops/{visitor.relying_party}/")

    async def browser_request(self, request: Request) -> Response:
        await json_body(request, Nothing)
        id = request.path_params["id"]
        visitor = await self._asker(request, id)
        return json_answer({"requests": await self._questions.browser_requests(visitor.id, id)})

    async def browser_answer(self, request: Request) -> Response:
        credential = await json_body(request, Credential)
        id = request.path_params["id"]
        visitor = await self._asker(request, id)
        await self._questions.answer_from_browser(visitor.id, id, credential.data)
        return json_answer({})

    async def _asker(self, request: Request, id: str) -> Till:
        """This browser, as the visitor who put this question. Raises Refused(NOT_FOUND) when it did not."""
        token = csrf.session_token(request, COOKIE)
        if token is None:
            raise Refused(Code.NOT_FOUND, "there is no such check")
        session = await self._questions.of(asker_of(token), id)
        return self._visitor(token, session.relying_party)

    def _visitor(self, token: str, shop: str) -> Till:
        return Till(asker_of(token), shop, self._questions.now() + VISIT)

    def _known(self, shop: str) -> str:
        if shop not in self._verifier.shops:
            raise Refused(Code.NOT_FOUND, "there is no such shop")
        return shop

    async def _payments(self, visitor: Till, id: str) -> list[dict[str, str]]:
        return [dict(one.fields) for one in await self._questions.transactions(visitor.id, id)]


def code_page(request: Request, code: str, host: str) -> Response:
    """What the browser of another device shows after its wallet has answered; "": there is nothing to type any more."""
    return page(request, "login/code.html", typed=shown(code), host=host)
