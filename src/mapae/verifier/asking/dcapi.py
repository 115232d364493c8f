"""OpenID4VP 1.0 Appendix A, as pure values: requests for the Digital Credentials API and what comes back from it.

Promises: a signed request names the origins it is for; an answer is read one way only. Trusts: the caller for the key
and the chance; the browser for the origin, to which every answer is bound (`check.ByBrowser`). Keeps: nothing. Refuses:
an answer in another response mode than was asked, or not encrypted to this request's key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from mapae.errors import Code, Refused
from mapae.formats import jose, jwe, jws_json
from mapae.verifier.asking.ask import Question
from mapae.verifier.asking.oid4vp import TYP, Answered, Token, declined, decrypted, info, parameters

UNSIGNED: Final = "openid4vp-v1-unsigned"
SIGNED: Final = "openid4vp-v1-signed"
MULTISIGNED: Final = "openid4vp-v1-multisigned"


@dataclass(frozen=True, slots=True)
class Requested:
    """`key` is the public half of the encryption key; None asks for an answer in the clear, which HAIP 1.0 does not."""

    question: Question
    nonce: str
    key: Mapping[str, str] | None
    origins: tuple[str, ...]
    registration: str | None = None  # of the relying party


@dataclass(frozen=True, slots=True)
class Client:
    """One way to say who asks: a client identifier, and the key and certificates that prove it."""

    client_id: str
    signer: jose.Signing
    x5c: tuple[bytes, ...]


def unsigned(requested: Requested) -> dict[str, Any]:
    """A.3.1: no client_id and no expected_origins; the browser's word for the origin is all there is."""
    return {"protocol": UNSIGNED, "data": _parameters(requested)}


def signed(requested: Requested, client: Client) -> dict[str, Any]:
    """A.3.2.1: one client, JWS compact."""
    claims = _for_origins(requested) | {"client_id": client.client_id} | info(requested.registration)
    return {"protocol": SIGNED, "data": {"request": jose.sign_jws(client.signer, _header(client), claims)}}


def multisigned(requested: Requested, clients: Sequence[Client]) -> dict[str, Any]:
    """A.3.2.2: the same request under several clients, each in the protected header of its own signature, and what is
    said of it beside it."""
    about = info(requested.registration)
    signers = [(client.signer, _header(client) | {"client_id": client.client_id} | about) for client in clients]
    return {"protocol": MULTISIGNED, "data": {"request": jws_json.write(_for_origins(requested), signers)}}


def read_answer(data: Any, key: jwe.DecryptionKey | None) -> Answered:
    """The `data` of the DigitalCredential, A.4. There is no `state`: the browser ties the answer to its request.

    Raises Refused without a step (MALFORMED, TOO_LARGE, UNSUPPORTED) for what is no answer to this request.
    """
    if not isinstance(data, Mapping):
        raise Refused(Code.MALFORMED, "the answer is not an object")
    if "error" in data:
        return declined(data)
    if key is None:
        if "response" in data:
            raise Refused(Code.MALFORMED, "the answer should not be encrypted")
        return Token(data.get("vp_token"))
    response = data.get("response")
    if not isinstance(response, str):
        raise Refused(Code.MALFORMED, "the answer must be encrypted")
    answer = decrypted(response, key)
    return declined(answer) if "error" in answer else Token(answer.get("vp_token"))


def _parameters(requested: Requested) -> dict[str, Any]:
    mode = "dc_api" if requested.key is None else "dc_api.jwt"
    return {"response_mode": mode, **parameters(requested.question, requested.nonce, requested.key)}


def _for_origins(requested: Requested) -> dict[str, Any]:
    return _parameters(requested) | {"expected_origins": list(requested.origins)}


def _header(client: Client) -> dict[str, Any]:
    return {"typ": TYP, "x5c": jose.x5c_header(client.x5c)}
