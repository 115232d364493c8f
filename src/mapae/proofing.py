"""Wiring of what proves who somebody is, and of the world around the physical card.

Promises: each part is built once, from the settings, by one function here; what is not one of our roles is reached over
HTTP, also when its simulator is in this process. Trusts: the settings. Keeps: nothing (the house keeps it). Refuses:
a face verifier that is not there; a service without an address and without a simulator does not answer.
"""

from __future__ import annotations

from typing import Any

from .config import service_key
from .errors import Refused
from .house import Foundation, House, Role, Round
from .issuer.authenticator_client import DemoAuthenticator
from .issuer.cards import chip_pki
from .issuer.cards import desk_web as card_desk
from .issuer.cards import portal_web as card_portal
from .issuer.cards.applications import Applications
from .issuer.cards.authority import Called, ChipAuthority
from .issuer.cards.calls import Outside
from .issuer.cards.desk_web import CardOffice
from .issuer.cards.factory_client import FactoryClient
from .issuer.cards.fingerprint_client import FingerprintClient
from .issuer.cards.handing import HandOver
from .issuer.cards.making import Making
from .issuer.cards.payment_client import PaymentClient
from .issuer.cards.post_client import PostClient
from .issuer.cards.register import IssuedCards
from .issuer.cards.trail import PAPER, REGISTER, Actor
from .issuer.face.checks import FaceChecks
from .issuer.face.plug import faces_of
from .issuer.face.web import routes as face_routes
from .issuer.ic_card.passive import Anchors
from .issuer.officers import Officer
from .issuer.papers.issue import Page, Papers
from .issuer.papers.web import routes as paper_routes
from .issuer.status import Seal
from .issuer.tap import web as tap_web
from .issuer.tap.chip import ChipProver
from .issuer.tap.notices import Notices
from .issuer.tap.remote import Remote
from .issuer.tap.sessions import Taps
from .outbox import Handler
from .peers import Peers
from .registers.values import CardRegister, PopulationRegister
from .simulators.factory import SimulatedFactory
from .simulators.faults import Service
from .simulators.fingerprint import SimulatedReader
from .simulators.later import Ahead, Later
from .simulators.pages import pages
from .simulators.payment import SimulatedPayments
from .simulators.pin_pad import PinPad
from .simulators.post import SimulatedPost
from .simulators.press import ChipPress
from .simulators.web import Simulators
from .simulators.web import routes as simulator_routes
from .ui.http import Door
from .ui.line import Line


def outside(f: Foundation, service: str) -> Outside:
    """How the issuer reaches the factory, the post, the payment company or the fingerprint comparison."""
    url = getattr(f.settings, f"{service}_url") or f"{f.settings.url_of('issuer')}/{service}"
    return Outside(service, f.http, url, service_key(f.data, service))


async def simulators(house: House) -> None:
    """In a demo, the services nobody else provides. All four stand or none does: they are one small world."""
    f, chip = house.foundation, house.country.chip
    if not f.settings.demo or chip is None:
        return
    db = await f.database("simulators")
    clock = house.card_clock = Ahead(f.clock, f.data / "simulators" / "ahead")

    def service(name: str) -> Service:
        return Service(name, db, service_key(f.data, name))

    house.simulators = Simulators(
        SimulatedFactory(
            db=db, clock=clock, dice=f.dice, service=service("factory"), press=ChipPress(f.dice, chip.pin_digits),
            folder=f.data / "simulators" / "chips", production_days=chip.production_days, pin_digits=chip.pin_digits,
        ),
        SimulatedPost(db, clock, service("post")),
        SimulatedPayments(db, f.clock, f.dice, service("payment")),
        SimulatedReader(service("fingerprint")),
        f.settings.base_url,
    )  # fmt: skip
    pad = PinPad(house.simulators.factory, f.dice, chip.pin_digits)
    later = Later(clock, lambda: _a_day(house))
    doors = [*simulator_routes(house.simulators), *pages(house.simulators), *pad.doors(), *later.doors()]
    await house.add("simulators", Role(doors, rounds=[(60, house.simulators.factory.turn)]))


async def _a_day(house: House) -> None:
    """What the background would do in a day, for a visitor who lets it pass."""
    if house.cards is not None:
        await house.outboxes["issuer"].run_once()
        await house.cards.making.tick()


async def papers(house: House, documents: Seal, register: PopulationRegister) -> tuple[list[Door], Round]:
    """Temporary certificates, under the seal of the documents; their doors and their round, for the issuer's role."""
    f = house.foundation
    house.papers = Papers(
        db=await f.database("issuer"), clock=f.clock, dice=f.dice, vault=f.keys("issuer").vault("file:papers"),
        country=f.country, seal=documents, lists=house.issuer.lists, register=register, base=f.settings.base_url,
        demo=f.settings.demo,
    )  # fmt: skip

    async def may(officer: Officer, page: Page) -> bool:
        """Its own office; and where it is of a card, whichever office may look at the card."""
        if officer.office == page.office or house.cards is None:
            return officer.office == page.office
        try:
            await house.cards.applications.view(page.application, Actor.officer(officer))
        except Refused:
            return False
        return True

    return paper_routes(house.papers, house.officers, house.portal, may), (3600, house.papers.prune)


