"""Token Status List (draft-ietf-oauth-status-list, wire format of draft-14 to -21): pack, publish, read one entry.

Promises: a list that was decoded fits in the limit and is read by index in constant time. Trusts: nobody; the caller
finds the signer's key and says which list it asked for. Keeps: nothing; the caller keeps decoded lists, never decodes
one for each check. Refuses: bit sizes other than 1, 2, 4 and 8, anything after the compressed data, an index outside
the list, a list for another address or past its end. A list that cannot be relied on is `STATUS_UNKNOWN`, which is
not the same as valid.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from mapae.errors import Code, Refused
from mapae.formats.jose import Jws, PublicKey, Signing, b64u, sign_jws, unb64u, x5c_header

TYP: Final = "statuslist+jwt"
VALID: Final = 0
INVALID: Final = 1
SUSPENDED: Final = 2
RENEW: Final = 3  # application specific in the registry of draft-21 7.1: accepted, refresh asked

MAX_LIST: Final = 16 * 1024 * 1024  # bytes unpacked: 52 million people at 2 bits are 13 MB
MAX_TOKEN: Final = 24 * 1024 * 1024
MAX_INDEX: Final = 2**32
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

    def lst(self) -> str:
        return b64u(zlib.compress(self.packed, 9))  # level 9 is what draft-21 4.1 recommends; once per publication

    @classmethod
    def decode(cls, bits: int, lst: str, *, limit: int = MAX_LIST) -> StatusList:
        inflate = zlib.decompressobj()
        try:
            packed = inflate.decompress(unb64u(lst), limit + 1)
        except zlib.error:
            raise Refused(Code.MALFORMED, "the status list is not compressed data") from None
        if len(packed) > limit:
            raise Refused(Code.TOO_LARGE, "the status list is too large")
        if not inflate.eof or inflate.unused_data:
            raise Refused(Code.MALFORMED, "the status list is cut or has something after it")
        return cls(bits, packed)


def status_claims(list_: StatusList, *, uri: str, now: datetime, life: timedelta, ttl: int) -> dict[str, Any]:
    iat = int(now.timestamp())
    return {
        "sub": uri,
        "iat": iat,
        "exp": iat + int(life.total_seconds()),
        "ttl": ttl,
        "status_list": {"bits": list_.bits, "lst": list_.lst()},
    }


def publish(
    list_: StatusList, signer: Signing, x5c: Sequence[bytes], *, uri: str, now: datetime, life: timedelta, ttl: int
) -> str:
    """The Status List Token as JWT (draft-21 5.1), with the signer's chain without its anchor."""
    header = {"typ": TYP, "kid": signer.kid, "x5c": x5c_header(x5c)}
    return sign_jws(signer, header, status_claims(list_, uri=uri, now=now, life=life, ttl=ttl))


class _List(msgspec.Struct, frozen=True):
    bits: int
    lst: str


class _Claims(msgspec.Struct, frozen=True):
    sub: str
    iat: int
    status_list: _List
    exp: int | None = None
    ttl: int | None = None


@dataclass(frozen=True, slots=True)
class StatusToken:
    """A fetched Status List Token, decoded once; rely on it only after `check`."""

    jws: Jws
    uri: str
    issued_at: int
    expires_at: int | None
    ttl: int | None
    list: StatusList

    @classmethod
    def parse(cls, raw: str | bytes, *, limit: int = MAX_TOKEN, unpacked: int = MAX_LIST) -> StatusToken:
        jws = Jws.parse(raw, typ=TYP, limit=limit)
        said = jws.typed(_Claims)
        if said.ttl is not None and said.ttl <= 0:
            raise Refused(Code.MALFORMED, "ttl is not a positive number")
        decoded = StatusList.decode(said.status_list.bits, said.status_list.lst, limit=unpacked)
        return cls(jws, said.sub, said.iat, said.exp, said.ttl, decoded)

    def encode(self) -> str:
        return self.jws.encode()

    @property
    def x5c(self) -> tuple[bytes, ...]:
        return self.jws.x5c

    def check(self, key: PublicKey, uri: str, now: datetime, *, skew: int = 60) -> None:
        """draft-21 8.3 steps 3 and 4: signed by that key, the list we asked for, and not past its end."""
        self.jws.verify(key)
        at = now.timestamp()
        if self.uri != uri:
            raise Refused(Code.STATUS_UNKNOWN, "this is another status list")
        if self.issued_at > at + skew:
            raise Refused(Code.STATUS_UNKNOWN, "the status list is from the future")
        if self.expires_at is not None and at >= self.expires_at:
            raise Refused(Code.STATUS_UNKNOWN, "the status list is too old")
