"""OpenID4VP 1.0 messages, as pure values: the signed request object, the text that leads to it, the wallet's answer.

Promises: a request is signed by the relying party's access key and carries a fresh nonce, a fresh `state` and a fresh
encryption key; an answer is read one way only. Trusts: the caller for the key, the time and the chance. Keeps: nothing.
Refuses: a client identifier the certificate does not prove, a wallet that could not answer; an answer that is not
encrypted to this request's key or has another `state`. What the vp_token holds is for `check`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from mapae.errors import Code, Refused
from mapae.formats import dcql, jose, jwe
from mapae.formats.dcql import Dcql
from mapae.formats.x509 import dns_names, x509_hash
from mapae.trust.registration import TYPE as REGISTRATION
from mapae.verifier.asking.ask import OWN, Question

TYP: Final = "oauth-authz-req+jwt"
REQUEST_TYPE: Final = f"application/{TYP}"
RESPONSE_LIMIT: Final = 262_144  # bytes of a whole answer; a card with its portrait takes about 30,000
METADATA_LIMIT: Final = 12_288  # of what a wallet says about itself
_WALLET_NONCE: Final = re.compile(r"[\x21-\x7e]{1,512}")
# RFC 6749 section 4.1.2.1 and OpenID4VP 1.0 section 8.5: why a wallet may turn us down.
_ERRORS: Final = frozenset({
    "access_denied", "invalid_client", "invalid_request", "invalid_request_uri_method", "invalid_scope",
    "invalid_transaction_data", "server_error", "temporarily_unavailable", "unauthorized_client",
    "unsupported_response_type", "vp_formats_not_supported", "wallet_unavailable",
})  # fmt: skip
# What `curves.NIST` reads, the usual one first. -9, -51 and -52 name their curves as well (section B.2.2, RFC 9864).
_ES, _ES_COSE = ("ES256", "ES384", "ES512"), (-7, -9, -35, -51, -36, -52)
FORMATS_SUPPORTED: Final[Mapping[str, Mapping[str, Sequence[str | int]]]] = {
    dcql.SD_JWT: {"sd-jwt_alg_values": _ES, "kb-jwt_alg_values": _ES},
    dcql.MDOC: {"issuerauth_alg_values": _ES_COSE, "deviceauth_alg_values": _ES_COSE},
}
ENCS: Final = ("A256GCM", "A128GCM")  # HAIP 1.0 section 5: a verifier lists both


@dataclass(frozen=True, slots=True)
class Requested:
    """All that makes one request; `key` is the public half of its encryption key."""

    question: Question
    client_id: str
    nonce: str
    state: str
    response_uri: str
    key: Mapping[str, str]
    issued_at: datetime
    expires_at: datetime
    registration: str | None = None  # of the relying party, for wallets whose list is older than it


@dataclass(frozen=True, slots=True)
class Token:
    """The wallet answered: its `vp_token`, decoded and unchecked."""

    value: Any


@dataclass(frozen=True, slots=True)
class Declined:
    """The wallet answered with an error of its own: `access_denied` when the holder said no, `wallet_error` for one we
    do not know (what a stranger writes is not repeated on a screen)."""

    error: str


Answered = Token | Declined


# --- asking -----------------------------------------------------------------------------------------------------------


def client_id(leaf: bytes, prefix: str = "x509_hash", host: str = "") -> str:
    """OpenID4VP 1.0 section 5.9.3: the hash of the certificate that signs the request, or the name it proves, which
    must be that of the response_uri. Raises Refused(UNSUPPORTED) when it proves no such name."""
    if prefix == "x509_hash":
        return f"x509_hash:{x509_hash(leaf)}"
    if host not in dns_names(leaf):
        raise Refused(Code.UNSUPPORTED, "the access certificate does not name this host")
    return f"x509_san_dns:{host}"


def host_of(url: str) -> str:
    return urlsplit(url).hostname or ""


def link(client_id: str, request_uri: str, method: str = "get") -> str:
    """What the wallet's camera reads, or a browser follows. The request itself is fetched, so the code stays small and
    quick to read."""
    fields = {"client_id": client_id, "request_uri": request_uri}
    if method == "post":
        fields["request_uri_method"] = method
    return f"openid4vp://?{urlencode(fields)}"


def request_object(
    requested: Requested,
    signer: jose.Signing,
    x5c: tuple[bytes, ...],
    wallet_nonce: str | None = None,
    wallet_metadata: str | None = None,
) -> str:
    """The request as a JWT (RFC 9101), with `wallet_nonce` as the wallet gave it (section 5.10), encrypted to the key
    in its metadata when it brought one."""
    claims: dict[str, Any] = {
        "client_id": requested.client_id,
        "aud": "https://self-issued.me/v2",  # section 5.8
        "response_mode": "direct_post.jwt",
        "response_uri": requested.response_uri,
        "state": requested.state,
        "iat": int(requested.issued_at.timestamp()),
        "exp": int(requested.expires_at.timestamp()),
        **parameters(requested.question, requested.nonce, requested.key),
    }
    claims |= info(requested.registration)
    if wallet_nonce is not None:
        if not _WALLET_NONCE.fullmatch(wallet_nonce):
            raise Refused(Code.MALFORMED, "wallet_nonce is not printable ASCII of at most 512 characters")
        claims["wallet_nonce"] = wallet_nonce
    encrypt_to = None if wallet_metadata is None else _agreed(wallet_metadata, requested)
    # HAIP 1.0 section 5: the anchor is not in x5c; its signer's certificate is.
    signed = jose.sign_jws(signer, {"typ": TYP, "x5c": jose.x5c_header(x5c)}, claims)
    return signed if encrypt_to is None else jwe.encrypt(signed.encode(), encrypt_to)


def info(registration: str | None) -> dict[str, Any]:
    """Section 5.11: who asks is registered, also where the wallet's list does not say so yet."""
    return {} if registration is None else {"verifier_info": [{"format": REGISTRATION, "data": registration}]}


