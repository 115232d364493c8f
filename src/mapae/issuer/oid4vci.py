"""OpenID4VCI 1.0, messages only: what arrives becomes values, values become what leaves.

Promises: a request that parses is one the protocol allows; each refusal is the error code the specification names.
Trusts: nothing that arrives; `Anchors` for wallet providers. Keeps: nothing. Refuses: proofs without the key
attestation their document demands, keys outside it, a nonce that is not ours, more keys than a batch may have.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, assert_never
from urllib.parse import quote

import msgspec

from mapae.errors import Code, Refused, step
from mapae.formats.jose import Jws, PublicKey, check_times
from mapae.issuer.authorization import Attesters, as_code, text_claim
from mapae.issuer.order import Way

PRE_AUTHORIZED = "urn:ietf:params:oauth:grant-type:pre-authorized_code"
AUTHORIZATION_CODE = "authorization_code"
PROOF_AGE = 300
TX_DIGITS = 6


# --- offer (section 4.1) ----------------------------------------------------------------------------------------------


def offer_uri(base: str, offer_id: str) -> str:
    """The text of the QR: an offer by reference, so that the code is not in the picture."""
    return "openid-credential-offer://?credential_offer_uri=" + quote(f"{base}/issuer/offers/{offer_id}", safe="")


def offer_message(
    issuer: str, configurations: tuple[str, ...], way: Way, code: str, tx_code: str | None = None
) -> dict[str, Any]:
    """`code` is the pre-authorized code or the issuer_state; `tx_code` says how the transaction code is had."""
    match way:
        case Way.PRE_AUTHORIZED:
            grant: dict[str, Any] = {"pre-authorized_code": code}
            if tx_code is not None:
                grant["tx_code"] = {"input_mode": "numeric", "length": TX_DIGITS, "description": tx_code}
            grants = {PRE_AUTHORIZED: grant}
        case Way.AUTHORIZATION_CODE:
            grants = {AUTHORIZATION_CODE: {"issuer_state": code}}
        case _:
            assert_never(way)
    return {"credential_issuer": issuer, "credential_configuration_ids": list(configurations), "grants": grants}


# --- token (section 6) ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Redemption:
    code: str
    tx_code: str | None
    details: str | None


@dataclass(frozen=True, slots=True)
class Exchange:
    """An authorization code with what proves that it was ours to begin with."""

    code: str
    redirect_uri: str
    verifier: str
    details: str | None


@dataclass(frozen=True, slots=True)
class Refresh:
    token: str


def parse_token_request(form: Mapping[str, str], client_id: str) -> Redemption | Exchange | Refresh:
    if form.get("client_id", client_id) != client_id:
        raise Refused(Code.INVALID_CLIENT, "client_id is not the attested one")
    match form.get("grant_type", ""):
        case "":
            raise Refused(Code.INVALID_REQUEST, "grant_type is missing")
        case grant if grant == PRE_AUTHORIZED:
            tx_code = form.get("tx_code")
            if tx_code is not None and len(tx_code) > 64:
                raise Refused(Code.INVALID_GRANT, "the transaction code is wrong")
            return Redemption(_field(form, "pre-authorized_code"), tx_code, form.get("authorization_details"))
        case grant if grant == AUTHORIZATION_CODE:
            return Exchange(
                _field(form, "code"), _field(form, "redirect_uri", 2000), _field(form, "code_verifier"),
                form.get("authorization_details"),
            )  # fmt: skip
        case "refresh_token":
            return Refresh(_field(form, "refresh_token"))
        case _:
            raise Refused(Code.UNSUPPORTED_GRANT_TYPE, "only code, pre-authorized code and refresh token")


def _field(form: Mapping[str, str], name: str, longest: int = 512) -> str:
    value = form.get(name, "")
    if not value:
        raise Refused(Code.INVALID_REQUEST, f"{name} is missing")
    if len(value) > longest:
        raise Refused(Code.INVALID_GRANT, f"{name} is not one of ours")
    return value


def token_message(
    access: str, refresh: str, seconds: int, configurations: tuple[str, ...], identifiers: Mapping[str, str]
) -> dict[str, Any]:
    """Section 6.2. `identifiers` (identifier -> configuration) where authorization_details were used."""
    answer = {"access_token": access, "token_type": "DPoP", "expires_in": seconds, "refresh_token": refresh}
    if not identifiers:
        return {**answer, "scope": " ".join(configurations)}
    return {**answer, "authorization_details": [
        {"type": "openid_credential", "credential_configuration_id": id, "credential_identifiers": [identifier]}
        for identifier, id in identifiers.items()
    ]}  # fmt: skip


# --- credential (section 8) -------------------------------------------------------------------------------------------


class CredentialRequest(msgspec.Struct, frozen=True):
    """Section 8.2. Members we do not know are ignored, as the specification demands."""

    credential_configuration_id: str | None = None
    credential_identifier: str | None = None
    proofs: dict[str, Any] | None = None
    credential_response_encryption: Any = None

    def configuration(self, allowed: tuple[str, ...], identifiers: Mapping[str, str]) -> str:
        """The configuration that is asked for: by identifier exactly where the token's answer gave identifiers."""
        if self.credential_identifier is not None:
            if self.credential_configuration_id is not None:
                raise Refused(Code.INVALID_CREDENTIAL_REQUEST, "name a configuration or an identifier, not both")
            if self.credential_identifier not in identifiers:
                raise Refused(Code.UNKNOWN_CREDENTIAL_IDENTIFIER, "no such identifier came with this token")
            return identifiers[self.credential_identifier]
        if identifiers:
            raise Refused(Code.INVALID_CREDENTIAL_REQUEST, "this token asks by credential_identifier")
        if self.credential_configuration_id is None:
            raise Refused(Code.INVALID_CREDENTIAL_REQUEST, "credential_configuration_id is missing")
        if self.credential_configuration_id not in allowed:
            raise Refused(Code.UNKNOWN_CREDENTIAL_CONFIGURATION, "this order has no such configuration")
        return self.credential_configuration_id


