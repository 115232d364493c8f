"""What a chip says of its protocols: EF.CardAccess before anything is protected, DG14 under the SOD's signature
(Doc 9303-11 9.2).

Promises: `read_dg14` takes one encoding. Trusts: nobody for EF.CardAccess, which anybody may have changed on the way;
that is why `must_match` compares it with DG14 afterwards. Keeps: nothing. Refuses: protocols, versions and curves that
are not the profile's, and a card that offered other passwords' protocols outside than inside (a downgrade).
"""

from __future__ import annotations

from typing import Final

from mapae.errors import Code, Refused
from mapae.issuer.ic_card import der, tlv
from mapae.issuer.ic_card.ec import SIZE, Curve, Point
from mapae.issuer.ic_card.profile import PROFILE_A, CardProfile

LARGEST_ACCESS: Final = 1_024
_ID_PACE: Final = bytes.fromhex("04007f0007020204")  # 0.4.0.127.0.7.2.2.4, what all PACE protocols begin with
_ID_PK_ECDH: Final = bytes.fromhex("04007f000702020102")
_EC_PUBLIC_KEY: Final = der.oid("1.2.840.10045.2.1")
_PRIME_FIELD: Final = der.oid("1.2.840.10045.1.1")


def card_access(profile: CardProfile = PROFILE_A) -> bytes:
    return der.set_of([_pace(profile)])


def dg14(key: Point, profile: CardProfile = PROFILE_A) -> bytes:
    """The chip's public key, how it is used, and again what EF.CardAccess says."""
    reference = der.integer(profile.key_ref)
    how = der.sequence(tlv.encode(der.OID, profile.chip_auth_oid), der.integer(1), reference)
    what = der.sequence(tlv.encode(der.OID, _ID_PK_ECDH), _public_key(key), reference)
    return tlv.encode(0x6E, der.set_of([_pace(profile), how, what]))


def read_card_access(raw: bytes, profile: CardProfile = PROFILE_A) -> Curve:
    """The curve for PACE. Other protocols may stand beside ours; a card without ours is refused."""
    if _pace(profile) not in _infos(raw, LARGEST_ACCESS):
        raise Refused(Code.CHIP_REFUSED, "the card does not speak our PACE", step="card_access")
    return profile.curve


def read_dg14(raw: bytes, profile: CardProfile = PROFILE_A) -> Point:
    """The key of Chip Authentication, when DG14 is the profile's to the byte."""
    for info in _infos(tlv.only(raw, 0x6E), 1_024):
        parts = tlv.read(tlv.only(info, der.SEQUENCE))
        if parts[0] == (der.OID, _ID_PK_ECDH) and len(parts) == 3:
            _, bits = tlv.exactly(parts[1][1], der.SEQUENCE, der.BITS)
            key = profile.curve.read(bits[1:])
            if dg14(key, profile) == raw:
                return key
    raise Refused(Code.CHIP_REFUSED, "DG14 is not as the profile writes it")


def must_match(access: bytes, group: bytes) -> None:
    """EF.CardAccess, as it was read before PACE, against DG14, which has all of it again (Doc 9303-11 9.2.11): nothing
    in it that DG14 has not, and no way of PACE left out. Otherwise somebody on the way may have made the terminal use a
    weaker one."""
    offered, signed = _infos(access, LARGEST_ACCESS), _infos(tlv.only(group, 0x6E), 1_024)
    ways = {info for info in signed if tlv.read(tlv.only(info, der.SEQUENCE))[0][1].startswith(_ID_PACE)}
    if not ways <= offered <= signed:
        raise Refused(Code.CHIP_REFUSED, "the card offers other protocols than its signed list", step="card_access")


def _infos(raw: bytes, largest: int) -> set[bytes]:
    """SecurityInfos: a SET OF SEQUENCE, each beginning with its protocol (Doc 9303-11 9.2)."""
    if len(raw) > largest:
        raise Refused(Code.CHIP_REFUSED, "a list of protocols is too long")
    found = set()
    for tag, value in tlv.read(tlv.only(raw, der.SET)):
        parts = tlv.read(value)
        if tag != der.SEQUENCE or not parts or parts[0][0] != der.OID:
            raise Refused(Code.CHIP_REFUSED, "a list of protocols has something else in it")
        found.add(tlv.encode(tag, value))
    return found


def _pace(profile: CardProfile) -> bytes:
    """Doc 9303-11 9.2.1: version 2, and the number of the standardized domain parameters."""
    return der.sequence(tlv.encode(der.OID, profile.pace_oid), der.integer(2), der.integer(profile.curve.parameter))


def _public_key(key: Point) -> bytes:
    """SubjectPublicKeyInfo with the curve spelled out, in the ECParameters of RFC 3279 2.3.5 (Doc 9303-11 9.5.2, which
    forbids to name it). Its number would do by 9.5.1, but readers in the field take that in PACEInfo alone."""
    curve = key.curve
    field = der.sequence(_PRIME_FIELD, der.integer(curve.p))
    numbers = (der.octets(number.to_bytes(SIZE, "big")) for number in (curve.a, curve.b))
    generator, order, cofactor = der.octets(curve.g.encode()), der.integer(curve.n), der.integer(1)
    parameters = der.sequence(der.integer(1), field, der.sequence(*numbers), generator, order, cofactor)
    return der.sequence(der.sequence(_EC_PUBLIC_KEY, parameters), der.bits(key.encode()))
