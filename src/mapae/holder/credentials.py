"""Asking for credentials: the credential, deferred and notification endpoints (OpenID4VCI 1.0 sections 8 to 11).

Promises: keys are saved before they are proved, a batch and the step to the next in one save; whatever the issuer lets
us encrypt is encrypted. Trusts: the issuer as far as the trust policy says. Keeps: cards and their copies. Refuses: a
credential that does not pass `received.py`, telling the issuer so, and an open answer where an encrypted one was asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from mapae.errors import Code, Refused
from mapae.formats.jose import PublicKey, Signing, decode_json, encode_json, sign_jws
from mapae.formats.jwe import DecryptionKey, decrypt, encrypt, private_jwk, public_jwk

from .client import FORM, Clients
from .dpop import Dpop
from .metadata import Configuration, Encryption, IssuerMetadata, ServerMetadata
from .pocket import Pocket
from .received import Received, batch
from .store import Card, Copy, Order, Task
from .tokens import Tokens
from .trusted import Trust, TrustedIssuer
from .wire import LIMIT, Reply, Wire

PROOF_TYPE: Final = "openid4vci-proof+jwt"
JSON: Final = "application/json"
JWT: Final = "application/jwt"
SOON: Final = 5  # seconds, when an issuer that defers names no sensible interval
LONGEST: Final = 30 * 86400


class Credentials:
    def __init__(self, pocket: Pocket, wire: Wire, dpop: Dpop, clients: Clients, tokens: Tokens, trust: Trust) -> None:
        self._pocket = pocket
        self._wire = wire
        self._dpop = dpop
        self._clients = clients
        self._tokens = tokens
        self._trust = trust

    async def obtain(self, order: Order, task: Task, metadata: IssuerMetadata, server: ServerMetadata) -> None:
        """One batch of one dataset, checked and kept; or the issuer's word that it comes later."""
        configuration = metadata.configuration(task.configuration)
        for attempt in (1, 2):
            token = await self._tokens.get(order, server)
            message = await self._request(order, task, configuration, metadata)
            reply, answer = await self._ask(order, metadata.credential_endpoint, message, metadata.encryption, token)
            if not reply.ok and attempt == 1 and _worth_repeating(reply):
                if reply.status == 401:
                    order.access_token = None
                continue
            break
        await self._take(order, task, configuration, metadata, reply, answer)

    async def collect(self, order: Order, task: Task, metadata: IssuerMetadata, server: ServerMetadata) -> None:
        """Section 9: ask for what was deferred, not before the issuer said."""
        if self._pocket.at() < task.not_before:
            return
        if metadata.deferred_endpoint is None:
            raise Refused(Code.UNSUPPORTED, "the issuer deferred and says nowhere to ask again")
        token = await self._tokens.get(order, server)
        message = {"transaction_id": task.transaction}
        reply, answer = await self._ask(order, metadata.deferred_endpoint, message, metadata.encryption, token)
        if reply.error == "invalid_transaction_id":  # spent by an answer we never saw, or forgotten: begin anew
            task.stage, task.transaction = "wanted", None
            self._pocket.save()
            await self.obtain(order, task, metadata, server)
            return
        if reply.error == "credential_request_denied":  # section 9.3: stop asking
            self._drop(order, task)
        await self._take(order, task, metadata.configuration(task.configuration), metadata, reply, answer)

    async def acknowledge(self, order: Order, task: Task, metadata: IssuerMetadata, server: ServerMetadata) -> None:
        """Section 11. The cards are good without it; the issuer uses it to retire the batch before."""
        if task.notification is not None and metadata.notification_endpoint is not None:
            await self._tokens.get(order, server)
            reply = await self.notify(order, task.notification, "credential_accepted", metadata)
            if not reply.ok and reply.error != "invalid_notification_id":
                raise reply.refusal()
        task.stage, task.notification = "told", None
        if all(other.stage == "told" for other in order.tasks):
            order.code = order.tx_code = order.verifier = None  # spent; from here on the refresh token speaks
        self._pocket.save()

    async def notify(self, order: Order, notification: str, event: str, metadata: IssuerMetadata) -> Reply:
        message = {"notification_id": notification, "event": event}
        return await self._dpop.post(
            metadata.notification_endpoint or "", encode_json(message), JSON, self._tokens.credential_key(order),
            token=order.access_token,
        )  # fmt: skip

    # --- asking ---

    async def _request(
        self, order: Order, task: Task, configuration: Configuration, metadata: IssuerMetadata
    ) -> dict[str, Any]:
        if task.identifier is not None:
            message: dict[str, Any] = {"credential_identifier": task.identifier}
        else:
            message = {"credential_configuration_id": configuration.id}
        if configuration.proof is None:
            return message
        nonce = None if metadata.nonce_endpoint is None else await self._nonce(metadata.nonce_endpoint)
        keys = self._fresh_keys(task, metadata.batch_size)
        if configuration.proof == "attestation":
            message["proofs"] = {"attestation": [await self._clients.attest_keys(keys, nonce)]}
        elif configuration.attested:  # HAIP 1.0 4.5.1: one attestation for all keys of the batch
            attestation = await self._clients.attest_keys(keys, nonce)
            message["proofs"] = {"jwt": [self._proof(keys[0], order, nonce, attestation)]}
        else:
            message["proofs"] = {"jwt": [self._proof(key, order, nonce, None) for key in keys]}
        return message

    def _fresh_keys(self, task: Task, count: int) -> list[Signing]:
        """New keys for each try: a copy of an unanswered try may exist, and no key is to be bound twice."""
        pocket = self._pocket
        for name in task.keys:
            pocket.keys.drop(name)
        task.keys = [pocket.keys.create() for _ in range(count)]
        pocket.save()
        return [pocket.keys.signer(name) for name in task.keys]

    async def _nonce(self, endpoint: str) -> str:
        reply = await self._wire.post(endpoint, b"", FORM)
        self._dpop.note(endpoint, reply)
        nonce = reply.json().get("c_nonce")
        if not isinstance(nonce, str) or not nonce:
            raise Refused(Code.MALFORMED, "the answer has no c_nonce")
        return nonce

    def _proof(self, key: Signing, order: Order, nonce: str | None, attestation: str | None) -> str:
        header: dict[str, Any] = {"typ": PROOF_TYPE, "jwk": dict(key.jwk)}
        if attestation is not None:
            header["key_attestation"] = attestation
        claims: dict[str, Any] = {"aud": order.issuer, "iat": self._pocket.at()}
        if not order.anonymous:  # F.1: no iss after anonymous access to the token endpoint
            claims["iss"] = self._clients.client_id
        if nonce is not None:
            claims["nonce"] = nonce
        return sign_jws(key, header, claims)

    async def _ask(
        self, order: Order, url: str, message: dict[str, Any], encryption: Encryption | None, token: str
    ) -> tuple[Reply, dict[str, Any]]:
        """Section 10. The key for the answer lives for this one request. An error always comes in the open."""
        ours = None
        body, kind, accept = message, JSON, JSON
        if encryption is not None:
            if encryption.response_enc is not None:
                private = private_jwk(self._pocket.dice.bytes(48), self._pocket.dice.token(8))
                ours, accept = DecryptionKey.from_jwk(private), JWT
                body = {**message, "credential_response_encryption": _wanted(private, encryption)}
            kind = JWT
        raw = encode_json(body)
        if encryption is not None:
            raw = encrypt(raw, encryption.key, enc=encryption.enc, deflate=encryption.deflate).encode()
        key = self._tokens.credential_key(order)
        reply = await self._dpop.post(url, raw, kind, key, token=token, accept=accept)
        if not reply.ok:
            return reply, {}
        if ours is None:
            return reply, reply.json()
        if reply.kind != JWT:  # section 10: what should have been encrypted is not to be read
            raise Refused(Code.INVALID_ENCRYPTION_PARAMETERS, "the issuer answered in the open, not encrypted")
        try:
            opened = decrypt(reply.body.decode(), ours, limit=LIMIT, inflate=True)
        except UnicodeDecodeError:
            raise Refused(Code.MALFORMED, "the answer is not a JWT") from None
        return reply, decode_json(opened.payload, limit=LIMIT)

    # --- taking ---

    async def _take(
        self,
        order: Order,
        task: Task,
        configuration: Configuration,
        metadata: IssuerMetadata,
        reply: Reply,
        answer: Mapping[str, Any],
    ) -> None:
        reply.must_be_ok()
        if "transaction_id" in answer:
            self._defer(task, metadata, reply, answer)
            return
        issuer, received = await self._examined(order, configuration, task, answer, metadata)
        self._keep(order, task, configuration, received, answer, metadata.batch_size == 1 and not issuer.strict)

    def _defer(self, task: Task, metadata: IssuerMetadata, reply: Reply, answer: Mapping[str, Any]) -> None:
        """Sections 8.3 and 9.2: 202, a transaction and a positive interval, and no credential beside them."""
        transaction, interval = answer.get("transaction_id"), answer.get("interval")
        if reply.status != 202 or "credentials" in answer or "notification_id" in answer:
            raise Refused(Code.MALFORMED, "the issuer both defers and answers")
        if not isinstance(transaction, str) or not transaction:
            raise Refused(Code.MALFORMED, "the transaction has no identifier")
        if not isinstance(interval, int | float) or isinstance(interval, bool) or interval <= 0:
            raise Refused(Code.MALFORMED, "interval is a positive number")
        if task.transaction is not None and task.transaction != transaction:
            raise Refused(Code.INVALID_TRANSACTION_ID, "the issuer answers about another transaction")
        if metadata.deferred_endpoint is None:
            raise Refused(Code.UNSUPPORTED, "the issuer defers and says nowhere to ask again")
        wait = min(max(int(interval), SOON), LONGEST)
        task.stage, task.transaction, task.not_before = "deferred", transaction, self._pocket.at() + wait
        self._pocket.save()

    async def _examined(
        self,
        order: Order,
        configuration: Configuration,
        task: Task,
        answer: Mapping[str, Any],
        metadata: IssuerMetadata,
    ) -> tuple[TrustedIssuer, Received]:
        """Section 11: an issuer is told when what it sent could not be kept."""
        try:
            issuer = (await self._trust.today()).issuer(order.issuer)
            return issuer, self._examine(configuration, task, answer, issuer)
        except Refused:
            notification = answer.get("notification_id")
            if isinstance(notification, str) and metadata.notification_endpoint is not None:
                await self.notify(order, notification, "credential_failure", metadata)
            raise

    def _examine(
        self, configuration: Configuration, task: Task, answer: Mapping[str, Any], issuer: TrustedIssuer
    ) -> Received:
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
        self,
        order: Order,
        task: Task,
        configuration: Configuration,
        received: Received,
        answer: Mapping[str, Any],
        reusable: bool,
    ) -> None:
        """The new batch takes the old one's place, in the same save that moves the task on."""
        pocket, copies = self._pocket, received.copies
        for copy in copies:
            copy.id = pocket.dice.token(8)
        _shuffle(copies, pocket)
        old = next((card for card in pocket.state.cards.values() if _same(card, order, task)), None)
        unused = set(task.keys) - {copy.key for copy in copies}
        if old is not None:
            unused |= {copy.key for copy in old.copies if copy.key}
        card = Card(
            old.id if old is not None else pocket.dice.token(12), order.id, order.issuer, configuration.id,
            configuration.format, configuration.kind, configuration.name, pocket.at(), copies, task.identifier,
            received.standing, reusable,
        )  # fmt: skip
        pocket.state.cards[card.id] = card
        notification = answer.get("notification_id")
        task.stage, task.keys, task.transaction = "received", [], None
        task.notification = notification if isinstance(notification, str) else None
        for name in unused:
            pocket.keys.drop(name)
        pocket.save()

    def _drop(self, order: Order, task: Task) -> None:
        for name in task.keys:
            self._pocket.keys.drop(name)
        order.tasks.remove(task)
        if order.tasks:
            self._pocket.save()
        else:
            self._tokens.give_up(order)


def _wanted(private: Mapping[str, str], encryption: Encryption) -> dict[str, Any]:
    wanted: dict[str, Any] = {"jwk": public_jwk(private), "enc": encryption.response_enc}
    if encryption.response_deflate:
        wanted["zip"] = "DEF"
    return wanted


def _same(card: Card, order: Order, task: Task) -> bool:
    return (card.order, card.configuration, card.identifier) == (order.id, task.configuration, task.identifier)


def _shuffle(copies: list[Copy], pocket: Pocket) -> None:
    """Copies leave in an order the issuer does not know."""
    for last in range(len(copies) - 1, 0, -1):
        other = pocket.dice.below(last + 1)
        copies[last], copies[other] = copies[other], copies[last]


def _worth_repeating(reply: Reply) -> bool:
    return reply.error in ("invalid_nonce", "invalid_token")
