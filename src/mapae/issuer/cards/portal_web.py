"""The portal's doors for physical cards: apply online, pay, follow, cancel, report the card lost.

Promises: a citizen sees and moves own cards only; every change is a post with the session's token; nothing personal
enters an address. Trusts: `Portal` for who it is. Keeps: nothing. Refuses: pages without a session, politely: back to
the identity check.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from mapae.errors import Code, Refused
from mapae.issuer.portal import Citizen, Portal
from mapae.ui import csrf
from mapae.ui.http import Answer, Caller, Csrf, Door, Rate, door, form, form_with_files, see_other
from mapae.ui.pages import page

from .applications import Wish
from .desk_web import UPLOAD, CardOffice, issue_paper, read_day, read_number, stands
from .fees import Channel, Why, chip_rules, photo_since
from .journey import expected, journey
from .life import OPEN, State
from .trail import CITIZEN

SESSION: Final = csrf.COOKIES["citizen"]
_PHOTOS: Final = Rate(20, 60)  # each is a second of a machine's work
_ON_FORM: Final = (
    Code.CONFLICT, Code.RECORD_PHOTO_TOO_OLD, Code.PHOTO_REFUSED, Code.MALFORMED, Code.NOT_FOUND, Code.TOO_LARGE,
    Code.TOO_OFTEN,
)  # fmt: skip

Handler = Callable[[Request], Awaitable[Response]]


def routes(portal: Portal, office: CardOffice) -> list[Door]:
    pages = _Pages(portal, office)

    def get(path: str, handler: Handler) -> Door:
        return door("GET", path, handler, caller=Caller.CITIZEN, answer=Answer.PAGE)

    def post(path: str, handler: Handler, limit: int = 8192, rate: Rate | None = None) -> Door:
        mine, answer = Caller.CITIZEN, Answer.PAGE
        return door("POST", path, handler, caller=mine, answer=answer, csrf=Csrf.TOKEN, limit=limit, rate=rate)

    one = "/portal/cards/{card}"
    return [
        get("/portal/cards", pages.list),
        get("/portal/cards/new", pages.ask),
        post("/portal/cards/new", pages.file),
        post("/portal/cards/new/photo", pages.bring, UPLOAD, _PHOTOS),
        get("/portal/cards/lost", pages.lost),
        post("/portal/cards/lost", pages.report),
        get(one, pages.show),
        get(one + "/receipt", pages.receipt),
        get(one + "/stands", pages.stands),
        post(one + "/cancel", pages.cancel),
        post(one + "/pay-again", pages.pay_again),
        post(one + "/paper", pages.paper),
    ]


class _Pages:
    def __init__(self, portal: Portal, office: CardOffice) -> None:
        self._portal, self._office, self._applications = portal, office, office.applications
        self._country = portal.country

    async def list(self, request: Request) -> Response:
        citizen = await self._citizen(request)
        if citizen is None:
            return see_other("/portal/check")
        asking = await self._applications.asking(citizen.person, Channel.PORTAL)
        views = await self._applications.of_person(citizen.person)
        return self._page(request, "cards/mine.html", citizen, asking=asking, views=views, person=asking.person)

    async def ask(self, request: Request) -> Response:
        citizen = await self._citizen(request)
        if citizen is None:
            return see_other("/portal/check")
        return await self._form(request, citizen, photo_id=request.query_params.get("photo", ""))

    async def _form(
        self, request: Request, citizen: Citizen, *, photo_id: str = "", report: Any = None, sent: Any = None,
        trouble: Refused | None = None, status: int = 200,
    ) -> Response:  # fmt: skip
        asking = await self._applications.asking(citizen.person, Channel.PORTAL)
        photo = None
        if photo_id:
            kept, jpeg = await self._applications.photo(photo_id, citizen.person)
            usable = kept.verdict in ("good", "unjudged")
            photo = {"id": kept.id, "jpeg": jpeg, "taken": kept.taken, "usable": usable, "flaws": kept.verdict.split()}
        today = self._applications.today()
        return self._page(
            request, "cards/apply_online.html", citizen, status=status, asking=asking, photo=photo, report=report,
            sent=sent or {}, trouble=trouble, offices=self._offices(), day_of_form=today,
            photo_since=photo_since(self._country, today),
        )  # fmt: skip

    async def bring(self, request: Request) -> Response:
        citizen = await self._must_be_citizen(request)
        sent = await form_with_files(request)
        try:
            taken, raw = read_day(sent.fields.get("taken", "")), sent.files.get("photo", b"")
            judged = await self._applications.bring_photo(citizen.person, raw, taken, "citizen")
        except Refused as refused:
            if refused.code not in _ON_FORM:
                raise
            return await self._form(request, citizen, trouble=refused, status=400)
        return await self._form(request, citizen, photo_id=judged.id, report=judged.report)

    async def file(self, request: Request) -> Response:
        citizen = await self._must_be_citizen(request)
        sent = await form(request)
        try:
            why = Why.parse(sent.get("why", ""))
            wish = Wish(why, sent.get("pickup", ""), read_number(sent.get(f"fee_{why}", "")), sent.get("photo", ""))
            card = await self._applications.file_online(citizen.person, wish)
        except Refused as refused:
            if refused.code not in _ON_FORM:
                raise
            photo = sent.get("photo", "") if refused.code is not Code.NOT_FOUND else ""
            return await self._form(request, citizen, photo_id=photo, sent=sent, trouble=refused, status=400)
        return see_other(f"/portal/cards/{card}")

    async def show(self, request: Request) -> Response:
        citizen = await self._citizen(request)
        if citizen is None:
            return see_other("/portal/check")
        card_id = request.path_params["card"]
        view = await self._applications.view(card_id, CITIZEN, citizen.person)
        if view.card.state is State.APPLIED:  # paid a second ago, perhaps
            await self._office.making.look(card_id)
            view = await self._applications.view(card_id, CITIZEN, citizen.person)
        card, today = view.card, self._applications.today()
        return self._page(
            request, "cards/follow.html", citizen, view=view, card=card, state=card.state.value,
            stops=journey(card, view.steps), offices=dict(self._offices()),
            expected=expected(card, chip_rules(self._country), today), free=chip_rules(self._country).free,
            paper=self._office.papers is not None and card.state in OPEN and card.state is not State.APPLIED,
        )  # fmt: skip

    async def stands(self, request: Request) -> Response:
        citizen = await self._must_be_citizen(request)
        card_id = request.path_params["card"]
        await self._applications.view(card_id, CITIZEN, citizen.person)
        await self._office.making.look(card_id)
        return stands(request, (await self._applications.view(card_id, CITIZEN, citizen.person)).card)

    async def receipt(self, request: Request) -> Response:
        citizen = await self._citizen(request)
        if citizen is None:
            return see_other("/portal/check")
        view = await self._applications.view(request.path_params["card"], CITIZEN, citizen.person)
        office, free = self._country.offices.get(view.card.office), chip_rules(self._country).free
        return self._page(
            request, "cards/receipt_online.html", citizen, view=view, card=view.card, office=office, free=free
        )

    async def cancel(self, request: Request) -> Response:
        view = await self._mine(request)
        await self._office.making.cancel(view, CITIZEN)
        return see_other(f"/portal/cards/{view}")

    async def pay_again(self, request: Request) -> Response:
        view = await self._mine(request)
        await self._applications.pay_again(view, CITIZEN)
        return see_other(f"/portal/cards/{view}")

    async def paper(self, request: Request) -> Response:
        citizen = await self._must_be_citizen(request)
        view = await self._applications.view(request.path_params["card"], CITIZEN, citizen.person)
        await issue_paper(self._office, view, "citizen")
        return see_other(f"/portal/papers/{view.card.id}")

    async def lost(self, request: Request) -> Response:
        citizen = await self._citizen(request)
        if citizen is None:
            return see_other("/portal/check")
        asking = await self._applications.asking(citizen.person, Channel.PORTAL)
        return self._page(request, "cards/lost.html", citizen, person=asking.person, wrong=False)

    async def report(self, request: Request) -> Response:
        citizen = await self._must_be_citizen(request)
        if (await form(request)).get("sure") != "yes":
            asking = await self._applications.asking(citizen.person, Channel.PORTAL)
            return self._page(request, "cards/lost.html", citizen, status=400, person=asking.person, wrong=True)
        await self._office.handing.report_lost(citizen.person, CITIZEN)
        return see_other("/portal/cards")

    async def _mine(self, request: Request) -> str:
        """The card of the address, if it is the citizen's own."""
        citizen = await self._must_be_citizen(request)
        view = await self._applications.view(request.path_params["card"], CITIZEN, citizen.person)
        return view.card.id

    def _offices(self) -> Sequence[tuple[str, Any]]:
        return [(office.id, office.name) for office in self._country.offices.values()]

    def _page(self, request: Request, template: str, citizen: Citizen, *, status: int = 200, **values: Any) -> Response:
        return page(request, template, status=status, citizen=citizen, country=self._country, **values)

    async def _citizen(self, request: Request) -> Citizen | None:
        try:
            return await self._must_be_citizen(request)
        except Refused as refused:
            if refused.code is Code.NOT_SIGNED_IN:
                return None
            raise

    async def _must_be_citizen(self, request: Request) -> Citizen:
        return await self._portal.citizen(csrf.session_token(request, SESSION) or "")