class DeferredRequest(msgspec.Struct, frozen=True):
    """Section 9.1."""

    transaction_id: str
    credential_response_encryption: Any = None


@dataclass(frozen=True, slots=True)
class Proven:
    """The keys to bind to, in order, and the nonces that were used."""

    keys: tuple[PublicKey, ...]
    nonces: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ProofRules:
    """`attested`: whether the document demands a key attestation with every proof."""

    issuer: str
    client_id: str
    batch_size: int
    attested: bool
    attesters: Attesters
    nonce_good: Callable[[str], bool]
    now: datetime


def check_proofs(proofs: Mapping[str, Any] | None, rules: ProofRules) -> Proven:
    """Appendix F: 1 one proof type, not empty  2 the key attestation  3 the proof's own seal  4 audience, nonce, time
    5 as many different keys as a batch may have.
    """
    with step("proof_shape"), as_code(Code.INVALID_PROOF):
        if not proofs or len(proofs) != 1:
            raise Refused(Code.INVALID_PROOF, "proofs holds exactly one proof type")
        kind, values = next(iter(proofs.items()))
        if not isinstance(values, list) or not values or not all(isinstance(value, str) for value in values):
            raise Refused(Code.INVALID_PROOF, "the proof type holds a list of JWTs")
        if len(values) > rules.batch_size:
            raise Refused(Code.INVALID_PROOF, "more proofs than a batch may have")
    with as_code(Code.INVALID_PROOF, Code.INVALID_NONCE):
        match kind:
            case "attestation":
                if len(values) != 1:  # Appendix F.3: exactly one key attestation
                    raise Refused(Code.INVALID_PROOF, "the attestation proof type holds one key attestation")
                keys, nonce = _key_attestation(values[0], rules, must_end=False)
                nonces = [nonce]
            case "jwt":
                keys, nonces = _jwt_proofs(values, rules)
            case _:
                raise Refused(Code.INVALID_PROOF, "only the proof types jwt and attestation are supported")
        with step("proof_keys"):
            if not 1 <= len(keys) <= rules.batch_size:
                raise Refused(Code.INVALID_PROOF, f"a batch has at most {rules.batch_size} keys")
            if len({key.thumbprint for key in keys}) != len(keys):
                raise Refused(Code.INVALID_PROOF, "a key occurs twice")
    return Proven(tuple(keys), tuple(dict.fromkeys(nonces)))


