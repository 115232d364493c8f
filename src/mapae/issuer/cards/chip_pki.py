"""The chips' authority for anybody: its certificates and its lists of revoked signers."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from mapae.errors import Code, Refused
from mapae.ui.http import Answer, Caller, Door, door

from .authority import ChipAuthority

_TYPES: Final = {"cer": "application/pkix-cert", "crl": "application/pkix-crl"}  # RFC 2585 4


def routes(authority: ChipAuthority) -> list[Door]:
    async def show(request: Request) -> Response:
        name, _, kind = request.path_params["file"].rpartition(".")
        if kind not in _TYPES:
            raise Refused(Code.NOT_FOUND, "there is a .cer and a .crl")
        certificate, revoked = await authority.published(name)
        raw, headers = certificate if kind == "cer" else revoked, {"Cache-Control": "public, max-age=3600"}
        return Response(raw, 200, headers, _TYPES[kind])

    return [door("GET", "/issuer/chips/{file}", show, caller=Caller.ANYONE, answer=Answer.JSON, limit=0, cors=True)]
