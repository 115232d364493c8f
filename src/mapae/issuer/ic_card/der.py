"""DER for what this package signs: CMS, certificates' outsides, revocation lists (X.690 10 and 11).

Promises: one encoding for one value. Trusts: its callers for the order of a SEQUENCE. Keeps: nothing. Refuses: in
reading, what `tlv` refuses; a certificate or a signature whose outside is not in its one encoding.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from mapae.errors import Code, Refused
from mapae.formats import p256
from mapae.issuer.ic_card import tlv

INTEGER, BITS, OCTETS, NULL, OID, TEXT, PRINTABLE, UTC_TIME, LONG_TIME = 2, 3, 4, 5, 6, 12, 19, 0x17, 0x18
SEQUENCE, SET = 0x30, 0x31
EXPLICIT: Final = 0xA0  # plus the number: [0], constructed


def sequence(*parts: bytes) -> bytes:
    return tlv.encode(SEQUENCE, b"".join(parts))


def set_of(parts: Iterable[bytes]) -> bytes:
    """X.690 11.6: ascending."""
    return tlv.encode(SET, b"".join(sorted(parts)))


def explicit(number: int, value: bytes) -> bytes:
    return tlv.encode(EXPLICIT | number, value)


def integer(value: int) -> bytes:
    """X.690 8.3.2: the fewest bytes; ours are never negative."""
    return tlv.encode(INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def octets(value: bytes) -> bytes:
    return tlv.encode(OCTETS, value)


def bits(value: bytes) -> bytes:
    """Whole bytes of them."""
    return tlv.encode(BITS, b"\x00" + value)


@lru_cache(maxsize=64)
def oid(dotted: str) -> bytes:
    """X.690 8.19, with its tag."""
    first, second, *rest = map(int, dotted.split("."))
    encoded = bytearray()
    for arc in (40 * first + second, *rest):
        groups = [arc & 0x7F]
        while arc := arc >> 7:
            groups.append(0x80 | arc & 0x7F)
        encoded += bytes(reversed(groups))
    return tlv.encode(OID, bytes(encoded))


def time(at: datetime) -> bytes:
    """RFC 5280 4.1.2.5 and RFC 5652 11.3: in whole seconds, UTCTime until 2049."""
    at = at.astimezone(UTC)
    if 1950 <= at.year < 2050:
        return tlv.encode(UTC_TIME, at.strftime("%y%m%d%H%M%SZ").encode())
    return tlv.encode(LONG_TIME, at.strftime("%Y%m%d%H%M%SZ").encode())


def read_time(tag: int, value: bytes) -> datetime:
    try:
        raw = value.decode("ascii")
        if tag == UTC_TIME:
            raw = ("19" if raw[:2] >= "50" else "20") + raw
        elif tag != LONG_TIME:
            raise ValueError
        at = datetime.strptime(raw, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise Refused(Code.CHIP_REFUSED, "a time is not one") from None
    if time(at) != tlv.encode(tag, value):
        raise Refused(Code.CHIP_REFUSED, "a time is not in its one encoding")
    return at


# RFC 5754 2.2 and RFC 5758 3.2: no parameters, not even NULL
SHA256: Final = sequence(oid("2.16.840.1.101.3.4.2.1"))
ECDSA_SHA256: Final = sequence(oid("1.2.840.10045.4.3.2"))


def read_signature(der: bytes) -> bytes:
    """ECDSA-Sig-Value (RFC 3279 2.2.3) as r and s, 64 bytes."""
    numbers = tlv.exactly(tlv.only(der, SEQUENCE), INTEGER, INTEGER)
    raw = b"".join(number[-32:].rjust(32, b"\x00") for number in numbers)
    if not p256.well_formed(raw) or p256.to_der(raw) != der:
        raise Refused(Code.CHIP_REFUSED, "a signature is not in its one encoding")
    return raw


@dataclass(frozen=True, slots=True)
class Outside:
    """What of a certificate or revocation list lies around the signed part, and the parts of the signed one we name it
    by. The outside has no signature over it, so it is taken in one encoding only."""

    signed: bytes
    signature: bytes
    parts: tuple[tlv.Item, ...]
    """Of the signed part, in their order."""

    @classmethod
    def parse(cls, der: bytes) -> Outside:
        found = tlv.read(tlv.only(der, SEQUENCE))
        if [tag for tag, _ in found] != [SEQUENCE, SEQUENCE, BITS]:
            raise Refused(Code.CHIP_REFUSED, "not a certificate we can read")
        (_, signed), _, (_, signature) = found
        made = cls(tlv.encode(SEQUENCE, signed), read_signature(signature[1:]), tuple(tlv.read(signed)))
        if made.encode() != der:
            raise Refused(Code.CHIP_REFUSED, "a certificate is not in its one encoding, or not by ECDSA with SHA-256")
        return made

    def encode(self) -> bytes:
        return sequence(self.signed, ECDSA_SHA256, bits(p256.to_der(self.signature)))

    @property
    def issuer(self) -> bytes:
        """Of a certificate: its parts are [0] version, serial number, algorithm, issuer .. (RFC 5280 4.1)."""
        if [tag for tag, _ in self.parts[:4]] != [EXPLICIT, INTEGER, SEQUENCE, SEQUENCE]:
            raise Refused(Code.CHIP_REFUSED, "not a certificate of version 3")
        return tlv.encode(*self.parts[3])

    @property
    def issuer_and_serial(self) -> bytes:
        """RFC 5652 10.2.4."""
        return sequence(self.issuer, tlv.encode(*self.parts[1]))
