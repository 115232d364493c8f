"""What OAuth clients of every kind share, as pure values: addresses to come back to, and PKCE.

Promises: an address that passes is one a browser may safely be sent to with an answer; the answer is added to it as the
standard says. Trusts: nothing that arrives. Keeps: nothing. Refuses: addresses a browser or phone would act on itself,
ones that carry a user or an answer already.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from hashlib import sha256
from hmac import compare_digest
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from mapae.errors import Code, Refused

_VERIFIER: Final = re.compile(r"[A-Za-z0-9._~-]{43,128}")  # RFC 7636 4.1
_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]{1,63}")
_PRINTABLE: Final = re.compile(r"[!-~]{1,2000}")
# A name, or an address: the host goes into the consent page's policy, where `;` and `,` would begin something new.
_HOST: Final = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]+")
_ANSWER: Final = frozenset({"code", "state", "iss", "error", "error_description", "error_uri"})
_LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")
# Schemes that a browser or phone acts on itself; a wallet's own scheme is none of them.
_TAKEN: Final = frozenset({
    "about", "blob", "chrome", "chrome-extension", "content", "data", "file", "filesystem", "ftp", "geo", "http",
    "https",
    "intent", "jar", "javascript", "mailto", "moz-extension", "resource", "sms", "smsto", "tel", "vbscript",
    "view-source", "ws", "wss",
})  # fmt: skip


def must_be_redirect(uri: str) -> None:
    """FAPI 2.0 5.3.2.2 and RFC 8252: https, http on this very machine, or a scheme of the wallet's own.

    A wallet's address is in no registration: it arrives from an attested wallet over an authenticated channel, is
    compared character by character at the token endpoint, and stands nowhere but in a Location header.
    """
    if not _PRINTABLE.fullmatch(uri) or "#" in uri or "\\" in uri:  # RFC 6749 3.1.2: no fragment
        raise Refused(Code.INVALID_REQUEST, "redirect_uri is missing or has a character it may not have")
    try:
        parts = urlsplit(uri)
        host = parts.hostname or ""
        port = parts.port
        taken = _ANSWER.intersection(name for name, _ in parse_qsl(parts.query, keep_blank_values=True))
    except ValueError:
        raise Refused(Code.INVALID_REQUEST, "redirect_uri is not an address") from None
    # Of `;[::1]` the library reads the brackets only; a browser, and the page's policy, would read all of it.
    spelled = f"[{host}]" if ":" in host else host
    if parts.netloc.lower() not in (spelled, f"{spelled}:{port}") and "@" not in parts.netloc:
        raise Refused(Code.INVALID_REQUEST, "redirect_uri has a host that can be read in two ways")
    if "@" in parts.netloc:
        raise Refused(Code.INVALID_REQUEST, "redirect_uri carries a user")
    if taken:  # RFC 6749 3.1: no parameter twice in what the wallet gets
        raise Refused(Code.INVALID_REQUEST, f"redirect_uri says {min(taken)} itself")
    match parts.scheme:
        case "https":
            good = bool(_HOST.fullmatch(host))
        case "http":
            good = host in _LOOPBACK
        case own:
            good = bool(_SCHEME.fullmatch(own)) and own not in _TAKEN
    if not good:
        raise Refused(Code.INVALID_REQUEST, "redirect_uri must be https, loopback, or a scheme of the wallet's own")


def same_but_for_the_port(uri: str, registered: str) -> bool:
    """RFC 8252 7.3: any port at a loopback address written as a number. `localhost` is a name, and may be another's."""
    try:
        asked, known = urlsplit(uri), urlsplit(registered)
        port = asked.port
    except ValueError:
        return False
    if known.scheme != "http" or known.hostname not in ("127.0.0.1", "::1"):
        return False
    host = "[::1]" if known.hostname == "::1" else "127.0.0.1"
    here = host if port is None else f"{host}:{port}"
    return uri == f"http://{here}{registered.removeprefix(f'http://{known.netloc}')}"


def answer_uri(redirect_uri: str, answer: Mapping[str, str]) -> str:
    """RFC 6749 4.1.2: added to the query that is there already."""
    return f"{redirect_uri}{'&' if '?' in redirect_uri else '?'}{urlencode(answer)}"


def form_target(redirect_uri: str) -> str:
    """What the page's policy must let its form lead on to (CSP form-action covers redirects as well)."""
    parts = urlsplit(redirect_uri)
    return f"{parts.scheme}://{parts.netloc}" if parts.scheme in ("https", "http") else f"{parts.scheme}:"


def verifies(verifier: str, challenge: str) -> bool:
    """RFC 7636 4.6."""
    if not _VERIFIER.fullmatch(verifier):
        return False
    made = urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    return compare_digest(made, challenge)
