"""Where a temporary certificate is downloaded and printed: by its holder on the portal, by its office at the desk.

Promises: the file is handed to its holder's session, or to an officer who may look at the application, and is never
cached. Trusts: `Officers` and `Portal` for who asks, `may` for what an officer may see. Keeps: nothing. Refuses:
everybody else, as if there were none.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from mapae.errors import Code, Refused
from mapae.issuer.officers import Officer, Officers
from mapae.issuer.papers.issue import Page, Papers
from mapae.issuer.portal import Portal
from mapae.ui import csrf
from mapae.ui.http import Answer, Caller, Door, door

May = Callable[[Officer, Page], Awaitable[bool]]


def routes(papers: Papers, officers: Officers, portal: Portal, may: May) -> list[Door]:
    async def mine(request: Request) -> Response:
        citizen = await portal.citizen(csrf.session_token(request, csrf.COOKIES["citizen"]) or "")
        found = await papers.page(request.path_params["application"])
        return pdf(found, found.person == citizen.person)

    async def ours(request: Request) -> Response:
        officer = await officers.signed_in(csrf.session_token(request, csrf.COOKIES["officer"]) or "")
        found = await papers.page(request.path_params["application"])
        return pdf(found, await may(officer, found))

    return [
        door("GET", "/portal/papers/{application}", mine, caller=Caller.CITIZEN, answer=Answer.PAGE),
        door("GET", "/desk/papers/{application}", ours, caller=Caller.OFFICER, answer=Answer.PAGE),
    ]


def pdf(found: Page, may: bool) -> Response:
    """The file. Raises Refused(NOT_FOUND) unless whoever asks may have it."""
    if not may:
        raise Refused(Code.NOT_FOUND, "there is no certificate of this application")
    headers = {
        "Cache-Control": "no-store", "Content-Disposition": f'inline; filename="{found.number}.pdf"',
        # A browser's own reader counts as an object inside, which our pages' policy forbids.
        "Content-Security-Policy": "frame-ancestors 'none'",
    }  # fmt: skip
    return Response(found.pdf, 200, headers, "application/pdf")
