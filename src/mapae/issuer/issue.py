"""Issuing: draft, lint, record intent, sign once, record. And what may happen to a card afterwards.

Promises: the steps of `docs/issuing.md` part 1 in their order; whatever line a power cut hits, no copy is signed
without a ticket on disk, nothing leaves the house that the record does not hold, and the wallet's next try ends well.
A lock takes all documents, copies and tokens of a person in one transaction. Trusts: the register for the facts, the
wallet provider for the phones, the officer's evidence. Keeps: orders, tickets, digests; no claim value, no credential.
Refuses: a draft that breaks a lint rule, a key seen before, an order that is locked, ended or somebody else's.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from mapae import audit, outbox
from mapae.catalog import Country, Document
from mapae.clock import Clock, Dice
from mapae.db import Db, Tx
from mapae.entitlements import marks
from mapae.errors import Code, Refused
from mapae.issuer import store
from mapae.issuer import ticket_store as tickets
from mapae.issuer.authorization import Attesters, Knock, nonce_spend
from mapae.issuer.batches import Batches, Wanted, end_card, stop_unissued
from mapae.issuer.deferred import Deferred
from mapae.issuer.documents import listed
from mapae.issuer.eligibility import Facts, eligibility
from mapae.issuer.encryption import RequestKeys
from mapae.issuer.evidence import Evidence, Purpose, must_suffice
from mapae.issuer.face.checks import Subject
from mapae.issuer.grants import Access, Asking, Grants, spend_all
from mapae.issuer.metadata import Configuration, configurations
from mapae.issuer.offers import Offers
from mapae.issuer.oid4vci import CredentialRequest, DeferredRequest, NotificationRequest, ProofRules, check_proofs
from mapae.issuer.order import Card, Holding, Offer, OfferEvent, Order, Terms, What
from mapae.issuer.publication import Publication
from mapae.issuer.status import LIST_SIZE, Seal, StatusLists
from mapae.keys import Vault
from mapae.registers.values import PopulationRegister

__all__ = ["Card", "Holding", "Issuer", "Offer", "OfferEvent", "Order", "Seal"]

KEEP_OFFERS = timedelta(days=30)
ENDED_AT_ONCE = 1000
ENDED_AGAIN = 200  # the last ends, asked again: a wallet that was let in just before has its session just after
AT_THE_COUNTER: Final = Terms()  # the person's registered phone, here and now


def _no_checkpoint(name: str) -> None:
    """In the tests this is where the power goes."""


class Issuer:
    """The issuing role. Everything it needs comes in here; the desk calls the first and the third part."""

    def __init__(
        self, *, db: Db, clock: Clock, dice: Dice, vault: Vault, base: str, country: Country, documents: Seal,
        statuses: Seal, register: PopulationRegister, peers: Asking, attesters: Callable[[], Awaitable[Attesters]],
        list_size: int = LIST_SIZE, checkpoint: Callable[[str], None] = _no_checkpoint,
    ) -> None:  # fmt: skip
        self._db = db
        self._clock = clock
        self._dice = dice
        self._register = register
        self._peers = peers
        self.base = base
        self.country = country
        self.configurations = configurations(country)
        self.offers = Offers(db, clock, dice, vault, base, country)
        self.grants = Grants(db, clock, dice, vault, base, country, peers, attesters, self.offers)
        self.lists = StatusLists(db, clock, dice, statuses, f"{base}/issuer/status/", list_size)
        self.batches = Batches(
            db=db, clock=clock, dice=dice, vault=vault, country=country, issuer=self.grants.issuer, seal=documents,
            lists=self.lists, register=register, checkpoint=checkpoint,
        )  # fmt: skip
        self.deferred = Deferred(db, clock, dice, self.batches)
        self.request_keys = RequestKeys(vault, clock)
        self.publication = Publication(country, base, self.request_keys, documents, clock)

    # --- the counter ---

    async def open_offer(self, order: Order, terms: Terms = AT_THE_COUNTER) -> Offer:
        """A one-time QR for this case. An earlier one of the case is withdrawn. Raises Refused(EVIDENCE_MISSING,
        CASE_CLOSED, CONFLICT, NOT_FOUND)."""
        return await self.offers.open(order, terms)

    async def settle_needs(self, tx: Tx, kind: str, case_id: str, evidence: tuple[Evidence, ...]) -> None:
        """The desk has recorded more for this case, in `tx`: a card that waits is signed when nothing is missing."""
        await self.offers.settle_needs(tx, kind, case_id, evidence)

    async def wallet_of(self, case_id: str) -> str:
        """The key of the wallet that has come for this case's order; empty before."""
        return await store.wallet_of_case(self._db, case_id)

    async def tell(self, tx: Tx, case_id: str, what: What, detail: str) -> None:
        """One line for the officer's screen, of what the desk itself has to tell."""
        await store.tell(tx, case_id, what, detail, self._clock.now())

    async def face_of(self, offer_id: str, client_jkt: str) -> Subject:
        """Whose face the order behind an offer waits for: asked by the wallet that redeemed it, and by no other."""
        session = await store.session_of_offer(self._db, offer_id)
        if session is None or session.client_jkt != client_jkt or session.state != "live":
            raise Refused(Code.NOT_FOUND, "this wallet has redeemed no such offer")
        card = session.card
        return Subject(f"case:{card.case_id}", card.person, card.kind, card.needs if card.state == "open" else ())

    async def cancel_offer(self, case_id: str) -> None:
        await self.offers.cancel(case_id)

    async def offer_events(self, case_id: str) -> list[OfferEvent]:
        return await self.offers.events(case_id)

    async def holdings(self, person: str) -> list[Holding]:
        """The cards this person was ever given, oldest first."""
        today = self.country.today(self._clock.now())
        held = []
        for card in await store.cards_of(self._db, person):
            match card.state:
                case "held":
                    state = "valid" if today <= card.expires_on else "expired"
                case "suspended":
                    state = "suspended" if today <= card.expires_on else "expired"
                case "ended" if card.device is not None:
                    state = "ended"
                case _:  # ordered, never issued
                    continue
            held.append(Holding(card.kind, state, card.issued_on, card.expires_on, card.id, card.about))
        return held

    # --- issuing ---

    async def issue(self, knock: Knock, request: CredentialRequest) -> dict[str, Any]:
        """OpenID4VCI section 8, in the numbered steps of docs/issuing.md part 1."""
        access = await self.grants.authorize(knock)  # 1
        allowed, identifiers = self.grants.allowed(access.session), self.grants.identifiers(access.session)
        configuration = self.configurations[request.configuration(allowed, identifiers)]  # 2
        if await tickets.has_done_its_work(self._db, access.token_hash, configuration.id):
            raise Refused(Code.CREDENTIAL_REQUEST_DENIED, "this token's batch has been accepted, refresh the token")
        now = self._clock.now()
        proven = check_proofs(request.proofs, await self._proof_rules(access, configuration, now))  # 3
        spends = access.spends + tuple(nonce_spend(nonce, now) for nonce in proven.nonces)
        return await self.deferred.now_or_later(Wanted(access, configuration, proven.keys, spends))

    async def collect(self, knock: Knock, request: DeferredRequest) -> dict[str, Any]:
        """Section 9: what was promised with a transaction id."""
        access = await self.grants.authorize(knock)
        return await self.deferred.collect(access, request.transaction_id, self.configurations)

    async def _proof_rules(self, access: Access, configuration: Configuration, now: datetime) -> ProofRules:
        return ProofRules(
            issuer=self.grants.issuer,
            client_id=access.session.client_id,
            batch_size=self.country.issuance.batch_size,
            attested=configuration.document.key_attestation,
            attesters=await self.grants.attesters(),
            nonce_good=lambda nonce: self.grants.nonces.good(nonce, "c_nonce"),
            now=now,
        )

    async def notify(self, knock: Knock, request: NotificationRequest) -> None:
        """Section 11. Saying the same twice is fine; a batch that was replaced meanwhile cannot be accepted."""
        access = await self.grants.authorize(knock)
        card, now = access.session.card, self._clock.now()

        async def body(tx: Tx) -> None:
            await tx.serial(f"person:{card.person}")
            await spend_all(tx, access.spends, Code.INVALID_DPOP_PROOF)
            batch = await tickets.batch(tx, request.notification_id)
            if batch is None or batch.order_id != card.id or batch.state == "intended":
                raise Refused(Code.INVALID_NOTIFICATION_ID, "there is no such batch")
            if request.event == "credential_accepted":
                if batch.state == "void":
                    raise Refused(Code.INVALID_NOTIFICATION_ID, "this batch has been replaced")
                changed = await tickets.acknowledge(tx, batch, now)
                told = What.ACCEPTED
            else:
                changed = await tickets.end_batch(tx, batch.id, ("signed", "acknowledged"), "void", now) > 0
                told = What.CANCELLED
            if changed:
                await store.tell(tx, card.case_id, told, batch.configuration, now)
                facts = {"batch": batch.id, "event": request.event}
                await audit.record(tx, audit.Event(card.id, "batch", "notified", "wallet", facts), now)

        await self._db.write(body)

    # --- afterwards ---

    async def lock(self, person: str, reason: str, actor: str, *, waiting: bool = False) -> int:
        """A lost phone: every document, copy, session and token of the person, in one transaction. How many copies.
        `waiting`: the phones that wait to be the person's end as well."""
        now, key = self._clock.now(), self._dice.token(12)

        async def body(tx: Tx) -> int:
            await tx.serial(f"person:{person}")
            count = 0
            for card in await store.cards_of(tx, person):
                if await store.set_order(tx, card.id, ("held",), "suspended", now):
                    await tickets.void_batches(tx, card.id, None, ("intended",), now)
                    count += await tickets.suspend_order(tx, card.id)
                    await store.set_sessions(tx, card.id, ("live",), "suspended")
                elif await store.set_order(tx, card.id, ("open",), "ended", now):
                    await stop_unissued(tx, card, now)
            message: dict[str, Any] = {"person": person, "reason": reason, "actor": actor}
            message |= {"waiting": True} if waiting else {}
            await self._promise_provider(tx, "suspend", key, message, now)
            facts: dict[str, str | int] = {"reason": reason, "copies": count}
            await audit.record(tx, audit.Event(person, "documents", "locked", actor, facts), now)
            return count

        return await self._db.write(body)

    async def release(self, person: str, actor: str, evidence: tuple[Evidence, ...]) -> int:
        """Undo a lock, on evidence (EVIDENCE_MISSING). Copies come back as they were, a wish to renew included."""
        now, key = self._clock.now(), self._dice.token(12)
        must_suffice(Purpose.RELEASE, evidence, now)

        async def body(tx: Tx) -> int:
            await tx.serial(f"person:{person}")
            count = 0
            for card in await store.cards_of(tx, person):
                if await store.set_order(tx, card.id, ("suspended",), "held", now):
                    count += await tickets.release_order(tx, card.id)
                    await store.set_sessions(tx, card.id, ("suspended",), "live")
            await self._promise_provider(tx, "release", key, {"person": person, "actor": actor}, now)
            shown = "+".join(sorted(str(one.as_facts()["evidence"]) for one in evidence))
            facts: dict[str, str | int] = {"evidence": shown, "copies": count}
            await audit.record(tx, audit.Event(person, "documents", "released", actor, facts), now)
            return count

        return await self._db.write(body)

    async def end(self, person: str, reason: str, actor: str) -> int:
        """For good: all documents of the person become invalid. After a death the phone's registration ends as well."""
        now, key = self._clock.now(), self._dice.token(12)

        async def body(tx: Tx) -> int:
            await tx.serial(f"person:{person}")
            count = 0
            for card in await store.cards_of(tx, person):
                count += await end_card(tx, card, now)
            if reason == "deceased":
                message = {"person": person, "reason": reason, "actor": actor}
                await self._promise_provider(tx, "end", key, message, now)
            facts: dict[str, str | int] = {"reason": reason, "copies": count}
            await audit.record(tx, audit.Event(person, "documents", "ended", actor, facts), now)
            return count

        return await self._db.write(body)

    async def renew(self, person: str, reason: str, actor: str) -> int:
        """The facts have changed (a new address): the copies stay good and ask the wallet to fetch new ones."""
        now = self._clock.now()

        async def body(tx: Tx) -> int:
            await tx.serial(f"person:{person}")
            count = 0
            for card in await store.cards_of(tx, person):
                if card.state in ("held", "suspended"):
                    count += await tickets.renew_order(tx, card.id)
            facts: dict[str, str | int] = {"reason": reason, "copies": count}
            await audit.record(tx, audit.Event(person, "documents", "renewal_asked", actor, facts), now)
            return count

        return await self._db.write(body)

    # --- what this person could have ---

    async def documents(self, knock: Knock) -> list[dict[str, Any]]:
        """Every document of the pack, where it is to be had, and whether this wallet's person may have it today."""
        client = await self.grants.client(knock)
        standing = await self.grants.standing(client)
        if standing.person is None:
            raise Refused(Code.UNKNOWN_DEVICE, "this list is for phones registered with this country's wallet")
        if standing.state not in ("active", "waiting"):
            raise Refused(Code.DEVICE_SUSPENDED, "this phone is locked or ended")
        await self._db.write(lambda tx: spend_all(tx, client.spends, Code.INVALID_CLIENT))
        person = await self._register.get(standing.person)
        today = self.country.today(self._clock.now())
        cards = await store.cards_of(self._db, standing.person)
        # A card on another phone is not in the way here: at the counter the binding moves and that card ends.
        held = {
            (card.kind, card.about): card.expires_on
            for card in cards if card.state == "held" and card.device == standing.device
        }  # fmt: skip
        chip = self.country.chip is not None

        def entry(document: Document) -> dict[str, Any]:
            """Whoever has several wards has this document when there is one for each, and an officer says which."""
            each = marks(document.record, person.records)
            ends = [held.get((document.id, about)) or held.get((document.id, "")) for about in each or [""]]
            until = None if None in ends else min(end for end in ends if end is not None)
            answer = eligibility(document.id, Facts(person, held_until=until), today, self.country)
            return listed(document, answer, chip=chip and len(each) < 2)

        return [entry(document) for document in self.country.documents.values()]

    # --- housekeeping ---

    async def recover(self) -> int:
        """After a start: what was meant to be signed and may or may not have been is void. How many batches.

        Safe while another process issues: its record step finds the batch void and lets nothing out.
        """
        now = self._clock.now()
        count = 0
        for batch in await tickets.intended_batches(self._db):

            async def body(tx: Tx, batch: tickets.BatchRow = batch) -> int:
                ended = await tickets.end_batch(tx, batch.id, ("intended",), "void", now)
                if ended:
                    facts: dict[str, str | int] = {"batch": batch.id, "configuration": batch.configuration}
                    await audit.record(tx, audit.Event(batch.order_id, "batch", "voided", "issuer", facts), now)
                return ended

            count += await self._db.write(body)
        return count

    async def prune(self) -> int:
        """Forget what could not be used any more anyway: spent proofs among it, which must not count again."""
        now = self._clock.surely()
        gone = await self._db.write(lambda tx: store.forget(tx, now, now - KEEP_OFFERS))
        return gone + await self.deferred.prune(now)

    def promises(self) -> dict[str, Callable[[dict[str, Any]], Awaitable[None]]]:
        """Outbox handlers: what was promised in a transaction here is done at the wallet provider."""
        return {
            "wallet.suspend": self._telling("suspend"),
            "wallet.release": self._telling("release"),
            "wallet.end": self._telling("end"),
        }

    async def _promise_provider(self, tx: Tx, verb: str, key: str, message: Mapping[str, Any], now: datetime) -> None:
        """The last word counts: a release the provider did not hear in time must not undo the lock that came after.
        A lock does not take back a lock, which may have said more."""
        for earlier in ("release",) if verb == "suspend" else ("suspend", "release"):
            await outbox.withdraw(tx, f"wallet.{earlier}", f"{message['person']}:")
        await outbox.promise(tx, f"wallet.{verb}", f"{message['person']}:{key}", message, now)

    def _telling(self, verb: str) -> Callable[[dict[str, Any]], Awaitable[None]]:
        async def tell(message: dict[str, Any]) -> None:
            try:
                await self._peers.call("wallet_provider", f"/wallet-provider/peer/{verb}", message)
            except Refused as refused:
                if refused.code is not Code.NOT_FOUND:  # the person has no phone there: nothing is left to be done
                    raise

        return tell

    async def follow_devices(self) -> int:
        """Ask the wallet provider which phones ended since last time, and end the cards and sessions on them. Ends are
        numbered in the order they were committed; nobody's clock says where we are."""
        seen = await store.seen_until(self._db, "devices")
        after, count = max(0, seen - ENDED_AGAIN), 0
        while True:
            asked = {"after": after, "limit": ENDED_AT_ONCE}
            answer = await self._peers.call("wallet_provider", "/wallet-provider/peer/ended", asked)
            if int(answer["last"]) < seen:  # its database was put back to an earlier day: its numbers begin anew
                seen = after = 0
                continue
            for device in answer["devices"]:
                count += await self._end_on(str(device["device_id"]))
            until = max((int(device["number"]) for device in answer["devices"]), default=after)
            if until > seen:
                await self._db.write(lambda tx, until=until: store.saw(tx, "devices", until))  # type: ignore[misc]
            if len(answer["devices"]) < ENDED_AT_ONCE or until <= after:
                return count
            after = until

    async def _end_on(self, device: str) -> int:
        # Sessions first: a batch that is being signed for this phone is then either on record, and its card ends
        # below, or it loses to us.
        if await store.has_session_on(self._db, device):
            await self._db.write(lambda tx: store.end_sessions_on(tx, device))
        cards = [card for card in await store.cards_on(self._db, device) if card.state != "ended"]
        return sum([await self._end_with_device(card) for card in cards])

    async def _end_with_device(self, card: Card) -> int:
        now = self._clock.now()

        async def body(tx: Tx) -> int:
            await tx.serial(f"person:{card.person}")
            ended = await end_card(tx, card, now)
            if ended:
                facts: dict[str, str | int] = {"reason": "device_ended", "copies": ended}
                await audit.record(tx, audit.Event(card.id, "order", "ended", "wallet_provider", facts), now)
            return ended

        return await self._db.write(body)
