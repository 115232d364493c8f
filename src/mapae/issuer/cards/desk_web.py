"""The desk's doors for physical cards: application, payment, hand-over, loss, destruction. By keyboard, without script.

Promises: every page needs a live session, every change is a post with its token; what takes two officers asks the
second one's passkey on the same screen; no name, number or photo stands in an address. Trusts: `Officers` for who asks,
the classes of this folder for what may be done. Keeps: nothing but the cookie of a passkey ceremony. Refuses: answers
it cannot read.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, Protocol

from starlette.requests import Request
from starlette.responses import Response

from mapae.db import Tx
from mapae.errors import Code, Refused
from mapae.issuer.authenticator_client import DemoAuthenticator
from mapae.issuer.desk import Desk
from mapae.issuer.desk_pages import KNOCK, Pages, must_be_officer, officer_of, said
from mapae.issuer.desk_values import PersonView
from mapae.issuer.officers import Officer, Officers
from mapae.ui import csrf
from mapae.ui.http import Answer, Caller, Csrf, Door, door, form, form_with_files, see_other

from . import store
from .applications import UNJUDGED, Applications, Asking, CardView, Wish
from .fees import Channel, Why, chip_rules, photo_since
from .handing import COUNTED, TO_DESTROY, TO_HAND_OUT, HandOver
from .journey import expected, journey
from .life import OPEN, State
from .making import Making
from .partners import Fingerprint
from .rewriting import LARGEST_PHOTO
from .trail import Actor

UPLOAD: Final = LARGEST_PHOTO + 256 * 1024  # what a browser may send, so that a photo too large is told so in words
_GROUPS: Final = {
    "hand_out": (State.AT_OFFICE, State.RETURNED, State.HANDED_OVER),
    "under_way": (State.APPLIED, State.PAID, State.ORDERED, State.MADE, State.POSTED, State.DELIVERED),
    "to_destroy": TO_DESTROY,
}
_ON_FORM: Final = (
    Code.CONFLICT, Code.SECOND_OFFICER, Code.RECORD_PHOTO_TOO_OLD, Code.PHOTO_REFUSED, Code.MALFORMED,
    Code.EVIDENCE_MISSING, Code.NOT_FOUND, Code.TOO_LARGE,
)  # fmt: skip

Handler = Callable[[Request], Awaitable[Response]]
Act = Callable[[Officer, str, dict[str, str]], Awaitable[object]]
TwoAct = Callable[[Officer, Officer, str, dict[str, str]], Awaitable[object]]


class Bridging(Protocol):
    """Temporary certificates: `mapae.issuer.papers.issue.Papers` has them."""

    async def issue(
        self, application: str, person: str, office: str, actor: str, still: Callable[[Tx], Awaitable[bool]] | None
    ) -> Any: ...
    async def end(self, application: str, reason: str, actor: str) -> bool: ...


@dataclass(frozen=True, slots=True)
class CardOffice:
    """Everything the doors act through."""

    applications: Applications
    making: Making
    handing: HandOver
    papers: Bridging | None = None


def routes(desk: Desk, officers: Officers, office: CardOffice, demo: DemoAuthenticator | None = None) -> list[Door]:
    ask, cards = _Apply(desk, officers, office, demo), _Cards(desk, officers, office, demo)

    def get(path: str, handler: Handler) -> Door:
        return door("GET", path, handler, caller=Caller.OFFICER, answer=Answer.PAGE)

    def post(path: str, handler: Handler, limit: int = 65536) -> Door:
        mine, page = Caller.OFFICER, Answer.PAGE
        return door("POST", path, handler, caller=mine, answer=page, csrf=Csrf.TOKEN, limit=limit)

    new, one = "/desk/cards/new/{look}", "/desk/cards/{card}"
    return [
        get("/desk/cards", cards.list),
        get("/desk/cards/counts", cards.counts),
        get(new, ask.show),
        post(new, ask.file),
        post(new + "/photo", ask.bring, UPLOAD),
        post(new + "/agree", ask.agree),
        post(new + "/agree/demo", ask.agree_demo),
        post(new + "/lost", ask.lost),
        get(one, cards.show),
        get(one + "/receipt", cards.receipt),
        get(one + "/stands", cards.stands),
        post(one + "/paper", cards.paper),
        *(post(f"{one}/{name}", cards.act(act)) for name, act in cards.acts.items()),
        *(post(f"{one}/two/{name}", cards.two(name, act)) for name, act in cards.two_acts.items()),
        *(post(f"{one}/two/{name}/demo", cards.two_demo(name, act)) for name, act in cards.two_acts.items()),
    ]


class _CardPages(Pages):
    def __init__(
        self, desk: Desk, officers: Officers, office: CardOffice, demo: DemoAuthenticator | None
    ) -> None:  # fmt: skip
        super().__init__(desk, officers)
        self._office, self._demo = office, demo
        self._applications, self._handing = office.applications, office.handing

    async def _second_by_passkey(self, request: Request, officer: Officer, about: str, sent: dict[str, str]) -> Officer:
        knock = csrf.read_cookie(request, KNOCK) or ""
        return await self._officers.second(officer, about, knock, sent.get("answer", ""))

    async def _second_by_demo(self, officer: Officer, about: str, sent: dict[str, str]) -> Officer:
        """The simulator answers for the colleague, as it does at sign-in."""
        if self._demo is None:
            raise Refused(Code.NOT_FOUND, "there is no software authenticator here")
        knock, options = await self._officers.begin_second(officer, about)
        answer = await self._demo.assert_(sent.get("officer", ""), options, self._officers.site.origin)
        return await self._officers.second(officer, about, knock, answer)

    async def _asked(self, officer: Officer, about: str) -> tuple[str, dict[str, Any]]:
        """The knock for the cookie, and what a form for two officers needs."""
        knock, options = await self._officers.begin_second(officer, about)
        colleagues = await self._officers.colleagues(officer)
        return knock, {"options": options, "colleagues": colleagues, "demo": self._demo is not None}

    def _offices(self) -> list[tuple[str, Any]]:
        return [(office.id, office.name) for office in self._desk.country.offices.values()]


class _Apply(_CardPages):
    """The application form, behind a search like everything at the desk."""

    async def show(self, request: Request) -> Response:
        officer = await officer_of(request, self._officers)
        if officer is None:
            return see_other("/desk/sign-in")
        return await self._form(request, officer, photo_id=request.query_params.get("photo", ""))

    async def _form(
        self, request: Request, officer: Officer, *, photo_id: str = "", report: Any = None, sent: Any = None,
        trouble: Refused | None = None, status: int = 200,
    ) -> Response:  # fmt: skip
        look = request.path_params["look"]
        view = await self._desk.person(officer, look)
        asking = await self._applications.asking(view.person.person, Channel.DESK, officer.office)
        photo = await self._photo(asking, photo_id)
        knock, two = "", None
        if photo is not None and photo["flaws"] and not photo["agreed"]:
            knock, two = await self._asked(officer, f"photo-{photo['id']}")
        today = self._applications.today()
        answer = self._page(
            request, "cards/apply.html", officer, status=status, view=view, look=look, asking=asking, photo=photo,
            report=report, sent=sent or {}, trouble=trouble, two=two, offices=self._offices(), day_of_form=today,
            photo_since=photo_since(self._desk.country, today), free=chip_rules(self._desk.country).free,
            lost_able=view.person.card is not None and view.person.card.state == "valid",
        )  # fmt: skip
        if knock:
            csrf.set_cookie(request, answer, KNOCK, knock, 300)
        return answer

    async def _photo(self, asking: Asking, photo_id: str) -> dict[str, Any] | None:
        if not photo_id:
            return None
        kept, jpeg = await self._applications.photo(photo_id, asking.person.person)
        flaws = [] if kept.verdict == "good" else kept.verdict.split()
        return {
            "id": kept.id, "jpeg": jpeg, "taken": kept.taken, "flaws": flaws, "agreed": bool(kept.agreed),
            "unjudged": kept.verdict == UNJUDGED,
        }  # fmt: skip

    async def _who(self, request: Request) -> tuple[Officer, PersonView]:
        officer = await must_be_officer(request, self._officers)
        return officer, await self._desk.person(officer, request.path_params["look"])

    async def bring(self, request: Request) -> Response:
        """Judge an uploaded photo and show what is wrong with it, with a picture that is shown once."""
        officer, view = await self._who(request)
        sent = await form_with_files(request)
        try:
            taken = read_day(sent.fields.get("taken", ""))
            raw = sent.files.get("photo", b"")
            judged = await self._applications.bring_photo(view.person.person, raw, taken, officer.id)
        except Refused as refused:
            if refused.code not in _ON_FORM:
                raise
            return await self._form(request, officer, trouble=refused, status=400)
        return await self._form(request, officer, photo_id=judged.id, report=judged.report)

    async def agree(self, request: Request) -> Response:
        officer, view = await self._who(request)
        sent = await form(request)
        second = await self._second_by_passkey(request, officer, f"photo-{sent.get('photo', '')}", sent)
        return await self._agree(request, officer, second, view, sent)

    async def agree_demo(self, request: Request) -> Response:
        officer, view = await self._who(request)
        sent = await form(request)
        second = await self._second_by_demo(officer, f"photo-{sent.get('photo', '')}", sent)
        return await self._agree(request, officer, second, view, sent)

    async def _agree(
        self, request: Request, officer: Officer, second: Officer, view: PersonView, sent: dict[str, str]
    ) -> Response:
        photo = sent.get("photo", "")
        await self._applications.agree_to_photo(officer, second, photo, view.person.person)
        return see_other(f"/desk/cards/new/{request.path_params['look']}?photo={photo}")

    async def file(self, request: Request) -> Response:
        officer, view = await self._who(request)
        sent = await form(request)
        try:
            why = Why.parse(sent.get("why", ""))
            wish = Wish(
                why, sent.get("pickup", ""), read_number(sent.get(f"fee_{why}", "")), sent.get("photo", ""),
                handed_in=why is Why.REISSUE and sent.get("handed_in") == "yes",
            )  # fmt: skip
            same = said(sent, "same")
            card = await self._applications.file_at_desk(officer, view.person.person, wish, same_person=same)
        except Refused as refused:
            if refused.code not in _ON_FORM:
                raise
            photo = sent.get("photo", "") if refused.code is not Code.NOT_FOUND else ""
            return await self._form(request, officer, photo_id=photo, sent=sent, trouble=refused, status=400)
        return see_other(f"/desk/cards/{card}")

    async def lost(self, request: Request) -> Response:
        officer, view = await self._who(request)
        if (await form(request)).get("sure") != "yes":
            raise Refused(Code.EVIDENCE_MISSING, "say that the person reports the card lost")
        await self._handing.report_lost(view.person.person, Actor.officer(officer))
        return see_other(f"/desk/cards/new/{request.path_params['look']}")


class _Cards(_CardPages):
    """The office's cards, and the one screen of a card."""

    @property
    def acts(self) -> dict[str, Act]:
        """What one officer does to a card."""
        applications, handing, making = self._applications, self._handing, self._office.making
        return {
            "cancel": lambda officer, card, sent: making.cancel(card, Actor.officer(officer)),
            "pay-again": lambda officer, card, sent: applications.pay_again(card, Actor.officer(officer)),
            "confirm-photo": lambda officer, card, sent: applications.confirm_photo(
                officer, card, same_person=said(sent, "same")
            ),
            "fingerprint": lambda officer, card, sent: handing.compare(officer, card),
            "hand-over": lambda officer, card, sent: handing.hand_over(
                officer, card, same_person=said(sent, "same"), old_card=sent.get("old_card") == "yes"
            ),
            "activate": lambda officer, card, sent: handing.activate(
                officer, card, pin_set=sent.get("pin_set") == "yes"
            ),
            "put-back": lambda officer, card, sent: handing.put_back(officer, card),
            "keep": lambda officer, card, sent: handing.keep(officer, card),
            "forward": lambda officer, card, sent: handing.forward(officer, card, sent.get("to", "")),
            "lost": lambda officer, card, sent: handing.lost_here(officer, card),
        }

    @property
    def two_acts(self) -> dict[str, TwoAct]:
        handing = self._handing
        return {
            "hand-over": lambda officer, second, card, sent: handing.hand_over(
                officer, card, same_person=said(sent, "same"), old_card=sent.get("old_card") == "yes", second=second
            ),
            "destroy": lambda officer, second, card, sent: handing.destroy(officer, second, card),
            "destroy-old": lambda officer, second, card, sent: handing.destroy_old(officer, second, card),
        }

    async def list(self, request: Request) -> Response:
        officer = await officer_of(request, self._officers)
        if officer is None:
            return see_other("/desk/sign-in")
        groups = {
            name: await self._applications.of_office(officer, states) for name, states in _GROUPS.items()
        }  # fmt: skip
        photos = [view for view in groups["under_way"] if view.card.photo_waits and view.photo is not None]
        safe = await self._handing.safe(officer)
        return self._page(request, "cards/list.html", officer, groups=groups, photos=photos, safe=safe)

    async def counts(self, request: Request) -> Response:
        officer = await officer_of(request, self._officers)
        if officer is None:
            return see_other("/desk/sign-in")
        found = {(office, act): n for office, act, n in await self._handing.overrides()}
        return self._page(request, "cards/counts.html", officer, counts=found, acts=COUNTED, offices=self._offices())

    async def show(self, request: Request) -> Response:
        officer = await officer_of(request, self._officers, active=request.query_params.get("auto") != "yes")
        if officer is None:
            return see_other("/desk/sign-in")
        card_id = request.path_params["card"]
        view = await self._applications.view(card_id, Actor.officer(officer))
        if view.card.state is State.APPLIED:  # the citizen may have paid a second ago
            await self._office.making.look(card_id)
            view = await self._applications.view(card_id, Actor.officer(officer))
        return await self._shown(request, officer, view)

    async def _shown(self, request: Request, officer: Officer, view: CardView) -> Response:
        card, finger = view.card, self._handing.finger(view.card)
        person = await self._applications.person(card)
        await self._desk.looked(officer, card.person, "card")
        in_safe = any(kept.id == card.id for kept in await self._handing.safe(officer))
        blind = finger in (Fingerprint.UNREADABLE, Fingerprint.UNAVAILABLE)
        # One question at a time: what a colleague's passkey says yes to is part of what it signs.
        by_eye, to_destroy = card.state in TO_HAND_OUT and blind, card.state in (*TO_DESTROY, State.LOST)
        act = "hand-over" if by_eye else "destroy" if to_destroy else "destroy-old" if in_safe else ""
        knock, two = await self._asked(officer, f"{act}-{card.id}") if act else ("", None)
        today, names = self._applications.today(), {one.id: one.name for one in await self._officers.all()}
        answer = self._page(
            request, "cards/card.html", officer, view=view, card=card, person=person, finger=finger, two=two,
            names=names, in_safe=act == "destroy-old", stops=journey(card, view.steps), offices=self._offices(),
            expected=expected(card, chip_rules(self._desk.country), today), new_photo=self._photo(view),
            state=card.state.value, blind=blind, hand_out=card.state in TO_HAND_OUT,
            paper=self._office.papers is not None and card.state in OPEN and card.state is not State.APPLIED,
            free=chip_rules(self._desk.country).free, to_destroy=to_destroy,
        )  # fmt: skip
        if knock:
            csrf.set_cookie(request, answer, KNOCK, knock, 300)
        return answer

    def _photo(self, view: CardView) -> bytes:
        waits = view.photo is not None and view.card.photo_waits
        return self._applications.opened(view.photo) if waits and view.photo is not None else b""

    async def stands(self, request: Request) -> Response:
        """What htmx asks every few seconds: nothing new, or draw the page again. No sign of life."""
        officer = await officer_of(request, self._officers, active=False)
        if officer is None:
            raise Refused(Code.NOT_SIGNED_IN, "sign in with your passkey")
        card_id = request.path_params["card"]
        await self._applications.view(card_id, Actor.officer(officer))
        await self._office.making.look(card_id)
        return stands(request, (await self._applications.view(card_id, Actor.officer(officer))).card)

    async def receipt(self, request: Request) -> Response:
        officer = await officer_of(request, self._officers)
        if officer is None:
            return see_other("/desk/sign-in")
        view = await self._applications.view(request.path_params["card"], Actor.officer(officer))
        free = chip_rules(self._desk.country).free
        return self._page(request, "cards/receipt.html", officer, view=view, card=view.card, free=free, home="/desk/")

    async def paper(self, request: Request) -> Response:
        officer = await must_be_officer(request, self._officers)
        view = await self._applications.view(request.path_params["card"], Actor.officer(officer))
        await issue_paper(self._office, view, officer.id)
        return see_other(f"/desk/papers/{view.card.id}")

    def act(self, act: Act) -> Handler:
        async def handler(request: Request) -> Response:
            officer = await must_be_officer(request, self._officers)
            card_id = request.path_params["card"]
            await act(officer, card_id, await form(request))
            return see_other(f"/desk/cards/{card_id}")

        return handler

    def two(self, name: str, act: TwoAct) -> Handler:
        """The colleague's passkey answers for this act on this card, and for no other."""

        async def handler(request: Request) -> Response:
            officer, sent = await must_be_officer(request, self._officers), await form(request)
            card_id = request.path_params["card"]
            second = await self._second_by_passkey(request, officer, f"{name}-{card_id}", sent)
            await act(officer, second, card_id, sent)
            return see_other(f"/desk/cards/{card_id}")

        return handler

    def two_demo(self, name: str, act: TwoAct) -> Handler:
        async def handler(request: Request) -> Response:
            officer, sent = await must_be_officer(request, self._officers), await form(request)
            card_id = request.path_params["card"]
            second = await self._second_by_demo(officer, f"{name}-{card_id}", sent)
            await act(officer, second, card_id, sent)
            return see_other(f"/desk/cards/{card_id}")

        return handler


