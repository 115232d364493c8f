"""The doors of the status epochs.

Promises: the newest epoch is asked for each time and costs nothing who has it; a numbered one and a delta never change
and may be kept. Trusts: nobody. Keeps: nothing. Refuses: a number that is none, and more questions a minute than one
builder of packs has.
"""

from __future__ import annotations

import re
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from mapae.errors import Code, Refused
from mapae.issuer.epochs import Epochs, Sent
from mapae.ui.http import Answer, Caller, Door, Rate, door, not_modified

TYPE = "application/cbor"
_RATE = Rate(120, 60)
_NUMBER = re.compile(r"[1-9][0-9]{0,17}")
_ASK = {"Cache-Control": "no-cache"}
_KEEP = {"Cache-Control": "public, max-age=86400, immutable"}


def routes(epochs: Epochs) -> list[Door]:
    doors = _Doors(epochs)
    anyone: dict[str, Any] = {"caller": Caller.ANYONE, "answer": Answer.JSON, "cors": True, "rate": _RATE}
    return [
        door("GET", "/issuer/status-epoch", doors.newest, **anyone),
        door("GET", "/issuer/status-epoch/{seq}", doors.whole, **anyone),
        door("GET", "/issuer/status-epoch/{seq}/since/{old}", doors.since, **anyone),
    ]


class _Doors:
    def __init__(self, epochs: Epochs) -> None:
        self._epochs = epochs

    async def newest(self, request: Request) -> Response:
        return _answer(request, await self._epochs.newest(), _ASK)

    async def whole(self, request: Request) -> Response:
        return _answer(request, await self._epochs.whole(_number(request, "seq")), _KEEP)

    async def since(self, request: Request) -> Response:
        return _answer(request, await self._epochs.since(_number(request, "seq"), _number(request, "old")), _KEEP)


def _number(request: Request, name: str) -> int:
    raw = request.path_params[name]
    if not _NUMBER.fullmatch(raw):
        raise Refused(Code.NOT_FOUND, "an epoch has a number")
    return int(raw)


def _answer(request: Request, sent: Sent, headers: dict[str, str]) -> Response:
    headers = {**headers, "ETag": sent.etag}
    return not_modified(request, headers) or Response(sent.body, headers=headers, media_type=TYPE)
