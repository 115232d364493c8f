"""The desk's doors: pages for officers, by keyboard, with and without script.

Promises: every page but sign-in needs a live session; whatever changes something is a post with a token of that
session; a search never puts a name or number into an address. Trusts: `Officers` for who asks, `Desk` for what may be
done. Keeps: nothing but two cookies (the session, and a passkey ceremony's knock). Refuses: answers it cannot read.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import date
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from mapae.catalog import Country
from mapae.errors import Code, Refused
from mapae.ui import csrf
from mapae.ui.http import Answer, Caller, Csrf, Door, Rate, answer_header, door, form, see_other
from mapae.ui.pages import page

from .authenticator_client import DemoAuthenticator
from .desk import Desk
from .desk_pages import KNOCK, SESSION, Pages, must_be_officer, officer_of, said
from .desk_proof_web import Second
from .desk_store import State, Task
from .desk_values import CaseView, Live, Reason
from .eligibility import PhoneState
from .evidence import FaceMatched, OfficerCompared, PhysicalCardSeen, SecondDocumentSeen, SecondOfficer, Why
from .face.checks import FaceChecks, Standing
from .face.store import Check
from .officers import WORKING_DAY, Officer, Officers
from .order import OfferEvent, What

__all__ = ["DemoAuthenticator", "routes"]

_SIGN_IN_RATE: Final = Rate(60, 60)

_FACE: Final = (What.FACE_MATCHED, What.FACE_BORDERLINE, What.FACE_REFUSED)  # they change what the officer may do

Act = Callable[[Officer, str, dict[str, str]], Awaitable[None]]


def routes(
    desk: Desk, officers: Officers, demo: DemoAuthenticator | None = None, faces: FaceChecks | None = None
) -> list[Door]:
    door_, second = _SignIn(officers, desk.country, demo), Second(desk, officers, demo)
    cases = _Cases(desk, officers, second, faces)
    anyone, mine = Caller.ANYONE, Caller.OFFICER

    def get(path: str, handler: Callable[[Request], Awaitable[Response]], caller: Caller = mine) -> Door:
        rate = _SIGN_IN_RATE if caller is anyone else None  # the page draws a challenge, and keeps it for minutes
        return door("GET", path, handler, caller=caller, answer=Answer.PAGE, rate=rate)

    def post(path: str, handler: Callable[[Request], Awaitable[Response]], caller: Caller = mine) -> Door:
        rate = _SIGN_IN_RATE if caller is anyone else None
        return door("POST", path, handler, caller=caller, answer=Answer.PAGE, csrf=Csrf.TOKEN, rate=rate)

    case = "/desk/cases/{case}"
    acts: dict[str, Act] = {
        "card": cases.card,
        "face": cases.face,
        "document": cases.document,
        "file": lambda officer, id, sent: desk.file(officer, id),
        "offer": lambda officer, id, sent: desk.open_offer(officer, id),
        "withdraw": lambda officer, id, sent: desk.withdraw(officer, id),
        "keep-phone": lambda officer, id, sent: desk.keep_phone(officer, id, sent.get("device", "")),
        "move": cases.move,
        "release": lambda officer, id, sent: desk.release(officer, id),
        "lock": lambda officer, id, sent: desk.lock(officer, id),
        "end-cards": lambda officer, id, sent: desk.end_cards(officer, id),
    }
    return [
        get("/desk/sign-in", door_.ask, anyone),
        post("/desk/sign-in", door_.enter, anyone),
        post("/desk/sign-in/demo", door_.enter_demo, anyone),
        post("/desk/sign-out", door_.leave),
        get("/desk/passkeys", door_.passkeys),
        post("/desk/passkeys", door_.add),
        post("/desk/passkeys/end", door_.end),
        get("/desk/", cases.list),
        get("/desk/search", cases.search),
        post("/desk/search", cases.found),
        get("/desk/people/{look}", cases.person),
        post("/desk/people/{look}/renew", cases.renew),
        post("/desk/cases", cases.open),
        get("/desk/counts", cases.counts),
        get(case, cases.show),
        get(case + "/live", cases.live),
        get(case + "/move", cases.confirm_move),
        post(case + "/reissue", cases.reissue),
        post(case + "/officers", second.enter),
        post(case + "/officers/demo", second.enter_demo),
        *(post(f"{case}/{name}", cases.act(act)) for name, act in acts.items()),
    ]


class _SignIn:
    """Signing in and out, and an officer's own passkeys."""

    def __init__(self, officers: Officers, country: Country, demo: DemoAuthenticator | None) -> None:
        self._officers = officers
        self._country = country
        self._demo = demo

    async def ask(self, request: Request) -> Response:
        knock, options = await self._officers.begin_sign_in()
        known = await self._officers.all() if self._demo else []
        answer = page(
            request,
            "desk/sign_in.html",
            options=options,
            officers=known,
            offices=self._country.offices,
            authenticator=self._demo.url if self._demo else "",
        )
        csrf.set_cookie(request, answer, KNOCK, knock, 300)
        return answer

    async def enter(self, request: Request) -> Response:
        sent = await form(request)
        return await self._enter(request, csrf.read_cookie(request, KNOCK) or "", sent.get("answer", ""))

    async def enter_demo(self, request: Request) -> Response:
        """The simulator's answer fetched by the server: for pages without script, and for scripts without pages."""
        if self._demo is None:
            raise Refused(Code.NOT_FOUND, "there is no software authenticator here")
        sent = await form(request)
        knock, options = await self._officers.begin_sign_in()
        answer = await self._demo.assert_(sent.get("officer", ""), options, self._officers.site.origin)
        return await self._enter(request, knock, answer)

    async def _enter(self, request: Request, knock: str, assertion: str) -> Response:
        token, _ = await self._officers.sign_in(knock, assertion)
        answer = see_other("/desk/")
        csrf.start_session(request, answer, SESSION, token, int(WORKING_DAY.total_seconds()))
        csrf.end_session(request, answer, KNOCK)
        return answer

    async def leave(self, request: Request) -> Response:
        await self._officers.sign_out(csrf.session_token(request, SESSION) or "")
        answer = see_other("/desk/sign-in")
        csrf.end_session(request, answer, SESSION)
        return answer

    async def passkeys(self, request: Request) -> Response:
        officer = await officer_of(request, self._officers)
        if officer is None:
            return see_other("/desk/sign-in")
        knock, options = await self._officers.begin_passkey(officer.id)
        held = await self._officers.passkeys(officer.id)
        answer = page(request, "desk/passkeys.html", officer=officer, passkeys=held, options=options)
        csrf.set_cookie(request, answer, KNOCK, knock, 300)
        return answer

    async def add(self, request: Request) -> Response:
        officer = await must_be_officer(request, self._officers)
        sent = await form(request)
        knock = csrf.read_cookie(request, KNOCK) or ""
        await self._officers.add_passkey(officer.id, knock, sent.get("answer", ""), sent.get("label", ""))
        return see_other("/desk/passkeys")

    async def end(self, request: Request) -> Response:
        officer = await must_be_officer(request, self._officers)
        await self._officers.end_passkey(officer.id, (await form(request)).get("passkey", ""))
        return see_other("/desk/passkeys")


