"""A stranger's picture file, to pixels.

Promises: what is too large is refused from its header, before anything is decoded; a JPEG is decoded reduced; what
comes out is upright, RGB, of eight bits and no larger than asked, and shows what a screen shows (white behind what is
transparent). Trusts: Pillow's two decoders, and therefore runs in the worker alone. Keeps: nothing. Refuses: every
format but JPEG and PNG, a picture that moves, sixteen bits of grey, a file that is cut.
"""

from __future__ import annotations

from io import BytesIO
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from .values import Reason

Pixels = NDArray[np.uint8]

MOST_BYTES: Final = 8 << 20
MOST_PIXELS_JPEG: Final = 40_000_000  # decoded at an eighth of its size if need be
MOST_PIXELS_PNG: Final = 12_000_000  # decoded whole: 36 million would take half a gigabyte
SIDE: Final = 800  # what faces are looked for in
_ORIENTATION: Final = 0x0112  # TIFF 6.0 section 8, which EXIF takes over
_UPRIGHT: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_EIGHT_BITS: Final = {"1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "CMYK", "YCbCr"}
_TRANSPARENT: Final = {"LA", "La", "PA", "RGBA", "RGBa"}


class Unfit(Exception):
    """A picture, a burst or a face that cannot be used, and why."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.value)
        self.reason = reason


def open_picture(data: bytes, side: int = SIDE) -> Pixels:
    """Height by width by RGB, the longer side at most `side`. Raises Unfit(image-…)."""
    image = _opened(data)
    try:
        if isinstance(image, JpegImageFile):
            image.draft("RGB", (2 * side, 2 * side))
        turn = _UPRIGHT.get(_orientation(image))
        picture = _flat(image)
        picture.thumbnail((side, side))
        return np.asarray(picture if turn is None else picture.transpose(turn))
    except Unfit:
        raise
    except Exception:  # noqa: BLE001 a decoder raises anything over a broken file, and none of it is our bug
        raise Unfit(Reason.IMAGE_UNREADABLE) from None


def size_of(data: bytes) -> tuple[int, int]:
    """Width and height as the header has them, upright. Raises Unfit(image-…)."""
    image = _opened(data)
    turned = _orientation(image) in (5, 6, 7, 8)
    return (image.height, image.width) if turned else (image.width, image.height)


def _opened(data: bytes) -> JpegImageFile | PngImageFile:
    """Header only. The classes are named, not guessed by Pillow: no other decoder ever sees the bytes, and of a
    camera's MPO only its first picture is read."""
    if not data:
        raise Unfit(Reason.IMAGE_EMPTY)
    if len(data) > MOST_BYTES:
        raise Unfit(Reason.IMAGE_TOO_LARGE)
    jpeg = data.startswith(b"\xff\xd8\xff")
    try:
        image = JpegImageFile(BytesIO(data)) if jpeg else PngImageFile(BytesIO(data))
    except Exception:  # noqa: BLE001 as above
        raise Unfit(Reason.IMAGE_UNREADABLE) from None
    if image.width * image.height > (MOST_PIXELS_JPEG if jpeg else MOST_PIXELS_PNG):
        raise Unfit(Reason.IMAGE_TOO_LARGE)
    if getattr(image, "n_frames", 1) != 1 or image.mode not in _EIGHT_BITS:
        raise Unfit(Reason.IMAGE_UNREADABLE)
    return image


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # noqa: BLE001 broken EXIF turns nothing
        return 1


def _flat(image: Image.Image) -> Image.Image:
    if image.mode in _TRANSPARENT or "transparency" in image.info:
        layer = image.convert("RGBA")
        ground = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(ground, layer).convert("RGB")
    return image.convert("RGB")
