"""What is signed into a chip, and the portrait that fits one.

Promises: the hashes are computed here, from the register's facts, so that nothing a factory says is signed unseen; the
same photo gives the same bytes. Trusts: the register's facts. Keeps: nothing. Refuses: a data group 14 that cannot be
read, a photo that is no picture.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Final, Protocol

from PIL import Image, ImageOps, UnidentifiedImageError

from mapae.errors import Code, Refused
from mapae.issuer.ic_card import infos, lds, sod
from mapae.issuer.ic_card.mrz import Mrz

from .partners import CardData

LARGEST_PORTRAIT: Final = 20 * 1024  # with its header it fits what a chip holds
MOST_PIXELS: Final = 16_000_000
MOST_SCANS: Final = 32  # of a progressive picture: a camera makes ten, and each is decoded over all its pixels
_SCAN: Final = b"\xff\xda"  # ITU-T T.81 B.1.1.3: start of scan
_SIZES: Final = ((360, 466), (300, 386), (240, 308), (180, 231))
_QUALITIES: Final = (85, 70, 55)


class Sealing(Protocol):
    """Knows the chip's data groups, and signs over them."""

    def hashes(self, data: CardData, dg14: bytes) -> dict[int, bytes]:
        """SHA-256 by number of each data group as it must be. Raises Refused(CHIP_REFUSED) for what fits no chip."""
        ...

    def chip_key(self, dg14: bytes) -> bytes:
        """The uncompressed public point. Raises Refused(CHIP_REFUSED)."""
        ...

    async def sign(self, hashes: Mapping[int, bytes]) -> bytes:
        """EF.SOD over these hashes."""
        ...


class Groups:
    """Profile A's data groups. `state`: who issues the card, three letters."""

    def __init__(self, state: str) -> None:
        self._state = state

    def hashes(self, data: CardData, dg14: bytes) -> dict[int, bytes]:
        mrz = Mrz.of(
            state=self._state, number=data.number, birth=data.birth_date, sex=data.sex, expires=data.expires,
            nationality=data.nationality, name_latin=data.name_latin,
        )  # fmt: skip
        details = lds.Details(data.name, data.birth_date, data.address)
        return sod.hashes({1: lds.dg1(mrz), 2: lds.dg2(data.portrait), 11: details.encode(), 14: dg14})

    def chip_key(self, dg14: bytes) -> bytes:
        return infos.read_dg14(dg14).encode()


def must_have_few_scans(jpeg: bytes) -> None:
    """Asked before anything is decoded. Raises Refused(PHOTO_REFUSED)."""
    if jpeg.count(_SCAN) > MOST_SCANS:
        raise Refused(Code.PHOTO_REFUSED, "the photo has too many scans", step="unreadable")


def portrait(jpeg: bytes) -> bytes:
    """A photo written anew: upright, without metadata, as large as a chip takes it. Raises Refused(PHOTO_REFUSED)."""
    must_have_few_scans(jpeg)
    try:
        with Image.open(io.BytesIO(jpeg), formats=("JPEG",)) as opened:
            if opened.width * opened.height > MOST_PIXELS:
                raise Refused(Code.PHOTO_REFUSED, "the photo has too many pixels", step="too-large")
            picture = ImageOps.exif_transpose(opened).convert("RGB")
    except Image.DecompressionBombError as error:
        raise Refused(Code.PHOTO_REFUSED, "the photo has too many pixels", step="too-large") from error
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise Refused(Code.PHOTO_REFUSED, "the photo cannot be read", step="unreadable") from error
    for size in _SIZES:
        picture.thumbnail(size)
        for quality in _QUALITIES:
            out = io.BytesIO()
            picture.save(out, "JPEG", quality=quality)
            if out.tell() <= LARGEST_PORTRAIT:
                return out.getvalue()
    raise Refused(Code.PHOTO_REFUSED, "the photo does not fit a chip", step="too-large")
