"""Doors into one ASGI application.

Promises: every answer carries the security headers; an unknown path is answered in the shape the client asked for;
HEAD has no body; `/static/` is there. Trusts: nothing. Keeps: the settings pages need, on `app.state`. Refuses: a route
that is not a door.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, tzinfo
from typing import Any
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mapae.clock import Clock, SystemClock
from mapae.errors import Code, Refused
from mapae.ui.files import STATIC, send_file
from mapae.ui.http import Answer, Caller, Door, door, doors, json_answer, report
from mapae.ui.line import Line, lines
from mapae.ui.pages import refused_page


def content_policy(*, wasm: bool = False, form_target: str = "") -> str:
    """No inline script, no inline style, no foreign origin, no frame. The wallet's Argon2id needs WebAssembly; a form
    may lead on to `form_target` (an origin, or a scheme with its colon) where its page says so."""
    return "; ".join((
        "default-src 'none'",
        "script-src 'self'" + (" 'wasm-unsafe-eval'" if wasm else ""),
        "style-src 'self'", "img-src 'self' data: blob:", "font-src 'self'", "connect-src 'self'",
        "media-src 'self' blob:", "manifest-src 'self'", "worker-src 'self'",
        f"form-action 'self' {form_target}".rstrip(),
        "base-uri 'none'", "frame-ancestors 'none'", "object-src 'none'",
    ))  # fmt: skip


HEADERS = {
    "Content-Security-Policy": content_policy(),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def permissions(camera: bool) -> str:
    return (
        f"camera=({'self' if camera else ''}), microphone=(), geolocation=(), usb=(), payment=(), "
        "publickey-credentials-get=(self), publickey-credentials-create=(self)"
    )


PERMISSIONS = {camera: permissions(camera).encode() for camera in (False, True)}


def application(
    routes: Sequence[BaseRoute],
    *,
    clock: Clock | None = None,
    https: bool = False,
    zone: tzinfo = UTC,
    demo: bool = False,
    rates: bool = True,
    lifespan: Callable[[Starlette], Any] | None = None,
) -> Starlette:
    """`zone` is the country's time zone on pages; `rates=False` switches rate limits off (load tests)."""
    everything = [*routes, door("GET", "/static/{name:path}", _static, caller=Caller.ANYONE, answer=Answer.PAGE)]
    by_path: dict[str, set[str]] = {}
    for route in everything:
        if isinstance(route, Line):
            continue
        if not isinstance(route, Door):
            raise TypeError(f"not a door: {route!r}")
        by_path.setdefault(route.path, set()).update(route.methods or ())
        route.allowed = by_path[route.path]
    corridor = Corridor(doors(everything), lines(everything))
    app = Starlette(
        routes=[corridor], middleware=[Middleware(Entrance, corridor=corridor, https=https)], lifespan=lifespan,
        exception_handlers={HTTPException: _unknown_path, Exception: _bug},
    )  # fmt: skip
    app.router.redirect_slashes = False  # one spelling
    app.state.clock = clock or SystemClock()
    app.state.https, app.state.zone, app.state.demo, app.state.rates = https, zone, demo, rates
    return app


class Corridor(BaseRoute):
    """The doors, found by their address. Trying one after the other costs more than checking a signature."""

    def __init__(self, routes: Sequence[Door], lines: Sequence[Line] = ()) -> None:
        self.routes = list(routes)
        self.lines = {one.path: one for one in lines}
        self._exact: dict[str, list[Door]] = {}
        self._below: dict[str, list[Door]] = {}  # addresses with a variable part, by what stands before it
        for one in routes:
            fixed, variable, _ = one.path.partition("{")
            if variable and not fixed.endswith("/"):
                raise ValueError(f"{one.path}: a variable part begins behind a slash")
            (self._below if variable else self._exact).setdefault(fixed, []).append(one)
        self._depth = max((fixed.count("/") for fixed in self._below), default=0)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if scope["type"] == "websocket":
            one_line = self.lines.get(scope["path"])
            return (Match.NONE, {}) if one_line is None else (Match.FULL, {"mapae.door": one_line})
        if scope["type"] != "http":
            return Match.NONE, {}
        partly: tuple[Match, Scope] = (Match.NONE, {})
        for one in self._behind(scope["path"]):
            match, child = one.matches(scope)
            if match is Match.FULL:
                return match, {**child, "mapae.door": one}
            if match is Match.PARTIAL and partly[0] is Match.NONE:  # the address, but another method
                partly = match, {**child, "mapae.door": one}
        return partly

    def _behind(self, path: str) -> Iterator[Door]:
        yield from self._exact.get(path, ())
        steps = path.split("/", self._depth)
        for depth in range(len(steps) - 1, 0, -1):
            yield from self._below.get("/".join(steps[:depth]) + "/", ())

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        await scope["mapae.door"].handle(scope, receive, send)


ASCII = bytes(range(128))


class Entrance:
    """Leads to the door; `app` only hears of addresses that have none. A door looks after its own refusals, so nothing
    needs to stand between, and what would stand there costs as much as a signature.

    Adds the headers the answer does not set itself, and takes the body off an answer to HEAD."""

    def __init__(self, app: ASGIApp, corridor: Corridor, https: bool) -> None:
        self.app = app
        self.corridor = corridor
        fixed = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
        if https:
            fixed.append((b"strict-transport-security", b"max-age=63072000; includeSubDomains"))
        self.fixed = {camera: [*fixed, (b"permissions-policy", PERMISSIONS[camera])] for camera in PERMISSIONS}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)  # a line is found by the router, which closes what it does not know
            return
        if not scope["query_string"].isascii():
            # No URL holds such bytes (RFC 3986 2), but a server may pass them on, and building a URL of them raises.
            scope = {**scope, "query_string": quote(scope["query_string"], safe=ASCII).encode()}

        async def wrapped(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message["headers"])
                present = {name for name, _ in headers}
                headers += [pair for pair in self.fixed["mapae.camera" in scope] if pair[0] not in present]
                message = {**message, "headers": headers}
            elif message["type"] == "http.response.body" and scope["method"] == "HEAD":
                message = {**message, "body": b""}
            await send(message)

        match, found = self.corridor.matches(scope)
        if match is Match.NONE:
            await self.app(scope, receive, wrapped)
        else:
            scope.update(found)
            await self.corridor.handle(scope, receive, wrapped)


async def _static(request: Request) -> Response:
    return send_file(request, STATIC, request.path_params["name"])


async def _unknown_path(request: Request, problem: Exception) -> Response:
    """No door here. A browser gets a page, a program gets JSON."""
    refused = Refused(Code.NOT_FOUND, "no such address")
    if "text/html" in request.headers.get("accept", ""):
        return refused_page(request, refused, 404, None)
    return json_answer({"error": refused.code.value, "detail": refused.detail}, 404)


async def _bug(request: Request, bug: Exception) -> Response:
    """Outside every door: our own mistake all the same."""
    return json_answer({"error": "incident", "incident": report(request.method, "-", bug)}, 500)
