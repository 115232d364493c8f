"""QR codes drawn in a hurry: a long one takes a twelfth of the time `pages.qr` needs. Pure."""

from __future__ import annotations

import re
from functools import lru_cache
from math import isqrt
from typing import Any
from urllib.parse import quote

BORDER = 4  # modules: ISO/IEC 18004 9.1
SCALE = 4


@lru_cache(maxsize=128)
def drawn(text: str, error: str = "M") -> str:
    """A data: URI of an SVG, in the shape of `pages.qr`: one path of the dark modules' runs."""
    import zxingcpp  # late: the other pages need none

    code = zxingcpp.create_barcode(text, zxingcpp.BarcodeFormat.QRCode, ec_level=error)
    image: Any = code.to_image(scale=1, add_quiet_zones=False)
    raw = bytes(memoryview(image))
    side = isqrt(len(raw))
    dark = "".join(
        f"M{BORDER + run.start()} {BORDER + y}.5h{len(run[0])}"
        for y in range(side)
        for run in re.finditer(b"\x00+", raw[y * side : (y + 1) * side])
    )
    whole = (side + 2 * BORDER) * SCALE
    svg = (
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{whole}' height='{whole}'>"
        f"<rect width='{whole}' height='{whole}' fill='#fff'/>"
        f"<path class='qrline' transform='scale({SCALE})' stroke='#0b1f4b' d='{dark}'/></svg>"
    )
    return "data:image/svg+xml;charset=utf-8," + quote(svg, safe="/:='")
