"""The wallet as a library: what importing it needs, and the example in its docstring."""

from __future__ import annotations

import doctest
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

import mapae.holder
from mapae.clock import MovableClock
from unit.holder.stranger import Abroad
from unit.holder.test_strangers import STUDENT

EXTRAS = ("anyio", "asyncpg", "httpx", "jinja2", "multipart", "prometheus_client", "starlette", "structlog", "uvicorn")


def test_importing_the_wallet_needs_no_extra() -> None:
    """`pip install mapae` is enough for formats, checks and this import; httpx comes in with the first request."""
    script = (
        "import sys\n"
        f"sys.modules.update(dict.fromkeys({EXTRAS!r}))\n"  # None there makes an import fail
        "import mapae.holder, mapae.verifier.checking.check, mapae.formats.sd_jwt, "
        "mapae.formats.mdoc, mapae.formats.status\n"
        "mapae.holder.Wallet(None, trust=mapae.holder.AnchorTrust())\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


async def test_the_example_in_the_docstring_receives_and_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The very lines of `help(mapae.holder)`, against an issuer and a verifier."""
    place = Abroad(MovableClock(datetime.now(UTC).replace(microsecond=0)))
    (example,) = doctest.DocTestFinder(recurse=False).find(mapae.holder, "mapae.holder")
    names: dict[str, Any] = {
        "issuer_ca": place.ca.root, "verifier_ca": place.readers.root, "path": tmp_path / "wallet",
        "print": lambda *said: None,
    }  # fmt: skip
    exec("".join(one.source for one in example.examples), names)
    client = httpx.AsyncClient
    monkeypatch.setattr(httpx, "AsyncClient", lambda: client(transport=place.http._transport))
    assert await names["show"](place.offer(), place.ask({"credentials": [STUDENT]})) == "sent"
    assert place.check(place.opened(place.answers[0])["vp_token"]["card"][0], place.client_id)["name"] == "Ada"
    await place.http.aclose()
