"""Receiving cards: OpenID4VCI 1.0 with a pre-authorized code, HAIP 1.0.

Promises: every step is saved before it is taken, so `finish` brings an order to its end after a kill at any line: the
same code with the same DPoP key, then fresh keys and proofs, then the acknowledgement. Trusts: an issuer on the trust
list, for the types the list names. Keeps: orders, cards and their copies. Refuses: an issuer that is not on the list
before it sends it anything, and a credential that does not pass `received.py`, telling the issuer so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode

from mapae.errors import Code, Refused
from mapae.formats.jose import PublicKey, Signing, encode_json, sign_jws

from . import offer as messages
from .device import Device
from .dpop import Dpop
from .offer import GRANT, Configuration, IssuerMetadata, Offer, ServerMetadata
from .pocket import Pocket
from .received import batch
from .store import Card, Copy, Order, Task
from .trusted import TrustedIssuer, TrustSource
from .wire import Reply, Wire

FORM: Final = "application/x-www-form-urlencoded"
PROOF_TYPE: Final = "openid4vci-proof+jwt"
LOW: Final = 3  # unused copies left, at which a card asks for its next batch


class Issuance:
    def __init__(self, pocket: Pocket, wire: Wire, device: Device, trust: TrustSource) -> None:
        self._pocket = pocket
        self._wire = wire
        self._device = device
        self._trust = trust
        self._dpop = Dpop(pocket, wire)

    # --- the story ---

    async def receive(self, text: str, tx_code: str | None = None) -> list[Card]:
        """From a QR text to the cards. The offer is on disk before the code is spent."""
        offer = await self._fetch_offer(text)
        (await self._trust.get()).issuer(offer.issuer)
        metadata = await self._metadata(offer.issuer)
        for id in offer.configurations:
            metadata.configuration(id)  # refuses now what could not be finished later
        if offer.needs_tx_code and not tx_code:
            raise Refused(Code.INVALID_REQUEST, "this offer needs the transaction code as well")
        order = self._open_order(offer, metadata.server(offer.server), tx_code)
        return await self.finish(order.id)

    async def finish(self, order_id: str) -> list[Card]:
        """Take an order from wherever it stands to its end; the cards it has."""
        order = self._pocket.state.orders[order_id]
        metadata = await self._metadata(order.issuer)
        server = await self._server(order.server)
        for task in order.tasks:
            if task.stage == "wanted":
                await self._obtain(order, task, metadata, server)
        for task in order.tasks:
            if task.stage == "received":
                await self._acknowledge(order, task, metadata, server)
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
        return [order.id for order in self._pocket.state.orders.values() if any(t.stage != "told" for t in order.tasks)]

    def due(self, at: int) -> list[str]:
        """Orders whose cards run out of unused copies, or of time, and that can still be renewed."""
        orders: list[str] = []
        for card in self._pocket.state.cards.values():
            if self._pocket.state.orders[card.order].refresh_token is None:
                continue
            fresh = [copy for copy in card.copies if not copy.used and copy.expires > at + 86400]
            if len(fresh) < LOW and card.order not in orders:
                orders.append(card.order)
        return orders

    # --- offer and metadata ---

    async def _fetch_offer(self, text: str) -> Offer:
        form, value = messages.read_link(text)
        if form == "value":
            return messages.read_offer(value)
        reply = await self._wire.get(value, {"Accept": "application/json"}, limit=65536)
        reply.must_be_ok()
        if reply.kind != "application/json":  # section 4.1.3: this type and no other
            raise Refused(Code.UNSUPPORTED, "an offer is application/json")
        return messages.read_offer(reply.body)

    async def _metadata(self, issuer: str) -> IssuerMetadata:
        url = messages.well_known(issuer, "openid-credential-issuer")
        reply = await self._wire.get(url, {"Accept": "application/json"})
        return messages.read_issuer(reply.json(), issuer)

    async def _server(self, server: str) -> ServerMetadata:
        url = messages.well_known(server, "oauth-authorization-server")
        reply = await self._wire.get(url, {"Accept": "application/json"})
        return messages.read_server(reply.json(), server)

    def _open_order(self, offer: Offer, server: str, tx_code: str | None) -> Order:
        """Scanning the same QR again goes on with the same order."""
        pocket = self._pocket
        for order in pocket.state.orders.values():
            if order.code == offer.code and order.issuer == offer.issuer:
                order.tx_code = tx_code
                return order
        order = Order(
            pocket.dice.token(12),
            offer.issuer,
            server,
            pocket.keys.create(),
            offer.code,
            tx_code,
            pocket.at(),
            [Task(id) for id in offer.configurations],
        )
        pocket.state.orders[order.id] = order
        pocket.save()
        return order

    # --- token ---

    async def _token(self, order: Order, server: ServerMetadata) -> str:
        """A live access token, from the code the first time and from the refresh token afterwards."""
        if order.access_token is not None and order.token_until > self._pocket.at() + 5:
            return order.access_token
        if order.refresh_token is not None:
            fields = {"grant_type": "refresh_token", "refresh_token": order.refresh_token}
        elif order.code is not None:
            fields = {"grant_type": GRANT, "pre-authorized_code": order.code}
            if order.tx_code is not None:
                fields["tx_code"] = order.tx_code
        else:
            raise Refused(Code.INVALID_GRANT, "this order can no longer be finished")
        fields["client_id"] = self._device.client_id
        headers = await self._device.client_headers(server.issuer)
        key = self._pocket.keys.signer(order.dpop_key)
        reply = await self._dpop.post(server.token_endpoint, urlencode(fields).encode(), FORM, key, headers=headers)
        if not reply.ok:
            refusal = reply.refusal()
            if refusal.code is Code.INVALID_GRANT:
                self._give_up(order)
            raise refusal
        return self._keep_token(order, reply.json())

    def _keep_token(self, order: Order, answer: Mapping[str, Any]) -> str:
        token, refresh, seconds = answer.get("access_token"), answer.get("refresh_token"), answer.get("expires_in", 60)
        if not isinstance(token, str) or not token or str(answer.get("token_type")).lower() != "dpop":
            raise Refused(Code.MALFORMED, "the token is not bound to our key")
        if not isinstance(seconds, int) or isinstance(seconds, bool):
            raise Refused(Code.MALFORMED, "expires_in is not a whole number")
        order.access_token, order.token_until = token, self._pocket.at() + seconds
        if isinstance(refresh, str) and refresh:
            order.refresh_token = refresh
        for task in order.tasks:
            task.identifier = _identifier(answer.get("authorization_details"), task.configuration)
        self._pocket.save()
        return token

    def _give_up(self, order: Order) -> None:
        """The grant is dead. An order without cards is forgotten; one with cards keeps them until they expire."""
        order.access_token = order.refresh_token = order.code = None
        if not any(card.order == order.id for card in self._pocket.state.cards.values()):
            del self._pocket.state.orders[order.id]
            self._pocket.keys.drop(order.dpop_key)
        else:
            for task in order.tasks:
                task.stage = "told"
        self._pocket.save()

    # --- credential ---

    async def _obtain(self, order: Order, task: Task, metadata: IssuerMetadata, server: ServerMetadata) -> None:
        """One batch of one configuration, checked and kept."""
        configuration = metadata.configuration(task.configuration)
        for attempt in (1, 2):
            token = await self._token(order, server)
            nonce = await self._nonce(metadata)
            keys = self._fresh_keys(task, metadata.batch_size)
            message = await self._request(order.issuer, task, configuration, keys, nonce)
            dpop_key = self._pocket.keys.signer(order.dpop_key)
            reply = await self._dpop.post(
                metadata.credential_endpoint, encode_json(message), "application/json", dpop_key, token=token
            )
            if not reply.ok and attempt == 1 and _worth_repeating(reply):
                if reply.status == 401:
                    order.access_token = None
                continue
            break
        answer = reply.json()
        copies = await self._examined(order, configuration, task, answer, metadata)
        self._keep(order, task, configuration, copies, answer)

    def _fresh_keys(self, task: Task, count: int) -> list[Signing]:
        """New keys for each try: a copy of an unanswered try may exist, and no key is to be bound twice."""
        pocket = self._pocket
        for name in task.keys:
            pocket.keys.drop(name)
        task.keys = [pocket.keys.create() for _ in range(count)]
        pocket.save()
        return [pocket.keys.signer(name) for name in task.keys]

    async def _nonce(self, metadata: IssuerMetadata) -> str:
        reply = await self._wire.post(metadata.nonce_endpoint, b"", FORM)
        self._dpop.note(metadata.nonce_endpoint, reply)
        nonce = reply.json().get("c_nonce")
        if not isinstance(nonce, str) or not nonce:
            raise Refused(Code.MALFORMED, "the answer has no c_nonce")
        return nonce

    async def _request(
        self, audience: str, task: Task, configuration: Configuration, keys: list[Signing], nonce: str
    ) -> dict[str, Any]:
        if task.identifier is not None:
            message: dict[str, Any] = {"credential_identifier": task.identifier}
        else:
            message = {"credential_configuration_id": configuration.id}
        if configuration.proof == "attestation":
            message["proofs"] = {"attestation": [await self._device.attest_keys(keys, nonce)]}
        elif configuration.attested:
            attestation = await self._device.attest_keys(keys, nonce)
            message["proofs"] = {"jwt": [self._proof(keys[0], audience, nonce, attestation)]}
        else:
            message["proofs"] = {"jwt": [self._proof(key, audience, nonce, None) for key in keys]}
        return message

    def _proof(self, key: Signing, audience: str, nonce: str, attestation: str | None) -> str:
        header: dict[str, Any] = {"typ": PROOF_TYPE, "jwk": dict(key.jwk)}
        if attestation is not None:
            header["key_attestation"] = attestation
        claims = {"iss": self._device.client_id, "aud": audience, "iat": self._pocket.at(), "nonce": nonce}
        return sign_jws(key, header, claims)

    async def _examined(
        self,
        order: Order,
        configuration: Configuration,
        task: Task,
        answer: Mapping[str, Any],
        metadata: IssuerMetadata,
    ) -> list[Copy]:
        """Section 11: an issuer is told when what it sent could not be kept."""
        try:
            issuer = (await self._trust.get()).issuer(order.issuer)
            return self._examine(configuration, task, answer, issuer)
        except Refused:
            notification = answer.get("notification_id")
            if isinstance(notification, str) and metadata.notification_endpoint is not None:
                await self._notify(order, notification, "credential_failure", metadata)
            raise

    def _examine(
        self, configuration: Configuration, task: Task, answer: Mapping[str, Any], issuer: TrustedIssuer
    ) -> list[Copy]:
        listed = answer.get("credentials")
        if not isinstance(listed, list):
            raise Refused(Code.UNSUPPORTED, "the issuer did not answer with credentials")
        raws = [item.get("credential") if isinstance(item, Mapping) else None for item in listed]
        texts = [raw for raw in raws if isinstance(raw, str)]
        if len(texts) != len(raws):
            raise Refused(Code.MALFORMED, "a credential is not a text")
        names = {PublicKey.from_jwk(self._pocket.keys.signer(name).jwk).thumbprint: name for name in task.keys}
        return batch(texts, configuration.format, configuration.kind, names, issuer, self._pocket.now())

    def _keep(
        self, order: Order, task: Task, configuration: Configuration, copies: list[Copy], answer: Mapping[str, Any]
    ) -> None:
        """The new batch takes the old one's place, in the same save that moves the task on."""
        pocket = self._pocket
        for copy in copies:
            copy.id = pocket.dice.token(8)
        _shuffle(copies, pocket)
        old = next(
            (c for c in pocket.state.cards.values() if (c.order, c.configuration) == (order.id, configuration.id)), None
        )
        unused = set(task.keys) - {copy.key for copy in copies}
        if old is not None:
            unused |= {copy.key for copy in old.copies}
        card = Card(
            old.id if old is not None else pocket.dice.token(12), order.id, order.issuer, configuration.id,
            configuration.format, configuration.kind, configuration.name, pocket.at(), copies,
        )  # fmt: skip
        pocket.state.cards[card.id] = card
        notification = answer.get("notification_id")
        task.stage, task.keys = "received", []
        task.notification = notification if isinstance(notification, str) else None
        for name in unused:
            pocket.keys.drop(name)
        pocket.save()

    # --- acknowledgement ---

    async def _acknowledge(self, order: Order, task: Task, metadata: IssuerMetadata, server: ServerMetadata) -> None:
        """Section 11. The cards are good without it; the issuer uses it to retire the batch before."""
        if task.notification is not None and metadata.notification_endpoint is not None:
            await self._token(order, server)
            reply = await self._notify(order, task.notification, "credential_accepted", metadata)
            if not reply.ok and reply.error != "invalid_notification_id":
                raise reply.refusal()
        task.stage, task.notification = "told", None
        if all(other.stage == "told" for other in order.tasks):
            order.code = order.tx_code = None  # spent; from here on the refresh token speaks
        self._pocket.save()

    async def _notify(self, order: Order, notification: str, event: str, metadata: IssuerMetadata) -> Reply:
        message = {"notification_id": notification, "event": event}
        key = self._pocket.keys.signer(order.dpop_key)
        return await self._dpop.post(
            metadata.notification_endpoint or "", encode_json(message), "application/json", key,
            token=order.access_token,
        )  # fmt: skip


def _shuffle(copies: list[Copy], pocket: Pocket) -> None:
    """Copies leave in an order the issuer does not know."""
    for last in range(len(copies) - 1, 0, -1):
        other = pocket.dice.below(last + 1)
        copies[last], copies[other] = copies[other], copies[last]


def _worth_repeating(reply: Reply) -> bool:
    return reply.error in ("invalid_nonce", "invalid_token")


def _identifier(details: Any, configuration: str) -> str | None:
    """Section 6.2: where the token response names credential identifiers, they must be used."""
    for detail in details if isinstance(details, list) else []:
        if isinstance(detail, Mapping) and detail.get("credential_configuration_id") == configuration:
            identifiers = detail.get("credential_identifiers")
            if isinstance(identifiers, list) and identifiers and isinstance(identifiers[0], str):
                return identifiers[0]
    return None
