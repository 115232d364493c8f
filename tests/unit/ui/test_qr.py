"""The QR codes our own pages draw in the browser are read by somebody else's reader."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import zxingcpp

ROOT = Path(__file__).resolve().parents[3]
ALPHABET = "https://id.example.go.kr/tap#aZ9_-"


def test_codes_of_all_sizes_are_read_back() -> None:
    """Versions 1, 4 (a link), 6 and 10, each nearly full (ISO/IEC 18004 table 7, level M)."""
    texts = [(ALPHABET * 8)[:length] for length in (14, 62, 106, 213)]
    script = "const q=require('./src/mapae/ui/static/qr.js');for(const t of JSON.parse(process.argv[1]))" \
             "console.log(JSON.stringify(q.grid(t)))"  # fmt: skip
    done = subprocess.run(
        [str(ROOT / "tools/node"), "node", "-e", script, json.dumps(texts)], cwd=ROOT, text=True, check=True,
        capture_output=True,
    )  # fmt: skip
    grids = [json.loads(line) for line in done.stdout.splitlines()]
    assert [len(grid) for grid in grids] == [21, 33, 41, 57]
    for text, grid in zip(texts, grids, strict=True):
        picture = np.kron(np.pad(1 - np.array(grid, np.uint8), 4, constant_values=1) * 255, np.ones((5, 5), np.uint8))
        assert [found.text for found in zxingcpp.read_barcodes(picture)] == [text], len(text)
