"""Reading the code off a temporary certificate, as a scanner does."""

from __future__ import annotations

import io
from typing import Any

import numpy
import zxingcpp
from PIL import Image
from pyhanko.pdf_utils.reader import PdfFileReader


def scanned(pdf: bytes) -> str:
    """What a scanner reads off the page."""
    # Among so many modules a reader of all kinds sees an EAN-13 in one code of four hundred.
    found = zxingcpp.read_barcodes(Image.fromarray(_code_on(pdf)), formats=zxingcpp.BarcodeFormat.QRCode)
    assert len(found) == 1
    return str(found[0].text)


def _code_on(pdf: bytes) -> Any:
    """The code's modules, from the rectangles the page draws."""
    page = PdfFileReader(io.BytesIO(pdf)).root["/Pages"]["/Kids"][0]
    words = page["/Contents"].data.decode("latin-1").split()
    rectangles = [tuple(map(float, words[at - 4 : at])) for at, word in enumerate(words) if word == "re"]
    unit = min(height for _, _, _, height in rectangles)
    modules = [
        (x + step * unit, y)
        for x, y, width, height in rectangles
        if abs(height - unit) < 0.01 and width < 100 * unit
        for step in range(round(width / unit))
    ]
    left, top = min(x for x, _ in modules), max(y for _, y in modules)
    side = max(round((x - left) / unit) for x, _ in modules) + 1
    picture = numpy.full((side + 8, side + 8), 255, dtype=numpy.uint8)
    for x, y in modules:
        picture[round((top - y) / unit) + 4, round((x - left) / unit) + 4] = 0
    return numpy.kron(picture, numpy.ones((4, 4), dtype=numpy.uint8))