def _jwt_proofs(values: list[str], rules: ProofRules) -> tuple[list[PublicKey], list[str]]:
    """One proof stands for all its attested keys, the k-th copy for the k-th key; several stand for their own keys."""
    keys: list[PublicKey] = []
    nonces: list[str] = []
    for raw in values:
        with step("proof_shape"):
            proof = Jws.parse(raw, typ="openid4vci-proof+jwt")
            attestation = proof.header.get("key_attestation")
            if (attestation is None and rules.attested) or (
                attestation is not None and not isinstance(attestation, str)
            ):
                raise Refused(Code.INVALID_PROOF, "the proof carries no key attestation")
        attested: list[PublicKey] | None = None
        if attestation is not None:
            attested, attested_nonce = _key_attestation(attestation, rules, must_end=True)
            nonces.append(attested_nonce)
        with step("proof_seal"):
            own = _own_key(proof.header, attested)
            proof.verify(own)
        claims = proof.claims()
        with step("proof_fresh"):
            if claims.get("aud") not in (rules.issuer, [rules.issuer]):
                raise Refused(Code.INVALID_PROOF, "the proof is meant for another issuer")
            if "iss" in claims and claims["iss"] != rules.client_id:
                raise Refused(Code.INVALID_PROOF, "the proof comes from another client")
            check_times(claims, rules.now, need=("iat",), max_age=PROOF_AGE)
            nonces.append(_nonce(claims, rules))
        keys += attested if attested is not None and len(values) == 1 else [own]
    return keys, nonces


def _own_key(header: Mapping[str, Any], attested: list[PublicKey] | None) -> PublicKey:
    """The key the proof names: by jwk, or by kid as the place in the attestation or as a thumbprint."""
    named = [name for name in ("jwk", "kid", "x5c") if name in header]
    if len(named) != 1:
        raise Refused(Code.INVALID_PROOF, "the proof names its key by exactly one of jwk, kid and x5c")
    match named[0]:
        case "jwk":
            raw = header["jwk"]
            if not isinstance(raw, dict):
                raise Refused(Code.INVALID_PROOF, "jwk is not an object")
            key = PublicKey.from_jwk(raw)
            if attested is None or key in attested:  # Appendix D.1: signed by a key contained in the attestation
                return key
        case "kid":
            kid = header["kid"]
            for place, key in enumerate(attested or ()):
                if kid in (str(place), key.thumbprint):
                    return key
        case _:
            raise Refused(Code.INVALID_PROOF, "holder keys come without certificates")
    raise Refused(Code.INVALID_PROOF, "the proof's key is not in its key attestation")


def _key_attestation(raw: str, rules: ProofRules, *, must_end: bool) -> tuple[list[PublicKey], str]:
    """Appendix D.1. The keys and the nonce."""
    with step("proof_attestation"):
        attestation = Jws.parse(raw, typ="key-attestation+jwt")
        provider = rules.attesters.check(attestation.x5c, rules.now)
        attestation.verify(provider.key)
        claims = attestation.claims()
        check_times(claims, rules.now, need=("iat", "exp") if must_end else ("iat",))
        listed = claims.get("attested_keys")
        if not isinstance(listed, list) or not listed or not all(isinstance(jwk, dict) for jwk in listed):
            raise Refused(Code.INVALID_PROOF, "attested_keys is not a list of keys")
        if len(listed) > rules.batch_size:
            raise Refused(Code.INVALID_PROOF, f"a batch has at most {rules.batch_size} keys")
        keys = [PublicKey.from_jwk(jwk) for jwk in listed]
        for claim in ("key_storage", "user_authentication"):
            levels = claims.get(claim)
            if not isinstance(levels, list) or not LEVELS.intersection(x for x in levels if isinstance(x, str)):
                raise Refused(Code.INVALID_PROOF, f"{claim} is weaker than this document needs")
        return keys, _nonce(claims, rules)


def _nonce(claims: dict[str, Any], rules: ProofRules) -> str:
    if "nonce" not in claims:
        raise Refused(Code.INVALID_PROOF, "the proof has no nonce")
    nonce = text_claim(claims, "nonce")
    if not rules.nonce_good(nonce):
        raise Refused(Code.INVALID_NONCE, "fetch a new nonce")
    return nonce


# Appendix D.2, from what a browser can promise upward.
LEVELS = frozenset({"iso_18045_basic", "iso_18045_enhanced-basic", "iso_18045_moderate", "iso_18045_high"})


def credential_message(credentials: list[str], notification_id: str) -> dict[str, Any]:
    return {"credentials": [{"credential": one} for one in credentials], "notification_id": notification_id}


# --- notification (section 11) ----------------------------------------------------------------------------------------


class NotificationRequest(msgspec.Struct, frozen=True):
    notification_id: str
    event: Literal["credential_accepted", "credential_failure", "credential_deleted"]
    event_description: str | None = None
