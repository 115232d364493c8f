"""OpenID4VP 1.0 messages, as pure values: the signed request object, the QR text, the wallet's answer.

Promises: a request is signed by the relying party's access key and carries a fresh nonce, a fresh `state` and a fresh
encryption key; an answer is read one way only. Trusts: the caller for the key, the time and the chance. Keeps: nothing.
Refuses: an answer that is not encrypted to this request's key, has another `state`, or holds anything but one
presentation for one of the credential queries.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode

from mapae.errors import Code, Refused, step
from mapae.formats import jose, jwe
from mapae.formats.x509 import x509_hash
from mapae.verifier.check import Ask, Format, Shown

REQUEST_TYPE: Final = "application/oauth-authz-req+jwt"
RESPONSE_LIMIT: Final = 262_144  # bytes of a whole answer; a card with its portrait takes about 30,000
_WALLET_NONCE: Final = re.compile(r"[\x21-\x7e]{1,512}")
# RFC 6749 section 4.1.2.1 and OpenID4VP 1.0 section 8.5: why a wallet may turn us down.
_ERRORS: Final = frozenset({
    "access_denied", "invalid_client", "invalid_request", "invalid_request_uri_method", "invalid_scope",
    "invalid_transaction_data", "server_error", "temporarily_unavailable", "unauthorized_client",
    "unsupported_response_type", "vp_formats_not_supported", "wallet_unavailable",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Requested:
    """All that makes one request; `key` is the public half of its encryption key."""

    ask: Ask
    state: str
    purpose: str
    dcql: Mapping[str, Any]
    key: Mapping[str, str]
    issued_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Declined:
    """The wallet answered with an error of its own: `access_denied` when the holder said no, `wallet_error` for one we
    do not know (what a stranger writes is not repeated on a screen)."""

    error: str


Answered = Shown | Declined


def client_id(leaf: bytes) -> str:
    """OpenID4VP 1.0 section 5.9.3: the hash of the certificate that signs the request."""
    return f"x509_hash:{x509_hash(leaf)}"


def qr_text(client_id: str, request_uri: str) -> str:
    """What the wallet's camera reads. The request itself is fetched, so the code stays small and quick to read."""
    return f"openid4vp://?{urlencode({'client_id': client_id, 'request_uri': request_uri})}"


def request_object(
    requested: Requested, signer: jose.Signing, x5c: tuple[bytes, ...], wallet_nonce: str | None = None
) -> str:
    """The request as a JWT (RFC 9101), `wallet_nonce` as the wallet gave it (section 5.10)."""
    claims: dict[str, Any] = {
        "client_id": requested.ask.client_id,
        "aud": "https://self-issued.me/v2",  # section 5.8
        "response_type": "vp_token",
        "response_mode": "direct_post.jwt",
        "response_uri": requested.ask.response_uri,
        "nonce": requested.ask.nonce,
        "state": requested.state,
        "dcql_query": requested.dcql,
        "client_metadata": client_metadata(requested),
        "iat": int(requested.issued_at.timestamp()),
        "exp": int(requested.expires_at.timestamp()),
        # Not a parameter of the standard: other wallets ignore it (section 5), ours compares it with the trust list.
        "mapae_purpose": requested.purpose,
    }
    if wallet_nonce is not None:
        if not _WALLET_NONCE.fullmatch(wallet_nonce):
            raise Refused(Code.MALFORMED, "wallet_nonce is not printable ASCII of at most 512 characters")
        claims["wallet_nonce"] = wallet_nonce
    # HAIP 1.0 section 5: the anchor is not in x5c; its signer's certificate is.
    return jose.sign_jws(signer, {"typ": "oauth-authz-req+jwt", "x5c": jose.x5c_header(x5c)}, claims)


def client_metadata(requested: Requested) -> dict[str, Any]:
    """Our key for this one answer, and what we can check. Only the formats that are asked for."""
    formats = {
        "dc+sd-jwt": {"sd-jwt_alg_values": ["ES256"], "kb-jwt_alg_values": ["ES256"]},
        # -9 is ESP256, the fully specified name of what -7 with a P-256 key is (section B.2.2).
        "mso_mdoc": {"issuerauth_alg_values": [-7, -9], "deviceauth_alg_values": [-7, -9]},
    }
    asked = {query["format"] for query in requested.dcql["credentials"]}
    return {
        "jwks": {"keys": [dict(requested.key)]},
        "encrypted_response_enc_values_supported": ["A256GCM", "A128GCM"],  # HAIP 1.0 section 5: both
        "vp_formats_supported": {name: value for name, value in formats.items() if name in asked},
    }


def read_answer(fields: Mapping[str, str], key: Mapping[str, str], *, state: str, asked: frozenset[Format]) -> Answered:
    """The wallet's form, opened with the request's private key.

    Raises Refused without a step (MALFORMED, UNSUPPORTED, BAD_SIGNATURE, TOO_LARGE) for what is no answer to this
    request at all, and with the step `request` for an answer that holds something else than was asked.
    """
    if "response" not in fields:
        # Section 8.3.1: a wallet that cannot encrypt may say so, or say no, in the clear.
        if "vp_token" in fields:
            raise Refused(Code.MALFORMED, "the answer must be encrypted")
        return _declined(fields, state)
    if len(fields["response"]) > RESPONSE_LIMIT:
        raise Refused(Code.TOO_LARGE, "the answer is too large")
    opened = jwe.decrypt(fields["response"], jwe.DecryptionKey.from_jwk(key))
    answer = jose.decode_json(opened.payload, limit=RESPONSE_LIMIT)
    if "error" in answer:
        return _declined(answer, state)
    _must_echo(answer, state)
    with step("request"):
        return _shown(answer.get("vp_token"), asked)


def _declined(answer: Mapping[str, Any], state: str) -> Declined:
    _must_echo(answer, state)
    error = answer.get("error")
    if not isinstance(error, str):
        raise Refused(Code.MALFORMED, "neither an answer nor an error")
    return Declined(error if error in _ERRORS else "wallet_error")


def _must_echo(answer: Mapping[str, Any], state: str) -> None:
    # Section 14.3.2: the response address is protected from inadvertent requests by its state.
    if answer.get("state") != state:
        raise Refused(Code.MALFORMED, "state is missing or another request's")


def _shown(token: Any, asked: frozenset[Format]) -> Shown:
    """Section 8.1: an object from credential query id to a list of presentations; we ask for one of one."""
    if not isinstance(token, dict) or len(token) != 1:
        raise Refused(Code.NOT_WHAT_WAS_ASKED, "vp_token must answer exactly one credential query")
    [(query, presentations)] = token.items()
    if query not in asked:
        raise Refused(Code.NOT_WHAT_WAS_ASKED, "vp_token answers a query that was not asked")
    if not isinstance(presentations, list) or len(presentations) != 1 or not isinstance(presentations[0], str):
        raise Refused(Code.NOT_WHAT_WAS_ASKED, "vp_token must hold one presentation")
    return Shown(Format(query), presentations[0])
