"""Handing a card over, and what becomes of cards afterwards: activation, loss, replacement, destruction.

Promises: nobody gets a card whose fingerprint did not match; where no print can be had, only after a second officer's
look; of a fingerprint the answer alone is kept; the register learns of the new card when it is active and of the old
one when it ends; a card is destroyed by two. Trusts: the signed-in officers' eyes, the fingerprint port's answer, the
citizen for having changed the PIN on the pad (no PIN passes here). Keeps: through `store`. Refuses: other offices'
cards, the dead, a third mismatch within a day.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from mapae.catalog import Country
from mapae.clock import Clock
from mapae.db import Db, Tx
from mapae.errors import Code, Refused
from mapae.issuer.officers import Officer
from mapae.registers.values import CardRegister

from . import store
from .applications import Applications
from .life import Act, State
from .partners import Fingerprint, FingerprintPort
from .store import Card, HandedIn
from .trail import THE_HOUSE, Actor, go, note, tell_lost, tell_register

FRESH: Final = timedelta(minutes=30)  # a comparison serves the visit it was made on
SKEW: Final = 60  # seconds another process of ours may be ahead
MISMATCHES: Final = 3
TO_HAND_OUT: Final = (State.AT_OFFICE, State.DELIVERED)
TO_DESTROY: Final = (State.REPLACED, State.EXPIRED, State.UNCOLLECTED)
COUNTED: Final = ("photo_overridden", "handed_over_by_eye")


class HandOver:
    """The counter's side of a finished card."""

    def __init__(
        self, db: Db, clock: Clock, country: Country, register: CardRegister, applications: Applications,
        fingerprints: FingerprintPort,
    ) -> None:  # fmt: skip
        self._db, self._clock, self._country, self._register = db, clock, country, register
        self._applications, self._fingerprints = applications, fingerprints

    # --- hand-over ----------------------------------------------------------------------------------------------------

    async def compare(self, officer: Officer, card_id: str) -> Fingerprint:
        """Put the finger on the reader. Only what came out is kept."""
        card = await self._ours(officer, card_id)
        if card.state not in TO_HAND_OUT:
            raise Refused(Code.CONFLICT, "this card is not waiting to be handed out")
        await self._must_be_tried(card)
        answer = await self._fingerprints.compare(card.person, officer.office)
        now = self._clock.now()
        said = f"{answer.value}@{int(now.timestamp())}"

        async def body(tx: Tx) -> None:
            await note(tx, card, "fingerprint", Actor.officer(officer), now, detail=answer.value, fingerprint=said)

        await self._db.write(body)
        return answer

    async def _must_be_tried(self, card: Card) -> None:
        since = int((self._clock.now() - timedelta(days=1)).timestamp())
        if await store.steps_since(self._db, card.id, "fingerprint", Fingerprint.NOT_MATCHED, since) >= MISMATCHES:
            raise Refused(Code.NOT_ALLOWED, "the fingerprint did not match three times: not again today", step="finger")

    def finger(self, card: Card) -> Fingerprint | None:
        """What the reader said on this visit."""
        said, _, at = card.fingerprint.partition("@")
        if not said or not -SKEW <= self._clock.now().timestamp() - int(at) <= FRESH.total_seconds():
            return None
        return Fingerprint(said)

    async def hand_over(
        self, officer: Officer, card_id: str, *, same_person: bool, old_card: bool, second: Officer | None = None
    ) -> None:
        """1 the holder lives  2 the officer's eye  3 the finger, or a second officer's eye  4 the old card is here."""
        card, actor, now = await self._ours(officer, card_id), Actor.officer(officer, second), self._clock.now()
        if (await self._register.get(card.person)).deceased_on is not None:
            raise Refused(Code.DECEASED, "the register says this person has died", step="alive")
        if not same_person:
            raise Refused(Code.EVIDENCE_MISSING, "the person is not the one on the card", step="eye")
        by_eye = self._must_be_proven(card, second)
        if card.old_fate == "kept" and not old_card:
            raise Refused(Code.EVIDENCE_MISSING, "the old card is handed in when the new one is given", step="old_card")

        said = card.fingerprint.partition("@")[0]

        async def body(tx: Tx) -> None:
            after = await go(tx, card, Act.HAND_OVER, actor, self._clock, detail=said, pickup=officer.office)
            if by_eye:
                await note(tx, after, "handed_over_by_eye", actor, now, detail=said)
            if card.old_fate == "kept":
                await self._take_in(tx, after, officer.office, now)

        await self._db.write(body)

    def _must_be_proven(self, card: Card, second: Officer | None) -> bool:
        """Whether it was by a second officer's eye."""
        match self.finger(card):
            case Fingerprint.MATCHED:
                return False
            case Fingerprint.NOT_MATCHED:
                raise Refused(Code.NOT_ALLOWED, "the fingerprint is not the one on record", step="finger")
            case Fingerprint.UNREADABLE | Fingerprint.UNAVAILABLE:
                if second is None:
                    raise Refused(
                        Code.SECOND_OFFICER, "without a fingerprint a second officer must look", step="finger"
                    )
                return True
            case None:
                raise Refused(Code.EVIDENCE_MISSING, "compare the fingerprint first", step="finger")

    async def _take_in(self, tx: Tx, card: Card, office: str, now: datetime) -> None:
        """The old card, at hand-over: it goes into the safe, to be destroyed by two."""
        await store.note(tx, card, old_fate="handed_in")
        await tell_register(tx, card, {"do": "mark", "number": card.old_number, "state": "returned"})
        if await store.by_number(tx, card.person, card.old_number) is None:  # a chip of ours has a life of its own
            await store.take_in(tx, HandedIn(card.id, office, card.old_number, int(now.timestamp())))

    async def put_back(self, officer: Officer, card_id: str) -> None:
        """The PIN was not set: the card goes back into the safe of this office."""
        card = await self._ours(officer, card_id)
        changes = {"fingerprint": "", "pickup": officer.office}

        async def body(tx: Tx) -> None:
            await go(tx, card, Act.PUT_BACK, Actor.officer(officer), self._clock, detail=officer.office, **changes)

        await self._db.write(body)

    async def activate(self, officer: Officer, card_id: str, *, pin_set: bool) -> None:
        """The citizen has set an own PIN. From here the card counts, and the one before no more."""
        card = await self._ours(officer, card_id)
        if not pin_set:
            raise Refused(Code.EVIDENCE_MISSING, "the citizen sets the PIN first", step="pin")
        told = {"do": "card", "number": card.number, "issued": card.issued}

        async def body(tx: Tx) -> None:
            before = await store.active_card(tx, card.person)
            if before is not None:
                await go(tx, before, Act.REPLACE, THE_HOUSE, self._clock, detail=card.id)
            after = await go(tx, card, Act.ACTIVATE, Actor.officer(officer), self._clock, trouble="")
            await tell_register(tx, after, told)

        await self._db.write(body)

    # --- cards that came back or go elsewhere -------------------------------------------------------------------------

    async def keep(self, officer: Officer, card_id: str) -> None:
        """A returned parcel is put into the safe, to be fetched here."""
        await self._act(officer, card_id, Act.KEEP, detail=officer.office, pickup=officer.office)

    async def forward(self, officer: Officer, card_id: str, to: str) -> None:
        """To another office, or by registered mail once more (empty)."""
        if to and to not in self._country.offices:
            raise Refused(Code.MALFORMED, "there is no such office")
        card = await self._ours(officer, card_id)
        sending = card.sending + 1
        await self._act(
            officer, card_id, Act.FORWARD, detail=to or "mail", pickup=to, sending=sending, tracking="", fingerprint=""
        )

    async def _act(self, officer: Officer, card_id: str, act: Act, *, detail: str, **changes: str | int) -> None:
        card = await self._ours(officer, card_id)

        async def body(tx: Tx) -> None:
            await go(tx, card, act, Actor.officer(officer), self._clock, detail=detail, **changes)

        await self._db.write(body)

    # --- loss and destruction -----------------------------------------------------------------------------------------

    async def report_lost(self, person_id: str, actor: Actor) -> int:
        """Whatever physical card the person holds counts no more, here and in the register; how many of ours that
        were."""
        person, now = await self._register.get(person_id), self._clock.now()
        ours = [card for card in await store.cards_of_person(self._db, person_id) if card.state in _IN_HIS_HANDS]

        async def body(tx: Tx) -> None:
            for card in ours:
                await go(tx, card, Act.LOSE, actor, self._clock)
                await tell_register(tx, card, {"do": "mark", "number": card.number, "state": "lost"})
            known = {card.number for card in ours}
            if person.card is not None and person.card.state == "valid" and person.card.number not in known:
                await tell_lost(tx, person_id, person.card.number, actor, now)

        await self._db.write(body)
        return len(ours)

    async def lost_here(self, officer: Officer, card_id: str) -> None:
        """Lost in our own hands, or by the post."""
        card = await self._ours(officer, card_id)

        async def body(tx: Tx) -> None:
            await go(tx, card, Act.LOSE, Actor.officer(officer), self._clock)

        await self._db.write(body)

    async def destroy(self, officer: Officer, second: Officer, card_id: str) -> None:
        """A chip of ours, before two officers' eyes."""
        card = await self._ours(officer, card_id)

        async def body(tx: Tx) -> None:
            await go(tx, card, Act.DESTROY, Actor.officer(officer, second), self._clock)

        await self._db.write(body)

    async def destroy_old(self, officer: Officer, second: Officer, card_id: str) -> None:
        """An earlier card of another kind that was handed in with this application."""
        card, actor, now = await self._applications.found(card_id), Actor.officer(officer, second), self._clock.now()

        async def body(tx: Tx) -> None:
            if not await store.gone(tx, card.id, officer.office):
                raise Refused(Code.CONFLICT, "that card is not in this office's safe")
            await note(tx, card, "old_destroyed", actor, now)

        await self._db.write(body)

    async def safe(self, officer: Officer) -> list[HandedIn]:
        return await store.handed_in(self._db, officer.office)

    async def overrides(self) -> list[tuple[str, str, int]]:
        """(office, what, how often): photos against the machine's word, cards given without a fingerprint."""
        return await store.counts(self._db, COUNTED)

    async def _ours(self, officer: Officer, card_id: str) -> Card:
        return (await self._applications.view(card_id, Actor.officer(officer))).card


_IN_HIS_HANDS: Final = (State.DELIVERED, State.HANDED_OVER, State.ACTIVE)
