"""The authorization code flow: a wallet pushes what it wants, its holder signs in and says yes, the wallet gets a code.

Promises: a request_uri opens in one browser; a code is given only to somebody who passed the identity check in that
browser, for whom an officer's evidence stands (or who holds this card on this very wallet already), and who said yes;
it lives a minute and is used once. Trusts: the registers' identity check, the wallet provider's word on a phone.
Keeps: requests for minutes, `request_uri`, browser and code as hashes, a name only sealed. Refuses: whoever is not
waited for, with words on the page and `access_denied` for the wallet.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from mapae import audit
from mapae.catalog import Country
from mapae.clock import Clock, Dice
from mapae.db import Db, Tx
from mapae.errors import Code, Refused
from mapae.issuer import authorize_store as requests
from mapae.issuer import store
from mapae.issuer.authorization import Knock, Standing, digest, may_fetch
from mapae.issuer.authorization_request import answer_uri, form_target, parse_pushed
from mapae.issuer.authorize_store import Pushed, State
from mapae.issuer.grants import Grants
from mapae.issuer.identity import SKEW, Identity, Started, Typed
from mapae.issuer.metadata import Configuration
from mapae.issuer.order import Card, What
from mapae.issuer.portal_store import take_assertion
from mapae.keys import Vault
from mapae.rules import Words

PREFIX: Final = "urn:ietf:params:oauth:request_uri:"
PUSHED_LIFE: Final = timedelta(seconds=90)  # FAPI 2.0 5.3.2.2: less than ten minutes
SIGN_IN_LIFE: Final = timedelta(minutes=15)
CODE_LIFE: Final = timedelta(seconds=60)  # FAPI 2.0 5.3.2.1


@dataclass(frozen=True, slots=True)
class Consent:
    """What the page asks: whether this wallet may have these documents of this person."""

    flow: str
    name: str
    wallet: Words
    client_id: str
    target: str
    configurations: tuple[Configuration, ...]


class Authorize:
    def __init__(
        self, *, db: Db, clock: Clock, dice: Dice, vault: Vault, country: Country, grants: Grants, identity: Identity
    ) -> None:  # fmt: skip
        self._db = db
        self._clock = clock
        self._dice = dice
        self._vault = vault
        self._grants = grants
        self._identity = identity
        self.country = country

    # --- the wallet's side ---

    async def push(self, knock: Knock, form: Mapping[str, str]) -> dict[str, Any]:
        """RFC 9126: 1 the wallet  2 its DPoP key, if it shows one (RFC 9449 10.1)  3 what it asks  4 the offer."""
        now = self._clock.now()
        if knock.dpop:
            client, dpop = await self._grants.prove(knock, now)
        else:
            client, dpop = await self._grants.client(knock), None
        request = parse_pushed(form, self._grants.issuer, client.id, self._grants.configurations)
        if dpop is not None:
            if request.dpop_jkt not in ("", dpop.jkt):
                raise Refused(Code.INVALID_DPOP_PROOF, "dpop_jkt names another key than the proof")
            request = request.bound_to(dpop.jkt)
        await self._must_be_open(request.issuer_state, request.configurations, now)
        token = self._dice.token(32)
        new = Pushed(
            self._dice.token(16), State.PUSHED, client.id, client.jkt, client.provider.id, request, None, "", None,
            None, None, int((now + PUSHED_LIFE).timestamp()),
        )  # fmt: skip

        async def body(tx: Tx) -> None:
            await self._grants.spend(tx, client, dpop)
            await requests.add(tx, new, digest(PREFIX + token))

        await self._db.write(body)
        return {"request_uri": PREFIX + token, "expires_in": int(PUSHED_LIFE.total_seconds())}

    async def _must_be_open(self, issuer_state: str, configurations: Iterable[str], now: datetime) -> None:
        """OpenID4VCI 5.1.3: an issuer_state may have been put in by anybody. It only names an order here; who may have
        that order is decided when somebody has signed in."""
        if not issuer_state:
            return
        offer = await store.offer_by_code(self._db, digest(issuer_state))
        over = offer is None or offer.state == "cancelled" or now.timestamp() >= offer.expires
        if offer is None or over:
            raise Refused(Code.INVALID_REQUEST, "issuer_state belongs to no offer that is open")
        if {self._grants.configurations[id].document.id for id in configurations} != {offer.card.kind}:
            raise Refused(Code.INVALID_SCOPE, "this offer is for another document")

    # --- the browser's side ---

    async def open(self, client_id: str, request_uri: str, browser: str) -> Pushed:
        """The request behind `request_uri`, now this browser's. The same browser may load the page again."""
        found = await requests.by_uri(self._db, digest(request_uri))
        if found is None:
            raise Refused(Code.NOT_FOUND, "there is no such request")
        if found.client_id != client_id:
            raise Refused(Code.INVALID_REQUEST, "client_id is not the one that pushed this request")
        if found.state is State.PUSHED:
            now = self._must_be_in_time(found)
            expires = int((now + SIGN_IN_LIFE).timestamp())
            if await self._db.write(lambda tx: requests.open_in(tx, found.id, digest(browser), expires)):
                return await self._of(found.id, browser)
            raise Refused(Code.CODE_SPENT, "this request is open in another browser")
        return await self._of(found.id, browser)

    async def _of(self, flow: str, browser: str) -> Pushed:
        """A request that this browser has open."""
        found = await requests.by_id(self._db, flow)
        if found is None:
            raise Refused(Code.NOT_FOUND, "there is no such request")
        if found.state not in (State.OPENED, State.KNOWN) or found.browser_hash != digest(browser):
            raise Refused(Code.CODE_SPENT, "this request has been answered, or is open in another browser")
        self._must_be_in_time(found)
        return found

    def _must_be_in_time(self, found: Pushed) -> datetime:
        now = self._clock.now()
        if now.timestamp() >= found.expires:
            raise Refused(Code.CODE_EXPIRED, "this request is over; begin again in the wallet")
        return now

    async def still_open(self, flow: str, browser: str) -> str:
        """Where the browser would be sent back to; raises when this browser has no such request open any more."""
        return form_target((await self._of(flow, browser)).request.redirect_uri)

    async def check(self, flow: str, browser: str, typed: Typed) -> Started:
        """A code by text message to the person's phone."""
        found = await self._of(flow, browser)
        started = await self._identity.start(typed)
        if not await self._db.write(lambda tx: requests.begin_check(tx, found.id, started.check_id)):
            raise Refused(Code.CODE_SPENT, "this request has been answered")
        return started

    async def enter(self, flow: str, browser: str, code: str) -> Consent:
        """1 the code  2 a card waits for whoever this is, on this wallet. Raises ACCESS_DENIED when none does."""
        found = await self._of(flow, browser)
        known = await self._identity.confirm(found.check_id, code)
        now = self._clock.now()
        card = await self._waiting(found, known.person, now)
        who = self._vault.seal(known.name.encode(), _who_of(found.id))

        async def body(tx: Tx) -> bool:
            if not await take_assertion(tx, known.jti, known.expires + SKEW, int(now.timestamp())):
                raise Refused(Code.CODE_SPENT, "this identity check was used already", step="unused")
            facts = {"wallet": found.provider}
            await audit.record(tx, audit.Event(known.person, "authorization", "entered", "citizen", facts), now)
            return card is None or await requests.know(tx, found.id, found.check_id, known.person, who, card.id)

        if not await self._db.write(body):
            raise Refused(Code.CODE_SPENT, "this request has been answered")
        if card is None:
            raise Refused(Code.ACCESS_DENIED, "no card waits for this person on this wallet")
        return await self.consent(flow, browser)

    async def _waiting(self, found: Pushed, person: str, now: datetime) -> Card | None:
        try:
            standing = await self._grants.standing_of(found.provider, found.client_jkt)
        except Refused as refused:
            if refused.code is Code.INVALID_CLIENT:  # no phone of ours any more: nothing waits for it
                return None
            raise
        offer = await store.offer_by_code(self._db, digest(found.request.issuer_state))
        named = offer.card.id if offer is not None else None
        kind = self._grants.configurations[found.request.configurations[0]].document.id
        return waiting_card(await store.cards_of(self._db, person), kind, named, standing, now)

    async def consent(self, flow: str, browser: str) -> Consent:
        """The question. NOT_SIGNED_IN while nobody has signed in."""
        found = await self._of(flow, browser)
        if found.state is not State.KNOWN or found.who is None:
            raise Refused(Code.NOT_SIGNED_IN, "sign in first")
        name = self._vault.open(found.who, _who_of(found.id)).decode()
        provider = (await self._grants.attesters()).named(found.provider)
        asked = tuple(self._grants.configurations[id] for id in found.request.configurations)
        target = form_target(found.request.redirect_uri)
        return Consent(found.id, name, provider.name, found.client_id, target, asked)

    async def approve(self, flow: str, browser: str) -> str:
        """Yes: where the browser goes now, with the code (RFC 6749 4.1.2, RFC 9207)."""
        found = await self._of(flow, browser)
        if found.state is not State.KNOWN or found.person is None:
            raise Refused(Code.NOT_SIGNED_IN, "sign in first")
        person, now = found.person, self._clock.now()
        card = await self._waiting(found, person, now)
        if card is None:
            raise Refused(Code.ACCESS_DENIED, "no card waits for this person on this wallet")
        code = self._dice.token(32)
        expires = int((now + CODE_LIFE).timestamp())

        async def body(tx: Tx) -> bool:
            if not await requests.approve(tx, found.id, card.id, digest(code), expires):
                return False
            await store.tell(tx, card.case_id, What.SCANNED, "authorization", now)
            facts = {"order": card.id, "wallet": found.provider}
            await audit.record(tx, audit.Event(person, "authorization", "approved", "citizen", facts), now)
            return True

        if not await self._db.write(body):
            raise Refused(Code.CODE_SPENT, "this request has been answered")
        return self._back(found, {"code": code})

    async def refuse(self, flow: str, browser: str) -> str:
        """No, or nothing waits here: where the browser goes now (RFC 6749 4.1.2.1)."""
        found = await self._of(flow, browser)
        if not await self._db.write(lambda tx: requests.refuse(tx, found.id)):
            raise Refused(Code.CODE_SPENT, "this request has been answered")
        return self._back(found, {"error": "access_denied"})

    async def prune(self) -> int:
        """Forget requests that are over."""
        now = self._clock.now()
        return await self._db.write(lambda tx: requests.forget(tx, now))

    def _back(self, found: Pushed, answer: Mapping[str, str]) -> str:
        state = {"state": found.request.state} if found.request.state else {}
        return answer_uri(found.request.redirect_uri, {**answer, **state, "iss": self._grants.issuer})


def waiting_card(cards: Iterable[Card], kind: str, named: str | None, standing: Standing, now: datetime) -> Card | None:
    """The gate. A card of this kind that an officer's evidence stands for, or that lives on this very wallet already;
    the one an offer named, else the newest. `cards` are all of whoever signed in, oldest first."""
    found = None
    for card in cards:
        waits = card.state == "open" and now.timestamp() < card.waits_until
        held = card.state == "held" and card.device == standing.device
        if card.kind == kind and named in (None, card.id) and (waits or held) and may_fetch(card, standing):
            found = card
    return found


def _who_of(flow: str) -> bytes:
    return b"authorization_request who " + flow.encode()
