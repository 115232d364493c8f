"""JOSE as far as mapae speaks it: strict base64url and JSON, ES256 compact JWS, P-256 keys and their thumbprints.

Promises: a `Jws` or `PublicKey` that exists is well-formed, in the one spelling we read; `encode()` gives the bytes
that were parsed. Trusts: the engine in `p256.py`. Keeps: a bounded cache of protected headers already parsed (an
issuer's header is the same on every credential). Refuses: padding, spare bits and foreign characters in base64url,
duplicate JSON members, algorithms other than ES256 unless the caller names them (`curves.py` has their keys), `crit`,
and types (`typ`) the caller did not name. Encryption is next door, in `jwe.py`.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

import msgspec
import orjson
import pybase64

from mapae.errors import Code, Refused
from mapae.formats import p256

if TYPE_CHECKING:
    from mapae.formats.curves import CurveKey

T = TypeVar("T")

MAX_JSON = 65_536
MAX_DEPTH = 16
MAX_JWS = 65_536
MAX_HEADER = 16_384  # base64url characters; an x5c of three certificates is about 5,000
MAX_CHAIN = 4  # certificates in one x5c
ES256_NAMES: Final = frozenset({"ES256"})  # RFC 7518 3.4: with a key on P-256 alone

_STRINGS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"')
# By the characters over whole blocks of four. One alone cannot be base64url; after two (three) of them the last has 4
# (2) spare bits that must be zero: RFC 4648 3.5.
_PADDING = ("", "?", "==", "=")
_FILLING = ("", "AAA", "AA", "A")
_LAST = ("", "", "AQgw", "AEIMQUYcgkosw048")


class Signing(Protocol):
    """Whoever holds a P-256 private key: mapae.keys.Signer, a phone, a test."""

    @property
    def kid(self) -> str: ...

    @property
    def jwk(self) -> Mapping[str, str]: ...

    def sign(self, message: bytes) -> bytes:
        """ES256 over message: 64 bytes, r then s."""
        ...


# --- base64url and JSON -------------------------------------------------------------------------------------------


_encode, _decode = pybase64.b64encode_as_string, pybase64.b64decode  # 3 to 6 times as fast as base64's own


def b64u(raw: bytes) -> str:
    return _encode(raw, b"-_").rstrip("=")


def unb64u(text: str | bytes) -> bytes:
    """Base64url without padding (RFC 7515 2), in its one spelling."""
    try:
        if isinstance(text, bytes):
            text = text.decode("ascii")
        if "+" in text or "/" in text:  # pybase64 reads the standard alphabet as well
            raise ValueError
        raw = _decode(text + _PADDING[len(text) & 3], b"-_", True)
    except ValueError:
        raise Refused(Code.MALFORMED, "base64url has a foreign character or an impossible length") from None
    # The decoder also takes padding, and spare bits in the last character (RFC 4648 3.5). Encoding is so quick that
    # writing it again is the cheapest way to allow one spelling.
    if _encode(raw, b"-_").rstrip("=") != text:
        raise Refused(Code.MALFORMED, "base64url has padding, or spare bits that are not zero")
    return raw


def unb64u_each(texts: Sequence[str]) -> list[bytes]:
    """`unb64u` of each, with one call into the library: of short texts the call takes longer than the work."""
    whole = "".join([text + _FILLING[len(text) & 3] for text in texts])
    try:
        if "+" in whole or "/" in whole or "=" in whole:
            raise ValueError
        raw = _decode(whole, b"-_", True)
    except ValueError:
        raise Refused(Code.MALFORMED, "base64url has a foreign character") from None
    found, at = [], 0
    for text in texts:
        size = len(text)
        if size & 3 and text[-1] not in _LAST[size & 3]:
            raise Refused(Code.MALFORMED, "base64url has an impossible length, or spare bits that are not zero")
        found.append(raw[at : at + size * 3 // 4])
        at += (size + 3) // 4 * 3
    return found


def encode_json(value: Any) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError:  # orjson.JSONEncodeError: bytes, half a surrogate pair, an integer over 64 bits
        raise Refused(Code.LINT, "a value cannot be written as JSON") from None


def decode_json(raw: bytes | str, *, limit: int = MAX_JSON, depth: int = MAX_DEPTH) -> dict[str, Any]:
    """A JSON object (RFC 8259, UTF-8) without duplicate members, within limits."""
    value = decode_json_value(raw, limit=limit, depth=depth)
    if type(value) is not dict:
        raise Refused(Code.MALFORMED, "JSON is not an object")
    return value


def decode_json_value(raw: bytes | str, *, limit: int = MAX_JSON, depth: int = MAX_DEPTH) -> Any:
    """Any JSON value, by the same rules as `decode_json`."""
    try:
        data = raw if type(raw) is bytes else raw.encode() if isinstance(raw, str) else bytes(raw)
    except UnicodeEncodeError:
        raise Refused(Code.MALFORMED, "JSON is not UTF-8") from None
    if len(data) > limit:
        raise Refused(Code.TOO_LARGE, "JSON is too large")
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        raise Refused(Code.MALFORMED, "not JSON") from None
    if b":" not in data and data.count(b"[") <= depth:  # no members at all, as in most disclosures: nothing comes twice
        return value
    # A decoder drops duplicate members silently. Where encoding gives the same text again, none was dropped; that is
    # so for whoever writes JSON without spaces. Brackets inside strings only make the count too high.
    if data.count(b"{") + data.count(b"[") <= depth and orjson.dumps(value) == data:
        return value
    # Otherwise we count. Without escapes, and with no quote before white space, every member shows `":` once; a text
    # that begins with a colon adds to that. So where there are exactly as many as members were decoded, none came
    # twice. Otherwise count exactly.
    if b"\\" not in data and not _spaced(data) and data.count(b'":') == _members(value, depth):
        return value
    _no_member_twice(data, value, depth)
    return value


def _spaced(data: bytes) -> bool:
    """Whether white space may follow a quote. The last three cannot stand inside a JSON string."""
    return b'" ' in data or b"\n" in data or b"\t" in data or b"\r" in data


def _members(value: Any, depth: int) -> int:
    """How many members all objects in `value` have."""
    kind = type(value)
    if kind is not dict and kind is not list:
        return 0
    if depth <= 0:
        raise Refused(Code.TOO_LARGE, "JSON is nested too deeply")
    count = 0
    if kind is dict:
        count = len(value)
        value = value.values()
    for item in value:
        kind = type(item)
        if kind is dict or kind is list:
            count += _members(item, depth - 1)
    return count


def _no_member_twice(data: bytes, value: Any, depth: int) -> None:
    """Every member has one colon outside strings, so fewer members than such colons means a name came twice. Without
    escapes, the colons inside strings are those of the decoded ones; with escapes (a colon may hide as \\u003a) the
    strings are cut out first."""
    plain = b"\\" not in data
    if (data if plain else _STRINGS.sub(b"", data)).count(b":") != _colons(value, depth, plain):
        raise Refused(Code.MALFORMED, "a JSON member appears twice")


def _colons(value: Any, depth: int, strings: bool) -> int:
    """How many colons the text of `value` needs: one a member, and with `strings` those inside names and texts."""
    kind = type(value)
    if kind is str:
        return value.count(":") if strings else 0
    if kind is not dict and kind is not list:
        return 0
    if depth <= 0:
        raise Refused(Code.TOO_LARGE, "JSON is nested too deeply")
    count = 0
    if kind is dict:
        count = len(value)
        if strings:
            for name in value:
                count += name.count(":")
        value = value.values()
    for item in value:
        inner = type(item)
        if inner is str:
            if strings:
                count += item.count(":")
        elif inner is dict or inner is list:
            count += _colons(item, depth - 1, strings)
    return count


# --- keys ---------------------------------------------------------------------------------------------------------


class PublicKey(p256.Point):
    """A point on P-256, as JOSE writes it. Two keys are equal when their coordinates are."""

    __slots__ = ()

    @classmethod
    def from_jwk(cls, jwk: Any) -> PublicKey:
        """RFC 7517 and 7518 6.2.1. A private member is refused: a key that was sent around is not a key."""
        if type(jwk) is not dict and not isinstance(jwk, Mapping):  # asking an abstract class takes long
            raise Refused(Code.MALFORMED, "a JWK is not an object")
        if jwk.get("kty") != "EC" or jwk.get("crv") != "P-256":
            raise Refused(Code.UNSUPPORTED, "the key is not on P-256")
        if "d" in jwk:
            raise Refused(Code.MALFORMED, "the key contains its private part")
        if jwk.get("alg", "ES256") not in ("ES256", "ECDH-ES"):
            raise Refused(Code.UNSUPPORTED, "the key is for another algorithm")
        x, y = jwk.get("x"), jwk.get("y")
        if not (isinstance(x, str) and isinstance(y, str) and len(x) == 43 and len(y) == 43):
            raise Refused(Code.MALFORMED, "a coordinate is not 32 bytes")
        # Both at once: an "A" makes each a whole block, and its zero bits show whether the spare bits before were zero.
        both = unb64u(f"{x}A{y}A")
        if both[32] or both[65]:
            raise Refused(Code.MALFORMED, "base64url has padding, or spare bits that are not zero")
        return cls(both[:32], both[33:65])

    @classmethod
    def from_point(cls, point: bytes) -> PublicKey:
        """SEC 1 2.3.4: 65 bytes, or 33 compressed."""
        return cls(*p256.coordinates(point))

    @classmethod
    def from_crypto(cls, key: object) -> PublicKey:
        return cls.of(key)

    @property
    def jwk(self) -> dict[str, str]:
        return {"kty": "EC", "crv": "P-256", "x": b64u(self.x), "y": b64u(self.y)}

    @property
    def thumbprint_raw(self) -> bytes:
        """RFC 7638: SHA-256 over the required members in order."""
        text = '{"crv":"P-256","kty":"EC","x":"%s","y":"%s"}' % (b64u(self.x), b64u(self.y))  # noqa: UP031
        return hashlib.sha256(text.encode()).digest()

    @property
    def thumbprint(self) -> str:
        return b64u(self.thumbprint_raw)

    def verify(self, signature: bytes, message: bytes) -> None:
        """ES256 (RFC 7518 3.4): 64 bytes, r then s."""
        if not self.fits(signature, message):
            short = len(signature) != 64
            raise Refused(
                Code.BAD_SIGNATURE, "the signature is not 64 bytes" if short else "the signature does not fit"
            )


def thumbprint(jwk: Mapping[str, Any]) -> str:
    return PublicKey.from_jwk(jwk).thumbprint


# --- JWS ----------------------------------------------------------------------------------------------------------


class _Header:
    """A protected header without extensions. One object for all tokens with the same header."""

    __slots__ = ("_chain", "alg", "members", "typ")

    def __init__(self, segment: str) -> None:
        if len(segment) > MAX_HEADER:
            raise Refused(Code.TOO_LARGE, "the token's header is too large")
        self.members = MappingProxyType(decode_json(unb64u(segment), limit=MAX_HEADER))
        self.alg = self.members.get("alg")
        if "crit" in self.members or "b64" in self.members:  # RFC 7515 4.1.11: we understand no extension
            raise Refused(Code.UNSUPPORTED, "the token asks for an extension")
        self.typ = self.members.get("typ")
        self._chain: tuple[bytes, ...] | None = None

    @property
    def chain(self) -> tuple[bytes, ...]:
        if self._chain is None:
            self._chain = read_x5c(self.members.get("x5c"))
        return self._chain

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Header) and self.members == other.members

    __hash__ = None  # type: ignore[assignment]


_header = lru_cache(maxsize=512)(_Header)


def read_x5c(value: Any) -> tuple[bytes, ...]:
    """RFC 7515 4.1.6: standard base64 with padding, unlike everything else in JOSE."""
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_CHAIN:
        raise Refused(Code.MALFORMED, "x5c is missing or not a short list")
    chain = []
    for item in value:
        try:
            der = pybase64.b64decode(item, validate=True) if isinstance(item, str) else b""
        except ValueError:
            der = b""
        if not der or b64encode(der).decode() != item:
            raise Refused(Code.MALFORMED, "x5c holds something that is not base64")
        chain.append(der)
    return tuple(chain)


def x5c_header(chain_der: Sequence[bytes]) -> list[str]:
    return [b64encode(der).decode() for der in chain_der]


def token_parts(
    text: str, typ: str | Collection[str] | None, limit: int, algorithms: frozenset[str] = ES256_NAMES
) -> tuple[_Header, bytes, str, str]:
    """A compact JWS taken apart: its header judged, what was signed, payload and signature still to be decoded."""
    if len(text) > limit:
        raise Refused(Code.TOO_LARGE, "the token is too large")
    first, last = text.find("."), text.rfind(".")
    body = text[first + 1 : last]
    if first == last or "." in body:
        raise Refused(Code.MALFORMED, "a token has three parts")
    header = _header(text[:first])
    if type(header.alg) is not str or header.alg not in algorithms:
        wanted = "only ES256 is accepted" if algorithms is ES256_NAMES else "the token's algorithm is not one we accept"
        raise Refused(Code.UNSUPPORTED, wanted)
    kind = header.typ
    if kind != typ and (typ is None or isinstance(typ, str) or not isinstance(kind, str) or kind not in typ):
        raise Refused(Code.MALFORMED, "the token is of another type")
    if not text.isascii():
        raise Refused(Code.MALFORMED, "the token has a foreign character")
    return header, text[:last].encode(), body, text[last + 1 :]


class Jws(msgspec.Struct, frozen=True):
    """A compact JWS (RFC 7515 7.1) by an algorithm that the caller accepts. Parsed; verified only by `verify`."""

    protected: _Header
    payload: bytes
    signature: bytes
    signing_input: bytes

    @classmethod
    def parse(
        cls, token: str | bytes, *, typ: str | Collection[str] | None, limit: int = MAX_JWS,
        algorithms: frozenset[str] = ES256_NAMES,
    ) -> Jws:  # fmt: skip
        """`typ` None: the header must name no type. `algorithms`: as `cose.Algorithms.jws` has them."""
        try:
            text = token if isinstance(token, str) else token.decode("ascii")
        except UnicodeError:
            raise Refused(Code.MALFORMED, "the token has a foreign character") from None
        header, signed, body, seal = token_parts(text, typ, limit, algorithms)
        payload, signature = unb64u_each((body, seal))
        return cls(header, payload, signature, signed)

    @property
    def header(self) -> Mapping[str, Any]:
        return self.protected.members

    def encode(self) -> str:
        return jws_complete(self.signing_input, self.signature)

    @property
    def algorithm(self) -> str:
        return str(self.protected.alg)

    def verify(self, key: PublicKey | CurveKey) -> None:
        """By the one algorithm of the key's curve, and only if the header names it (RFC 8725 3.1)."""
        names = ES256_NAMES if isinstance(key, PublicKey) else key.curve.jws
        if self.protected.alg not in names:
            raise Refused(Code.BAD_SIGNATURE, "the algorithm is not the one of the key's curve")
        key.verify(self.signature, self.signing_input)

    def claims(self) -> dict[str, Any]:
        return decode_json(self.payload, limit=len(self.payload))  # bounded by parse already

    def typed(self, type_: type[T]) -> T:
        """The payload as a msgspec Struct: as strict as `claims`, with the members' types checked too."""
        try:
            return msgspec.convert(self.claims(), type_)
        except msgspec.ValidationError:
            raise Refused(Code.MALFORMED, "a member is missing or of the wrong type") from None

    @property
    def x5c(self) -> tuple[bytes, ...]:
        return self.protected.chain

    @property
    def jwk(self) -> PublicKey:
        return PublicKey.from_jwk(self.header.get("jwk"))

    @property
    def kid(self) -> str | None:
        kid = self.header.get("kid")
        if kid is not None and not isinstance(kid, str):
            raise Refused(Code.MALFORMED, "kid is not a string")
        return kid


