"""Steps 4 to 10 of issuing: from keys that were proven to copies that may leave the house.

Promises: whatever line a power cut hits, no copy is signed without a ticket on disk, nothing leaves the house that the
record does not hold. Trusts: its caller for the access and the proofs, the register for the facts. Keeps: tickets and
digests; no claim value, no credential. Refuses: a draft that breaks a lint rule, a key seen before, an order that is
locked or ended.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from msgspec import structs

from mapae import audit
from mapae.catalog import CardFacts, ClaimValue, Country, claim_values
from mapae.clock import Clock, Dice
from mapae.db import Db, Tx
from mapae.entitlements import holds, last_day, of_one
from mapae.errors import Code, Refused
from mapae.formats.jose import PublicKey, b64u
from mapae.issuer import store
from mapae.issuer import ticket_store as tickets
from mapae.issuer.authorization import Spend
from mapae.issuer.draft import Copy, Draft, Place, draft_batch, life_of_copies
from mapae.issuer.grants import Access, spend_by_kind
from mapae.issuer.lint import lint
from mapae.issuer.metadata import Configuration
from mapae.issuer.oid4vci import credential_message
from mapae.issuer.order import Card, What
from mapae.issuer.status import Seal, StatusLists
from mapae.keys import Ticket, Vault
from mapae.registers.values import PopulationRegister

REDRAWS: Final = 8  # two batches drawing the same index at the same moment is rare; eight times in a row is a bug

Settle = Callable[[Tx], Awaitable[None]]
Guard = Callable[[Card], Awaitable[None]]


class RegisterSilent(Refused):
    """The register did not say what the copies would have to say."""


class NotYetProven(Refused):
    """Somebody still has to look at the person before anything is signed."""


async def _nothing(tx: Tx) -> None:
    """What a request that was not deferred has to settle."""


async def _no_guard(card: Card) -> None:
    """Where no order comes from a chip."""


@dataclass(frozen=True, slots=True)
class _Facts:
    """What the copies will say. Lives as long as one request."""

    birth_date: date
    expires: date
    values: Mapping[str, ClaimValue]


def _about(batch: tickets.BatchRow, copies: int) -> dict[str, str | int]:
    return {"batch": batch.id, "configuration": batch.configuration, "copies": copies}


@dataclass(frozen=True, slots=True)
class Wanted:
    """A batch somebody may have: whose access, which configuration, one copy a key, and what that uses up. `settle`
    runs in the transaction that records it."""

    access: Access
    configuration: Configuration
    keys: tuple[PublicKey, ...]
    spends: tuple[Spend, ...]
    settle: Settle = _nothing


class Batches:
    def __init__(
        self, *, db: Db, clock: Clock, dice: Dice, vault: Vault, country: Country, issuer: str, seal: Seal,
        lists: StatusLists, register: PopulationRegister, checkpoint: Callable[[str], None],
    ) -> None:  # fmt: skip
        self._db = db
        self._clock = clock
        self._dice = dice
        self._vault = vault
        self._country = country
        self._issuer = issuer
        self._seal = seal
        self._lists = lists
        self._register = register
        self._checkpoint = checkpoint
        self.guard: Guard = _no_guard  # whoever opened an order may look once more before its first signature

    async def make(self, wanted: Wanted) -> dict[str, Any]:
        """The numbered steps of docs/issuing.md part 1, from the facts on."""
        card, now = wanted.access.session.card, self._clock.now()
        configuration = wanted.configuration
        if card.state == "open":
            await self.guard(card)
        facts = await self._facts(configuration, card, now)  # 4
        self._checkpoint("facts")
        for _ in range(REDRAWS):
            batch = tickets.BatchRow(self._dice.token(16), card.id, configuration.id, "intended")
            draft = await self._draft(configuration, card, facts, wanted.keys, now)  # 5
            self._checkpoint("drafted")
            lint(draft, self._country, self._issuer, now)  # 6
            self._checkpoint("linted")
            try:
                await self._intend(wanted, batch, draft, now)  # 7
            except tickets.Taken as taken:
                if taken.why is tickets.Taken.Why.KEY:
                    raise Refused(Code.INVALID_PROOF, "a key has been used before; make new ones") from None
                continue
            self._checkpoint("intended")
            signed = self._sign(draft)  # 8
            await self._record(wanted, batch, draft, signed)  # 9
            self._checkpoint("recorded")
            return credential_message(signed, batch.id)  # 10
        raise Refused(Code.UNAVAILABLE, "no free status index was found, try again")

    async def _facts(self, configuration: Configuration, card: Card, now: datetime) -> _Facts:
        """What the register says today. A person who has died or is no citizen any more gets no new copies."""
        try:
            resident = await self._register.claims(card.person)
        except Refused as refused:
            if refused.code is Code.UNAVAILABLE:
                raise RegisterSilent(Code.UNAVAILABLE, refused.detail) from None
            raise
        rules = configuration.document.eligibility
        if resident.deceased_on is not None or (rules is not None and rules.citizens_only and not resident.citizen):
            raise Refused(Code.CREDENTIAL_REQUEST_DENIED, "the register does not allow this card any more")
        document, today = configuration.document, self._country.today(now)
        resident = structs.replace(resident, records=of_one(resident.records, card.about))
        # As of the day it was ordered: a child's guardian has no court's word to go on with once that has come of age.
        ages, record, since = self._country.ages, document.record, card.issued_on
        if not holds(record, resident.records, ages, since) or (
            last_day(record, resident.records, date.max, ages, since) < today
        ):
            raise Refused(Code.CREDENTIAL_REQUEST_DENIED, "the register this card rests on does not say so any more")
        expires = last_day(record, resident.records, card.expires_on, ages, since)
        login_id = b64u(self._vault.index(card.person, b"login_id")[:24])  # 32 characters, the same on every card
        facts = CardFacts(card.document_number, card.issued_on, expires, login_id)
        return _Facts(resident.birth_date, expires, claim_values(self._country, document, resident, facts, today))

    async def _draft(
        self, configuration: Configuration, card: Card, facts: _Facts, keys: tuple[PublicKey, ...],
        now: datetime,
    ) -> Draft:  # fmt: skip
        life = life_of_copies(self._country, configuration.document, facts.birth_date, facts.expires, now)
        slots = await self._lists.free_slots(len(keys))
        places = [Place(self._dice.token(16), key, slot.ref) for key, slot in zip(keys, slots, strict=True)]
        return draft_batch(
            configuration, facts.values, life, places,
            issuer=self._issuer, x5c=self._seal.x5c, entropy=self._dice.bytes,
        )  # fmt: skip

    async def _intend(self, wanted: Wanted, batch: tickets.BatchRow, draft: Draft, now: datetime) -> None:
        """Write down what we mean to sign. From here on the copies can be revoked, whether they ever exist or not."""
        session, card = wanted.access.session, wanted.access.session.card
        rows = [self._row(copy, draft) for copy in draft.copies]

        async def body(tx: Tx) -> None:
            await tx.serial(f"person:{card.person}")
            await spend_by_kind(tx, wanted.spends)
            if not await store.hold_still(tx, card.id, now) or not await store.session_lives(tx, session.id):
                raise Refused(Code.INVALID_TOKEN, "this card is locked or ended")
            if await store.still_needs(tx, card.id):  # an officer took back a word while we drafted
                raise NotYetProven(Code.EVIDENCE_MISSING, "the person's identity is still being checked")
            await tickets.void_batches(tx, card.id, batch.configuration, ("intended", "signed"), now)
            await tickets.add_batch(tx, batch, wanted.access.token_hash, now)
            await tickets.add_tickets(tx, batch, rows)
            await audit.record(tx, audit.Event(card.id, "batch", "intended", "issuer", _about(batch, len(rows))), now)

        await self._db.write(body)

    def _row(self, copy: Copy, draft: Draft) -> tickets.TicketRow:
        list_id = copy.status.uri.removeprefix(self._lists.uri(""))
        return tickets.TicketRow(
            copy.ticket, list_id, copy.status.index, copy.key.thumbprint, copy.digest, draft.life.end
        )

    def _sign(self, draft: Draft) -> list[str]:
        signed = []
        for place, copy in enumerate(draft.copies):
            signature = self._seal.signer.sign_once(Ticket(copy.ticket), copy.signing_input)
            signed.append(copy.complete(signature))
            self._checkpoint(f"signed_{place}")
        return signed

    async def _record(self, wanted: Wanted, batch: tickets.BatchRow, draft: Draft, signed: list[str]) -> None:
        """Write down what was signed, and that the card is on this phone now. Raises Refused when somebody voided the
        batch meanwhile: then the copies are thrown away, their indexes are invalid already."""
        session, card, now = wanted.access.session, wanted.access.session.card, self._clock.now()
        digests = [
            (copy.ticket, hashlib.sha256(text.encode()).digest())
            for copy, text in zip(draft.copies, signed, strict=True)
        ]

        async def body(tx: Tx) -> None:
            await tx.serial(f"person:{card.person}")
            if not await store.hold_still(tx, card.id, now) or not await store.session_lives(tx, session.id):
                raise Refused(Code.INVALID_TOKEN, "this card is locked or ended")
            if not await tickets.close_tickets(tx, batch.id, digests, now):
                raise Refused(Code.UNAVAILABLE, "another request took over, try again with a new nonce and new keys")
            await wanted.settle(tx)
            await _end_earlier(tx, card, now)
            await store.set_order(tx, card.id, ("open", "held"), "held", now)
            await store.set_device(tx, card.id, session.device)
            await store.tell(tx, card.case_id, What.ISSUED, batch.configuration, now)
            await audit.record(tx, audit.Event(card.id, "batch", "signed", "issuer", _about(batch, len(signed))), now)

        await self._db.write(body)


async def _end_earlier(tx: Tx, card: Card, now: datetime) -> None:
    """The person's earlier card of this kind, and about the same ward, ends where the new one begins."""
    for other in await store.cards_of(tx, card.person):
        same = other.kind == card.kind and other.about in ("", card.about) and other.id != card.id
        if same and other.state in ("held", "suspended"):
            await end_card(tx, other, now)


async def end_card(tx: Tx, card: Card, now: datetime) -> int:
    """For good, whatever its state; how many copies became invalid."""
    if await store.set_order(tx, card.id, ("open",), "ended", now):
        await stop_unissued(tx, card, now)
        return 0
    if not await store.set_order(tx, card.id, ("held", "suspended"), "ended", now):
        return 0
    await store.set_sessions(tx, card.id, ("live", "suspended"), "ended")
    return await tickets.end_order(tx, card.id, now)


async def stop_unissued(tx: Tx, card: Card, now: datetime) -> None:
    if await store.cancel_offers(tx, card.id):
        await store.tell(tx, card.case_id, What.CANCELLED, "", now)
    await store.set_sessions(tx, card.id, ("live", "suspended"), "ended")
    await tickets.end_order(tx, card.id, now)
