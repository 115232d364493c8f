"""JWS in JSON (RFC 7515 7.2): one payload under one or several signatures, flattened or general.

Promises: every `Signed` that is read is a `Jws` as strict as a compact one, and `write` gives what `read` takes.
Trusts: nobody; whom a signature is from, and how many are needed, the caller decides (RFC 7515 5.2). Keeps: nothing.
Refuses: a mixture of the two forms, header parameters in both headers, a protected header that is missing, an
unprotected algorithm or extension, more than a handful of signatures. A signature with an algorithm we do not speak is
passed over as long as another remains: in a request for several trust frameworks it is for somebody else.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from mapae.errors import Code, Refused
from mapae.formats.jose import MAX_JWS, Jws, Signing, b64u, decode_json, encode_json, jws_input

MAX_SIGNATURES: Final = 8
_PROTECTED = frozenset({"alg", "crit", "b64", "typ"})  # RFC 7515 4.1.11 for crit; the others decide what is verified


@dataclass(frozen=True, slots=True)
class Signed:
    """One signature over the payload. `unprotected` is what anybody on the way could have written."""

    jws: Jws
    unprotected: Mapping[str, Any]


def read(
    raw: bytes | str | Mapping[str, Any], *, typ: str | Collection[str], limit: int = MAX_JWS
) -> tuple[Signed, ...]:
    """The signatures we can judge, in their order; at least one. Parsed, not verified."""
    value = raw if isinstance(raw, Mapping) else decode_json(raw, limit=limit)
    payload = value.get("payload")
    if not isinstance(payload, str):
        raise Refused(Code.MALFORMED, "the token has no payload")
    if "signatures" not in value:  # RFC 7515 7.2.2
        entries: Any = [value]
    elif {"signature", "protected", "header"} & value.keys():
        raise Refused(Code.MALFORMED, "the token is in two forms at once")
    else:
        entries = value["signatures"]
    if not isinstance(entries, list) or not entries:
        raise Refused(Code.MALFORMED, "the token has no signatures")
    if len(entries) > MAX_SIGNATURES:
        raise Refused(Code.TOO_LARGE, "the token has too many signatures")
    signed, foreign = [], None
    for entry in entries:
        try:
            signed.append(_signed(payload, entry, typ, limit))
        except Refused as refused:
            if refused.code is not Code.UNSUPPORTED:
                raise
            foreign = refused
    if not signed and foreign is not None:
        raise foreign
    return tuple(signed)


def _signed(payload: str, entry: Any, typ: str | Collection[str], limit: int) -> Signed:
    if not isinstance(entry, Mapping):
        raise Refused(Code.MALFORMED, "a signature is not an object")
    protected, signature, header = entry.get("protected"), entry.get("signature"), entry.get("header", {})
    if not isinstance(protected, str) or not isinstance(signature, str):
        raise Refused(Code.MALFORMED, "a signature has no protected header or no value")
    if not isinstance(header, Mapping) or ("header" in entry and not header):
        raise Refused(
            Code.MALFORMED, "an unprotected header is not an object with members"
        )  # RFC 7515 7.2.1: absent then
    if "." in protected or "." in payload or "." in signature:
        raise Refused(Code.MALFORMED, "base64url has a foreign character")
    jws = Jws.parse(f"{protected}.{payload}.{signature}", typ=typ, limit=limit)
    if jws.header.keys() & header.keys():  # RFC 7515 7.2.1: the names must be disjoint
        raise Refused(Code.MALFORMED, "a header parameter stands in both headers")
    if _PROTECTED & header.keys():
        raise Refused(Code.MALFORMED, "a header parameter is not protected that must be")
    return Signed(jws, header)


def write(
    payload: bytes | Mapping[str, Any], signers: Sequence[tuple[Signing, Mapping[str, Any]]], *, general: bool = True
) -> dict[str, Any]:
    """One payload signed by each, with the protected header that goes with it. Flattened: exactly one signer."""
    if not 1 <= len(signers) <= (MAX_SIGNATURES if general else 1):
        raise Refused(Code.LINT, "a token has one signature, or a handful in the general form")
    body = payload if isinstance(payload, bytes) else encode_json(payload)
    signatures = []
    for signer, header in signers:
        message = jws_input(header, body)
        protected = message.split(b".", 1)[0].decode()
        signatures.append({"protected": protected, "signature": b64u(signer.sign(message))})
    return {"payload": b64u(body)} | ({"signatures": signatures} if general else signatures[0])