async def faces(house: House, register: PopulationRegister) -> tuple[list[Door], list[Round]]:
    """`house.faces` and `house.photo_judge`, where the country has face rules. After the issuer and the desk."""
    f, rules = house.foundation, house.country.face
    if rules is None:
        return [], []
    judges = faces_of(f.settings.face_verifier, rules)
    house.endings.append(judges.close)
    house.photo_judge = judges.judge
    db = await f.database("issuer")
    checks = house.faces = FaceChecks(
        db=db, clock=f.clock, dice=f.dice, country=house.country, rules=rules, verifier=judges.verifier,
        register=register,
    )  # fmt: skip
    checks.own("offer", house.issuer.face_of)
    checks.hear("case", house.desk.face_answered)
    house.issuer.grants.came = house.desk.wallet_came
    return face_routes(checks, house.issuer.grants, db, f.settings.base_url), [(300, checks.prune)]


async def cards(
    house: House, register: CardRegister, demo: DemoAuthenticator | None
) -> tuple[list[Door], dict[str, Handler], list[Round]]:
    """The life of physical cards, where the country has them with a chip: `house.cards`, `house.chips` and
    `house.issued_cards`; their doors, promises and rounds, for the issuer's role."""
    f, chip = house.foundation, house.country.chip
    if chip is None:
        return [], {}, []
    db, vault, clock = await f.database("issuer"), f.keys("issuer").vault("file:cards"), house.card_clock or f.clock
    called = Called(house.country.name.en, house.country.code, chip.state, f.settings.base_url)
    house.chips = ChipAuthority(db, f.clock, f.dice, lambda name: f.signer("issuer", name), called)
    house.issued_cards = IssuedCards(db)
    payment = PaymentClient(outside(f, "payment"))
    applications = Applications(db, clock, f.dice, vault, house.country, register, payment, house.photo_judge)
    house.desk.photos = applications
    making = Making(
        db, clock, f.dice, house.country, register, applications, payment=payment, sealing=house.chips,
        factory=FactoryClient(outside(f, "factory")), post=PostClient(outside(f, "post")),
    )  # fmt: skip
    reader = FingerprintClient(outside(f, "fingerprint"))
    handing = HandOver(db, clock, house.country, register, applications, reader)
    office = house.cards = CardOffice(applications, making, handing, house.papers)

    async def end_paper(message: dict[str, Any]) -> None:
        if office.papers is not None:
            await office.papers.end(str(message["card"]), str(message["reason"]), str(message["actor"]))

    doors = [
        *card_desk.routes(house.desk, house.officers, office, demo),
        *card_portal.routes(house.portal, office),
        *chip_pki.routes(house.chips),
    ]
    return doors, {REGISTER: applications.tell, PAPER: end_paper}, [(5, making.tick)]


async def taps(
    house: House, register: PopulationRegister, peers: Peers
) -> tuple[list[Door | Line], dict[str, Handler], list[Round]]:
    """`house.taps`: the way to a mobile card by the chip of the physical one, where the country has such chips; and the
    notices to people whose phone is moved, which every country has. After the cards and the faces."""
    f, issuer, base = house.foundation, house.issuer, house.settings.base_url
    db, rules = await f.database("issuer"), house.country.chip
    notices = Notices(db, f.clock, f.keys("issuer").vault("file:notices"), base, peers, issuer.lock)
    house.desk.telling = notices
    if rules is None:
        return list(tap_web.stop_routes(notices)), notices.promises(), []

    async def trusted() -> Anchors:
        return Anchors(await house.chips.authorities(), await house.chips.lists())

    house.taps = Taps(
        db=db, clock=f.clock, dice=f.dice, country=house.country, rules=rules, issuer=issuer, register=register,
        peers=peers, cards=house.issued_cards, notices=notices, faces=house.faces,
    )  # fmt: skip
    issuer.batches.guard = house.taps.still_active
    if house.faces is not None:
        house.faces.own("tap", house.taps.face_of)
    remote = Remote(house.taps, ChipProver(trusted, f.clock, f.dice), f.clock, house.country)
    simulated = f"{base}/demo/card" if f.settings.demo else ""
    doors: list[Door | Line] = [
        *tap_web.routes(house.taps, base, simulated), *tap_web.stop_routes(notices),
        *tap_web.lines(remote, base),
    ]  # fmt: skip
    return doors, notices.promises(), [(10, house.taps.tidy)]
