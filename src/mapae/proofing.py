"""Wiring of what proves who somebody is, and of the world around the physical card.

Promises: each part is built once, from the settings, by one function here; what is not one of our roles is reached over
HTTP, also when its simulator is in this process. Trusts: the settings. Keeps: nothing (the house keeps it). Refuses:
a face verifier that is not there; a service without an address and without a simulator does not answer.
"""

from __future__ import annotations

from .config import service_key
from .house import Foundation, House, Role, Round
from .issuer.cards.calls import Outside
from .issuer.face.checks import FaceChecks
from .issuer.face.plug import faces_of
from .issuer.face.web import routes as face_routes
from .issuer.papers.issue import Papers
from .issuer.papers.web import routes as paper_routes
from .issuer.status import Seal
from .registers.values import PopulationRegister
from .simulators.factory import SimulatedFactory
from .simulators.faults import Service
from .simulators.fingerprint import SimulatedReader
from .simulators.pages import pages
from .simulators.payment import SimulatedPayments
from .simulators.post import SimulatedPost
from .simulators.press import ChipPress
from .simulators.web import Simulators
from .simulators.web import routes as simulator_routes
from .ui.http import Door


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

    def service(name: str) -> Service:
        return Service(name, db, service_key(f.data, name))

    house.simulators = Simulators(
        SimulatedFactory(
            db=db, clock=f.clock, dice=f.dice, service=service("factory"), press=ChipPress(f.dice, chip.pin_digits),
            folder=f.data / "simulators" / "chips", production_days=chip.production_days, pin_digits=chip.pin_digits,
        ),
        SimulatedPost(db, f.clock, service("post")),
        SimulatedPayments(db, f.clock, f.dice, service("payment")),
        SimulatedReader(service("fingerprint")),
        f.settings.base_url,
    )  # fmt: skip
    doors = [*simulator_routes(house.simulators), *pages(house.simulators)]
    await house.add("simulators", Role(doors, rounds=[(60, house.simulators.factory.turn)]))


async def papers(house: House, documents: Seal, register: PopulationRegister) -> tuple[list[Door], Round]:
    """Temporary certificates, under the seal of the documents; their doors and their round, for the issuer's role."""
    f = house.foundation
    house.papers = Papers(
        db=await f.database("issuer"), clock=f.clock, dice=f.dice, vault=f.keys("issuer").vault("file:papers"),
        country=f.country, seal=documents, lists=house.issuer.lists, register=register, base=f.settings.base_url,
        demo=f.settings.demo,
    )  # fmt: skip
    return paper_routes(house.papers, house.officers, house.portal), (3600, house.papers.prune)


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
    return face_routes(checks, house.issuer.grants, db, f.settings.base_url), [(300, checks.prune)]
