"""The Korean message family (type "mip", version 1.0.0): M120, M200, M310, M320, M400, M900 and their T starters.

Facts are those of the published message specification 1.8.0 (2022-05-25) and of the open sample's value objects. Every
message is JSON, carried as URL-safe base64 without padding in `{"data": ...}`, or in a QR code.

Promises: a message that was read is complete, of this family, of the expected command, and of nothing else that is
listed; a refusal names its step, and `ERRORS` has the published number and words of every step. Trusts: nobody.
Keeps: nothing. Refuses: duplicate members, other versions, a VP of another kind than the one we can answer (`Vp`).
Members a message does not list are passed over: the specification grows by them.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from mapae.errors import Code, Refused
from mapae.formats.jose import b64u, decode_json, encode_json

TYPE: Final = "mip"
VERSION: Final = "1.0.0"
LIMIT: Final = 400_000  # characters of a whole message: a card with its portrait is some 120,000 in hex
MAX_M200: Final = 4_096  # of a code; with the profile in it no camera would read it anyway (2.2.2.1)
DIRECT, INDIRECT, PROXY = "direct", "indirect", "proxy"
MODES: Final = frozenset({DIRECT, INDIRECT, PROXY})
DID_VP: Final = 1  # presentType; 0 is DID Auth, 2 a zero-knowledge VP
AES_256: Final = 2  # encryptType
SECP256R1: Final = 1  # keyType; the published mobile licence has 2, RSA
VERIFY: Final = "VERIFY"
AUTH_TYPES: Final = frozenset({"pin", "bio", "face"})
CANCELLED: Final = 20901  # by the person, in the app

# 3.1: what goes wrong at the verifier, by the step that refuses.
ERRORS: Final[Mapping[str, tuple[int, str]]] = {
    "format": (10001, "unexpected message format"),
    "mandatory": (10002, "missing mandatory item"),
    "base64": (10003, "base64 decode error"),
    "data": (10100, "invalid data"),
    "type": (10101, "invalid type"),
    "version": (10102, "unsupported message version"),
    "cmd": (10103, "invalid cmd"),
    "trxcode": (10104, "trxcode not found"),
    "profile": (10105, "profile create error"),
    "presentType": (10106, "unsupported VP presentType"),
    "encryptType": (10107, "unsupported VP encryptType"),
    "keyType": (10108, "unsupported VP keyType"),
    "vpType": (10109, "unsupported VP type"),
    "authType": (10110, "unsupported VP authType"),
    "nonce": (10111, "mismatching nonce"),
    "authMatch": (10112, "mismatching authType"),
    "sequence": (10201, "message sequence error"),
    "timeout": (10202, "timeout error"),
    "mscode": (10301, "mscode is missing"),
    "pushType": (10302, "pushType is missing"),
    "telno": (10303, "telno is missing"),
    "pushData": (10304, "data is missing"),
    "receive": (10305, "receive is missing"),
    "insert": (10306, "insert data fail"),
    "push": (10399, "unknown error"),
    "unknown": (99999, "unknown error"),
}
# Of the relay's lines (proxy mode), by the same steps; the open sample's numbers.
PROXY_ERRORS: Final[Mapping[str, tuple[int, str]]] = {
    "format": (1001, "packet error"),
    "mandatory": (1002, "missing mandatory item"),
    "data": (1010, "invalid data"),
    "cmd": (1011, "invalid msg"),
    "version": (1013, "unsupported message version"),
    "trxcode": (1014, "trxcode not found"),
    "sequence": (2001, "sequence error"),
    "timeout": (2002, "timeout error"),
    "gone": (2003, "unexpected disconnection"),
    "nonce": (2004, "mismatching nonce"),
    "authMatch": (2005, "mismatching auth type"),
    "holder": (9001, "Close requested by holder"),
    "verifier": (9002, "Close requested by verifier"),
    "unknown": (9999, "unknown error"),
}
_TRXCODE: Final = re.compile(r"[A-Za-z0-9]{8,64}")
_HEX: Final = re.compile(r"([0-9a-fA-F]{2})+")


def refuse(step: str, what: str = "") -> Refused:
    words = ERRORS[step][1]
    return Refused(Code.MALFORMED, f"{words}: {what}" if what else words, step=step)


# --- carrying ---------------------------------------------------------------------------------------------------------


def encode(message: Mapping[str, Any]) -> str:
    """1.3.1: URL-safe, without padding."""
    return b64u(encode_json({name: value for name, value in message.items() if value is not None}))


def decode(text: str, *, limit: int = LIMIT) -> dict[str, Any]:
    """Either alphabet, with padding or without: senders differ (1.3.1, 2.2.2.2)."""
    if len(text) > limit:
        raise Refused(Code.TOO_LARGE, "the message is too large", step="data")
    plain = text.rstrip("=").translate(str.maketrans("+/", "-_"))
    try:
        raw = base64.b64decode(plain + "=" * (-len(plain) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise refuse("base64") from None
    return _object(raw)


def body(raw: bytes) -> dict[str, Any]:
    """What a request carries: `{"data": message}`."""
    data = _object(raw).get("data")
    if data is None or data == "":
        raise refuse("mandatory", "data")
    if type(data) is not str:
        raise refuse("data", "data")
    return decode(data)


def _object(raw: bytes) -> dict[str, Any]:
    try:
        return decode_json(raw, limit=LIMIT)
    except Refused:
        raise refuse("format") from None


# --- the messages -----------------------------------------------------------------------------------------------------


def header(message: Mapping[str, Any], cmd: str, request: str | None = None) -> str:
    """The members every message has (2); its trxcode. In the specification's order: missing, type, version, cmd."""
    for name in ("type", "version", "cmd", "trxcode", *(("request",) if request is not None else ())):
        if message.get(name) in (None, ""):
            raise refuse("mandatory", name)
    if message["type"] != TYPE:
        raise refuse("type")
    if message["version"] != VERSION:
        raise refuse("version")
    if message["cmd"] != cmd:
        raise refuse("cmd")
    if request is not None and message["request"] != request:
        raise refuse("data", "request")
    return trxcode(message["trxcode"])


