"""Session cookies and the CSRF token bound to them.

Promises: a form token is worth nothing without the very cookie it was drawn for. Trusts: the browser to keep HttpOnly
and SameSite. Keeps: nothing; the role's own store holds a hash of each session token. Refuses: a cross-site post, a
missing token, a token of another session.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode
from hashlib import sha256

from starlette.requests import Request
from starlette.responses import Response

from mapae.clock import SystemDice
from mapae.errors import Code, Refused
from mapae.ui import multipart
from mapae.ui.body import form_pairs
from mapae.ui.cookies import cookie

COOKIES = {"officer": "mapae_desk", "citizen": "mapae_portal"}  # by the value of `Caller`
FORM_COOKIE = "mapae_form"  # before anybody signed in: a random value that only ties a form to a browser


def secure(request: Request) -> bool:
    return bool(getattr(request.app.state, "https", False))


def cookie_name(request: Request, name: str) -> str:
    """RFC 6265bis 4.1.3.2: with the __Host- prefix no sibling site and no plain-http neighbour can plant the cookie."""
    return f"__Host-{name}" if secure(request) else name


def read_cookie(request: Request, name: str) -> str | None:
    return cookie(request.headers.getlist("cookie"), cookie_name(request, name)) or None


def set_cookie(request: Request, response: Response, name: str, value: str, seconds: int | None) -> None:
    response.set_cookie(
        cookie_name(request, name), value, max_age=seconds, path="/", httponly=True, samesite="lax",
        secure=secure(request),
    )  # fmt: skip


def session_token(request: Request, name: str) -> str | None:
    """The session cookie (`COOKIES["officer"]`), or None. Store only its hash."""
    return read_cookie(request, name)


def start_session(request: Request, response: Response, name: str, token: str, seconds: int) -> None:
    set_cookie(request, response, name, token, seconds)


def end_session(request: Request, response: Response, name: str) -> None:
    response.delete_cookie(cookie_name(request, name), path="/", httponly=True, samesite="lax", secure=secure(request))


def token_for_page(request: Request) -> tuple[str, str | None]:
    """The token for this page's forms, and a fresh form cookie to set with it when the browser has none yet."""
    name: str = getattr(request.scope.get("mapae.door"), "session_cookie", FORM_COOKIE)
    for candidate in (name, FORM_COOKIE):
        value = read_cookie(request, candidate)
        if value is not None:
            return _derive(candidate, value), None
    fresh = SystemDice().token()
    return _derive(FORM_COOKIE, fresh), fresh


async def must_match(request: Request, name: str | None) -> None:
    """Name None: any of this browser's cookies will do, for nothing behind the door is done in a session's name."""
    if request.headers.get("sec-fetch-site") == "cross-site":
        raise Refused(Code.BAD_CSRF, "this form was sent from another site")
    shown = request.headers.get("x-csrf-token") or await _field(request)
    names = [name] if name is not None else [FORM_COOKIE, *COOKIES.values()]
    held = [(n, value) for n in names if (value := read_cookie(request, n)) is not None]
    if not held and name is not None and name != FORM_COOKIE:
        raise Refused(Code.NOT_SIGNED_IN, "please sign in again")
    token = (shown or "").encode("utf-8", "replace")  # compare_digest takes no str beyond ASCII
    if not token or not any(hmac.compare_digest(_derive(n, value).encode(), token) for n, value in held):
        raise Refused(Code.BAD_CSRF, "this form is out of date; open the page again")


async def _field(request: Request) -> str:
    kind = request.headers.get("content-type", "")
    if kind.lower().startswith("multipart/form-data"):
        return multipart.parse(kind, request.state.raw).fields.get("csrf", "")
    if not request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return ""
    return dict(form_pairs(request)).get("csrf", "")


def _derive(name: str, cookie: str) -> str:
    """Whoever can compute this already has the HttpOnly cookie."""
    mac = hmac.digest(cookie.encode("utf-8", "replace"), b"mapae form token 1|" + name.encode(), sha256)
    return urlsafe_b64encode(mac).rstrip(b"=").decode()
