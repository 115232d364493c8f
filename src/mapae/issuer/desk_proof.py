"""Who stands at the counter: what officers and the machine say of it, recorded one by one.

Promises: every word is on record with who said it and when; a card that waits for the last of them is signed when it
is there, in one transaction with it; two officers are a matter of course and counted. Trusts: the signed-in officer's
eyes; its caller that the second officer has just used a passkey of their own. Keeps: evidence and counts, no picture.
Refuses: the card in hand once the application is filed, a second officer who is the first or of another office.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from mapae.db import Tx
from mapae.errors import Code, Refused

from . import desk_store as store
from .desk_file import NOBODY, CaseFile
from .desk_store import Case, State, Task
from .desk_values import Photos
from .evidence import (
    Evidence,
    FaceMatched,
    Need,
    OfficerCompared,
    PhysicalCardSeen,
    SecondDocumentSeen,
    SecondOfficer,
    Why,
    missing,
    of_wallet,
)
from .face.checks import Subject
from .officers import Officer
from .order import Session, What

NO_MATCH: Final = "no-match"
DOCUMENT_TRIES: Final = 3

Still = Callable[[Tx], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Said:
    """One piece of evidence with the name it goes under in the case's trail."""

    by: Officer
    evidence: Evidence
    what: str
    detail: str


@dataclass(frozen=True, slots=True)
class OfficeCounts:
    """`cases` by `<need>.<result>`: face.matched, second_officer.eyes, second_document.good."""

    office: str
    cases: Mapping[str, int]


