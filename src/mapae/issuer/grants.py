"""Offers, codes and tokens: from the QR on the counter to the wallet's leave to fetch.

Promises: an offer is redeemed once, by the active phone of the person it is for, within the pack's minutes; the wallet
that lost the answer may ask again with the same key; every refusal the officer should know of is told. Trusts: the
rules in authorization.py, the wallet provider's word on a phone. Keeps: codes and tokens as SHA-256 only; the code is
derived from the offer's id and the vault, so that it is nowhere at rest. Refuses: everything else as INVALID_GRANT.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from mapae import audit
from mapae.catalog import Country, expiry_date
from mapae.clock import Clock, Dice
from mapae.db import Db, Tx
from mapae.errors import Code, Refused
from mapae.formats.jose import b64u
from mapae.formats.x509 import Anchors
from mapae.issuer import store
from mapae.issuer import ticket_store as tickets
from mapae.issuer.authorization import (
    REDEMPTION_WORDS,
    Client,
    Dpop,
    Knock,
    Nonces,
    Spend,
    Standing,
    check_client,
    check_dpop,
    digest,
    dpop_token,
    redeemable,
)
from mapae.issuer.draft import midnight
from mapae.issuer.evidence import must_suffice, to_issue
from mapae.issuer.metadata import configuration_ids
from mapae.issuer.oid4vci import Redemption, offer_message, offer_uri, parse_token_request, token_message
from mapae.issuer.order import Card, Offer, OfferEvent, Order, Session, What
from mapae.keys import Vault

ACCESS_LIFE = timedelta(minutes=10)


class Asking(Protocol):
    """What we need of Peers."""

    async def call(self, role: str, path: str, message: Mapping[str, Any]) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Access:
    """A wallet at a protected door: its session, its token's hash, and what its proof spends."""

    session: Session
    token_hash: bytes
    spends: tuple[Spend, ...]


@dataclass(frozen=True, slots=True)
class _Tokens:
    access: str
    refresh: str
    hashes: store.TokenHashes


async def spend_all(tx: Tx, spends: tuple[Spend, ...], code: Code) -> None:
    for spend in spends:
        if not await store.spend(tx, spend.kind, spend.hash, spend.expires):
            raise Refused(code, "this proof has been used before")


