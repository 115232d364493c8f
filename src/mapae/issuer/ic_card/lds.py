"""The files of the LDS1 application but the two about keys: COM, DG1, DG2 and DG11 (Doc 9303-10 4.6, 4.7).

Promises: what is read is written again to the same bytes; nothing else is taken. Trusts: nobody; that a file is genuine
is for passive authentication to say. Keeps: nothing. Refuses: wrong check digits, names that cannot be romanised, a
portrait that is no JPEG or too large, text with control characters. The resident number is in none of these files.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import date
from typing import Final, Self

from mapae.errors import Code, Refused
from mapae.issuer.ic_card import tlv
from mapae.issuer.ic_card.mrz import Mrz
from mapae.issuer.ic_card.profile import PROFILE_A, CardProfile

# Doc 9303-10 4.6.1: the tag of each data group
TAGS: Final = {1: 0x61, 2: 0x75, 11: 0x6B, 14: 0x6E}


def com(profile: CardProfile = PROFILE_A) -> bytes:
    """LDS 1.7, Unicode 4.0.0, and which data groups there are (Doc 9303-10 4.6.1)."""
    present = bytes(TAGS[group] for group in profile.groups)
    return tlv.encode(0x60, tlv.join(((0x5F01, b"0107"), (0x5F36, b"040000"), (0x5C, present))))


# --- DG1 ----------------------------------------------------------------------------------------------------------


def dg1(mrz: Mrz) -> bytes:
    return tlv.encode(0x61, tlv.encode(0x5F1F, mrz.encode().encode("ascii")))


def read_dg1(raw: bytes) -> Mrz:
    try:
        text = tlv.only(tlv.only(raw, 0x61), 0x5F1F).decode("ascii")
    except UnicodeDecodeError:
        raise Refused(Code.CHIP_REFUSED, "the machine readable zone has other letters than A to Z") from None
    return Mrz.parse(text)


# --- DG2 ----------------------------------------------------------------------------------------------------------

# Doc 9303-10 4.7.2: patron header 1.1, facial features, owner JTC 1/SC 37, format ISO/IEC 19794-5
_HEADER: Final = tlv.encode(
    0xA1,
    tlv.join(((0x80, b"\x01\x01"), (0x81, b"\x02"), (0x82, b"\x00"), (0x87, b"\x01\x01"), (0x88, b"\x00\x08"))),
)
_RECORD: Final = 46  # bytes of an ISO/IEC 19794-5 record before the picture, with no feature points
SIDES: Final = range(90, 2_049)  # pixels: ISO/IEC 19794-5 A.3.1 asks for 90 between the eyes at the very least


def dg2(jpeg: bytes) -> bytes:
    """One face (ISO/IEC 19794-5:2005 5.4 to 5.7), full frontal, nothing said of sex, eyes and hair."""
    width, height = jpeg_size(jpeg)
    size = _RECORD + len(jpeg)
    face = (size - 14).to_bytes(4, "big") + bytes(16)
    image = b"\x01\x00" + width.to_bytes(2, "big") + height.to_bytes(2, "big") + b"\x01" + bytes(5)
    record = b"FAC\x00010\x00" + size.to_bytes(4, "big") + b"\x00\x01" + face + image + jpeg
    template = tlv.encode(0x7F60, _HEADER + tlv.encode(0x5F2E, record))
    return tlv.encode(0x75, tlv.encode(0x7F61, tlv.encode(0x02, b"\x01") + template))


def read_dg2(raw: bytes) -> bytes:
    """The JPEG."""
    _, template = tlv.exactly(tlv.only(tlv.only(raw, 0x75), 0x7F61), 0x02, 0x7F60)
    _, record = tlv.exactly(template, 0xA1, 0x5F2E)
    jpeg = record[_RECORD:]
    if dg2(jpeg) != raw:
        raise Refused(Code.CHIP_REFUSED, "DG2 is not as the profile writes it")
    return jpeg


def jpeg_size(jpeg: bytes) -> tuple[int, int]:
    """Width and height, when it is a JPEG from its first to its last marker (ITU-T T.81 B.2). The rest of it is for
    whoever decodes it, in a process that may die of it."""
    at = 2
    if jpeg[:2] == b"\xff\xd8" and jpeg[-2:] == b"\xff\xd9":
        while at + 9 <= len(jpeg) and jpeg[at] == 0xFF:
            marker, size = jpeg[at + 1], int.from_bytes(jpeg[at + 2 : at + 4], "big")
            if marker in (0xC0, 0xC1, 0xC2):  # baseline, extended sequential, progressive
                height, width = (
                    int.from_bytes(jpeg[at + 5 : at + 7], "big"),
                    int.from_bytes(jpeg[at + 7 : at + 9], "big"),
                )
                if jpeg[at + 4] == 8 and width in SIDES and height in SIDES:
                    return width, height
                break
            # tables, comments and application data come before the frame; a scan cannot
            if size < 2 or not (0xE0 <= marker <= 0xEF or marker in (0xC4, 0xDB, 0xDD, 0xFE)):
                break
            at += 2 + size
    raise Refused(Code.CHIP_REFUSED, "the portrait is not a JPEG of the size of a portrait")


# --- DG11 ---------------------------------------------------------------------------------------------------------

_NAME, _BIRTH, _ADDRESS = 0x5F0E, 0x5F2B, 0x5F42
_LIST: Final = tlv.encode(0x5C, b"".join(tag.to_bytes(2, "big") for tag in (_NAME, _BIRTH, _ADDRESS)))
_LONGEST: Final = {_NAME: 120, _ADDRESS: 600}  # bytes of UTF-8


@dataclass(frozen=True, slots=True)
class Details:
    """DG11: how the holder's name and address are written in the national script (Doc 9303-10 4.7.11)."""

    name: str
    birth: date
    address: str

    def encode(self) -> bytes:
        fields = ((_NAME, _written(self.name, _NAME)), (_BIRTH, self.birth.strftime("%Y%m%d").encode()),
                  (_ADDRESS, _written(self.address, _ADDRESS)))  # fmt: skip
        return tlv.encode(0x6B, _LIST + tlv.join(fields))

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        _, name, birth, address = tlv.exactly(tlv.only(raw, 0x6B), 0x5C, _NAME, _BIRTH, _ADDRESS)
        try:
            if len(birth) != 8:
                raise ValueError
            day = date(int(birth[:4]), int(birth[4:6]), int(birth[6:]))
            made = cls(name.decode(), day, address.decode())
        except ValueError:  # of date and of UTF-8
            raise Refused(Code.CHIP_REFUSED, "DG11 has no date or no text where it should") from None
        if made.encode() != raw:
            raise Refused(Code.CHIP_REFUSED, "DG11 is not as the profile writes it")
        return made


def _written(text: str, tag: int) -> bytes:
    """One spelling of a text (NFC), with nothing in it that a screen would obey. `<` parts what Doc 9303 parts."""
    raw = text.encode("utf-8", "replace")
    if not 0 < len(raw) <= _LONGEST[tag] or re.search(r"^\s|\s$|\s\s|[<\x00-\x1f\x7f-\x9f]", text):
        raise Refused(Code.CHIP_REFUSED, "a text of DG11 is empty, too long or not one line")
    if unicodedata.normalize("NFC", text) != text or any(
        unicodedata.category(c) in ("Cf", "Cs", "Zl", "Zp") for c in text
    ):
        raise Refused(Code.CHIP_REFUSED, "a text of DG11 is not in its one spelling")
    return raw
