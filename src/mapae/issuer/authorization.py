"""Who may fetch a card: the rules for attested wallets, DPoP proofs, nonces and redemptions. No I/O.

Promises: each check runs its numbered steps in order and a refusal names the step; what must be used once comes back
as a `Spend` for the caller's transaction. Trusts: the anchors of the trust list's wallet providers, the vault's key.
Keeps: nothing. Refuses: in the codes of OAuth 2.0 (RFC 6749), RFC 9449 and attestation-based client authentication
(draft-07 as OpenID4VCI 1.0 pins it; `iss` may be absent, as from draft-08 on; the DPoP proof may stand for the proof of
possession, as in its combined mode).
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from mapae.clock import Clock, Dice
from mapae.errors import Code, Refused, step
from mapae.formats.jose import Jws, PublicKey, b64u, check_times, unb64u
from mapae.formats.x509 import Anchors, Checked, Profile, check_chain
from mapae.issuer.order import Card, Wallets, What
from mapae.issuer.store import OfferRow
from mapae.keys import Vault
from mapae.trust.publish import TrustList, WalletProvider
from mapae.trust.signers import Purpose, Signers

PROOF_AGE = 300  # seconds a proof of possession may be old
NONCE_LIFE = timedelta(minutes=5)
SPENT_FOR = timedelta(minutes=15)  # longer than any proof or nonce is accepted


@dataclass(frozen=True, slots=True)
class Knock:
    """What a request brought to prove who sends it. `url` is the endpoint's own address, never the caller's idea."""

    method: str
    url: str
    authorization: str = ""
    dpop: tuple[str, ...] = ()
    attestation: tuple[str, ...] = ()
    attestation_pop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Spend:
    """Something used once: `kind` and hash, remembered until `expires`."""

    kind: str
    hash: bytes
    expires: datetime


class Attesters:
    """The wallet providers of the trust list. `home` is the one whose phones the issuer can ask after; `signers` the
    attesters that those providers entered in the trust log who enter theirs."""

    def __init__(
        self, providers: Sequence[WalletProvider], home: str, signers: Mapping[str, Signers] | None = None
    ) -> None:
        self._anchors = Anchors([der for provider in providers for der in provider.ca])
        self.home = home
        self._by_anchor = {der: provider for provider in providers for der in provider.ca}
        self._signers = dict(signers or {})

    @classmethod
    def listed(cls, trusted: TrustList, home: str) -> Attesters:
        providers = trusted.wallet_providers
        entered = {provider.id: trusted.signers_of(provider) for provider in providers}
        return cls(providers, home, {id: signers for id, signers in entered.items() if signers is not None})

    def check(self, x5c: Sequence[bytes], now: datetime) -> Checked:
        """The attester behind this chain: under a provider's authority and, where that provider enters its attesters
        in the trust log, standing there."""
        checked = check_chain(x5c, self._anchors, now, Profile.WALLET_PROVIDER)
        entered = self._signers.get(self.of(checked.anchor).id)
        if entered is not None:
            entered.standing(checked.leaf, Purpose.ATTESTER, now)
        return checked

    def of(self, anchor: bytes) -> WalletProvider:
        return self._by_anchor[anchor]

    def named(self, id: str) -> WalletProvider:
        """Raises Refused(INVALID_CLIENT) when it is no longer on the list."""
        for provider in self._by_anchor.values():
            if provider.id == id:
                return provider
        raise Refused(Code.INVALID_CLIENT, "this wallet's provider is not trusted any more")


@dataclass(frozen=True, slots=True)
class Client:
    """An attested wallet instance. `spends` is its proof of possession; none where the DPoP proof has to stand in."""

    id: str
    jkt: str
    provider: WalletProvider
    spends: tuple[Spend, ...]


@dataclass(frozen=True, slots=True)
class Dpop:
    jkt: str
    spend: Spend


@dataclass(frozen=True, slots=True)
class Standing:
    """The phone behind an attested key, as our wallet provider knows it. `person` is None for a wallet of another
    provider: it knows nobody, so the order or the sign-in says whose wallet it is."""

    person: str | None
    device: str
    state: str


def of_another_provider(provider: str, jkt: str) -> Standing:
    """Such a wallet instance is a device of its own, named after its provider and its attested key."""
    return Standing(None, "attested:" + b64u(digest(f"{provider} {jkt}")[:18]), "active")


@contextmanager
def as_code(code: Code, *kept: Code) -> Iterator[None]:
    """Whatever is refused inside is refused as `code`, the reason kept."""
    try:
        yield
    except Refused as refused:
        if refused.code in (code, *kept):
            raise
        reason = refused.detail or refused.code.value.replace("_", " ")
        raise Refused(code, reason, step=refused.step) from None


def digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def text_claim(claims: dict[str, Any], name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or not value:
        raise Refused(Code.MALFORMED, f"{name} is missing")
    return value


# --- nonces -----------------------------------------------------------------------------------------------------------


class Nonces:
    """Server nonces that need no memory: time, chance and a keyed tag."""

    def __init__(self, vault: Vault, clock: Clock, dice: Dice) -> None:
        self._vault = vault
        self._clock = clock
        self._dice = dice

    def make(self, purpose: str) -> str:
        head = int(self._clock.now().timestamp()).to_bytes(6, "big") + self._dice.bytes(16)
        return b64u(head + self._tag(head, purpose))

    def good(self, nonce: str, purpose: str) -> bool:
        """Ours, for this purpose, and younger than `NONCE_LIFE`."""
        try:
            raw = unb64u(nonce)
        except Refused:
            return False
        head, tag = raw[:22], raw[22:]
        if len(raw) != 38 or not hmac.compare_digest(tag, self._tag(head, purpose)):
            return False
        age = self._clock.now() - datetime.fromtimestamp(int.from_bytes(head[:6], "big"), UTC)
        return timedelta(seconds=-1) <= age <= NONCE_LIFE

    def _tag(self, head: bytes, purpose: str) -> bytes:
        return self._vault.index(b64u(head), b"nonce " + purpose.encode())[:16]


def nonce_spend(nonce: str, now: datetime) -> Spend:
    return Spend("c_nonce", digest(nonce), now + SPENT_FOR)


# --- the wallet -------------------------------------------------------------------------------------------------------


def check_client(knock: Knock, *, attesters: Attesters, audience: str, now: datetime) -> Client:
    """1 one attestation and one proof  2 trusted wallet provider  3 its seal  4 in date  5 the instance's own key
    6 meant for us  7 fresh. Without a proof of its own the client is only named: `prove` holds it against the DPoP key.
    """
    with as_code(Code.INVALID_CLIENT, Code.USE_FRESH_ATTESTATION):
        with step("client_shape"):
            combined = not knock.attestation_pop and bool(knock.dpop)
            if len(knock.attestation) != 1 or len(knock.attestation_pop) != (0 if combined else 1):
                raise Refused(Code.INVALID_CLIENT, "one client attestation and one proof of possession are needed")
            attestation = Jws.parse(knock.attestation[0], typ="oauth-client-attestation+jwt")
        with step("client_provider"):
            checked = attesters.check(attestation.x5c, now)
        with step("client_seal"):
            attestation.verify(checked.key)
        claims = attestation.claims()
        with step("client_dates"):
            _still_fresh(claims, now)
        with step("client_key"):
            client_id = text_claim(claims, "sub")
            confirmation = claims.get("cnf")
            if not isinstance(confirmation, dict) or not isinstance(confirmation.get("jwk"), dict):
                raise Refused(Code.MALFORMED, "the attestation confirms no key")
            key = PublicKey.from_jwk(confirmation["jwk"])
        provider = attesters.of(checked.anchor)
        if combined:
            return Client(client_id, key.thumbprint, provider, ())
        spend = _possession(knock.attestation_pop[0], key, client_id, audience, now)
    return Client(client_id, key.thumbprint, provider, (spend,))


def _possession(raw: str, key: PublicKey, client_id: str, audience: str, now: datetime) -> Spend:
    """draft-07 section 5.2: the instance's own proof."""
    with step("client_shape"):
        proof = Jws.parse(raw, typ="oauth-client-attestation-pop+jwt")
    with step("client_key"):
        proof.verify(key)
    shown = proof.claims()
    with step("client_audience"):
        # aud is the authorization server's issuer identifier; RFC 7519 allows a list of one.
        if shown.get("aud") not in (audience, [audience]):
            raise Refused(Code.WRONG_AUDIENCE, "the proof of possession is meant for somebody else")
        if "iss" in shown and shown["iss"] != client_id:
            raise Refused(Code.MALFORMED, "the proof of possession comes from another client")
    with step("client_fresh"):
        check_times(shown, now, need=("iat",), max_age=PROOF_AGE)
        jti = text_claim(shown, "jti")
    return Spend("attestation_pop", digest(key.thumbprint + "." + jti), now + SPENT_FOR)