async def issue_paper(office: CardOffice, view: CardView, actor: str) -> None:
    """A temporary certificate for the wait, once the fee is paid."""
    if office.papers is None or view.card.state not in OPEN or view.card.state is State.APPLIED:
        raise Refused(Code.CONFLICT, "there is no temporary certificate for this card now")

    async def still(tx: Tx) -> bool:
        """The card may have been handed over while the paper was drawn."""
        card = await store.card(tx, view.card.id)
        return card is not None and card.state in OPEN

    await office.papers.issue(view.card.id, view.card.person, view.card.office, actor, still)


def stands(request: Request, card: Any) -> Response:
    """204 while what the page shows is still so; else htmx loads it anew."""
    now = f"{card.state.value}.{card.payment_state}.{int(bool(card.payment_url))}"
    same = request.query_params.get("seen") == now
    return Response(status_code=204, headers={} if same else {"HX-Refresh": "true"})


def read_day(raw: str) -> date:
    try:
        day = date.fromisoformat(raw)
    except ValueError:
        day = None
    if day is None or day.isoformat() != raw:
        raise Refused(Code.MALFORMED, "say on which day the photo was taken", step="taken")
    return day


def read_number(raw: str) -> int:
    if not raw.isascii() or not raw.isdigit() or len(raw) > 9:
        raise Refused(Code.MALFORMED, "the form does not say which fee was shown", step="fee")
    return int(raw)
