"""Codes and tokens: from an offer or a sign-in to the wallet's leave to fetch.

Promises: an offer is redeemed once, by a wallet that may fetch its order, within the pack's minutes; the wallet that
lost the answer may ask again with the same key; every refusal the officer should know of is told. Trusts: the rules in
authorization.py, the wallet provider's word on a phone. Keeps: tokens as SHA-256 only. Refuses: everything else as
INVALID_GRANT; a wrong transaction code, five times, with the end of the offer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from hmac import compare_digest
from typing import Any, Protocol, assert_never

from mapae import audit
from mapae.catalog import Country
from mapae.clock import Clock, Dice
from mapae.db import Db, Tx
from mapae.errors import Code, Refused
from mapae.formats.jose import b64u
from mapae.issuer import authorize_store as requests
from mapae.issuer import store
from mapae.issuer import ticket_store as tickets
from mapae.issuer.authorization import (
    REDEMPTION_WORDS,
    Attesters,
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
    may_fetch,
    of_another_provider,
    prove,
    redeemable,
)
from mapae.issuer.authorization_request import parse_details, verifies
from mapae.issuer.authorize_store import State
from mapae.issuer.draft import midnight
from mapae.issuer.metadata import configuration_ids, configurations
from mapae.issuer.offers import Offers
from mapae.issuer.oid4vci import Exchange, Redemption, Refresh, parse_token_request, token_message
from mapae.issuer.order import Bound, Card, Session, Way, What
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


async def spend_by_kind(tx: Tx, spends: tuple[Spend, ...]) -> None:
    """What a credential request uses up: its DPoP proof and its nonces, each refused by its own name."""
    for spend in spends:
        await spend_all(tx, (spend,), Code.INVALID_DPOP_PROOF if spend.kind == "dpop" else Code.INVALID_NONCE)


Came = Callable[[Tx, Session], Awaitable[None]]


async def _nobody_asks(tx: Tx, session: Session) -> None:
    """Where no order waits for the face of whoever holds the phone."""


class Grants:
    def __init__(
        self, db: Db, clock: Clock, dice: Dice, vault: Vault, base: str, country: Country, peers: Asking,
        attesters: Callable[[], Awaitable[Attesters]], offers: Offers,
    ) -> None:  # fmt: skip
        self._db = db
        self._clock = clock
        self._dice = dice
        self._vault = vault
        self._country = country
        self._peers = peers
        self._offers = offers
        self.attesters = attesters
        self.came: Came = _nobody_asks  # told in the transaction in which a wallet comes for an order
        self.issuer = f"{base}/issuer"
        self.configurations = configurations(country)
        self.nonces = Nonces(vault, clock, dice)

    async def token(self, knock: Knock, form: Mapping[str, str]) -> dict[str, Any]:
        """Section 6: 1 the wallet  2 its proof  3 the grant."""
        now = self._clock.now()
        client, dpop = await self.prove(knock, now)
        asked = parse_token_request(form, client.id)
        match asked:
            case Redemption():
                return await self._redeem(asked, client, dpop)
            case Exchange():
                return await self._exchange(asked, client, dpop)
            case Refresh():
                return await self._refresh(asked.token, client, dpop)
            case _:
                assert_never(asked)

    async def prove(self, knock: Knock, now: datetime) -> tuple[Client, Dpop]:
        """The attested wallet that knocks, and its DPoP key; neither proof is spent yet."""
        attesters = await self.attesters()
        return prove(
            knock, attesters=attesters, audience=self.issuer, nonce_good=self.dpop_nonce_good, now=now
        )  # fmt: skip

    async def client(self, knock: Knock) -> Client:
        """The attested wallet that knocks with a proof of its own; that proof is not spent yet."""
        now = self._clock.now()
        client = check_client(knock, attesters=await self.attesters(), audience=self.issuer, now=now)
        if not client.spends:
            raise Refused(Code.INVALID_CLIENT, "a proof of possession is needed", step="client_shape")
        return client

    async def standing(self, client: Client) -> Standing:
        return await self.standing_of(client.provider.id, client.jkt)

    async def standing_of(self, provider: str, jkt: str) -> Standing:
        """What the wallet provider says of the phone. Raises Refused(INVALID_CLIENT) when it knows nothing."""
        if provider != (await self.attesters()).home:
            return of_another_provider(provider, jkt)
        try:
            found = await self._peers.call("wallet_provider", "/wallet-provider/peer/standing", {"jkt": jkt})
        except Refused as refused:
            if refused.code is Code.NOT_FOUND:
                raise Refused(Code.INVALID_CLIENT, "the wallet provider does not know this wallet") from None
            raise
        return Standing(str(found["person"]), str(found["device_id"]), str(found["state"]))

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

    async def _redeem(self, asked: Redemption, client: Client, dpop: Dpop) -> dict[str, Any]:
        offer = await store.offer_by_code(self._db, digest(asked.code))
        if offer is None or offer.way is not Way.PRE_AUTHORIZED:
            raise Refused(Code.INVALID_GRANT, "there is no such offer")
        if (offer.tx_hash is None) != (asked.tx_code is None):  # section 6.3
            wanted = "this offer has no transaction code" if offer.tx_hash is None else "tx_code is missing"
            raise Refused(Code.INVALID_REQUEST, wanted)
        granted, identified = self._granted(configuration_ids(self._country, offer.card.kind), asked.details)
        standing = await self.standing(client)
        now = self._clock.now()
        refusal = redeemable(offer, dpop.jkt, standing, now)
        if refusal is not None:
            await self._offers.tell(offer.card.case_id, refusal, "", now)
            raise Refused(Code.INVALID_GRANT, REDEMPTION_WORDS[refusal])
        if offer.bound is not None and (dpop.jkt, client.jkt) != (offer.bound.dpop_jkt, offer.bound.client_jkt):
            await self._offers.tell(offer.card.case_id, What.REFUSED_OTHER_WALLET, "", now)
            raise Refused(Code.INVALID_GRANT, REDEMPTION_WORDS[What.REFUSED_OTHER_WALLET])
        if offer.tx_hash is not None:
            await self._check_tx_code(offer, offer.tx_hash, asked.tx_code or "", now)
        tokens = self._new_tokens(now)
        session = self._session(offer.id, offer.card, client, dpop, standing, granted, identified)

        async def body(tx: Tx) -> bool:
            """False when another wallet was faster."""
            await tx.serial(f"person:{offer.card.person}")
            await self.spend(tx, client, dpop)
            if not await store.hold_still(tx, offer.card.id, now):
                raise Refused(Code.INVALID_GRANT, "this offer has been withdrawn")
            if await store.redeem_offer(tx, offer.id, dpop.jkt, now):
                await self._begin(tx, session, tokens, now)
                return True
            earlier = await store.session_of_offer(tx, offer.id)
            same = earlier is not None and earlier.dpop_jkt == dpop.jkt and earlier.client_jkt == client.jkt
            if await tickets.has_arrived(tx, offer.card.id):  # no answer was lost: this is a second scan
                return False
            return earlier is not None and same and await store.replace_tokens(tx, earlier.id, tokens.hashes, session)

        if not await self._db.write(body):
            await self._offers.tell(offer.card.case_id, What.REFUSED_SECOND_SCAN, "", now)
            raise Refused(Code.INVALID_GRANT, REDEMPTION_WORDS[What.REFUSED_SECOND_SCAN])
        return self._answer(tokens, session)

    async def _check_tx_code(self, offer: store.OfferRow, hashed: bytes, tx_code: str, now: datetime) -> None:
        """OpenID4VCI 13.6.3: a try is taken, then the code is looked at; the last wrong one ends the offer."""
        right = compare_digest(hashed, self._offers.tx_hash(offer.id, tx_code))

        async def body(tx: Tx) -> bool:
            left = await store.take_tx_try(tx, offer.id)
            if left is not None and right:
                return True
            if not left:
                await store.cancel_offer(tx, offer.id)
            await store.tell(tx, offer.card.case_id, What.REFUSED_TX_CODE, "", now)
            return False

        if not await self._db.write(body):
            raise Refused(Code.INVALID_GRANT, "the transaction code is wrong")

    async def _exchange(self, asked: Exchange, client: Client, dpop: Dpop) -> dict[str, Any]:
        """RFC 6749 4.1.3, RFC 7636 4.6: 1 a code of ours  2 unused  3 in time  4 the same wallet, address, verifier and
        DPoP key  5 a card that may still be fetched. A second use ends what came from the first (RFC 6749 4.1.2)."""
        found = await requests.by_code(self._db, digest(asked.code))
        now = self._clock.now()
        if found is None or found.order_id is None:
            raise Refused(Code.INVALID_GRANT, "there is no such code")
        if found.state is not State.APPROVED:
            await self._db.write(lambda tx: store.end_session_of(tx, found.id))
            raise Refused(Code.INVALID_GRANT, "this code has been used before")
        if now.timestamp() >= found.expires:
            raise Refused(Code.INVALID_GRANT, "this code has expired")
        request = found.request
        if (found.client_id, found.client_jkt) != (client.id, client.jkt):
            raise Refused(Code.INVALID_GRANT, "this code is for another wallet")
        if request.redirect_uri != asked.redirect_uri:
            raise Refused(Code.INVALID_GRANT, "redirect_uri is not the one of the request")
        if not verifies(asked.verifier, request.challenge):
            raise Refused(Code.INVALID_GRANT, "code_verifier does not fit the challenge")
        if request.dpop_jkt not in ("", dpop.jkt):
            raise Refused(Code.INVALID_GRANT, "this code is bound to another DPoP key")
        granted, identified = self._granted(request.configurations, asked.details)
        card, standing = await store.card(self._db, found.order_id), await self.standing(client)
        if card is None or not may_fetch(card, standing):
            raise Refused(Code.INVALID_GRANT, "this wallet may not fetch this card")
        tokens = self._new_tokens(now)
        identified = identified or request.identified
        session = self._session(found.id, card, client, dpop, standing, granted, identified)

        async def body(tx: Tx) -> bool:
            await tx.serial(f"person:{card.person}")
            await self.spend(tx, client, dpop)
            if not await requests.redeem(tx, found.id):  # somebody was faster with the very same code
                await store.end_session_of(tx, found.id)
                return False
            if not await store.hold_still(tx, card.id, now) or not await store.still_waits(tx, card.id):
                raise Refused(Code.INVALID_GRANT, "this card has been withdrawn")
            if card.state == "open" and await store.waits_for_others(tx, card.id, Bound(dpop.jkt, client.jkt)):
                raise Refused(Code.INVALID_GRANT, REDEMPTION_WORDS[What.REFUSED_OTHER_WALLET])
            await store.set_sessions(tx, card.id, ("live",), "ended")  # one wallet fetches an order
            await store.use_up_offers(tx, card.id, dpop.jkt)
            await self._begin(tx, session, tokens, now)
            return True

        if not await self._db.write(body):
            raise Refused(Code.INVALID_GRANT, "this code has been used before")
        return self._answer(tokens, session)

    def _granted(self, allowed: tuple[str, ...], details: str | None) -> tuple[tuple[str, ...], bool]:
        """Section 6.1.1: a token request may ask for part of what was allowed, and so learn identifiers."""
        if details is None:
            return allowed, False
        asked = parse_details(details, self.issuer, self.configurations)
        if not set(asked) <= set(allowed):
            raise Refused(Code.INVALID_AUTHORIZATION_DETAILS, "this was not allowed before")
        return asked, True

    def _session(
        self, source: str, card: Card, client: Client, dpop: Dpop, standing: Standing, granted: tuple[str, ...],
        identified: bool,
    ) -> Session:  # fmt: skip
        return Session(
            self._dice.token(16), source, dpop.jkt, client.jkt, client.id, standing.device, "live", card, granted,
            identified,
        )  # fmt: skip

    async def spend(self, tx: Tx, client: Client, dpop: Dpop | None) -> None:
        if dpop is not None:
            await spend_all(tx, (dpop.spend,), Code.INVALID_DPOP_PROOF)
        await spend_all(tx, client.spends, Code.INVALID_CLIENT)

    async def _begin(self, tx: Tx, session: Session, tokens: _Tokens, now: datetime) -> None:
        card = session.card
        ends = midnight(self._country, card.expires_on + timedelta(days=1))
        await store.add_session(tx, session, tokens.hashes, ends, now)
        await self.came(tx, session)
        await store.tell(tx, card.case_id, What.REDEEMED, "", now)
        facts = {"device": session.device}
        await audit.record(tx, audit.Event(card.id, "offer", "redeemed", "wallet", facts), now)

    async def _refresh(self, token: str, client: Client, dpop: Dpop) -> dict[str, Any]:
        presented = digest(token)
        session = await store.session_by_refresh(self._db, presented, self._clock.now())
        if session is None or session.state != "live" or session.card.state not in ("open", "held"):
            raise Refused(Code.INVALID_GRANT, "this refresh token is not valid any more")
        # Draft-07 section 10.3: a refresh token is bound to the client instance's key, and by RFC 9449 to the DPoP key.
        if session.dpop_jkt != dpop.jkt or session.client_jkt != client.jkt or session.client_id != client.id:
            raise Refused(Code.INVALID_GRANT, "this refresh token is bound to another wallet")
        standing = await self.standing(client)
        if not may_fetch(session.card, standing) or standing.device != session.device:
            raise Refused(Code.INVALID_GRANT, "this phone is not the person's active one")
        # FAPI 2.0 5.3.2.1: no rotation. It is bound to both keys, and a lost answer costs nothing.
        tokens = self._new_tokens(self._clock.now(), token)

        async def body(tx: Tx) -> bool:
            await self.spend(tx, client, dpop)
            return await store.renew_access(tx, session.id, presented, tokens.hashes)

        if not await self._db.write(body):
            raise Refused(Code.INVALID_GRANT, "this refresh token is not valid any more")
        return self._answer(tokens, session)

    def _answer(self, tokens: _Tokens, session: Session) -> dict[str, Any]:
        seconds = int(ACCESS_LIFE.total_seconds())
        names = self.allowed(session)
        return token_message(tokens.access, tokens.refresh, seconds, names, self.identifiers(session))

    def allowed(self, session: Session) -> tuple[str, ...]:
        """The configurations this session may fetch."""
        return session.configurations or configuration_ids(self._country, session.card.kind)

    def identifiers(self, session: Session) -> dict[str, str]:
        """Identifier -> configuration; none where the token was asked for by scope. They say nothing about the person:
        a keyed hash of the order."""
        if not session.identified:
            return {}
        tag = b64u(self._vault.index(session.card.id, b"credential identifier")[:12])
        return {f"{id}.{tag}": id for id in self.allowed(session)}

    def _new_tokens(self, now: datetime, refresh: str = "") -> _Tokens:
        access, refresh = self._dice.token(32), refresh or self._dice.token(32)
        return _Tokens(access, refresh, store.TokenHashes(digest(access), now + ACCESS_LIFE, digest(refresh)))
