"""Importing `mapae.formats` brings what reading and writing formats needs, and little time of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PUBLIC = "from mapae.formats import sd_jwt, mdoc, status, jose"
OUTSIDE = "import cbor2, cryptography.hazmat.primitives.asymmetric.ec, hashlib, hmac, msgspec, orjson, pybase64, zlib"
# Each takes longer than all of `formats`, or belongs to a server.
UNWANTED = (
    "joserfc", "cryptography.x509", "cryptography.hazmat.primitives.serialization", "awscrt", "ctypes", "httpx",
    "starlette", "sqlite3", "asyncio", "PIL", "jinja2",
)  # fmt: skip


def python(code: str, cache: Path) -> str:
    """In a fresh interpreter, with compiled modules kept apart."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = str(cache)
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    ).stdout


def test_nothing_heavy_comes_along(tmp_path):
    loaded = set(python(f"{PUBLIC}\nimport sys\nprint(*sys.modules)", tmp_path).split())
    assert "mapae.formats.mdoc" in loaded
    assert not [name for name in UNWANTED if name in loaded]


def test_the_import_takes_little_more_than_the_libraries_it_stands_on(tmp_path):
    """Processor time, the least of several turns, as a ratio: the machine may be slow or busy."""

    def least(statement: str) -> float:
        code = f"import time\nat = time.process_time()\n{statement}\nprint(time.process_time() - at)"
        return min(float(python(code, tmp_path)) for _ in range(7))

    least(PUBLIC)  # compiles
    assert least(PUBLIC) < 2.0 * least(OUTSIDE)
