"""Taps: from a wallet's wish to a card of its own, for whoever holds the physical card and knows its PIN.

Promises: a session is bound to one phone and one wallet key before any card is touched; its secret opens one line to
one helper, ever; a helper that drops, lies or is slow leaves a failed session and nothing else; what the person
confirmed is finished by whoever comes next, in the order of `_finish`. Trusts: the register of issued cards for the
card's state, the population register for the person, the wallet provider for the phone; not the helper. Keeps: states,
times, the digest of the chip's EF.SOD; nothing else that was read from a chip. Refuses: a chip that is not the
person's own active card, a second issuance of a card within the pack's hours, whoever has stopped everything.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from mapae.audit import Event, events_about, record
from mapae.catalog import Country, Document
from mapae.clock import Clock, Dice
from mapae.db import Db, Duplicate, Tx
from mapae.entitlements import marks
from mapae.errors import Code, Refused, step
from mapae.issuer import store as issued
from mapae.issuer.authorization import Client, Knock, Standing, digest
from mapae.issuer.eligibility import Facts, eligibility, must_be_eligible
from mapae.issuer.evidence import LIFE, ChipProven, Evidence, Need
from mapae.issuer.face.checks import Subject
from mapae.issuer.grants import Asking, spend_all
from mapae.issuer.issue import Issuer
from mapae.issuer.oid4vci import offer_uri
from mapae.issuer.order import Bound, Card, Order, Terms, What
from mapae.issuer.tap import store
from mapae.issuer.tap.notices import Kind, Notices, lifted
from mapae.issuer.tap.values import (
    CASE,
    LIVE,
    CardRegister,
    Faces,
    IssuedCard,
    Opened,
    Read,
    Session,
    State,
    not_active,
    outward,
)
from mapae.registers.values import PopulationRegister
from mapae.rules import ChipRules

ACTOR: Final = "tap"
OFFICE: Final = "chip"  # where an order comes from that no office opened
PER_HOUR: Final = 12  # sessions of one person: enough for a clumsy evening
LEFT_ALONE: Final = timedelta(seconds=15)  # after which somebody else finishes what a wallet confirmed
_DONE: Final = (What.ISSUED, What.ACCEPTED)


class Taps:
    def __init__(
        self, *, db: Db, clock: Clock, dice: Dice, country: Country, rules: ChipRules, issuer: Issuer,
        register: PopulationRegister, peers: Asking, cards: CardRegister, notices: Notices, faces: Faces | None = None,
    ) -> None:  # fmt: skip
        self._db, self._clock, self._dice = db, clock, dice
        self._country, self._rules, self._issuer = country, rules, issuer
        self._register, self._peers, self._cards, self._faces = register, peers, cards, faces
        self._notices = notices
        # Two at once would withdraw each other's offer. Of other processes only `tidy` meddles, and late.
        self._finishing: dict[str, asyncio.Lock] = {}

    # --- the wallet ------------------------------------------------------------------------------------------------

    async def open(self, knock: Knock, dpop_jkt: str, language: str, kind: str = "") -> Opened:
        """1 an attested wallet of ours  2 its phone is active, or waits to be  3 nobody has stopped everything  4 the
        pack's rules. Then the session is bound to this phone and these keys."""
        client, standing = await self._wallet(knock)
        person = str(standing.person)
        document = self._document(kind)
        await self._must_not_be_stopped(person)
        await self._must_be_eligible(person, document, standing)
        now = self._clock.now()
        at, secret = int(now.timestamp()), self._dice.token(24)
        new = Session(
            self._dice.token(12), person, standing.device, standing.state == "waiting", document.id, client.jkt,
            dpop_jkt, self._dice.digits(4), language, State.WAITING, "", "", at, at + self._rules.session_seconds,
            0, b"", 0, "", "",
        )  # fmt: skip

        await self._face_must_be_possible(new)

        async def body(tx: Tx) -> None:
            await spend_all(tx, client.spends, Code.INVALID_CLIENT)
            await tx.serial(f"person:{person}")
            if await store.opened_since(tx, person, at - 3600) >= PER_HOUR:
                raise Refused(Code.TOO_OFTEN, "too many attempts in an hour; try again later, or come to a counter")
            await store.fail_others_on(tx, standing.device, Code.SESSION_SPENT.value, at)
            await store.add(tx, new, digest(secret))
            facts: dict[str, str | int] = {"session": new.id, "device": new.device, "new_phone": int(new.waiting)}
            await record(tx, Event(person, "tap", "opened", "wallet", facts), now)

        try:
            await self._db.write(body)
        except Duplicate:
            raise Refused(Code.CONFLICT, "this phone is receiving a card at this very moment") from None
        return Opened(new, secret)

    async def look(self, knock: Knock, id: str) -> dict[str, Any]:
        """How it stands, for the wallet that opened it."""
        return await self._shown(await self._noticed(await self._own(knock, id)))

    async def cancel(self, knock: Knock, id: str) -> dict[str, Any]:
        """The person said no. What is being issued already is taken back at the counter or by the stop link."""
        session = await self._own(knock, id)
        await self.fail(session, Code.ACCESS_DENIED, "wallet")
        return await self._shown(await self._again(session))

    async def confirm(self, knock: Knock, id: str) -> dict[str, Any]:
        """The person says yes to what the screen shows. Once more does no harm, and helps where an answer was lost."""
        session = await self._noticed(await self._own(knock, id))
        if session.state is State.CONFIRM:
            session = await self._begin(session)
        if session.state in (State.ISSUING, State.MOVED) or await self._ran_out(session):
            session = await self._finish(session)
        if session.state not in (State.OFFERED, State.DONE):
            raise Refused(Code(session.reason) if session.reason else Code.CONFLICT, "there is nothing to confirm now",
                          step=session.step or None)  # fmt: skip
        return await self._shown(session)

    async def _own(self, knock: Knock, id: str) -> Session:
        """The session of the wallet that knocks; to everybody else there is none."""
        client = await self._issuer.grants.client(knock)
        await self._db.write(lambda tx: spend_all(tx, client.spends, Code.INVALID_CLIENT))
        session = await store.get(self._db, id)
        if session is None or session.client_jkt != client.jkt:
            raise Refused(Code.NOT_FOUND, "there is no such session")
        return session

    async def _wallet(self, knock: Knock) -> tuple[Client, Standing]:
        client = await self._issuer.grants.client(knock)
        standing = await self._issuer.grants.standing(client)
        if standing.person is None:
            raise Refused(Code.UNKNOWN_DEVICE, "this way is for phones registered with this country's wallet")
        if standing.state not in ("active", "waiting"):
            raise Refused(Code.DEVICE_SUSPENDED, "this phone is locked or ended")
        return client, standing

    async def face_of(self, id: str, client_jkt: str) -> Subject:
        """Whose face a session waits for. Raises Refused(NOT_FOUND) for anybody but its wallet."""
        session = await store.get(self._db, id)
        if session is None or session.client_jkt != client_jkt:
            raise Refused(Code.NOT_FOUND, "this wallet has no such session")
        session = await self._noticed(session)
        return _face(session, (Need.FACE,) if session.state is State.FACE else ())

    async def _face_must_be_possible(self, session: Session) -> None:
        """Said before a card is touched: at home there are no officers for whom the machine cannot read."""
        if not await self._wants_face(session):
            return
        if self._faces is None:
            raise Refused(Code.FACE_UNAVAILABLE, "no face check answers here: come to a counter", step="face")
        standing = await self._faces.standing_of(_face(session, (Need.FACE,)))
        if standing.by_face:
            return
        if standing.unread == Code.RECORD_PHOTO_TOO_OLD.value:
            raise Refused(Code.RECORD_PHOTO_TOO_OLD, "the photo on record is too old to compare a face with")
        if not standing.tries_left:
            raise Refused(Code.FACE_SPENT, "too many face checks failed today: come to a counter", step="face")
        raise Refused(Code.FACE_UNAVAILABLE, "the machine cannot compare this face: come to a counter", step="face")

    async def _shown(self, session: Session) -> dict[str, Any]:
        said: dict[str, Any] = {"state": outward(session.state), "code": session.code, "needs": []}
        if session.state is State.FACE:
            said["needs"] = ["face"]
        if session.state is State.FAILED:
            said |= {"reason": session.reason, "step": session.step}
        if session.state is State.OFFERED:
            said["offer"] = offer_uri(self._issuer.base, session.offer)
        return said

    async def _noticed(self, session: Session) -> Session:
        """The session as it is now: too late, past the face, or arrived, whoever looks first."""
        now = self._clock.now()
        at = int(now.timestamp())
        if session.state in LIVE and session.state not in (State.ISSUING, State.MOVED) and at >= session.deadline():
            await self.fail(session, Code.SESSION_SPENT, "time")
            return await self._again(session)
        if session.state is State.FACE and self._faces is not None:
            came = await self._faces.came_to(session.subject, session.asked)
            if came.passed is not None and came.passed.at.timestamp() >= session.proven:
                await self._db.write(lambda tx: store.move(tx, session.id, State.FACE, State.CONFIRM, at))
            elif came.spent:
                await self.fail(session, Code.FACE_SPENT, "face")
            return await self._again(session)
        if session.state is State.OFFERED:
            events = await self._issuer.offer_events(session.case_id)
            if any(event.what in _DONE for event in events):
                await self._db.write(lambda tx: store.move(tx, session.id, State.OFFERED, State.DONE, at))
                return await self._again(session)
        return session

    async def _again(self, session: Session) -> Session:
        return await store.get(self._db, session.id) or session

    # --- the helper ------------------------------------------------------------------------------------------------

    async def take(self, secret: str) -> Session:
        """A helper brings the secret of a link: once, in time."""
        now = self._clock.now()
        at = int(now.timestamp())
        session = await store.by_secret(self._db, digest(secret))
        if session is None:
            raise Refused(Code.NOT_FOUND, "there is no such session", step="session")
        if session.state is not State.WAITING:
            raise Refused(Code.SESSION_SPENT, "this link was used already", step="session")
        if at >= session.expires:
            await self.fail(session, Code.SESSION_SPENT, "time")
            raise Refused(Code.SESSION_SPENT, "this link is too old", step="session")

        async def body(tx: Tx) -> bool:
            if not await store.move(tx, session.id, State.WAITING, State.OPENED, at):
                return False
            await record(tx, Event(session.person, "tap", "joined", "helper", {"session": session.id}), now)
            return True

        if not await self._db.write(body):
            raise Refused(Code.SESSION_SPENT, "this link was used already", step="session")
        return replace(session, state=State.OPENED)

    async def show(self, session: Session, chip: bytes, key_hash: bytes) -> Session:
        """A card was shown whose SOD and DG14 are genuine; now it is looked up. From here on the chip has so long."""
        await self._must_not_be_stopped(session.person)
        card = await self._card(session, chip)
        if card.chip_key_hash != key_hash:  # the register knows the very key, not only the digest over it
            raise Refused(Code.CHIP_REFUSED, "the chip has another key than the card we made", step="key")
        now = self._clock.now()
        at = int(now.timestamp())
        if await store.used_since(self._db, chip, self._surely() - self._hours() + 1):
            raise Refused(Code.CHIP_USED, f"one issuance a card in {self._rules.issue_hours} hours", step="use")
        until = at + self._rules.tap_seconds
        if not await self._db.write(lambda tx: store.show(tx, session.id, chip, until, at)):
            raise Refused(Code.SESSION_SPENT, "this session is over", step="time")
        return replace(session, state=State.CARD, chip=chip, tap_until=until)

    async def prove(self, session: Session, read: Read) -> None:
        """The chip has proven itself to us and everything on it was read by us: 1 the same chip  2 the same card."""
        card = await self._card(session, read.digest)
        if read.digest != session.chip:
            raise Refused(Code.CHIP_REFUSED, "this is not the card that was shown first", step="sod")
        if card.number != read.number:
            raise Refused(Code.CHIP_REFUSED, "the chip names another card", step="number")
        after = State.FACE if await self._wants_face(session) else State.CONFIRM
        now = self._clock.now()

        async def body(tx: Tx) -> bool:
            if not await store.prove(tx, session.id, after, int(now.timestamp())):
                return False
            facts = {"session": session.id, "sod": read.digest.hex()}
            await record(tx, Event(session.person, "tap", "proven", "helper", facts), now)
            return True

        if not await self._db.write(body):
            raise Refused(Code.SESSION_SPENT, "the chip took too long, or the session was ended", step="time")

    async def fail(self, session: Session, code: Code, at_step: str, *, issuing: bool = False) -> None:
        """End the session, but for what is being issued (with `issuing` that, too). The next try is a new session."""
        now = self._clock.now()

        async def body(tx: Tx) -> None:
            if not await store.fail(tx, session.id, code.value, at_step, int(now.timestamp()), issuing=issuing):
                return
            if issuing:  # no card came of it, so the chip is not used up
                await store.drop_use(tx, session.id)
            facts = {"session": session.id, "code": code.value, **({"step": at_step} if at_step else {})}
            await record(tx, Event(session.person, "tap", "failed", ACTOR, facts), now)

        await self._db.write(body)

    async def _card(self, session: Session, chip: bytes) -> IssuedCard:
        """1 a card of ours  2 of this person  3 active. The three in this order tell a finder of a card nothing: who it
        belongs to is printed on it."""
        card = await self._cards.by_sod(chip)
        if card is None:
            raise Refused(Code.CHIP_REFUSED, "we never made this card", step="register")
        if card.person != session.person:
            raise Refused(Code.CHIP_REFUSED, "this is another person's card", step="person")
        if not_active(card, self._today()):
            raise Refused(
                Code.CHIP_NOT_ACTIVE, "this card is lost, replaced, expired or not handed over", step="status"
            )
        return card

    async def _wants_face(self, session: Session) -> bool:
        if self._country.face is None:
            return False
        match self._rules.face:
            case "always":
                return True
            case "never":
                return False
            case "first_phone":
                return not await self._issuer.holdings(session.person)

    # --- what the person confirmed ---------------------------------------------------------------------------------

    async def _begin(self, session: Session) -> Session:
        """1 the person may  2 the card is still active  3 nobody has stopped everything  4 one issuance a card. Then it
        is decided, and both the old phone's owner and an independent channel are told, whatever happens next."""
        document = self._country.documents[session.kind]
        binding = await self._peers.call("wallet_provider", "/wallet-provider/peer/active", {"person": session.person})
        old = str(binding.get("device_id") or "")
        waits = old != session.device
        if waits and session.device not in {str(one["device_id"]) for one in binding.get("waiting") or ()}:
            await self.fail(session, Code.UNKNOWN_DEVICE, "phone")
            return await self._again(session)
        if not waits and binding.get("state") != "active":
            await self.fail(session, Code.DEVICE_SUSPENDED, "phone")
            return await self._again(session)
        old = old if waits else ""
        try:
            await self._must_not_be_stopped(session.person)
            await self._must_be_eligible(session.person, document, Standing(session.person, session.device, "waiting"))
            await self._card(session, session.chip)
        except Refused as refused:
            if refused.code is not Code.UNAVAILABLE:
                await self.fail(session, refused.code, refused.step or "")
            raise
        now = self._clock.now()
        at = int(now.timestamp())
        kind = Kind.NEW_PHONE if waits else Kind.ISSUE

        async def body(tx: Tx) -> bool:
            await tx.serial(f"person:{session.person}")
            if not await store.begin_issuing(tx, session.id, old, at):
                return True  # cancelled, too late, or somebody else was faster: the state says which
            sure = self._surely()
            if not await store.take_use(tx, session.chip, session.id, sure - self._hours() + 1, sure):
                raise _Used
            await self._notices.promise(tx, session.id, session.person, kind, session.language, now)
            facts: dict[str, str | int] = {"session": session.id, "new_phone": int(waits)}
            await record(tx, Event(session.person, "tap", "confirmed", "wallet", facts), now)
            return True

        try:
            await self._db.write(body)
        except _Used:
            await self.fail(session, Code.CHIP_USED, "use")
        return await self._again(session)

    async def _finish(self, session: Session) -> Session:
        """1 the old phone's registration ends and this one's begins, in one transaction of the wallet provider's  2 the
        cards of the old phone end  3 the offer is opened for this wallet's keys alone. Each may be repeated."""
        async with self._finishing.setdefault(session.id, asyncio.Lock()):
            session = await self._again(session)
            if session.state is State.ISSUING:
                await self._move(session)
                session = await self._again(session)
            if session.state is State.MOVED or await self._ran_out(session):
                await self._offer(session)
        self._finishing.pop(session.id, None)
        return await self._again(session)

    async def _move(self, session: Session) -> None:
        at = int(self._clock.now().timestamp())
        if at - session.proven >= LIFE.total_seconds():  # too late for a card; then the old phone stays what it was
            await self.fail(session, Code.EVIDENCE_MISSING, "time", issuing=True)
            return
        message = {"person": session.person, "device_id": session.device, "actor": ACTOR}
        message |= {"old": session.old_device} if session.old_device else {}
        try:
            await self._peers.call("wallet_provider", "/wallet-provider/peer/move", message)
        except Refused as refused:
            if refused.code is Code.UNAVAILABLE:
                raise
            await self.fail(session, refused.code, "phone", issuing=True)
            return
        if session.old_device:
            await self._issuer.end(session.person, "moved", ACTOR)
        await self._db.write(lambda tx: store.move(tx, session.id, State.ISSUING, State.MOVED, at))

    async def _offer(self, session: Session) -> None:
        evidence = await self._evidence(session)
        order = Order(
            session.case_id, session.person, session.kind, OFFICE, ACTOR, evidence, await self._about(session)
        )  # fmt: skip
        terms = Terms(bound=Bound(session.dpop_jkt, session.client_jkt))
        try:
            offer = await self._issuer.open_offer(order, terms)
        except Refused as refused:
            if refused.code in (Code.UNAVAILABLE, Code.CONFLICT):
                raise
            await self.fail(session, refused.code, refused.step or "offer", issuing=True)
            return
        at = int(self._clock.now().timestamp())
        if await self._db.write(lambda tx: store.offer(tx, session.id, offer.id, at)):
            return
        if (await self._again(session)).state is State.FAILED:  # somebody stopped everything meanwhile
            await self._issuer.cancel_offer(session.case_id)

    async def _evidence(self, session: Session) -> tuple[Evidence, ...]:
        wants, proven = await self._wants_face(session), datetime.fromtimestamp(session.proven, UTC)
        chip = ChipProven(session.chip.hex(), session.id, proven, face=wants)
        if not wants or self._faces is None:
            return (chip,)
        came = await self._faces.came_to(session.subject, session.asked)
        return (chip,) if came.passed is None else (chip, came.passed)

    async def _ran_out(self, session: Session) -> bool:
        """The offer was not fetched in time; while the evidence is fresh there is another one for the asking."""
        if session.state is not State.OFFERED:
            return False
        offer = await issued.offer(self._db, session.offer)
        return offer is None or (offer.state == "open" and self._clock.now().timestamp() >= offer.expires)

    # --- at the issuing --------------------------------------------------------------------------------------------

    async def still_active(self, order: Card) -> None:
        """Before the first signature of an order that came from a tap: the physical card is what it was."""
        if not order.case_id.startswith(CASE):
            return
        session = await store.get(self._db, order.case_id.removeprefix(CASE))
        if session is None:
            raise Refused(Code.CHIP_NOT_ACTIVE, "nothing is known of the card that was tapped", step="status")
        await self._card(session, session.chip)

    # --- shared ----------------------------------------------------------------------------------------------------

    def _document(self, kind: str) -> Document:
        for document in self._country.documents.values():
            if document.issued_here and kind in ("", document.id):
                return document
        raise Refused(Code.NOT_FOUND, "this document is not issued here")

    async def _about(self, session: Session) -> str:
        """The one ward a document speaks for: as at a counter, so that the two ways end each other's card."""
        record = self._country.documents[session.kind].record
        every = marks(record, (await self._register.get(session.person)).records) if record else []
        return every[0] if len(every) == 1 else ""

    async def _must_be_eligible(self, person: str, document: Document, standing: Standing) -> None:
        known = await self._register.get(person)
        every = marks(document.record, known.records)
        if len(every) > 1:  # before a phone has moved for a card that nobody could sign
            raise Refused(Code.NOT_ALLOWED, "which child or ward it is for is said at a counter")
        held = None
        if standing.state == "active":  # on a phone that waits nothing is held yet, and what the other holds will end
            held = max(
                (one.expires for one in await self._issuer.holdings(person)
                 if one.kind == document.id and one.about in ("", *every) and one.state == "valid"), default=None,
            )  # fmt: skip
        must_be_eligible(eligibility(document.id, Facts(known, held_until=held), self._today(), self._country))

    async def _must_not_be_stopped(self, person: str) -> None:
        """A stop holds until an officer who saw the person has released the cards, or issued one anew."""
        stopped = await store.stopped_at(self._db, person)
        if not stopped:
            return
        since = (one.event for one in await events_about(self._db, person) if one.at.timestamp() >= stopped)
        if lifted(since):
            return
        with step("stopped"):
            raise Refused(Code.NOT_ALLOWED, "everything was stopped by its owner: only a counter can undo that")

    def _surely(self) -> int:
        """A use forgotten early would be a second card a day, one of a day to come no card for as long."""
        return int(self._clock.surely().timestamp())

    def _hours(self) -> int:
        return self._rules.issue_hours * 3600

    def _today(self) -> Any:
        return self._country.today(self._clock.now())

    # --- rounds ----------------------------------------------------------------------------------------------------

    async def tidy(self) -> int:
        """End what is overdue, finish what was confirmed and left alone, forget what is old."""
        now = self._clock.now()
        at = int(now.timestamp())
        late = await store.overdue(self._db, at)
        for session in late:
            await self.fail(session, Code.SESSION_SPENT, "time")
        left = await store.unfinished(self._db, int((now - LEFT_ALONE).timestamp()))
        refusals: list[Refused] = []
        for session in left:
            try:
                await self._finish(session)
            except Refused as refused:  # the others are not to wait for it
                refusals.append(refused)
        sure = self._surely()
        await self._db.write(lambda tx: store.forget(tx, sure - self._hours() - 86400, sure))
        if refusals:
            raise refusals[0]
        return len(late) + len(left)


def _face(session: Session, needs: tuple[Need, ...]) -> Subject:
    return Subject(session.subject, session.person, session.kind, needs)


class _Used(Exception):
    """The chip led to a card already: nothing of the transaction stays."""
