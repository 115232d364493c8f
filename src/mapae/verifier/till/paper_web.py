"""The page that checks a temporary certificate: scan or paste its code, see green or red.

Promises: works without script (paste, or a scanner that types) and by keyboard; what was checked is in no address, no
cookie and no database, and the page forgets it after a minute. Trusts: nobody; anybody may check the paper in his hand,
for the code says no more than the paper. Keeps: nothing. Refuses: a form from another site, a body over its limit.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from mapae.errors import Code, Refused
from mapae.formats.paper import LIMIT
from mapae.ui.http import Answer, Caller, Csrf, Door, Rate, door, form
from mapae.ui.pages import page
from mapae.ui.site import content_policy
from mapae.ui.words import knows
from mapae.verifier.till.kiosk import Verifier
from mapae.verifier.till.pages import grounds
from mapae.verifier.till.paper import STEPS, Checked, PaperDesk

SECONDS: Final = 60  # until the page with a name on it goes back to the start
# The reader of QR codes is WebAssembly, as the wallet's is.
_HEADERS: Final = {"Content-Security-Policy": content_policy(wasm=True)}


def routes(verifier: Verifier) -> list[Door]:
    pages = _Pages(PaperDesk(verifier.questions))
    return [
        door("GET", "/checker/paper", pages.start, caller=Caller.ANYONE, answer=Answer.PAGE, camera=True),
        door(
            "POST", "/checker/paper", pages.check, caller=Caller.ANYONE, answer=Answer.PAGE, csrf=Csrf.TOKEN,
            limit=3 * LIMIT + 1024, rate=Rate(120, 60), camera=True,
        ),
    ]  # fmt: skip


class _Pages:
    def __init__(self, desk: PaperDesk) -> None:
        self._desk = desk

    async def start(self, request: Request) -> Response:
        return page(request, "checker/paper.html", headers=_HEADERS, wrong=False)

    async def check(self, request: Request) -> Response:
        text = (await form(request)).get("code", "").strip()
        if not text:
            return page(request, "checker/paper.html", status=422, headers=_HEADERS, wrong=True)
        try:
            checked = await self._desk.check(text)
        except Refused as refused:
            if refused.step is None:
                raise
            return page(request, "checker/paper_verdict.html", seconds=SECONDS, **_red(refused))
        return page(request, "checker/paper_verdict.html", seconds=SECONDS, **_green(checked))


def _green(checked: Checked) -> dict[str, Any]:
    paper = checked.paper
    return {
        "good": True, "reason": "accepted", "code": "", "step": "", "step_number": 0, "name": paper.name,
        "birth_date": paper.birth_date, "number_masked": paper.number_masked, "number": paper.number,
        # `until` is the first moment it is not good any more.
        "last_day": datetime.fromtimestamp(paper.until, UTC) - timedelta(seconds=1),
        "offline": grounds(checked.offline) if checked.offline is not None else None,
    }  # fmt: skip


def _red(refused: Refused) -> dict[str, Any]:
    """Whose paper it is, is not said: nothing of it counts."""
    code = refused.code.value
    return {
        "good": False, "reason": code if knows(f"checker.paper.reason.{code}") else Code.MALFORMED.value, "code": code,
        "step": refused.step, "step_number": STEPS.index(refused.step) + 1 if refused.step in STEPS else 0,
        "offline": None,
    }  # fmt: skip
