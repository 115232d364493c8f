"""The doors of a tap: for the wallet that opens it, for the helper's line, for whoever opens its link or stops it all.

Promises: a wallet proves itself at each door by attestation and proof of possession; nothing secret is in an address
that a server sees, but for the stop link, which only locks. Trusts: `mapae.ui` for limits and refusals. Keeps: nothing.
Refuses: pages of other sites on the line.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from mapae.errors import Code, Refused
from mapae.issuer.authorization import Knock
from mapae.issuer.tap.notices import Notices
from mapae.issuer.tap.remote import Remote
from mapae.issuer.tap.sessions import Taps
from mapae.issuer.tap.values import secret_link
from mapae.ui.http import Answer, Caller, Csrf, Door, Rate, door, json_answer, json_body
from mapae.ui.line import Line, line
from mapae.ui.pages import page
from mapae.ui.words import accepted

HELPER: Final = "/issuer/tap/helper"
_WALLET: Final = Rate(1200, 60)  # as the other doors for wallets: many phones stand behind one address
_HELPER: Final = Rate(60, 60)
_ANYONE: Final[dict[str, Any]] = {"caller": Caller.ANYONE, "answer": Answer.PAGE, "rate": Rate(60, 60)}


class NewTap(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    dpop_jkt: str
    document: str = ""


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class TapDoors:
    """`simulated`: where a simulated card of the demo country is tapped; empty elsewhere."""

    def __init__(self, taps: Taps, base: str, simulated: str = "") -> None:
        self._taps, self._base, self._simulated = taps, base, simulated

    # --- the wallet ------------------------------------------------------------------------------------------------

    async def open(self, request: Request) -> Response:
        asked = await json_body(request, NewTap)
        if not (
            len(asked.dpop_jkt) == 43
            and asked.dpop_jkt.isascii()
            and asked.dpop_jkt.replace("-", "").replace("_", "").isalnum()
        ):
            raise Refused(Code.MALFORMED, "dpop_jkt is no thumbprint")  # RFC 7638 of a SHA-256
        language = accepted(request.headers.get("accept-language", ""))
        opened = await self._taps.open(self._knock(request), asked.dpop_jkt, language, asked.document)
        session = opened.session
        answer = {
            "session": session.id, "link": secret_link(self._base, opened.secret), "code": session.code,
            "expires_in": session.expires - session.opened,
            "simulated": f"{self._simulated}#{opened.secret}" if self._simulated else None,
        }  # fmt: skip
        return json_answer(answer, 201)

    async def state(self, request: Request) -> Response:
        await json_body(request, Nothing)
        return json_answer(await self._taps.look(self._knock(request), request.path_params["id"]))

    async def confirm(self, request: Request) -> Response:
        await json_body(request, Nothing)
        return json_answer(await self._taps.confirm(self._knock(request), request.path_params["id"]))

    async def cancel(self, request: Request) -> Response:
        await json_body(request, Nothing)
        return json_answer(await self._taps.cancel(self._knock(request), request.path_params["id"]))

    def _knock(self, request: Request) -> Knock:
        headers = request.headers
        return Knock(
            method=request.method,
            url=self._base + request.url.path,
            attestation=tuple(headers.getlist("oauth-client-attestation")),
            attestation_pop=tuple(headers.getlist("oauth-client-attestation-pop")),
        )

    # --- people ----------------------------------------------------------------------------------------------------

    async def landing(self, request: Request) -> Response:
        """What the link is for; the secret is behind # and only the page's own script reads it."""
        return page(request, "tap/landing.html", simulated=self._simulated)


class StopDoors:
    def __init__(self, notices: Notices) -> None:
        self._notices = notices

    async def asked(self, request: Request) -> Response:
        link = await self._notices.behind(request.path_params["secret"])
        return page(request, "tap/stop.html", link=link, done=bool(link.used), headers=_UNSEEN)

    async def stop(self, request: Request) -> Response:
        link = await self._notices.stop(request.path_params["secret"])
        return page(request, "tap/stop.html", link=link, done=True, headers=_UNSEEN)


_UNSEEN: Final = {"Referrer-Policy": "no-referrer"}  # the address is the secret


def routes(taps: Taps, base: str, simulated: str = "") -> list[Door]:
    doors = TapDoors(taps, base, simulated)
    wallet: dict[str, Any] = {
        "caller": Caller.WALLET, "answer": Answer.JSON, "cors": True, "rate": _WALLET, "limit": 1024,
    }  # fmt: skip
    return [
        door("POST", "/issuer/tap/sessions", doors.open, **wallet),
        door("POST", "/issuer/tap/sessions/{id}/state", doors.state, **wallet),
        door("POST", "/issuer/tap/sessions/{id}/confirm", doors.confirm, **wallet),
        door("POST", "/issuer/tap/sessions/{id}/cancel", doors.cancel, **wallet),
        door("GET", "/tap", doors.landing, limit=0, **_ANYONE),
    ]


def stop_routes(notices: Notices) -> list[Door]:
    doors = StopDoors(notices)
    return [
        door("GET", "/stop/{secret}", doors.asked, limit=0, **_ANYONE),
        door("POST", "/stop/{secret}", doors.stop, csrf=Csrf.TOKEN, limit=1024, **_ANYONE),
    ]


def lines(remote: Remote, base: str) -> list[Line]:
    return [
        line(HELPER, remote.serve, caller=Caller.ANYONE, origin=base, limit=65536, rate=_HELPER, patience=600.0)
    ]  # fmt: skip
