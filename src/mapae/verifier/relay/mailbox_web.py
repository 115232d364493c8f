"""The relay's doors: PUT opens a mailbox, POST fills it, GET reads it, DELETE closes it.

Promises: a POST answers as OpenID4VP 1.0 8.2 wants of a response_uri, so that a wallet's answer can be sent into a
mailbox as it stands. Trusts: the bearer secret of a mailbox's reader. Keeps: nothing. Refuses: a body over the limit,
a name that is not 16 bytes in base64url, more knocks per address than the door's rate.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from mapae.errors import Code, Refused
from mapae.formats.jose import unb64u
from mapae.formats.meet import CHANNEL
from mapae.ui.http import Answer, Caller, Rate, door, json_answer, raw_body
from mapae.verifier.relay.mailboxes import LIMIT, Relay

PATH: Final = "/relay/{channel}"
_OCTETS: Final = "application/octet-stream"


def routes(relay: Relay) -> list[BaseRoute]:
    boxes = _Boxes(relay)
    public = partial(door, caller=Caller.WALLET, answer=Answer.JSON, cors=True)
    return [
        public("PUT", PATH, boxes.open, limit=0, rate=Rate(60, 60)),
        public("POST", PATH, boxes.put, limit=LIMIT, rate=Rate(120, 60)),
        public("GET", PATH, boxes.take, rate=Rate(600, 60)),
        public("DELETE", PATH, boxes.close, limit=0, rate=Rate(120, 60)),
    ]


class _Boxes:
    def __init__(self, relay: Relay) -> None:
        self._relay = relay

    async def open(self, request: Request) -> Response:
        return json_answer({"expires_in": await self._relay.open(_channel(request), _token(request))}, 201)

    async def put(self, request: Request) -> Response:
        await self._relay.put(_channel(request), await raw_body(request))
        return json_answer({})

    async def take(self, request: Request) -> Response:
        wait = request.query_params.get("wait", "0")
        if not (wait.isascii() and wait.isdigit() and len(wait) <= 3):
            raise Refused(Code.MALFORMED, "wait is a number of seconds")
        address = request.client.host if request.client is not None else ""
        found = await self._relay.take(
            _channel(request), _token(request), wait=float(wait), address=address, gone=request.is_disconnected
        )
        headers = {"Cache-Control": "no-store"}
        if found is None:
            return Response(status_code=204, headers=headers)
        return Response(found, media_type=_OCTETS, headers=headers)

    async def close(self, request: Request) -> Response:
        await self._relay.close(_channel(request), _token(request))
        return Response(status_code=204, headers={"Cache-Control": "no-store"})


def _channel(request: Request) -> bytes:
    try:
        channel = unb64u(request.path_params["channel"])
    except Refused:
        channel = b""
    if len(channel) != CHANNEL:
        raise Refused(Code.NOT_FOUND, "there is no such mailbox")
    return channel


def _token(request: Request) -> bytes:
    """RFC 6750 2.1."""
    scheme, _, said = request.headers.get("authorization", "").partition(" ")
    try:
        return unb64u(said) if scheme.lower() == "bearer" else b""
    except Refused:
        return b""
