"""The desk's doors where two officers compare a face: the second one's passkey in the first one's browser.

Promises: the second officer's passkey is asked for on the same screen, opens no session, and counts for this case only.
Trusts: `Officers` for the passkey, `Desk` for the rest. Keeps: nothing but a cookie with the knock. Refuses: a choice
without a reason, an answer to another question.
"""

from __future__ import annotations

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from mapae.errors import Code, Refused
from mapae.ui import csrf
from mapae.ui.http import form, see_other

from .authenticator_client import DemoAuthenticator
from .desk import Desk
from .desk_pages import KNOCK, must_be_officer, said
from .evidence import Why
from .officers import Officer, Officers

# What an officer may choose; that the machine said no, or nearly, the system knows by itself.
REASONS: Final = (Why.EYES, Why.DECLINED, Why.UNAVAILABLE, Why.FAILED, Why.OTHER)


class Second:
    """The officers' route."""

    def __init__(self, desk: Desk, officers: Officers, demo: DemoAuthenticator | None) -> None:
        self._desk = desk
        self._officers = officers
        self._demo = demo

    async def asked(self, officer: Officer, case_id: str) -> tuple[str, dict[str, Any]]:
        """The knock for the cookie, and what the form needs to ask a colleague."""
        knock, options = await self._officers.begin_second(officer, case_id)
        colleagues = await self._officers.colleagues(officer)
        shown = {
            "options": options, "colleagues": colleagues, "reasons": REASONS,
            "authenticator": self._demo.url if self._demo else "",
        }  # fmt: skip
        return knock, shown

    async def enter(self, request: Request) -> Response:
        officer, sent = await must_be_officer(request, self._officers), await form(request)
        return await self._enter(request, officer, sent, csrf.read_cookie(request, KNOCK) or "", sent.get("answer", ""))

    async def enter_demo(self, request: Request) -> Response:
        """The simulator answers for the colleague, as it does at sign-in."""
        if self._demo is None:
            raise Refused(Code.NOT_FOUND, "there is no software authenticator here")
        officer, sent = await must_be_officer(request, self._officers), await form(request)
        knock, options = await self._officers.begin_second(officer, request.path_params["case"])
        answer = await self._demo.assert_(sent.get("officer", ""), options, self._officers.site.origin)
        return await self._enter(request, officer, sent, knock, answer)

    async def _enter(
        self, request: Request, officer: Officer, sent: dict[str, str], knock: str, assertion: str
    ) -> Response:
        case_id: str = request.path_params["case"]
        why = Why.parse(sent.get("why", ""))
        if why not in REASONS:
            raise Refused(Code.MALFORMED, "choose why two officers compare")
        if said(sent, "same"):
            second = await self._officers.second(officer, case_id, knock, assertion)
            await self._desk.two_officers(officer, case_id, second, why)
        else:
            await self._desk.record_face(officer, case_id, same_person=False)
        answer = see_other(f"/desk/cases/{case_id}")
        csrf.end_session(request, answer, KNOCK)
        return answer
