"""The door where phones and checkers fetch what may be asked at all.

Promises: anybody may read from anywhere, whole, so that asking tells nothing of who needs which purpose. Trusts: the
country pack and the trust list's key, through `Purposes`. Keeps: nothing. Refuses: nothing.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from mapae.trust.purposes import Purposes
from mapae.ui.http import Answer, Caller, Door, door, not_modified


def routes(purposes: Purposes) -> list[Door]:
    async def document(request: Request) -> Response:
        published = purposes.published()
        headers = {"ETag": published.etag, "Cache-Control": "public, max-age=300"}
        unchanged = not_modified(request, headers)
        return unchanged or Response(published.token, headers=headers, media_type="application/jwt")

    return [door("GET", "/trust/purposes", document, caller=Caller.ANYONE, answer=Answer.JSON, cors=True)]
