"""The Document Security Object: which data groups a card has, signed by the state (Doc 9303-10 4.6.2).

Promises: a SOD that was read is the only one that says what it says: it is taken apart, put together again from what
was found, and compared byte for byte, so no byte of it is free. Trusts: nobody; `passive` says whether a state signed
it. Keeps: nothing. Refuses: everything but one signer, one certificate, SHA-256, ECDSA on P-256 and a signing time.

What is left that could be written in two ways are the numbers of the two signatures (s and n - s both hold). Who does
that has another SOD, whose digest no register of issued cards knows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Self

from mapae.errors import Code, Refused
from mapae.issuer.ic_card import cms, der, tlv
from mapae.issuer.ic_card.profile import PROFILE_A

LDS_SECURITY_OBJECT: Final = "2.23.136.1.1.1"
_SIGNING_TIME: Final = tlv.only(der.oid("1.2.840.113549.1.9.5"), der.OID)


@dataclass(frozen=True, slots=True)
class Sod:
    hashes: Mapping[int, bytes]
    """SHA-256 of each data group, by its number."""
    signed_at: datetime
    signer: bytes
    """The document signer's certificate, DER."""
    signature: bytes
    """r and s."""

    @property
    def signed(self) -> bytes:
        """What the signature is over."""
        return sod_to_sign(self.hashes, self.signed_at)

    def encode(self) -> bytes:
        content, attributes = _security_object(self.hashes), self.signed
        info = cms.assemble(content, LDS_SECURITY_OBJECT, (self.signer,), attributes, self.signature)
        return tlv.encode(0x77, info)

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        if len(raw) > PROFILE_A.largest_sod:
            raise Refused(Code.CHIP_REFUSED, "the security object is too long")
        _, wrapped = tlv.exactly(tlv.only(tlv.only(raw, 0x77), der.SEQUENCE), der.OID, 0xA0)
        _, _, inside, signer, signers = tlv.exactly(
            tlv.only(wrapped, der.SEQUENCE), der.INTEGER, der.SET, der.SEQUENCE, 0xA0, der.SET
        )
        # One certificate and one signer, or `only` refuses.
        tlv.only(signer, der.SEQUENCE)
        _, _, _, attributes, _, signature = tlv.exactly(
            tlv.only(signers, der.SEQUENCE), der.INTEGER, der.SEQUENCE, der.SEQUENCE, 0xA0, der.SEQUENCE, der.OCTETS
        )
        made = cls(_read_hashes(inside), _read_time(attributes), signer, der.read_signature(signature))
        if made.encode() != raw:
            raise Refused(Code.CHIP_REFUSED, "the security object is not as the profile writes it")
        return made


def hashes(groups: Mapping[int, bytes]) -> dict[int, bytes]:
    return {number: hashlib.sha256(groups[number]).digest() for number in sorted(groups)}


def sod_to_sign(hashes: Mapping[int, bytes], signed_at: datetime) -> bytes:
    """For the document signer: the signed attributes, which cover the hashes (RFC 5652 5.4)."""
    digest = hashlib.sha256(_security_object(hashes)).digest()
    return cms.signed_attributes(digest, LDS_SECURITY_OBJECT, signed_at)


def make_sod(hashes: Mapping[int, bytes], signed_at: datetime, sign: cms.Sign, signer: bytes) -> bytes:
    """`sign`: ES256 by the key of `signer`, as `mapae.keys.Signer.sign`."""
    return Sod(hashes, signed_at, signer, sign(sod_to_sign(hashes, signed_at))).encode()


read_sod = Sod.parse


def card_id(raw: bytes) -> bytes:
    """What a register of issued cards knows a card by: SHA-256 of its SOD."""
    return hashlib.sha256(raw).digest()


def _security_object(hashes: Mapping[int, bytes]) -> bytes:
    """LDSSecurityObject, version 0 (Doc 9303-10 4.6.2.3)."""
    listed = (der.sequence(der.integer(number), der.octets(hashes[number])) for number in sorted(hashes))
    return der.sequence(der.integer(0), der.SHA256, der.sequence(*listed))


def _read_hashes(inside: bytes) -> dict[int, bytes]:
    _, content = tlv.exactly(inside, der.OID, 0xA0)
    _, _, listed = tlv.exactly(
        tlv.only(tlv.only(content, der.OCTETS), der.SEQUENCE), der.INTEGER, der.SEQUENCE, der.SEQUENCE
    )
    found: dict[int, bytes] = {}
    for tag, value in tlv.read(listed):
        number, digest = tlv.exactly(value, der.INTEGER, der.OCTETS)
        if tag != der.SEQUENCE or len(number) != 1 or not 1 <= number[0] <= 16 or len(digest) != 32:
            raise Refused(Code.CHIP_REFUSED, "the security object has a hash that is none")
        found[number[0]] = digest
    return found


def _read_time(attributes: bytes) -> datetime:
    for tag, value in tlv.read(attributes):
        name, values = tlv.exactly(value, der.OID, der.SET)
        if tag == der.SEQUENCE and name == _SIGNING_TIME:
            found = tlv.read(values)
            if len(found) == 1:
                return der.read_time(*found[0])
    raise Refused(Code.CHIP_REFUSED, "the security object does not say when it was signed")
