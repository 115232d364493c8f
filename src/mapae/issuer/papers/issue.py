"""Temporary certificates: issued on an application for a physical card, ended when that is handed over or cancelled.

1 `facts`    what the register says today; nobody who has died gets one
2 `draft`    number, dates, a place in a status list
3 `intent`   written down: from here on the paper can be ended, whether it ever exists or not
4 `sign`     the code once, the page once
5 `record`   what was signed, and the page, sealed

Promises: one good paper an application, and asking twice gives the same one; once ended it is refused by every checker
as soon as the status list is asked for again. Trusts: the register for the facts, the seal of the documents; its caller
for who may ask. Keeps: the page, sealed, until the paper ends or its last day has passed; the places of codes. Refuses:
a country without a physical card, a paper of an application that has none.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from mapae import audit
from mapae.catalog import Country, Document, Office
from mapae.clock import Clock, Dice
from mapae.db import Db, Tx
from mapae.errors import Code, Refused
from mapae.formats.paper import Paper, complete, to_be_signed
from mapae.issuer import ticket_store as tickets
from mapae.issuer.draft import midnight
from mapae.issuer.papers import draw, store
from mapae.issuer.papers.seal import Named, sign_pdf
from mapae.issuer.papers.store import PaperRow
from mapae.issuer.status import Seal, Slot, StatusLists
from mapae.keys import Ticket, Vault
from mapae.registers.values import ClaimSet, PopulationRegister
from mapae.ui.words import LANGUAGES, day, say

CONFIGURATION: Final = "temporary_certificate"  # what its ticket says it is
REDRAWS: Final = 8

Still = Callable[[Tx], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class Page:
    """A paper to be downloaded or printed, whose it is, and the office that issued it."""

    application: str
    person: str
    office: str
    number: str
    until: int
    pdf: bytes


class Papers:
    def __init__(
        self, *, db: Db, clock: Clock, dice: Dice, vault: Vault, country: Country, seal: Seal, lists: StatusLists,
        register: PopulationRegister, base: str, demo: bool,
    ) -> None:  # fmt: skip
        self._db, self._clock, self._dice, self._vault = db, clock, dice, vault
        self._country, self._seal, self._lists, self._register = country, seal, lists, register
        self._base, self._demo = base, demo

    async def issue(self, application: str, person: str, office: str, actor: str, still: Still | None = None) -> Page:
        """The paper of this application, made if it has none. `still`: asked in the transaction that records it,
        whether the application still wants one. Raises Refused(NOT_FOUND, DECEASED, CONFLICT, UNAVAILABLE)."""
        document, place = self._document(), self._country.offices.get(office)
        if document is None or self._country.chip is None or place is None:
            raise Refused(Code.NOT_FOUND, "no temporary certificate is issued here")
        facts, seen = await self._register.claims(person), await self._register.get(person)  # 1
        if facts.deceased_on is not None:
            raise Refused(Code.DECEASED, "the register has a date of death")
        for _ in range(REDRAWS):
            known = await self._page(application)
            if known is not None:
                return known
            [slot] = await self._lists.free_slots(1)
            row, paper = self._draft(application, office, document, facts, seen.number_masked, slot)  # 2
            try:
                if not await self._intend(row, paper, slot, actor):  # 3
                    continue
            except tickets.Taken:
                continue
            code, pdf = await self._sign(row, paper, facts, place)  # 4
            await self._record(row, code, pdf, still)  # 5
            return Page(application, person, office, row.number, row.until, pdf)
        raise Refused(Code.UNAVAILABLE, "the certificate could not be made, try again")

    async def page(self, application: str) -> Page:
        """Again, for the printer. Raises Refused(NOT_FOUND)."""
        found = await self._page(application)
        if found is None:
            raise Refused(Code.NOT_FOUND, "there is no certificate of this application")
        return found

    async def end(self, application: str, reason: str, actor: str) -> bool:
        """For good. False when there is none."""
        now = self._clock.now()
        return await self._db.write(lambda tx: self.end_in(tx, application, reason, actor, now))

    async def end_in(self, tx: Tx, application: str, reason: str, actor: str, now: datetime) -> bool:
        """The same within the transaction that hands the card over."""
        row = await store.live(tx, application)
        if row is None or not await store.end(tx, row.id, _seconds(now)):
            return False
        await tickets.end_order(tx, _order(row.id), now)
        facts: dict[str, str | int] = {"paper": row.id, "reason": reason}
        await audit.record(tx, audit.Event(row.person, "paper", "ended", actor, facts), now)
        return True

    async def prune(self) -> int:
        """Erase the pages of papers whose last day has surely passed: none comes back."""
        now = _seconds(self._clock.surely())
        return await self._db.write(lambda tx: store.erase_expired(tx, now))

    # --- the steps ----------------------------------------------------------------------------------------------------

    def _document(self) -> Document | None:
        """The card a paper stands in for: the first that is issued on showing a physical card."""
        return next(
            (
                one
                for one in self._country.documents.values()
                if one.issued_here
                and one.eligibility is not None
                and one.eligibility.physical_card
                and one.formats is not None
                and one.formats.sd_jwt is not None
            ),
            None,
        )

    async def _page(self, application: str) -> Page | None:
        row = await store.live(self._db, application)
        if row is None or row.page is None or row.until <= _seconds(self._clock.now()):
            return None
        pdf = self._vault.open(row.page, _place(row.id))
        return Page(application, row.person, row.office, row.number, row.until, pdf)

    def _draft(
        self, application: str, office: str, document: Document, facts: ClaimSet, masked: str, slot: Slot
    ) -> tuple[PaperRow, Paper]:
        assert document.formats is not None and document.formats.sd_jwt is not None and self._country.chip is not None
        now = self._clock.now()
        today = self._country.today(now)
        until = midnight(self._country, today + timedelta(days=self._country.chip.paper_days + 1))
        number = f"T-{today.year}-{self._dice.digits(8)}"
        row = PaperRow(
            self._dice.token(16), application, facts.person, office, number, "intended", _seconds(now), _seconds(until)
        )
        paper = Paper(
            stands_for=document.formats.sd_jwt.vct, number=number, name=facts.name, birth_date=facts.birth_date,
            number_masked=masked, issued=row.issued, until=row.until, status=slot.ref,
        )  # fmt: skip
        return row, Paper.read(paper.payload())  # lint: what we sign is what a checker takes

    async def _intend(self, row: PaperRow, paper: Paper, slot: Slot, actor: str) -> bool:
        """False when somebody else's paper of this application is already good. One that was begun and never recorded,
        or whose page is erased, is ended: nobody can print it."""
        now, order = self._clock.now(), _order(row.id)
        batch = tickets.BatchRow(row.id, order, CONFIGURATION, "intended")
        draft = hashlib.sha256(to_be_signed(paper)).digest()
        ticket = tickets.TicketRow(row.id, slot.list_id, slot.index, order, draft, _moment(row.until))

        async def body(tx: Tx) -> bool:
            await tx.serial(f"person:{row.person}")
            before = await store.live(tx, row.application)
            if before is not None and before.page is not None and before.until > row.issued:
                return False
            if before is not None:
                await self.end_in(tx, row.application, "replaced", actor, now)
            await store.intend(tx, row)
            await tickets.add_batch(tx, batch, b"", now)
            await tickets.add_tickets(tx, batch, [ticket])
            await audit.record(tx, audit.Event(row.person, "paper", "intended", actor, {"paper": row.id}), now)
            return True

        return await self._db.write(body)

    async def _sign(self, row: PaperRow, paper: Paper, facts: ClaimSet, office: Office) -> tuple[str, bytes]:
        """Two signatures, each for a ticket of its own: the code's and the page's."""
        signer, certificate = self._seal.signer, self._seal.x5c[0]
        code = complete(paper, signer.sign_once(Ticket(row.id), to_be_signed(paper)), certificate).encode()
        languages = tuple(one for one in LANGUAGES if one in self._country.languages) or LANGUAGES
        municipality = self._country.municipalities[office.municipality]
        first, last = languages[0], self._country.today(_moment(row.until)) - timedelta(days=1)
        document = self._document()
        face = draw.Face(
            country=self._country.name, at=f"{self._base}/checker/paper", office=office.name,
            authority=municipality.authority, accent=document.display.accent_color if document else "#7FC6F5",
            name=facts.name, birth_date=day(first, facts.birth_date), number_masked=paper.number_masked,
            number=row.number, issued=day(first, self._country.today(_moment(row.issued))), until=day(first, last),
            portrait=facts.portrait, code=code, demo=self._demo,
        )  # fmt: skip
        ticket = Ticket(f"{row.id}:page")
        drawn = await asyncio.to_thread(draw.draw, face, languages)  # a fifth of a second: others get their turn
        pdf = sign_pdf(
            drawn, sign=lambda message: signer.sign_once(ticket, message),
            certificate=certificate, more=self._seal.x5c[1:], at=_moment(row.issued),
            named=Named(municipality.authority.pick(first), say(first, "papers.reason"), office.name.pick(first)),
        )  # fmt: skip
        return code, pdf

    async def _record(self, row: PaperRow, code: str, pdf: bytes, still: Still | None) -> None:
        """Raises Refused when the paper was ended meanwhile, or nobody wants it any more: then nothing leaves the
        house. What was intended stands in the way of nobody: the next one ends it."""
        now, sealed = self._clock.now(), self._vault.seal(pdf, _place(row.id))
        digests = [(row.id, hashlib.sha256(code.encode()).digest())]

        async def body(tx: Tx) -> None:
            await tx.serial(f"person:{row.person}")
            if still is not None and not await still(tx):
                raise Refused(Code.CONFLICT, "this application wants no certificate any more")
            closed = await tickets.close_tickets(tx, row.id, digests, now)
            if not closed or not await store.issue(tx, row.id, sealed, _seconds(now)):
                raise Refused(Code.UNAVAILABLE, "the certificate was ended while it was made")
            await audit.record(tx, audit.Event(row.person, "paper", "issued", "issuer", {"paper": row.id}), now)

        await self._db.write(body)


def _order(id: str) -> str:
    """Under which the status of its code is kept: a paper has no order, but a place in the lists as a card has."""
    return f"paper:{id}"


def _place(id: str) -> bytes:
    return f"temporary_paper.page|{id}".encode()


def _seconds(at: datetime) -> int:
    return int(at.timestamp())


def _moment(at: int) -> datetime:
    return datetime.fromtimestamp(at, UTC)
