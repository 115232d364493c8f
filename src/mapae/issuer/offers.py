"""Offers: what an officer opens, what the QR leads to, what the officer is told of it.

Promises: an offer is for one order on sufficient evidence; a new one of the same case withdraws what came from the one
before; the code behind it (a pre-authorized code, or an issuer_state) is not in the QR. Trusts: the desk for the
evidence. Keeps: the code and the transaction code as hashes only; the code is derived from the offer's id and the
vault, so that it is nowhere at rest. Refuses: documents not issued here, evidence that does not suffice, closed cases.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Final

from mapae import audit
from mapae.catalog import Country, expiry_date
from mapae.clock import Clock, Dice
from mapae.db import Db, Tx
from mapae.errors import Code, Refused
from mapae.formats.jose import b64u
from mapae.issuer import store
from mapae.issuer import ticket_store as tickets
from mapae.issuer.authorization import digest
from mapae.issuer.evidence import LIFE, Evidence, missing, must_suffice_to_offer, of_wallet, to_issue
from mapae.issuer.metadata import configuration_ids
from mapae.issuer.oid4vci import TX_DIGITS, offer_message, offer_uri
from mapae.issuer.order import Card, Offer, OfferEvent, Order, Terms, Way, What
from mapae.keys import Vault

TX_TRIES: Final = 5


class Offers:
    def __init__(self, db: Db, clock: Clock, dice: Dice, vault: Vault, base: str, country: Country) -> None:
        self._db = db
        self._clock = clock
        self._dice = dice
        self._vault = vault
        self._base = base
        self._country = country
        self.issuer = f"{base}/issuer"

    async def open(self, order: Order, terms: Terms) -> Offer:
        now = self._clock.now()
        document = self._country.documents.get(order.kind)
        if document is None or not document.issued_here:
            raise Refused(Code.NOT_FOUND, "this document is not issued here")
        needs = must_suffice_to_offer(to_issue(document), order.evidence, now, self._country.face)
        today = self._country.today(now)
        card = Card(
            self._dice.token(16), order.case_id, order.person, order.kind,
            self._country.code + self._dice.digits(12), today, expiry_date(document, today), "open", None,
            terms.wallets, int((now + LIFE).timestamp()), terms.second_look, needs, order.about,
        )  # fmt: skip
        new, tx_code = self._new(terms, now)

        async def body(tx: Tx) -> None:
            await tx.serial(f"person:{order.person}")
            order_id = await self._order_of_case(tx, order, card, now)
            await store.add_offer(tx, order_id, new, now)
            await store.tell(tx, order.case_id, What.OPENED, "", now)
            shown = "+".join(sorted(str(one.as_facts()["evidence"]) for one in order.evidence))
            facts = {"kind": order.kind, "office": order.office, "evidence": shown}
            await audit.record(tx, audit.Event(order_id, "order", "offered", order.officer, facts), now)

        await self._db.write(body)
        return Offer(new.id, offer_uri(self._base, new.id), new.expires, tx_code)

    def _new(self, terms: Terms, now: datetime) -> tuple[store.NewOffer, str]:
        """A pre-authorized code lives the pack's minutes: whoever reads the QR holds it. An issuer_state only names the
        order to somebody who has yet to sign in, so it lives as long as the evidence."""
        offer_id = self._dice.token(16)
        code_hash = digest(self._code(offer_id))
        match terms.way:
            case Way.AUTHORIZATION_CODE:
                return store.NewOffer(offer_id, code_hash, terms.way, now + LIFE, bound=terms.bound), ""
            case Way.PRE_AUTHORIZED:
                expires = now + timedelta(seconds=self._country.issuance.offer_seconds)
                if not terms.tx_code:
                    return store.NewOffer(offer_id, code_hash, terms.way, expires, bound=terms.bound), ""
                tx_code = self._dice.digits(TX_DIGITS)
                hashed = self.tx_hash(offer_id, tx_code)
                return store.NewOffer(offer_id, code_hash, terms.way, expires, hashed, TX_TRIES, terms.bound), tx_code

    async def settle_needs(self, tx: Tx, kind: str, case_id: str, evidence: Iterable[Evidence]) -> bool:
        """The desk has recorded more, in this very transaction: what still stands before the first signature. Once a
        wallet has come, a face that was shown to another one is not its holder's."""
        wallet = await store.wallet_of_case(tx, case_id)
        counts = of_wallet(evidence, wallet) if wallet else evidence
        needs = missing(to_issue(self._country.documents[kind]), counts, self._clock.now(), self._country.face)
        return await store.set_needs(tx, case_id, needs)

    async def _order_of_case(self, tx: Tx, order: Order, card: Card, now: datetime) -> str:
        known = await store.card_of_case(tx, order.case_id)
        if known is None:
            if not await store.add_order(tx, order, card, now):
                raise Refused(Code.CONFLICT, "somebody else opened this case, try again")
            return card.id
        if (known.person, known.kind, known.about) != (order.person, order.kind, order.about):
            raise Refused(Code.CONFLICT, "this case is about another person or document")
        if not await store.redate_order(tx, known.id, card, now):
            raise Refused(Code.CASE_CLOSED, "this case has been issued or ended")
        await self._withdraw(tx, known, "replaced", now)
        return known.id

    async def cancel(self, case_id: str) -> None:
        """Withdraw whatever is open for this case. A card that was issued stays: `end` is the way for that."""
        now = self._clock.now()

        async def body(tx: Tx) -> None:
            card = await store.card_of_case(tx, case_id)
            if card is not None and await store.stop_waiting(tx, card.id, now):
                await self._withdraw(tx, card, "", now)
                await audit.record(tx, audit.Event(card.id, "order", "cancelled", "issuer"), now)

        await self._db.write(body)

    async def _withdraw(self, tx: Tx, card: Card, detail: str, now: datetime) -> None:
        """End the offers of an order that was never issued, with everything that came from them."""
        if await store.cancel_offers(tx, card.id):
            await store.tell(tx, card.case_id, What.CANCELLED, detail, now)
        await store.set_sessions(tx, card.id, ("live", "suspended"), "ended")
        await tickets.void_batches(tx, card.id, None, ("intended", "signed"), now)

    async def events(self, case_id: str) -> list[OfferEvent]:
        """What happened so far, oldest first. That nobody came in time is for the screen's own countdown to say."""
        return await store.told(self._db, case_id)

    async def scan(self, offer_id: str, tx_words: str) -> dict[str, Any]:
        """The offer behind the QR (OpenID4VCI 4.1.3). `tx_words` tell the holder where the transaction code is."""
        now = self._clock.now()
        offer = await store.offer(self._db, offer_id)
        if offer is None or offer.state == "cancelled":
            raise Refused(Code.NOT_FOUND, "there is no such offer")
        if now.timestamp() >= offer.expires:
            await self.tell(offer.card.case_id, What.REFUSED_EXPIRED, "", now)
            raise Refused(Code.CODE_EXPIRED, "this offer has expired")
        mark = b64u(digest(offer_id)[:6])  # tells two offers of a case apart without giving one away
        if not await store.was_told(self._db, offer.card.case_id, What.SCANNED, mark):
            await self.tell(offer.card.case_id, What.SCANNED, mark, now)
        # Still shown when redeemed: the wallet that lost the answer may look again; the token door refuses others.
        names = configuration_ids(self._country, offer.card.kind)
        told = tx_words if offer.tx_hash is not None else None
        return offer_message(self.issuer, names, offer.way, self._code(offer_id), told)

    def tx_hash(self, offer_id: str, tx_code: str) -> bytes:
        """Keyed: six digits under a plain hash would be no secret."""
        return self._vault.index(tx_code, b"tx_code " + offer_id.encode())

    def _code(self, offer_id: str) -> str:
        return b64u(self._vault.index(offer_id, b"offer code"))

    async def tell(self, case_id: str, what: What, detail: str, now: datetime) -> None:
        await self._db.write(lambda tx: store.tell(tx, case_id, what, detail, now))
