"""Every part of our pages on one page, to be looked at.

Promises: what is here is drawn by the same macros as everything else. Trusts: nothing. Keeps: nothing. Refuses: a
form without its token.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from mapae.ui.http import Answer, Caller, Csrf, Door, door, see_other
from mapae.ui.pages import page


def routes() -> list[Door]:
    return [
        door("GET", "/demo/ui", _gallery, caller=Caller.ANYONE, answer=Answer.PAGE),
        door("POST", "/demo/ui", _sent, caller=Caller.ANYONE, answer=Answer.PAGE, csrf=Csrf.TOKEN),
    ]


async def _gallery(request: Request) -> Response:
    kind = request.query_params.get("kind", "")
    return page(request, "gallery.html", kind=kind if kind in ("kiosk", "wide") else "")


async def _sent(request: Request) -> Response:
    return see_other("/demo/ui")
