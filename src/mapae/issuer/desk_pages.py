"""What all doors of the desk share: who is signed in, the frame around a page, and answers read off a form.

Promises: whoever has no live session is nobody. Trusts: `Officers`. Keeps: nothing but two cookies' names. Refuses:
questions left without a yes or no.
"""

from __future__ import annotations

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from mapae.errors import Code, Refused
from mapae.ui import csrf
from mapae.ui.pages import page

from .desk import Desk
from .officers import Officer, Officers

SESSION: Final = csrf.COOKIES["officer"]
KNOCK: Final = "mapae_knock"


class Pages:
    """The desk's frame."""

    def __init__(self, desk: Desk, officers: Officers) -> None:
        self._desk = desk
        self._officers = officers
        self._format_names = {
            each.configuration_id: name
            for document in desk.country.documents.values()
            if document.formats is not None
            for each, name in ((document.formats.sd_jwt, "SD-JWT VC"), (document.formats.mdoc, "ISO mdoc"))
            if each is not None
        }

    def _page(self, request: Request, template: str, officer: Officer, *, status: int = 200, **values: Any) -> Response:
        country = self._desk.country
        return page(
            request,
            template,
            status=status,
            officer=officer,
            office=country.offices.get(officer.office),
            country=country,
            today=country.today(self._desk.now()),
            format_names=self._format_names,
            minutes=country.issuance.offer_seconds // 60,
            digits=sum(letter.isalpha() for letter in country.number.layout),
            **values,
        )


def said(sent: dict[str, str], name: str) -> bool:
    answer = sent.get(name)
    if answer not in ("yes", "no"):
        raise Refused(Code.MALFORMED, "answer every question with yes or no")
    return answer == "yes"


async def officer_of(request: Request, officers: Officers, *, active: bool = True) -> Officer | None:
    try:
        return await officers.signed_in(csrf.session_token(request, SESSION) or "", active=active)
    except Refused as refused:
        if refused.code is Code.NOT_SIGNED_IN:
            return None
        raise


async def must_be_officer(request: Request, officers: Officers) -> Officer:
    return await officers.signed_in(csrf.session_token(request, SESSION) or "")