def parameters(question: Question, nonce: str, key: Mapping[str, str] | None) -> dict[str, Any]:
    """What every request says, however it is carried. `key` None: the answer is not encrypted."""
    claims: dict[str, Any] = {
        "response_type": "vp_token",
        "nonce": nonce,
        "dcql_query": question.dcql,
        "client_metadata": client_metadata(question.query, key),
    }
    if question.transactions:
        claims["transaction_data"] = [transaction.text for transaction in question.transactions]
    if question.purpose != OWN:
        # Not a parameter of the standard: other wallets ignore it (section 5), ours compares it with the trust list.
        claims["mapae_purpose"] = question.purpose
    return claims


def client_metadata(query: Dcql, key: Mapping[str, str] | None) -> dict[str, Any]:
    """Our key for this one answer, and what we can check. Only the formats that are asked for."""
    asked = {one.format for one in query.queries}
    metadata: dict[str, Any] = {"vp_formats_supported": {f: v for f, v in FORMATS_SUPPORTED.items() if f in asked}}
    if key is not None:
        metadata |= {"jwks": {"keys": [dict(key)]}, "encrypted_response_enc_values_supported": list(ENCS)}
    return metadata


# --- what a wallet says about itself: sections 5.10 and 10.1 ----------------------------------------------------------