def jws_input(header: Mapping[str, Any], payload: bytes | Mapping[str, Any]) -> bytes:
    """What is signed: pair with `jws_complete` where the signature comes from elsewhere."""
    body = payload if isinstance(payload, bytes) else encode_json(payload)
    return f"{b64u(encode_json({'alg': 'ES256', **header}))}.{b64u(body)}".encode()


def jws_complete(signing_input: bytes, signature: bytes) -> str:
    return f"{signing_input.decode('ascii')}.{b64u(signature)}"


def sign_jws(signer: Signing, header: Mapping[str, Any], payload: bytes | Mapping[str, Any]) -> str:
    message = jws_input(header, payload)
    return jws_complete(message, signer.sign(message))


def check_times(
    claims: Mapping[str, Any],
    now: datetime,
    *,
    skew: int = 60,
    need: Collection[str] = (),
    max_age: int | None = None,
) -> None:
    """RFC 7519 4.1.4 to 4.1.6: exp, nbf and iat against `now`; `max_age` bounds the age by iat."""
    at = now.timestamp()
    times: dict[str, float] = {}
    for name in ("exp", "nbf", "iat"):
        value = claims.get(name)
        if value is None and name not in claims:
            if name in need or (name == "iat" and max_age is not None):
                raise Refused(Code.MALFORMED, f"{name} is missing")
            continue
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise Refused(Code.MALFORMED, f"{name} is not a time")
        times[name] = value
    if "exp" in times and at >= times["exp"] + skew:
        raise Refused(Code.EXPIRED, "it has expired")
    if times.get("nbf", at) > at + skew or times.get("iat", at) > at + skew:
        raise Refused(Code.NOT_YET_VALID, "it is not valid yet")
    if max_age is not None and at > times["iat"] + max_age + skew:
        raise Refused(Code.EXPIRED, "it was made too long ago")