class Grants:
    def __init__(
        self, db: Db, clock: Clock, dice: Dice, vault: Vault, base: str, country: Country, peers: Asking,
        wallet_anchors: Callable[[], Awaitable[Anchors]],
    ) -> None:  # fmt: skip
        self._db = db
        self._clock = clock
        self._dice = dice
        self._vault = vault
        self._base = base
        self._country = country
        self._peers = peers
        self._anchors = wallet_anchors
        self.issuer = f"{base}/issuer"
        self.nonces = Nonces(vault, clock, dice)

    # --- the officer's side ---

    async def open_offer(self, order: Order) -> Offer:
        now = self._clock.now()
        document = self._country.documents.get(order.kind)
        if document is None or not document.issued_here:
            raise Refused(Code.NOT_FOUND, "this document is not issued here")
        must_suffice(to_issue(document), order.evidence, now)
        today = self._country.today(now)
        card = Card(
            self._dice.token(16), order.case_id, order.person, order.kind,
            self._country.code + self._dice.digits(12), today, expiry_date(document, today), "open", None,
        )  # fmt: skip
        offer_id = self._dice.token(16)
        expires = now + timedelta(seconds=self._country.issuance.offer_seconds)
        code_hash = digest(self._code(offer_id))

        async def body(tx: Tx) -> None:
            await tx.serial(f"person:{order.person}")
            order_id = await self._order_of_case(tx, order, card, now)
            await store.add_offer(tx, offer_id, order_id, code_hash, expires, now)
            await store.tell(tx, order.case_id, What.OPENED, "", now)
            shown = "+".join(sorted(str(one.as_facts()["evidence"]) for one in order.evidence))
            facts = {"kind": order.kind, "office": order.office, "evidence": shown}
            await audit.record(tx, audit.Event(order_id, "order", "offered", order.officer, facts), now)

        await self._db.write(body)
        return Offer(offer_id, offer_uri(self._base, offer_id), expires)

    async def _order_of_case(self, tx: Tx, order: Order, card: Card, now: datetime) -> str:
        known = await store.card_of_case(tx, order.case_id)
        if known is None:
            if not await store.add_order(tx, order, card, now):
                raise Refused(Code.CONFLICT, "somebody else opened this case, try again")
            return card.id
        if (known.person, known.kind) != (order.person, order.kind):
            raise Refused(Code.CONFLICT, "this case is about another person or document")
        if not await store.redate_order(tx, known.id, card.issued_on, card.expires_on, now):
            raise Refused(Code.CASE_CLOSED, "this case has been issued or ended")
        await self._withdraw(tx, known, "replaced", now)
        return known.id

    async def cancel_offer(self, case_id: str) -> None:
        """Withdraw whatever is open for this case. A card that was issued stays: `end` is the way for that."""
        now = self._clock.now()

        async def body(tx: Tx) -> None:
            card = await store.card_of_case(tx, case_id)
            if card is not None and await store.set_order(tx, card.id, ("open",), "open", now):
                await self._withdraw(tx, card, "", now)
                await audit.record(tx, audit.Event(card.id, "order", "cancelled", "issuer"), now)

        await self._db.write(body)

    async def _withdraw(self, tx: Tx, card: Card, detail: str, now: datetime) -> None:
        """End the offers of an order that was never issued, with everything that came from them."""
        if await store.cancel_offers(tx, card.id):
            await store.tell(tx, card.case_id, What.CANCELLED, detail, now)
        await store.set_sessions(tx, card.id, ("live", "suspended"), "ended")
        await tickets.void_batches(tx, card.id, None, ("intended", "signed"), now)

    async def offer_events(self, case_id: str) -> list[OfferEvent]:
        """What happened so far, oldest first. That nobody came in time is for the screen's own countdown to say."""
        return await store.told(self._db, case_id)

    # --- the wallet's side ---

    async def scan(self, offer_id: str) -> dict[str, Any]:
        """The offer behind the QR (OpenID4VCI 4.1.3)."""
        now = self._clock.now()
        offer = await store.offer(self._db, offer_id)
        if offer is None or offer.state == "cancelled":
            raise Refused(Code.NOT_FOUND, "there is no such offer")
        if now.timestamp() >= offer.expires:
            await self._tell(offer.card.case_id, What.REFUSED_EXPIRED, "", now)
            raise Refused(Code.CODE_EXPIRED, "this offer has expired")
        mark = b64u(digest(offer_id)[:6])  # tells two offers of a case apart without giving one away
        if not await store.was_told(self._db, offer.card.case_id, What.SCANNED, mark):
            await self._tell(offer.card.case_id, What.SCANNED, mark, now)
        # Still shown when redeemed: the wallet that lost the answer may look again; the token door refuses others.
        return offer_message(self.issuer, configuration_ids(self._country, offer.card.kind), self._code(offer_id))

    async def token(self, knock: Knock, form: Mapping[str, str]) -> dict[str, Any]:
        """Section 6: 1 the wallet  2 its proof  3 the grant."""
        now = self._clock.now()
        client = await self.client(knock)
        dpop = check_dpop(knock, nonce_good=self.dpop_nonce_good, now=now)
        asked = parse_token_request(form, client.id)
        if isinstance(asked, Redemption):
            return await self._redeem(asked.code, client, dpop)
        return await self._refresh(asked.token, client, dpop)

    async def client(self, knock: Knock) -> Client:
        """The attested wallet that knocks; its proof is not spent yet."""
        anchors = await self._anchors()
        return check_client(knock, anchors=anchors, audience=self.issuer, now=self._clock.now())

    async def standing(self, client: Client) -> Standing:
        """What the wallet provider says of the phone. Raises Refused(INVALID_CLIENT) when it knows nothing."""
        try:
            found = await self._peers.call("wallet_provider", "/wallet-provider/peer/standing", {"jkt": client.jkt})
        except Refused as refused:
            if refused.code is Code.NOT_FOUND:
                raise Refused(Code.INVALID_CLIENT, "the wallet provider does not know this wallet") from None
            raise
        return Standing(str(found["person"]), str(found["device_id"]), str(found["state"]))

    async def anchors(self) -> Anchors:
        return await self._anchors()

    def dpop_nonce_good(self, nonce: str) -> bool:
        return self.nonces.good(nonce, "dpop")

    async def authorize(self, knock: Knock) -> Access:
        """A DPoP-bound access token at a protected door (RFC 9449 section 7). Its proof is the caller's to spend."""
        now = self._clock.now()
        token = dpop_token(knock.authorization)
        dpop = check_dpop(knock, nonce_good=self.dpop_nonce_good, now=now, access_token=token)
        session = await store.session_by_access(self._db, digest(token), now)
        if session is None or session.state != "live":
            raise Refused(Code.INVALID_TOKEN, "the access token is not valid any more")
        if session.dpop_jkt != dpop.jkt:
            raise Refused(Code.INVALID_TOKEN, "the access token is bound to another key")
        return Access(session, digest(token), (dpop.spend,))

    async def _redeem(self, code: str, client: Client, dpop: Dpop) -> dict[str, Any]:
        offer = await store.offer_by_code(self._db, digest(code))
        if offer is None:
            raise Refused(Code.INVALID_GRANT, "there is no such offer")
        standing = await self.standing(client)
        now = self._clock.now()
        refusal = redeemable(offer, dpop.jkt, standing, now)
        if refusal is not None:
            await self._tell(offer.card.case_id, refusal, "", now)
            raise Refused(Code.INVALID_GRANT, REDEMPTION_WORDS[refusal])
        tokens = self._new_tokens(now)
        session = Session(
            self._dice.token(16), offer.id, dpop.jkt, client.jkt, client.id, standing.device, "live", offer.card
        )
        ends = midnight(self._country, offer.card.expires_on + timedelta(days=1))

        async def body(tx: Tx) -> bool:
            """False when another wallet was faster."""
            await spend_all(tx, (dpop.spend,), Code.INVALID_DPOP_PROOF)
            await spend_all(tx, (client.spend,), Code.INVALID_CLIENT)
            if not await store.hold_still(tx, offer.card.id, now):
                raise Refused(Code.INVALID_GRANT, "this offer has been withdrawn")
            if await store.redeem_offer(tx, offer.id, dpop.jkt, now):
                await store.add_session(tx, session, tokens.hashes, ends, now)
                await store.tell(tx, offer.card.case_id, What.REDEEMED, "", now)
                facts = {"device": standing.device}
                await audit.record(tx, audit.Event(offer.card.id, "offer", "redeemed", "wallet", facts), now)
                return True
            earlier = await store.session_of_offer(tx, offer.id)
            same = earlier is not None and earlier.dpop_jkt == dpop.jkt and earlier.client_jkt == client.jkt
            if await tickets.has_arrived(tx, offer.card.id):  # no answer was lost: this is a second scan
                return False
            return earlier is not None and same and await store.replace_tokens(tx, earlier.id, tokens.hashes)

        if not await self._db.write(body):
            await self._tell(offer.card.case_id, What.REFUSED_SECOND_SCAN, "", now)
            raise Refused(Code.INVALID_GRANT, REDEMPTION_WORDS[What.REFUSED_SECOND_SCAN])
        return self._answer(tokens, offer.card)

    async def _refresh(self, token: str, client: Client, dpop: Dpop) -> dict[str, Any]:
        presented = digest(token)
        session = await store.session_by_refresh(self._db, presented, self._clock.now())
        if session is None or session.state != "live" or session.card.state not in ("open", "held"):
            raise Refused(Code.INVALID_GRANT, "this refresh token is not valid any more")
        # Draft-07 section 10.3: a refresh token is bound to the client instance's key, and by RFC 9449 to the DPoP key.
        if session.dpop_jkt != dpop.jkt or session.client_jkt != client.jkt or session.client_id != client.id:
            raise Refused(Code.INVALID_GRANT, "this refresh token is bound to another wallet")
        standing = await self.standing(client)
        if (standing.state, standing.person, standing.device) != ("active", session.card.person, session.device):
            raise Refused(Code.INVALID_GRANT, "this phone is not the person's active one")
        now = self._clock.now()
        tokens = self._new_tokens(now)

        async def body(tx: Tx) -> bool:
            await spend_all(tx, (dpop.spend,), Code.INVALID_DPOP_PROOF)
            await spend_all(tx, (client.spend,), Code.INVALID_CLIENT)
            return await store.rotate_tokens(tx, session.id, presented, tokens.hashes)

        if not await self._db.write(body):
            raise Refused(Code.INVALID_GRANT, "this refresh token is not valid any more")
        return self._answer(tokens, session.card)

    def _answer(self, tokens: _Tokens, card: Card) -> dict[str, Any]:
        names = configuration_ids(self._country, card.kind)
        return token_message(tokens.access, tokens.refresh, int(ACCESS_LIFE.total_seconds()), names)

    def _new_tokens(self, now: datetime) -> _Tokens:
        access, refresh = self._dice.token(32), self._dice.token(32)
        return _Tokens(access, refresh, store.TokenHashes(digest(access), now + ACCESS_LIFE, digest(refresh)))

    def _code(self, offer_id: str) -> str:
        return b64u(self._vault.index(offer_id, b"offer code"))

    async def _tell(self, case_id: str, what: What, detail: str, now: datetime) -> None:
        await self._db.write(lambda tx: store.tell(tx, case_id, what, detail, now))