def _agreed(text: str, requested: Requested) -> Mapping[str, Any] | None:
    """Whether this wallet could answer; the key it wants the request encrypted to, if any. Unsaid, it can.

    Raises Refused(UNSUPPORTED), so that the holder learns at once and not at the end.
    """
    said = jose.decode_json(text, limit=METADATA_LIMIT)
    prefix = requested.client_id.partition(":")[0]
    for name, ours in (
        ("client_id_prefixes_supported", {prefix}),
        ("request_object_signing_alg_values_supported", {"ES256"}),
        ("response_types_supported", {"vp_token"}),
        ("response_modes_supported", {"direct_post.jwt"}),
        ("authorization_encryption_alg_values_supported", {jwe.ALG}),
        ("authorization_encryption_enc_values_supported", set(ENCS)),
    ):
        if name in said and not ours & _values(said[name], name):
            raise Refused(Code.UNSUPPORTED, f"the wallet's {name} leaves nothing in common")
    if "vp_formats_supported" in said and not _answerable(requested.question.query, said["vp_formats_supported"]):
        raise Refused(Code.UNSUPPORTED, "the wallet has none of the formats that are asked for")
    if "jwks" not in said:
        return None
    return _encryption_key(said["jwks"])


def _values(value: Any, name: str) -> set[str | int]:
    if not isinstance(value, list) or not all(isinstance(one, str | int) for one in value):
        raise Refused(Code.MALFORMED, f"{name} is not a list of names")
    return set(value)


def _answerable(query: Dcql, formats: Any) -> bool:
    if not isinstance(formats, Mapping):
        raise Refused(Code.MALFORMED, "vp_formats_supported is not an object")
    able = set()
    for name, ours in FORMATS_SUPPORTED.items():
        theirs = formats.get(name)
        if isinstance(theirs, Mapping) and all(
            key not in theirs or set(values) & _values(theirs[key], key) for key, values in ours.items()
        ):
            able.add(name)
    ids = {one.id for one in query.queries if one.format in able}
    if not query.sets:
        return len(ids) == len(query.queries)
    return all(wanted.answered_by(ids) for wanted in query.sets if wanted.required)


def _encryption_key(jwks: Any) -> Mapping[str, Any]:
    """RFC 9101 section 10: a wallet that brings keys wants the request encrypted."""
    keys = jwks.get("keys") if isinstance(jwks, Mapping) else None
    for jwk in keys if isinstance(keys, list) else ():
        if isinstance(jwk, Mapping) and jwk.get("use", "enc") == "enc" and jwk.get("alg", jwe.ALG) == jwe.ALG:
            try:
                jose.PublicKey.from_jwk(jwk)
            except Refused:
                continue
            return jwk
    raise Refused(Code.UNSUPPORTED, "the wallet wants the request encrypted, to no key that we can use")


# --- being answered ---------------------------------------------------------------------------------------------------


def read_answer(fields: Mapping[str, str], key: jwe.DecryptionKey, *, state: str) -> Answered:
    """The wallet's form, opened with the request's private key.

    Raises Refused without a step (MALFORMED, UNSUPPORTED, TOO_LARGE) for what is no answer to this request at all.
    """
    if "response" not in fields:
        # Section 8.3.1: a wallet that cannot encrypt may say so, or say no, in the clear.
        if "vp_token" in fields:
            raise Refused(Code.MALFORMED, "the answer must be encrypted")
        _must_echo(fields, state)
        return declined(fields)
    answer = decrypted(fields["response"], key)
    # Section 14.3.2: the response address is protected from inadvertent requests by its state.
    _must_echo(answer, state)
    return declined(answer) if "error" in answer else Token(answer.get("vp_token"))


def decrypted(response: str, key: jwe.DecryptionKey) -> dict[str, Any]:
    if len(response) > RESPONSE_LIMIT:
        raise Refused(Code.TOO_LARGE, "the answer is too large")
    return jose.decode_json(jwe.decrypt(response, key).payload, limit=RESPONSE_LIMIT)


def declined(answer: Mapping[str, Any]) -> Declined:
    error = answer.get("error")
    if not isinstance(error, str):
        raise Refused(Code.MALFORMED, "neither an answer nor an error")
    return Declined(error if error in _ERRORS else "wallet_error")


def _must_echo(answer: Mapping[str, Any], state: str) -> None:
    if answer.get("state") != state:
        raise Refused(Code.MALFORMED, "state is missing or another request's")
