"""Real simulated chips for the demo's people who hold a card with one.

Promises: whoever the pack says holds a chip can tap it from the first minute: signed by the country, known to the
register of issued cards, its PIN said on the start page. Doing it twice is doing it once. Trusts: the pack. Keeps:
nothing itself. Refuses: nothing; a person whose card is not yet issued on the house's day has none yet.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from .ages import years_after
from .house import House
from .issuer.cards.authority import ChipAuthority
from .issuer.cards.fees import Channel, Why
from .issuer.cards.life import State
from .issuer.cards.sealing import portrait
from .issuer.cards.store import Card
from .registers.people import Named
from .registers.values import Person
from .simulators.factory import CardData

PIN: Final = "1234"


def holds_chip(named: Named) -> bool:
    card = named.resident.card
    return card is not None and card.kind == "chip" and card.state == "valid"


async def chips(house: House, people: Sequence[Named]) -> int:
    """Give everybody the chip they hold; how many were made now."""
    if house.cards is None or "simulators" not in house.roles:
        return 0
    made, today = 0, house.country.today(house.clock.now())
    for named in people:
        card = named.resident.card
        if not holds_chip(named) or card is None or card.issued > today:
            continue
        if house.simulators.factory.memory_of(card.number).exists():
            continue
        found = await house.population.search(resident_number=named.resident.number.written)
        made += await give_chip(house, await house.population.get(found.hits[0].person))
    return made


async def give_chip(house: House, person: Person, pin: str = PIN) -> bool:
    """A chip for the card this person has on record."""
    assert house.cards is not None and house.country.chip is not None and person.card is not None
    expires = years_after(person.card.issued, house.country.chip.years) - timedelta(days=1)
    data = CardData(
        name=person.name, name_latin=person.name_latin, address=person.address, number=person.card.number,
        birth_date=person.birth_date, sex=person.sex, nationality=person.nationality, issued=person.card.issued,
        expires=expires, portrait=portrait(person.photo), language=house.country.languages[0],
    )  # fmt: skip
    prepared = await house.simulators.factory.prepare(data)
    sod = await house.chips.sign(prepared.hashes)
    id = f"adopted-{person.card.number}"
    if not await house.cards.applications.adopt(_row(house.chips, id, person, data, prepared.dg14, sod), person):
        return False
    await house.simulators.factory.in_hand(id, data, prepared, sod, pin)
    return True


def _row(chips: ChipAuthority, id: str, person: Person, data: CardData, dg14: bytes, sod: bytes) -> Card:
    return Card(
        id=id, person=person.person, why=Why.REISSUE, channel=Channel.DESK, office="", pickup="", state=State.ACTIVE,
        applicant=b"", photo="record", old_number="", old_fate="none", amount=0, currency="", free=-1, payment_try=0,
        payment_id="", payment_url="", payment_state="", paid_at=0, refund="", order_try=0, placed=1, data_digest=None,
        number=data.number, issued=data.issued.isoformat(), expires=data.expires.isoformat(), sod=None,
        sod_digest=hashlib.sha256(sod).digest(), chip_key_hash=hashlib.sha256(chips.chip_key(dg14)).digest(),
        sending=0, tracking="", fingerprint="", trouble="", look_at=0, since=0, opened=0,
    )  # fmt: skip