def _still_fresh(claims: dict[str, Any], now: datetime) -> None:
    """draft-07, "Errors": a wallet whose attestation is too old must be told so, for it can fetch a new one."""
    try:
        check_times(claims, now, need=("exp",))
    except Refused as refused:
        if refused.code is Code.EXPIRED:
            raise Refused(Code.USE_FRESH_ATTESTATION, "the client attestation has expired") from None
        raise


def check_dpop(
    knock: Knock, *, nonce_good: Callable[[str], bool], now: datetime, access_token: str | None = None
) -> Dpop:
    """RFC 9449 section 4.3: 1 one proof  2 its own key's seal  3 this method and address  4 our nonce  5 fresh
    6 this token.
    """
    with as_code(Code.INVALID_DPOP_PROOF, Code.USE_DPOP_NONCE):
        with step("dpop_shape"):
            if len(knock.dpop) != 1:
                raise Refused(Code.INVALID_DPOP_PROOF, "exactly one DPoP proof is needed")
            proof = Jws.parse(knock.dpop[0], typ="dpop+jwt", limit=8192)
            key = proof.jwk
        with step("dpop_seal"):
            proof.verify(key)
        claims = proof.claims()
        with step("dpop_target"):
            if text_claim(claims, "htm") != knock.method or _bare(text_claim(claims, "htu")) != _bare(knock.url):
                raise Refused(Code.INVALID_DPOP_PROOF, "the proof is for another method or address")
        with step("dpop_nonce"):
            nonce = claims.get("nonce")
            if not isinstance(nonce, str) or not nonce_good(nonce):
                raise Refused(Code.USE_DPOP_NONCE, "use the nonce of the DPoP-Nonce header")
        with step("dpop_fresh"):
            check_times(claims, now, need=("iat",), max_age=PROOF_AGE)
            jti = text_claim(claims, "jti")
        with step("dpop_token"):
            if access_token is not None and claims.get("ath") != b64u(digest(access_token)):
                raise Refused(Code.INVALID_DPOP_PROOF, "the proof is for another access token")
    return Dpop(key.thumbprint, Spend("dpop", digest(key.thumbprint + "." + jti), now + SPENT_FOR))


