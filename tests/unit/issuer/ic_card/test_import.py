"""The helper beside a card reader is a small install: the chip's protocol brings no server along."""

from __future__ import annotations

import pkgutil
import subprocess
import sys

from mapae.issuer import ic_card

MODULES = sorted(module.name for module in pkgutil.iter_modules(ic_card.__path__))
UNWANTED = {
    "PIL", "anyio", "asyncio", "asyncpg", "httpx", "jinja2", "numpy", "prometheus_client", "reportlab", "sqlite3",
    "starlette", "structlog", "typer", "uvicorn", "websockets",
}  # fmt: skip


def test_the_protocol_imports_the_five_and_pycryptodome_and_no_server():
    code = f"import sys\nfrom mapae.issuer.ic_card import {', '.join(MODULES)}\nprint(*sys.modules)"
    loaded = set(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    )
    assert {"mapae.issuer.ic_card.passive", "Crypto.PublicKey.ECC"} <= loaded
    ours = {name for name in loaded if name.startswith("mapae.") and not name.startswith("mapae.issuer.ic_card")}
    assert not UNWANTED & loaded and "mapae.db" not in ours, sorted(UNWANTED & loaded)
