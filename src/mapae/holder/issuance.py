"""Receiving cards: OpenID4VCI 1.0 with a pre-authorized code or by signing in with the issuer, HAIP 1.0.

Promises: every step is saved before it is taken, so `finish` brings an order to its end after a kill at any line: the
same code with the same DPoP key, then fresh keys and proofs, then the acknowledgement; a sign-in survives between the
page and the redirect. Trusts: an issuer as far as the trust policy says. Keeps: orders. Refuses: an issuer it does not
trust before it sends it anything, and of a listed one whatever HAIP 1.0 does not allow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from mapae.errors import Code, Refused, step
from mapae.formats.jose import PublicKey

from . import authorization, metadata, offer
from .client import Clients
from .credentials import JSON, JWT, Credentials
from .metadata import IssuerMetadata, ServerMetadata
from .offer import ByCode, Offer
from .pocket import Pocket
from .store import Card, Order, Task
from .tokens import Tokens
from .trusted import Trust
from .wire import Wire

LOW: Final = 3  # unused copies left, at which a card asks for its next batch
SIGN_IN: Final = 86400  # seconds after which a sign-in nobody came back from is forgotten


@dataclass(frozen=True, slots=True)
class SignIn:
    """Where the person goes to sign in with an issuer. What her browser brings back goes to `Wallet.redeem`."""

    order: str
    issuer: str
    url: str


class Issuance:
    def __init__(
        self, pocket: Pocket, wire: Wire, clients: Clients, tokens: Tokens, credentials: Credentials, trust: Trust
    ) -> None:
        self._pocket = pocket
        self._wire = wire
        self._clients = clients
        self._tokens = tokens
        self._credentials = credentials
        self._trust = trust

    # --- with a pre-authorized code ---

    async def receive(self, text: str, tx_code: str | None = None, dpop_key: str = "") -> list[Card]:
        """From a QR text to the cards. The offer is on disk before the code is spent. `dpop_key`: the one the offer is
        bound to, where it is."""
        made = await self.read(text)
        if made.pre_authorized is None:
            raise Refused(Code.UNSUPPORTED, "the offer has no pre-authorized code; it wants a sign-in with the issuer")
        described, server, _ = await self._look(made.issuer, made.configurations, made.pre_authorized.server)
        if made.pre_authorized.tx_code is not None and not tx_code:
            raise Refused(Code.INVALID_REQUEST, "this offer needs the transaction code as well")
        code = made.pre_authorized.code
        for order in self._pocket.state.orders.values():
            if order.code == code and order.issuer == made.issuer:  # the same QR again: go on with the same order
                order.tx_code = tx_code
                return await self.finish(order.id)
        order = self._open_order(described, server.issuer, made.configurations, dpop_key)
        order.code, order.tx_code = code, tx_code if made.pre_authorized.tx_code is not None else None
        self._pocket.save()
        return await self.finish(order.id)

    # --- by signing in ---

    async def authorize(
        self, issuer: str, configurations: Sequence[str], redirect_uri: str, by: ByCode, *, details: bool = False
    ) -> SignIn:
        """Push the request (RFC 9126) and say where the person signs in. Saved before anything is sent."""
        self._forget_old()
        described, server, strict = await self._look(issuer, configurations, by.server)
        if server.par_endpoint is None and strict:
            raise Refused(Code.UNSUPPORTED, "the authorization server takes no pushed requests")
        pocket = self._pocket
        order = self._open_order(described, server.issuer, configurations)
        order.issuer_state, order.redirect_uri = by.issuer_state, redirect_uri
        order.state, order.verifier = pocket.dice.token(24), pocket.dice.token(32)
        pocket.save()
        wanted = [described.configuration(id) for id in configurations]
        jkt = PublicKey.from_jwk(pocket.keys.signer(order.dpop_key).jwk).thumbprint if server.binds_tokens else None
        fields = authorization.request_fields(order, wanted, described, self._clients.client_id, jkt, details)
        if server.par_endpoint is not None:
            answer = await self._tokens.push(order, server, fields)
            pushed = answer.get("request_uri")
            if not isinstance(pushed, str) or not pushed:
                raise Refused(Code.MALFORMED, "the answer has no request_uri")
            fields = {"client_id": self._clients.client_id, "request_uri": pushed}
        order.url = authorization.address(server, fields)
        pocket.save()
        return SignIn(order.id, order.issuer, order.url)

    async def redeem(self, redirect: str) -> list[Card]:
        """The cards, from what the browser brought back. The code is on disk before it is sent."""
        fields = authorization.read_redirect(redirect)
        order = next((o for o in self._pocket.state.orders.values() if o.state == fields["state"]), None)
        if order is None:
            raise Refused(Code.INVALID_REQUEST, "this wallet waits for no such redirect", step="state")
        server = await self.server(order.server)
        strict = (await self._trust.today()).issuer(order.issuer).strict
        try:
            order.code = authorization.code_of(fields, order, server, strict=strict)
        except Refused as refused:
            if refused.step == "redirect":  # our server said no; a redirect from elsewhere ends nothing
                self._tokens.give_up(order)
            raise
        order.state = order.url = None
        self._pocket.save()
        return await self.finish(order.id)

    def sign_ins(self) -> list[SignIn]:
        """Requests whose redirect has not come back."""
        orders = self._pocket.state.orders.values()
        return [SignIn(order.id, order.issuer, order.url) for order in orders if order.state and order.url]

    # --- both ---

    async def read(self, text: str) -> Offer:
        form, value = offer.read_link(text)
        if form == "value":
            return offer.read_offer(value)
        reply = await self._wire.get(value, {"Accept": JSON}, limit=65536)
        reply.must_be_ok()
        if reply.kind != JSON:  # section 4.1.3: this type and no other
            raise Refused(Code.UNSUPPORTED, "an offer is application/json")
        return offer.read_offer(reply.body)

    async def finish(self, order_id: str) -> list[Card]:
        """Take an order from wherever it stands as far as it goes today; the cards it has."""
        order = self._pocket.state.orders[order_id]
        described = await self._metadata(order.issuer)
        server = await self.server(order.server)
        if any(task.stage == "wanted" for task in order.tasks):
            await self._tokens.get(order, server)  # may name more datasets than were asked for
        for task in list(order.tasks):
            if task.stage == "wanted":
                await self._credentials.obtain(order, task, described, server)
            elif task.stage == "deferred":
                await self._credentials.collect(order, task, described, server)
        for task in order.tasks:
            if task.stage == "received":
                await self._credentials.acknowledge(order, task, described, server)
        return [card for card in self._pocket.state.cards.values() if card.order == order_id]

    async def renew(self, order_id: str) -> list[Card]:
        """The next batch of every card of this order, with the refresh token."""
        order = self._pocket.state.orders[order_id]
        if order.refresh_token is None:
            raise Refused(Code.INVALID_GRANT, "the issuer gave no refresh token; a visit is needed")
        for task in order.tasks:
            if task.stage == "told":
                task.stage, task.notification = "wanted", None
        order.access_token = None
        self._pocket.save()
        return await self.finish(order_id)

    def unfinished(self) -> list[str]:
        """Orders that can be taken further now: not those that wait for a redirect or for the issuer."""
        at = self._pocket.at()
        orders = [order for order in self._pocket.state.orders.values() if order.state is None]
        return [order.id for order in orders if any(_can_go_on(task, at) for task in order.tasks)]

    def deferred(self) -> int | None:
        """When the next card that was deferred may be asked for. None: nothing is waited for."""
        tasks = [task for order in self._pocket.state.orders.values() for task in order.tasks]
        return min((task.not_before for task in tasks if task.stage == "deferred"), default=None)

    def due(self, at: int) -> list[str]:
        """Orders whose cards run out of unused copies, or of time, and that can still be renewed."""
        orders: list[str] = []
        for card in self._pocket.state.cards.values():
            if self._pocket.state.orders[card.order].refresh_token is None:
                continue
            fresh = [copy for copy in card.copies if not copy.used and copy.expires > at + 86400]
            if len(fresh) < (1 if card.reusable else LOW) and card.order not in orders:
                orders.append(card.order)
        return orders

    # --- what the other side can do ---

    async def _look(
        self, issuer: str, configurations: Sequence[str], named: str | None
    ) -> tuple[IssuerMetadata, ServerMetadata, bool]:
        """Refuses now what could not be finished later."""
        strict = (await self._trust.today()).issuer(issuer).strict
        described = await self._metadata(issuer)
        wanted = [described.configuration(id) for id in configurations]
        server = await self.server(described.server(named))
        if strict:
            metadata.must_keep_haip(described, server, wanted)
        return described, server, strict

    async def _metadata(self, issuer: str) -> IssuerMetadata:
        """Signed metadata is asked for, and then believed only from a signer under the issuer's own authority."""
        url = metadata.well_known(issuer, "openid-credential-issuer")
        reply = await self._wire.get(url, {"Accept": f"{JWT}, {JSON};q=0.5"})
        reply.must_be_ok()
        if reply.kind != JWT:
            return metadata.read_issuer(reply.json(), issuer)
        jws = metadata.open_signed(reply.body, issuer)
        now = self._pocket.now()
        with step("metadata"):
            trusted = (await self._trust.today()).issuer(issuer)
            jws.verify(trusted.signer(jws.x5c, None, now).key)
        return metadata.read_issuer(metadata.signed_claims(jws, now), issuer)

    async def server(self, server: str) -> ServerMetadata:
        url = metadata.well_known(server, "oauth-authorization-server")
        reply = await self._wire.get(url, {"Accept": JSON})
        return metadata.read_server(reply.json(), server)

    def _open_order(
        self, described: IssuerMetadata, server: str, configurations: Sequence[str], dpop_key: str = ""
    ) -> Order:
        pocket = self._pocket
        order = Order(
            pocket.dice.token(12), described.issuer, server, dpop_key or pocket.keys.create(), None, None, pocket.at(),
            [Task(id) for id in configurations],
        )  # fmt: skip
        pocket.state.orders[order.id] = order
        return order

    def _forget_old(self) -> None:
        limit = self._pocket.at() - SIGN_IN
        for order in list(self._pocket.state.orders.values()):
            if order.state is not None and order.created < limit:
                self._tokens.give_up(order)


def _can_go_on(task: Task, at: int) -> bool:
    return task.stage in ("wanted", "received") or (task.stage == "deferred" and task.not_before <= at)
