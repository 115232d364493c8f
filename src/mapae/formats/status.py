"""Token Status List (draft-ietf-oauth-status-list, wire format of draft-14 to -21): pack, publish, read one entry.

Promises: a list that was decoded fits in the limit and is read by index in constant time; a token says the same
whether it came as JWT or as CWT. Trusts: nobody; the caller finds the signer's key and says which list it asked for.
Keeps: nothing; the caller keeps decoded lists, never decodes one for each check. Refuses: bit sizes other than 1, 2, 4
and 8, anything after the compressed data, an index outside the list, a list for another address or past its end, a
token under a MAC. A list that cannot be relied on is `STATUS_UNKNOWN`, which is not the same as valid.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from mapae.errors import Code, Refused
from mapae.formats import cbor, cose
from mapae.formats.jose import Jws, Signing, b64u, decode_json, sign_jws, unb64u, x5c_header

TYP: Final = "statuslist+jwt"
TYPE_CWT: Final = "application/statuslist+cwt"
VALID: Final = 0
INVALID: Final = 1
SUSPENDED: Final = 2
RENEW: Final = 3  # application specific in the registry of draft-21 7.1: accepted, refresh asked

MAX_LIST: Final = 16 * 1024 * 1024  # bytes unpacked: 52 million people at 2 bits are 13 MB
MAX_TOKEN: Final = 24 * 1024 * 1024
MAX_INDEX: Final = 2**32
_SEARCHED = 4096  # bytes: shorter lists cost nothing either way
_BITS = (1, 2, 4, 8)


class StatusRef(msgspec.Struct, frozen=True):
    """Where a credential's status is read: which list, which entry."""

    uri: str
    index: int

    @classmethod
    def parse(cls, status: Any) -> StatusRef:
        """The value of the `status` claim (draft-21 6.2), or of `status` in an MSO (6.3)."""
        entry = status.get("status_list") if type(status) is dict else None
        if type(entry) is not dict:
            raise Refused(Code.MALFORMED, "the status is not a place in a status list")
        uri, index = entry.get("uri"), entry.get("idx")
        if not isinstance(uri, str) or not uri or type(index) is not int or not 0 <= index < MAX_INDEX:
            raise Refused(Code.MALFORMED, "the status is not a place in a status list")
        return cls(uri, index)

    def claim(self) -> dict[str, Any]:
        return {"status_list": {"idx": self.index, "uri": self.uri}}


