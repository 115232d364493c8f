"""The counter: find a person, look at card and face, file the application, hand out the one-time QR.

Promises: an officer works on cases of the own office only; every look at a person has a reason and is recorded; the
application is filed and the QR opened only on sufficient evidence and only for whom the pack's rules allow, asked
afresh each time; two desks cannot hold two open cases for one person and document. Trusts: the population register,
the wallet provider's word on phones, the signed-in officer's eyes. Keeps: cases, evidence, steps, looks; the
applicant's name and the text of the QR sealed. Refuses: other offices' cases, looks without a search, stale evidence.
"""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from typing import Final

from msgspec import structs

from mapae.audit import Event, record
from mapae.catalog import Document
from mapae.db import Duplicate, Tx
from mapae.entitlements import marks, of_one
from mapae.errors import Code, Refused
from mapae.registers.values import Hits, Person

from . import desk_store as store
from .desk_file import NOBODY
from .desk_proof import Proofs
from .desk_store import Case, State, Task
from .desk_values import (
    CaseLine,
    CaseView,
    Found,
    FoundPerson,
    Live,
    PersonView,
    Phone,
    Possible,
    Reason,
    Screen,
    Telling,
)
from .eligibility import Eligible, Facts, Ineligible, PhoneState, eligibility, must_be_eligible
from .evidence import Purpose, missing, must_suffice, must_suffice_to_offer, of_wallet, to_file
from .officers import Officer
from .order import Holding, OfferEvent, Order, What

LOOK_LIFE: Final = timedelta(minutes=15)
LOOK_AGAIN: Final = timedelta(minutes=5)
ABANDONED: Final = timedelta(hours=12)
LISTED: Final = 100
PHONE: Final = "phone"  # the "document" of a release: everything on the phone
_DONE: Final = (What.ISSUED, What.ACCEPTED)


