"""Where checkers fetch the offline pack, whole or as what changed since the one they have.

Promises: anybody may fetch, from any origin; an unchanged pack is a 304 or a 204 without a body. Trusts: the publisher.
Keeps: nothing. Refuses: an id that is none; before the first pack is made, with UNAVAILABLE.
"""

from __future__ import annotations

import re
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from mapae.errors import Code, Refused
from mapae.trust.pack.build import Packs
from mapae.ui.http import Answer, Caller, Door, Rate, door

TYPE: Final = "application/octet-stream"
_ID: Final = re.compile(r"[0-9a-f]{64}")


def routes(packs: Packs) -> list[Door]:
    async def newest(request: Request) -> Response:
        pack, raw = await packs.newest()
        etag = f'"{pack.id.hex()}"'
        headers = {"ETag": etag, "Cache-Control": "public, max-age=5"}
        if etag in (part.strip() for part in request.headers.get("if-none-match", "").split(",")):
            return Response(status_code=304, headers=headers)
        return Response(raw, headers=headers, media_type=TYPE)

    async def since(request: Request) -> Response:
        id = request.path_params["id"]
        if not _ID.fullmatch(id):
            raise Refused(Code.NOT_FOUND, "there is no such pack")
        step = await packs.since(bytes.fromhex(id))
        headers = {"Cache-Control": "public, max-age=5"}
        return Response(status_code=204, headers=headers) if step is None else Response(step, 200, headers, TYPE)

    anyone: dict[str, Any] = {"caller": Caller.ANYONE, "answer": Answer.JSON, "cors": True, "rate": Rate(300, 60)}
    return [
        door("GET", "/trust/pack", newest, **anyone),
        door("GET", "/trust/pack/since/{id}", since, **anyone),
    ]
