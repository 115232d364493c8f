"""Cookies a browser sends, read in one pass.

Promises: the time it takes grows with the length of the header and no faster, which of the standard library's reader is
not true everywhere (CVE-2024-7592). Trusts: nothing that arrives. Keeps: nothing. Refuses: nothing; a value in quotes
is not one of ours and stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterable


def cookie(headers: Iterable[str], name: str) -> str | None:
    """The cookie of this name (RFC 6265 4.2.1) in the `Cookie` headers; the last one where there are several."""
    found = None
    for pair in "; ".join(headers).split(";"):
        key, _, value = pair.partition("=")
        if key.strip() == name:
            found = value.strip()
    return found