def trxcode(value: Any) -> str:
    if type(value) is not str or not _TRXCODE.fullmatch(value):
        raise refuse("trxcode")
    return value


def _message(cmd: str, trx: str, **members: Any) -> dict[str, Any]:
    return {"type": TYPE, "version": VERSION, "cmd": cmd, "trxcode": trx, **members}


@dataclass(frozen=True, slots=True)
class M120:
    """2.1.1: the code a phone shows in QR-CPM; its transaction is the relay's."""

    trxcode: str
    host: str

    @classmethod
    def parse(cls, text: str) -> M120:
        message = decode(text, limit=MAX_M200)
        trx = header(message, "120")
        if message.get("mode") in (None, "") or message.get("host") in (None, ""):
            raise refuse("mandatory", "mode" if message.get("mode") in (None, "") else "host")
        if message["mode"] != PROXY or type(message["host"]) is not str:
            raise refuse("data", "mode" if message["mode"] != PROXY else "host")
        return cls(trx, message["host"])

    def encode(self) -> str:
        return encode(_message("120", self.trxcode, mode=PROXY, host=self.host))


@dataclass(frozen=True, slots=True)
class M200:
    """2.2.1: the request for a VP. `profile` is there when it was to be included; `image` None: no picture."""

    trxcode: str
    mode: str
    host: str
    profile: str | None = None
    image: str | None = None
    ci: bool = False

    @classmethod
    def parse(cls, text: str) -> M200:
        message = decode(text, limit=LIMIT)
        trx = header(message, "200")
        mode = message.get("mode")
        if mode in (None, ""):
            raise refuse("mandatory", "mode")
        if type(mode) is not str or mode not in MODES:
            raise refuse("data", "mode")
        host, profile, image = (message.get(name) for name in ("host", "profile", "image"))
        if host in (None, "") and profile is None:  # the host may be left out where there is nothing to fetch from it
            raise refuse("mandatory", "host")
        if any(value is not None and type(value) is not str for value in (host, profile, image)):
            raise refuse("data")
        ci = message.get("ci")
        if ci is not None and type(ci) is not bool:
            raise refuse("data", "ci")
        return cls(trx, mode, host or "", profile, image, bool(ci))

    def encode(self) -> str:
        return encode(
            _message(
                "200", self.trxcode, mode=self.mode, profile=self.profile, image=self.image, ci=self.ci, host=self.host
            )
        )


def m310(trx: str) -> dict[str, Any]:
    return _message("310", trx, request="profile")


def m320(trx: str) -> dict[str, Any]:
    return _message("320", trx, request="image")


def m400(trx: str, vp: Mapping[str, Any]) -> dict[str, Any]:
    return _message("400", trx, request="presentation", vp=dict(vp))


def m900(trx: str, errcode: int, errmsg: str) -> dict[str, Any]:
    return _message("900", trx, errcode=errcode, errmsg=errmsg)


@dataclass(frozen=True, slots=True)
class Vp:
    """2.4.1: the one kind we can answer: a VP over a nonce, AES-256 under an agreement on secp256r1. `data` is what the
    open family leaves to its closed libraries; here it holds the encrypted answer of OpenID4VP 1.0 8.3."""

    nonce: str
    data: bytes
    auth: frozenset[str]

    @classmethod
    def parse(cls, value: Any) -> Vp:
        if value in (None, "", {}):
            raise refuse("mandatory", "vp")
        if type(value) is not dict:
            raise refuse("data", "vp")
        for name in ("presentType", "encryptType", "keyType", "type", "data"):
            if value.get(name) in (None, ""):
                raise refuse("mandatory", f"vp.{name}")
        for name, only in (("presentType", DID_VP), ("encryptType", AES_256), ("keyType", SECP256R1)):
            if type(value[name]) is not int or not 0 <= value[name] <= 2:
                raise refuse("data", f"vp.{name}")
            if value[name] != only:
                raise refuse(name, f"vp.{name}")
        if value["type"] != VERIFY:
            raise refuse("vpType", "vp.type")
        for name in ("authType", "nonce"):
            if value.get(name) in (None, "", []):
                raise refuse("mandatory", f"vp.{name}")
        nonce, data = value["nonce"], value["data"]
        if type(nonce) is not str or type(data) is not str or not _HEX.fullmatch(data):
            raise refuse("data", "vp.data" if type(nonce) is str else "vp.nonce")
        return cls(nonce, bytes.fromhex(data), _auth(value["authType"]))

    def encode(self) -> dict[str, Any]:
        return {
            "presentType": DID_VP, "encryptType": AES_256, "keyType": SECP256R1, "authType": sorted(self.auth),
            "nonce": self.nonce, "type": VERIFY, "data": self.data.hex(),
        }  # fmt: skip


def _auth(value: Any) -> frozenset[str]:
    if type(value) is not list or any(type(one) is not str for one in value):
        raise refuse("data", "vp.authType")
    said = frozenset(one.lower() for one in value)
    if not said <= AUTH_TYPES:
        raise refuse("authType", "vp.authType")
    if not said & {"pin", "bio"}:  # what an ordinary profile wants: one of the two, and no face
        raise refuse("authMatch", "vp.authType")
    return said