@dataclass(frozen=True, slots=True)
class _Check:
    """The phone's face check on the officer's screen."""

    standing: Standing
    last: Check | None


class _Cases(Pages):
    """The list, the search, the record and the one screen of a case."""

    def __init__(self, desk: Desk, officers: Officers, second: Second, faces: FaceChecks | None) -> None:
        super().__init__(desk, officers)
        self._second = second
        self._faces = faces

    async def list(self, request: Request) -> Response:
        officer = await officer_of(request, self._officers)
        if officer is None:
            return see_other("/desk/sign-in")
        show = "closed" if request.query_params.get("show") == "closed" else "open"
        mine = request.query_params.get("mine") == "yes"
        found = await self._desk.cases(officer, live=show == "open", mine=mine)
        return self._page(request, "desk/list.html", officer, lines=found, show=show, mine=mine)

    async def counts(self, request: Request) -> Response:
        """Per office, how often the machine and how often two officers decided, and against what."""
        officer = await officer_of(request, self._officers)
        if officer is None:
            return see_other("/desk/sign-in")
        return self._page(request, "desk/counts.html", officer, counts=await self._desk.counts(), reasons=tuple(Why))

    async def search(self, request: Request) -> Response:
        officer = await officer_of(request, self._officers)
        if officer is None:
            return see_other("/desk/sign-in")
        return self._page(request, "desk/search.html", officer, found=None, sent={}, wrong={})

    async def found(self, request: Request) -> Response:
        officer = await must_be_officer(request, self._officers)
        sent = await form(request)
        wrong = _wrong_search(sent)
        if wrong:
            return self._page(
                request, "desk/search.html", officer, status=400, found=None, sent=_shown(sent), wrong=wrong
            )
        reason = Reason.parse(sent["reason"])
        try:
            if sent.get("resident_number", "").strip():
                found = await self._desk.find_by_number(officer, reason, sent["resident_number"].strip())
            else:
                day = date.fromisoformat(sent["birth_date"].strip())
                found = await self._desk.find(officer, reason, sent["name"].strip(), day)
        except Refused as refused:
            if refused.code is not Code.MALFORMED:
                raise
            wrong = {"resident_number" if sent.get("resident_number", "").strip() else "name": "malformed"}
            return self._page(
                request, "desk/search.html", officer, status=400, found=None, sent=_shown(sent), wrong=wrong
            )
        return self._page(request, "desk/search.html", officer, found=found, sent=_shown(sent), wrong={})

    async def person(self, request: Request) -> Response:
        officer = await officer_of(request, self._officers)
        if officer is None:
            return see_other("/desk/sign-in")
        view = await self._desk.person(officer, request.path_params["look"])
        states = {each.state for each in view.holdings}
        locked = view.phone.state is PhoneState.SUSPENDED or "suspended" in states
        asked = request.query_params.get("asked") == "yes"
        return self._page(
            request, "desk/person.html", officer, view=view, locked=locked, held="valid" in states, asked=asked
        )

    async def renew(self, request: Request) -> Response:
        officer = await must_be_officer(request, self._officers)
        look = request.path_params["look"]
        await self._desk.ask_renewal(officer, look)
        return see_other(f"/desk/people/{look}?asked=yes")

    async def open(self, request: Request) -> Response:
        officer = await must_be_officer(request, self._officers)
        sent = await form(request)
        try:
            task = Task(sent.get("task", ""))
        except ValueError:
            raise Refused(Code.MALFORMED, "choose what the person came for") from None
        case_id = await self._desk.open_case(
            officer, sent.get("look", ""), task, sent.get("kind", ""), sent.get("about", "")
        )
        return see_other(f"/desk/cases/{case_id}")

    async def show(self, request: Request) -> Response:
        # A page that reloads itself (no script, open QR) is no sign of life.
        officer = await officer_of(request, self._officers, active=request.query_params.get("auto") != "yes")
        if officer is None:
            return see_other("/desk/sign-in")
        view = await self._desk.case(officer, request.path_params["case"])
        # The passkey's challenge is drawn only where two officers were asked for.
        two = view.case.live and request.query_params.get("route") == "officers"
        knock, asked = await self._second.asked(officer, view.case.id) if two else ("", None)
        answer = self._page(
            request,
            "desk/case.html",
            officer,
            view=view,
            live=view.live,
            case=view.case,
            stage=stage(view.live),
            step=_step_now(view),
            card=view.last_of(PhysicalCardSeen),
            face=view.last_of(OfficerCompared),
            machine=view.last_of(FaceMatched),
            second=view.last_of(SecondOfficer),
            paper=view.last_of(SecondDocumentSeen),
            asked=asked,
            check=await self._check(view),
        )
        if knock:
            csrf.set_cookie(request, answer, KNOCK, knock, 300)
        return answer

    async def _check(self, view: CaseView) -> _Check | None:
        """How the phone's face check stands. The photo on record is shown to the machine once the application is
        filed, so before anybody looks into a camera."""
        case = view.case
        if self._faces is None or case.task is not Task.ISSUE or not case.live:
            return None
        subject = self._desk.subject(case, view.missing)
        filed = case.state is not State.OPEN
        return _Check(await self._faces.standing_of(subject, read=filed), await self._faces.last(subject.id))

    async def live(self, request: Request) -> Response:
        """What htmx asks every second. It does not keep the session alive; a new stage reloads the page."""
        officer = await officer_of(request, self._officers, active=False)
        if officer is None:
            answer_header(request, "HX-Redirect", "/desk/sign-in")
            raise Refused(Code.NOT_SIGNED_IN, "sign in with your passkey")
        live = await self._desk.live(officer, request.path_params["case"])
        now, asked = stage(live), request.query_params
        if asked.get("stage") == now and asked.get("seen") == str(len(live.events)):
            return Response(status_code=204)  # nothing new: nothing is swapped, nothing is read aloud again
        seen = asked.get("seen", "")
        fresh = live.events[int(seen) :] if seen.isdecimal() and len(seen) <= 6 else ()
        news = asked.get("stage") != now or any(event.what in _FACE for event in fresh)
        headers = {"HX-Refresh": "true"} if news else None
        return self._page(request, "desk/live.html", officer, headers=headers, live=live, case=live.case, stage=now)

    async def reissue(self, request: Request) -> Response:
        """What is in the way is the physical card: on to the application for a new one, for the same person."""
        officer = await must_be_officer(request, self._officers)
        await form(request)
        return see_other(f"/desk/cards/new/{await self._desk.look_from(officer, request.path_params['case'])}")

    async def confirm_move(self, request: Request) -> Response:
        officer = await officer_of(request, self._officers)
        if officer is None:
            return see_other("/desk/sign-in")
        view = await self._desk.case(officer, request.path_params["case"])
        device = request.query_params.get("device", "")
        waiting = next((each for each in view.phone.waiting if each.device == device), None)
        if waiting is None:
            raise Refused(Code.CONFLICT, "that phone no longer waits: look at the case again")
        return self._page(request, "desk/move.html", officer, view=view, case=view.case, waiting=waiting)

    def act(self, act: Act) -> Callable[[Request], Awaitable[Response]]:
        async def handler(request: Request) -> Response:
            officer = await must_be_officer(request, self._officers)
            case_id = request.path_params["case"]
            await act(officer, case_id, await form(request))
            return see_other(f"/desk/cases/{case_id}")

        return handler

    async def card(self, officer: Officer, case_id: str, sent: dict[str, str]) -> None:
        await self._desk.record_card(
            officer,
            case_id,
            number=said(sent, "number"),
            photo=said(sent, "photo"),
            undamaged=said(sent, "undamaged"),
        )

    async def face(self, officer: Officer, case_id: str, sent: dict[str, str]) -> None:
        await self._desk.record_face(officer, case_id, same_person=said(sent, "same"))

    async def document(self, officer: Officer, case_id: str, sent: dict[str, str]) -> None:
        await self._desk.record_document(officer, case_id, sent.get("kind", ""), sent.get("document_number", ""))

    async def move(self, officer: Officer, case_id: str, sent: dict[str, str]) -> None:
        twice = sent.get("asked") == "yes" and sent.get("ends") == "yes"
        await self._desk.move_phone(officer, case_id, sent.get("device", ""), sent.get("old", ""), asked=twice)