class Desk(Proofs):
    """Everything an officer does. Pages only ask it and show what it says."""

    telling: Telling | None = None

    # --- finding a person ------------------------------------------------------------------------------------------

    async def find(self, officer: Officer, reason: Reason, name: str, birth_date: date) -> Found:
        return await self._found(officer, reason, "name", await self._register.search(name=name, birth_date=birth_date))

    async def find_by_number(self, officer: Officer, reason: Reason, number: str) -> Found:
        return await self._found(officer, reason, "number", await self._register.search(resident_number=number))

    async def _found(self, officer: Officer, reason: Reason, by: str, hits: Hits) -> Found:
        now = self._clock.now()
        found = tuple(FoundPerson(self._dice.token(16), hit) for hit in hits.hits)

        async def body(tx: Tx) -> None:
            await store.forget_looks(tx, int((self._clock.surely() - ABANDONED).timestamp()))
            for each in found:
                await store.put_look(tx, each.look, officer.id, each.hit.person, reason, int(now.timestamp()))
            facts = {"office": officer.office, "reason": reason.value, "by": by}
            for each in found:
                await record(tx, Event(each.hit.person, "record", "found", officer.id, facts), now)
            if not found:
                await record(tx, Event(officer.office, "search", "came_back_empty", officer.id, facts), now)

        await self._db.write(body)
        return Found(found, hits.more)

    async def person(self, officer: Officer, look: str) -> PersonView:
        """The record behind a search result of this officer, no older than 15 minutes."""
        person_id, reason = await self._look(officer, look)
        person = await self._register.get(person_id)
        await self.looked(officer, person_id, reason)
        phone, holdings = await self._phone(person_id), await self._issuer.holdings(person_id)
        possible = tuple(
            Possible(document, self._answer(officer.office, document, about, person, phone, "", holdings), about)
            for document in self.country.documents.values()
            if document.issued_here
            for about in marks(document.record, person.records) or [""]
        )
        cases = await store.cases_of_person(self._db, person_id, officer.office)
        return PersonView(look, reason, person, phone, tuple(holdings), possible, tuple(cases))

    async def ask_renewal(self, officer: Officer, look: str) -> None:
        """The record behind this search has changed: the cards stay good and fetch themselves anew."""
        person_id, reason = await self._look(officer, look)
        await self.looked(officer, person_id, reason)
        await self._issuer.renew(person_id, "record_changed", officer.id)

    async def look_from(self, officer: Officer, case_id: str) -> str:
        """From a case to the record behind it, for another matter of the same person: a look like that of a search."""
        case = await self._own(officer, case_id)
        now, look = self._clock.now(), self._dice.token(16)

        async def body(tx: Tx) -> None:
            await store.put_look(tx, look, officer.id, case.person, Reason.APPLICATION, int(now.timestamp()))
            facts = {"office": officer.office, "reason": Reason.APPLICATION.value, "by": "case"}
            await record(tx, Event(case.person, "record", "found", officer.id, facts), now)

        await self._db.write(body)
        return look

    async def _look(self, officer: Officer, look: str) -> tuple[str, Reason]:
        since = int((self._clock.now() - LOOK_LIFE).timestamp())
        found = await store.look(self._db, look, officer.id, since)
        if found is None:
            raise Refused(Code.NOT_FOUND, "this search is over: search again")
        return found[0], Reason(found[1])

    async def looked(self, officer: Officer, person: str, reason: str) -> None:
        """Record a look, once in five minutes for the same officer, person and reason."""
        now = self._clock.now()
        mark = "seen." + reason
        if await store.looked(self._db, officer.id, person, mark, int((now - LOOK_AGAIN).timestamp())):
            return

        async def body(tx: Tx) -> None:
            await store.put_look(tx, self._dice.token(16), officer.id, person, mark, int(now.timestamp()))
            facts = {"office": officer.office, "reason": reason}
            await record(tx, Event(person, "record", "looked_at", officer.id, facts), now)

        await self._db.write(body)

    # --- cases -----------------------------------------------------------------------------------------------------

    async def open_case(self, officer: Officer, look: str, task: Task, kind: str, about: str = "") -> str:
        """Open a case, or go to the one this office has open already. `about`: which ward, where there are several."""
        person_id, _ = await self._look(officer, look)
        person = await self._register.get(person_id)
        if task is Task.ISSUE:
            about = self._whom(self.country.documents.get(kind), person, about)
        else:
            kind, about = PHONE, ""
        now, case_id = self._clock.now(), self._dice.token(12)
        at = int(now.timestamp())
        applicant = self._vault.seal(
            json.dumps([person.name, person.birth_date.isoformat()]).encode(), _applicant_of(case_id)
        )
        case = Case(
            case_id, person_id, task, kind, officer.office, officer.id, State.OPEN, applicant, "", at, at, about
        )

        async def body(tx: Tx) -> None:
            await store.put_case(tx, case)
            await self._step(tx, officer, case, "opened", now=now)

        try:
            await self._db.write(body)
        except Duplicate:
            other = await store.open_case(self._db, person_id, task, kind, about)
            if other is not None and await self._cleared(other):
                return await self.open_case(officer, look, task, kind, about)
            if other is not None and other.office == officer.office:
                return other.id
            raise Refused(Code.CONFLICT, "another office has an open case for this person") from None
        return case_id

    def _whom(self, document: Document | None, person: Person, about: str) -> str:
        """The ward the document will speak for; nobody where it speaks for its holder alone."""
        if document is None or not document.issued_here:
            raise Refused(Code.MALFORMED, "this document is not issued here")
        every = marks(document.record, person.records)
        if about and about not in every:
            raise Refused(Code.MALFORMED, "the register does not name this person as a ward")
        if not about and len(every) > 1:
            raise Refused(Code.MALFORMED, "choose which child or ward the document is for")
        return about or (every[0] if every else "")

    async def _cleared(self, case: Case) -> bool:
        """Whether an open case is over in truth: its card has arrived, or nobody touched it for half a day."""
        if (await self._settled(case)).state is State.ISSUED:
            return True
        if self._clock.now() - datetime.fromtimestamp(case.changed, UTC) < ABANDONED:
            return False
        await self._issuer.cancel_offer(case.id)
        await self._change(NOBODY, case, case.state, State.WITHDRAWN, "abandoned")
        return True

    async def cases(self, officer: Officer, *, live: bool, mine: bool) -> list[CaseLine]:
        found = await store.cases_of_office(
            self._db, officer.office, live=live, officer_id=officer.id if mine else "", limit=LISTED
        )
        lines = [self._line(await self._settled(case)) for case in found]
        return [line for line in lines if line.case.live == live]

    def _line(self, case: Case) -> CaseLine:
        name, birth_date = json.loads(self._vault.open(case.applicant, _applicant_of(case.id)))
        return CaseLine(case, name, birth_date)

    async def case(self, officer: Officer, case_id: str) -> CaseView:
        """The whole screen of one case: what is there, what is missing, and why."""
        case = (await self.live(officer, case_id)).case
        person = await self._register.get(case.person)
        await self.looked(officer, case.person, "case." + case.task)
        phone, holdings = await self._phone(case.person), await self._issuer.holdings(case.person)
        evidence, wallet = await store.evidence(self._db, case_id), await self._issuer.wallet_of(case_id)
        counts, now = of_wallet(evidence, wallet) if wallet else evidence, self._clock.now()
        return CaseView(
            case=case,
            document=self.country.documents.get(case.kind),
            person=person,
            phone=phone,
            holdings=tuple(holdings),
            answer=self._case_answer(case, person, phone, holdings),
            evidence=evidence,
            missing=missing(self._purpose(case), counts, now, self.country.face),
            early=to_file(self._purpose(case), evidence, now, self.country.face),
            move=missing(Purpose.MOVE, evidence, now),
            steps=tuple(await store.steps(self._db, case_id)),
            live=await self._live(case),
        )

    async def live(self, officer: Officer, case_id: str) -> Live:
        """The moving part: the QR and what wallets did with it. Notices when the card has arrived."""
        return await self._live(await self._settled(await self._own(officer, case_id)))

    async def _live(self, case: Case) -> Live:
        events: list[OfferEvent] = [] if case.task is Task.RELEASE else await self._issuer.offer_events(case.id)
        kept = await store.offer(self._db, case.id) if case.state is State.OFFERED else None
        if kept is None:
            return Live(case, None, tuple(events))
        _, sealed, expires = kept
        left = max(0, expires - int(self._clock.now().timestamp()))
        uri = self._vault.open(sealed, _offer_of(case.id)).decode()
        return Live(case, Screen(uri, datetime.fromtimestamp(expires, UTC), left), tuple(events))

    async def _settled(self, case: Case) -> Case:
        """The case as it is now: closed when its card has arrived, whoever looks first."""
        if case.state is not State.OFFERED:
            return case
        if not any(event.what in _DONE for event in await self._issuer.offer_events(case.id)):
            return case
        now = self._clock.now()

        async def body(tx: Tx) -> None:
            if await store.move_case(tx, case.id, State.OFFERED, State.ISSUED, int(now.timestamp())):
                await store.drop_offer(tx, case.id)
                await self._step(tx, NOBODY, case, "issued", now=now)

        await self._db.write(body)
        return await store.case(self._db, case.id) or case

    # --- the application and its QR --------------------------------------------------------------------------------

    async def file(self, officer: Officer, case_id: str) -> None:
        """1 the case is open  2 the pack's rules  3 the evidence. Then the application is on record."""
        case = await self._open(officer, case_id, Task.ISSUE)
        await self._must_be_ready(case)
        await self._change(officer, case, State.OPEN, State.FILED, "filed")

    async def open_offer(self, officer: Officer, case_id: str) -> None:
        """A new one-time QR; an older one of this case is worth nothing from now on."""
        case = await self._open(officer, case_id, Task.ISSUE)
        if case.state is State.OPEN:
            raise Refused(Code.EVIDENCE_MISSING, "file the application first")
        await self._must_be_ready(case)
        evidence = await store.evidence(self._db, case_id)
        order = Order(case.id, case.person, case.kind, case.office, officer.id, evidence, case.about)
        offer = await self._issuer.open_offer(order)
        now, again = self._clock.now(), case.state is State.OFFERED
        sealed = self._vault.seal(offer.uri.encode(), _offer_of(case.id))

        async def body(tx: Tx) -> None:
            await tx.serial(f"person:{case.person}")
            await self._move(tx, case, case.state, State.OFFERED, now)
            # What was recorded while the offer was being opened counts as well, a "no" above all.
            await self._issuer.settle_needs(tx, case.kind, case.id, await store.evidence(tx, case.id))
            await store.put_offer(tx, case.id, offer.id, sealed, int(offer.expires.timestamp()))
            await self._step(tx, officer, case, "offered_again" if again else "offered", now=now)

        await self._db.write(body)

    async def withdraw(self, officer: Officer, case_id: str) -> None:
        """Close without a card. An open QR dies first, so that nothing can be issued on a closed case."""
        case = await self._open(officer, case_id)
        if case.state is State.OFFERED:
            await self._issuer.cancel_offer(case_id)
            case = (await self.live(officer, case_id)).case
            if case.state is State.ISSUED:
                raise Refused(Code.CASE_CLOSED, "the card was issued a moment ago")
        await self._change(officer, case, case.state, State.WITHDRAWN, "withdrawn")

    async def _must_be_ready(self, case: Case) -> None:
        person, phone = await self._register.get(case.person), await self._phone(case.person)
        holdings = await self._issuer.holdings(case.person)
        must_be_eligible(self._case_answer(case, person, phone, holdings))
        evidence = await store.evidence(self._db, case.id)
        must_suffice_to_offer(self._purpose(case), evidence, self._clock.now(), self.country.face)

    # --- phones ----------------------------------------------------------------------------------------------------

    async def keep_phone(self, officer: Officer, case_id: str, device: str) -> None:
        """The person uses the phone that is active already; whatever waits stays outside."""
        case = await self._open(officer, case_id)
        phone = await self._phone(case.person)
        if not device or device != phone.device:
            raise Refused(Code.CONFLICT, "the active phone has changed: look at the case again")
        now = self._clock.now()

        async def body(tx: Tx) -> None:
            if not await store.choose_phone(tx, case.id, device, int(now.timestamp())):
                raise Refused(Code.CASE_CLOSED, "the case is closed")
            await self._step(tx, officer, case, "phone_kept", now=now)

        await self._db.write(body)

    async def move_phone(self, officer: Officer, case_id: str, device: str, old: str, *, asked: bool) -> None:
        """End the old phone and let the new one in. `asked`: the officer confirmed twice what it means."""
        case = await self._open(officer, case_id)
        if not asked:
            raise Refused(Code.EVIDENCE_MISSING, "confirm both that the person asked and that the old phone ends")
        must_suffice(Purpose.MOVE, await store.evidence(self._db, case_id), self._clock.now())
        phone = await self._phone(case.person)
        if device not in {waiting.device for waiting in phone.waiting}:
            raise Refused(Code.CONFLICT, "that phone no longer waits: look at the case again")
        if phone.device and not old:  # nobody leaves the old phone's cards and orders alive by not naming it
            raise Refused(Code.CONFLICT, "the active phone has changed: look at the case again")
        message = {"person": case.person, "device_id": device, "actor": officer.id}
        message |= {"old": old} if old else {}
        notice = f"moved.{case.id}.{device}"
        # Promised before it is done: a power cut in between must not leave the old phone's owner untold.
        if self.telling is not None:
            await self.telling.moving(notice, case.person)
        try:
            await self._peers.call("wallet_provider", "/wallet-provider/peer/move", message)
        except Refused as refused:
            if self.telling is not None and refused.code is not Code.UNAVAILABLE:
                await self.telling.stayed(notice)
            raise
        # The old phone's cards go with it, now and not when its end is next polled.
        if old:
            await self._issuer.end(case.person, "moved", officer.id)
        await self._note(officer, case, "phone_moved")

    async def end_cards(self, officer: Officer, case_id: str) -> None:
        """The wallet was wiped: what it held is ended, so that a new card can be issued to the same phone."""
        case = await self._open(officer, case_id, Task.ISSUE)
        must_suffice(Purpose.MOVE, await store.evidence(self._db, case_id), self._clock.now())
        await self._issuer.end(case.person, "wiped", officer.id)
        await self._note(officer, case, "cards_ended")

    async def release(self, officer: Officer, case_id: str) -> None:
        """Lift the lock, at the counter only, on a fresh comparison of the face."""
        case = await self._open(officer, case_id, Task.RELEASE)
        evidence = await store.evidence(self._db, case_id)
        must_suffice(Purpose.RELEASE, evidence, self._clock.now())
        if (await self._register.get(case.person)).deceased_on is not None:  # whoever stands there is somebody else
            raise Refused(Code.DECEASED, "the register says this person has died")
        await self._issuer.release(case.person, officer.id, evidence)
        await self._change(officer, case, State.OPEN, State.RELEASED, "released")

    async def lock(self, officer: Officer, case_id: str) -> None:
        """The person says at the counter that the phone is gone: everything is locked at once."""
        case = await self._open(officer, case_id)
        await self._issuer.lock(case.person, "lost", officer.id)
        await self._note(officer, case, "locked")

    # --- inside ----------------------------------------------------------------------------------------------------

    def _case_answer(self, case: Case, person: Person, phone: Phone, holdings: list[Holding]) -> Eligible | Ineligible:
        if case.task is Task.ISSUE:
            document = self.country.documents.get(case.kind)
            if document is None:
                return Ineligible(Code.NOT_FOUND, "this document is not issued here any more")
            return self._answer(case.office, document, case.about, person, phone, case.phone, holdings)
        if person.deceased_on is not None:
            return Ineligible(Code.DECEASED, "the register says this person has died")
        if phone.state is not PhoneState.SUSPENDED and not any(holding.state == "suspended" for holding in holdings):
            return Ineligible(Code.NOT_FOUND, "nothing is locked")
        return Eligible()

    def _answer(
        self, office: str, document: Document, about: str, person: Person, phone: Phone, chosen: str,
        holdings: list[Holding],
    ) -> Eligible | Ineligible:  # fmt: skip
        held = [
            one.expires
            for one in holdings
            if one.kind == document.id and one.about in ("", about) and one.state == "valid"
        ]
        facts = Facts(
            person=structs.replace(person, records=of_one(person.records, about)),
            office=self.country.offices.get(office),
            phone=phone.seen_from(chosen),
            held_until=max(held, default=None),
        )
        return eligibility(document.id, facts, self.country.today(self._clock.now()), self.country)


def _applicant_of(case_id: str) -> bytes:
    return b"desk_case applicant " + case_id.encode()


def _offer_of(case_id: str) -> bytes:
    return b"desk_offer uri " + case_id.encode()
