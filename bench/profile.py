"""Where the time of a hot path goes, in words a reader knows.

The raw share is the measured ratio itself. What is left is divided by the profiler's own times, which overstate Python
against C: good for finding what is worth changing, not for adding up.
"""

from __future__ import annotations

import cProfile
import pstats
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.harness import Action

# The first entry that fits names the work; matched against "file:function".
KINDS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("raw P-256", ("'verify' of 'cryptography", "'sign' of 'cryptography", "'exchange' of 'cryptography")),
    ("key loading", ("from_encoded_point", "from_public_bytes", "load_der", "encode_dss", "decode_dss", "public_bytes",
                     "generate_private_key")),
    ("hashing, HMAC, AES", ("_hashlib", "'digest' of", "hmac", "aead", "scrypt", "_sha2", "_blake2")),
    ("base64", ("b64", "binascii", "base64.py")),
    ("JSON and CBOR", ("orjson", "cbor2", "_cbor2", "msgspec", "/json/")),
    ("certificates", ("x509",)),
    ("our format code", ("mapae/formats",)),
    ("database calls", ("sqlite3", "mapae/db.py", "asyncpg")),
    ("drawing QR codes", ("segno",)),
    ("page templates", ("jinja2", "markupsafe", "/templates/", "<template>")),
    ("HTTP server and client", ("uvicorn", "starlette", "httptools", "httpx", "httpcore", "h11", "anyio", "multipart",
                                "/http/", "urllib", "mapae/ui", "email")),
    ("event loop", ("uvloop", "asyncio", "contextvars", "select", "selectors", "concurrent")),
    ("our role code", ("mapae/",)),
    ("logging", ("structlog", "logging")),
)  # fmt: skip
OTHER = "Python, the rest"

Shares = tuple[tuple[str, float], ...]


def profile(action: Action, times: int) -> Any:
    profiler = cProfile.Profile()
    profiler.enable()
    for _ in range(times):
        action()
    profiler.disable()
    return pstats.Stats(profiler).stats  # type: ignore[attr-defined]


def read(path: Path) -> Any:
    return pstats.Stats(str(path)).stats  # type: ignore[attr-defined]


def shares(stats: Mapping[Any, Any], *, raw: float | None = None, most: int = 6) -> Shares:
    """Each kind's share of the whole. `raw`: the measured share of raw P-256 work, put in place of the profiler's."""
    spent: dict[str, float] = {}
    for (file, _, function), (_, _, own, _, _) in stats.items():
        kind = _kind(f"{file}:{function}")
        spent[kind] = spent.get(kind, 0.0) + own
    if raw is not None:
        rest = sum(own for kind, own in spent.items() if kind != "raw P-256") or 1.0
        spent = {kind: own / rest * (1 - raw) for kind, own in spent.items()} | {"raw P-256": raw}
    whole = sum(spent.values()) or 1.0
    ranked = sorted(((kind, own / whole) for kind, own in spent.items()), key=lambda row: -row[1])
    shown = [row for row in ranked[:most] if row[1] >= 0.01]
    left = 1.0 - sum(share for _, share in shown)
    return (*shown, ("everything else", left)) if left >= 0.005 else tuple(shown)


def _kind(where: str) -> str:
    return next((kind for kind, signs in KINDS if any(sign in where for sign in signs)), OTHER)


def calls(stats: Mapping[Any, Any], function: str) -> int:
    """How often a function was called whose name holds these words, for instance 'verify' of 'cryptography."""
    return sum(row[1] for (_, _, name), row in stats.items() if function in name)