def stage(live: Live) -> str:
    """Where the QR stands. The page is drawn anew when this word changes."""
    if live.case.state is State.ISSUED and _arrived(live.events):
        return "arrived"
    if live.case.state is not State.OFFERED or live.screen is None:
        return live.case.state.value
    now = "shown"
    for event in live.events:
        match event.what:
            case What.OPENED | What.REFUSED_OTHER_WALLET:
                now = "shown" if now != "redeemed" or event.what == What.OPENED else now
            case What.SCANNED:
                now = "scanned"
            case What.REDEEMED:
                now = "redeemed"
    return now if live.screen.left or now == "redeemed" else "over"


def _arrived(events: tuple[OfferEvent, ...]) -> bool:
    """The phone has said of every form of the card that it is stored."""
    accepted = {event.detail for event in events if event.what == What.ACCEPTED}
    return bool(accepted) and accepted >= {event.detail for event in events if event.what == What.ISSUED}


def _step_now(view: CaseView) -> int:
    """1 may he  2 card and face  3 file  4 QR  5 issued. What the officer does next."""
    match view.case.state:
        case State.OPEN:
            return 1 if view.blocked else 2 if view.early else 3
        case State.FILED | State.OFFERED:
            return 4
        case State.ISSUED | State.RELEASED | State.WITHDRAWN:
            return 6


def _wrong_search(sent: dict[str, str]) -> dict[str, str]:
    """Field name -> which words say what is wrong."""
    wrong: dict[str, str] = {}
    if sent.get("reason", "") not in set(Reason):
        wrong["reason"] = "reason"
    if sent.get("resident_number", "").strip():
        return wrong
    if not sent.get("name", "").strip():
        wrong["name"] = "name"
    raw = sent.get("birth_date", "").strip()
    try:
        if date.fromisoformat(raw).isoformat() != raw:
            raise ValueError
    except ValueError:
        wrong["birth_date"] = "birth_date"
    return wrong


def _shown(sent: dict[str, str]) -> dict[str, str]:
    """What goes back into the form: all but the resident number."""
    return {name: sent.get(name, "") for name in ("reason", "name", "birth_date")}
