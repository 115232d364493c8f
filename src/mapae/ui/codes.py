"""QR codes of pages. Pure."""

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
    """A data: URI of an SVG. Error level M: a phone reads it off a scratched tablet.

    Kept for a while: a page that looks for news every second shows the same code.
    """
    import zxingcpp  # late: the other pages need none, and `mapae.verify` does without

    code = zxingcpp.create_barcode(text, zxingcpp.BarcodeFormat.QRCode, ec_level=error)
    image: Any = code.to_image(scale=1, add_quiet_zones=False)
    raw = bytes(memoryview(image))
    side = isqrt(len(raw))
    dark, x, y = f"M{BORDER} {BORDER}.5", 0, 0
    for row in range(side):
        for run in re.finditer(b"\x00+", raw[row * side : (row + 1) * side]):
            dark += f"m{run.start() - x} {row - y}h{len(run[0])}"
            x, y = run.end(), row
    whole = (side + 2 * BORDER) * SCALE
    svg = (
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{whole}' height='{whole}'>"
        f"<rect width='{whole}' height='{whole}' fill='#fff'/>"
        f"<path class='qrline' transform='scale({SCALE})' stroke='#0b1f4b' d='{dark}'/></svg>"
    )
    return "data:image/svg+xml;charset=utf-8," + quote(svg, safe="/:='")
