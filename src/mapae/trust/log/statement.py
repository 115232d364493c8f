"""Signed statements: by which the acting party itself asks for an act, so that the operator of a log cannot.

A statement is a compact JWS (RFC 7515), ES256, whose header carries the public key and whose payload is the act in its
one spelling. An entry names the SHA-256 of the whole text. A governor who agrees with a statement signs an approval of
that digest.

Promises: what is read says exactly one act, signed by the key in its header; there is one spelling, so nothing but the
act fits in. Trusts: nobody: whose key it is, the state of the log says. Keeps: nothing. Refuses: other members, another
order, spaces, a signature that does not fit or is not the smaller of its two spellings, a statement for another log.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final

import msgspec

from mapae.errors import Code, Refused
from mapae.formats.jose import Jws, PublicKey, Signing, b64u, encode_json, sign_jws, unb64u
from mapae.formats.p256 import N
from mapae.trust.log import acts
from mapae.trust.log.acts import Act

TYP: Final = "mapae-statement+jwt"
TYP_APPROVAL: Final = "mapae-approval+jwt"
LIMIT: Final = 4096
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
# A C2SP origin as mapae gives it: host and path. No free text, for statements are public.
ORIGIN: Final = re.compile(r"[a-z0-9][a-z0-9.:-]{0,127}(?:/[a-z0-9._-]{1,32}){0,8}")


class Said(msgspec.Struct, frozen=True):
    """A statement that was read and whose signature fits. `voice` is the thumbprint of the key that signed."""

    act_name: str
    args: Mapping[str, Any]
    origin: str
    iat: int
    voice: bytes

    def act(self, statement: bytes) -> Act:
        return acts.of(self.act_name, self.args, statement)


class Approval(msgspec.Struct, frozen=True):
    statement: bytes
    iat: int
    voice: bytes


def make(act_name: str, args: Mapping[str, Any], origin: str, signer: Signing, now: int) -> str:
    """`args` as in `acts.args`. The act is this with `digest` of what comes back as its statement."""
    claims = _claims(act_name, args, origin, now)
    return _signed(signer, TYP, claims)


def digest(jws: str) -> bytes:
    """What an entry names."""
    return sha256(jws.encode()).digest()


def approve(statement: bytes, signer: Signing, now: int) -> str:
    """A governor's agreement with the statement of this digest."""
    claims = {"approves": statement.hex(), "iat": now}
    return _signed(signer, TYP_APPROVAL, claims)


def read(jws: str, origin: str | None = None) -> Said:
    """`origin`: the log it has to be for."""
    said, voice = _open(jws, TYP)
    if said.keys() != {"act", "args", "log", "iat"} or not isinstance(said["args"], dict):
        raise Refused(Code.MALFORMED, "a statement has a member too many or too few")
    _must_be_written(jws, _claims(said["act"], said["args"], said["log"], said["iat"]))
    if origin is not None and said["log"] != origin:
        raise Refused(Code.NOT_ALLOWED, "the statement is for another log")
    return Said(said["act"], said["args"], said["log"], said["iat"], voice)


def read_approval(jws: str) -> Approval:
    said, voice = _open(jws, TYP_APPROVAL)
    named, iat = said.get("approves"), said.get("iat")
    if said.keys() != {"approves", "iat"} or not isinstance(named, str) or not _DIGEST.fullmatch(named):
        raise Refused(Code.MALFORMED, "an approval has a member too many or too few")
    _must_be_written(jws, {"approves": named, "iat": _time(iat)})
    return Approval(bytes.fromhex(named), _time(iat), voice)


def must_say(jws: str, act: Act, origin: str | None = None) -> Said:
    """The statement is the one the act names, and asks for just this act."""
    if digest(jws) != act.statement:
        raise Refused(Code.NOT_ALLOWED, "the act names another statement")
    said = read(jws, origin)
    if said.act(act.statement) != act:
        raise Refused(Code.NOT_ALLOWED, "the statement asks for something else")
    return said


def smaller(jws: str) -> str:
    """The same with the smaller s. Where s fits, n - s fits too (SEC 1 4.1.4), and it takes no key to write it: without
    this rule anybody could turn what was signed once into a second statement, or a void vote into a fresh one."""
    signed, _, seal = jws.rpartition(".")
    raw = unb64u(seal)
    s = int.from_bytes(raw[32:])
    return f"{signed}.{b64u(raw[:32] + (N - s).to_bytes(32))}" if N // 2 < s < N else jws


def _signed(signer: Signing, typ: str, claims: Mapping[str, Any]) -> str:
    return smaller(sign_jws(signer, {"typ": typ, "jwk": PublicKey.from_jwk(signer.jwk).jwk}, claims))


def _open(jws: str, typ: str) -> tuple[dict[str, Any], bytes]:
    """The payload, and the thumbprint of the key that signed it."""
    token = Jws.parse(jws, typ=typ, limit=LIMIT)
    key = token.jwk
    # One spelling: no member beside these, in this order, as `make` writes them.
    if jws.split(".")[0] != b64u(encode_json({"alg": "ES256", "typ": typ, "jwk": key.jwk})):
        raise Refused(Code.MALFORMED, "a statement's header is not in its one spelling")
    token.verify(key)
    if smaller(jws) != jws:
        raise Refused(Code.MALFORMED, "a statement's signature is not in its one spelling")
    return token.claims(), key.thumbprint_raw


def _must_be_written(jws: str, claims: Mapping[str, Any]) -> None:
    if jws.split(".")[1] != b64u(encode_json(claims)):
        raise Refused(Code.MALFORMED, "a statement is not in its one spelling")


def _claims(act_name: Any, args: Mapping[str, Any], origin: Any, iat: Any) -> dict[str, Any]:
    said = acts.of(act_name, args, bytes(32))
    if not isinstance(origin, str) or not ORIGIN.fullmatch(origin):
        raise Refused(Code.MALFORMED, "a statement names a log by its origin")
    return {"act": said.NAME, "args": acts.args(said), "log": origin, "iat": _time(iat)}


def _time(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 1 << 53:
        raise Refused(Code.MALFORMED, "a time is not in whole seconds")
    return value