@dataclass(frozen=True, slots=True)
class StatusList:
    """Entries of `bits` bits, the first in the lowest bits of the first byte (draft-21 4.1)."""

    bits: int
    packed: bytes

    def __post_init__(self) -> None:
        if self.bits not in _BITS:
            raise Refused(Code.MALFORMED, "a status has 1, 2, 4 or 8 bits")

    @classmethod
    def of(cls, bits: int, size: int, entries: Iterable[tuple[int, int]]) -> StatusList:
        """`size` entries (rounded up to whole bytes), all 0 but the ones given as (index, status)."""
        return cls(bits, bytes((size * bits + 7) // 8)).changed(entries)

    @property
    def size(self) -> int:
        return len(self.packed) * 8 // self.bits

    def read(self, index: int) -> int:
        bits = self.bits
        at = index * bits
        if index < 0 or at >= len(self.packed) * 8:
            raise Refused(Code.STATUS_UNKNOWN, "the status list has no such entry")  # draft-21 8.3: reject
        return (self.packed[at >> 3] >> (at & 7)) & ((1 << bits) - 1)

    def changed(self, entries: Iterable[tuple[int, int]]) -> StatusList:
        packed, bits, size = bytearray(self.packed), self.bits, self.size
        mask = (1 << bits) - 1
        for index, status in entries:
            if not (0 <= index < size and 0 <= status <= mask):
                raise Refused(Code.MALFORMED, "an entry does not fit the status list")
            at = index * bits
            packed[at >> 3] = packed[at >> 3] & ~(mask << (at & 7)) | status << (at & 7)
        return StatusList(bits, bytes(packed))

    def compressed(self) -> Compressed:
        # The best level, as draft-21 4.1 recommends. What is not zero in a large list is scattered: no strings to find,
        # only runs. Taking just those is 4 % longer at 1 % not valid, and sixty times faster.
        strategy = zlib.Z_RLE if len(self.packed) > _SEARCHED else zlib.Z_DEFAULT_STRATEGY
        deflate = zlib.compressobj(9, strategy=strategy)
        return Compressed(self.bits, deflate.compress(self.packed) + deflate.flush())

    def lst(self) -> str:
        return self.compressed().lst()

    @classmethod
    def decode(cls, bits: int, lst: str | bytes, *, limit: int = MAX_LIST) -> StatusList:
        """From `lst` of a JSON list (text) or of a CBOR list (bytes)."""
        inflate = zlib.decompressobj()
        try:
            packed = inflate.decompress(unb64u(lst) if isinstance(lst, str) else lst, limit + 1)
        except zlib.error:
            raise Refused(Code.MALFORMED, "the status list is not compressed data") from None
        if len(packed) > limit:
            raise Refused(Code.TOO_LARGE, "the status list is too large")
        if not inflate.eof or inflate.unused_data:
            raise Refused(Code.MALFORMED, "the status list is cut or has something after it")
        return cls(bits, packed)


@dataclass(frozen=True, slots=True)
class Compressed:
    """A list as it travels: compressed once, published as often as need be."""

    bits: int
    raw: bytes

    def compressed(self) -> Compressed:
        return self

    def lst(self) -> str:
        return b64u(self.raw)


# --- publishing -------------------------------------------------------------------------------------------------------


Publishable = StatusList | Compressed


def status_claims(
    list_: Publishable, *, uri: str, now: datetime, life: timedelta, ttl: int, aggregation: str | None = None
) -> dict[str, Any]:
    """`aggregation` is where all of the issuer's lists are named (draft-21 9.2)."""
    iat = int(now.timestamp())
    more = {} if aggregation is None else {"aggregation_uri": aggregation}
    return {
        "sub": uri,
        "iat": iat,
        "exp": iat + int(life.total_seconds()),
        "ttl": ttl,
        "status_list": {"bits": list_.bits, "lst": list_.lst(), **more},
    }


def publish(
    list_: Publishable, signer: Signing, x5c: Sequence[bytes], *, uri: str, now: datetime, life: timedelta, ttl: int,
    aggregation: str | None = None,
) -> str:  # fmt: skip
    """The Status List Token as JWT (draft-21 5.1), with the signer's chain without its anchor."""
    header = {"typ": TYP, "kid": signer.kid, "x5c": x5c_header(x5c)}
    claims = status_claims(list_, uri=uri, now=now, life=life, ttl=ttl, aggregation=aggregation)
    return sign_jws(signer, header, claims)


def publish_cwt(
    list_: Publishable, signer: Signing, x5chain: Sequence[bytes], *, uri: str, now: datetime, life: timedelta,
    ttl: int, aggregation: str | None = None,
) -> bytes:  # fmt: skip
    """The same as CWT (draft-21 5.2): a tagged COSE_Sign1."""
    list_ = list_.compressed()
    claims = status_claims(list_, uri=uri, now=now, life=life, ttl=ttl, aggregation=aggregation)
    claims["status_list"] = {**claims["status_list"], "lst": list_.compressed().raw}
    payload = cbor.dumps({label: claims[name] for label, name in _LABELS.items()})
    protected = cbor.dumps({1: cose.ES256, _TYPE: TYPE_CWT})
    signature = signer.sign(cose.to_be_signed(payload, protected))
    unprotected = {4: signer.kid.encode(), cose.X5CHAIN: cose.x5chain_value(tuple(x5chain))}
    return _SIGN1 + cbor.dumps([protected, unprotected, payload, signature])


# --- reading ----------------------------------------------------------------------------------------------------------

_SIGN1, _MAC0 = b"\xd2", b"\xd1"  # RFC 9052 2: the tags, one of which MUST be there (draft-21 5.2)
_TYPE = 16  # RFC 9596: the header parameter typ
# The claims of a CWT (RFC 8392 4, draft-21 14.3) by the names of a JWT.
_LABELS: Final = {2: "sub", 6: "iat", 4: "exp", 65534: "ttl", 65533: "status_list"}


class _List(msgspec.Struct, frozen=True):
    bits: int
    lst: Any  # text in JSON, bytes in CBOR
    aggregation_uri: str | None = None


class _Claims(msgspec.Struct, frozen=True):
    sub: str
    iat: int | float
    status_list: _List
    exp: int | float | None = None
    ttl: int | float | None = None


class _Cwt(msgspec.Struct, frozen=True):
    """A Status List Token as CWT, taken apart."""

    sign1: cose.Sign1
    header: Mapping[Any, Any]
    raw: bytes

    @classmethod
    def parse(cls, raw: bytes, limit: int, algorithms: cose.Algorithms) -> _Cwt:
        sign1 = algorithms.sign1(cbor.loads(raw[1:], limit=limit))
        header = cbor.loads(sign1.protected)
        if header.get(_TYPE) != TYPE_CWT:
            raise Refused(Code.MALFORMED, "the token is of another type")
        return cls(sign1, header, raw)

    def encode(self) -> bytes:
        return self.raw

    def verify(self, key: cose.Key) -> None:
        self.sign1.verify(key)

    @property
    def x5c(self) -> tuple[bytes, ...]:
        """RFC 9360 2: x5chain may stand in either header."""
        if cose.X5CHAIN in self.header:
            return cose.Sign1(self.sign1.protected, self.header, None, b"").x5chain
        return self.sign1.x5chain

    def said(self, limit: int) -> _Claims:
        claims = cbor.loads(self.sign1.payload or b"", limit=limit)
        if type(claims) is not dict:
            raise Refused(Code.MALFORMED, "the claims are not a map")
        named = {name: claims[label] for label, name in _LABELS.items() if label in claims}
        try:
            said = msgspec.convert(named, _Claims)
        except msgspec.ValidationError:
            raise Refused(Code.MALFORMED, "a claim is missing or of the wrong type") from None
        if not isinstance(said.status_list.lst, bytes) or isinstance(said.ttl, float):  # draft-21 5.2: major type 0
            raise Refused(Code.MALFORMED, "a claim is missing or of the wrong type")
        return said


@dataclass(frozen=True, slots=True)
class StatusToken:
    """A fetched Status List Token, decoded once; rely on it only after `check`."""

    sealed: Jws | _Cwt
    uri: str
    issued_at: float
    expires_at: float | None
    ttl: float | None
    aggregation: str | None
    list: StatusList

    @classmethod
    def parse(
        cls, raw: str | bytes, *, limit: int = MAX_TOKEN, unpacked: int = MAX_LIST,
        algorithms: cose.Algorithms = cose.ES256_ONLY,
    ) -> StatusToken:  # fmt: skip
        """Either form: a CWT begins with its tag, where no text does. `algorithms`: what the issuer may sign with."""
        sealed: Jws | _Cwt
        if isinstance(raw, bytes) and raw[:1] == _MAC0:
            raise Refused(Code.UNSUPPORTED, "a token under a MAC is not accepted")
        if isinstance(raw, bytes) and raw[:1] == _SIGN1:
            sealed = _Cwt.parse(raw, limit, algorithms)
            said = sealed.said(limit)
        else:
            sealed = Jws.parse(raw, typ=TYP, limit=limit, algorithms=algorithms.jws)
            said = sealed.typed(_Claims)
            if not isinstance(said.status_list.lst, str):
                raise Refused(Code.MALFORMED, "a member is missing or of the wrong type")
        if not all(moment is None or math.isfinite(moment) for moment in (said.iat, said.exp, said.ttl)):
            # CBOR has "not a number", which is later than nothing: a list that ends then never would.
            raise Refused(Code.MALFORMED, "a time is not a number")
        if said.ttl is not None and said.ttl <= 0:
            raise Refused(Code.MALFORMED, "ttl is not a positive number")
        decoded = StatusList.decode(said.status_list.bits, said.status_list.lst, limit=unpacked)
        return cls(sealed, said.sub, said.iat, said.exp, said.ttl, said.status_list.aggregation_uri, decoded)

    def encode(self) -> str | bytes:
        return self.sealed.encode()

    @property
    def x5c(self) -> tuple[bytes, ...]:
        return self.sealed.x5c

    def check(self, key: cose.Key, uri: str, now: datetime, *, skew: int = 60) -> None:
        """draft-21 8.3 steps 3 and 4: signed by that key, the list we asked for, and not past its end."""
        self.sealed.verify(key)
        at = now.timestamp()
        if self.uri != uri:
            raise Refused(Code.STATUS_UNKNOWN, "this is another status list")
        if self.issued_at > at + skew:
            raise Refused(Code.STATUS_UNKNOWN, "the status list is from the future")
        if self.expires_at is not None and at >= self.expires_at:
            raise Refused(Code.STATUS_UNKNOWN, "the status list is too old")


class _Aggregation(msgspec.Struct, frozen=True):
    status_lists: list[str]


def read_aggregation(raw: bytes) -> tuple[str, ...]:
    """draft-21 9.3: the addresses of an issuer's lists, so that they can be fetched before anybody shows anything."""
    try:
        return tuple(msgspec.convert(decode_json(raw), _Aggregation).status_lists)
    except msgspec.ValidationError:
        raise Refused(Code.MALFORMED, "it is not a list of status lists") from None