def _bare(url: str) -> tuple[str, str, str]:
    """RFC 9449 4.3 step 9: without query and fragment; scheme and host compare without case, a default port is none."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise Refused(Code.INVALID_DPOP_PROOF, "htu is not a URL") from None
    scheme = parts.scheme.lower()
    if port is None or (scheme, port) in (("https", 443), ("http", 80)):
        return scheme, (parts.hostname or "").lower(), parts.path or "/"
    return scheme, f"{(parts.hostname or '').lower()}:{port}", parts.path or "/"


def dpop_token(authorization: str) -> str:
    """The access token of `Authorization: DPoP ..` (RFC 9449 section 7.1)."""
    if not authorization:
        raise Refused(Code.NOT_SIGNED_IN, "an access token is needed")
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "dpop" or not token or " " in token or len(token) > 512:
        raise Refused(Code.INVALID_TOKEN, "the access token must be sent as DPoP")
    return token


def prove(
    knock: Knock, *, attesters: Attesters, audience: str, nonce_good: Callable[[str], bool], now: datetime
) -> tuple[Client, Dpop]:
    """The wallet and its DPoP key. In the combined mode (draft-10, "DPoP Combined Mode") both are one key."""
    client = check_client(knock, attesters=attesters, audience=audience, now=now)
    dpop = check_dpop(knock, nonce_good=nonce_good, now=now)
    if not client.spends and dpop.jkt != client.jkt:
        raise Refused(Code.INVALID_CLIENT, "the DPoP proof is of another key than the attested one", step="client_key")
    return client, dpop


# --- redemption -------------------------------------------------------------------------------------------------------


def redeemable(offer: OfferRow, dpop_jkt: str, standing: Standing, now: datetime) -> What | None:
    """Why this wallet may not have this offer, or None when it may.

    Raises Refused(INVALID_GRANT) where nothing is to be told the officer.
    """
    if offer.state == "cancelled" or offer.card.state not in ("open", "held"):
        raise Refused(Code.INVALID_GRANT, "this offer has been withdrawn")
    if offer.state == "redeemed" and offer.redeemed_by != dpop_jkt:
        return What.REFUSED_SECOND_SCAN
    if now.timestamp() >= offer.expires:
        return What.REFUSED_EXPIRED
    return None if may_fetch(offer.card, standing) else What.REFUSED_OTHER_WALLET


def may_fetch(card: Card, standing: Standing) -> bool:
    """The person's active phone; or, where the order says so, any wallet that is nobody's registered phone."""
    if standing.person is None:
        return card.wallets is Wallets.ATTESTED
    return standing.state == "active" and standing.person == card.person


REDEMPTION_WORDS = {
    What.REFUSED_SECOND_SCAN: "this offer has been used by another wallet",
    What.REFUSED_EXPIRED: "this offer has expired",
    What.REFUSED_OTHER_WALLET: "this offer is for the active phone of another person",
}