class Proofs(CaseFile):
    """The evidence of a case."""

    photos: Photos | None = None

    async def record_card(self, officer: Officer, case_id: str, *, number: bool, photo: bool, undamaged: bool) -> None:
        """The officer held the plastic card in hand: before the filing, and again when an hour is over."""
        case = await self._open(officer, case_id)
        known = await store.evidence(self._db, case_id)
        stale = Need.PHYSICAL_CARD in missing(self._purpose(case), known, self._clock.now(), self.country.face)
        if case.state is not State.OPEN and (self.country.face is None or not stale):
            raise Refused(Code.CONFLICT, "the application is filed: the card was looked at before")
        seen = PhysicalCardSeen(officer.id, self._clock.now(), number, photo, undamaged)
        await self._record(case, [Said(officer, seen, "card_checked", _result(seen.good))])

    async def record_face(self, officer: Officer, case_id: str, *, same_person: bool) -> None:
        """The officer compared the person at the counter with the photo on record, and says so by name."""
        case = await self._may_compare(officer, case_id)
        own = self.photos is not None and await self.photos.photo_by(case.person) == officer.id
        compared = OfficerCompared(officer.id, officer.name, self._clock.now(), same_person, own)
        await self._record(case, [Said(officer, compared, "face_compared", _result(same_person))])

    async def two_officers(self, officer: Officer, case_id: str, second: Officer, why: Why) -> None:
        """Both compared and both say: the same person. The system knows better than anybody when it is an override."""
        case = await self._may_compare(officer, case_id)
        if second.id == officer.id:
            raise Refused(Code.SECOND_OFFICER, "the second officer must be somebody else")
        if second.office != case.office:
            raise Refused(Code.WRONG_OFFICE, "the second officer must be of the same office")
        machine = _last_machine(await store.evidence(self._db, case_id))
        if machine is not None and not machine.ok:
            why = Why.BORDERLINE if machine.borderline else Why.OVERRIDE if machine.reason == NO_MATCH else why
        compared = OfficerCompared(officer.id, officer.name, self._clock.now(), True)
        looked = SecondOfficer(second.id, second.name, self._clock.now(), why)
        first = Said(officer, compared, "face_compared", _result(True))
        await self._record(case, [first, Said(second, looked, "second_officer", why.value)])

    async def record_document(self, officer: Officer, case_id: str, kind: str, number: str) -> None:
        """The officer reads the number off another document; its register says whether it is this person's. Asked only
        when the machine said nearly, a few times a case, so that nobody finds a number by trying."""
        case, rules = await self._may_compare(officer, case_id), self.country.face
        if rules is None or kind not in rules.second_documents:
            raise Refused(Code.MALFORMED, "this document does not settle it")
        known = await store.evidence(self._db, case_id)
        if Need.SECOND_DOCUMENT not in missing(self._purpose(case), known, self._clock.now(), rules):
            raise Refused(Code.CONFLICT, "no second document is asked for")
        _must_have_guesses(known)
        if self._documents is None:
            raise Refused(Code.UNAVAILABLE, "no register of that document answers here")
        matches = await self._documents.document_matches(case.person, kind, number)
        seen = SecondDocumentSeen(officer.id, kind, matches, self._clock.now())

        async def still(tx: Tx) -> None:
            """However many numbers are typed at once, no more answers come out than there are guesses."""
            _must_have_guesses(await store.evidence(tx, case_id))

        await self._record(case, [Said(officer, seen, "document_compared", _result(matches))], still)

    async def counts(self) -> list[OfficeCounts]:
        """Every office with something to count, by what came out: cases, not tries."""
        counted: dict[str, dict[str, int]] = {}
        for office, need, result, cases in await store.counts(self._db):
            counted.setdefault(office, {})[f"{need}.{result}"] = cases
        return [OfficeCounts(office, cases) for office, cases in counted.items()]

    async def face_answered(self, tx: Tx, subject: Subject, matched: FaceMatched) -> None:
        """The machine has answered the phone, in this very transaction. A case that is over learns nothing more."""
        case = await store.case(tx, subject.id.partition(":")[2])
        if case is None or not case.live:
            return
        what = What.FACE_MATCHED if matched.ok else What.FACE_BORDERLINE if matched.borderline else What.FACE_REFUSED
        detail = Why.BORDERLINE.value if matched.borderline else matched.reason
        await self._put(tx, case, [Said(NOBODY, matched, "face_checked", detail)], self._clock.now())
        await self._issuer.tell(tx, case.id, what, detail)

    async def wallet_came(self, tx: Tx, session: Session) -> None:
        """A wallet comes for the order, in this very transaction: if the face was shown to another one, it is asked for
        again."""
        case, known = await store.case(tx, session.card.case_id), await store.evidence(tx, session.card.case_id)
        if case is not None and of_wallet(known, session.client_jkt) != known:
            await self._issuer.settle_needs(tx, case.kind, case.id, known)

    def subject(self, case: Case, needs: tuple[Need, ...]) -> Subject:
        """The case as the face checks know it."""
        return Subject(f"case:{case.id}", case.person, case.kind, needs)

    async def _may_compare(self, officer: Officer, case_id: str) -> Case:
        """Before the QR or after it; without face rules before it, because nothing comes after."""
        case = await self._open(officer, case_id)
        if case.state is not State.OPEN and self.country.face is None:
            raise Refused(Code.CONFLICT, "the application is filed: its evidence stands")
        return case

    async def _record(self, case: Case, said: Sequence[Said], still: Still | None = None) -> None:
        """`still`: asked in the transaction whether it may be recorded."""
        now = self._clock.now()

        async def body(tx: Tx) -> None:
            await tx.serial(f"person:{case.person}")
            if still is not None:
                await still(tx)
            await self._move(tx, case, case.state, case.state, now)
            await self._put(tx, case, said, now)

        await self._db.write(body)

    async def _put(self, tx: Tx, case: Case, said: Sequence[Said], now: datetime) -> None:
        for one in said:
            await store.put_evidence(tx, self._dice.token(12), case.id, one.evidence, one.by.name)
        if case.task is Task.ISSUE:
            await self._issuer.settle_needs(tx, case.kind, case.id, await store.evidence(tx, case.id))
        for one in said:
            await self._step(tx, one.by, case, one.what, one.detail, now=now)


def _must_have_guesses(known: Sequence[Evidence]) -> None:
    if sum(isinstance(one, SecondDocumentSeen) and not one.good for one in known) >= DOCUMENT_TRIES:
        raise Refused(Code.SECOND_OFFICER, "no more numbers are compared: two officers decide")


def _last_machine(evidence: Sequence[Evidence]) -> FaceMatched | None:
    return next((one for one in reversed(evidence) if isinstance(one, FaceMatched)), None)


def _result(good: bool) -> str:
    return "good" if good else "bad"
