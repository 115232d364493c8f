"""Percent-encoding (RFC 3986 2.1), for links that carry a whole request.

Promises: `percent` writes what Python's own `quote` writes, several times as fast on a long text, which that one walks
character by character. Trusts: nobody. Keeps: nothing. Refuses: nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_UNRESERVED: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")  # 2.3
_PERCENT: Final = 0x25


def percent(text: str, safe: str = "") -> str:
    """`safe`: what may stand as it is besides."""
    raw = text.encode()
    others = set(raw).difference(_UNRESERVED, safe.encode())
    if _PERCENT in others:  # before the rest brings its own
        raw = raw.replace(b"%", b"%25")
        others.remove(_PERCENT)
    for byte in others:
        raw = raw.replace(bytes((byte,)), b"%%%02X" % byte)
    return raw.decode()


def query(fields: Mapping[str, str], safe: str = "") -> str:
    """RFC 3986 3.4, as forms are read."""
    return "&".join([f"{percent(name)}={percent(value, safe)}" for name, value in fields.items()])
